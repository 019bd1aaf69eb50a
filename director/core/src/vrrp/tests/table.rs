//! One router and what it hears: each row of the state table.

use super::*;
use crate::vrrp::{Cause, Hears, State, Why};
use StateName::{Active, Backup, Fault as Faulty, Initialize};

const PEER: IpAddr = ip(10, 0, 0, 9);
const LOW_PEER: IpAddr = ip(10, 0, 0, 0);

/// An Active v2 router of priority 100 at 3.609375 s, its log forgotten.
fn active(settings: Settings) -> Lab {
    let mut lab = Lab::new(&[settings]);
    lab.run_to(3_609_375);
    assert_eq!(lab.state(0), Active);
    lab.forget();
    lab
}

#[test]
fn a_lone_router_becomes_active_after_active_down_in_v2() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.run_to(6_000_000);
    assert_eq!(lab.changes(), [(0, 0, Backup), (3_609_375, 0, Active)]);
    assert_eq!(
        lab.adverts(0),
        [(3_609_375, 100), (4_609_375, 100), (5_609_375, 100)]
    );
}

#[test]
fn a_lone_router_becomes_active_after_active_down_in_v3() {
    // 3 * 10 ms + 156/256 * 10 ms = 36.09 ms
    let mut lab = Lab::new(&[settings_v3(100, 10)]);
    lab.run_to(60_000);
    assert_eq!(lab.changes(), [(0, 0, Backup), (36_093, 0, Active)]);
    assert_eq!(
        lab.adverts(0),
        [(36_093, 100), (46_093, 100), (56_093, 100)]
    );
}

#[test]
fn state_master_below_255_waits_like_a_backup() {
    let mut lab = Lab::new(&[Settings {
        state_master: true,
        ..settings(254)
    }]);
    lab.run_to(4_000_000);
    assert_eq!(lab.changes(), [(0, 0, Backup), (3_007_812, 0, Active)]);
}

#[test]
fn an_owner_is_active_at_once() {
    let mut lab = Lab::new(&[settings(255)]);
    lab.run_to(1_000_000);
    assert_eq!(lab.changes(), [(0, 0, Active)]);
    assert_eq!(lab.adverts(0), [(0, 255), (1_000_000, 255)]);
}

#[test]
fn the_advert_goes_out_before_any_announcement() {
    let mut lab = Lab::new(&[settings(255)]);
    lab.run_to(100_000);
    let order: Vec<Did> = lab.log.iter().map(|(_, _, did)| *did).take(3).collect();
    assert_eq!(
        order,
        [Did::Advert(255), Did::Announce(VIP), Did::Enter(Active)]
    );
}

#[test]
fn a_startup_delay_holds_everything_and_drops_adverts_in_silence() {
    let delay = Duration::from_secs(4);
    let mut lab = Lab::new(&[Settings {
        startup_delay: delay,
        ..settings(100)
    }]);
    lab.run_to(2_000_000);
    assert_eq!(lab.why(0), "startup delay, 2.00 s left");
    lab.inject(0, PEER, 0);
    assert!(lab.events.is_empty());
    lab.run_to(8_000_000);
    assert_eq!(
        lab.changes(),
        [(4_000_000, 0, Backup), (7_609_375, 0, Active)]
    );
    let not_ready = lab.nodes[0].router.counters().dropped().next();
    assert_eq!(
        not_ready.map(|(reason, count)| (reason.name(), count)),
        Some(("not-ready", 1))
    );
}

#[test]
fn a_backup_follows_equal_and_higher_priorities_whatever_their_address() {
    for (peer, priority) in [(PEER, 101), (PEER, 100), (LOW_PEER, 100)] {
        let mut lab = Lab::new(&[settings(100)]);
        lab.run_to(3_000_000);
        lab.inject(0, peer, priority);
        assert_eq!(lab.why(0), format!("hears {peer} with priority {priority}"));
        lab.run_to(6_609_374);
        assert_eq!(lab.state(0), Backup);
        lab.run_to(6_609_375);
        assert_eq!(lab.state(0), Active);
        let silence = Duration::from_micros(3_609_375);
        let cause = lab.events.last().map(|(_, _, event)| event.clone());
        assert!(
            matches!(cause, Some(Event::StateChanged { cause: Cause::ActiveDown(s), .. }) if s == silence)
        );
    }
}

