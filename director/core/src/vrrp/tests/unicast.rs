//! Adverts from and to single addresses, and routers that step back or do not listen.

use super::*;
use crate::vrrp::{Cause, Reason, Unicast, UnicastPeer};
use StateName::{Active, Backup};

/// A router that speaks to the nodes with these numbers.
fn unicast(settings: Settings, peers: &[usize]) -> Settings {
    let peers = peers.iter().map(|node| UnicastPeer {
        address: match settings.family() {
            Family::V4 => address(*node),
            Family::V6 => address_v6(*node),
        },
        ttl_min: 0,
        ttl_max: 255,
    });
    Settings {
        unicast: Some(Unicast {
            peers: peers.collect(),
            ttl: 64,
            check_source: true,
        }),
        ..settings
    }
}

fn dropped(router: &Router, reason: Reason) -> u64 {
    let mut dropped = router.counters().dropped();
    dropped.find(|(of, _)| *of == reason).unwrap().1
}

/// An advert to the first node.
fn heard<'a>(source: IpAddr, destination: IpAddr, ttl: u8, payload: &'a [u8]) -> Received<'a> {
    Received {
        source,
        destination,
        ttl,
        payload,
    }
}

/// What `advert` makes, with the checksum that the destination wants.
fn advert_to(source: IpAddr, to: IpAddr, priority: u8, settings: &Settings) -> Vec<u8> {
    let group = Settings {
        group: to,
        ..settings.clone()
    };
    advert(source, priority, &group)
}

#[test]
fn three_nodes_elect_take_over_and_return_by_unicast() {
    for settings in [settings(100), settings_v3(100, 1000), ipv6_settings()] {
        let of = |priority, peers: &[usize]| {
            unicast(
                Settings {
                    priority,
                    ..settings.clone()
                },
                peers,
            )
        };
        let mut lab = Lab::new(&[of(150, &[1, 2]), of(120, &[0, 2]), of(100, &[0, 1])]);
        lab.run_to(10_000_000);
        let states = |lab: &Lab| [lab.state(0), lab.state(1), lab.state(2)];
        assert_eq!(states(&lab), [Active, Backup, Backup]);
        lab.nodes[0].dead = true;
        lab.run_to(20_000_000);
        assert_eq!(states(&lab), [Active, Active, Backup]);
        lab.nodes[0].dead = false;
        lab.run_to(30_000_000);
        assert_eq!(states(&lab), [Active, Backup, Backup]);
        // Each advert went to both peers, and is one advert.
        let packets = lab.adverts(0).len() as u64;
        assert_eq!(packets, 2 * lab.nodes[0].router.counters().sent);
    }
}

fn ipv6_settings() -> Settings {
    let address = [0xfe80, 0, 0, 0, 0, 0, 0, 0x100].into();
    Settings {
        addresses: vec![address],
        announced: vec![address],
        group: IpAddr::V6(vrrp::GROUP_V6),
        ..settings_v3(100, 1000)
    }
}

#[test]
fn only_peers_within_their_limits_are_believed() {
    let mut settings = unicast(settings_v3(100, 1000), &[1, 2]);
    settings.unicast.as_mut().unwrap().peers[1].ttl_min = 254;
    let mut lab = Lab::new(&[settings.clone()]);
    let own = address(0);
    let cases = [
        (address(1), own, 1, None),
        (address(2), own, 254, None),
        (address(2), own, 253, Some(Reason::Ttl)),
        (address(7), own, 255, Some(Reason::Peer)),
        (address(1), GROUP, 255, Some(Reason::Destination)),
        (address(1), address(5), 255, Some(Reason::Destination)),
    ];
    for (source, destination, ttl, reason) in cases {
        let payload = advert_to(source, destination, 200, &settings);
        let packet = heard(source, destination, ttl, &payload);
        let before = *lab.nodes[0].router.counters();
        lab.act(0, |router, now| router.handle_advert(now, &packet));
        let router = &lab.nodes[0].router;
        match reason {
            None => assert_eq!(router.counters().received, before.received + 1),
            Some(reason) => assert_eq!(dropped(router, reason), 1 + sum(&before, reason)),
        }
    }
    settings.unicast.as_mut().unwrap().check_source = false;
    let mut lab = Lab::new(&[settings.clone()]);
    let payload = advert_to(address(7), own, 200, &settings);
    let packet = heard(address(7), own, 3, &payload);
    lab.act(0, |router, now| router.handle_advert(now, &packet));
    assert_eq!(lab.nodes[0].router.counters().received, 1);
}

