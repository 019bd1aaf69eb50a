//! The whole director as one value: it routes inputs to the machines and their wishes to the outputs.

mod adoption;
mod check_report;
mod data_path;
mod drains;
mod findings;
mod groups;
#[cfg(test)]
mod growth;
mod journal;
mod links;
mod pacing;
mod presence;
mod recoveries;
mod report;
mod routers;
mod seats;
mod services;
mod settings;
mod settle;
mod source;
mod standings;
mod stop;
mod surroundings;
mod telling;
mod watches;

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use self::recoveries::Recoveries;
use self::routers::{Routers, Slot};
use self::services::Services;
use self::stop::Stop;
use self::surroundings::Surroundings;
use self::watches::Watches;
use crate::config::Config;
use crate::event::{Event, Level, Ring};
use crate::filter::Filter;
use crate::ipvs::{DestId, ServiceId};
use crate::kernel::{KernelEvent, Op, OpError, Snapshot};
pub use crate::kernel::{OpId, Part};
use crate::net::{Ifindex, Mac, Name};
use crate::overrides::{Saved, Wish};
use crate::reconcile::{Finding, Reconciler};
use crate::status::Status;
use crate::time::Instant;
use crate::tracking::Recovery;
use crate::vrrp::Received;
use crate::{check, limits, plan};
pub use telling::Telling;

/// Everything that can happen to a director.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The moment of [`Director::next_timeout`] has come; early and late ones are harmless.
    Timeout,
    /// A packet of IP protocol 112 (VRRP).
    Vrrp {
        /// Interface it came in on.
        ifindex: Ifindex,
        /// What it says, and its IP header.
        received: Received<'a>,
    },
    /// Something happened to the socket of a check.
    Probe {
        /// The connection.
        id: check::Id,
        /// What happened.
        io: check::Io<'a>,
    },
    /// The answer to one [`Output::Apply`].
    Applied {
        /// Which.
        op: OpId,
        /// What the kernel said.
        result: Result<(), OpError>,
    },
    /// The kernel changed by itself, or by somebody else's hand.
    Kernel(KernelEvent),
    /// The answer to an [`Output::Read`].
    Actual(Snapshot),
    /// A configuration that has been read and found good. In an orderly stop it comes too late.
    Config(Box<Config>),
    /// An operator's wish.
    Command(Command),
    /// What the wall clock shows, in microseconds since 1970: at the start, and whenever it was set. Signed adverts
    /// need it, and nothing else.
    WallClock(u64),
    /// What a director before this one left, by [`Director::saved`]; at the start, before the table is read.
    Restore(Vec<Saved>),
    /// What came of an [`Output::Recover`].
    Recovered(Recovery),
    /// Something of the shell's own that belongs in the log.
    Note(Level, String),
}

/// An operator's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Give up Active, of one virtual router or of all of them, and do not preempt the successor.
    Handover(Option<Name>),
    /// Let this hold for one dest of a service.
    Dest(ServiceId, DestId, Wish),
    /// Hand over, remove everything from the kernel, and end: [`Director::stopped`] says when.
    Stop,
}

/// What the shell does for the director, in falling priority: adverts, addresses, announcements, IPVS, checks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // an advert is carried inline: nothing on its way allocates
pub enum Output {
    /// Listen for adverts of this group on this interface, from now on. Repeated when the interface came anew. An
    /// unspecified address is no group: adverts to the interface's own addresses are expected.
    Join {
        /// Interface.
        ifindex: Ifindex,
        /// Multicast group.
        group: IpAddr,
    },
    /// Send an advert: IP protocol 112, type of service 0xc0.
    Advert {
        /// Outgoing interface.
        ifindex: Ifindex,
        /// Source address.
        source: IpAddr,
        /// Multicast group, or a peer.
        destination: IpAddr,
        /// Time to live, or hop limit.
        ttl: u8,
        /// The hardware address that it comes from, if that is not the interface's own; it goes to a group then.
        mac: Option<Mac>,
        /// The VRRP packet behind the IP header.
        payload: AdvertBytes,
    },
    /// Announce an address to everybody: by a gratuitous ARP request, or by an unsolicited neighbour advertisement.
    Announce {
        /// Outgoing interface.
        ifindex: Ifindex,
        /// Its hardware address.
        mac: Mac,
        /// The address announced.
        address: IpAddr,
    },
    /// Do this to the kernel and answer with [`Input::Applied`]; several in a row may go in one batch, in order.
    Apply(OpId, Op),
    /// Have the connections tracked that IPVS knows of the services of this filter, beside everything else, and answer
    /// with [`Input::Recovered`]. One that is asked for while another one is under way comes after it.
    Recover(Arc<Filter>),
    /// Read a part of the kernel's state whole and answer with [`Input::Actual`].
    Read(Part),
    /// Something for the socket of a check.
    Probe(check::Id, check::Action),
}

/// An advert's bytes.
pub type AdvertBytes = heapless::Vec<u8, { crate::limits::ADVERT_BYTES_MAX }>;

