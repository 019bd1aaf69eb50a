//! Signed adverts: who is believed, who is not, and for what reason.

use proptest::prelude::*;

use super::*;
use crate::vrrp::{Hmac, Key, Mode, Reason};
use crate::wire::trailer::{BYTES, Sequence};
use StateName::{Active, Backup};

/// 2026-06-01 12:00:00.
const NOON: u64 = 1_780_315_200_000_000;
const WINDOW: Duration = Duration::from_secs(5);

fn key(id: u8) -> Key {
    Key {
        id,
        secret: vec![id; 32],
    }
}

fn hmac(keys: &[u8], active: u8, mode: Mode) -> Hmac {
    Hmac {
        keys: keys.iter().map(|id| key(*id)).collect(),
        active,
        window: Some(WINDOW),
        mode,
    }
}

fn signing(settings: Settings, hmac: Hmac) -> Settings {
    Settings {
        hmac: Some(hmac),
        ..settings
    }
}

/// Routers whose wall clocks are as many seconds after noon.
fn lab(of: &[(Settings, u64)]) -> Lab {
    let settings: Vec<Settings> = of.iter().map(|(settings, _)| settings.clone()).collect();
    let mut lab = Lab::dark(&settings);
    for (node, (_, seconds)) in of.iter().enumerate() {
        let wall = NOON + seconds * 1_000_000;
        lab.act(node, |router, now| router.set_wall(now, wall));
        lab.link_up(node);
    }
    lab
}

/// The reasons for which a router has dropped adverts.
fn dropped(router: &Router) -> Vec<(Reason, u64)> {
    let dropped = router.counters().dropped();
    dropped.filter(|(_, count)| *count > 0).collect()
}

fn packet(source: IpAddr, settings: &Settings, key: &Key, at: Sequence) -> Vec<u8> {
    let octets = Octets::of(settings);
    let repr = Repr {
        vrid: settings.vrid,
        priority: 200,
        form: settings.form(),
        addresses: octets.as_addresses(),
    };
    let mut message = Vec::new();
    let key = (key.id, key.secret.as_slice());
    repr.emit_signed(source, settings.group, key, at, &mut message);
    message
}

fn hears(router: &mut Router, now: Instant, source: IpAddr, payload: &[u8]) {
    let received = Received {
        source,
        destination: router.settings().group,
        ttl: TTL,
        payload,
    };
    router.handle_advert(now, &received);
}

fn ipv6_settings() -> Settings {
    Settings {
        group: IpAddr::V6(vrrp::GROUP_V6),
        addresses: vec![[0xfe80, 0, 0, 0, 0, 0, 0, 100].into()],
        ..settings_v3(100, 1000)
    }
}

#[test]
fn a_pair_with_one_key_elects_takes_over_and_drops_nothing() {
    for settings in [settings(100), settings_v3(100, 1000), ipv6_settings()] {
        let of = |priority, wall| {
            let settings = Settings {
                priority,
                ..settings.clone()
            };
            (signing(settings, hmac(&[1, 2], 1, Mode::Enforce)), wall)
        };
        let mut lab = lab(&[of(150, 0), of(100, 3)]);
        lab.run_to(10_000_000);
        assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
        lab.nodes[0].dead = true;
        lab.run_to(20_000_000);
        assert_eq!(lab.state(1), Active);
        lab.nodes[0].dead = false;
        lab.run_to(30_000_000);
        assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
        for node in &lab.nodes {
            assert_eq!(dropped(&node.router), []);
        }
        assert!(lab.nodes[1].router.counters().received > 10);
    }
}

#[test]
fn a_running_pair_comes_to_signed_adverts_and_to_another_key_step_by_step() {
    let both = |one: Option<Hmac>, other: Option<Hmac>| {
        let of = |priority, hmac| Settings {
            hmac,
            ..settings(priority)
        };
        [of(150, one), of(100, other)]
    };
    let with = |keys: &[u8], active, mode| Some(hmac(keys, active, mode));
    let steps = [
        (None, None),
        (with(&[1], 1, Mode::ReceiveOnly), None),
        (
            with(&[1], 1, Mode::ReceiveOnly),
            with(&[1], 1, Mode::ReceiveOnly),
        ),
        (
            with(&[1], 1, Mode::Permissive),
            with(&[1], 1, Mode::ReceiveOnly),
        ),
        (
            with(&[1], 1, Mode::Permissive),
            with(&[1], 1, Mode::Permissive),
        ),
        (with(&[1], 1, Mode::Enforce), with(&[1], 1, Mode::Enforce)),
        (
            with(&[1], 1, Mode::Enforce),
            with(&[1, 2], 1, Mode::Enforce),
        ),
        (
            with(&[1, 2], 2, Mode::Enforce),
            with(&[1, 2], 1, Mode::Enforce),
        ),
        (with(&[2], 2, Mode::Enforce), with(&[2], 2, Mode::Enforce)),
    ];
    let [one, other] = both(None, None);
    let mut lab = lab(&[(one, 0), (other, 0)]);
    let mut now = 0;
    for (one, other) in steps {
        for (node, settings) in both(one, other).into_iter().enumerate() {
            lab.act(node, |router, now| router.reconfigure(now, settings));
        }
        now += 10_000_000;
        lab.run_to(now);
        assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
    }
    assert_eq!(
        lab.nodes[1].router.counters().received,
        lab.nodes[0].router.counters().sent
    );
    assert_eq!(dropped(&lab.nodes[1].router), []);
}

