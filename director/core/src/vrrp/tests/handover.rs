//! Planned handover: the leaving router serves until its successor is heard.

use super::*;
use StateName::{Active, Backup, Initialize};

/// Two routers, the first Active for a while, its log forgotten; it is 10 s.
fn pair(first: Settings, second: Settings) -> Lab {
    let mut lab = Lab::new(&[first, second]);
    lab.run_to(10_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
    lab.forget();
    lab
}

#[test]
fn a_leaving_router_serves_until_the_successor_is_heard() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::resign);
    assert_eq!(
        lab.why(0),
        "hands over: serves until a successor is heard, at most 2.20 s more"
    );
    lab.run_to(10_600_000);
    assert!(lab.nodes[0].router.wants_addresses(), "serves on");
    lab.run_to(30_000_000);
    // The successor's skew is 0.609375 s after the first priority 0; the repetitions do not prolong it.
    assert_eq!(
        lab.changes(),
        [(10_609_375, 1, Active), (10_609_375, 0, Backup)]
    );
    assert_eq!(
        lab.adverts(0),
        [
            (10_000_000, 0),
            (10_050_000, 0),
            (10_100_000, 0),
            (10_609_375, 0)
        ],
        "the last word comes when the successor is heard"
    );
    assert_eq!(
        lab.why(0),
        "handed over at the operator's request; 10.0.0.2 is Active"
    );
}

#[test]
fn the_successors_advert_comes_before_the_leaving_router_lets_go() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::resign);
    lab.run_to(10_609_375);
    let order: Vec<(usize, Did)> = lab.log.iter().map(|(_, node, did)| (*node, *did)).collect();
    let advert = order
        .iter()
        .position(|entry| *entry == (1, Did::Advert(100)));
    let lets_go = order
        .iter()
        .position(|entry| *entry == (0, Did::Enter(Backup)));
    assert!(advert.is_some() && advert < lets_go, "{order:?}");
}

#[test]
fn at_any_interval_the_handover_takes_the_successors_skew() {
    for interval_ms in [10, 100, 1000, 10_000] {
        let first = settings_v3(150, interval_ms);
        let mut lab = Lab::new(&[first, settings_v3(100, interval_ms)]);
        lab.run_to(100_000_000);
        lab.forget();
        lab.act(0, Router::resign);
        lab.run_to(120_000_000);
        let at = 100_000_000 + interval_ms * 1000 * 156 / 256;
        assert_eq!(lab.changes(), [(at, 1, Active), (at, 0, Backup)]);
    }
}

#[test]
fn one_lost_priority_zero_costs_fifty_milliseconds() {
    let mut lab = pair(settings(150), settings(100));
    lab.nodes[0].lose = 1;
    lab.act(0, Router::resign);
    lab.run_to(20_000_000);
    assert_eq!(
        lab.changes(),
        [(10_659_375, 1, Active), (10_659_375, 0, Backup)]
    );
}

#[test]
fn when_nobody_answers_it_stays_active() {
    let mut lab = pair(settings(150), settings(100));
    lab.nodes[1].dead = true;
    lab.act(0, Router::resign);
    lab.run_to(13_000_000);
    assert_eq!(lab.changes(), []);
    // A second for the worst skew of v2, an interval, and the margin; then it advertises again.
    assert_eq!(
        lab.adverts(0),
        [
            (10_000_000, 0),
            (10_050_000, 0),
            (10_100_000, 0),
            (12_200_000, 150)
        ]
    );
}

#[test]
fn the_bound_of_v3_is_two_intervals_and_the_margin() {
    let mut lab = Lab::new(&[settings_v3(150, 100)]);
    lab.run_to(10_000_000);
    lab.forget();
    lab.act(0, Router::resign);
    lab.run_to(10_450_000);
    assert_eq!(
        lab.adverts(0),
        [
            (10_000_000, 0),
            (10_025_000, 0),
            (10_050_000, 0),
            (10_400_000, 150)
        ]
    );
}