fn sum(counters: &crate::vrrp::Counters, reason: Reason) -> u64 {
    counters.dropped().find(|(of, _)| *of == reason).unwrap().1
}

#[test]
fn a_multicast_router_does_not_take_unicast() {
    let mut lab = Lab::new(&[settings_v3(100, 1000)]);
    let payload = advert_to(address(1), address(0), 200, &settings_v3(200, 1000));
    let packet = heard(address(1), address(0), 255, &payload);
    lab.act(0, |router, now| router.handle_advert(now, &packet));
    assert_eq!(dropped(&lab.nodes[0].router, Reason::Destination), 1);
}

#[test]
fn fewer_peers_after_a_reload_get_no_more_than_theirs() {
    let mut lab = Lab::new(&[unicast(settings(255), &[1, 2, 3])]);
    lab.run_to(5_000_000);
    let now = lab.now;
    let router = &mut lab.nodes[0].router;
    router.handle_timeout(now + Duration::from_secs(1));
    assert!(router.poll_transmit().is_some() && router.poll_transmit().is_some());
    router.reconfigure(now, unicast(settings(255), &[1]));
    // The rest of the old advert falls away; the new one goes to the one that is left.
    while let Some(transmit) = router.poll_transmit() {
        if let Transmit::Advert { destination, .. } = transmit {
            assert_eq!(destination, address(1));
        }
    }
    assert!(!router.wants_advert());
}

#[test]
fn an_owner_that_does_not_listen_counts_what_it_hears() {
    let owner = Settings {
        owner_ignores_adverts: true,
        ..settings(255)
    };
    let mut lab = Lab::new(&[owner]);
    lab.inject(0, address(8), 255);
    lab.run_to(5_000_000);
    assert_eq!(lab.state(0), Active);
    assert_eq!(dropped(&lab.nodes[0].router, Reason::Owner), 1);
}

#[test]
fn a_stall_makes_an_active_router_step_back_when_it_is_told_so() {
    for steps_back in [false, true] {
        let settings = Settings {
            preempt: false,
            timer_expired_backup: steps_back,
            ..settings(150)
        };
        let mut lab = Lab::new(&[settings]);
        lab.run_to(10_000_000);
        assert_eq!(lab.state(0), Active);
        lab.oversleep_to(14_000_000, 0);
        assert_eq!(lab.state(0), if steps_back { Backup } else { Active });
        let stalled = |(_, _, event): &(u64, usize, Event)| {
            let is_cause = |cause: &Cause| matches!(cause, Cause::Stalled(_));
            matches!(event, Event::StateChanged { cause, .. } if is_cause(cause))
        };
        assert_eq!(lab.events.iter().any(stalled), steps_back);
        // Nobody has taken over: it comes back.
        lab.run_to(20_000_000);
        assert_eq!(lab.state(0), Active);
    }
}

#[test]
fn the_machine_has_run_for_long_enough_before_a_router_starts() {
    let late = Settings {
        delay_after_boot: Duration::from_secs(30),
        startup_delay: Duration::from_secs(1),
        ..settings(100)
    };
    let mut lab = Lab::new(std::slice::from_ref(&late));
    lab.run_to(40_000_000);
    assert_eq!(lab.changes()[0], (30_000_000, 0, Backup));
    // A director that is restarted later does not wait again.
    let start = Instant::from_micros(100_000_000);
    let mut router = Router::new(start, late);
    let address = address(0);
    router.set_link(start, Ok(Source { address }));
    assert_eq!(router.next_timeout(), Some(start + Duration::from_secs(1)));
}
