//! One virtual router: what it is told and asked. Its transitions are in `machine`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heapless::Deque;

use super::announce::Announcer;
use super::auth::Guard;
use super::event::Event;
use super::machine::Trigger;
use super::receive::{Counters, Reason, Received, Refusal, judge};
use super::settings::{Octets, Settings};
use super::state::{Backup, Fault, Hears, Peer, Source, State, Waits, Why};
use super::timers;
use super::track;
use crate::limits;
use crate::net::Family;
use crate::time::{Duration, Instant, earliest};
use crate::wire::vrrp::{Repr, TTL};

/// What a router wants sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit<'a> {
    /// An advert: IP protocol 112, type of service 0xc0.
    Advert {
        /// IP source address.
        source: IpAddr,
        /// IP destination address: the group, or a peer.
        destination: IpAddr,
        /// Time to live, or hop limit.
        ttl: u8,
        /// What follows the IP header.
        payload: &'a [u8],
    },
    /// A gratuitous ARP request for this address ([`crate::wire::arp::Repr::gratuitous`]), or a neighbour advertisement
    /// ([`crate::wire::ndp::Repr`]).
    Announce {
        /// The virtual address.
        address: IpAddr,
    },
}

/// One virtual router: the machine of RFC 9568 section 6.4.
///
/// After each call drain [`Router::poll_transmit`] and [`Router::poll_event`] and read [`Router::next_timeout`].
/// A takeover is in this order: the advert goes out, then [`Router::wants_addresses`] has the addresses added, and
/// [`Router::addresses_present`] starts their announcements.
#[derive(Debug)]
pub struct Router {
    pub(super) settings: Settings,
    /// The advertised addresses as they are on the wire.
    octets: Octets,
    pub(super) state: State,
    pub(super) since: Instant,
    /// The startup delay ends.
    pub(super) hold_until: Instant,
    /// Where adverts come from; kept in Fault, so that priority 0 can still be sent.
    pub(super) source: IpAddr,
    /// Active_Adver_Interval: our own, or what the Active router of v3 promised.
    pub(super) active_interval: Duration,
    /// What its trackers add to its priority.
    pub(super) weight: i32,
    /// The operator had it give up: it does not preempt.
    pub(super) handed_over: bool,
    /// An owner that found another owner which does not yield: competes with 254.
    pub(super) yielded: bool,
    pub(super) announcer: Announcer,
    /// Priorities of the adverts to send now.
    outbox: Deque<u8, 4>,
    /// Which peer the first of them goes to next.
    next_peer: usize,
    /// When the last advert was put there.
    pub(super) sent_at: Option<Instant>,
    /// When a router was last heard that is Active too, and worse.
    pub(super) rival_at: Option<Instant>,
    /// The advert under way; its memory is kept.
    message: Vec<u8>,
    events: Deque<Event, { limits::ROUTER_EVENTS_MAX }>,
    pub(super) noticed: Noticed,
    counters: Counters,
    pub(super) guard: Guard,
}

/// What was told already since the state changed: a wrong neighbour fills the counters, not the log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noticed {
    dropped: [bool; Reason::ALL.len()],
    address_list: bool,
    interval: bool,
    pub(super) rival: bool,
    pub(super) preempting: bool,
}

impl Router {
    /// A router in Initialize until the first [`Router::set_link`]; a startup delay runs from `now`.
    #[must_use]
    pub fn new(now: Instant, settings: Settings) -> Self {
        Self {
            octets: Octets::of(&settings),
            state: State::Initialize(Waits::Link),
            since: now,
            hold_until: (now + settings.startup_delay)
                .max(Instant::ZERO + settings.delay_after_boot),
            source: unspecified(&settings),
            active_interval: settings.advert_interval,
            weight: 0,
            handed_over: false,
            yielded: false,
            announcer: Announcer::new(&settings.announced, &settings.extra),
            outbox: Deque::new(),
            next_peer: 0,
            sent_at: None,
            rival_at: None,
            message: Vec::with_capacity(settings.advert_bytes()),
            events: Deque::new(),
            noticed: Noticed::default(),
            counters: Counters::default(),
            guard: Guard::default(),
            settings,
        }
    }

