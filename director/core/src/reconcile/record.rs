//! What an acknowledged operation did.

use std::collections::BTreeMap;

use crate::ipvs::{ActualDest, Counters, Pool};
use crate::kernel::{Actual, Op};

/// Notes what an acknowledged operation did.
pub(super) fn record(actual: &mut Actual, op: Op) {
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