#[test]
fn each_wrong_signature_has_its_reason_and_changes_nothing() {
    let ours = signing(settings(100), hmac(&[1], 1, Mode::Enforce));
    let peer = ip(10, 0, 0, 2);
    let now = Instant::from_millis(500);
    let at = |seconds: u64| Sequence::at(NOON + seconds * 1_000_000);
    let good = packet(peer, &ours, &key(1), at(0));
    let mut tampered = good.clone();
    tampered[2] = 255; // its priority; the checksum is repaired, as a forger would
    let sum = crate::wire::checksum::Sum::new().plus(&{
        let mut advert = tampered[..20].to_vec();
        advert[6..8].fill(0);
        advert
    });
    tampered[6..8].copy_from_slice(&sum.checksum().to_be_bytes());
    let unsigned = advert(peer, 200, &ours);
    for (payload, reason) in [
        (&unsigned, Reason::Unsigned),
        (&packet(peer, &ours, &key(9), at(0)), Reason::UnknownKey),
        (
            &packet(ip(10, 0, 0, 3), &ours, &key(1), at(0)),
            Reason::Signature,
        ),
        (&tampered, Reason::Signature),
        (&packet(peer, &ours, &key(1), at(6)), Reason::Clock),
    ] {
        let mut lab = lab(&[(ours.clone(), 0)]);
        let router = &mut lab.nodes[0].router;
        hears(router, now, peer, payload);
        assert_eq!(dropped(router), [(reason, 1)]);
        assert_eq!(router.active(), None);
        hears(router, now, peer, &good);
        hears(router, now, peer, &good);
        assert_eq!(dropped(router), [(reason, 1), (Reason::Replay, 1)]);
        assert_eq!(router.active().map(|peer| peer.priority), Some(200));
    }
    // Whoever knows no key believes no signature, and says which of the two it is.
    let mut plain = lab(&[(settings(100), 0)]);
    let router = &mut plain.nodes[0].router;
    hears(router, now, peer, &good);
    assert_eq!(dropped(router), [(Reason::AuthType, 1)]);
    assert_eq!(good.len(), unsigned.len() + BYTES);
}

#[test]
fn where_only_the_order_counts_no_clock_is_asked() {
    let mut rule = hmac(&[1], 1, Mode::Enforce);
    rule.window = None;
    let ours = signing(settings(100), rule);
    let peer = ip(10, 0, 0, 2);
    let mut lab = lab(&[(ours.clone(), 0)]);
    let router = &mut lab.nodes[0].router;
    let now = Instant::from_millis(500);
    for (seconds, reasons) in [(9_000, vec![]), (8_000, vec![(Reason::Replay, 1)])] {
        let at = Sequence::at(NOON + seconds * 1_000_000);
        hears(router, now, peer, &packet(peer, &ours, &key(1), at));
        assert_eq!(dropped(router), reasons);
    }
}

#[test]
fn a_clock_that_steps_back_makes_no_advert_a_replay() {
    let of = |priority| (signing(settings(priority), hmac(&[1], 1, Mode::Enforce)), 0);
    let mut lab = lab(&[of(150), of(100)]);
    lab.run_to(10_000_000);
    lab.act(0, |router, now| router.set_wall(now, NOON + 7_000_000));
    lab.run_to(20_000_000);
    assert_eq!(dropped(&lab.nodes[1].router), []);
    assert_eq!(lab.state(1), Backup);
}

proptest! {
    #[test]
    fn of_a_recorded_day_nothing_is_believed_twice_and_nothing_that_was_altered(
        replayed in proptest::collection::vec((0..40usize, 0..200usize, any::<u8>()), 1..60),
    ) {
        let ours = signing(settings(100), hmac(&[1], 1, Mode::Enforce));
        let peer = ip(10, 0, 0, 2);
        let record: Vec<Vec<u8>> = (0..40)
            .map(|tenths| packet(peer, &ours, &key(1), Sequence::at(NOON + tenths * 100_000)))
            .collect();
        let mut lab = lab(&[(ours, 0)]);
        let router = &mut lab.nodes[0].router;
        let now = Instant::from_millis(500);
        let (mut newest, mut believed) = (None, 0);
        for (index, byte, change) in replayed {
            let mut payload = record[index].clone();
            let at = byte % payload.len();
            payload[at] ^= change;
            hears(router, now, peer, &payload);
            if change == 0 && newest < Some(index) {
                (newest, believed) = (Some(index), believed + 1);
            }
            prop_assert_eq!(router.counters().received, believed);
        }
    }
}
