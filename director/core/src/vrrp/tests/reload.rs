//! New settings for a running router.

use super::*;
use StateName::{Active, Backup};

const PEER: IpAddr = ip(10, 0, 0, 9);

fn reload(lab: &mut Lab, node: usize, settings: Settings) {
    lab.act(node, |router, now| router.reconfigure(now, settings));
}

#[test]
fn an_unchanged_reload_sends_nothing_and_keeps_the_timers() {
    let mut lab = Lab::new(&[settings(150), settings(100)]);
    lab.run_to(10_000_000);
    lab.forget();
    reload(&mut lab, 0, settings(150));
    reload(&mut lab, 1, settings(100));
    lab.run_to(11_000_000);
    assert_eq!(lab.adverts(0), [(10_414_062, 150)]);
    assert_eq!(lab.changes(), []);
}

#[test]
fn a_priority_changed_on_the_active_router_is_told_at_once() {
    let mut lab = Lab::new(&[settings(150), settings(100)]);
    lab.run_to(10_000_000);
    lab.forget();
    reload(&mut lab, 0, settings(50));
    lab.run_to(14_000_000);
    // The Backup heard 150 at 9.414062 for the last time and discards 50.
    assert_eq!(lab.adverts(0)[0], (10_000_000, 50));
    assert_eq!(
        lab.changes(),
        [(13_023_437, 1, Active), (13_023_437, 0, Backup)]
    );
}

#[test]
fn the_timer_of_a_backup_is_shifted_by_the_change_of_skew() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.run_to(1_000_000);
    reload(&mut lab, 0, settings(228)); // half a second sooner
    lab.run_to(10_000_000);
    assert_eq!(lab.changes(), [(0, 0, Backup), (3_109_375, 0, Active)]);
}

#[test]
fn a_shorter_interval_holds_at_once() {
    let mut lab = Lab::new(&[settings_v3(128, 10_000)]);
    lab.run_to(20_000_000);
    reload(&mut lab, 0, settings_v3(128, 100)); // 350 ms are long over
    assert_eq!(
        lab.nodes[0].router.next_timeout(),
        Some(Instant::from_micros(20_000_000))
    );
    lab.run_to(20_250_000);
    let adverts = [(20_000_000, 128), (20_100_000, 128), (20_200_000, 128)];
    assert_eq!(lab.adverts(0), adverts);
}

#[test]
fn a_backup_of_v3_keeps_the_interval_that_it_learned() {
    let mut lab = Lab::new(&[settings_v3(128, 1000)]);
    lab.inject_as(0, PEER, 200, &settings_v3(200, 2000));
    reload(&mut lab, 0, settings_v3(128, 500));
    assert_eq!(
        lab.nodes[0].router.active_down_interval(),
        Duration::from_secs(7)
    );
}

#[test]
fn who_becomes_owner_does_not_wait() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.run_to(1_000_000);
    lab.inject(0, PEER, 200);
    reload(&mut lab, 0, settings(255));
    lab.run_to(1_000_000);
    assert_eq!(lab.changes(), [(0, 0, Backup), (1_000_000, 0, Active)]);
}

#[test]
fn preemption_switched_off_follows_who_was_about_to_be_preempted() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.run_to(3_000_000);
    lab.inject(0, PEER, 50);
    reload(
        &mut lab,
        0,
        Settings {
            preempt: false,
            ..settings(100)
        },
    );
    lab.run_to(6_609_374);
    assert_eq!(lab.state(0), Backup);
    lab.run_to(6_609_375);
    assert_eq!(lab.state(0), Active);
}

