//! What the kernel refused waits before it is tried again, longer each time.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::{BTreeMap, BTreeSet};

use super::object::{Object, object};
use crate::ipvs::{DestId, ServiceId};
use crate::kernel::Op;
use crate::limits;
use crate::time::{Duration, Instant};

/// The objects of one part whose last operation was refused. What is asked of one service, or of the first moment,
/// costs nothing of the others: where IPVS is missing all of ten thousand dests are here.
#[derive(Clone, Debug, Default)]
pub(super) struct Pauses {
    of: BTreeMap<Object, Pause>,
    /// When they end, but for those of [`Self::take_ended`].
    ends: BTreeSet<(Instant, Object)>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    length: Duration,
    refused_at: Instant,
}

const FIRST_DEST: DestId = DestId {
    address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    port: 0,
};

const LAST_DEST: DestId = DestId {
    address: IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
    port: u16::MAX,
};

impl Pauses {
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    pub(super) fn has(&self, object: &Object) -> bool {
        self.of.contains_key(object)
    }

    /// All objects.
    pub(super) fn all(&self) -> impl Iterator<Item = Object> {
        self.of.keys().copied()
    }

    /// A service and its dests.
    pub(super) fn of_service(&self, id: ServiceId) -> impl Iterator<Item = Object> {
        let service = Object::Service(id);
        let dests = Object::Dest(id, FIRST_DEST)..=Object::Dest(id, LAST_DEST);
        let service = self.of.range(service..=service);
        service.chain(self.of.range(dests)).map(|(found, _)| *found)
    }

    /// What of the IPVS table belongs to no service.
    pub(super) fn of_rest(&self) -> impl Iterator<Item = Object> {
        let last = self.of.keys().rev();
        let rest = last.take_while(|object| matches!(object, Object::Sync(_) | Object::Timeouts));
        rest.copied()
    }

    /// When the first pause ends.
    pub(super) fn first_end(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// The next object whose pause is over; each is told once, and waits to be admitted.
    pub(super) fn take_ended(&mut self, now: Instant) -> Option<Object> {
        if self.first_end()? > now {
            return None;
        }
        self.ends.pop_first().map(|(_, object)| object)
    }

    /// An operation on an object was refused: how long it waits, and whether the one before it was not.
    pub(super) fn refuse(&mut self, now: Instant, object: Object) -> (Duration, bool) {
        let before = self.of.get(&object).map(|pause| pause.length);
        let length = before.map_or(limits::OP_BACKOFF_MIN, |length| length * 2);
        let length = length.min(limits::OP_BACKOFF_MAX);
        self.forget(object);
        let until = now + length;
        let pause = Pause {
            until,
            length,
            refused_at: now,
        };
        self.of.insert(object, pause);
        self.ends.insert((until, object));
        (length, before.is_none())
    }

    /// Whether an object was here.
    pub(super) fn forget(&mut self, object: Object) -> bool {
        let had = self.of.remove(&object);
        had.is_some_and(|pause| {
            self.ends.remove(&(pause.until, object));
            true
        })
    }

    /// Of the operations that some objects need, those that need not wait; and whether others do. One of `concerned`
    /// that needs nothing any more is forgotten; one that is tried again keeps its pause. What belongs to a service
    /// waits with it. Where a dest goes, those that wait to take connections in its place are tried at once.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        ops: Vec<Op>,
        concerned: Vec<Object>,
    ) -> (Vec<Op>, bool) {
        if self.is_empty() {
            return (ops, false);
        }
        let needing: BTreeSet<Object> = ops.iter().map(object).collect();
        for object in concerned {
            let is_over = self.until(object).is_some_and(|until| until <= now);
            if is_over && !needing.contains(&object) {
                self.forget(object);
            }
        }
        // Of all before one of them is changed.
        let goes = |op| takes_out(op) && self.waits_until(now, op, false).is_none();
        let in_place = ops.iter().any(goes);
        let waits = |op| self.waits_until(now, op, in_place);
        let pauses: Vec<_> = ops.iter().map(waits).collect();
        let mut may = Vec::with_capacity(ops.len());
        let all = ops.len();
        for (op, until) in ops.into_iter().zip(pauses) {
            self.prolong(now, object(&op), until);
            if until.is_none() {
                may.push(op);
            }
        }
        let waits = may.len() < all;
        (may, waits)
    }