#[test]
fn after_a_handover_it_does_not_preempt_its_successor_until_that_fails() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::resign);
    lab.run_to(600_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
    lab.nodes[1].dead = true; // its last advert was at 599.619375: it answers the last word within the gap
    lab.run_to(610_000_000);
    assert_eq!(
        lab.changes().last(),
        Some(&(599_619_375 + 3_414_062, 0, Active))
    );
    // The old successor returns, and priorities decide again.
    lab.nodes[1].dead = false;
    lab.run_to(620_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
}

#[test]
fn a_peer_that_hands_back_is_followed_by_the_one_that_gave_up() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::resign);
    lab.run_to(20_000_000);
    lab.forget();
    lab.act(1, Router::resign);
    lab.run_to(40_000_000);
    assert_eq!(
        lab.changes(),
        [(20_414_062, 0, Active), (20_414_062, 1, Backup)]
    );
}

#[test]
fn a_router_that_resumes_preempts_again() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::resign);
    lab.run_to(20_000_000);
    lab.forget();
    lab.act(0, Router::resume);
    lab.run_to(40_000_000);
    // The last advert that it followed was at 19.619375.
    assert_eq!(
        lab.changes(),
        [(23_033_437, 0, Active), (23_033_437, 1, Backup)]
    );
}

#[test]
fn a_handover_under_way_can_be_taken_back() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::resign);
    lab.run_to(10_300_000);
    lab.act(0, Router::resume);
    lab.run_to(30_000_000);
    assert_eq!(lab.changes(), []);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
}

#[test]
fn resigning_again_and_again_prolongs_nothing_and_sends_nothing_more() {
    let mut lab = pair(settings(150), settings(100));
    for tick in 0..60 {
        lab.run_to(10_000_000 + tick * 10_000);
        lab.act(0, Router::resign);
    }
    lab.run_to(20_000_000);
    assert_eq!(lab.adverts(0).len(), 4);
    assert_eq!(
        lab.changes(),
        [(10_609_375, 1, Active), (10_609_375, 0, Backup)]
    );
}

#[test]
fn priority_zero_of_others_is_neither_a_successor_nor_answered_while_leaving() {
    let mut lab = pair(settings(150), settings(100));
    lab.nodes[1].dead = true;
    lab.act(0, Router::resign);
    lab.run_to(10_200_000);
    for _ in 0..100 {
        lab.inject(0, ip(10, 0, 0, 9), 0);
    }
    assert_eq!(lab.adverts(0).len(), 3);
    assert_eq!(lab.state(0), Active);
}

#[test]
fn a_stop_hands_over_and_ends_in_initialize() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::stop);
    assert!(!lab.nodes[0].router.is_stopped());
    lab.run_to(30_000_000);
    assert_eq!(
        lab.changes(),
        [(10_609_375, 1, Active), (10_609_375, 0, Initialize)]
    );
    assert!(lab.nodes[0].router.is_stopped());
    assert_eq!(lab.nodes[0].router.next_timeout(), None);
}

#[test]
fn a_handover_becomes_a_stop_but_a_stop_is_not_taken_back() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::resign);
    lab.run_to(10_300_000);
    lab.act(0, Router::stop);
    lab.act(0, Router::resign);
    lab.act(0, Router::resume);
    lab.run_to(10_700_000);
    assert!(lab.nodes[0].router.is_stopped());
    assert_eq!(lab.adverts(0).len(), 4);
}

#[test]
fn a_stop_of_a_lone_router_is_bounded() {
    let mut lab = Lab::new(&[settings(255)]);
    lab.act(0, Router::stop);
    lab.run_to(1_199_999);
    assert!(!lab.nodes[0].router.is_stopped());
    lab.run_to(1_200_000);
    assert!(lab.nodes[0].router.is_stopped());
}

#[test]
fn a_fault_ends_a_handover_and_a_stop_at_once() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::resign);
    lab.link_down(0);
    assert_eq!(lab.state(0), StateName::Fault);
    assert_eq!(lab.adverts(0), [(10_000_000, 0)], "it was said already");

    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::stop);
    lab.link_down(0);
    assert!(lab.nodes[0].router.is_stopped());
}

