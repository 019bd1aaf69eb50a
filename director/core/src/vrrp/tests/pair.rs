//! Two and three routers that hear each other.

use super::*;
use StateName::{Active, Backup};

#[test]
fn of_two_that_start_together_the_higher_priority_becomes_active() {
    let mut lab = Lab::new(&[settings(150), settings(100)]);
    lab.run_to(60_000_000);
    let changes = [(0, 0, Backup), (0, 1, Backup), (3_414_062, 0, Active)];
    assert_eq!(lab.changes(), changes);
    assert_eq!(lab.adverts(1), []);
}

#[test]
fn of_two_equals_that_start_together_the_higher_address_stays_active() {
    let mut lab = Lab::new(&[settings(100), settings(100)]);
    lab.run_to(60_000_000);
    // The wire has no delay: the first one's advert restarts the other's timer in the same moment.
    assert_eq!(lab.changes()[2..], [(3_609_375, 0, Active)]);

    let mut lab = Lab::new(&[settings(100), settings(100)]);
    lab.nodes[0].lose = 1; // both become Active, as a delay would have it
    lab.run_to(60_000_000);
    let changes = [
        (3_609_375, 0, Active),
        (3_609_375, 0, Backup),
        (3_609_375, 1, Active),
    ];
    let mut seen = lab.changes()[2..].to_vec();
    seen.sort_by_key(|(at, node, state)| (*at, *node, *state == Backup));
    assert_eq!(seen, changes);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
}

#[test]
fn a_crash_is_noticed_after_active_down() {
    let mut lab = Lab::new(&[settings(150), settings(100)]);
    lab.run_to(10_500_000); // last advert at 10.414062
    lab.nodes[0].dead = true;
    lab.run_to(20_000_000);
    assert_eq!(lab.changes().last(), Some(&(14_023_437, 1, Active)));
}

#[test]
fn a_crash_is_noticed_after_active_down_at_ten_milliseconds() {
    let mut lab = Lab::new(&[settings_v3(150, 10), settings_v3(100, 10)]);
    lab.run_to(1_000_000); // adverts at 34.140 ms and every 10 ms: the last at 994.140
    lab.nodes[0].dead = true;
    lab.run_to(2_000_000);
    assert_eq!(lab.changes().last(), Some(&(994_140 + 36_093, 1, Active)));
}

#[test]
fn two_lost_adverts_do_not_matter_and_a_third_does() {
    let mut lab = Lab::new(&[settings(150), settings(100)]);
    lab.run_to(10_000_000);
    lab.nodes[0].lose = 2;
    lab.run_to(20_000_000);
    assert_eq!(lab.changes().len(), 3);
    lab.nodes[0].lose = 3; // the last heard was at 19.414062
    lab.run_to(40_000_000);
    let changes = [(23_023_437, 1, Active), (23_023_437, 1, Backup)];
    assert_eq!(lab.changes()[3..], changes, "the other is told at once");
}

#[test]
fn a_returning_router_of_higher_priority_preempts() {
    let mut lab = Lab::dark(&[settings(150), settings(100)]);
    lab.link_up(1);
    lab.run_to(10_000_000);
    assert_eq!(lab.state(1), Active);
    lab.link_up(0);
    lab.run_to(20_000_000);
    let changes = [
        (10_000_000, 0, Backup),
        (13_414_062, 0, Active),
        (13_414_062, 1, Backup),
    ];
    assert_eq!(lab.changes()[2..], changes);
}

#[test]
fn a_returning_router_with_nopreempt_stays_backup_until_the_other_fails() {
    let stays = Settings {
        preempt: false,
        ..settings(150)
    };
    let mut lab = Lab::dark(&[stays, settings(100)]);
    lab.link_up(1);
    lab.run_to(10_000_000);
    lab.link_up(0);
    lab.run_to(60_500_000);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
    lab.link_down(1); // says priority 0
    lab.run_to(70_000_000);
    assert_eq!(
        lab.changes().last(),
        Some(&(60_500_000 + 414_062, 0, Active))
    );
}

#[test]
fn a_returning_router_with_preempt_delay_waits_for_it() {
    let waits = Settings {
        preempt_delay: Duration::from_secs(30),
        ..settings(150)
    };
    let mut lab = Lab::dark(&[waits, settings(100)]);
    lab.link_up(1);
    lab.run_to(10_000_000);
    lab.link_up(0); // hears 10.609375 first
    lab.run_to(60_000_000);
    let active = lab
        .changes()
        .into_iter()
        .find(|(_, node, state)| *node == 0 && *state == Active);
    assert_eq!(active, Some((40_609_375, 0, Active)));
    assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
}