#[test]
fn a_backup_discards_a_lower_priority_and_its_timer_runs_on() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.run_to(3_000_000);
    lab.inject(0, PEER, 99);
    assert_eq!(
        lab.why(0),
        "hears 10.0.0.9 with priority 99, preempts it in 0.609 s"
    );
    lab.run_to(3_609_375);
    assert_eq!(lab.changes().last(), Some(&(3_609_375, 0, Active)));
}

#[test]
fn nopreempt_follows_a_lower_priority() {
    let mut lab = Lab::new(&[Settings {
        preempt: false,
        ..settings(100)
    }]);
    for second in 1..10 {
        lab.run_to(second * 1_000_000);
        lab.inject(0, PEER, 1);
    }
    assert_eq!(lab.state(0), Backup);
    assert_eq!(
        lab.why(0),
        "hears 10.0.0.9 with priority 1, and nopreempt is set"
    );
    lab.run_to(20_000_000);
    assert_eq!(lab.changes().last(), Some(&(12_609_375, 0, Active)));
}

#[test]
fn nopreempt_does_not_hold_for_state_master() {
    let lenient = Settings {
        preempt: false,
        state_master: true,
        ..settings(100)
    };
    let mut lab = Lab::new(&[lenient]);
    lab.run_to(3_000_000);
    lab.inject(0, PEER, 1);
    lab.run_to(3_609_375);
    assert_eq!(lab.state(0), Active);
}

#[test]
fn a_preempt_delay_begins_with_the_first_advert_of_lower_priority() {
    let mut lab = Lab::new(&[Settings {
        preempt_delay: Duration::from_secs(20),
        ..settings(100)
    }]);
    for second in 2..40 {
        lab.run_to(second * 1_000_000);
        if lab.state(0) == Backup {
            lab.inject(0, PEER, 50);
        }
    }
    assert_eq!(lab.changes(), [(0, 0, Backup), (22_000_000, 0, Active)]);
    let preempting = lab
        .events
        .iter()
        .filter(|(_, _, event)| matches!(event, Event::Preempting(..)));
    assert_eq!(preempting.count(), 1);
}

#[test]
fn a_preempt_delay_does_not_delay_a_cold_start() {
    let mut lab = Lab::new(&[Settings {
        preempt_delay: Duration::from_secs(20),
        ..settings(100)
    }]);
    lab.run_to(4_000_000);
    assert_eq!(lab.changes(), [(0, 0, Backup), (3_609_375, 0, Active)]);
}

#[test]
fn a_preempt_delay_is_stopped_by_a_higher_priority_and_ends_when_the_lower_falls_silent() {
    let delayed = Settings {
        preempt_delay: Duration::from_secs(5),
        ..settings(100)
    };
    let mut lab = Lab::new(&[delayed]);
    lab.run_to(1_000_000);
    lab.inject(0, PEER, 50);
    lab.run_to(2_000_000);
    lab.inject(0, PEER, 200);
    lab.run_to(3_000_000);
    lab.inject(0, PEER, 50); // the clock begins anew: until 8 s
    lab.run_to(10_000_000); // but nothing more is heard
    assert_eq!(lab.changes(), [(0, 0, Backup), (6_609_375, 0, Active)]);
}

#[test]
fn a_short_preempt_delay_never_takes_over_sooner_than_none() {
    let mut lab = Lab::new(&[Settings {
        preempt_delay: Duration::from_secs(1),
        ..settings(100)
    }]);
    for tenth in 1..50 {
        lab.run_to(tenth * 100_000);
        if lab.state(0) == Backup {
            lab.inject(0, PEER, 50);
        }
    }
    assert_eq!(lab.changes(), [(0, 0, Backup), (3_609_375, 0, Active)]);
}

#[test]
fn priority_zero_leaves_a_backup_its_skew() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.run_to(1_000_000);
    lab.inject(0, PEER, 200);
    lab.run_to(1_500_000);
    lab.inject(0, PEER, 0);
    assert_eq!(lab.why(0), "10.0.0.9 gave up, takes over in 0.609 s");
    lab.run_to(1_600_000);
    lab.inject(0, PEER, 0); // repeated: prolongs nothing
    lab.run_to(3_000_000);
    assert_eq!(lab.changes(), [(0, 0, Backup), (2_109_375, 0, Active)]);
}

#[test]
fn priority_zero_of_a_third_router_does_not_matter_while_one_is_active() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.run_to(1_000_000);
    lab.inject(0, PEER, 200);
    lab.inject(0, LOW_PEER, 0);
    lab.run_to(4_000_000);
    assert_eq!(lab.state(0), Backup);
}