    /// What its interface is now; to be told at every change, repeating is harmless.
    pub fn set_link(&mut self, now: Instant, link: Result<Source, Fault>) {
        self.step(now, Trigger::Link(link));
    }

    /// A packet came for this VRID on this interface.
    pub fn handle_advert(&mut self, now: Instant, received: &Received<'_>) {
        let running = matches!(self.state, State::Backup(_) | State::Active(_));
        if !running {
            return self.counters.drop(Reason::NotReady);
        }
        if received.source == self.source {
            return self.refuse_own(received.source);
        }
        if self.settings.owner() && self.settings.owner_ignores_adverts {
            return self.counters.drop(Reason::Owner);
        }
        let advert = match judge(
            now,
            &self.settings,
            &mut self.guard,
            self.source,
            self.octets.as_addresses(),
            received,
        ) {
            Ok(advert) => advert,
            Err(refusal) => return self.refuse(received.source, refusal),
        };
        self.counters.received += 1;
        self.counters.received_zero += u64::from(advert.priority == 0);
        self.counters.without_pseudo_header += u64::from(advert.without_pseudo_header);
        if let Some(theirs) = advert.other_addresses {
            self.counters.address_list_mismatch += 1;
            if !core::mem::replace(&mut self.noticed.address_list, true) {
                self.tell(Event::AddressListMismatch {
                    source: advert.source,
                    theirs,
                    ours: self.octets.as_addresses().len(),
                });
            }
        }
        if advert.interval != self.settings.advert_interval {
            self.counters.interval_mismatch += 1;
            self.tell_interval(advert.source, advert.interval, false);
        }
        self.step(now, Trigger::Advert(advert));
    }