/// Why the director wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A virtual router's timer.
    Vrrp,
    /// The next slice of operations, a refused operation to be tried again, a reading of the kernel's tables.
    Kernel,
    /// A check's timer.
    Check,
    /// A drain ends, a slow start goes on.
    Drain,
    /// The longest orderly stop is over.
    Stop,
}

/// The whole director.
///
/// Contract: a [`Director::handle`], or a bounded number of them, then [`Director::poll_output`] until it is empty, and
/// [`Director::poll_event`] before long, then sleep until [`Director::next_timeout`].
#[derive(Debug)]
pub struct Director {
    config: Config,
    routers: Routers,
    services: Services,
    watches: Watches,
    reconciler: Reconciler,
    /// The packet filter that the configuration asks for.
    filter: Arc<Filter>,
    ring: Ring,
    events: VecDeque<Event>,
    /// Since when links are as they are, of those that have changed.
    links_since: BTreeMap<Ifindex, Instant>,
    now: Instant,
    started_at: Instant,
    configured_at: Instant,
    reloads: u32,
    /// Operations acknowledged before the configuration that is not in force yet.
    applied_before: Option<u64>,
    /// No check starts before the node itself serves.
    checks_held: bool,
    last_failure: String,
    /// What is desired must be planned anew.
    dirty: bool,
    /// Dests that may still be planned in this slice.
    plans_left: usize,
    stop: Option<Stop>,
    recoveries: Recoveries,
}

impl Director {
    /// A director that takes up `config` at `now`. `seed` is its only source of randomness.
    #[must_use]
    pub fn new(config: Config, now: Instant, seed: u64) -> Self {
        let mut director = Self {
            config: Config::default(),
            routers: Routers::default(),
            services: Services::new(seed),
            // Another sequence than that of the services' checks.
            watches: Watches::new(!seed),
            reconciler: Reconciler::new(),
            filter: Arc::default(),
            ring: Ring::default(),
            events: VecDeque::new(),
            links_since: BTreeMap::new(),
            now,
            started_at: now,
            configured_at: now,
            reloads: 0,
            applied_before: None,
            checks_held: true,
            last_failure: String::new(),
            dirty: true,
            // All of them at the start: what is in the kernel and not planned yet would be removed.
            plans_left: usize::MAX,
            stop: None,
            recoveries: Recoveries::default(),
        };
        director.configure(config);
        director.settle();
        director
    }

