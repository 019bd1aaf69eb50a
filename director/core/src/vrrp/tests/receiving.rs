//! Which packets are believed, and which counter is raised by the others.

use super::*;
use crate::vrrp::Reason;
use StateName::Backup;

const PEER: IpAddr = ip(10, 0, 0, 9);

/// A Backup router that was given one packet, made from a good advert of priority 200 by `change`.
fn given(ours: Settings, theirs: &Settings, change: impl FnOnce(&mut Packet)) -> Lab {
    let mut lab = Lab::new(&[ours]);
    lab.forget();
    let payload = advert(PEER, 200, theirs);
    let mut packet = Packet {
        source: PEER,
        destination: theirs.group,
        ttl: 255,
        payload,
    };
    change(&mut packet);
    let received = Received {
        source: packet.source,
        destination: packet.destination,
        ttl: packet.ttl,
        payload: &packet.payload,
    };
    for _ in 0..2 {
        lab.act(0, |router, now| router.handle_advert(now, &received));
    }
    lab
}

struct Packet {
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    payload: Vec<u8>,
}

/// The reasons whose counters were raised; each twice.
fn dropped(lab: &Lab) -> Vec<Reason> {
    let dropped = lab.nodes[0].router.counters().dropped();
    let raised = dropped.filter(|(_, count)| *count > 0);
    raised
        .inspect(|(_, count)| assert_eq!(*count, 2))
        .map(|(reason, _)| reason)
        .collect()
}

#[test]
fn a_good_advert_is_received() {
    for settings in [settings(100), settings_v3(100, 1000)] {
        let lab = given(settings.clone(), &settings, |_| {});
        assert_eq!(dropped(&lab), []);
        assert_eq!(lab.nodes[0].router.counters().received, 2);
        assert!(lab.events.is_empty());
    }
}

#[test]
fn each_wrong_packet_raises_its_counter_and_is_told_once() {
    let v2 = settings(100);
    let v3 = settings_v3(100, 1000);
    let pass = Settings {
        pass: Some(*b"secret\0\0"),
        ..settings(100)
    };
    let other_pass = Settings {
        pass: Some(*b"Secret\0\0"),
        ..settings(100)
    };
    let slow = Settings {
        advert_interval: Duration::from_secs(3),
        ..settings(100)
    };
    let vrid = Settings {
        vrid: 52,
        ..settings(100)
    };
    let same = |_: &mut Packet| {};
    let cases = [
        (
            Reason::Ttl,
            given(v2.clone(), &v2, |packet| packet.ttl = 254),
        ),
        (
            Reason::Destination,
            given(v2.clone(), &v2, |packet| packet.destination = PEER),
        ),
        (
            Reason::Length,
            given(v2.clone(), &v2, |packet| packet.payload.truncate(19)),
        ),
        (
            Reason::Type,
            given(v2.clone(), &v2, |packet| packet.payload[0] = 0x22),
        ),
        (
            Reason::Checksum,
            given(v2.clone(), &v2, |packet| packet.payload[2] = 99),
        ),
        (Reason::Version, given(v2.clone(), &v3, same)),
        (Reason::Version, given(v3.clone(), &v2, same)),
        (
            Reason::Version,
            given(v2.clone(), &v2, |packet| packet.payload[0] = 0x41),
        ),
        (Reason::Vrid, given(v2.clone(), &vrid, same)),
        (Reason::AuthType, given(v2.clone(), &pass, same)),
        (Reason::AuthType, given(pass.clone(), &v2, same)),
        (Reason::AuthData, given(pass.clone(), &other_pass, same)),
    ];
    for (reason, lab) in cases {
        assert_eq!(dropped(&lab), [reason]);
        let told = lab
            .events
            .iter()
            .map(|(_, _, event)| event.clone())
            .collect::<Vec<_>>();
        assert_eq!(
            told,
            [Event::Dropped {
                reason,
                source: PEER
            }]
        );
        assert_eq!(lab.nodes[0].router.active(), None);
    }
    let lab = given(v2, &slow, same);
    assert_eq!(dropped(&lab), [Reason::Interval]);
    assert!(matches!(
        lab.events[..],
        [(_, 0, Event::IntervalMismatch { dropped: true, .. })]
    ));
}

