//! The virtual routers of a node: which interface each lives on, and which advert is whose.

mod directory;
mod roster;
mod slot;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::BTreeSet;

use self::directory::Directory;
use self::roster::Roster;
pub(super) use self::slot::Slot;
use self::slot::carriers;
use super::Output;
use super::groups::{Group, Groups};
use super::links::{Delays, Links, serves};
use super::pacing::{Announcement, Pacing};
use super::settings::settings;
use super::source::{own_addresses, word};
use super::surroundings::Surroundings;
use crate::config::{self, Config};
use crate::event::Event;
use crate::kernel::{Actual, AddressId, Link};
use crate::net::{Family, Ifindex, Name};
use crate::plan::{self, Finder};
use crate::time::{Instant, earliest};
use crate::vrrp::{self, Received, State, Waits};
use crate::wire;

/// All virtual routers.
#[derive(Debug, Default)]
pub(super) struct Routers {
    /// In the order of the configuration; those that a reload gave up stand behind until they have let go.
    slots: Roster,
    directory: Directory,
    /// Some that a reload gave up may not have let go yet.
    retiring: bool,
    groups: Groups,
    links: Links,
    pacing: Pacing,
    /// Groups that the shell was told to join.
    joined: BTreeSet<(Ifindex, IpAddr)>,
    /// A router may live where nobody listens yet.
    moved: bool,
    /// What the wall clock showed, and when.
    wall: Option<(Instant, u64)>,
}

impl Routers {
    /// Makes these the routers of the node. One of the same name on the same interface with the same VRID and version
    /// keeps its state; one that is gone hands over first.
    pub(super) fn configure(&mut self, now: Instant, config: &Config) {
        let mut before = self.slots.take();
        self.moved = true;
        self.pacing.configure(config);
        for (index, router) in config.routers.iter().enumerate() {
            let settings = settings(config, router, index);
            // One that is giving up because of an earlier reload, too.
            let same = |slot: &Slot| slot.config.goes_on_as(router) && !slot.machine.is_stopped();
            match before
                .iter()
                .position(same)
                .map(|index| before.remove(index))
            {
                Some(mut slot) => {
                    slot.machine.reconfigure(now, settings);
                    slot.config = router.clone();
                    slot.retired = false;
                    self.slots.push(slot);
                }
                None => self.slots.push(Slot {
                    config: router.clone(),
                    machine: vrrp::Router::new(now, settings),
                    place: None,
                    linked: false,
                    carriers: Vec::new(),
                    retired: false,
                    takeovers: 0,
                }),
            }
        }
        if let Some((at, micros)) = self.wall {
            self.set_wall(at, micros);
        }
        self.groups.configure(now, &config.groups, &self.slots);
        self.retiring |= !before.is_empty();
        for mut slot in before {
            slot.retired = true;
            slot.machine.stop(now);
            self.slots.push(slot);
        }
        self.directory = Directory::of(&self.slots);
    }

    /// What the wall clock shows now.
    pub(super) fn set_wall(&mut self, now: Instant, micros: u64) {
        self.wall = Some((now, micros));
        for slot in &mut self.slots {
            slot.machine.set_wall(now, micros);
        }
    }

    /// Tells each router what its interface is now, and which of its addresses the kernel holds.
    pub(super) fn follow(&mut self, now: Instant, around: &Surroundings<'_>) {
        let (config, actual) = (around.config, around.reconciler.actual());
        self.moved = true;
        self.joined
            .retain(|(ifindex, _)| actual.links.contains_key(ifindex));
        for slot in &mut self.slots {
            let link = plan::link(config, &actual.links, &slot.config.interface);
            slot.place = link.map(|link| link.ifindex);
        }
        self.pacing.follow(config, actual);
        self.follow_links(now, config, actual);
        let mut words = Vec::with_capacity(self.slots.len());
        let mut finder = Finder::new(config, &actual.links);
        let own = own_addresses(around);
        for slot in &mut self.slots {
            slot.carriers = carriers(&mut finder, &slot.config);
            let is_start = matches!(slot.machine.state(), State::Initialize(Waits::Link));
            let tally = around.tally(&self.links, &slot.config);
            slot.machine.set_weight(now, tally.weight);
            let is_linked = finder.link(&slot.config.interface).is_some_and(serves);
            let was_linked = core::mem::replace(&mut slot.linked, is_linked);
            if is_linked && !was_linked {
                slot.machine.announce_again(now);
            }
            words.push(word(
                around,
                &self.links,
                &mut finder,
                (&slot.config, is_start),
                (&own, tally),
            ));
        }
        self.groups.spread(&self.slots, &mut words);
        for (slot, word) in self.slots.iter_mut().zip(words) {
            if let Some(word) = word {
                slot.machine.set_link(now, word);
            }
            slot.follow_addresses(now, actual);
        }
        self.directory = Directory::of(&self.slots);
    }

