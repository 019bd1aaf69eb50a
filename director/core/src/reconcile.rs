//! Keeps the kernel as it should be: one place that holds the desired and the actual state, hands out the
//! operations between them, and believes nothing that was not acknowledged or read.
//!
//! Start, reload, repair of foreign edits, lost notifications and the restart after a crash are one path: read,
//! compare, operate. Operations are refused by the kernel now and then; the object they touch is tried again with
//! a growing pause, and the kernel's state is read anew, for the refusal says that we were wrong about it.

use std::collections::{BTreeMap, VecDeque};

use crate::ipvs::{ActualDest, Counters, DestId, Pool, ServiceId, SyncRole};
use crate::kernel::{
    Actual, AddressId, Desired, KernelEvent, Link, Op, OpError, OpId, Part, Route, Snapshot,
};
use crate::net::Ifindex;
use crate::time::{Duration, Instant, earliest};
use crate::{diff, limits};

/// The reconciler of one node.
#[derive(Clone, Debug, Default)]
pub struct Reconciler {
    actual: Actual,
    desired: Desired,
    sides: [Side; 3],
    in_flight: BTreeMap<u64, Op>,
    next_id: u64,
    slice_left: usize,
    backoff: BTreeMap<Object, Backoff>,
    applied: u64,
    repairs: u64,
    failed: u64,
}

/// One part of the kernel's state. The parts do not wait for each other: a long reading of a large IPVS table must
/// not hold up an address.
#[derive(Clone, Debug, Default)]
struct Side {
    /// Read at least once; before that nothing of it may be changed.
    known: bool,
    reading: bool,
    /// Next reading; none before the first has been asked for.
    read_at: Option<Instant>,
    /// Operations not handed out yet.
    queue: VecDeque<Op>,
    /// The queue no longer leads from actual to desired.
    stale: bool,
    /// Operations not answered yet.
    in_flight: usize,
}

impl Side {
    /// Whether the kernel owes an answer: then that is the next thing to happen.
    const fn waits(&self) -> bool {
        self.reading || self.in_flight > 0
    }
}

/// The thing an operation touches; a refusal delays the next operation on the same thing only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Object {
    Link(Ifindex),
    Address(AddressId),
    Route(Route),
    Filter,
    Service(ServiceId),
    Dest(ServiceId, DestId),
    Sync(SyncRole),
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    until: Instant,
    pause: Duration,
}

/// What one answer or reading brought to light.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The kernel refused an operation, for the first time since one on the same thing went well.
    Refused(Op, OpError),
    /// A reading found the kernel's state other than it was left; so many operations repair it.
    ForeignEdit(usize),
}

impl Reconciler {
    /// A reconciler that knows nothing yet: its first wish is to read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The kernel state as last acknowledged or read.
    #[must_use]
    pub const fn actual(&self) -> &Actual {
        &self.actual
    }

    /// Whether a part of the kernel's state has been read since the start.
    #[must_use]
    pub const fn knows(&self, part: Part) -> bool {
        self.sides[part as usize].known
    }

    /// Sets what the kernel should hold.
    pub fn set_desired(&mut self, desired: Desired) {
        if self.desired != desired {
            self.desired = desired;
            self.sides.iter_mut().for_each(|side| side.stale = true);
        }
    }

    /// What the kernel should hold.
    #[must_use]
    pub const fn desired(&self) -> &Desired {
        &self.desired
    }

    /// Allows the next slice of operations: called once for each turn of the loop.
    pub const fn begin_slice(&mut self) {
        self.slice_left = limits::OPS_PER_SLICE;
    }

    /// The next operation on a part.
    pub fn poll_op(&mut self, now: Instant, part: Part) -> Option<(OpId, Op)> {
        self.refresh(now, part);
        let side = &mut self.sides[part as usize];
        // What is handed out during a reading would make it outdated.
        if side.stale || side.reading || self.slice_left == 0 {
            return None;
        }
        let op = side.queue.pop_front()?;
        side.in_flight += 1;
        self.slice_left -= 1;
        let id = self.next_id;
        self.next_id += 1;
        self.in_flight.insert(id, op.clone());
        Some((OpId(id), op))
    }

    /// The next part to read. No part is read while operations on it are under way: the reading would be outdated.
    pub fn poll_read(&mut self, now: Instant) -> Option<Part> {
        for part in Part::ALL {
            let side = &mut self.sides[part as usize];
            if !side.waits() && side.read_at.is_none_or(|at| at <= now) {
                side.reading = true;
                side.read_at = Some(now);
                return Some(part);
            }
        }
        None
    }

