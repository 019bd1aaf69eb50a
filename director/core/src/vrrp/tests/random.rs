//! Anything may happen in any order.

use proptest::prelude::*;

use super::*;
use crate::vrrp::{Cause, State};

/// Something done to a router, after so many microseconds.
#[derive(Clone, Debug)]
enum Step {
    Timeout,
    Link(u8),
    Advert {
        peer: u8,
        priority: u8,
        interval_cs: u16,
    },
    Garbage(Vec<u8>, u8),
    Present(bool),
    Resign,
    Resume,
    Stop,
    Reload(Box<Settings>),
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let choices = (
        any::<[bool; 8]>(),
        1..=255u8,
        1..=400u64,
        0..5u64,
        1..=5u8,
        0..4u8,
        0..3u64,
    );
    choices.prop_map(
        |(flags, priority, tens, seconds, down_adverts, addresses, interval)| {
            let [
                v3,
                preempt,
                state_master,
                pass,
                as_v2,
                no_advert,
                send_advert,
                refresh,
            ] = flags;
            let mut settings = if v3 {
                settings_v3(priority, tens * 10)
            } else {
                settings(priority)
            };
            settings.preempt = preempt;
            settings.state_master = state_master;
            settings.pass = (pass && !v3).then_some(*b"12345678");
            settings.checksum_as_v2 = as_v2;
            settings.lower_prio_no_advert = no_advert;
            settings.higher_prio_send_advert = send_advert;
            settings.preempt_delay = Duration::from_secs(seconds);
            settings.startup_delay = Duration::from_secs(seconds / 2);
            settings.down_adverts = down_adverts;
            settings.addresses = (0..addresses).map(|host| ip(10, 9, 9, host)).collect();
            settings.announced = settings.addresses.clone();
            settings.garp.refresh = Duration::from_secs(u64::from(refresh) * seconds);
            settings.garp.interval = Duration::from_micros(interval * 300);
            settings
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Timeout),
        2 => (0..4u8).prop_map(Step::Link),
        6 => (0..3u8, any::<u8>(), 0..4096u16).prop_map(|(peer, priority, interval_cs)| {
            Step::Advert { peer, priority, interval_cs }
        }),
        1 => (proptest::collection::vec(any::<u8>(), 0..40), any::<u8>())
            .prop_map(|(bytes, ttl)| Step::Garbage(bytes, ttl)),
        2 => any::<bool>().prop_map(Step::Present),
        1 => Just(Step::Resign),
        1 => Just(Step::Resume),
        1 => prop_oneof![9 => Just(Step::Timeout), 1 => Just(Step::Stop)],
        1 => any_settings().prop_map(|settings| Step::Reload(Box::new(settings))),
    ]
}

fn apply(router: &mut Router, now: Instant, step: &Step) {
    match step {
        Step::Timeout => router.handle_timeout(now),
        Step::Link(0) => router.set_link(now, Err(Fault::LinkDown)),
        Step::Link(1) => router.set_link(now, Err(Fault::NoAddress(Family::V4))),
        Step::Link(host) => {
            let address = ip(10, 0, 0, *host);
            router.set_link(now, Ok(Source { address }));
        }
        Step::Advert {
            peer,
            priority,
            interval_cs,
        } => {
            let source = ip(10, 0, 0, peer + 1);
            let mut theirs = router.settings().clone();
            if theirs.version == Version::V3 {
                theirs.advert_interval = Duration::from_millis(u64::from(*interval_cs) * 10);
            }
            let payload = advert(source, *priority, &theirs);
            let received = Received {
                source,
                destination: GROUP,
                ttl: TTL,
                payload: &payload,
            };
            router.handle_advert(now, &received);
        }
        Step::Garbage(bytes, ttl) => {
            let source = ip(10, 0, 0, 77);
            let received = Received {
                source,
                destination: GROUP,
                ttl: *ttl,
                payload: bytes,
            };
            router.handle_advert(now, &received);
        }
        Step::Present(present) => router.addresses_present(now, |_| *present),
        Step::Resign => router.resign(now),
        Step::Resume => router.resume(now),
        Step::Stop => router.stop(now),
        Step::Reload(settings) => router.reconfigure(now, settings.as_ref().clone()),
    }
}

/// Reads everything; adverts only while Active or just after, announcements only while Active.
fn drain(router: &mut Router) {
    let mut frames = 0;
    while let Some(transmit) = router.poll_transmit() {
        if let Transmit::Advert {
            source, payload, ..
        } = transmit
        {
            assert!(!source.is_unspecified());
            assert!(Repr::parse(payload, source, GROUP).is_ok());
        } else {
            assert!(router.wants_addresses());
        }
        frames += 1;
        assert!(frames <= 40, "no storm");
    }
    assert!(!router.wants_transmit());
    while let Some(event) = router.poll_event() {
        assert!(!event.to_string().is_empty());
    }
}

/// Runs in steps of 10 ms, so that every state is looked at.
fn run_watching(lab: &mut Lab, micros: u64) {
    while lab.now.micros() < micros {
        let next = (lab.now.micros() + 10_000).min(micros);
        watching(lab, |lab| lab.run_to(next));
    }
}

