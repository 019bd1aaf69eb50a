//! Waking too late.

use super::*;
use StateName::{Active, Backup};

const PEER: IpAddr = ip(10, 0, 0, 9);

#[test]
fn a_backup_that_wakes_a_little_late_takes_over() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.oversleep_to(4_609_375, 0); // one interval late
    assert_eq!(lab.changes().last(), Some(&(4_609_375, 0, Active)));
}

#[test]
fn a_backup_that_overslept_listens_once_more() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.oversleep_to(20_000_000, 0);
    assert_eq!(lab.state(0), Backup);
    assert!(
        lab.events
            .iter()
            .any(|(_, _, event)| matches!(event, Event::Stalled(_)))
    );
    lab.run_to(30_000_000); // an interval and the skew
    assert_eq!(lab.changes().last(), Some(&(21_609_375, 0, Active)));
}

#[test]
fn a_backup_that_overslept_does_not_disturb_a_living_active_router() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.inject(0, PEER, 150);
    lab.oversleep_to(20_000_000, 0);
    for second in 20..60 {
        lab.run_to(second * 1_000_000 + 900_000);
        lab.inject(0, PEER, 150);
    }
    assert_eq!(lab.changes(), [(0, 0, Backup)]);
}

#[test]
fn a_backup_that_is_always_late_takes_over_in_the_end() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.oversleep_to(20_000_000, 0);
    lab.oversleep_to(40_000_000, 0);
    assert_eq!(lab.changes().last(), Some(&(40_000_000, 0, Active)));
}

#[test]
fn after_an_advert_the_next_silence_may_be_prolonged_again() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.oversleep_to(20_000_000, 0);
    lab.inject(0, PEER, 150);
    lab.oversleep_to(40_000_000, 0);
    assert_eq!(lab.state(0), Backup);
}

#[test]
fn a_stall_does_not_shorten_a_preempt_delay() {
    let delayed = Settings {
        preempt_delay: Duration::from_secs(60),
        ..settings(100)
    };
    let mut lab = Lab::new(&[delayed]);
    lab.inject(0, PEER, 200);
    lab.oversleep_to(20_000_000, 0);
    lab.inject(0, PEER, 50);
    for second in 21..79 {
        lab.run_to(second * 1_000_000);
        lab.inject(0, PEER, 50);
    }
    assert_eq!(lab.state(0), Backup);
    lab.run_to(81_700_000);
    assert_eq!(lab.state(0), Active);
}

#[test]
fn an_active_router_that_overslept_sends_at_once_and_announces_again() {
    let mut lab = Lab::new(&[settings(255)]);
    lab.run_to(9_500_000);
    lab.forget();
    lab.oversleep_to(20_000_000, 0);
    assert_eq!(lab.adverts(0), [(20_000_000, 255)]);
    assert_eq!(lab.announcements(0), [20_000_000]);
    assert!(
        matches!(lab.events[..], [(_, 0, Event::Stalled(late))] if late == Duration::from_secs(10))
    );
    lab.run_to(21_500_000);
    assert_eq!(lab.adverts(0), [(20_000_000, 255), (21_000_000, 255)]);
}

#[test]
fn an_active_router_that_overslept_steps_back_for_a_better_one() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.run_to(9_000_000);
    lab.oversleep_to(20_000_000, 0);
    lab.inject(0, PEER, 150);
    assert_eq!(lab.state(0), Backup);
}

#[test]
fn an_active_router_that_is_a_little_late_keeps_its_beat() {
    let mut lab = Lab::new(&[settings(255)]);
    lab.oversleep_to(1_300_000, 0);
    lab.run_to(3_000_000);
    assert_eq!(
        lab.adverts(0),
        [
            (0, 255),
            (1_300_000, 255),
            (2_000_000, 255),
            (3_000_000, 255)
        ]
    );
}

#[test]
fn a_small_delay_is_no_stall_even_when_one_missed_advert_is_too_many() {
    let strict = Settings {
        down_adverts: 1,
        ..settings(255)
    };
    let mut lab = Lab::new(&[strict]);
    lab.run_to(10_000_000);
    lab.forget();
    lab.oversleep_to(11_500_000, 0);
    assert!(lab.events.is_empty());
    assert!(lab.announcements(0).is_empty());
    lab.oversleep_to(13_500_001, 0);
    assert!(matches!(lab.events[..], [(_, 0, Event::Stalled(_))]));
}

#[test]
fn a_stall_after_priority_zero_listens_once_more_too() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.inject(0, PEER, 150);
    lab.inject(0, PEER, 0);
    lab.oversleep_to(10_000_000, 0);
    assert_eq!(lab.state(0), Backup);
    lab.inject(0, ip(10, 0, 0, 8), 120); // the successor that was missed
    lab.run_to(13_609_374);
    assert_eq!(lab.state(0), Backup);
}

#[test]
fn a_stall_of_an_active_router_begins_when_its_peers_may_have_taken_over() {
    let stalled = |late: u64| {
        let mut lab = Lab::new(&[settings(255)]);
        lab.run_to(20_000_000);
        lab.forget();
        lab.oversleep_to(21_000_000 + late, 0);
        lab.run_to(30_000_000);
        (lab.events.len(), lab.announcements(0).len())
    };
    assert_eq!(stalled(2_000_000), (0, 0));
    assert_eq!(stalled(2_000_001), (1, 10), "and two bursts");
}

#[test]
fn a_lower_priority_that_is_followed_for_a_delay_breaks_the_silence() {
    let delayed = Settings {
        preempt_delay: Duration::from_secs(600),
        ..settings(100)
    };
    let mut lab = Lab::new(&[delayed]);
    lab.oversleep_to(20_000_000, 0);
    lab.inject(0, PEER, 50);
    lab.oversleep_to(40_000_000, 0); // prolonged anew
    assert_eq!(lab.state(0), Backup);
}

/// Who waits for its sync group sees its time go by, awake.
#[test]
fn a_priority_that_falls_in_a_long_wait_for_the_group_tells_of_no_stall() {
    let mut waits = settings_v3(150, 1000);
    waits.grouped = true;
    let mut lab = Lab::new(&[waits]);
    lab.run_to(100_000);
    lab.inject_as(0, PEER, 100, &settings_v3(100, 1000));
    lab.run_to(20_000_000);
    assert_eq!(
        lab.nodes[0].router.next_timeout(),
        None,
        "it is the group's"
    );
    lab.act(0, |router, now| router.set_weight(now, -100));
    lab.run_to(20_000_000);
    let mut events = lab.events.iter();
    assert!(!events.any(|(_, _, event)| matches!(event, Event::Stalled(_))));
    assert_eq!(lab.nodes[0].router.next_timeout(), None, "again");
}
