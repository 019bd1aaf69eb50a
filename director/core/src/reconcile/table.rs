//! The IPVS part: the services one by one, so that a change of one costs the comparison of one.

use core::ops::Bound;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::object;
use super::{Finding, Reconciler};
use crate::ipvs::{Pool, ServiceId, SyncDaemon, SyncRole, Table, Tallies, Timeouts};
use crate::kernel::{Op, Part};
use crate::time::Instant;
use crate::{diff, limits};

/// A reading of the IPVS table that is being compared, service by service.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    /// What is left of it.
    table: Table,
    counters: Tallies,
    /// Operations that what was known of the services so far needed, and those that what is so needs.
    before: usize,
    after: usize,
    /// The last service that was compared.
    done: Option<ServiceId>,
}

impl Reconciler {
    /// Sets what one service should be, or that it should not be.
    pub fn set_pool(&mut self, id: ServiceId, pool: Option<Arc<Pool>>) {
        if self.desired.table.0.get(&id) == pool.as_ref() {
            return;
        }
        match pool {
            Some(pool) => drop(self.desired.table.0.insert(id, pool)),
            None => drop(self.desired.table.0.remove(&id)),
        }
        self.mark(id);
    }

    /// Wants no service at all.
    pub fn clear_pools(&mut self) {
        while let Some((id, _)) = self.desired.table.0.pop_first() {
            self.mark(id);
        }
    }

    /// Compares as many services as make a slice of operations, unless answers are owed.
    pub(super) fn refresh_table(&mut self, now: Instant) {
        let part = Part::Ipvs;
        let side = &self.sides[part as usize];
        if side.waits() || !side.known {
            return;
        }
        while let Some(object) = self.sides[part as usize].pauses.take_ended(now) {
            self.mark_object(object);
        }
        while self.sides[part as usize].queue.len() < self.slice_left && self.compares_left > 0 {
            self.compares_left -= 1;
            if let Some(id) = self.work.next() {
                let mut ops = Vec::new();
                let (wanted, had) = (self.desired.table.0.get(&id), self.actual.table.0.get(&id));
                let dests = wanted.map_or(0, |pool| pool.dests.len());
                self.compares_left = self.compares_left.saturating_sub(dests);
                diff::service(id, wanted, had, &mut ops);
                if ops.is_empty() {
                    self.actual.table.share(&id, &self.desired.table);
                }
                let side = &mut self.sides[part as usize];
                let own = side.pauses.of_service(id).collect();
                let (queue, waits) = side.pauses.admit(now, ops, own);
                side.queue.extend(queue);
                if waits {
                    self.work.delay(id);
                }
            } else if core::mem::take(&mut self.work.rest) {
                let ops = self.rest();
                let side = &mut self.sides[part as usize];
                let own = side.pauses.of_rest().collect();
                let (queue, _) = side.pauses.admit(now, ops, own);
                side.queue.extend(queue);
            } else {
                return;
            }
        }
    }

    /// An operation on a service was acknowledged. After the last one the kernel agrees with what is desired; to look
    /// after each of them would cost as much as the pool is large.
    pub(super) fn share_after_last(&mut self, id: ServiceId) {
        let queue = &self.sides[Part::Ipvs as usize].queue;
        let next = self.in_flight.front().map(|(_, op)| op);
        let next = next.or_else(|| queue.front()).map(object);
        if next.and_then(|next| next.service()) != Some(id) {
            self.actual.table.share(&id, &self.desired.table);
        }
    }

    /// What leads to the right timeouts and synchronisation daemons.
    pub(super) fn rest(&self) -> Vec<Op> {
        let mut ops = Vec::new();
        diff::rest(&self.desired, &self.actual, &mut ops);
        ops
    }