#[test]
fn a_backup_of_v3_learns_the_interval_and_forgets_it_when_active() {
    let mut lab = Lab::new(&[settings_v3(128, 1000)]);
    let slow = settings_v3(200, 2000);
    lab.run_to(1_000_000);
    lab.inject_as(0, PEER, 200, &slow);
    // 3 * 2 s + 128/256 * 2 s
    lab.run_to(9_500_000);
    assert_eq!(lab.changes(), [(0, 0, Backup), (8_000_000, 0, Active)]);
    assert_eq!(lab.adverts(0), [(8_000_000, 128), (9_000_000, 128)]);
    let counters = lab.nodes[0].router.counters();
    assert_eq!((counters.interval_mismatch, counters.received), (1, 1));
}

#[test]
fn an_interval_of_zero_is_not_learned() {
    let mut lab = Lab::new(&[settings_v3(128, 1000)]);
    lab.inject_as(0, PEER, 200, &settings_v3(200, 0));
    lab.run_to(3_499_999);
    assert_eq!(lab.state(0), Backup);
    lab.run_to(3_500_000);
    assert_eq!(lab.state(0), Active);
}

#[test]
fn an_active_router_answers_priority_zero_at_once() {
    let mut lab = active(settings(100));
    lab.run_to(4_000_000);
    lab.inject(0, PEER, 0);
    lab.run_to(5_000_000);
    assert_eq!(lab.adverts(0), [(4_000_000, 100), (5_000_000, 100)]);
    assert_eq!(lab.state(0), Active);
}

#[test]
fn a_flood_of_priority_zero_is_not_answered_more_often_than_the_gap() {
    let mut lab = active(settings(100));
    for micros in (4_000_000..4_100_000).step_by(100) {
        lab.run_to(micros);
        lab.inject(0, PEER, 0);
    }
    assert_eq!(lab.adverts(0).len(), 10);
}

#[test]
fn an_active_router_steps_back_for_a_higher_priority_whatever_nopreempt_says() {
    let mut lab = active(Settings {
        preempt: false,
        ..settings(100)
    });
    lab.run_to(4_000_000);
    lab.inject(0, LOW_PEER, 101);
    assert_eq!(lab.changes(), [(4_000_000, 0, Backup)]);
    assert_eq!(lab.adverts(0), []);
    lab.run_to(7_609_375);
    assert_eq!(lab.changes().last(), Some(&(7_609_375, 0, Active)));
}

#[test]
fn among_equals_the_higher_address_stays_active() {
    let mut lab = active(settings(100));
    lab.run_to(4_000_000);
    lab.inject(0, LOW_PEER, 100);
    assert_eq!(lab.state(0), Active);
    lab.inject(0, PEER, 100);
    assert_eq!(lab.state(0), Backup);
}

#[test]
fn a_last_advert_before_stepping_back_is_sent_when_configured() {
    let mut lab = active(Settings {
        higher_prio_send_advert: true,
        ..settings(100)
    });
    lab.run_to(4_000_000);
    lab.inject(0, PEER, 101);
    assert_eq!(lab.adverts(0), [(4_000_000, 100)]);
    assert_eq!(lab.state(0), Backup);
}

#[test]
fn an_active_router_answers_a_lower_priority_and_announces_again() {
    let mut lab = active(settings(100));
    lab.run_to(20_000_000);
    lab.forget();
    lab.run_to(20_100_000);
    lab.inject(0, PEER, 99);
    lab.run_to(20_500_000);
    assert_eq!(lab.adverts(0), [(20_100_000, 100)]);
    assert_eq!(
        lab.announcements(0),
        [20_100_000, 20_200_000, 20_300_000, 20_400_000, 20_500_000]
    );
    assert!(matches!(&lab.events[..], [(_, 0, Event::LowerPriority(peer))] if peer.priority == 99));
}

#[test]
fn an_active_router_stays_silent_for_a_lower_priority_when_configured_but_announces() {
    let mut lab = active(Settings {
        lower_prio_no_advert: true,
        ..settings(100)
    });
    lab.run_to(20_100_000);
    lab.forget();
    lab.inject(0, PEER, 99);
    lab.run_to(20_500_000);
    assert_eq!(lab.adverts(0), []);
    assert_eq!(lab.announcements(0).len(), 5);
}