#[test]
fn a_fault_of_the_active_router_hands_over_after_the_skew() {
    let mut lab = Lab::new(&[settings(150), settings(100)]);
    lab.run_to(10_000_000);
    lab.link_down(0);
    lab.run_to(20_000_000);
    assert_eq!(lab.changes().last(), Some(&(10_609_375, 1, Active)));
}

#[test]
fn a_fault_whose_adverts_are_lost_is_noticed_after_active_down() {
    let mut lab = Lab::new(&[settings(150), settings(100)]);
    lab.run_to(10_000_000);
    lab.nodes[0].lose = 2;
    lab.link_down(0);
    lab.run_to(20_000_000);
    assert_eq!(
        lab.changes().last(),
        Some(&(9_414_062 + 3_609_375, 1, Active))
    );
}

#[test]
fn of_three_the_next_in_priority_takes_over_and_the_last_follows() {
    let mut lab = Lab::new(&[settings(200), settings(150), settings(100)]);
    lab.run_to(10_500_000);
    lab.nodes[0].dead = true;
    lab.run_to(30_000_000);
    // Last advert at 10.21875; Active_Down of 150 is 3.4140625.
    assert_eq!(lab.changes()[4..], [(13_632_812, 1, Active)]);
    assert_eq!(
        lab.nodes[2].router.active().map(|peer| peer.address),
        Some(address(1))
    );
}

#[test]
fn two_that_disagree_on_the_interval_are_both_active_in_v2_and_raise_the_alarm() {
    let slow = Settings {
        advert_interval: Duration::from_secs(2),
        ..settings(100)
    };
    let mut lab = Lab::new(&[settings(150), slow]);
    lab.run_to(60_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Active));
    for node in [0, 1] {
        let alarms = lab.events.iter().filter(|(_, of, event)| {
            *of == node && matches!(event, Event::IntervalMismatch { dropped: true, .. })
        });
        assert!((1..=2).contains(&alarms.count()), "once in each state");
    }
}

#[test]
fn two_that_disagree_on_the_interval_get_along_in_v3() {
    let mut lab = Lab::new(&[settings_v3(150, 2000), settings_v3(100, 1000)]);
    lab.run_to(60_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
    // The faster one becomes Active first, is preempted, and learns the slower interval.
    assert_eq!(
        lab.nodes[1].router.active_down_interval(),
        Duration::from_micros(7_218_750)
    );
}

#[test]
fn a_one_way_cut_ends_with_one_active_again_that_announces_itself() {
    let mut lab = Lab::new(&[settings(150), settings(100)]);
    lab.run_to(10_000_000);
    lab.nodes[0].mute = true;
    lab.run_to(20_000_000);
    assert_eq!(
        (lab.state(0), lab.state(1)),
        (Active, Active),
        "what VRRP can't help"
    );
    lab.nodes[0].mute = false;
    lab.forget();
    lab.run_to(21_500_000);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
}

#[test]
fn the_two_checksum_forms_of_v3_get_along() {
    let as_v2 = Settings {
        checksum_as_v2: true,
        ..settings_v3(150, 1000)
    };
    let mut lab = Lab::new(&[as_v2, settings_v3(100, 1000)]);
    lab.run_to(20_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
    let counters = lab.nodes[1].router.counters();
    assert!(counters.received > 10);
    assert_eq!(counters.without_pseudo_header, counters.received);
}

#[test]
fn the_counters_of_both_sides_agree() {
    let mut lab = Lab::new(&[settings(150), settings(100)]);
    lab.run_to(60_000_000);
    let (sender, receiver) = (
        lab.nodes[0].router.counters(),
        lab.nodes[1].router.counters(),
    );
    assert_eq!((sender.sent, receiver.received), (57, 57));
    assert_eq!(receiver.dropped().map(|(_, count)| count).sum::<u64>(), 0);
}

#[test]
fn a_router_that_held_its_addresses_before_a_restart_goes_on_at_once() {
    let now = Instant::from_millis(1000);
    let mut router = Router::new(now, settings(100));
    router.adopt(now);
    assert!(!router.wants_addresses(), "not before its interface serves");
    router.set_link(
        now,
        Ok(Source {
            address: address(0),
        }),
    );
    router.adopt(now);
    assert!(router.wants_addresses());
    assert!(matches!(
        router.poll_transmit(),
        Some(Transmit::Advert { .. })
    ));
    router.stop(now);
    router.handle_timeout(now + Duration::from_secs(5));
    router.adopt(now + Duration::from_secs(5));
    assert!(router.is_stopped(), "a stop is for good");
}
