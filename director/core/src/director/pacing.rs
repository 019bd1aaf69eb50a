//! Announcements that leave one after the other, whichever router and interface they are of (`garp_group`).
//!
//! A router has its own schedule ([`crate::vrrp`]) and hands out an announcement when that is due; here it waits until
//! the group's pause is over. Each address waits once, so that there are never more than addresses.

use core::net::IpAddr;
use std::collections::{BTreeSet, VecDeque};

use super::Output;
use crate::config::{Config, GarpGroup};
use crate::kernel::Actual;
use crate::net::{Family, Ifindex, Mac};
use crate::plan;
use crate::time::{Duration, Instant};

/// The shell does not wake more often than this; a shorter pause is kept on the average.
const TICK: Duration = Duration::from_millis(1);

/// One announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) ifindex: Ifindex,
    pub(super) mac: Mac,
    pub(super) address: IpAddr,
}

impl Announcement {
    pub(super) const fn output(self) -> Output {
        let Self {
            ifindex,
            mac,
            address,
        } = self;
        Output::Announce {
            ifindex,
            mac,
            address,
        }
    }
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Pacing(Vec<Group>);

#[derive(Debug)]
struct Group {
    config: GarpGroup,
    /// Its interfaces, and the devices on them.
    links: BTreeSet<Ifindex>,
    waiting: VecDeque<Announcement>,
    /// None before.
    free_at: Instant,
}

impl Pacing {
    /// Makes these the groups. What waited is forgotten: a reload has every address announced that it brings.
    pub(super) fn configure(&mut self, config: &Config) {
        let same = |had: &[Group]| {
            had.iter()
                .map(|group| &group.config)
                .eq(&config.garp_groups)
        };
        if same(&self.0) {
            return;
        }
        let group = |config: &GarpGroup| Group {
            config: config.clone(),
            links: BTreeSet::new(),
            waiting: VecDeque::new(),
            free_at: Instant::ZERO,
        };
        self.0 = config.garp_groups.iter().map(group).collect();
    }

    /// Which links the interfaces are now.
    pub(super) fn follow(&mut self, config: &Config, actual: &Actual) {
        for group in &mut self.0 {
            let names = group.config.interfaces.iter();
            let links = names.filter_map(|name| plan::link(config, &actual.links, name));
            group.links = links.map(|link| link.ifindex).collect();
            let on_them = |base| group.links.contains(&base);
            let devices = actual
                .links
                .values()
                .filter(|link| link.macvlan.is_some_and(|macvlan| on_them(macvlan.base)));
            let devices: Vec<Ifindex> = devices.map(|link| link.ifindex).collect();
            group.links.extend(devices);
        }
    }

    /// Takes an announcement that is due; it comes back at once where nothing paces it.
    pub(super) fn admit(&mut self, announcement: Announcement) -> Option<Announcement> {
        let mut groups = self.0.iter_mut();
        let paces = |group: &&mut Group| {
            group.links.contains(&announcement.ifindex) && !group.pause(&announcement).is_zero()
        };
        let Some(group) = groups.find(paces) else {
            return Some(announcement);
        };
        if !group.waiting.contains(&announcement) {
            group.waiting.push_back(announcement);
        }
        None
    }

    /// The next one whose time has come, of those that `is_held` says of: a router may have let go meanwhile.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        is_held: impl Fn(&Announcement) -> bool,
    ) -> Option<Announcement> {
        for group in self.0.iter_mut().filter(|group| group.free_at <= now) {
            while let Some(announcement) = group.waiting.pop_front() {
                if is_held(&announcement) {
                    let last = group.free_at.max(now - TICK);
                    group.free_at = last + group.pause(&announcement);
                    return Some(announcement);
                }
            }
        }
        None
    }

    /// When [`Pacing::poll`] has something.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let owing = self.0.iter().filter(|group| !group.waiting.is_empty());
        owing.map(|group| group.free_at).min()
    }
}

impl Group {
    fn pause(&self, announcement: &Announcement) -> Duration {
        match Family::of(announcement.address) {
            Family::V4 => self.config.interval,
            Family::V6 => self.config.interval_v6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::ZERO + Duration::from_micros(micros)
    }

    fn pacing(interval: Duration) -> Pacing {
        Pacing(vec![Group {
            config: GarpGroup {
                interfaces: Vec::new(),
                interval,
                interval_v6: Duration::ZERO,
            },
            links: BTreeSet::from([Ifindex(2), Ifindex(3)]),
            waiting: VecDeque::new(),
            free_at: Instant::ZERO,
        }])
    }

    fn of(ifindex: u32, last: u8) -> Announcement {
        Announcement {
            ifindex: Ifindex(ifindex),
            mac: Mac::default(),
            address: [10, 0, 0, last].into(),
        }
    }

    #[test]
    fn announcements_of_a_group_are_spaced_whatever_their_interface() {
        let mut pacing = pacing(Duration::from_millis(10));
        let other = of(4, 9);
        assert_eq!(pacing.admit(other), Some(other), "of another interface");
        let v6 = Announcement {
            address: "2001:db8::1".parse().unwrap(),
            ..of(2, 0)
        };
        assert_eq!(pacing.admit(v6), Some(v6), "without a pause");
        for one in [of(2, 1), of(3, 2), of(2, 1), of(2, 3)] {
            assert_eq!(pacing.admit(one), None);
        }
        let start = at(5_000_000);
        let mut now = start;
        let mut left = Vec::new();
        while let Some(next) = pacing.next_timeout() {
            now = now.max(next);
            while let Some(one) = pacing.poll(now, |one| *one != of(3, 2)) {
                left.push((now.since(start).as_millis(), one));
            }
        }
        // The second one's router has let go, and the third one waited already. The first pause is a tick shorter.
        assert_eq!(left, [(0, of(2, 1)), (9, of(2, 3))]);
    }

    #[test]
    fn a_pause_below_the_tick_is_kept_on_the_average() {
        let mut pacing = pacing(Duration::from_micros(250));
        for last in 1..=40 {
            assert_eq!(pacing.admit(of(2, last)), None);
        }
        let mut turns = Vec::new();
        for millis in 0..20_u64 {
            let now = at(1_000_000 + millis * 1000);
            let mut count = 0;
            while pacing.poll(now, |_| true).is_some() {
                count += 1;
            }
            turns.push(count);
        }
        assert_eq!(turns.iter().sum::<i32>(), 40);
        assert!(turns.iter().all(|count| *count <= 5), "{turns:?}");
    }
}
