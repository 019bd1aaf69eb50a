//! Keeps the kernel as it should be: one place that holds the desired and the actual state, hands out the
//! operations between them, and believes nothing that was not acknowledged or read.
//!
//! Start, reload, repair of foreign edits, lost notifications and the restart after a crash are one path: read,
//! compare, operate. Operations are refused by the kernel now and then; the object they touch is tried again with
//! a growing pause, and the kernel's state is read anew, for the refusal says that we were wrong about it.

mod object;
mod pauses;
mod record;
mod side;
mod table;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::object::{Object, is_gone_already, object};
use self::record::record;
use self::side::Side;
use self::table::Incoming;
use self::work::Work;
use crate::kernel::{
    Actual, AddressId, Desired, KernelEvent, Link, Op, OpError, OpId, Part, Route, Snapshot,
};
use crate::net::{Ifindex, Mac};
use crate::routing::Rule;
use crate::time::{Duration, Instant, earliest};
use crate::{diff, limits};

/// The reconciler of one node.
#[derive(Clone, Debug, Default)]
pub struct Reconciler {
    actual: Actual,
    desired: Desired,
    sides: [Side; 3],
    work: Work,
    /// What the kernel has not answered yet, by rising number: a slice at most, for which the room is kept.
    in_flight: VecDeque<(u64, Op)>,
    next_id: u64,
    slice_left: usize,
    /// Services and dests that may still be compared in this slice.
    compares_left: usize,
    /// A reading of the IPVS table that is still being compared.
    incoming: Option<Incoming>,
    /// The part that was read whole last, and whether for the first time; until [`Reconciler::take_read`].
    read: Option<(Part, bool)>,
    applied: u64,
    repairs: u64,
    failed: u64,
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

    /// Sets what the kernel should hold but for the IPVS table, whose services [`Self::set_pool`] takes one by one.
    pub fn set_desired(&mut self, desired: Desired) {
        let table = core::mem::take(&mut self.desired.table);
        if self.desired != desired {
            self.sides[Part::Network as usize].stale = true;
            self.sides[Part::Filter as usize].stale = true;
            self.work.rest = true;
        }
        self.desired = Desired { table, ..desired };
    }

    /// What the kernel should hold.
    #[must_use]
    pub const fn desired(&self) -> &Desired {
        &self.desired
    }

    /// Allows the next slice of operations: called once for each turn of the loop.
    pub const fn begin_slice(&mut self) {
        self.slice_left = limits::OPS_PER_SLICE;
        self.compares_left = limits::COMPARES_PER_SLICE;
    }