    /// An operation that the kernel has not answered yet.
    #[must_use]
    pub fn in_flight(&self, id: OpId) -> Option<&Op> {
        self.in_flight.get(&id.0)
    }

    /// Takes the kernel's answer to an operation. Unknown numbers are ignored.
    pub fn handle_applied(
        &mut self,
        now: Instant,
        id: OpId,
        result: Result<(), OpError>,
    ) -> Option<Finding> {
        let op = self.in_flight.remove(&id.0)?;
        let object = object(&op);
        let part = object.part();
        let side = &mut self.sides[part as usize];
        side.in_flight = side.in_flight.saturating_sub(1);
        let error = match result {
            Err(error) if !is_gone_already(&op, error) => error,
            _ => {
                self.applied += 1;
                self.backoff.remove(&object);
                self.record(op);
                return None;
            }
        };
        self.failed += 1;
        let refused_before = self.backoff.get(&object);
        let is_news = refused_before.is_none();
        let pause = refused_before.map_or(limits::OP_BACKOFF_MIN, |backoff| backoff.pause * 2);
        let pause = pause.min(limits::OP_BACKOFF_MAX);
        self.backoff.insert(
            object,
            Backoff {
                until: now + pause,
                pause,
            },
        );
        // The refusal tells that the kernel is not what we think it is.
        self.read_soon(part, now + pause / 2);
        self.sides[part as usize].stale = true;
        is_news.then_some(Finding::Refused(op, error))
    }

