//! Virtual routers over IPv6.

use super::*;
use crate::vrrp::Reason;
use StateName::{Active, Backup};

const VIP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100));
const GROUP_V6: IpAddr = IpAddr::V6(vrrp::GROUP_V6);

/// A v3 router over IPv6 with a link-local address, a global one, and an excluded one of IPv4.
fn settings_v6(priority: u8) -> Settings {
    let global = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100].into();
    Settings {
        addresses: vec![VIP_V6, global],
        announced: vec![VIP_V6, global, VIP],
        group: GROUP_V6,
        ..settings_v3(priority, 1000)
    }
}

#[test]
fn a_pair_over_ipv6_elects_takes_over_and_returns() {
    let mut lab = Lab::new(&[settings_v6(150), settings_v6(100)]);
    lab.run_to(10_000_000);
    assert_eq!(
        lab.changes(),
        [(0, 0, Backup), (0, 1, Backup), (3_414_062, 0, Active)]
    );
    lab.nodes[0].dead = true;
    lab.run_to(20_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Active));
    lab.nodes[0].dead = false;
    lab.run_to(30_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
}

#[test]
fn addresses_of_both_families_are_announced() {
    let mut lab = Lab::new(&[settings_v6(150)]);
    lab.run_to(4_000_000);
    for address in settings_v6(150).announced {
        let announced = lab
            .log
            .iter()
            .filter(|(_, _, did)| *did == Did::Announce(address));
        assert_eq!(announced.count(), 5, "{address}");
    }
}

#[test]
fn an_equal_priority_is_decided_by_the_link_local_address() {
    let mut lab = Lab::new(&[settings_v6(100), settings_v6(100)]);
    lab.nodes[0].lose = 1;
    lab.run_to(60_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
}

#[test]
fn a_hop_limit_below_255_and_another_destination_are_dropped() {
    let mut lab = Lab::new(&[settings_v6(100)]);
    let source = address_v6(8);
    let payload = advert(source, 200, &settings_v6(200));
    let received = |destination, ttl| Received {
        source,
        destination,
        ttl,
        payload: &payload,
    };
    for (packet, reason) in [
        (received(GROUP_V6, 254), Reason::Ttl),
        (received(VIP_V6, 255), Reason::Destination),
    ] {
        lab.act(0, |router, now| router.handle_advert(now, &packet));
        let mut dropped = lab.nodes[0].router.counters().dropped();
        assert!(
            dropped.any(|(of, count)| of == reason && count == 1),
            "{reason}"
        );
    }
    assert_eq!(lab.nodes[0].router.counters().received, 0);
}

#[test]
fn a_mixed_router_paces_by_the_longer_interval() {
    let mut slow = settings_v6(150);
    slow.garp.interval = Duration::from_millis(1);
    slow.garp.interval_v6 = Duration::from_millis(100);
    let mut lab = Lab::new(&[slow]);
    lab.run_to(6_000_000);
    let at: Vec<u64> = lab
        .log
        .iter()
        .filter(|(_, _, did)| matches!(did, Did::Announce(_)))
        .map(|(at, _, _)| *at)
        .collect();
    assert!(at.len() >= 15);
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 100_000));
}
