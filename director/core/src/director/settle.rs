//! After each input: what the machines say goes to where it belongs, and what is desired follows.

use super::Director;
use crate::event::Event;
use crate::kernel::Part;
use crate::limits;
use crate::plan::{self, Situation};

impl Director {
    /// Carries what the machines say to where it belongs, and plans anew where that changed something.
    pub(super) fn settle(&mut self) {
        let now = self.now;
        while let Some(event) = self.services.checks.poll_event() {
            let turn = self.services.follow(now, &event.key);
            if let Some(key) = self.services.key(&event.key) {
                self.note(Event::Check(event.told_of(key)));
            }
            if let Some(event) = turn {
                self.note(event);
            }
            self.dirty = true;
        }
        let mut retrack = core::mem::take(&mut self.services.quorum_turned);
        while let Some(event) = self.watches.poll_event() {
            self.note(Event::Watch(event));
            retrack = true;
        }
        if self.watches.take_news() || retrack {
            self.follow_network();
        }
        // A slow start that begins now has its first step now.
        if self.services.wake_at.is_some_and(|at| at <= now) {
            self.advance_drains(false);
        }
        self.routers.settle_groups(now);
        while let Some(event) = self.routers.poll_event(now, self.reconciler.actual()) {
            self.dirty = true;
            self.follow_takeover(&event);
            self.note(event);
        }
        self.dirty |= self.routers.forget_retired();
        self.checks_held = self.checks_held && !self.serves();
        let released = self.stop.is_some() && self.routers.all_stopped();
        if core::mem::take(&mut self.dirty) {
            let routers = self.routers.holders();
            let links = &self.reconciler.actual().links;
            let quorums = self.services.quorum_addresses();
            let situation = Situation {
                links,
                routers: &routers,
                quorums: &quorums,
                filter: &self.filter,
                stopping: released,
            };
            let desired = plan::plan(&self.config, &situation);
            self.reconciler.set_desired(desired);
        }
        self.settle_pools(released);
        self.services.end_adopting();
        self.note_in_force();
        self.end_stop(released);
    }

    /// Plans the pools that may have changed, as many as make a slice; at the end of an orderly stop, none.
    fn settle_pools(&mut self, released: bool) {
        if released {
            self.services.forget_turned();
            self.reconciler.clear_pools();
        }
        // One at least: the answer to what an input changed must not wait for a turn.
        loop {
            let Some((id, pool)) = self.services.poll_pool() else {
                return;
            };
            let dests = pool.as_ref().map_or(0, |pool| pool.dests.len());
            self.reconciler.set_pool(id, pool);
            self.plans_left = self.plans_left.saturating_sub(1 + dests);
            if self.plans_left == 0 {
                return;
            }
        }
    }

    /// Says once that the kernel holds what a configuration asks for.
    fn note_in_force(&mut self) {
        // What is asked last costs most.
        if let Some(before) = self.applied_before
            && !self.services.has_turned()
            && self.reconciler.is_settled()
        {
            self.applied_before = None;
            self.note(Event::InForce {
                operations: self.reconciler.counts().0 - before,
                took: self.now.since(self.configured_at),
            });
        }
    }

    /// Whether a failed check would tell of the server and not of this node: its interfaces have their links and
    /// addresses, and it is not busy with the table, or had long enough for all that.
    fn serves(&self) -> bool {
        if self.started_at + limits::CHECKS_HOLD_MAX <= self.now {
            return true;
        }
        let (actual, desired) = (self.reconciler.actual(), self.reconciler.desired());
        let links = |link: &crate::kernel::Link| link.up && link.carrier;
        let mut interfaces = self.config.node.interfaces.iter();
        self.reconciler.knows(Part::Network)
            && interfaces.all(|interface| {
                plan::link(&self.config, &actual.links, &interface.name).is_some_and(links)
            })
            && desired
                .addresses
                .iter()
                .all(|id| actual.addresses.contains_key(id))
            && !self.services.has_work()
            && !self.reconciler.is_filling()
    }
}