    /// Takes a reading. Says how many operations repair what was changed behind our back.
    pub fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot) -> Option<Finding> {
        let part = snapshot.part();
        let side = &mut self.sides[part as usize];
        // An unasked reading while operations are under way would be older than their answers.
        if side.in_flight > 0 {
            return None;
        }
        let took = side.read_at.map_or(Duration::ZERO, |at| now.since(at));
        // Reading a large table takes long: it may use a fiftieth of the time.
        let share = if side.reading {
            took * 50
        } else {
            Duration::ZERO
        };
        side.read_at = Some(now + limits::AUDIT_INTERVAL.max(share));
        side.reading = false;
        side.stale = true;
        let was_known = core::mem::replace(&mut side.known, true);
        let was_settled = was_known && !self.backoff.keys().any(|object| object.part() == part);
        let before = self.operations(part).len();
        self.take(snapshot);
        let after = self.operations(part).len();
        if was_settled && after > before {
            self.repairs += 1;
            return Some(Finding::ForeignEdit(after - before));
        }
        None
    }

    /// Takes a notification. Link states are believed; about addresses a notification may be older than our own
    /// last operation, so one that contradicts what is known asks for a reading.
    pub fn handle_event(&mut self, now: Instant, event: KernelEvent) {
        match event {
            KernelEvent::Link(link) => {
                self.actual.links.insert(link.ifindex, link);
                self.sides[Part::Network as usize].stale = true;
            }
            KernelEvent::LinkGone(ifindex) => {
                self.actual.links.remove(&ifindex);
                self.actual.addresses.retain(|id, _| id.ifindex != ifindex);
                self.sides[Part::Network as usize].stale = true;
                self.read_soon(Part::Network, now);
            }
            KernelEvent::Address(id, _) if self.actual.addresses.contains_key(&id) => {}
            KernelEvent::AddressGone(id) if !self.actual.addresses.contains_key(&id) => {}
            KernelEvent::Address(..) | KernelEvent::AddressGone(_) | KernelEvent::Overrun => {
                self.read_soon(Part::Network, now);
            }
        }
    }

    /// Reads a part again at the latest then.
    pub fn read_soon(&mut self, part: Part, at: Instant) {
        let side = &mut self.sides[part as usize];
        side.read_at = side.read_at.map(|planned| planned.min(at));
    }

    /// Whether everything has been read, and nothing is left to do or to be compared.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let settled =
            |side: &Side| side.known && !side.stale && !side.waits() && side.queue.is_empty();
        self.backoff.is_empty() && self.sides.iter().all(settled)
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        self.in_flight.is_empty() && self.pending() == 0
    }

    /// Operations that are still to be done, those that wait for another try included.
    #[must_use]
    pub fn pending(&self) -> usize {
        if self.backoff.is_empty() && !self.sides.iter().any(|side| side.stale) {
            return self
                .sides
                .iter()
                .map(|side| side.queue.len() + side.in_flight)
                .sum();
        }
        Part::ALL
            .map(|part| self.operations(part).len())
            .iter()
            .sum()
    }

    /// Operations acknowledged, operations refused, foreign edits repaired.
    #[must_use]
    pub const fn counts(&self) -> (u64, u64, u64) {
        (self.applied, self.failed, self.repairs)
    }

    /// When there is something to do without an input: a reading, another try, the next slice (at once).
    #[must_use]
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let of_side = |(part, side): (Part, &Side)| {
            if side.waits() {
                return None;
            }
            let next_slice = (self.slice_left == 0 && !side.queue.is_empty()).then_some(now);
            let pauses = self
                .backoff
                .iter()
                .filter(|(object, _)| object.part() == part);
            let retry = pauses.map(|(_, backoff)| backoff.until).min();
            earliest(
                next_slice,
                earliest(retry, Some(side.read_at.unwrap_or(now))),
            )
        };
        let sides = Part::ALL.into_iter().zip(&self.sides);
        sides.map(of_side).fold(None, earliest)
    }

    /// Compares anew when something changed or a pause is over, unless answers are owed.
    fn refresh(&mut self, now: Instant, part: Part) {
        let of_part = |object: &Object| object.part() == part;
        let expired = self
            .backoff
            .iter()
            .any(|(object, backoff)| of_part(object) && backoff.until <= now);
        let side = &self.sides[part as usize];
        if !(side.stale || expired) || side.waits() {
            return;
        }
        let mut queue = VecDeque::from(self.operations(part));
        let due = |object: &Object, backoff: &Backoff| of_part(object) && backoff.until <= now;
        let backoff = &self.backoff;
        queue.retain(|op| {
            backoff
                .get(&object(op))
                .is_none_or(|backoff| backoff.until <= now)
        });
        // An object that needs nothing any more is forgotten; one that is tried again keeps its pause.
        self.backoff
            .retain(|key, backoff| !due(key, backoff) || queue.iter().any(|op| object(op) == *key));
        for (_, backoff) in self
            .backoff
            .iter_mut()
            .filter(|(key, backoff)| due(key, backoff))
        {
            backoff.until = now + backoff.pause;
        }
        let side = &mut self.sides[part as usize];
        side.queue = queue;
        side.stale = false;
    }

    fn operations(&self, part: Part) -> Vec<Op> {
        match part {
            _ if !self.sides[part as usize].known => Vec::new(),
            Part::Network => diff::network(&self.desired, &self.actual),
            Part::Filter => diff::filter(&self.desired, &self.actual),
            Part::Ipvs => diff::ipvs(&self.desired, &self.actual),
        }
    }

    fn take(&mut self, snapshot: Snapshot) {
        match snapshot {
            Snapshot::Network {
                links,
                addresses,
                routes,
            } => {
                self.actual.links = links
                    .into_iter()
                    .map(|link: Link| (link.ifindex, link))
                    .collect();
                self.actual.addresses = addresses.into_iter().collect();
                self.actual.routes = routes.into_iter().collect();
            }
            Snapshot::Filter(filter) => self.actual.filter = filter,
            Snapshot::Ipvs { table, sync } => {
                self.actual.table = table;
                self.actual.sync = sync;
            }
        }
    }

    /// Notes what an acknowledged operation did.
    fn record(&mut self, op: Op) {
        let actual = &mut self.actual;
        match op {
            // The kernel's notice says more: whether the link has a carrier.
            Op::LinkUp(_) => {}
            Op::LinkMtu(ifindex, mtu) => {
                if let Some(link) = actual.links.get_mut(&ifindex) {
                    link.mtu = mtu;
                }
            }
            Op::AddAddress(id) => drop(actual.addresses.insert(id, true)),
            Op::DelAddress(id) => drop(actual.addresses.remove(&id)),
            Op::AddRoute(route) => drop(actual.routes.insert(route)),
            Op::DelRoute(route) => drop(actual.routes.remove(&route)),
            Op::SetFilter(filter) => actual.filter = Some(filter),
            Op::StartSync(role, daemon) => drop(actual.sync.insert(role, daemon)),
            Op::StopSync(role) => drop(actual.sync.remove(&role)),
            Op::NewService(id, service) => drop(actual.table.0.insert(
                id,
                Pool {
                    service,
                    dests: BTreeMap::new(),
                },
            )),
            Op::SetService(id, service) => {
                if let Some(pool) = actual.table.0.get_mut(&id) {
                    pool.service = service;
                }
            }
            Op::DelService(id) => drop(actual.table.0.remove(&id)),
            Op::NewDest(id, dest, to) | Op::SetDest(id, dest, to) => {
                if let Some(pool) = actual.table.0.get_mut(&id) {
                    let counters = pool
                        .dests
                        .get(&dest)
                        .map_or_else(Counters::default, |had| had.counters);
                    pool.dests.insert(dest, ActualDest { dest: to, counters });
                }
            }
            Op::DelDest(id, dest) => {
                if let Some(pool) = actual.table.0.get_mut(&id) {
                    pool.dests.remove(&dest);
                }
            }
        }
    }
}

