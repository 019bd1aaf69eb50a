//! When addresses are announced.

use super::*;

fn with_garp(change: impl FnOnce(&mut GarpSettings)) -> Settings {
    let mut settings = settings(255);
    change(&mut settings.garp);
    settings
}

fn addresses(count: u8) -> Vec<IpAddr> {
    (0..count).map(|host| ip(10, 0, 1, host)).collect()
}

#[test]
fn a_takeover_announces_in_five_rounds_and_again_after_five_seconds() {
    let mut lab = Lab::new(&[settings(255)]);
    lab.run_to(60_000_000);
    let burst = |start: u64| (0..5).map(move |round| start + round * 100_000);
    let expected: Vec<u64> = burst(0).chain(burst(5_000_000)).collect();
    assert_eq!(lab.announcements(0), expected);
}

#[test]
fn without_a_delay_there_is_no_second_burst() {
    let mut lab = Lab::new(&[with_garp(|garp| {
        garp.delay = Duration::ZERO;
        garp.repeat = 1;
    })]);
    lab.run_to(60_000_000);
    assert_eq!(lab.announcements(0), [0]);
}

#[test]
fn a_refresh_repeats_for_ever() {
    let mut lab = Lab::new(&[with_garp(|garp| {
        garp.delay = Duration::ZERO;
        garp.repeat = 1;
        garp.refresh = Duration::from_secs(10);
        garp.refresh_repeat = 2;
    })]);
    lab.run_to(25_000_000);
    assert_eq!(
        lab.announcements(0),
        [0, 10_000_000, 10_100_000, 20_000_000, 20_100_000]
    );
}

#[test]
fn a_configured_pause_holds_between_any_two_frames() {
    let mut settings = with_garp(|garp| {
        garp.delay = Duration::ZERO;
        garp.repeat = 2;
        garp.interval = Duration::from_millis(20);
    });
    settings.announced = addresses(3);
    let mut lab = Lab::new(&[settings]);
    lab.run_to(10_000_000);
    assert_eq!(
        lab.announcements(0),
        [0, 20_000, 40_000, 60_000, 80_000, 100_000]
    );
    let order: Vec<Did> = lab.log.iter().map(|(_, _, did)| *did).collect();
    let announced: Vec<Did> = order
        .into_iter()
        .filter(|did| matches!(did, Did::Announce(_)))
        .collect();
    let round: Vec<Did> = addresses(3).into_iter().map(Did::Announce).collect();
    assert_eq!(announced, [round.clone(), round].concat());
}

#[test]
fn a_pause_below_a_millisecond_is_kept_on_the_average() {
    let mut settings = with_garp(|garp| {
        garp.delay = Duration::ZERO;
        garp.repeat = 1;
        garp.interval = Duration::from_micros(100);
    });
    settings.announced = addresses(25);
    let mut lab = Lab::new(&[settings]);
    lab.run_to(100_000);
    let times = lab.announcements(0);
    assert_eq!(
        (times.len(), times[9], times[10], times[24]),
        (25, 0, 1_000, 2_000)
    );
}

#[test]
fn many_addresses_are_paced_by_default_and_adverts_keep_their_time() {
    let mut settings = settings_v3(255, 10);
    settings.announced = addresses(255);
    let mut lab = Lab::new(&[settings]);
    lab.run_to(1_000_000);
    let times = lab.announcements(0);
    assert_eq!(times.len(), 255 * 5);
    for window in times.windows(17) {
        assert!(
            window[16] - window[0] >= 2_000,
            "more than 16 frames in 2 ms"
        );
    }
    let first: Vec<u64> = times.into_iter().take(255).collect();
    assert_eq!(
        first.last(),
        Some(&30_000),
        "the first round is over after 30 ms"
    );
    let adverts: Vec<u64> = lab.adverts(0).into_iter().map(|(at, _)| at).collect();
    let expected: Vec<u64> = (0..=100).map(|n| n * 10_000).collect();
    assert_eq!(adverts, expected);
}