#[test]
fn a_reload_ends_the_restraint_after_a_handover() {
    let mut lab = Lab::new(&[settings(150), settings(100)]);
    lab.run_to(10_000_000);
    lab.act(0, Router::resign);
    lab.run_to(20_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
    reload(&mut lab, 0, settings(150));
    lab.run_to(30_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
}

#[test]
fn a_reload_does_not_end_a_handover_under_way() {
    let mut lab = Lab::new(&[settings(150), settings(100)]);
    lab.run_to(10_000_000);
    lab.act(0, Router::resign);
    reload(&mut lab, 0, settings(160));
    lab.run_to(30_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Backup, Active));
}

#[test]
fn new_addresses_are_advertised_at_once_and_only_they_are_announced() {
    let mut lab = Lab::new(&[settings(255)]);
    lab.run_to(20_000_000);
    lab.forget();
    let more = ip(10, 0, 0, 101);
    let mut changed = settings(255);
    changed.addresses.push(more);
    changed.announced.push(more);
    lab.run_to(20_500_000);
    reload(&mut lab, 0, changed);
    lab.run_to(20_900_000);
    assert_eq!(lab.adverts(0), [(20_500_000, 255)]);
    let announced = lab
        .log
        .iter()
        .filter(|(_, _, did)| matches!(did, Did::Announce(_)));
    assert!(
        announced
            .clone()
            .all(|(_, _, did)| *did == Did::Announce(more))
    );
    assert_eq!(announced.count(), 5);
}

#[test]
fn a_refresh_switched_on_begins_with_the_reload() {
    let mut lab = Lab::new(&[settings(255)]);
    lab.run_to(20_000_000);
    lab.forget();
    let mut changed = settings(255);
    changed.garp.refresh = Duration::from_secs(60);
    reload(&mut lab, 0, changed);
    lab.run_to(100_000_000);
    assert_eq!(lab.announcements(0), [80_000_000]);
}

#[test]
fn another_preempt_delay_begins_anew_with_the_next_advert() {
    let delayed = |seconds| Settings {
        preempt_delay: Duration::from_secs(seconds),
        ..settings(100)
    };
    let mut lab = Lab::new(&[delayed(60)]);
    for second in 1..40 {
        lab.run_to(second * 1_000_000);
        if second == 10 {
            reload(&mut lab, 0, delayed(20));
        }
        if lab.state(0) == Backup {
            lab.inject(0, PEER, 50);
        }
    }
    assert_eq!(lab.changes().last(), Some(&(30_000_000, 0, Active)));
}

#[test]
fn an_owner_that_yielded_competes_again_when_its_priority_is_changed() {
    let mut lab = Lab::new(&[settings(255)]);
    for second in 1..8 {
        lab.run_to(second * 1_000_000);
        lab.inject(0, ip(10, 0, 0, 0), 255);
    }
    assert_eq!(lab.nodes[0].router.effective_priority(), 254);
    reload(&mut lab, 0, settings(255));
    assert_eq!(lab.nodes[0].router.effective_priority(), 254);
    reload(&mut lab, 0, settings(200));
    assert_eq!(lab.nodes[0].router.effective_priority(), 200);
}

#[test]
fn a_reload_leaves_a_stopped_a_waiting_and_a_faulty_router_where_they_are() {
    let mut lab = Lab::new(&[settings(100), settings(100)]);
    lab.act(0, Router::stop);
    lab.link_down(1);
    reload(&mut lab, 0, settings(255));
    reload(&mut lab, 1, settings(255));
    lab.run_to(10_000_000);
    assert!(lab.nodes[0].router.is_stopped());
    assert_eq!(lab.state(1), StateName::Fault);
    lab.link_up(1);
    assert_eq!(lab.state(1), Active, "an owner now");
}

#[test]
fn another_version_is_spoken_from_the_reload_on() {
    let mut lab = Lab::new(&[settings(150), settings_v3(100, 1000)]);
    lab.run_to(10_000_000);
    assert_eq!(
        (lab.state(0), lab.state(1)),
        (Active, Active),
        "they do not understand each other"
    );
    reload(&mut lab, 1, settings(100));
    lab.run_to(12_000_000);
    assert_eq!((lab.state(0), lab.state(1)), (Active, Backup));
}

#[test]
fn who_becomes_owner_leaves_the_addresses_to_another_owner() {
    let mut lab = Lab::new(&[settings(100)]);
    lab.inject(0, PEER, 255);
    reload(&mut lab, 0, settings(255));
    lab.run_to(3_000_000);
    assert_eq!(lab.state(0), Backup);
}

#[test]
fn the_skew_after_priority_zero_follows_a_changed_interval() {
    let mut lab = Lab::new(&[settings_v3(128, 1000)]);
    lab.inject(0, PEER, 0); // half a second
    lab.run_to(100_000);
    reload(&mut lab, 0, settings_v3(128, 600));
    lab.run_to(1_000_000);
    assert_eq!(lab.changes().last(), Some(&(300_000, 0, Active)));
}

#[test]
fn the_second_look_after_a_stall_follows_a_changed_interval() {
    let mut lab = Lab::new(&[settings_v3(128, 1000)]);
    lab.oversleep_to(20_000_000, 0); // an interval and half of one more
    reload(&mut lab, 0, settings_v3(128, 600));
    lab.run_to(30_000_000);
    assert_eq!(lab.changes().last(), Some(&(20_900_000, 0, Active)));
}

#[test]
fn in_v2_a_changed_interval_holds_for_whom_it_follows() {
    let mut lab = Lab::new(&[settings(128)]);
    lab.inject(0, PEER, 200);
    let slow = Settings {
        advert_interval: Duration::from_secs(2),
        ..settings(128)
    };
    reload(&mut lab, 0, slow);
    lab.run_to(10_000_000);
    assert_eq!(lab.changes().last(), Some(&(6_500_000, 0, Active)));
}