#[test]
fn an_owner_that_handed_over_does_not_come_back_by_itself() {
    let mut lab = Lab::new(&[settings(255), settings(100)]);
    lab.run_to(10_000_000);
    lab.act(0, Router::resign);
    lab.run_to(20_000_000);
    lab.link_down(0);
    lab.link_up(0);
    lab.run_to(60_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
}

#[test]
fn a_backup_that_is_told_to_resign_does_not_preempt() {
    let mut lab = Lab::dark(&[settings(150), settings(100)]);
    lab.link_up(1);
    lab.run_to(10_000_000);
    lab.link_up(0);
    lab.run_to(12_000_000);
    assert_eq!(
        lab.why(0),
        "hears 10.0.0.2 with priority 100, preempts it in 1.41 s"
    );
    lab.act(0, Router::resign);
    lab.run_to(60_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
}

#[test]
fn a_third_router_is_not_disturbed() {
    let mut lab = Lab::new(&[settings(200), settings(150), settings(100)]);
    lab.run_to(10_000_000);
    lab.forget();
    lab.act(0, Router::resign);
    lab.run_to(60_000_000);
    assert_eq!(
        lab.changes(),
        [(10_414_062, 1, Active), (10_414_062, 0, Backup)]
    );
    assert_eq!(lab.state(2), Backup);
}

#[test]
fn a_handover_ended_by_a_fault_is_not_forgotten() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::resign);
    lab.link_down(0);
    lab.run_to(20_000_000);
    lab.link_up(0);
    lab.run_to(60_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
    assert_eq!(
        lab.why(0),
        "handed over at the operator's request; 10.0.0.2 is Active"
    );
}

#[test]
fn a_successor_whose_first_advert_is_lost_costs_at_most_the_bound() {
    let mut lab = pair(settings(150), settings(100));
    lab.nodes[1].lose = 1;
    lab.act(0, Router::resign);
    lab.run_to(30_000_000);
    let changes = [(10_609_375, 1, Active), (11_609_375, 0, Backup)];
    assert_eq!(lab.changes(), changes);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
}

#[test]
fn addresses_are_announced_neither_while_leaving_nor_after() {
    let mut fresh = settings(150);
    fresh.garp.refresh = Duration::from_millis(100);
    let mut lab = pair(fresh, settings(100));
    lab.act(0, Router::resign);
    lab.run_to(20_000_000);
    assert_eq!(lab.announcements(0), []);
}

#[test]
fn who_took_over_again_after_a_handover_has_forgotten_it() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::resign);
    lab.run_to(20_000_000);
    lab.act(1, Router::resign);
    lab.run_to(30_000_000);
    assert_eq!(lab.state(0), Active);
    lab.link_down(0);
    lab.run_to(40_000_000);
    lab.link_up(0);
    lab.run_to(50_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
}

#[test]
fn a_new_address_while_leaving_is_not_advertised() {
    let mut lab = pair(settings(150), settings(100));
    lab.act(0, Router::resign);
    lab.run_to(10_200_000);
    let source = Source {
        address: ip(10, 0, 0, 7),
    };
    lab.act(0, |router, now| router.set_link(now, Ok(source)));
    lab.run_to(10_500_000);
    assert!(lab.adverts(0).iter().all(|(_, priority)| *priority == 0));
}

#[test]
fn the_interval_of_a_successor_of_v3_is_learned() {
    let mut lab = pair(settings_v3(128, 1000), settings_v3(100, 2000));
    lab.act(0, Router::resign);
    lab.run_to(11_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
    assert_eq!(
        lab.nodes[0].router.active_down_interval(),
        Duration::from_secs(7)
    );
}

#[test]
fn a_handover_taken_back_right_after_priority_zero_keeps_the_distance_of_adverts() {
    let mut lab = pair(settings(150), settings(100));
    lab.run_to(10_410_000);
    lab.act(0, Router::resign);
    lab.run_to(10_461_000); // repeated at 10.460, and the next advert was due at 10.414
    lab.act(0, Router::resume);
    lab.forget();
    lab.run_to(11_500_000);
    assert_eq!(lab.adverts(0), [(10_470_000, 150), (11_470_000, 150)]);
    assert!(lab.events.is_empty());
}

#[test]
fn preempting_is_told_again_after_it_was_taken_back() {
    let mut lab = Lab::dark(&[settings(150), settings(100)]);
    lab.link_up(1);
    lab.run_to(10_000_000);
    lab.link_up(0);
    lab.run_to(12_000_000);
    lab.act(0, Router::resign);
    lab.run_to(20_000_000);
    lab.act(0, Router::resume);
    lab.run_to(22_000_000);
    let told = |(_, node, event): &&(u64, usize, Event)| {
        *node == 0 && matches!(event, Event::Preempting(..))
    };
    assert_eq!(lab.events.iter().filter(told).count(), 2);
}