#[test]
fn adverts_that_come_too_early_are_dropped_in_silence() {
    let mut lab = Lab::dark(&[settings(100)]);
    lab.inject(0, PEER, 200);
    lab.inject(0, PEER, 200);
    assert_eq!(dropped(&lab), [Reason::NotReady]);
    assert!(lab.events.is_empty());
}

#[test]
fn an_echo_of_our_own_adverts_is_silent_but_another_node_with_our_address_is_told() {
    let from_us = |packet: &mut Packet| packet.source = address(0);
    let lab = given(settings(255), &settings(255), from_us);
    assert_eq!(dropped(&lab), [Reason::Own]);
    assert!(lab.events.is_empty());
    assert_eq!(lab.state(0), StateName::Active);

    let lab = given(settings(100), &settings(100), from_us);
    assert_eq!(dropped(&lab), [Reason::Own]);
    let expected = Event::Dropped {
        reason: Reason::Own,
        source: address(0),
    };
    assert_eq!(lab.events, [(0, 0, expected)]);
}

#[test]
fn the_right_password_is_accepted() {
    let pass = Settings {
        pass: Some(*b"12345678"),
        ..settings(100)
    };
    let lab = given(pass.clone(), &pass, |_| {});
    assert_eq!(dropped(&lab), []);
}

#[test]
fn another_address_list_is_told_once_and_never_dropped() {
    let more = [VIP, PEER];
    for addresses in [vec![], vec![PEER], more.to_vec()] {
        let theirs = Settings {
            addresses: addresses.clone(),
            ..settings(100)
        };
        let lab = given(settings(100), &theirs, |_| {});
        let counters = lab.nodes[0].router.counters();
        assert_eq!((counters.received, counters.address_list_mismatch), (2, 2));
        let expected = Event::AddressListMismatch {
            source: PEER,
            theirs: addresses.len(),
            ours: 1,
        };
        assert_eq!(lab.events, [(0, 0, expected)]);
        assert_eq!(
            lab.nodes[0].router.active().map(|peer| peer.priority),
            Some(200)
        );
    }
}

#[test]
fn the_order_of_the_address_list_does_not_matter() {
    let ours = Settings {
        addresses: vec![VIP, PEER],
        ..settings(100)
    };
    let theirs = Settings {
        addresses: vec![PEER, VIP],
        ..settings(100)
    };
    let lab = given(ours, &theirs, |_| {});
    assert_eq!(lab.nodes[0].router.counters().address_list_mismatch, 0);
}

#[test]
fn what_was_told_is_told_again_in_another_state() {
    let mut lab = Lab::new(&[settings(100)]);
    let v3 = settings_v3(200, 1000);
    lab.inject_as(0, PEER, 200, &v3);
    lab.inject_as(0, PEER, 200, &v3);
    lab.run_to(4_000_000);
    lab.inject_as(0, PEER, 200, &v3);
    let told = lab
        .events
        .iter()
        .filter(|(_, _, event)| matches!(event, Event::Dropped { .. }));
    assert_eq!(told.count(), 2);
    assert_eq!(lab.state(0), StateName::Active);
    assert_ne!(lab.state(0), Backup);
}

#[test]
fn another_interval_in_v3_is_told_once() {
    let lab = given(settings_v3(100, 1000), &settings_v3(100, 3000), |_| {});
    let expected = Event::IntervalMismatch {
        source: PEER,
        theirs: Duration::from_secs(3),
        ours: Duration::from_secs(1),
        dropped: false,
    };
    assert_eq!(lab.events, [(0, 0, expected)]);
    assert_eq!(lab.nodes[0].router.counters().interval_mismatch, 2);
}

#[test]
fn every_reason_has_its_own_name() {
    let names: std::collections::BTreeSet<&str> =
        Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
}

#[test]
fn an_advert_of_255_addresses_is_sent_whole_and_a_longer_list_is_cut() {
    let addresses: Vec<IpAddr> = (0..300u16)
        .map(|n| {
            let [high, low] = n.to_be_bytes();
            ip(10, 1, high, low)
        })
        .collect();
    let many = Settings {
        addresses: addresses.clone(),
        announced: addresses,
        ..settings(255)
    };
    let mut router = Router::new(Instant::ZERO, many);
    router.set_link(
        Instant::ZERO,
        Ok(Source {
            address: address(0),
        }),
    );
    let Some(Transmit::Advert { payload, .. }) = router.poll_transmit() else {
        panic!("an owner sends at once");
    };
    assert_eq!(payload.len(), 8 + 4 * 255 + 8);
}