    /// Takes one input. Never fails: what can't be used is counted, and said in an event where it matters.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        // A clock that steps back would only confuse the timers.
        self.now = self.now.max(now);
        let now = self.now;
        match input {
            Input::Timeout => self.handle_timeout(),
            Input::Vrrp { ifindex, received } => {
                self.routers.handle_packet(now, ifindex, &received);
            }
            Input::Probe { id, io } if Watches::owns(id) => self.watches.handle_io(now, id, io),
            Input::Probe { id, io } => {
                // Most often what was known is seen again: nothing follows.
                if !self.services.checks.handle_io(now, id, io) {
                    return;
                }
            }
            Input::Applied { op, result } => {
                self.handle_applied(op, result);
                // The answers of a batch come in a row: what follows from them follows from the last one.
                if self.reconciler.awaits_answers() {
                    return;
                }
            }
            Input::Kernel(event) => {
                if !self.handle_kernel(event) {
                    return;
                }
            }
            Input::Actual(snapshot) => self.handle_snapshot(snapshot),
            // What it brings would be taken out at once.
            Input::Config(_) if self.stop.is_some() => {}
            Input::Config(config) => {
                self.reloads += 1;
                self.configure(*config);
            }
            Input::Command(command) => self.handle_command(command),
            Input::WallClock(micros) => self.routers.set_wall(now, micros),
            Input::Restore(saved) => self.services.restore(now, &saved),
            Input::Recovered(recovery) => self.handle_recovered(recovery),
            Input::Note(level, text) => self.note(Event::Note { level, text }),
        }
        self.settle();
    }

    /// The next thing to do for the director: adverts, then addresses, then announcements, IPVS and checks.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        let now = self.now;
        if let Some(output) = self
            .routers
            .poll_join()
            .or_else(|| self.routers.poll_transmit(now))
        {
            return Some(output);
        }
        for part in Part::ALL {
            if self.is_held(part) {
                continue;
            }
            if let Some((id, op)) = self.reconciler.poll_op(now, part) {
                return Some(Output::Apply(id, op));
            }
        }
        if self.recoveries.take_due() {
            return Some(Output::Recover(Arc::clone(&self.filter)));
        }
        if let Some(part) = self.reconciler.poll_read(now) {
            return Some(Output::Read(part));
        }
        let (id, action) = self.poll_check(now)?;
        Some(Output::Probe(id, self.by_kernel_name(action)))
    }

    /// Files need no network, and what they say must be known before a router is Active.
    fn poll_check(&mut self, now: Instant) -> Option<(check::Id, check::Action)> {
        let read = self.watches.poll_read(now);
        if read.is_some() || self.checks_held {
            return read;
        }
        let watched = self.watches.poll_action(now);
        watched.or_else(|| self.poll_service_check())
    }

    /// The kernel knows an interface by another name than the configuration may have for it.
    fn by_kernel_name(&self, mut action: check::Action) -> check::Action {
        if let check::Action::Connect {
            bind: Some(bind), ..
        } = &mut action
            && let Some(name) = &mut bind.interface
            && let Some(link) = plan::link(&self.config, &self.reconciler.actual().links, name)
        {
            *name = link.name.clone();
        }
        action
    }

    /// When to call `handle` with [`Input::Timeout`] at the latest, and why; in the past when there is work left.
    #[must_use]
    pub fn next_timeout(&self) -> Option<(Instant, Reason)> {
        let stop = self.stop.filter(|stop| !stop.done).map(|stop| stop.until);
        let held = self
            .checks_held
            .then(|| self.started_at + limits::CHECKS_HOLD_MAX);
        let checks = self.services.checks.next_timeout();
        let checks = checks.filter(|_| self.stop.is_none());
        let candidates = [
            (held, Reason::Check),
            (self.routers.next_timeout(), Reason::Vrrp),
            (self.reconciler.next_timeout(self.now), Reason::Kernel),
            (checks, Reason::Check),
            (self.services.wake_at, Reason::Drain),
            (self.services.has_work().then_some(self.now), Reason::Kernel),
            (self.watches.next_timeout(), Reason::Check),
            (stop, Reason::Stop),
        ];
        let mut first: Option<(Instant, Reason)> = None;
        for (at, reason) in candidates {
            let Some(at) = at else { continue };
            if first.is_none_or(|(first, _)| at < first) {
                first = Some((at, reason));
            }
        }
        first
    }

    /// Whether an orderly stop has come to its end.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.done)
    }

    /// What the director is and does, at the moment of the last input.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut telling = self.begin_telling();
        loop {
            if let Some(status) = self.go_on_telling(&mut telling) {
                return status;
            }
        }
    }

    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What the kernel should hold, and what it is known to hold: for tests and invariants.
    #[must_use]
    pub const fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    fn configure(&mut self, config: Config) {
        let now = self.now;
        self.routers.configure(now, &config);
        let left = self.services.configure(now, &config);
        self.filter = Arc::new(plan::filter(&config));
        self.watches.configure(now, &config.watches);
        self.config = config;
        self.configured_at = now;
        self.applied_before = Some(self.reconciler.counts().0);
        self.follow_network();
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        self.note(Event::Configured {
            routers: count(self.config.routers.len()),
            services: count(self.config.services.len()),
            checks: count(self.services.checks.len()),
        });
        left.into_iter().for_each(|event| self.note(event));
    }

    fn handle_timeout(&mut self) {
        let now = self.now;
        // Once for each turn: a burst of other inputs must not stretch it.
        self.reconciler.begin_slice();
        self.plans_left = limits::PLANS_PER_SLICE;
        self.go_on_adopting();
        let finding = self.reconciler.compare(now);
        self.follow_reading(finding);
        self.routers.handle_timeout(now);
        // At the end none begins any more, and none is failed for what its server would have said.
        if self.stop.is_none() {
            self.services.checks.handle_timeout(now);
        }
        self.advance_drains(false);
        self.watches.handle_timeout(now);
        if self.routers.is_link_due(now) {
            self.follow_network();
        }
    }

    fn handle_applied(&mut self, id: OpId, result: Result<(), OpError>) {
        let address = match self.reconciler.in_flight(id) {
            Some(Op::AddAddress(address, _) | Op::DelAddress(address)) => Some(*address),
            _ => None,
        };
        if let Some(finding) = self.reconciler.handle_applied(self.now, id, result) {
            let is_device = matches!(finding, Finding::Refused(Op::AddVmac { .. }, _));
            self.note_finding(finding);
            if is_device {
                self.follow_network();
            }
        }
        if let Some(address) = address {
            let around = Surroundings::of(
                &self.config,
                &self.reconciler,
                &self.services,
                &self.watches,
            );
            self.routers.follow_address(self.now, &around, &address);
            self.follow_addresses();
        }
    }

    fn follow_addresses(&mut self) {
        let addresses = &self.reconciler.actual().addresses;
        self.services.paths.forget_sites();
        self.services.follow_addresses(self.now, addresses);
    }

    /// Links or addresses are other than before: the routers may serve or not, and the plan may change.
    fn follow_network(&mut self) {
        self.dirty = true;
        self.follow_addresses();
        if self.reconciler.knows(Part::Network) {
            let around = Surroundings::of(
                &self.config,
                &self.reconciler,
                &self.services,
                &self.watches,
            );
            self.routers.follow(self.now, &around);
        }
    }

    fn handle_snapshot(&mut self, snapshot: Snapshot) {
        let finding = self.reconciler.handle_snapshot(self.now, snapshot);
        self.follow_reading(finding);
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Handover(router) => {
                if self.routers.handover(self.now, router.as_ref()) {
                    self.note(Event::Handover { router });
                }
            }
            Command::Dest(service, dest, wish) => {
                let events = self.services.wish(self.now, (&service, &dest), wish);
                self.moved(events);
            }
            Command::Stop => self.begin_stop(),
        }
    }
}
