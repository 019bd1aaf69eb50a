//! What is looked at for the sake of virtual routers that track it, scripts and probes, on a schedule of its own: it
//! never waits in line behind the checks of ten thousand servers.

use std::collections::BTreeSet;

use crate::check::{self, Checks, Health};
use crate::config::{Tracked, Watch};
use crate::time::Instant;
use crate::vrrp::Standing;

/// All scripts and probes.
#[derive(Debug)]
pub(super) struct Watches {
    checks: Checks<Tracked>,
    /// Those that have not run yet: their first result is news, whatever it is.
    fresh: BTreeSet<Tracked>,
    /// Those that count as down until then.
    init_fail: BTreeSet<Tracked>,
}

/// Marks the sockets of these among those of all checks: far beyond [`crate::limits::CHECKS_MAX`].
const MARK: u32 = 1 << (check::Id::INDEX_BITS - 1);

const _: () = assert!(crate::limits::CHECKS_MAX < MARK as usize);

impl Watches {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            checks: Checks::new(seed),
            fresh: BTreeSet::new(),
            init_fail: BTreeSet::new(),
        }
    }

    /// Makes these the watches of the node.
    pub(super) fn configure(&mut self, now: Instant, watches: &[Watch]) {
        // Until it has run, what it is called is of no consequence.
        let wanted = |watch: &Watch| (watch.of.clone(), watch.check.clone(), Health::Up);
        self.checks.set(now, watches.iter().map(wanted));
        let checks = &self.checks;
        let all = watches.iter().map(|watch| &watch.of);
        self.fresh = all.filter(|of| !has_run(checks, of)).cloned().collect();
        let failing = watches.iter().filter(|watch| watch.init_fail);
        self.init_fail = failing.map(|watch| watch.of.clone()).collect();
    }

    /// Whether one has run for the first time since this was last asked.
    pub(super) fn take_news(&mut self) -> bool {
        let (before, checks) = (self.fresh.len(), &self.checks);
        self.fresh.retain(|of| !has_run(checks, of));
        self.fresh.len() != before
    }

    /// What one has found.
    pub(super) fn standing(&self, of: &Tracked) -> Standing {
        match self.checks.status(of) {
            Some((_, status)) if has_run(&self.checks, of) => match status.health {
                Health::Up => Standing::Up,
                Health::Down => Standing::Down,
            },
            _ if self.init_fail.contains(of) => Standing::Down,
            _ => Standing::Unknown,
        }
    }

    /// What one does and knows.
    pub(super) fn status(&self, of: &Tracked) -> Option<(&check::Settings, &check::Status)> {
        self.checks.status(of)
    }

    /// Whether a socket or program is of one.
    pub(super) const fn owns(id: check::Id) -> bool {
        id.index & MARK != 0
    }

    pub(super) fn handle_io(&mut self, now: Instant, id: check::Id, io: check::Io<'_>) {
        let index = id.index & !MARK;
        self.checks.handle_io(now, check::Id { index, ..id }, io);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.checks.handle_timeout(now);
    }

    pub(super) fn poll_action(&mut self, now: Instant) -> Option<(check::Id, check::Action)> {
        let (id, action) = self.checks.poll_action(now)?;
        let index = id.index | MARK;
        Some((check::Id { index, ..id }, action))
    }

    pub(super) fn poll_event(&mut self) -> Option<check::Event<Tracked>> {
        self.checks.poll_event()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.checks.next_timeout()
    }
}

fn has_run(checks: &Checks<Tracked>, of: &Tracked) -> bool {
    checks.status(of).is_some_and(|(_, status)| status.runs > 0)
}
