//! One virtual router.

use core::net::Ipv4Addr;

use super::event::Event;
use super::receive::{Counters, Received};
use super::settings::Settings;
use super::state::{Fault, Peer, Source, State, Waits, Why};
use crate::time::Instant;

/// What a router wants sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit<'a> {
    /// An advert: IP protocol 112, TTL 255, TOS 0xc0.
    Advert {
        /// IP source address.
        source: Ipv4Addr,
        /// IP destination address: the group.
        destination: Ipv4Addr,
        /// What follows the IP header.
        payload: &'a [u8],
    },
    /// A gratuitous ARP request for this address ([`crate::wire::arp`]).
    Announce {
        /// The virtual address.
        address: Ipv4Addr,
    },
}

/// One virtual router: the machine of RFC 9568 section 6.4.
///
/// After each call drain [`Router::poll_transmit`] and [`Router::poll_event`] and read [`Router::next_timeout`].
#[derive(Debug)]
pub struct Router {
    settings: Settings,
    state: State,
    since: Instant,
    counters: Counters,
}

impl Router {
    /// A router in Initialize until the first [`Router::set_link`].
    #[must_use]
    pub fn new(now: Instant, settings: Settings) -> Self {
        Self {
            settings,
            state: State::Initialize { waits: Waits::Link },
            since: now,
            counters: Counters::default(),
        }
    }

    /// What its interface is now; to be told at every change, repeating is harmless.
    pub fn set_link(&mut self, _now: Instant, _link: Result<Source, Fault>) {}

    /// An advert came for this VRID on this interface.
    pub fn handle_advert(&mut self, _now: Instant, _received: &Received<'_>) {}

    /// Time has passed; late and spurious calls are legal. VRRP sockets must be read before.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// Which virtual addresses the kernel holds on the interface; to be told at every change while
    /// [`Router::wants_addresses`], repeating is harmless. An address is announced from the moment it is there.
    pub fn addresses_present(&mut self, _now: Instant, _present: impl Fn(Ipv4Addr) -> bool) {}

    /// Planned handover: serves until a successor is heard, then Backup, and does not preempt it.
    pub fn resign(&mut self, _now: Instant) {}

    /// Takes a [`Router::resign`] back: competes by its priority again.
    pub fn resume(&mut self, _now: Instant) {}

    /// As [`Router::resign`], but ends in Initialize for good; see [`Router::is_stopped`].
    pub fn stop(&mut self, _now: Instant) {}

    /// Whether a [`Router::stop`] has come to its end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(
            self.state,
            State::Initialize {
                waits: Waits::Nothing
            }
        )
    }

    /// New settings for the same VRID on the same interface; the state stays.
    pub fn reconfigure(&mut self, _now: Instant, settings: Settings) {
        self.settings = settings;
    }

    /// Whether [`Router::poll_transmit`] has something.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        false
    }

    /// The next packet to send, adverts first.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When [`Router::handle_timeout`] must be called at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// Whether the virtual addresses belong on the interface: Active, also while leaving.
    #[must_use]
    pub fn wants_addresses(&self) -> bool {
        matches!(self.state, State::Active { .. })
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

    /// The priority it competes with: the configured one, or 254 for an owner that yielded to another owner.
    #[must_use]
    pub const fn effective_priority(&self) -> u8 {
        self.settings.priority
    }

    /// The Active router that a Backup router hears.
    #[must_use]
    pub fn active(&self) -> Option<Peer> {
        None
    }

    /// Counters since the start.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Why it is not Active, or will soon not be; none while it is.
    #[must_use]
    pub fn why_not_active(&self, _now: Instant) -> Option<Why> {
        None
    }
}
