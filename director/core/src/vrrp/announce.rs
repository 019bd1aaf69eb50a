//! When which address is announced by gratuitous ARP (IPv4) or a neighbour advertisement (IPv6).
//!
//! Announcements are tied to the possession of an address and to nothing else: an address that appears on the
//! interface of an Active router is announced, whatever path led there. The schedule is keepalived's: a burst of
//! rounds, a second burst after a delay, a refresh, and bursts after an advert of lower priority.
//!
//! Pacing. keepalived sends a burst back to back unless told otherwise, which for many addresses is a storm that
//! switches throttle. Here a router without a configured pause sends [`limits::ANNOUNCE_BATCH`] frames, pauses for
//! [`limits::ANNOUNCE_PAUSE`], and repeats an address only after [`limits::ANNOUNCE_ROUND_PAUSE`]: the first round
//! of an ordinary configuration still goes out at once. A configured pause holds between any two frames. Adverts
//! never wait for announcements.

use core::net::IpAddr;

use super::instance::Router;
use super::settings::GarpSettings;
use crate::limits;
use crate::time::{Duration, Instant, earliest};

/// The announcements of one virtual router.
#[derive(Clone, Debug)]
pub(super) struct Announcer {
    entries: Vec<Entry>,
    /// Whether any of them is of IPv4, and of IPv6.
    families: [bool; 2],
    /// Where the next look for an address begins, so that all have their turn.
    next: usize,
    /// Frames that may go out now.
    credit: usize,
    /// When that was granted.
    granted_at: Instant,
    /// How long each address of it is to wait for its next round.
    round_pause: Duration,
    /// No further frame before.
    free_at: Instant,
    second_at: Option<Instant>,
    lower_prio_at: Option<Instant>,
    refresh_at: Option<Instant>,
    extra_at: Option<Instant>,
}

/// One address.
#[derive(Clone, Copy, Debug)]
struct Entry {
    address: IpAddr,
    present: bool,
    /// No advert comes from where it is.
    extra: bool,
    /// How often it is still to be announced.
    rounds: u32,
    /// Not before.
    at: Instant,
}

impl Router {
    /// A rival of another member of its sync group was heard: what that announced elsewhere may be ours.
    pub fn announce_over(&mut self, now: Instant) {
        if self.wants_addresses() {
            self.announcer.handle_rival(now, &self.settings.garp);
        }
    }

    /// The link is there again that was gone while it stayed Active: what others announced meanwhile is announced over.
    pub fn announce_again(&mut self, now: Instant) {
        if self.may_announce() {
            self.announcer.restart(now, &self.settings.garp);
        }
    }
}

impl Announcer {
    /// Announces nothing until an address is present.
    pub(super) fn new(addresses: &[IpAddr], extra: &[IpAddr]) -> Self {
        let mut announcer = Self {
            entries: Vec::new(),
            families: [false; 2],
            next: 0,
            credit: 0,
            granted_at: Instant::ZERO,
            round_pause: Duration::ZERO,
            free_at: Instant::ZERO,
            second_at: None,
            lower_prio_at: None,
            refresh_at: None,
            extra_at: None,
        };
        announcer.set_addresses(addresses, extra);
        announcer
    }

    /// Other addresses; those that stay keep what is due.
    pub(super) fn set_addresses(&mut self, addresses: &[IpAddr], extra: &[IpAddr]) {
        let old = core::mem::take(&mut self.entries);
        self.families = [IpAddr::is_ipv4, IpAddr::is_ipv6].map(|is| addresses.iter().any(is));
        let known = |address| old.iter().find(|entry| entry.address == address).copied();
        let fresh = |address| Entry {
            address,
            present: false,
            extra: false,
            rounds: 0,
            at: Instant::ZERO,
        };
        let entry = |address: &IpAddr| Entry {
            extra: extra.contains(address),
            ..known(*address).unwrap_or_else(|| fresh(*address))
        };
        self.entries = addresses.iter().map(entry).collect();
    }

    /// The router became Active.
    pub(super) fn start(&mut self, now: Instant, garp: &GarpSettings) {
        self.clear();
        self.schedule_refresh(now, garp);
    }

    /// The next refresh is one interval from now.
    pub(super) fn schedule_refresh(&mut self, now: Instant, garp: &GarpSettings) {
        self.refresh_at = after(now, garp.refresh);
        self.schedule_extra(now, garp);
    }

    fn schedule_extra(&mut self, now: Instant, garp: &GarpSettings) {
        let is_any = self.entries.iter().any(|entry| entry.extra);
        self.extra_at = after(now, garp.extra).filter(|_| is_any);
    }

    /// The router is not Active any more: forgets everything but the addresses.
    pub(super) fn clear(&mut self) {
        for entry in &mut self.entries {
            entry.present = false;
            entry.rounds = 0;
        }
        self.credit = 0;
        self.second_at = None;
        self.lower_prio_at = None;
        self.refresh_at = None;
        self.extra_at = None;
    }

    /// The router gives up while it serves on: what it still had to announce would cover up its successor's word.
    pub(super) fn silence(&mut self) {
        for entry in &mut self.entries {
            entry.rounds = 0;
        }
        self.second_at = None;
        self.lower_prio_at = None;
        self.refresh_at = None;
        self.extra_at = None;
    }

