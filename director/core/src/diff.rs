//! The operations that lead from one kernel state to another, in an order that loses nothing on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ipvs::{Dests, Pool, ServiceId, Timeouts};
use crate::kernel::{Actual, AddressId, Desired, Link, Op, Vmac};
use crate::net::{IfName, Ifindex};

/// The network part: links; devices of virtual hardware addresses that go, and those that come, which are of use once
/// the kernel has reported them; then what must go, rules before the routes that they lead to, and routes before the
/// addresses that they are of; then what must come, the other way round.
///
/// What goes is first: while a takeover runs on the peer, each moment that two nodes hold a virtual address is one too
/// many.
#[must_use]
pub fn network(desired: &Desired, actual: &Actual) -> Vec<Op> {
    let mut ops = Vec::new();
    let stale = stale_vmacs(desired, actual);
    ops.extend(stale.iter().copied().map(Op::DelVmac));
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
    ops.extend(missing_vmacs(desired, actual));
    let (had, wanted) = (&actual.rules, &desired.rules);
    ops.extend(had.difference(wanted).cloned().map(Op::DelRule));
    let (had, wanted) = (&actual.routes, &desired.routes);
    ops.extend(had.difference(wanted).cloned().map(Op::DelRoute));
    let others = others(desired, actual);
    for (id, ours) in &actual.addresses {
        let unwanted = *ours || desired.withheld.contains(&id.cidr.address);
        let stays = desired.addresses.contains(id) && !others.contains(id);
        if unwanted && !stale.contains(&id.ifindex) && !stays {
            ops.push(Op::DelAddress(*id));
        }
    }
    ops.extend(turned_vmacs(desired, actual));
    let missing = desired
        .addresses
        .iter()
        .filter(|id| !actual.addresses.contains_key(id) || others.contains(id));
    ops.extend(missing.map(|id| Op::AddAddress(*id, desired.options.get(id).cloned())));
    let (had, wanted) = (&actual.routes, &desired.routes);
    ops.extend(wanted.difference(had).cloned().map(Op::AddRoute));
    let (had, wanted) = (&actual.rules, &desired.rules);
    ops.extend(wanted.difference(had).cloned().map(Op::AddRule));
    ops
}

/// Addresses that were put there in another way than they are to be now: they go, and come anew.
fn others(desired: &Desired, actual: &Actual) -> BTreeSet<AddressId> {
    let is_other = |(id, had): &(&AddressId, &Option<_>)| {
        had.as_ref() != desired.options.get(id) && actual.addresses.get(id) == Some(&true)
    };
    let others = actual.options.iter().filter(is_other);
    others.map(|(id, _)| *id).collect()
}

/// Devices that a director made and that nobody asks for as they are; their addresses go with them.
fn stale_vmacs(desired: &Desired, actual: &Actual) -> BTreeSet<Ifindex> {
    let is_stale = |link: &&Link| {
        let wanted = desired.vmacs.get(&link.name);
        let ours = link.macvlan.is_some_and(|macvlan| macvlan.ours);
        ours && !wanted.is_some_and(|vmac| vmac.is(link))
    };
    let stale = actual.links.values().filter(is_stale);
    stale.map(|link| link.ifindex).collect()
}

fn missing_vmacs(desired: &Desired, actual: &Actual) -> Vec<Op> {
    if desired.vmacs.is_empty() {
        return Vec::new();
    }
    let there = devices(actual);
    let is_there = |name: &IfName, vmac: &Vmac| {
        actual.made.contains(name) || there.get(name).is_some_and(|link| vmac.is(link))
    };
    let missing = desired
        .vmacs
        .iter()
        .filter(|(name, vmac)| !is_there(name, vmac));
    let add = |(name, vmac): (&IfName, &Vmac)| Op::AddVmac {
        name: name.clone(),
        base: vmac.base,
        mac: vmac.mac,
    };
    missing.map(add).collect()
}

/// Up comes before the addresses, and down after they have gone.
fn turned_vmacs(desired: &Desired, actual: &Actual) -> Vec<Op> {
    if desired.vmacs.is_empty() {
        return Vec::new();
    }
    let there = devices(actual);
    let turned = desired.vmacs.iter().filter_map(|(name, vmac)| {
        let link = there.get(name).filter(|link| vmac.is(link))?;
        match (link.up, vmac.up) {
            (false, true) => Some(Op::LinkUp(link.ifindex)),
            (true, false) => Some(Op::LinkDown(link.ifindex)),
            _ => None,
        }
    });
    turned.collect()
}