    /// Time has passed; late and spurious calls are legal. The VRRP sockets must have been read before, or an advert
    /// that waits there is taken for missing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.step(now, Trigger::Timer);
        if self.wants_addresses() {
            self.announcer.handle_timeout(now, &self.settings.garp);
        }
    }

    /// Which virtual addresses the kernel holds on the interface; to be told at every change while
    /// [`Router::wants_addresses`], repeating is harmless. An address is announced from the moment it is there.
    pub fn addresses_present(&mut self, now: Instant, present: impl Fn(IpAddr) -> bool) {
        if self.wants_addresses() {
            self.announcer
                .set_present(now, &self.settings.garp, present);
        }
    }

    /// The kernel holds the virtual addresses from before a restart of the director: goes on as Active, and says so
    /// at once. A router that took over meanwhile settles it by its next advert, as after any split.
    pub fn adopt(&mut self, now: Instant) {
        self.step(now, Trigger::Adopt);
    }

    /// Planned handover of an Active router: announces priority 0, serves until a successor is heard, then becomes
    /// Backup and does not preempt, until it hears no Active router any more, is reconfigured or [`Router::resume`]d.
    /// Where nobody takes over it stays Active. A Backup router that is told so does not preempt either.
    pub fn resign(&mut self, now: Instant) {
        self.step(now, Trigger::Resign { stops: false });
    }

    /// Takes a [`Router::resign`] back: competes by its priority again.
    pub fn resume(&mut self, now: Instant) {
        self.step(now, Trigger::Resume);
    }

    /// Its sync group has it take over, now that its time and that of all others has come.
    pub fn take_over(&mut self, now: Instant) {
        self.step(now, Trigger::TakeOver);
    }

    /// Its sync group can't be Active: lets go at once, and says so.
    pub fn give_way(&mut self, now: Instant) {
        self.step(now, Trigger::LetGo);
    }

    /// As [`Router::resign`], but ends in Initialize for good; see [`Router::is_stopped`].
    pub fn stop(&mut self, now: Instant) {
        self.step(now, Trigger::Resign { stops: true });
    }

    /// Whether [`Router::poll_transmit`] has an advert next.
    #[must_use]
    pub fn wants_advert(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether [`Router::poll_transmit`] may have something.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        !self.outbox.is_empty() || self.announcer.wants_transmit()
    }

    /// The next packet to send now, adverts first.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        let Some((priority, destination, ttl)) = self.next_advert() else {
            let address = self.announcer.poll()?;
            self.counters.announced += 1;
            return Some(Transmit::Announce { address });
        };
        let source = self.source;
        let advert = Repr {
            vrid: self.settings.vrid,
            priority,
            form: self.settings.form(),
            addresses: self.octets.as_addresses(),
        };
        let way = (source, destination, self.sent_at.unwrap_or_default());
        let hmac = self.settings.hmac.as_ref();
        self.guard.emit(hmac, way, &advert, &mut self.message);
        Some(Transmit::Advert {
            source,
            destination,
            ttl,
            payload: &self.message,
        })
    }

    /// Priority, destination and time to live of the next advert: one to the group, or the same to each peer.
    fn next_advert(&mut self) -> Option<(u8, IpAddr, u8)> {
        let priority = *self.outbox.front()?;
        let (destination, ttl, is_last) = match &self.settings.unicast {
            None => (self.settings.group, TTL, true),
            Some(unicast) => {
                let Some(peer) = unicast.peers.get(self.next_peer) else {
                    // A reload took the rest of the peers away.
                    self.next_peer = 0;
                    self.outbox.pop_front();
                    return self.next_advert();
                };
                let is_last = self.next_peer + 1 >= unicast.peers.len();
                (peer.address, unicast.ttl, is_last)
            }
        };
        if is_last {
            self.next_peer = 0;
            self.outbox.pop_front();
            self.counters.sent += 1;
            self.counters.sent_zero += u64::from(priority == 0);
        } else {
            self.next_peer += 1;
        }
        Some((priority, destination, ttl))
    }

    /// The next event. When they are not read, the oldest are lost.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Router::handle_timeout`] must be called at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Initialize(Waits::StartupDelay { until }) => Some(*until),
            State::Initialize(_) | State::Fault(_) => None,
            State::Backup(backup) if self.is_held(backup) => None,
            State::Backup(backup) => Some(backup.due()),
            State::Active(active) => earliest(Some(active.due()), self.announcer.next_timeout()),
        }
    }

    /// Whether the virtual addresses belong on the interface: Active, also while leaving.
    #[must_use]
    pub const fn wants_addresses(&self) -> bool {
        matches!(self.state, State::Active(_))
    }

    /// Whether a [`Router::stop`] has come to its end.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        matches!(self.state, State::Initialize(Waits::Nothing))
    }

    /// The settings in force.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Since when it is in this state.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// The address its adverts come from; none before the interface served.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        (!self.source.is_unspecified()).then_some(self.source)
    }

    /// The priority it competes with: the configured one with the weights of its trackers, or 254 for an owner that
    /// yielded to another owner.
    #[must_use]
    pub fn effective_priority(&self) -> u8 {
        if self.yielded {
            254
        } else {
            track::weighted(self.settings.priority, self.weight)
        }
    }

    /// Active_Down_Interval as it is now: how long an Active router may be silent.
    #[must_use]
    pub fn active_down_interval(&self) -> Duration {
        timers::active_down(
            self.settings.version,
            self.effective_priority(),
            self.active_interval,
            self.settings.down_adverts,
        )
    }

    /// Skew_Time as it is now: how soon it follows a router that gives up.
    #[must_use]
    pub fn skew_time(&self) -> Duration {
        timers::skew(
            self.settings.version,
            self.effective_priority(),
            self.active_interval,
        )
    }

    /// The Active router that a Backup router hears.
    #[must_use]
    pub const fn active(&self) -> Option<Peer> {
        match &self.state {
            State::Backup(backup) => backup.hears.peer(),
            _ => None,
        }
    }

    /// When a router was last heard that is Active too, and worse.
    #[must_use]
    pub const fn rival_at(&self) -> Option<Instant> {
        self.rival_at
    }

    /// Counters since the start.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Why it is not Active, or will soon not be; none while it is.
    #[must_use]
    pub fn why_not_active(&self, now: Instant) -> Option<Why> {
        Some(match &self.state {
            State::Initialize(Waits::Link) => Why::NoLinkYet,
            State::Initialize(Waits::StartupDelay { until }) => Why::StartupDelay(until.since(now)),
            State::Initialize(Waits::Nothing) => Why::Stopped,
            State::Fault(why) => Why::Fault(why.clone()),
            State::Backup(backup) => self.why_backup(backup, backup.due().since(now)),
            State::Active(active) => Why::Leaving(active.leaving?.until.since(now)),
        })
    }

    /// Whether only its sync group can end its waiting.
    const fn is_held(&self, backup: &Backup) -> bool {
        backup.ready && self.settings.grouped
    }

    /// Why it is Backup, and will be for the time `left` when it hears nothing else.
    fn why_backup(&self, backup: &Backup, left: Duration) -> Why {
        match backup.hears {
            _ if self.is_held(backup) => Why::Group,
            Hears::Nobody => Why::Waits(left),
            Hears::Resigned(peer) => Why::Resigned(peer, left),
            Hears::Lower { peer, .. } => Why::Preempts(peer, left),
            Hears::Active(peer) if self.handed_over => Why::HandedOver(peer),
            Hears::Active(peer) if peer.priority >= self.effective_priority() => Why::Hears(peer),
            Hears::Active(peer) => Why::NoPreempt(peer),
        }
    }

    /// Puts other settings in force and returns the old ones.
    pub(super) fn replace_settings(&mut self, settings: Settings) -> Settings {
        self.octets = Octets::of(&settings);
        self.announcer
            .set_addresses(&settings.announced, &settings.extra);
        core::mem::replace(&mut self.settings, settings)
    }

    /// Puts an advert into the outbox.
    pub(super) fn send(&mut self, now: Instant, priority: u8) {
        if self.outbox.is_full() {
            self.outbox.pop_front(); // never read: the newest count
            self.next_peer = 0;
        }
        let _fits = self.outbox.push_back(priority);
        self.sent_at = Some(now);
    }

    /// Puts an event into the queue.
    pub(super) fn tell(&mut self, event: Event) {
        if self.events.is_full() {
            self.events.pop_front();
        }
        let _fits = self.events.push_back(event);
    }

    /// An advert from our own address: an echo while Active, but another node with our address while Backup.
    fn refuse_own(&mut self, source: IpAddr) {
        match self.state {
            State::Active(_) => self.counters.drop(Reason::Own),
            _ => self.refuse(source, Refusal::Reason(Reason::Own)),
        }
    }

    /// Counts an advert that is not believed, and tells the first of its kind.
    fn refuse(&mut self, source: IpAddr, refusal: Refusal) {
        let reason = match refusal {
            Refusal::Reason(reason) => reason,
            Refusal::Interval(theirs) => {
                self.tell_interval(source, theirs, true);
                return self.counters.drop(Reason::Interval);
            }
        };
        self.counters.drop(reason);
        let mut seen = Reason::ALL.into_iter().zip(&mut self.noticed.dropped);
        let first = seen.any(|(of, seen)| of == reason && !core::mem::replace(seen, true));
        if first {
            self.tell(Event::Dropped { reason, source });
        }
    }

    fn tell_interval(&mut self, source: IpAddr, theirs: Duration, dropped: bool) {
        if !core::mem::replace(&mut self.noticed.interval, true) {
            self.tell(Event::IntervalMismatch {
                source,
                theirs,
                ours: self.settings.advert_interval,
                dropped,
            });
        }
    }
}

/// No address, of the family of the router.
const fn unspecified(settings: &Settings) -> IpAddr {
    match settings.family() {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