#[test]
fn of_two_owners_the_lower_address_steps_back() {
    let mut lab = Lab::new(&[settings(255), settings(255)]);
    lab.run_to(10_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
    let clashes = lab
        .events
        .iter()
        .filter(|(_, _, event)| matches!(event, Event::BothOwners(_)));
    assert!(clashes.count() >= 1);
}

#[test]
fn an_owner_yields_to_an_owner_that_does_not_step_back_and_returns_when_it_is_gone() {
    let mut lab = Lab::new(&[settings(255)]);
    for second in 1..10 {
        lab.run_to(second * 1_000_000 + 500_000);
        lab.inject(0, LOW_PEER, 255);
    }
    // First heard at 1.5 s; two adverts and 1.2 s for the other: 4.7 s. Heard again at 5.5 s.
    assert_eq!(lab.changes(), [(0, 0, Active), (5_500_000, 0, Backup)]);
    assert_eq!(lab.nodes[0].router.effective_priority(), 254);
    // Last heard at 9.5 s: Active_Down of 254 is 3 s + 2/256 s.
    lab.run_to(13_000_000);
    assert_eq!(lab.changes().last(), Some(&(12_507_812, 0, Active)));
    assert_eq!(lab.adverts(0).last(), Some(&(12_507_812, 255)));
}

#[test]
fn a_fault_of_an_active_router_says_priority_zero_twice_and_ends_as_backup() {
    let mut lab = active(settings(100));
    lab.run_to(4_000_000);
    lab.link_down(0);
    assert_eq!(lab.adverts(0), [(4_000_000, 0), (4_000_000, 0)]);
    assert_eq!(lab.why(0), "link down");
    assert!(!lab.nodes[0].router.wants_addresses());
    assert_eq!(lab.nodes[0].router.next_timeout(), None);
    lab.run_to(10_000_000);
    lab.link_up(0);
    lab.run_to(14_000_000);
    let changes = [
        (4_000_000, 0, Faulty),
        (10_000_000, 0, Backup),
        (13_609_375, 0, Active),
    ];
    assert_eq!(lab.changes(), changes);
}

#[test]
fn another_fault_is_told_and_a_repeated_one_is_not() {
    let mut lab = Lab::dark(&[settings(100)]);
    assert_eq!(lab.why(0), "waits for its interface");
    lab.link_down(0);
    lab.link_down(0);
    let tracked = Fault::Tracked("interface eth1 down".into());
    lab.act(0, |router, now| router.set_link(now, Err(tracked)));
    assert_eq!(lab.changes(), [(0, 0, Faulty), (0, 0, Faulty)]);
    assert_eq!(lab.why(0), "tracked interface eth1 down");
}

#[test]
fn a_router_that_waits_says_for_how_long() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.run_to(1_309_375);
    assert_eq!(lab.why(0), "waits 2.30 s for adverts");
    assert_eq!(lab.nodes[0].router.active(), None);
    let why = lab.nodes[0].router.why_not_active(lab.now);
    assert_eq!(why, Some(Why::Waits(Duration::from_millis(2300))));
}

#[test]
fn timeouts_before_their_time_change_nothing() {
    let mut lab = Lab::new(&[settings(100)]);
    for tenth in 0..36 {
        lab.oversleep_to(tenth * 100_000, 0);
    }
    assert_eq!(lab.changes(), [(0, 0, Backup)]);
    let state = lab.nodes[0].router.state().clone();
    let expected = super::super::Backup {
        active_down_at: Instant::from_micros(3_609_375),
        hears: Hears::Nobody,
        prolonged: false,
        queued: false,
        ready: false,
    };
    assert_eq!(state, State::Backup(expected));
}

#[test]
fn an_active_router_whose_address_changes_says_so_at_once() {
    let mut lab = active(settings(100));
    lab.run_to(4_000_000);
    let source = Source { address: PEER };
    lab.act(0, |router, now| router.set_link(now, Ok(source)));
    lab.act(0, |router, now| router.set_link(now, Ok(source)));
    assert_eq!(lab.adverts(0), [(4_000_000, 100)]);
    assert_eq!(lab.nodes[0].router.source(), Some(PEER));
    assert_eq!(lab.changes(), []);
}

#[test]
fn a_stopped_router_stays_stopped() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.act(0, Router::stop);
    assert!(lab.nodes[0].router.is_stopped());
    lab.link_down(0);
    lab.link_up(0);
    lab.act(0, Router::resume);
    lab.run_to(10_000_000);
    assert_eq!(lab.changes(), [(0, 0, Backup), (0, 0, Initialize)]);
    assert_eq!(lab.why(0), "stopped");
}

