//! `strict_mode`, `vrrp_strict`, `accept` and `no_accept`: what they imply, and what the packet filter closes.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::time::Duration;

use director_core::config::{Config, Parsed, Router, Severity, Source, Version, parse};
use director_core::plan;

fn read(text: &str) -> Parsed {
    let source = Source {
        name: "keepalived.conf",
        bytes: text.as_bytes(),
    };
    parse(Some(source), None)
}

fn said(parsed: &Parsed, severity: Severity) -> Vec<&str> {
    let found = parsed.diagnostics.iter();
    found
        .filter(|found| found.severity == severity)
        .map(|found| found.message.as_str())
        .collect()
}

/// A virtual router with these words, under these global ones.
fn text(global: &str, words: &str, addresses: &str) -> String {
    format!(
        "global_defs {{\n{global}\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 7\n{words}\n\
         virtual_ipaddress {{\n{addresses}\n}}\n}}\n"
    )
}

/// The router, and how many warnings it takes.
fn router(global: &str, words: &str) -> (Router, usize) {
    let text = text(global, words, "10.0.0.1/24");
    let parsed = read(&text);
    let warnings = said(&parsed, Severity::Warning).len();
    let errors = format!("{:?}", said(&parsed, Severity::Error));
    (parsed.config.expect(&errors).routers.remove(0), warnings)
}

fn config(text: &str) -> Config {
    read(text).config.unwrap()
}

#[test]
fn who_takes_packets_to_the_addresses_follows_from_mode_version_and_ownership() {
    for (global, words, accepts, warnings) in [
        ("", "", true, 0),
        ("", "accept", true, 0),
        ("", "no_accept", false, 0),
        ("", "no_accept\npriority 255", true, 0),
        ("vrrp_strict", "", false, 0),
        ("vrrp_strict", "strict_mode off", true, 0),
        ("", "strict_mode", false, 0),
        ("vrrp_strict", "priority 255", true, 0),
        ("vrrp_strict", "accept", false, 1), // RFC 3768 knows no such thing
        ("vrrp_strict", "version 3\naccept", true, 0),
        ("vrrp_strict", "version 3\nno_accept", false, 0),
    ] {
        let (router, told) = router(global, words);
        assert_eq!(
            (router.accept, told),
            (accepts, warnings),
            "{global}: {words}"
        );
    }
}

#[test]
fn strict_mode_takes_away_what_keepalived_added_and_says_so() {
    let (router, warnings) = router(
        "vrrp_strict\nvrrp_down_timer_adverts 5\nvrrp_garp_lower_prio_repeat 3",
        "state MASTER\npriority 100\npreempt_delay 30\ndown_timer_adverts 4\ngarp_lower_prio_delay 2\n\
         garp_lower_prio_repeat 2\nlower_prio_no_advert off\nhigher_prio_send_advert\n\
         authentication {\nauth_type PASS\nauth_pass 1111\n}",
    );
    assert!(!router.state_master && router.preempt);
    assert_eq!(router.preempt_delay, Duration::ZERO);
    assert_eq!((router.down_adverts, router.pass), (3, None));
    assert!(router.lower_prio_no_advert && !router.higher_prio_send_advert);
    assert!(router.owner_ignores_adverts);
    let garp = &router.garp;
    assert_eq!(
        (garp.lower_prio_delay, garp.lower_prio_repeat),
        (Duration::ZERO, 0)
    );
    assert_eq!(warnings, 8, "one for each that is not as it was written");

    let (owner, warnings) = self::router("vrrp_strict", "state MASTER\npriority 255");
    assert!(owner.state_master && owner.accept && warnings == 0);
    let (plain, _) = self::router("", "");
    assert!(!plain.lower_prio_no_advert && plain.higher_prio_send_advert);
}

#[test]
fn strict_mode_refuses_what_keepalived_would_not_run_with() {
    for (words, addresses, part) in [
        (
            "unicast_peer {\n10.0.0.2\n}",
            "10.0.0.1",
            "no unicast peers",
        ),
        ("version 2", "", "has no `virtual_ipaddress`"),
        ("no_virtual_ipaddress", "", "without addresses"),
        ("", "2001:db8::1", "a link-local address first"),
    ] {
        let strict = text("vrrp_strict", words, addresses);
        let parsed = read(&strict);
        let errors = said(&parsed, Severity::Error);
        assert!(
            errors.len() == 1 && errors[0].contains(part),
            "{words}: {errors:?}"
        );
        let lax = text("", words, addresses);
        assert!(said(&read(&lax), Severity::Error).is_empty(), "{words}");
    }
    let six = text("vrrp_strict", "version 2", "fe80::1\n2001:db8::1");
    assert_eq!(config(&six).routers[0].version, Version::V3);
}

#[test]
fn the_filter_closes_the_addresses_of_those_that_accept_nothing_and_no_others() {
    let open = text("", "", "10.0.0.1/24");
    assert!(plan::filter(&config(&open)).is_empty());
    let closed = text(
        "",
        "no_accept\nvirtual_ipaddress_excluded {\n10.0.0.2/24\nfe80::2\n}",
        "10.0.0.1/24",
    );
    let filter = plan::filter(&config(&closed));
    let expected: Vec<IpAddr> = ["10.0.0.1", "10.0.0.2", "fe80::2"]
        .map(|text| text.parse().unwrap())
        .into();
    assert_eq!(filter.closed.into_iter().collect::<Vec<_>>(), expected);
    assert!(filter.translated.is_empty());
}