fn devices(actual: &Actual) -> BTreeMap<&IfName, &Link> {
    let links = actual.links.values();
    let devices = links.filter(|link| link.macvlan.is_some());
    devices.map(|link| (&link.name, link)).collect()
}

/// The packet filter, which is only ever replaced whole: no packet sees half of it.
#[must_use]
pub fn filter(desired: &Desired, actual: &Actual) -> Vec<Op> {
    if actual.filter.as_ref() == Some(&desired.filter) {
        return Vec::new();
    }
    vec![Op::SetFilter(Arc::clone(&desired.filter))]
}

/// The IPVS part: services and dests come, change, and go, in this order, so that a pool that could have servers
/// is never empty; then what belongs to no service.
#[must_use]
pub fn ipvs(desired: &Desired, actual: &Actual) -> Vec<Op> {
    let (wanted, had) = (&desired.table.0, &actual.table.0);
    let mut ops = Vec::new();
    let gone = had.keys().filter(|id| !wanted.contains_key(id));
    for id in wanted.keys().chain(gone) {
        service(*id, wanted.get(id), had.get(id), &mut ops);
    }
    rest(desired, actual, &mut ops);
    ops
}

/// One service of the IPVS part.
pub fn service(
    id: ServiceId,
    wanted: Option<&Arc<Pool>>,
    had: Option<&Arc<Pool>>,
    ops: &mut Vec<Op>,
) {
    match (wanted, had) {
        (None, None) => {}
        (None, Some(_)) => ops.push(Op::DelService(id)),
        (Some(pool), None) => {
            ops.push(Op::NewService(id, pool.service.clone()));
            let dests = pool.dests.iter();
            ops.extend(dests.map(|(dest, to)| Op::NewDest(id, *dest, *to)));
        }
        (Some(pool), Some(had)) => {
            if had.service != pool.service {
                ops.push(Op::SetService(id, pool.service.clone()));
            }
            dests(id, &pool.dests, &had.dests, ops);
        }
    }
}

/// Raised weights before lowered ones, removal last.
fn dests(id: ServiceId, wanted: &Dests, had: &Dests, ops: &mut Vec<Op>) {
    // Most pools are as they should be, and looking up each dest costs ten times as much.
    if wanted == had {
        return;
    }
    let (mut lowered, mut removed) = (Vec::new(), Vec::new());
    for (dest, to) in wanted.iter() {
        match had.get(dest) {
            None => ops.push(Op::NewDest(id, *dest, *to)),
            Some(from) if from == to => {}
            Some(from) if from.weight > to.weight => lowered.push(Op::SetDest(id, *dest, *to)),
            Some(_) => ops.push(Op::SetDest(id, *dest, *to)),
        }
    }
    let gone = had.iter().filter(|(dest, _)| wanted.get(dest).is_none());
    removed.extend(gone.map(|(dest, _)| Op::DelDest(id, *dest)));
    ops.append(&mut lowered);
    ops.append(&mut removed);
}

/// What belongs to no service of the IPVS part: timeouts and synchronisation daemons.
pub fn rest(desired: &Desired, actual: &Actual, ops: &mut Vec<Op>) {
    timeouts(desired, actual, ops);
    sync(desired, actual, ops);
}