    /// Waits the changes of links out where that was asked for, but never so long that a peer would miss the adverts.
    fn follow_links(&mut self, now: Instant, config: &Config, actual: &Actual) {
        let slots = &self.slots;
        let patience = |link: &Link| {
            let of_link = slots.iter().filter(|slot| slot.place == Some(link.ifindex));
            of_link.map(|slot| slot.machine.patience()).min()
        };
        let named = |name| plan::link(config, &actual.links, name).map(|link| link.ifindex);
        let delays = |link: &Link| {
            let mut delays = config.link_delays.iter();
            let delay = delays.find(|delay| named(&delay.interface) == Some(link.ifindex))?;
            let down = patience(link).map_or(delay.down, |longest| delay.down.min(longest));
            Some(Delays { down, up: delay.up })
        };
        self.links.follow(now, &actual.links, delays);
    }

    /// Whether a link's change has been waited out: then [`Routers::follow`] is to be called.
    pub(super) fn is_link_due(&self, now: Instant) -> bool {
        self.links.next_timeout().is_some_and(|at| at <= now)
    }

    /// One address came or went. A takeover of many asks this for each of them: of a virtual address only its own
    /// router is told.
    pub(super) fn follow_address(
        &mut self,
        now: Instant,
        around: &Surroundings<'_>,
        id: &AddressId,
    ) {
        let mut is_virtual = false;
        for index in self.directory.with(*id) {
            is_virtual = true;
            if let Some(slot) = self.slots.wake(index) {
                slot.follow_addresses(now, around.reconciler.actual());
            }
        }
        if !is_virtual {
            self.follow(now, around);
        }
    }