    /// Takes the first reading of the IPVS table, with which nothing can be compared but what is desired.
    pub(super) fn take_first(
        &mut self,
        now: Instant,
        (table, counters): (Table, Tallies),
        sync: BTreeMap<SyncRole, SyncDaemon>,
        timeouts: Timeouts,
    ) -> Option<Finding> {
        let wanted = &self.desired.table.0;
        let stale = table.0.keys().filter(|id| !wanted.contains_key(id));
        self.work.mark_all(wanted.keys(), stale);
        (self.actual.table, self.actual.counters) = (table, counters);
        self.actual.sync = sync;
        self.actual.timeouts = timeouts;
        self.end_reading(now, Part::Ipvs, 0)
    }

    /// Takes a reading of the IPVS table, to be compared with what was known.
    pub(super) fn begin_comparing(
        &mut self,
        (table, counters): (Table, Tallies),
        sync: BTreeMap<SyncRole, SyncDaemon>,
        timeouts: Timeouts,
    ) {
        let before = self.rest().len();
        let sync = core::mem::replace(&mut self.actual.sync, sync) != self.actual.sync;
        let old = core::mem::replace(&mut self.actual.timeouts, timeouts);
        let side = &mut self.sides[Part::Ipvs as usize];
        side.reading = true;
        self.work.rest |= sync || old != timeouts;
        self.compares_left = limits::COMPARES_PER_SLICE;
        self.incoming = Some(Incoming {
            table,
            counters,
            before,
            after: self.rest().len(),
            done: None,
        });
    }

    /// Goes on comparing a reading of the IPVS table, for a slice.
    pub fn compare(&mut self, now: Instant) -> Option<Finding> {
        let mut incoming = self.incoming.take()?;
        while self.compares_left > 0 {
            let next = incoming.table.0.pop_first();
            let id = next.as_ref().map(|(id, _)| *id);
            // What was known between the one before and this one is gone.
            let between = (
                incoming.done.map_or(Bound::Unbounded, Bound::Excluded),
                id.map_or(Bound::Unbounded, Bound::Excluded),
            );
            let gone = self.actual.table.0.range(between).next();
            if let Some(gone) = gone.map(|(gone, _)| *gone) {
                self.take_pool(&mut incoming, gone, None);
                if let Some((id, pool)) = next {
                    incoming.table.0.insert(id, pool);
                }
                continue;
            }
            let Some((id, pool)) = next else {
                let repairs = incoming.after.saturating_sub(incoming.before);
                return self.end_reading(now, Part::Ipvs, repairs);
            };
            self.take_pool(&mut incoming, id, Some(pool));
            incoming.done = Some(id);
        }
        self.incoming = Some(incoming);
        None
    }

    /// Takes what was read of one service, and has it compared with what is desired if that is news.
    fn take_pool(&mut self, incoming: &mut Incoming, id: ServiceId, has: Option<Arc<Pool>>) {
        let dests = has.as_ref().map_or(0, |pool| pool.dests.len());
        self.compares_left = self.compares_left.saturating_sub(1 + dests);
        self.actual.counters.take(id, &mut incoming.counters);
        let table = &mut self.actual.table.0;
        if has.is_some() && table.get(&id) == has.as_ref() {
            return;
        }
        let had = match has {
            Some(has) => table.insert(id, has),
            None => table.remove(&id),
        };
        let wanted = self.desired.table.0.get(&id);
        let needs = |had: Option<&Arc<Pool>>| {
            let mut ops = Vec::new();
            diff::service(id, wanted, had, &mut ops);
            ops.len()
        };
        incoming.before += needs(had.as_ref());
        incoming.after += needs(self.actual.table.0.get(&id));
        self.mark(id);
    }

    /// Has a service compared anew. What was to be done about it and has not been handed out is forgotten.
    pub(super) fn mark(&mut self, id: ServiceId) {
        let is_wanted = self.desired.table.0.contains_key(&id);
        self.work.mark(id, is_wanted);
        let queue = &mut self.sides[Part::Ipvs as usize].queue;
        queue.retain(|op| object(op).service() != Some(id));
    }
}
