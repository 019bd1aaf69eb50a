//! The IPVS part: the services one by one, so that a change of one costs the comparison of one.

use super::object::{Object, object};
use super::{Backoff, Reconciler};
use crate::diff;
use crate::ipvs::{ActualDest, Dest, Pool, ServiceId, Table};
use crate::kernel::{Op, Part};
use crate::time::Instant;

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
        if self.has_expired(now, part) {
            let due = |(object, backoff): (&Object, &Backoff)| {
                (object.part() == part && backoff.until <= now).then_some(*object)
            };
            let due: Vec<Object> = self.backoff.iter().filter_map(due).collect();
            due.into_iter().for_each(|object| self.mark_object(object));
        }
        while self.sides[part as usize].queue.len() < self.slice_left && self.compares_left > 0 {
            self.compares_left -= 1;
            if let Some(id) = self.work.next() {
                let mut ops = Vec::new();
                let (wanted, had) = (&self.desired.table.0, &self.actual.table.0);
                diff::service(id, wanted.get(&id), had.get(&id), &mut ops);
                let (queue, waits) = self.admit(now, ops, |object| object.service() == Some(id));
                if waits {
                    self.work.delay(id);
                }
                self.sides[part as usize].queue.extend(queue);
            } else if core::mem::take(&mut self.work.rest) {
                let is_rest =
                    |object: &Object| matches!(object, Object::Sync(_) | Object::Timeouts);
                let (queue, _) = self.admit(now, self.rest(), is_rest);
                self.sides[part as usize].queue.extend(queue);
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

    /// Takes a reading of the IPVS table; how many operations repair what is other than it was known.
    pub(super) fn take_table(&mut self, table: Table<ActualDest>, was_known: bool) -> usize {
        let before = core::mem::replace(&mut self.actual.table, table);
        let (had, has) = (&before.0, &self.actual.table.0);
        let differs = |id: &&ServiceId| match (had.get(id), has.get(id)) {
            (Some(had), Some(has)) => !is_same(had, has),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        };
        let gone = had.keys().filter(|id| !has.contains_key(id));
        let changed: Vec<ServiceId> = has.keys().chain(gone).filter(differs).copied().collect();
        let needs = |id: &ServiceId, had: &Table<ActualDest>| {
            let mut ops = Vec::new();
            diff::service(*id, self.desired.table.0.get(id), had.0.get(id), &mut ops);
            ops.len()
        };
        let sum = |of: &Table<ActualDest>| changed.iter().map(|id| needs(id, of)).sum::<usize>();
        let repairs = sum(&self.actual.table).saturating_sub(sum(&before));
        let all: Vec<ServiceId> = if was_known {
            Vec::new()
        } else {
            self.desired.table.0.keys().copied().collect()
        };
        changed.into_iter().chain(all).for_each(|id| self.mark(id));
        repairs
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
