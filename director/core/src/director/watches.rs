//! What is looked at for the sake of virtual routers that track it, scripts, probes and files, on a schedule of its
//! own: it never waits in line behind the checks of ten thousand servers.

use std::collections::BTreeSet;

use crate::check::{self, Checks, Health};
use crate::config::{Tracked, Watch};
use crate::time::{Instant, earliest};
use crate::vrrp::Standing;

/// All scripts, probes and files.
#[derive(Debug)]
pub(super) struct Watches {
    /// Scripts and probes.
    asked: Checks<Tracked>,
    files: Checks<Tracked>,
    /// Those that have not run yet: their first result is news, whatever it is.
    fresh: BTreeSet<Tracked>,
    /// Those that count as down until then.
    init_fail: BTreeSet<Tracked>,
}

/// Marks the sockets and programs of these among those of all checks: far beyond [`crate::limits::CHECKS_MAX`].
const ASKED: u32 = 1 << (check::Id::INDEX_BITS - 1);

/// Marks the files.
const FILES: u32 = 1 << (check::Id::INDEX_BITS - 2);

const _: () = assert!(crate::limits::CHECKS_MAX < FILES as usize);

impl Watches {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            asked: Checks::new(seed),
            files: Checks::new(seed),
            fresh: BTreeSet::new(),
            init_fail: BTreeSet::new(),
        }
    }

    /// Makes these the watches of the node.
    pub(super) fn configure(&mut self, now: Instant, watches: &[Watch]) {
        // Until it has run, what it is called is of no consequence.
        let wanted = |watch: &Watch| (watch.of.clone(), watch.check.clone(), Health::Up);
        let (files, asked): (Vec<&Watch>, Vec<&Watch>) =
            watches.iter().partition(|watch| is_file(&watch.of));
        self.files.set(now, files.into_iter().map(wanted));
        self.asked.set(now, asked.into_iter().map(wanted));
        let all = watches.iter().map(|watch| &watch.of);
        self.fresh = all.filter(|of| !self.has_run(of)).cloned().collect();
        let failing = watches.iter().filter(|watch| watch.init_fail);
        self.init_fail = failing.map(|watch| watch.of.clone()).collect();
    }

    /// Whether one has run for the first time since this was last asked.
    pub(super) fn take_news(&mut self) -> bool {
        if self.fresh.is_empty() {
            return false;
        }
        let fresh = core::mem::take(&mut self.fresh);
        let before = fresh.len();
        self.fresh = fresh.into_iter().filter(|of| !self.has_run(of)).collect();
        self.fresh.len() != before
    }

    /// What one has found.
    pub(super) fn standing(&self, of: &Tracked) -> Standing {
        match self.status(of) {
            // What a file said last holds while it can't be read, or holds no number.
            Some((_, status)) if is_file(of) && self.has_run(of) => {
                Standing::Number(status.value.unwrap_or(0))
            }
            Some((_, status)) if self.has_run(of) => match status.health {
                Health::Up => Standing::Up,
                Health::Down => Standing::Down,
            },
            _ if self.init_fail.contains(of) => Standing::Down,
            _ => Standing::Unknown,
        }
    }

    /// What one does and knows.
    pub(super) fn status(&self, of: &Tracked) -> Option<(&check::Ask, check::Status)> {
        let checks = if is_file(of) {
            &self.files
        } else {
            &self.asked
        };
        checks.status(of)
    }

    /// What a script that failed said.
    pub(super) fn said(&self, of: &Tracked) -> &str {
        self.asked.said(of)
    }

    /// A file that was looked at has told, even if nothing can be made of it; a program that this node could not start
    /// has not.
    fn has_run(&self, of: &Tracked) -> bool {
        self.status(of).is_some_and(|(_, status)| {
            if is_file(of) {
                status.last.is_some()
            } else {
                status.runs > 0
            }
        })
    }

    /// Whether a socket, a program or a file is of one.
    pub(super) const fn owns(id: check::Id) -> bool {
        id.index & (ASKED | FILES) != 0
    }

    pub(super) fn handle_io(&mut self, now: Instant, id: check::Id, io: check::Io<'_>) {
        let index = id.index & !(ASKED | FILES);
        let checks = if id.index & FILES == 0 {
            &mut self.asked
        } else {
            &mut self.files
        };
        checks.handle_io(now, check::Id { index, ..id }, io);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.files.handle_timeout(now);
        self.asked.handle_timeout(now);
    }

    /// What scripts and probes want next.
    pub(super) fn poll_action(&mut self, now: Instant) -> Option<(check::Id, check::Action)> {
        Some(marked(ASKED, self.asked.poll_action(now)?))
    }

    /// What files want next.
    pub(super) fn poll_read(&mut self, now: Instant) -> Option<(check::Id, check::Action)> {
        Some(marked(FILES, self.files.poll_action(now)?))
    }

    pub(super) fn poll_event(&mut self) -> Option<check::Event<Tracked>> {
        self.files.poll_event().or_else(|| self.asked.poll_event())
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        earliest(self.files.next_timeout(), self.asked.next_timeout())
    }
}

const fn is_file(of: &Tracked) -> bool {
    matches!(of, Tracked::File(_))
}

fn marked(mark: u32, (id, action): (check::Id, check::Action)) -> (check::Id, check::Action) {
    let index = id.index | mark;
    (check::Id { index, ..id }, action)
}