impl Object {
    const fn part(&self) -> Part {
        match self {
            Self::Link(_) | Self::Address(_) | Self::Route(_) => Part::Network,
            Self::Filter => Part::Filter,
            Self::Service(_) | Self::Dest(..) | Self::Sync(_) => Part::Ipvs,
        }
    }
}

const fn object(op: &Op) -> Object {
    match op {
        Op::LinkUp(ifindex) | Op::LinkMtu(ifindex, _) => Object::Link(*ifindex),
        Op::AddAddress(id) | Op::DelAddress(id) => Object::Address(*id),
        Op::AddRoute(route) | Op::DelRoute(route) => Object::Route(*route),
        Op::SetFilter(_) => Object::Filter,
        Op::StartSync(role, _) | Op::StopSync(role) => Object::Sync(*role),
        Op::NewService(id, _) | Op::SetService(id, _) | Op::DelService(id) => Object::Service(*id),
        Op::NewDest(id, dest, _) | Op::SetDest(id, dest, _) | Op::DelDest(id, dest) => {
            Object::Dest(*id, *dest)
        }
    }
}

/// A removal of what is not there has reached its end.
fn is_gone_already(op: &Op, error: OpError) -> bool {
    let gone = [OpError::NOT_THERE, OpError::NO_ADDRESS, OpError::NO_SERVICE];
    let removal = matches!(
        op,
        Op::DelAddress(_) | Op::DelRoute(_) | Op::StopSync(_) | Op::DelService(_) | Op::DelDest(..)
    );
    removal && gone.contains(&error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ipvs::{Dest, Forwarding, Protocol, Service, Table};

    fn vip(port: u16) -> ServiceId {
        ServiceId::Address {
            protocol: Protocol::Tcp,
            address: [10, 0, 0, 100].into(),
            port,
        }
    }

    fn service() -> Service {
        Service {
            scheduler: "rr".parse().unwrap(),
            flags: 0,
            timeout_s: 0,
            granularity: 32,
            sip: false,
        }
    }

    fn dest(last: u8) -> (DestId, Dest) {
        let id = DestId {
            address: [10, 0, 0, last].into(),
            port: 80,
        };
        (
            id,
            Dest {
                forwarding: Forwarding::Dr,
                weight: 1,
                upper: 0,
                lower: 0,
            },
        )
    }

    fn services(count: u16) -> Desired {
        let pool = || Pool {
            service: service(),
            dests: BTreeMap::from([dest(1)]),
        };
        Desired {
            table: Table((0..count).map(|port| (vip(port + 1), pool())).collect()),
            ..Desired::default()
        }
    }

    fn empty(part: Part) -> Snapshot {
        match part {
            Part::Network => Snapshot::Network {
                links: vec![],
                addresses: vec![],
                routes: vec![],
            },
            Part::Filter => Snapshot::Filter(Some(Arc::default())),
            Part::Ipvs => Snapshot::Ipvs {
                table: Table::default(),
                sync: BTreeMap::new(),
            },
        }
    }

    /// A reconciler that has read an empty kernel at `now`.
    fn read(now: Instant, desired: Desired) -> Reconciler {
        let mut reconciler = Reconciler::new();
        reconciler.set_desired(desired);
        reconciler.begin_slice();
        let early = reconciler.poll_op(now, Part::Ipvs);
        assert_eq!(early, None, "nothing is changed before it was read");
        while let Some(part) = reconciler.poll_read(now) {
            assert_eq!(
                reconciler.handle_snapshot(now, empty(part)),
                None,
                "the first reading finds no edit"
            );
        }
        reconciler
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_large_change_is_done_in_slices_and_asks_to_go_on_at_once() {
        let mut reconciler = read(at(0), services(100));
        let mut slices = 0;
        while !reconciler.is_converged() {
            slices += 1;
            reconciler.begin_slice();
            let mut batch = Vec::new();
            while let Some((id, _)) = reconciler.poll_op(at(0), Part::Ipvs) {
                batch.push(id);
            }
            assert!(batch.len() <= limits::OPS_PER_SLICE);
            for id in batch {
                assert_eq!(reconciler.handle_applied(at(0), id, Ok(())), None);
            }
            assert!(reconciler.is_converged() || reconciler.next_timeout(at(0)) == Some(at(0)));
        }
        assert_eq!(slices, 200_usize.div_ceil(limits::OPS_PER_SLICE));
        assert_eq!(reconciler.counts().0, 200);
    }

    #[test]
    fn a_refused_operation_waits_longer_each_time_and_holds_up_nothing_else() {
        let mut reconciler = read(at(0), services(2));
        let mut now = at(0);
        let mut tries = Vec::new();
        let mut refusals = 0;
        while now < at(2000) {
            reconciler.begin_slice();
            while let Some((id, op)) = reconciler.poll_op(now, Part::Ipvs) {
                let refused = matches!(&op, Op::NewService(service, _) if *service == vip(1));
                if refused {
                    tries.push(now.micros() / 1000);
                }
                let orphan = matches!(&op, Op::NewDest(service, ..) if *service == vip(1));
                let result = if refused || orphan {
                    Err(OpError::NO_SERVICE)
                } else {
                    Ok(())
                };
                refusals += usize::from(reconciler.handle_applied(now, id, result).is_some());
            }
            while let Some(part) = reconciler.poll_read(now) {
                let mut snapshot = empty(part);
                if let Snapshot::Ipvs { table, .. } = &mut snapshot {
                    *table = reconciler.actual().table.clone();
                }
                assert_eq!(reconciler.handle_snapshot(now, snapshot), None);
            }
            now = reconciler
                .next_timeout(now)
                .unwrap()
                .max(now + Duration::from_micros(1));
        }
        assert_eq!(tries.first(), Some(&0));
        let gaps: Vec<u64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.windows(2).all(|pair| pair[1] >= pair[0]), "{tries:?}");
        assert!((4..=8).contains(&tries.len()), "{tries:?}");
        assert!(refusals <= 2, "a refusal is news once: {refusals}");
        assert!(reconciler.actual().table.0.contains_key(&vip(2)));
    }

    #[test]
    fn a_foreign_edit_is_found_by_the_next_reading_and_repaired() {
        let mut reconciler = read(at(0), services(1));
        reconciler.begin_slice();
        while let Some((id, _)) = reconciler.poll_op(at(0), Part::Ipvs) {
            reconciler.handle_applied(at(0), id, Ok(()));
        }
        let audit = reconciler.next_timeout(at(0)).unwrap();
        assert!(audit <= at(0) + limits::AUDIT_INTERVAL);
        let mut found = Vec::new();
        while let Some(part) = reconciler.poll_read(audit) {
            found.extend(reconciler.handle_snapshot(audit, empty(part)));
        }
        assert_eq!(
            found,
            [Finding::ForeignEdit(2)],
            "service and dest are gone"
        );
        reconciler.begin_slice();
        assert!(matches!(
            reconciler.poll_op(audit, Part::Ipvs),
            Some((_, Op::NewService(..)))
        ));
    }

    #[test]
    fn removing_what_is_gone_already_is_a_success() {
        let mut reconciler = read(at(0), services(1));
        reconciler.begin_slice();
        while let Some((id, _)) = reconciler.poll_op(at(0), Part::Ipvs) {
            reconciler.handle_applied(at(0), id, Ok(()));
        }
        reconciler.set_desired(Desired::default());
        let (id, op) = reconciler.poll_op(at(1), Part::Ipvs).unwrap();
        assert_eq!(op, Op::DelService(vip(1)));
        assert_eq!(
            reconciler.handle_applied(at(1), id, Err(OpError::NO_SERVICE)),
            None
        );
        assert!(reconciler.is_converged());
    }

    #[test]
    fn a_reading_of_the_table_does_not_hold_up_an_address() {
        let mut reconciler = read(at(0), Desired::default());
        let audit = at(0) + limits::AUDIT_INTERVAL;
        while reconciler.poll_read(audit) != Some(Part::Ipvs) {
            reconciler.handle_snapshot(audit, empty(Part::Network));
        }
        let id = AddressId {
            ifindex: Ifindex(2),
            cidr: "10.0.0.100/24".parse().unwrap(),
        };
        let mut desired = services(1);
        desired.addresses.insert(id);
        reconciler.set_desired(desired);
        assert_eq!(
            reconciler.poll_op(audit, Part::Ipvs),
            None,
            "the table is being read"
        );
        let (_, op) = reconciler.poll_op(audit, Part::Network).unwrap();
        assert_eq!(op, Op::AddAddress(id));
    }

    #[test]
    fn an_answer_nobody_waits_for_is_ignored() {
        let mut reconciler = read(at(0), services(1));
        assert_eq!(
            reconciler.handle_applied(at(0), OpId(77), Err(OpError::EXISTS)),
            None
        );
        assert_eq!(reconciler.counts(), (0, 0, 0));
    }
}