#[test]
fn an_address_is_announced_when_the_kernel_has_it_and_again_when_it_returns() {
    let mut settings = settings(255);
    settings.announced = addresses(2);
    let [first, second] = [settings.announced[0], settings.announced[1]];
    let mut router = Router::new(Instant::ZERO, settings);
    router.set_link(
        Instant::ZERO,
        Ok(Source {
            address: address(0),
        }),
    );
    assert!(matches!(
        router.poll_transmit(),
        Some(Transmit::Advert { .. })
    ));
    assert_eq!(
        router.poll_transmit(),
        None,
        "the kernel has no address yet"
    );

    let announced = |router: &mut Router, millis: u64, present: &[IpAddr]| {
        let now = Instant::from_millis(millis);
        router.addresses_present(now, |address| present.contains(&address));
        router.handle_timeout(now);
        let mut seen = Vec::new();
        while let Some(transmit) = router.poll_transmit() {
            if let Transmit::Announce { address } = transmit {
                seen.push(address);
            }
        }
        seen
    };
    assert_eq!(
        announced(&mut router, 100, &[second]),
        [second],
        "a refused one silences no other"
    );
    assert_eq!(
        announced(&mut router, 200, &[first, second]),
        [first, second]
    );
    assert_eq!(
        announced(&mut router, 300, &[first, second]),
        [first, second]
    );
    for millis in [400, 500, 600, 700] {
        announced(&mut router, millis, &[first, second]);
    }
    assert!(announced(&mut router, 800, &[first, second]).is_empty());
    assert!(announced(&mut router, 810, &[first]).is_empty());
    assert_eq!(
        announced(&mut router, 820, &[first, second]),
        [second],
        "put back after a foreign edit"
    );
}

#[test]
fn nothing_is_announced_after_letting_go() {
    let mut lab = Lab::new(&[settings(255)]);
    lab.link_down(0);
    let before = lab.announcements(0).len();
    lab.run_to(60_000_000);
    assert_eq!(lab.announcements(0).len(), before);
}

#[test]
fn a_persistent_rival_is_announced_over_in_bursts_and_not_at_each_advert() {
    let mut lab = Lab::new(&[settings_v3(255, 1000)]);
    lab.run_to(20_000_000);
    lab.forget();
    for tick in 0..1000 {
        lab.run_to(20_000_000 + tick * 10_000);
        lab.inject_as(0, ip(10, 0, 0, 9), 50, &settings_v3(50, 10));
    }
    // Bursts of 5 at 20 s, then each 5 s at the end of one delay and the start of the next.
    assert!(
        (10..=20).contains(&lab.announcements(0).len()),
        "{:?}",
        lab.announcements(0)
    );
}

#[test]
fn a_router_that_lets_go_unheard_so_far_is_announced_over() {
    let mut lab = Lab::new(&[settings_v3(200, 1000)]);
    lab.run_to(20_000_000);
    lab.forget();
    let source = ip(10, 0, 0, 9);
    lab.inject_as(0, source, 0, &settings_v3(50, 1000));
    lab.run_to(20_500_000);
    let expected: Vec<u64> = (0..5).map(|round| 20_000_000 + round * 100_000).collect();
    assert_eq!(lab.announcements(0), expected);
}

#[test]
fn a_refresh_does_not_cut_a_longer_burst() {
    let mut lab = Lab::new(&[with_garp(|garp| {
        garp.delay = Duration::ZERO;
        garp.refresh = Duration::from_secs(2);
        garp.interval = Duration::from_secs(1);
    })]);
    lab.run_to(8_500_000);
    let seconds: Vec<u64> = lab
        .announcements(0)
        .iter()
        .map(|at| at / 1_000_000)
        .collect();
    assert_eq!(seconds, [0, 1, 2, 3, 4, 6, 8]);
}

#[test]
fn what_was_due_is_not_announced_by_a_router_that_let_go() {
    let mut router = Router::new(Instant::ZERO, settings(255));
    let source = Source {
        address: address(0),
    };
    router.set_link(Instant::ZERO, Ok(source));
    router.addresses_present(Instant::ZERO, |_| true);
    router.set_link(Instant::ZERO, Err(Fault::LinkDown));
    while let Some(transmit) = router.poll_transmit() {
        assert!(!matches!(transmit, Transmit::Announce { .. }));
    }
}

/// Every ten seconds, of the addresses where no advert comes from; one that is gone is not.
#[test]
fn addresses_on_interfaces_without_adverts_are_announced_every_so_often() {
    let mut settings = with_garp(|garp| {
        garp.delay = Duration::ZERO;
        garp.repeat = 1;
        garp.extra = Duration::from_secs(10);
    });
    settings.announced = addresses(3);
    settings.extra = vec![settings.announced[1], ip(10, 9, 9, 9)];
    let again = settings.announced[1];
    let mut lab = Lab::new(&[settings]);
    lab.run_to(25_000_000);
    assert_eq!(lab.announcements(0), [0, 0, 0, 10_000_000, 20_000_000]);
    let later = lab.log.iter().filter(|(at, _, _)| *at > 0);
    let announced = later.filter(|(_, _, did)| matches!(did, Did::Announce(_)));
    assert!(
        announced
            .into_iter()
            .all(|(_, _, did)| *did == Did::Announce(again))
    );
}