/// Those that are no longer asked for are as they were before.
fn timeouts(desired: &Desired, actual: &Actual, ops: &mut Vec<Op>) {
    let wanted = desired.timeouts.into_iter().zip(actual.replaced);
    let wanted = wanted.map(|(wanted, before)| if wanted == 0 { before } else { wanted });
    let mut set = Timeouts::default();
    for ((set, wanted), is) in set.iter_mut().zip(wanted).zip(actual.timeouts) {
        if wanted != is {
            *set = wanted;
        }
    }
    if set != Timeouts::default() {
        ops.push(Op::SetTimeouts(set));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{
        Dest, DestId, Forwarding, Protocol, Service, SyncDaemon, SyncRole, SyncWire, Table,
    };
    use crate::kernel::{Macvlan, Route, Rule, RuleAction};
    use crate::net::{AddressOptions, Family, Mac};

    const VIP: ServiceId = ServiceId::Address {
        protocol: Protocol::Tcp,
        address: core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 100)),
        port: 80,
    };

    fn dest(last: u8) -> DestId {
        DestId {
            address: [10, 0, 0, last].into(),
            port: 80,
        }
    }

    fn to(weight: u32) -> Dest {
        Dest {
            forwarding: Forwarding::Dr,
            weight,
            upper: 0,
            lower: 0,
        }
    }

    fn service(scheduler: &str) -> Service {
        Service {
            scheduler: scheduler.parse().unwrap(),
            flags: 0,
            timeout_s: 0,
            granularity: 32,
            sip: false,
        }
    }

    fn table(scheduler: &str, dests: &[(u8, u32)]) -> Table {
        let dests = dests
            .iter()
            .map(|(last, weight)| (dest(*last), to(*weight)));
        let pool = Pool::new(service(scheduler), dests.collect());
        Table(BTreeMap::from([(VIP, pool)]))
    }

    fn desired(scheduler: &str, dests: &[(u8, u32)]) -> Desired {
        Desired {
            table: table(scheduler, dests),
            ..Desired::default()
        }
    }

    fn actual(scheduler: &str, dests: &[(u8, u32)]) -> Actual {
        Actual {
            table: table(scheduler, dests),
            ..Actual::default()
        }
    }

    #[test]
    fn equal_tables_need_nothing() {
        assert_eq!(
            ipvs(
                &desired("rr", &[(1, 1), (2, 3)]),
                &actual("rr", &[(1, 1), (2, 3)])
            ),
            []
        );
    }

    #[test]
    fn a_service_comes_before_its_dests_and_goes_with_them() {
        let expected = vec![
            Op::NewService(VIP, service("rr")),
            Op::NewDest(VIP, dest(1), to(1)),
            Op::NewDest(VIP, dest(2), to(1)),
        ];
        assert_eq!(
            ipvs(&desired("rr", &[(1, 1), (2, 1)]), &Actual::default()),
            expected
        );
        assert_eq!(
            ipvs(&Desired::default(), &actual("rr", &[(1, 1)])),
            [Op::DelService(VIP)]
        );
    }

    #[test]
    fn a_pool_gains_before_it_loses() {
        let expected = vec![
            Op::SetService(VIP, service("wrr")),
            Op::SetDest(VIP, dest(2), to(5)),
            Op::NewDest(VIP, dest(4), to(1)),
            Op::SetDest(VIP, dest(1), to(0)),
            Op::DelDest(VIP, dest(3)),
        ];
        let wanted = desired("wrr", &[(1, 0), (2, 5), (4, 1)]);
        assert_eq!(
            ipvs(&wanted, &actual("rr", &[(1, 1), (2, 1), (3, 1)])),
            expected
        );
    }

    #[test]
    fn the_sync_daemon_changes_its_role_by_stop_and_start() {
        let daemon = SyncDaemon {
            interface: "eth0".parse().unwrap(),
            id: 51,
            wire: SyncWire::default(),
        };
        let mut wanted = Desired::default();
        wanted.sync.insert(SyncRole::Master, daemon.clone());
        let mut had = Actual::default();
        had.sync.insert(SyncRole::Backup, daemon.clone());
        let expected = vec![
            Op::StopSync(SyncRole::Backup),
            Op::StartSync(SyncRole::Master, daemon),
        ];
        assert_eq!(ipvs(&wanted, &had), expected);
    }

    #[test]
    fn what_goes_goes_before_others_come_in_order_and_foreign_addresses_stay() {
        let ifindex = Ifindex(2);
        let id = |text: &str| AddressId {
            ifindex,
            cidr: text.parse().unwrap(),
        };
        let route = |via: [u8; 4]| Route {
            via: Some(via.into()),
            ..Route::to("0.0.0.0/0".parse().unwrap())
        };
        let rule = |priority| Rule {
            priority,
            ..Rule::of(Family::V4, RuleAction::Table(7))
        };
        let mut had = Actual::default();
        let link = Link {
            ifindex,
            name: "eth0".parse().unwrap(),
            mac: Mac::default(),
            mtu: 1500,
            up: false,
            carrier: false,
            loopback: false,
            macvlan: None,
        };
        had.links.insert(ifindex, link);
        // Ours and unwanted, a virtual one put there by somebody else, and a stranger's.
        had.addresses.insert(id("10.0.0.9/24"), true);
        had.addresses.insert(id("10.0.0.100/24"), false);
        had.addresses.insert(id("192.0.2.1/24"), false);
        had.routes.insert(route([10, 0, 0, 1]));
        had.rules.insert(rule(1));
        let mut wanted = Desired::default();
        wanted.links.insert(ifindex, Some(9000));
        wanted.addresses.insert(id("10.0.0.11/24"));
        wanted.withheld.insert([10, 0, 0, 100].into());
        wanted.routes.insert(route([10, 0, 0, 2]));
        wanted.rules.insert(rule(2));
        let expected = vec![
            Op::LinkMtu(ifindex, 9000),
            Op::LinkUp(ifindex),
            Op::DelRule(rule(1)),
            Op::DelRoute(route([10, 0, 0, 1])),
            Op::DelAddress(id("10.0.0.9/24")),
            Op::DelAddress(id("10.0.0.100/24")),
            Op::AddAddress(id("10.0.0.11/24"), None),
            Op::AddRoute(route([10, 0, 0, 2])),
            Op::AddRule(rule(2)),
        ];
        assert_eq!(network(&wanted, &had), expected);
    }

    #[test]
    fn an_address_that_is_to_be_there_in_another_way_goes_and_comes_anew() {
        let id = AddressId {
            ifindex: Ifindex(2),
            cidr: "10.0.0.100/32".parse().unwrap(),
        };
        let options = |scope| {
            Arc::new(AddressOptions {
                scope,
                ..AddressOptions::default()
            })
        };
        let mut wanted = Desired::default();
        wanted.addresses.insert(id);
        let mut had = Actual::default();
        had.addresses.insert(id, true);
        // Unknown is good, and so is the same.
        assert_eq!(network(&wanted, &had), []);
        had.options.insert(id, None);
        assert_eq!(network(&wanted, &had), []);
        wanted.options.insert(id, options(253));
        let again = Op::AddAddress(id, Some(options(253)));
        assert_eq!(network(&wanted, &had), [Op::DelAddress(id), again.clone()]);
        had.options.insert(id, Some(options(253)));
        assert_eq!(network(&wanted, &had), []);
        had.addresses.clear();
        assert_eq!(network(&wanted, &had), [again]);
        had.addresses.insert(id, true);
        wanted.options.clear();
        assert_eq!(
            network(&wanted, &had),
            [Op::DelAddress(id), Op::AddAddress(id, None)]
        );
    }

    #[test]
    fn devices_of_virtual_routers_are_up_before_their_addresses_and_go_with_them() {
        let (base, device) = (Ifindex(2), Ifindex(7));
        let mac = Mac::of_router(Family::V4, 51);
        let link = |ours, up| Link {
            ifindex: device,
            name: "vrrp.51".parse().unwrap(),
            mac,
            mtu: 1500,
            up,
            carrier: up,
            loopback: false,
            macvlan: Some(Macvlan { base, ours }),
        };
        let id = AddressId {
            ifindex: device,
            cidr: "10.0.0.100/32".parse().unwrap(),
        };
        let want = |up, address| {
            let name = "vrrp.51".parse().unwrap();
            Desired {
                vmacs: BTreeMap::from([(name, Vmac { base, mac, up })]),
                addresses: BTreeSet::from_iter(address),
                ..Desired::default()
            }
        };
        let had = |link: Option<Link>, address: Option<AddressId>| Actual {
            links: link.into_iter().map(|link| (link.ifindex, link)).collect(),
            addresses: address.into_iter().map(|id| (id, true)).collect(),
            ..Actual::default()
        };
        let nothing = had(None, None);
        let add = Op::AddVmac {
            name: "vrrp.51".parse().unwrap(),
            base,
            mac,
        };
        let first = network(&want(false, None), &nothing);
        assert_eq!(first, core::slice::from_ref(&add));
        let made = Actual {
            made: BTreeSet::from(["vrrp.51".parse().unwrap()]),
            ..Actual::default()
        };
        assert_eq!(network(&want(false, None), &made), []);
        // One that a director left unmarked, as it died, is the device all the same.
        let idle = had(Some(link(false, false)), None);
        assert_eq!(network(&want(false, None), &idle), []);
        let taken_over = [Op::LinkUp(device), Op::AddAddress(id, None)];
        assert_eq!(network(&want(true, Some(id)), &idle), taken_over);
        let serving = had(Some(link(true, true)), Some(id));
        let handed_over = [Op::DelAddress(id), Op::LinkDown(device)];
        assert_eq!(network(&want(false, None), &serving), handed_over);
        // With another address, or none asked for: the address on it needs no operation of its own.
        let mut other = want(false, None);
        other
            .vmacs
            .values_mut()
            .for_each(|vmac| vmac.mac = Mac([2; 6]));
        let Op::AddVmac { name, base, .. } = add else {
            return;
        };
        let mac = Mac([2; 6]);
        let again = [Op::DelVmac(device), Op::AddVmac { name, base, mac }];
        assert_eq!(network(&other, &serving), again);
        assert_eq!(
            network(&Desired::default(), &serving),
            [Op::DelVmac(device)]
        );
        let foreign = had(Some(link(false, true)), None);
        assert_eq!(network(&Desired::default(), &foreign), []);
    }
}
