//! What an acknowledged operation did.

use std::sync::Arc;

use crate::ipvs::{Counters, Dests, Pool, ServiceId, Timeouts};
use crate::kernel::{Actual, Op};

/// Notes what an acknowledged operation did.
pub(super) fn record(actual: &mut Actual, op: Op) {
    match op {
        // The kernel's notice says more: whether the link has a carrier.
        Op::LinkUp(_) | Op::LinkDown(_) => {}
        Op::LinkMtu(ifindex, mtu) => {
            if let Some(link) = actual.links.get_mut(&ifindex) {
                link.mtu = mtu;
            }
        }
        Op::AddVmac { name, .. } => drop(actual.made.insert(name)),
        Op::DelVmac(ifindex) => {
            actual.links.remove(&ifindex);
            actual.addresses.retain(|id, _| id.ifindex != ifindex);
            actual.options.retain(|id, _| id.ifindex != ifindex);
        }
        Op::AddAddress(id, options) => {
            actual.addresses.insert(id, true);
            actual.options.insert(id, options);
        }
        Op::DelAddress(id) => {
            actual.addresses.remove(&id);
            actual.options.remove(&id);
        }
        Op::AddRoute(route) => drop(actual.routes.insert(route)),
        Op::DelRoute(route) => drop(actual.routes.remove(&route)),
        Op::AddRule(rule) => drop(actual.rules.insert(rule)),
        Op::DelRule(rule) => drop(actual.rules.remove(&rule)),
        Op::SetFilter(filter) => actual.filter = Some(filter),
        Op::SetTimeouts(set) => set_timeouts(actual, set),
        Op::StartSync(role, daemon) => drop(actual.sync.insert(role, daemon)),
        Op::StopSync(role) => drop(actual.sync.remove(&role)),
        Op::NewService(id, service) => {
            let pool = Pool::new(service, Dests::default());
            actual.table.0.insert(id, pool);
            actual.counters.forget(id);
        }
        Op::SetService(id, service) => {
            if let Some(pool) = pool(actual, id) {
                pool.service = service;
            }
        }
        Op::DelService(id) => {
            actual.table.0.remove(&id);
            actual.counters.forget(id);
        }
        Op::NewDest(id, dest, to) | Op::SetDest(id, dest, to) => {
            if let Some(pool) = pool(actual, id) {
                pool.dests.set(dest, to);
            }
        }
        Op::DelDest(id, dest) => {
            if let Some(pool) = pool(actual, id) {
                pool.dests.remove(&dest);
                actual.counters.set(id, dest, Counters::default());
            }
        }
    }
}

/// A pool that is about to be other than what is desired, or was so already.
fn pool(actual: &mut Actual, id: ServiceId) -> Option<&mut Pool> {
    actual.table.0.get_mut(&id).map(Arc::make_mut)
}

/// What a timeout was before is kept until it is that again.
fn set_timeouts(actual: &mut Actual, set: Timeouts) {
    let all = actual.timeouts.iter_mut().zip(&mut actual.replaced);
    for ((is, replaced), set) in all.zip(set).filter(|(_, set)| *set != 0) {
        *replaced = match *replaced {
            0 => *is,
            before if before == set => 0,
            before => before,
        };
        *is = set;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff;
    use crate::kernel::Desired;

    #[test]
    fn a_timeout_is_as_it_was_found_once_nobody_asks_for_another() {
        let mut actual = Actual {
            timeouts: [900, 120, 300],
            ..Actual::default()
        };
        let mut want = |timeouts, edited: Option<Timeouts>| {
            actual.timeouts = edited.unwrap_or(actual.timeouts);
            let desired = Desired {
                timeouts,
                ..Desired::default()
            };
            let mut ops = Vec::new();
            diff::rest(&desired, &actual, &mut ops);
            for op in ops.clone() {
                record(&mut actual, op);
            }
            (ops, actual.timeouts)
        };
        let set = |timeouts| vec![Op::SetTimeouts(timeouts)];
        assert_eq!(
            want([901, 0, 301], None),
            (set([901, 0, 301]), [901, 120, 301])
        );
        assert_eq!(want([901, 0, 301], None), (vec![], [901, 120, 301]));
        // By somebody else's hand: ours are repaired, the other is left alone.
        assert_eq!(
            want([901, 0, 301], Some([1, 2, 301])),
            (set([901, 0, 0]), [901, 2, 301])
        );
        assert_eq!(want([902, 0, 301], None), (set([902, 0, 0]), [902, 2, 301]));
        assert_eq!(want([0; 3], None), (set([900, 0, 300]), [900, 2, 300]));
        assert_eq!(want([0; 3], Some([5, 6, 7])), (vec![], [5, 6, 7]));
    }
}
