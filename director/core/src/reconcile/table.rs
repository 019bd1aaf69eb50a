//! The IPVS part: the services one by one, so that a change of one costs the comparison of one.

use core::ops::Bound;
use std::collections::BTreeMap;

use super::object::object;
use super::{Finding, Reconciler};
use crate::ipvs::{ActualDest, Dest, Pool, ServiceId, SyncDaemon, SyncRole, Table, Timeouts};
use crate::kernel::{Op, Part};
use crate::time::Instant;
use crate::{diff, limits};

/// A reading of the IPVS table that is being compared, service by service.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    /// What is left of it.
    table: Table<ActualDest>,
    /// Operations that what was known of the services so far needed, and those that what is so needs.
    before: usize,
    after: usize,
    /// The last service that was compared.
    done: Option<ServiceId>,
}

impl Reconciler {
    /// Sets what one service should be, or that it should not be.
    pub fn set_pool(&mut self, id: ServiceId, pool: Option<Pool<Dest>>) {
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
        table: Table<ActualDest>,
        sync: BTreeMap<SyncRole, SyncDaemon>,
        timeouts: Timeouts,
    ) -> Option<Finding> {
        let wanted = &self.desired.table.0;
        let stale = table.0.keys().filter(|id| !wanted.contains_key(id));
        self.work.mark_all(wanted.keys(), stale);
        self.actual.table = table;
        self.actual.sync = sync;
        self.actual.timeouts = timeouts;
        self.end_reading(now, Part::Ipvs, 0)
    }

    /// Takes a reading of the IPVS table, to be compared with what was known.
    pub(super) fn begin_comparing(
        &mut self,
        table: Table<ActualDest>,
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
    fn take_pool(&mut self, incoming: &mut Incoming, id: ServiceId, has: Option<Pool<ActualDest>>) {
        let dests = has.as_ref().map_or(0, |pool| pool.dests.len());
        self.compares_left = self.compares_left.saturating_sub(1 + dests);
        let table = &mut self.actual.table.0;
        let had = match has {
            Some(pool) => table.insert(id, pool),
            None => table.remove(&id),
        };
        let has = self.actual.table.0.get(&id);
        let is_news = match (&had, has) {
            (Some(had), Some(has)) => !is_same(had, has),
            _ => true,
        };
        if !is_news {
            return;
        }
        let wanted = self.desired.table.0.get(&id);
        let needs = |had: Option<&Pool<ActualDest>>| {
            let mut ops = Vec::new();
            diff::service(id, wanted, had, &mut ops);
            ops.len()
        };
        incoming.before += needs(had.as_ref());
        incoming.after += needs(has);
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

/// Whether two readings of a service say the same, but for its counters.
fn is_same(a: &Pool<ActualDest>, b: &Pool<ActualDest>) -> bool {
    let dests = |pool: &Pool<ActualDest>| pool.dests.len();
    let mut pairs = a.dests.iter().zip(&b.dests);
    a.service == b.service
        && dests(a) == dests(b)
        && pairs.all(|((a, from), (b, to))| a == b && from.dest == to.dest)
}