    /// Which addresses are on the interface: those that appeared get their burst.
    pub(super) fn set_present(
        &mut self,
        now: Instant,
        garp: &GarpSettings,
        present: impl Fn(IpAddr) -> bool,
    ) {
        for entry in &mut self.entries {
            let was = core::mem::replace(&mut entry.present, present(entry.address));
            if !entry.present {
                entry.rounds = 0;
            } else if !was {
                entry.rounds = garp.repeat;
                entry.at = now;
                self.second_at = after(now, garp.delay);
            }
        }
        self.grant(now, garp);
    }

    /// Another router was Active and will stop; what it announced must be announced over.
    pub(super) fn handle_rival(&mut self, now: Instant, garp: &GarpSettings) {
        // While the second burst is to come, a rival's every advert does not start another first one.
        if self.lower_prio_at.is_none() {
            self.burst(garp.lower_prio_repeat);
            if garp.lower_prio_repeat > 0 {
                self.lower_prio_at = after(now, garp.lower_prio_delay);
            }
            self.grant(now, garp);
        }
    }

    /// Everything again, as if the router had just become Active.
    pub(super) fn restart(&mut self, now: Instant, garp: &GarpSettings) {
        self.burst(garp.repeat);
        self.second_at = after(now, garp.delay);
        self.grant(now, garp);
    }

    /// Starts what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant, garp: &GarpSettings) {
        if self.second_at.take_if(|at| *at <= now).is_some() {
            self.burst(garp.repeat);
        }
        if self.lower_prio_at.take_if(|at| *at <= now).is_some() {
            self.burst(garp.lower_prio_repeat);
        }
        if self.refresh_at.take_if(|at| *at <= now).is_some() {
            self.burst(garp.refresh_repeat);
            self.refresh_at = after(now, garp.refresh);
        }
        if self.extra_at.take_if(|at| *at <= now).is_some() {
            let extra = |entry: &&mut Entry| entry.extra && entry.present;
            for entry in self.entries.iter_mut().filter(extra) {
                entry.rounds = entry.rounds.max(1);
            }
            self.schedule_extra(now, garp);
        }
        self.grant(now, garp);
    }

    /// Whether [`Announcer::poll`] has something.
    pub(super) fn wants_transmit(&self) -> bool {
        self.credit > 0
    }

    /// The next address to announce now.
    pub(super) fn poll(&mut self) -> Option<IpAddr> {
        self.credit = self.credit.checked_sub(1)?;
        let count = self.entries.len();
        let turn = (self.next..count).chain(0..self.next.min(count));
        for index in turn {
            let Some(entry) = self.entries.get_mut(index) else {
                continue;
            };
            if entry.rounds > 0 && entry.at <= self.granted_at {
                entry.rounds -= 1;
                entry.at = self.granted_at + self.round_pause;
                self.next = index + 1;
                return Some(entry.address);
            }
        }
        self.credit = 0;
        None
    }

    /// When [`Announcer::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let owed = self.entries.iter().filter(|entry| entry.rounds > 0);
        let frame = owed.map(|entry| entry.at.max(self.free_at)).min();
        let timers = [
            self.second_at,
            self.lower_prio_at,
            self.refresh_at,
            self.extra_at,
        ];
        timers.into_iter().fold(frame, earliest)
    }

    /// At least `rounds` announcements of each address that is present.
    fn burst(&mut self, rounds: u32) {
        for entry in self.entries.iter_mut().filter(|entry| entry.present) {
            entry.rounds = entry.rounds.max(rounds);
        }
    }

    /// The pause between two frames, the longer one where there are addresses of both families.
    fn interval(&self, garp: &GarpSettings) -> Duration {
        let intervals = [garp.interval, garp.interval_v6].into_iter();
        let mut used = intervals.zip(self.families).filter(|(_, used)| *used);
        let first = used.next().map_or(Duration::ZERO, |(interval, _)| interval);
        used.fold(first, |longest, (interval, _)| longest.max(interval))
    }

    /// Lets as many frames go as the pacing allows at `now`.
    fn grant(&mut self, now: Instant, garp: &GarpSettings) {
        if self.credit > 0 || now < self.free_at {
            return;
        }
        let interval = self.interval(garp);
        let (batch, pause) = pacing(interval);
        let ready = self
            .entries
            .iter()
            .filter(|entry| entry.rounds > 0 && entry.at <= now);
        self.credit = ready.take(batch).count();
        self.granted_at = now;
        // A configured pause is all that is wished.
        self.round_pause = if interval.is_zero() {
            limits::ANNOUNCE_ROUND_PAUSE
        } else {
            Duration::ZERO
        };
        if self.credit > 0 {
            self.free_at = now + pause;
        }
    }
}

/// Frames of a batch and the pause after it.
fn pacing(interval: Duration) -> (usize, Duration) {
    /// The shell does not wake more often than this; a shorter pause is kept on the average.
    const TICK_MICROS: u128 = 1000;
    if interval.is_zero() {
        return (limits::ANNOUNCE_BATCH, limits::ANNOUNCE_PAUSE);
    }
    let batch =
        (TICK_MICROS / interval.as_micros().max(1)).clamp(1, limits::ANNOUNCE_BATCH as u128);
    let batch = u32::try_from(batch).unwrap_or(1);
    (batch as usize, interval * batch)
}

/// `delay` after `now`; never when it is zero.
fn after(now: Instant, delay: Duration) -> Option<Instant> {
    (!delay.is_zero()).then(|| now + delay)
}