    fn until(&self, object: Object) -> Option<Instant> {
        self.of.get(&object).map(|pause| pause.until)
    }

    /// Until when an operation has to wait, if it has to. What belongs to a service waits with it, whatever its own
    /// pause. What serves `in_place` of something else waits no longer than for the first time.
    fn waits_until(&self, now: Instant, op: &Op, in_place: bool) -> Option<Instant> {
        let object = object(op);
        let service = object.service().map(Object::Service);
        let service = service.and_then(|service| self.until(service));
        let own = self.of.get(&object).map(|pause| {
            if in_place && serves(op) {
                pause.until.min(pause.refused_at + limits::OP_BACKOFF_MIN)
            } else {
                pause.until
            }
        });
        own.max(service).filter(|until| *until > now)
    }

    /// An object waits until then, or is tried now.
    fn prolong(&mut self, now: Instant, object: Object, until: Option<Instant>) {
        if let Some(pause) = self.of.get_mut(&object) {
            self.ends.remove(&(pause.until, object));
            pause.until = until.unwrap_or(now + pause.length);
            self.ends.insert((pause.until, object));
        }
    }
}

/// Whether an operation has a dest take connections.
const fn serves(op: &Op) -> bool {
    matches!(op, Op::NewDest(_, _, to) | Op::SetDest(_, _, to) if to.weight > 0)
}

/// Whether an operation has a dest take no more connections.
const fn takes_out(op: &Op) -> bool {
    matches!(op, Op::DelDest(..)) || matches!(op, Op::SetDest(_, _, to) if to.weight == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::SyncRole;

    fn service(mark: u32) -> ServiceId {
        ServiceId::Fwmark {
            mark,
            family: crate::net::Family::V4,
        }
    }

    fn dest(mark: u32, address: IpAddr, port: u16) -> Object {
        Object::Dest(service(mark), DestId { address, port })
    }

    #[test]
    fn what_is_of_a_service_is_found_and_each_end_is_told_once() {
        let at = Instant::from_millis;
        let mut pauses = Pauses::default();
        let of_one = [
            Object::Service(service(1)),
            dest(1, Ipv4Addr::UNSPECIFIED.into(), 0),
            dest(1, Ipv6Addr::from_bits(u128::MAX).into(), u16::MAX),
        ];
        let others = [
            Object::Service(service(2)),
            dest(0, Ipv4Addr::BROADCAST.into(), 1),
            dest(2, Ipv4Addr::BROADCAST.into(), 1),
        ];
        let rest = [Object::Sync(SyncRole::Master), Object::Timeouts];
        for object in of_one.into_iter().chain(others).chain(rest) {
            assert_eq!(pauses.refuse(at(0), object), (limits::OP_BACKOFF_MIN, true));
        }
        let found: Vec<Object> = pauses.of_service(service(1)).collect();
        assert_eq!(found, of_one);
        let found: BTreeSet<Object> = pauses.of_rest().collect();
        assert_eq!(found, BTreeSet::from(rest));
        // Refused again: longer, and no news.
        let (length, is_news) = pauses.refuse(at(0), rest[1]);
        assert_eq!((length, is_news), (2 * limits::OP_BACKOFF_MIN, false));

        let end = at(0) + limits::OP_BACKOFF_MIN;
        assert_eq!(pauses.first_end(), Some(end));
        assert_eq!(pauses.take_ended(at(0)), None);
        let told: Vec<_> = core::iter::from_fn(|| pauses.take_ended(end)).collect();
        assert_eq!(told.len(), 7);
        assert_eq!(pauses.first_end(), Some(end + limits::OP_BACKOFF_MIN));

        // What is needed is tried, and has an end again; what is not is forgotten; what is of no concern stays.
        let ops = vec![Op::DelService(service(1))];
        let own = pauses.of_service(service(1)).collect();
        assert_eq!(pauses.admit(end, ops.clone(), own), (ops, false));
        let left: Vec<Object> = pauses.of_service(service(1)).collect();
        assert_eq!(left, [of_one[0]]);
        assert_eq!(pauses.all().count(), 6);
        // What belongs to a service waits with it.
        let DestId { address, port } = FIRST_DEST;
        let ops = vec![Op::DelDest(service(1), DestId { address, port })];
        assert_eq!(pauses.admit(end, ops, Vec::new()), (Vec::new(), true));
        assert!(pauses.forget(of_one[0]));
        assert!(!pauses.forget(of_one[0]));
    }
}