    /// The next operation on a part.
    pub fn poll_op(&mut self, now: Instant, part: Part) -> Option<(OpId, Op)> {
        if self.slice_left == 0 {
            return None;
        }
        match part {
            Part::Network | Part::Filter => self.refresh_whole(now, part),
            Part::Ipvs => self.refresh_table(now),
        }
        let side = &mut self.sides[part as usize];
        // What is handed out during a reading would make it outdated.
        if side.stale || side.reading {
            return None;
        }
        let op = side.queue.pop_front()?;
        side.in_flight += 1;
        self.slice_left = self.slice_left.saturating_sub(cost(&self.actual, &op));
        let id = self.next_id;
        self.next_id += 1;
        self.in_flight.push_back((id, op.clone()));
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

    /// Whether operations on the network wait for the end of a reading of it.
    #[must_use]
    pub fn network_awaits_reading(&self) -> bool {
        let side = &self.sides[Part::Network as usize];
        side.known && side.reading && (side.stale || !side.queue.is_empty())
    }

    /// Whether the kernel refused the device of a virtual hardware address when it was last asked for it.
    #[must_use]
    pub fn refuses_device(&self, base: Ifindex, mac: Mac) -> bool {
        self.sides[Part::Network as usize]
            .pauses
            .has(&Object::Vmac(base, mac))
    }

    /// An operation that the kernel has not answered yet.
    #[must_use]
    pub fn in_flight(&self, id: OpId) -> Option<&Op> {
        let (_, op) = self.in_flight.get(self.place_in_flight(id)?)?;
        Some(op)
    }

    fn place_in_flight(&self, id: OpId) -> Option<usize> {
        let place = self
            .in_flight
            .binary_search_by_key(&id.0, |(number, _)| *number);
        place.ok()
    }

    /// Whether the kernel has not answered every operation that was handed out.
    #[must_use]
    pub fn awaits_answers(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Takes the kernel's answer to an operation. Unknown numbers are ignored.
    pub fn handle_applied(
        &mut self,
        now: Instant,
        id: OpId,
        result: Result<(), OpError>,
    ) -> Option<Finding> {
        let (_, op) = self.in_flight.remove(self.place_in_flight(id)?)?;
        let object = object(&op);
        let part = object.part();
        let side = &mut self.sides[part as usize];
        side.in_flight = side.in_flight.saturating_sub(1);
        let error = match result {
            Err(error) if !is_gone_already(&op, error) => error,
            _ => {
                self.applied += 1;
                record(&mut self.actual, op);
                // While one operation follows the other there is no use in looking what others did.
                let quiet = now + limits::AUDIT_QUIET;
                side.read_at = side.read_at.map(|planned| planned.max(quiet));
                if side.pauses.forget(object) {
                    // What waited with it need not wait any more.
                    self.mark_object(object);
                }
                if let Some(id) = object.service() {
                    self.share_after_last(id);
                }
                return None;
            }
        };
        self.failed += 1;
        let (pause, is_news) = side.pauses.refuse(now, object);
        // The refusal tells that the kernel is not what we think it is.
        self.read_soon(part, now + pause / 2);
        self.mark_object(object);
        is_news.then_some(Finding::Refused(op, error))
    }

    /// Takes a reading. Says how many operations repair what was changed behind our back. A large IPVS table is
    /// compared in slices: [`Self::compare`] goes on, and nothing is handed out before the end.
    pub fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot) -> Option<Finding> {
        let part = snapshot.part();
        let side = &mut self.sides[part as usize];
        // An unasked reading while operations are under way would be older than their answers.
        if side.in_flight > 0 {
            return None;
        }
        let repairs = match snapshot {
            Snapshot::Network {
                links,
                addresses,
                routes,
                rules,
            } => {
                let links = links.into_iter().map(|link: Link| (link.ifindex, link));
                let (links, addresses) = (links.collect(), addresses.into_iter().collect());
                let (routes, rules) = (routes.into_iter().collect(), rules.into_iter().collect());
                return self.take_network(now, (links, addresses), (routes, rules));
            }
            Snapshot::Filter(filter) => {
                let before = diff::filter(&self.desired, &self.actual).len();
                self.actual.filter = filter;
                self.sides[Part::Filter as usize].stale = true;
                let after = diff::filter(&self.desired, &self.actual).len();
                after.saturating_sub(before)
            }
            Snapshot::Ipvs {
                table,
                counters,
                sync,
                timeouts,
            } => {
                let table = (table, counters);
                if !self.sides[Part::Ipvs as usize].known {
                    return self.take_first(now, table, sync, timeouts);
                }
                self.begin_comparing(table, sync, timeouts);
                return self.compare(now);
            }
        };
        self.end_reading(now, part, repairs)
    }

    /// Takes a reading of links, addresses, routes and rules. Most often it is what is known.
    fn take_network(
        &mut self,
        now: Instant,
        (links, addresses): (BTreeMap<Ifindex, Link>, BTreeMap<AddressId, bool>),
        (routes, rules): (BTreeSet<Route>, BTreeSet<Rule>),
    ) -> Option<Finding> {
        let actual = &self.actual;
        let side = &self.sides[Part::Network as usize];
        let is_known = (&links, &addresses) == (&actual.links, &actual.addresses)
            && (&routes, &rules) == (&actual.routes, &actual.rules);
        if side.known && actual.made.is_empty() && is_known {
            return self.end_reading(now, Part::Network, 0);
        }
        let before = diff::network(&self.desired, &self.actual).len();
        self.actual.links = links;
        self.actual.made.clear();
        self.actual.addresses = addresses;
        let there = &self.actual.addresses;
        self.actual.options.retain(|id, _| there.contains_key(id));
        (self.actual.routes, self.actual.rules) = (routes, rules);
        self.sides[Part::Network as usize].stale = true;
        let after = diff::network(&self.desired, &self.actual).len();
        self.end_reading(now, Part::Network, after.saturating_sub(before))
    }

    /// A part has been read whole and compared.
    fn end_reading(&mut self, now: Instant, part: Part, repairs: usize) -> Option<Finding> {
        let side = &mut self.sides[part as usize];
        let elapsed = side.read_at.map_or(Duration::ZERO, |at| now.since(at));
        let done = core::mem::replace(&mut side.applied, self.applied);
        let grown = Duration::from_millis(self.applied - done);
        side.took = elapsed.min(side.took * 2 + limits::AUDIT_GROWTH + grown);
        // Reading a large table takes long: it may use a hundredth of the time.
        let share = side.took * (100 * u32::from(side.reading));
        side.read_at = Some(now + limits::AUDIT_INTERVAL.max(share));
        side.reading = false;
        let was_known = core::mem::replace(&mut side.known, true);
        self.read = Some((part, !was_known));
        let was_settled = was_known && side.pauses.is_empty();
        if was_settled && repairs > 0 {
            self.repairs += 1;
            return Some(Finding::ForeignEdit(repairs));
        }
        None
    }

    /// The part that was read whole since the last call, and whether that was the first time.
    pub const fn take_read(&mut self) -> Option<(Part, bool)> {
        self.read.take()
    }

    /// Takes a notification. Link states are believed; about addresses a notification may be older than our own
    /// last operation, so one that contradicts what is known asks for a reading.
    pub fn handle_event(&mut self, now: Instant, event: KernelEvent) {
        match event {
            KernelEvent::Link(link) => {
                self.actual.made.remove(&link.name);
                self.actual.links.insert(link.ifindex, link);
                self.sides[Part::Network as usize].stale = true;
            }
            KernelEvent::LinkGone(ifindex) => {
                self.actual.links.remove(&ifindex);
                self.actual.addresses.retain(|id, _| id.ifindex != ifindex);
                self.actual.options.retain(|id, _| id.ifindex != ifindex);
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
        let is_known = |side: &Side| side.known && side.pauses.is_empty();
        self.sides.iter().all(is_known) && self.is_converged()
    }

    /// Whether the IPVS table is not known yet, or operations on it follow each other.
    #[must_use]
    pub fn is_filling(&self) -> bool {
        let side = &self.sides[Part::Ipvs as usize];
        !side.known || !side.queue.is_empty() || side.in_flight > 0 || self.work.is_due()
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        let is_done = |part: Part| {
            let side = &self.sides[part as usize];
            let is_compared = match part {
                Part::Ipvs => self.work.is_empty(),
                Part::Network | Part::Filter => !side.differs() || self.operations(part).is_empty(),
            };
            !side.known || (side.queue.is_empty() && is_compared)
        };
        !self.awaits_answers() && Part::ALL.into_iter().all(is_done)
    }

    /// Operations that are still to be done, those that wait for another try included; about so many while some are
    /// under way.
    #[must_use]
    pub fn pending(&self) -> usize {
        let [network, filter, table] = &self.sides;
        let whole = |part: Part, side: &Side| {
            if side.differs() {
                self.operations(part).len()
            } else {
                side.queue.len() + side.in_flight
            }
        };
        let of_table = table.queue.len() + table.in_flight + self.operations(Part::Ipvs).len();
        whole(Part::Network, network) + whole(Part::Filter, filter) + of_table
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
            if part == Part::Ipvs && self.incoming.is_some() {
                return Some(now);
            }
            if side.waits() {
                return None;
            }
            let is_left =
                !side.queue.is_empty() || (part == Part::Ipvs && side.known && self.work.is_due());
            let spent = self.slice_left == 0 || self.compares_left == 0;
            let next_slice = (spent && is_left).then_some(now);
            let retry = side.pauses.first_end();
            earliest(
                next_slice,
                earliest(retry, Some(side.read_at.unwrap_or(now))),
            )
        };
        let sides = Part::ALL.into_iter().zip(&self.sides);
        sides.map(of_side).fold(None, earliest)
    }

    /// Compares a part as a whole when something changed or a pause is over, unless answers are owed.
    fn refresh_whole(&mut self, now: Instant, part: Part) {
        let side = &self.sides[part as usize];
        let is_due = side.stale || side.pauses.first_end().is_some_and(|at| at <= now);
        if !is_due || side.waits() || !side.known {
            return;
        }
        let ops = self.operations(part);
        let side = &mut self.sides[part as usize];
        let all = side.pauses.all().collect();
        let (queue, _) = side.pauses.admit(now, ops, all);
        side.queue = queue.into();
        side.stale = false;
    }

    /// Has compared anew what an object belongs to.
    fn mark_object(&mut self, object: Object) {
        match (object.part(), object.service()) {
            (_, Some(id)) => self.mark(id),
            (Part::Ipvs, None) => self.work.rest = true,
            (part, None) => self.sides[part as usize].stale = true,
        }
    }

    /// What a part needs, for all that is known.
    fn operations(&self, part: Part) -> Vec<Op> {
        let mut ops = Vec::new();
        match part {
            _ if !self.sides[part as usize].known => {}
            Part::Network => ops = diff::network(&self.desired, &self.actual),
            Part::Filter => ops = diff::filter(&self.desired, &self.actual),
            Part::Ipvs => {
                let (wanted, had) = (&self.desired.table.0, &self.actual.table.0);
                for id in self.work.services() {
                    diff::service(*id, wanted.get(id), had.get(id), &mut ops);
                }
                if self.work.rest {
                    ops.append(&mut self.rest());
                }
            }
        }
        ops
    }
}

/// What an operation costs of a slice: an address takes its routes and everybody's notifications with it, a service all
/// its dests.
fn cost(actual: &Actual, op: &Op) -> usize {
    match op {
        Op::DelService(id) => {
            let dests = actual.table.0.get(id).map(|pool| pool.dests.len());
            1 + dests.unwrap_or(0)
        }
        op if op.part() == Part::Network => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::ipvs::{
        Counters, Dest, DestId, Dests, Forwarding, Pool, Protocol, Service, ServiceId, Table,
        Tallies,
    };
    use crate::kernel::AddressId;
    use crate::net::Ifindex;

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
        let pool = || Pool::new(service(), [dest(1)].into_iter().collect());
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
                rules: vec![],
            },
            Part::Filter => Snapshot::Filter(Some(Arc::default())),
            Part::Ipvs => Snapshot::Ipvs {
                table: Table::default(),
                counters: Tallies::default(),
                sync: BTreeMap::new(),
                timeouts: [0; 3],
            },
        }
    }