#[test]
fn a_fault_during_the_startup_delay_does_not_shorten_it() {
    let delay = Duration::from_secs(10);
    let mut lab = Lab::new(&[Settings {
        startup_delay: delay,
        ..settings(255)
    }]);
    lab.run_to(1_000_000);
    lab.link_down(0);
    lab.run_to(2_000_000);
    lab.link_up(0);
    lab.run_to(20_000_000);
    let changes = [
        (1_000_000, 0, Faulty),
        (2_000_000, 0, Initialize),
        (10_000_000, 0, Active),
    ];
    assert_eq!(lab.changes(), changes);
}

#[test]
fn each_cause_is_told_in_words_with_numbers() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.inject(0, PEER, 200);
    lab.run_to(3_609_375);
    lab.run_to(4_000_000);
    lab.inject(0, PEER, 200);
    lab.inject(0, PEER, 0);
    lab.run_to(5_000_000);
    lab.link_down(0);
    lab.act(0, Router::stop);
    let told: Vec<String> = lab
        .events
        .iter()
        .map(|(_, _, event)| event.to_string())
        .collect();
    let expected = [
        "Initialize -> Backup after 0.000 s: the interface serves, address 10.0.0.1",
        "Backup -> Active after 3.61 s: no advert for 3.61 s",
        "Active -> Backup after 0.391 s: 10.0.0.9 has priority 200",
        "Backup -> Active after 0.609 s: 10.0.0.9 gave up",
        "Active -> Fault after 0.391 s: link down",
        "Fault -> Initialize after 0.000 s: stopped",
    ];
    assert_eq!(told, expected);
}

#[test]
fn an_owner_that_shows_up_once_in_a_while_is_given_its_time_each_time() {
    let mut lab = Lab::new(&[settings(255)]);
    for minute in 1..5 {
        lab.run_to(minute * 60_000_000);
        lab.inject(0, LOW_PEER, 255);
    }
    assert_eq!(lab.changes(), [(0, 0, Active)]);
}

#[test]
fn a_learned_interval_is_forgotten_by_who_becomes_active_and_after_a_fault() {
    let own = Duration::from_millis(3500);
    let mut lab = Lab::new(&[settings_v3(128, 1000)]);
    lab.inject_as(0, PEER, 200, &settings_v3(200, 2000));
    assert_eq!(lab.nodes[0].router.active_down_interval(), own * 2);
    lab.run_to(7_000_000);
    assert_eq!(lab.state(0), Active);
    assert_eq!(lab.nodes[0].router.active_down_interval(), own);

    let mut lab = Lab::new(&[settings_v3(128, 1000)]);
    lab.inject_as(0, PEER, 200, &settings_v3(200, 2000));
    lab.link_down(0);
    lab.link_up(0);
    assert_eq!(lab.nodes[0].router.active_down_interval(), own);
}

#[test]
fn what_nobody_reads_is_bounded_and_the_newest_is_kept() {
    let mut router = Router::new(Instant::ZERO, settings(255));
    for _ in 0..100 {
        let source = Source { address: PEER };
        router.set_link(Instant::ZERO, Ok(source));
        router.set_link(Instant::ZERO, Err(Fault::LinkDown));
    }
    let mut priorities = Vec::new();
    while let Some(Transmit::Advert { payload, .. }) = router.poll_transmit() {
        priorities.push(payload[2]);
    }
    assert_eq!(priorities, [0, 255, 0, 0]);
    let events = std::iter::from_fn(|| router.poll_event()).count();
    assert_eq!(events, crate::limits::ROUTER_EVENTS_MAX);
}

#[test]
fn a_restarted_router_goes_on_being_active_unless_it_hears_who_took_over() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.act(0, Router::adopt);
    assert_eq!(lab.changes(), [(0, 0, Backup), (0, 0, Active)]);
    assert_eq!(lab.adverts(0), [(0, 100)]);
    assert_eq!(lab.announcements(0), [0]);

    let mut lab = Lab::new(&[settings(100)]);
    lab.inject(0, PEER, 150);
    lab.act(0, Router::adopt);
    assert_eq!(lab.state(0), Backup);

    let mut lab = Lab::dark(&[settings(100)]);
    lab.act(0, Router::adopt);
    assert_eq!(lab.state(0), Initialize, "nowhere to send from");
}

#[test]
fn a_router_whose_interface_is_gone_keeps_nothing_to_send() {
    let mut lab = active(settings(100));
    lab.act(0, |router, now| {
        router.set_link(now, Err(Fault::NoInterface));
    });
    assert_eq!(lab.adverts(0), []);
    assert_eq!(lab.why(0), "no such interface");
}