    /// A restart finds the addresses that the director held when it died: such a router goes on being Active, and
    /// says so at once. A peer that has taken over meanwhile settles it with its next advert.
    pub(super) fn adopt(&mut self, now: Instant, actual: &Actual) {
        let held: Vec<bool> = self.slots.iter().map(|slot| slot.holds(actual)).collect();
        let held = |index: usize| held.get(index) == Some(&true);
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if held(index) && self.groups.mates(index).all(held) {
                slot.machine.adopt(now);
            }
        }
    }

    /// Gives a packet to the routers of its interface and VRID; that of another pair on the network is nobody's.
    pub(super) fn handle_packet(
        &mut self,
        now: Instant,
        ifindex: Ifindex,
        received: &Received<'_>,
    ) {
        let Some(vrid) = wire::vrrp::vrid(received.payload) else {
            return;
        };
        let home = (ifindex, Family::of(received.source), vrid);
        let mut rivalled = None;
        for index in self.directory.at(home) {
            if let Some(slot) = self.slots.wake(index) {
                slot.machine.handle_advert(now, received);
                if slot.machine.rival_at() == Some(now) {
                    rivalled = Some(index);
                }
            }
        }
        for mate in rivalled
            .into_iter()
            .flat_map(|index| self.groups.mates(index))
        {
            if let Some(slot) = self.slots.wake(mate) {
                slot.machine.announce_over(now);
            }
        }
    }

    /// Lets the sync groups decide; to be called after everything else that an input does.
    pub(super) fn settle_groups(&mut self, now: Instant) {
        if self.groups.iter().next().is_some() {
            self.groups.settle(now, &mut self.slots);
        }
    }

    /// Judges the timers.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.slots.judge_timers(now);
    }

    /// Hands over one router or sync group, or all. False when there is none of that name.
    pub(super) fn handover(&mut self, now: Instant, name: Option<&Name>) -> bool {
        let chosen: Vec<usize> = match name {
            None => (0..self.slots.len()).collect(),
            Some(name) => self.named(name),
        };
        for index in &chosen {
            if let Some(slot) = self.slots.get_mut(*index) {
                slot.machine.resign(now);
            }
        }
        name.is_none() || !chosen.is_empty()
    }

    /// The routers that a name means: those of a sync group, or one router with those that it can't be without.
    fn named(&self, name: &Name) -> Vec<usize> {
        if let Some(group) = self.groups.iter().find(|group| group.name == *name) {
            return group.indices().to_vec();
        }
        let index = self.slots.iter().position(|slot| slot.config.name == *name);
        let mates = index.into_iter().flat_map(|index| self.groups.mates(index));
        index.into_iter().chain(mates).collect()
    }

    /// Begins the orderly stop of all.
    pub(super) fn stop(&mut self, now: Instant) {
        for slot in &mut self.slots {
            slot.machine.stop(now);
        }
    }

    /// Whether no router holds its addresses any more.
    pub(super) fn all_stopped(&self) -> bool {
        self.slots.iter().all(|slot| slot.machine.is_stopped())
    }

    /// Forgets routers that a reload gave up and that have let go.
    pub(super) fn forget_retired(&mut self) -> bool {
        if !self.retiring {
            return false;
        }
        let before = self.slots.len();
        self.slots.retain(|slot| {
            !(slot.retired && slot.machine.is_stopped() && !slot.machine.wants_transmit())
        });
        self.retiring = self.slots.iter().any(|slot| slot.retired);
        let is_changed = self.slots.len() != before;
        if is_changed {
            self.directory = Directory::of(&self.slots);
        }
        is_changed
    }

    /// Has every group joined anew.
    pub(super) fn forget_joined(&mut self) {
        self.joined.clear();
        self.moved = true;
    }

    /// The next group to listen to. Adverts are heard in every state, so this comes before anything is sent.
    pub(super) fn poll_join(&mut self) -> Option<Output> {
        if !self.moved {
            return None;
        }
        for slot in &self.slots {
            let Some(ifindex) = slot.place else { continue };
            // Unicast needs the socket alone.
            let group = match (&slot.config.unicast, slot.config.family()) {
                (None, _) => slot.config.group,
                (Some(_), Family::V4) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                (Some(_), Family::V6) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            if self.joined.insert((ifindex, group)) {
                return Some(Output::Join { ifindex, group });
            }
        }
        self.moved = false;
        None
    }

    /// The next packet: adverts of all routers before announcements of any.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<Output> {
        while let Some(slot) = self.slots.first_advertiser() {
            let output = slot.poll_transmit();
            if output.is_some() {
                return output;
            }
        }
        while let Some(output) = self.slots.first_sent(Slot::poll_transmit) {
            let Output::Announce {
                ifindex,
                mac,
                address,
            } = output
            else {
                return Some(output);
            };
            let due = Announcement {
                ifindex,
                mac,
                address,
            };
            if let Some(announcement) = self.pacing.admit(due) {
                return Some(announcement.output());
            }
        }
        let slots = &self.slots;
        let is_held = |one: &Announcement| slots.iter().any(|slot| slot.announces(one));
        self.pacing.poll(now, is_held).map(Announcement::output)
    }

    pub(super) fn poll_event(&mut self, now: Instant, actual: &Actual) -> Option<Event> {
        let told = self.slots.first_told(|slot| slot.poll_event(now, actual));
        if told.is_some() {
            return told;
        }
        self.groups.poll_event(now, &self.slots)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let waits = earliest(self.links.next_timeout(), self.pacing.next_timeout());
        earliest(self.slots.next_timeout(), waits)
    }

    /// All routers with the word whether they hold their addresses.
    pub(super) fn holders(&self) -> Vec<(&config::Router, bool)> {
        self.slots
            .iter()
            .map(|slot| (&slot.config, slot.machine.wants_addresses()))
            .collect()
    }

    /// What is believed of the links.
    pub(super) const fn links(&self) -> &Links {
        &self.links
    }

    /// The sync groups, each with its members.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&Group, Vec<&Slot>)> {
        self.groups.iter().map(|group| {
            let members = group.indices().iter();
            let members = members.filter_map(|index| self.slots.get(*index));
            (group, members.collect())
        })
    }

    /// The routers of the configuration.
    pub(super) fn configured(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| !slot.retired)
    }
}