    /// Sets all that is desired, the table included.
    fn set(reconciler: &mut Reconciler, desired: Desired) {
        let had = reconciler.desired().table.0.keys().copied();
        let gone: Vec<_> = had.filter(|id| !desired.table.0.contains_key(id)).collect();
        for id in gone {
            reconciler.set_pool(id, None);
        }
        for (id, pool) in &desired.table.0 {
            reconciler.set_pool(*id, Some(Arc::clone(pool)));
        }
        reconciler.set_desired(desired);
    }

    /// A reconciler that has read an empty kernel at `now`.
    fn read(now: Instant, desired: Desired) -> Reconciler {
        let mut reconciler = Reconciler::new();
        set(&mut reconciler, desired);
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
    fn where_a_dest_goes_the_one_that_waits_is_tried_before() {
        let with = |dests: &[u8]| {
            let mut desired = services(1);
            let pool = Arc::make_mut(desired.table.0.get_mut(&vip(1)).unwrap());
            pool.dests = dests.iter().map(|last| dest(*last)).collect();
            desired
        };
        let mut reconciler = read(at(0), with(&[1]));
        let mut turn = |now, desired: Desired, refuses: bool| {
            set(&mut reconciler, desired);
            reconciler.begin_slice();
            let mut tried = Vec::new();
            while let Some((id, op)) = reconciler.poll_op(now, Part::Ipvs) {
                let result = match &op {
                    Op::NewDest(_, id, _) if refuses && *id == dest(2).0 => {
                        Err(OpError::NO_SERVICE)
                    }
                    _ => Ok(()),
                };
                reconciler.handle_applied(now, id, result);
                tried.push(op);
            }
            tried
        };
        turn(at(0), with(&[1]), false);
        let mut refused = (0..1000).map(|milli| turn(at(milli), with(&[1, 2]), true).len());
        assert_eq!(
            refused.by_ref().sum::<usize>(),
            4,
            "after 0, 100, 300, 700 ms"
        );
        drop(refused);
        let ops = turn(at(1000), with(&[2]), false);
        assert!(
            matches!(ops.as_slice(), [Op::NewDest(_, new, _), Op::DelDest(_, old)]
                if (*new, *old) == (dest(2).0, dest(1).0)),
            "{ops:?}"
        );
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
    fn a_large_reading_is_compared_in_slices_and_nothing_is_handed_out_before_its_end() {
        let count = limits::COMPARES_PER_SLICE as u16;
        let desired = services(count);
        let mut reconciler = read(at(0), desired.clone());
        let audit = at(0) + limits::AUDIT_INTERVAL;
        while !reconciler.is_converged() {
            reconciler.begin_slice();
            while let Some((id, _)) = reconciler.poll_op(at(0), Part::Ipvs) {
                reconciler.handle_applied(at(0), id, Ok(()));
            }
        }
        let mut table = reconciler.actual().table.clone();
        let (first, last) = (vip(1), vip(count));
        table.0.remove(&first);
        table.0.remove(&last);
        table
            .0
            .insert(vip(count + 1), Pool::new(service(), Dests::default()));
        while reconciler.poll_read(audit) != Some(Part::Ipvs) {
            reconciler.handle_snapshot(audit, empty(Part::Network));
        }
        reconciler.take_read();
        reconciler.begin_slice();
        let (counters, sync, timeouts) = (Tallies::default(), BTreeMap::new(), [0; 3]);
        let mut found = reconciler.handle_snapshot(
            audit,
            Snapshot::Ipvs {
                table,
                counters,
                sync,
                timeouts,
            },
        );
        let mut slices = 1;
        while reconciler.take_read().is_none() {
            assert_eq!(
                reconciler.poll_op(audit, Part::Ipvs),
                None,
                "it is being compared"
            );
            assert_eq!(reconciler.next_timeout(audit), Some(audit));
            slices += 1;
            reconciler.begin_slice();
            found = reconciler.compare(audit);
        }
        // Each service has one dest; two services are to be made anew, and one goes.
        assert_eq!((slices, found), (2, Some(Finding::ForeignEdit(5))));
        reconciler.begin_slice();
        let ops = core::iter::from_fn(|| reconciler.poll_op(audit, Part::Ipvs));
        let ops: Vec<Op> = ops.map(|(_, op)| op).collect();
        assert!(
            matches!(&ops[0], Op::NewService(id, _) if *id == first),
            "{ops:?}"
        );
        assert!(
            matches!(&ops[2], Op::NewService(id, _) if *id == last),
            "{ops:?}"
        );
        assert_eq!(ops[4..], [Op::DelService(vip(count + 1))]);
    }

    #[test]
    fn a_pool_is_kept_once_whenever_the_kernel_has_come_to_agree() {
        let of_weight = |weight| {
            let mut desired = services(3);
            for pool in desired.table.0.values_mut() {
                let all = (1..=20)
                    .map(dest)
                    .map(|(id, to)| (id, Dest { weight, ..to }));
                Arc::make_mut(pool).dests = all.collect();
            }
            desired
        };
        // As many operations are acknowledged as may be; how many pools are kept once then.
        let turn = |reconciler: &mut Reconciler, now: Instant, most: usize| {
            reconciler.begin_slice();
            for _ in 0..most {
                if let Some((id, _)) = reconciler.poll_op(now, Part::Ipvs) {
                    reconciler.handle_applied(now, id, Ok(()));
                }
            }
            let (wanted, had) = (&reconciler.desired.table.0, &reconciler.actual.table.0);
            let pairs = wanted.values().zip(had.values());
            assert!(most < 100 || reconciler.is_converged() && wanted == had);
            pairs.filter(|(a, b)| Arc::ptr_eq(a, b)).count()
        };
        let mut reconciler = read(at(0), of_weight(1));
        assert_eq!(turn(&mut reconciler, at(0), 20), 0, "one dest is missing");
        assert_eq!(turn(&mut reconciler, at(0), 1), 1);
        assert_eq!(turn(&mut reconciler, at(0), 100), 3);
        set(&mut reconciler, of_weight(2));
        assert_eq!(turn(&mut reconciler, at(0), 0), 0);
        assert_eq!(turn(&mut reconciler, at(0), 100), 3);
        // Wanted otherwise, and again as it is, before anything was done.
        set(&mut reconciler, of_weight(1));
        set(&mut reconciler, of_weight(2));
        assert_eq!(turn(&mut reconciler, at(0), 100), 3);

        let mut audit = |now, kernel: Desired, counters: &Tallies| {
            while reconciler.poll_read(now) != Some(Part::Ipvs) {
                reconciler.handle_snapshot(now, empty(Part::Network));
            }
            reconciler.begin_slice();
            let snapshot = Snapshot::Ipvs {
                table: kernel.table,
                counters: counters.clone(),
                sync: BTreeMap::new(),
                timeouts: [0; 3],
            };
            reconciler.handle_snapshot(now, snapshot);
            let before = turn(&mut reconciler, now, 0);
            assert_eq!(&reconciler.actual.counters, counters);
            (before, turn(&mut reconciler, now, 100))
        };
        let mut counters = Tallies::default();
        let active = Counters {
            active: 1,
            ..Counters::default()
        };
        counters.set(vip(1), dest(1).0, active);
        assert_eq!(audit(at(2000), of_weight(2), &counters), (3, 3));
        // Edited by somebody else, and repaired.
        assert_eq!(audit(at(4000), of_weight(7), &counters), (0, 3));
        assert_eq!(audit(at(6000), of_weight(2), &Tallies::default()), (3, 3));
    }

    #[test]
    fn a_stall_in_a_reading_hardly_puts_off_the_next_one() {
        let mut reconciler = read(at(0), services(1));
        let mut audit = |from: u64, took: u64| {
            let begun = at(from);
            while reconciler.poll_read(begun).is_some() {}
            let table = reconciler.actual().table.clone();
            let (counters, sync, timeouts) = (Tallies::default(), BTreeMap::new(), [0; 3]);
            let ended = at(from + took);
            let snapshot = Snapshot::Ipvs {
                table,
                counters,
                sync,
                timeouts,
            };
            reconciler.handle_snapshot(ended, snapshot);
            let next = reconciler.sides[Part::Ipvs as usize].read_at.unwrap();
            next.since(ended).as_millis()
        };
        assert_eq!(audit(2000, 4), 1000);
        assert_eq!(audit(10_000, 5000), 10_800, "by 108 ms");
        // What is long again and again is so.
        assert_eq!(audit(50_000, 300), 30_000);
        assert_eq!(audit(100_000, 300), 30_000);
    }

    #[test]
    fn removing_what_is_gone_already_is_a_success() {
        let mut reconciler = read(at(0), services(1));
        reconciler.begin_slice();
        while let Some((id, _)) = reconciler.poll_op(at(0), Part::Ipvs) {
            reconciler.handle_applied(at(0), id, Ok(()));
        }
        set(&mut reconciler, Desired::default());
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
        set(&mut reconciler, desired);
        assert_eq!(
            reconciler.poll_op(audit, Part::Ipvs),
            None,
            "the table is being read"
        );
        let (_, op) = reconciler.poll_op(audit, Part::Network).unwrap();
        assert_eq!(op, Op::AddAddress(id, None));
    }

    #[test]
    fn an_address_that_waits_for_a_reading_is_seen_to_wait() {
        let mut reconciler = read(at(0), Desired::default());
        assert_eq!(reconciler.poll_op(at(0), Part::Network), None);
        let audit = at(0) + limits::AUDIT_INTERVAL;
        while reconciler.poll_read(audit) != Some(Part::Network) {
            reconciler.handle_snapshot(audit, empty(Part::Ipvs));
        }
        assert!(!reconciler.network_awaits_reading());
        let mut desired = Desired::default();
        desired.addresses.insert(AddressId {
            ifindex: Ifindex(2),
            cidr: "10.0.0.100/24".parse().unwrap(),
        });
        set(&mut reconciler, desired);
        assert_eq!(reconciler.poll_op(audit, Part::Network), None);
        assert!(reconciler.network_awaits_reading());
        reconciler.handle_snapshot(audit, empty(Part::Network));
        assert!(!reconciler.network_awaits_reading());
        assert!(reconciler.poll_op(audit, Part::Network).is_some());
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