/// Does something after which somebody must serve if somebody did before, unless nobody else could.
fn watching(lab: &mut Lab, act: impl FnOnce(&mut Lab)) {
    let served = serving(lab);
    lab.forget();
    act(lab);
    watch(lab);
    let in_vain = |(at, node, event): &(u64, usize, Event)| match event {
        Event::StateChanged {
            cause: Cause::HandedOver(None),
            ..
        } => Some((*at, *node)),
        _ => None,
    };
    if let Some((at, leaving)) = lab.events.iter().find_map(in_vain) {
        // Whoever was Backup when it gave up has taken over: a handover lasts 500 ms at most.
        for (node, other) in lab.nodes.iter().enumerate() {
            let fresh =
                other.router.since() + Duration::from_millis(500) > Instant::from_micros(at);
            let able = other.router.state().name() != StateName::Fault && !fresh;
            assert!(
                node == leaving || !able,
                "{node} should have taken over at {at}"
            );
        }
    } else if served > 0 {
        assert!(serving(lab) > 0, "nobody serves at {}", lab.now);
    }
}

fn serving(lab: &Lab) -> usize {
    let nodes = lab.nodes.iter();
    nodes.filter(|node| node.router.wants_addresses()).count()
}

/// No two routers are Active, except ones that are leaving.
fn watch(lab: &Lab) {
    let stays = |node: &&Node| {
        let state = node.router.state();
        matches!(state, State::Active(active) if active.leaving.is_none())
    };
    let count = lab.nodes.iter().filter(stays).count();
    assert!(count <= 1, "{count} are Active at {}", lab.now);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_inputs_panics_or_leaves_a_timeout_in_the_past(
        first in any_settings(),
        steps in proptest::collection::vec((0..3_000_000u64, any_step()), 1..120),
    ) {
        let mut now = Instant::ZERO;
        let mut router = Router::new(now, first);
        router.set_link(now, Ok(Source { address: address(0) }));
        for (wait, step) in &steps {
            now = now + Duration::from_micros(*wait);
            apply(&mut router, now, step);
            drain(&mut router);
            router.handle_timeout(now);
            drain(&mut router);
            if let Some(next) = router.next_timeout() {
                prop_assert!(next > now, "{next} is not after {now} in {:?}", router.state());
            }
            let active = router.state().name() == StateName::Active;
            prop_assert_eq!(active, router.wants_addresses());
            let why = router.why_not_active(now);
            prop_assert!(active || why.is_some());
            if let Some(why) = why {
                prop_assert!(!why.to_string().is_empty());
            }
        }
    }

    /// On a wire that loses nothing there is one Active router at most, leaving ones aside, and a planned handover has
    /// no moment in which nobody serves; when all is quiet, there is exactly one.
    #[test]
    fn three_routers_on_a_whole_wire_are_never_two_active_and_never_none_in_a_handover(
        priorities in proptest::array::uniform3(1..=255u8),
        preempt in proptest::array::uniform3(any::<bool>()),
        steps in proptest::collection::vec((0..2_000_000u64, 0..3usize, 0..6u8), 1..60),
    ) {
        let with = |node: usize| Settings { preempt: preempt[node], ..settings_v3(priorities[node], 300) };
        let mut lab = Lab::new(&[with(0), with(1), with(2)]);
        let mut at = 0;
        for (wait, node, verb) in steps {
            at += wait;
            run_watching(&mut lab, at);
            if verb == 0 {
                lab.link_down(node);
                continue;
            }
            watching(&mut lab, |lab| match verb {
                1 | 2 => lab.link_up(node),
                3 => lab.act(node, Router::resume),
                4 => lab.act(node, |router, now| {
                    let priority = router.settings().priority.wrapping_mul(7).max(1);
                    let settings = Settings { priority, ..router.settings().clone() };
                    router.reconfigure(now, settings);
                }),
                _ => lab.act(node, Router::resign),
            });
        }
        for node in 0..3 {
            lab.link_up(node);
        }
        run_watching(&mut lab, at + 10_000_000);
        let active = (0..3).filter(|node| lab.state(*node) == StateName::Active).count();
        prop_assert_eq!(active, 1);
    }

    #[test]
    fn two_routers_settle_on_one_active(
        priorities in (1..=255u8, 1..=255u8),
        intervals in (1..=30u64, 1..=30u64),
        starts in (0..8_000_000u64, 0..8_000_000u64),
        losses in (0..3usize, 0..3usize),
    ) {
        let first = settings_v3(priorities.0, intervals.0 * 100);
        let second = settings_v3(priorities.1, intervals.1 * 100);
        let mut lab = Lab::dark(&[first, second]);
        lab.nodes[0].lose = losses.0;
        lab.nodes[1].lose = losses.1;
        let mut order = [(starts.0, 0), (starts.1, 1)];
        order.sort_unstable();
        for (at, node) in order {
            lab.run_to(at);
            lab.link_up(node);
        }
        lab.run_to(60_000_000);
        let mut states = [lab.state(0), lab.state(1)];
        if priorities.0 != priorities.1 {
            let winner = usize::from(priorities.1 > priorities.0);
            prop_assert_eq!(states[winner], StateName::Active);
        }
        states.sort_unstable_by_key(|state| *state == StateName::Backup);
        prop_assert_eq!(states, [StateName::Active, StateName::Backup]);
    }
}
