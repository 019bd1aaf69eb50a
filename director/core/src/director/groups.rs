//! The sync groups of a node: which routers are members, and carrying each group's verdict to them.

use crate::config::SyncGroup;
use crate::event::Event;
use crate::net::Name;
use crate::time::Instant;
use crate::vrrp::{Fault, Member, StateName, Verdict, group_state, verdict};

use super::routers::Slot;

/// All sync groups.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<Group>);

/// One sync group with its place among the routers.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Name,
    /// Indices of its members among the routers of the configuration.
    members: Vec<usize>,
    pub(super) state: StateName,
    pub(super) since: Instant,
}

impl Groups {
    /// Makes these the groups of the node; `slots` are the routers in the order of the configuration.
    pub(super) fn configure(&mut self, now: Instant, groups: &[SyncGroup], slots: &[Slot]) {
        let before = core::mem::take(&mut self.0);
        let index = |name: &Name| slots.iter().position(|slot| slot.config.name == *name);
        self.0 = groups
            .iter()
            .map(|group| {
                let had = before.iter().find(|had| had.name == group.name);
                Group {
                    name: group.name.clone(),
                    members: group.members.iter().filter_map(index).collect(),
                    state: had.map_or(StateName::Initialize, |had| had.state),
                    since: had.map_or(now, |had| had.since),
                }
            })
            .collect();
    }

    /// The groups, in the order of the configuration.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.0.iter()
    }

    /// The other members of a router's group.
    pub(super) fn mates(&self, index: usize) -> impl Iterator<Item = usize> {
        let group = self.0.iter().find(|group| group.members.contains(&index));
        let members = group.map_or(&[][..], |group| &group.members);
        members
            .iter()
            .copied()
            .filter(move |member| *member != index)
    }

    /// A member that is in Fault puts the others into it. `words` says of each router whether its own interface
    /// serves, as far as anything is known.
    pub(super) fn spread<S>(&self, slots: &[Slot], words: &mut [Option<Result<S, Fault>>]) {
        for group in &self.0 {
            let fails = |index: &&usize| matches!(words.get(**index), Some(Some(Err(_))));
            let Some(first) = group.members.iter().find(fails) else {
                continue;
            };
            let Some(name) = slots.get(*first).map(|slot| slot.config.name.clone()) else {
                continue;
            };
            for index in &group.members {
                if let Some(word @ Some(Ok(_))) = words.get_mut(*index) {
                    *word = Some(Err(Fault::Mate(name.clone())));
                }
            }
        }
    }

    /// Has each group decide, and its members do what it decided.
    pub(super) fn settle(&self, now: Instant, slots: &mut [Slot]) {
        for group in &self.0 {
            let verdict = verdict(group.members(slots));
            if verdict == Verdict::Wait {
                continue;
            }
            for index in &group.members {
                let Some(slot) = slots.get_mut(*index) else {
                    continue;
                };
                match verdict {
                    Verdict::TakeOver => slot.machine.take_over(now),
                    Verdict::LetGo | Verdict::Wait => slot.machine.give_way(now),
                }
            }
        }
    }

    /// The next change of a group's state.
    pub(super) fn poll_event(&mut self, now: Instant, slots: &[Slot]) -> Option<Event> {
        self.0.iter_mut().find_map(|group| {
            let new = group_state(group.members(slots));
            let old = core::mem::replace(&mut group.state, new);
            if old == new {
                return None;
            }
            let lasted = now.since(core::mem::replace(&mut group.since, now));
            Some(Event::Group {
                group: group.name.clone(),
                old,
                new,
                lasted,
            })
        })
    }
}

impl Group {
    /// Its members, as indices among the routers of the configuration.
    pub(super) fn indices(&self) -> &[usize] {
        &self.members
    }

    fn members(&self, slots: &[Slot]) -> impl Iterator<Item = Member> + Clone {
        let slots = self.members.iter().filter_map(|index| slots.get(*index));
        slots.map(|slot| slot.machine.member())
    }
}
