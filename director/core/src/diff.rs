//! The operations that lead from one kernel state to another, in an order that loses nothing on the way.

use std::collections::BTreeMap;

use crate::ipvs::{ActualDest, Dest, DestId, Pool, ServiceId};
use crate::kernel::{Actual, Desired, Op};

/// The network part: links, then addresses that must go, addresses that must come, routes.
///
/// Removal of addresses goes first: while a takeover runs on the peer, each moment that two nodes hold a virtual
/// address is one too many.
#[must_use]
pub fn network(desired: &Desired, actual: &Actual) -> Vec<Op> {
    let mut ops = Vec::new();
    for (ifindex, mtu) in &desired.links {
        let Some(link) = actual.links.get(ifindex) else {
            continue;
        };
        if let Some(mtu) = mtu.filter(|mtu| *mtu != link.mtu) {
            ops.push(Op::LinkMtu(*ifindex, mtu));
        }
        if !link.up {
            ops.push(Op::LinkUp(*ifindex));
        }
    }
    for (id, ours) in &actual.addresses {
        let unwanted = *ours || desired.withheld.contains(&id.cidr.address);
        if unwanted && !desired.addresses.contains(id) {
            ops.push(Op::DelAddress(*id));
        }
    }
    let missing = desired
        .addresses
        .iter()
        .filter(|id| !actual.addresses.contains_key(id));
    ops.extend(missing.map(|id| Op::AddAddress(*id)));
    ops.extend(
        actual
            .routes
            .difference(&desired.routes)
            .map(|route| Op::DelRoute(*route)),
    );
    ops.extend(
        desired
            .routes
            .difference(&actual.routes)
            .map(|route| Op::AddRoute(*route)),
    );
    ops
}

/// The IPVS part: services and dests come, change, and go, in this order, so that a pool that could have servers
/// is never empty; then the synchronisation daemons.
#[must_use]
pub fn ipvs(desired: &Desired, actual: &Actual) -> Vec<Op> {
    let mut ops = Vec::new();
    for (id, pool) in &desired.table.0 {
        match actual.table.0.get(id) {
            None => {
                ops.push(Op::NewService(*id, pool.service.clone()));
                ops.extend(
                    pool.dests
                        .iter()
                        .map(|(dest, to)| Op::NewDest(*id, *dest, *to)),
                );
            }
            Some(had) => {
                if had.service != pool.service {
                    ops.push(Op::SetService(*id, pool.service.clone()));
                }
                dests(*id, &pool.dests, had, &mut ops);
            }
        }
    }
    let gone = actual
        .table
        .0
        .keys()
        .filter(|id| !desired.table.0.contains_key(id));
    ops.extend(gone.map(|id| Op::DelService(*id)));
    sync(desired, actual, &mut ops);
    ops
}

/// Raised weights before lowered ones, removal last.
fn dests(
    id: ServiceId,
    wanted: &BTreeMap<DestId, Dest>,
    had: &Pool<ActualDest>,
    ops: &mut Vec<Op>,
) {
    let (mut lowered, mut removed) = (Vec::new(), Vec::new());
    for (dest, to) in wanted {
        match had.dests.get(dest) {
            None => ops.push(Op::NewDest(id, *dest, *to)),
            Some(from) if from.dest == *to => {}
            Some(from) if from.dest.weight > to.weight => lowered.push(Op::SetDest(id, *dest, *to)),
            Some(_) => ops.push(Op::SetDest(id, *dest, *to)),
        }
    }
    removed.extend(
        had.dests
            .keys()
            .filter(|dest| !wanted.contains_key(dest))
            .map(|dest| Op::DelDest(id, *dest)),
    );
    ops.append(&mut lowered);
    ops.append(&mut removed);
}

fn sync(desired: &Desired, actual: &Actual, ops: &mut Vec<Op>) {
    let stale = actual
        .sync
        .iter()
        .filter(|(role, daemon)| desired.sync.get(role) != Some(daemon));
    ops.extend(stale.map(|(role, _)| Op::StopSync(*role)));
    let missing = desired
        .sync
        .iter()
        .filter(|(role, daemon)| actual.sync.get(role) != Some(daemon));
    ops.extend(missing.map(|(role, daemon)| Op::StartSync(*role, daemon.clone())));
}
