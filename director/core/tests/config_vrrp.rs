//! What a virtual router's modes imply: `strict_mode`, `accept`, `no_accept`, `auth_hmac`.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::time::Duration;

use director_core::config::{
    Config, Mode, Parsed, Route, Router, Severity, Source, Version, parse,
};
use director_core::kernel::{Rule, RuleAction};
use director_core::net::{AddressOptions, Family};
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

/// The devices of a router as `NAME MAC on INTERFACE`, and where its adverts come from.
fn devices(router: &Router) -> (Vec<String>, Option<String>) {
    let devices = router.vmacs.iter();
    let devices = devices.map(|vmac| format!("{} {} on {}", vmac.name, vmac.mac, vmac.base));
    (
        devices.collect(),
        router.advert_mac.map(|mac| mac.to_string()),
    )
}

#[test]
fn a_hardware_address_of_its_own_is_that_of_the_rfc_or_the_given_one() {
    let usual = "00:00:5e:00:01:07";
    for (words, addresses, expected, sender, warnings) in [
        ("", "10.0.0.1", vec![], None, 0),
        (
            "use_vmac",
            "10.0.0.1",
            vec!["vrrp.7 00:00:5e:00:01:07 on eth0"],
            Some(usual),
            0,
        ),
        (
            "use_vmac",
            "fe80::1",
            vec!["vrrp6.7 00:00:5e:00:02:07 on eth0"],
            Some("00:00:5e:00:02:07"),
            0,
        ),
        (
            "use_vmac gate 02:00:00:00:00:01 netlink_notify_msg\nvmac_xmit_base",
            "10.0.0.1",
            vec!["gate 02:00:00:00:00:01 on eth0"],
            None,
            0,
        ),
        (
            "use_vmac name gate group 7",
            "10.0.0.1",
            vec!["gate 00:00:5e:00:01:07 on eth0"],
            Some(usual),
            1,
        ),
        (
            "use_vmac\nunicast_peer {\n10.0.0.9\n}",
            "10.0.0.1",
            vec!["vrrp.7 00:00:5e:00:01:07 on eth0"],
            None,
            1,
        ),
        ("vmac_xmit_base", "10.0.0.1", vec![], None, 1),
        (
            "use_vmac\nuse_vmac_addr",
            "10.0.0.1\n10.1.0.1 dev eth1\n10.1.0.2 dev eth1",
            vec![
                "vrrp.7 00:00:5e:00:01:07 on eth0",
                "vrrp.7.1 00:00:5e:00:01:07 on eth1",
            ],
            Some(usual),
            0,
        ),
        (
            "use_vmac",
            "10.0.0.1\n10.1.0.1 dev eth1\n10.2.0.1 dev eth2 use_vmac",
            vec![
                "vrrp.7 00:00:5e:00:01:07 on eth0",
                "vrrp.7.1 00:00:5e:00:01:07 on eth2",
            ],
            Some(usual),
            0,
        ),
        (
            "strict_mode\nuse_vmac\nvmac_xmit_base",
            "10.0.0.1",
            vec!["vrrp.7 00:00:5e:00:01:07 on eth0"],
            Some(usual),
            1,
        ),
    ] {
        let text = text("", words, addresses);
        let parsed = read(&text);
        let mut warned = said(&parsed, Severity::Warning);
        warned.retain(|warning| !warning.contains("link-local"));
        assert_eq!(warned.len(), warnings, "{words}: {warned:?}");
        let errors = format!("{:?}", said(&parsed, Severity::Error));
        let (found, from) = devices(&parsed.config.expect(&errors).routers[0]);
        assert_eq!(
            (found, from.as_deref()),
            (expected.iter().map(|it| it.to_string()).collect(), sender)
        );
    }
    for (words, addresses, error) in [
        (
            "use_vmac much-too-long-a-name",
            "10.0.0.1",
            "at most 15 bytes",
        ),
        (
            "use_vmac 01:00:5e:00:00:12",
            "10.0.0.1",
            "not the hardware address of one device",
        ),
        (
            "",
            "10.0.0.1 dev eth1 use_vmac\n10.0.0.2 dev eth1",
            "all addresses of a virtual router on `eth1`",
        ),
    ] {
        let parsed = read(&text("", words, addresses));
        let errors = said(&parsed, Severity::Error);
        assert!(errors[0].contains(error), "{errors:?}");
    }
    let second = text("", "use_vmac vrrp.8", "10.0.0.1")
        + "vrrp_instance W {\ninterface eth1\n\
        virtual_router_id 8\nuse_vmac\nvirtual_ipaddress {\n10.0.1.1\n}\n}\n";
    assert_eq!(
        devices(&config(&second).routers[1]).0,
        ["vrrp.8.1 00:00:5e:00:01:08 on eth1"]
    );
    let twice = second.replace("id 8\nuse_vmac", "id 8\nuse_vmac vrrp.8");
    let parsed = read(&twice);
    let errors = said(&parsed, Severity::Error);
    assert_eq!(errors, ["the device `vrrp.8` is already there on line 7"]);
}

#[test]
fn an_address_says_how_it_is_put_on_its_interface() {
    let usual = AddressOptions::default;
    for (line, expected) in [
        (
            "10.0.0.1/24 brd + scope global no_track track_group G",
            None,
        ),
        (
            "10.0.0.1/24 brd 10.0.0.7 label eth0:1 scope link noprefixroute",
            Some(AddressOptions {
                broadcast: Some("10.0.0.7".parse().unwrap()),
                label: Some("eth0:1".parse().unwrap()),
                scope: 253,
                no_prefix_route: true,
                ..usual()
            }),
        ),
        (
            "10.0.0.1 peer 10.0.0.2 brd - preferred_lft 0",
            Some(AddressOptions {
                peer: Some("10.0.0.2".parse().unwrap()),
                broadcast: Some("0.0.0.0".parse().unwrap()),
                preferred_s: Some(0),
                ..usual()
            }),
        ),
        (
            "fe80::1/64 home -nodad mngtmpaddr preferred_lft forever",
            Some(AddressOptions {
                home: true,
                looks_for_duplicates: true,
                manages_temporary: true,
                preferred_s: Some(AddressOptions::FOREVER),
                ..usual()
            }),
        ),
    ] {
        let text = text("", "", line);
        let parsed = read(&text);
        assert!(
            parsed.diagnostics.is_empty(),
            "{line}: {:?}",
            parsed.diagnostics
        );
        let address = &parsed.config.unwrap().routers[0].addresses[0];
        assert_eq!(address.options.as_deref(), expected.as_ref(), "{line}");
    }
    for (line, error) in [
        ("fe80::1 brd +", "IPv6 has no broadcast"),
        ("10.0.0.1 peer fe80::1", "not an IPv4 address"),
        ("10.0.0.1 scope here", "a scope is a number"),
        ("10.0.0.1 preferred_lft", "needs a value"),
        ("10.0.0.1 secondary", "not an option of a virtual address"),
    ] {
        let parsed = read(&text("", "", line));
        let errors = said(&parsed, Severity::Error);
        assert!(errors[0].contains(error), "{line}: {errors:?}");
    }
    for (line, warning) in [
        ("10.0.0.1 home", "it is for addresses of IPv6"),
        ("fe80::1/128 mngtmpaddr", "but for an address of a /64"),
        ("10.0.0.1 autojoin", "no virtual address is a multicast one"),
        ("fe80::1 scope link", "the scope follows from the address"),
        ("fe80::1 label eth0:1", "only addresses of IPv4 have one"),
    ] {
        let parsed = read(&text("", "", line));
        let warnings = said(&parsed, Severity::Warning);
        assert!(warnings[0].contains(warning), "{line}: {warnings:?}");
        assert_eq!(parsed.config.unwrap().routers[0].addresses[0].options, None);
    }
}

#[test]
fn a_rule_says_which_packets_it_is_for() {
    let words = "not to 198.51.100.0/24 tos 0x10 ipproto tcp sport 1024-65534 dport 80 uidrange 7-9 \
        suppress_ifgroup 3 suppress_prefixlength 0 table 1 preference 12";
    let more = format!("static_rules {{\n{words}\ngoto 14 preference 13\nnop preference 14\n}}\n");
    let rules = config(&(text("", "", "10.0.0.1") + &more)).statics.rules;
    let expected = Rule {
        priority: 12,
        invert: true,
        to: Some("198.51.100.0/24".parse().unwrap()),
        tos: 0x10,
        protocol: Some(6),
        from_ports: Some((1024, 65534)),
        to_ports: Some((80, 80)),
        users: Some((7, 9)),
        suppress_group: Some(3),
        suppress_prefix: Some(0),
        ..Rule::of(Family::V4, RuleAction::Table(1))
    };
    assert_eq!(rules[0], expected);
    let actions: Vec<RuleAction> = rules.iter().map(|rule| rule.action).collect();
    assert_eq!(actions[1..], [RuleAction::Goto(14), RuleAction::Nop]);
}

#[test]
fn a_route_has_several_next_hops_and_metrics() {
    let routes = |lines: &str| {
        let more = format!("static_routes {{\n{lines}\n}}\n");
        config(&(text("", "", "10.0.0.1") + &more)).statics.routes
    };
    let hops = |route: &Route| -> Vec<String> {
        let hops = route.hops.iter();
        let words = hops.map(|hop| {
            let via = hop.via.map(|via| via.to_string()).unwrap_or_default();
            let interface = hop.interface.as_ref().map_or("", |name| name.as_str());
            format!("{via} {interface} {} {}", hop.weight, hop.onlink)
        });
        words.collect()
    };
    let found = routes(
        "10.1.0.0/16 via 10.0.0.8 or 10.0.0.9 dev eth1 onlink mtu lock 1400 quickack 1\n\
         10.2.0.0/16 nexthop via 10.0.0.8 weight 3 onlink nexthop dev eth1\n10.3.0.0/16 nexthop via 10.0.0.8 dev eth1",
    );
    assert_eq!(
        hops(&found[0]),
        ["10.0.0.8 eth1 1 true", "10.0.0.9 eth1 1 true"]
    );
    assert_eq!(found[0].to_string(), "10.1.0.0/16 by 2 next hops");
    let metrics: Vec<_> = found[0].metrics.iter().collect();
    assert_eq!(metrics, [(1, 1 << 2), (2, 1400), (15, 1)]);
    assert_eq!(hops(&found[1]), ["10.0.0.8  3 true", " eth1 1 false"]);
    assert_eq!(
        (hops(&found[2]).len(), found[2].via),
        (0, Some([10, 0, 0, 8].into()))
    );
    for (line, error) in [
        (
            "10.1.0.0/16 via 10.0.0.8 nexthop via 10.0.0.9",
            "and not both",
        ),
        (
            "10.1.0.0/16 via 10.0.0.7 or 10.0.0.8 nexthop via 10.0.0.9",
            "and not both",
        ),
        ("10.1.0.0/16 dev eth0 or 10.0.0.8", "beside that of `via`"),
        (
            &format!("10.1.0.0/16{}", " nexthop via 10.0.0.8".repeat(9)),
            "at most 8 next hops",
        ),
        (
            "10.1.0.0/16 nexthop via 10.0.0.8 nexthop weight 2",
            "a next hop needs",
        ),
        (
            "10.1.0.0/16 nexthop via 10.0.0.8 nexthop via fe80::1 dev eth0",
            "of one family",
        ),
        (
            "10.1.0.0/16 via 10.0.0.8 weight 2",
            "only a `nexthop` has a weight",
        ),
        (
            "blackhole 10.1.0.0/16 nexthop dev eth0 nexthop dev eth1",
            "leads nowhere",
        ),
        ("10.1.0.0/16 via 10.0.0.8 mtu 65521", "from 0 to 65520"),
    ] {
        let more = format!("static_routes {{\n{line}\n}}\n");
        let parsed = read(&(text("", "", "10.0.0.1") + &more));
        let errors = said(&parsed, Severity::Error);
        assert!(errors[0].contains(error), "{line}: {errors:?}");
    }
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

/// A router with this block, and its errors.
fn keyed(block: &str, words: &str) -> Result<Router, Vec<String>> {
    let text = text(
        "",
        &format!("auth_hmac {{\n{block}\n}}\n{words}"),
        "10.0.0.1",
    );
    let parsed = read(&text);
    let errors = said(&parsed, Severity::Error);
    let errors = errors.into_iter().map(str::to_owned).collect();
    parsed
        .config
        .map(|mut config| config.routers.remove(0))
        .ok_or(errors)
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn keys_are_text_or_digits_and_one_of_them_signs() {
    let hmac = |block: &str, words: &str| keyed(block, words).unwrap().hmac.unwrap();
    let digits = "00ff".repeat(16);
    let one = hmac(&format!("key 7 {SECRET}"), "");
    assert_eq!((one.active, one.mode), (7, Mode::Enforce));
    assert_eq!(one.keys[0].secret, SECRET.as_bytes());
    assert_eq!(one.window, Some(Duration::from_secs(5)));
    assert!(
        !format!("{one:?}").contains("48, 49, 50"),
        "the secret is in no log"
    );
    let two = hmac(
        &format!(
            "key 7 {SECRET}\nkey 0 hex:{digits}\nactive_key 0\nmode receive-only\nanti_replay monotonic"
        ),
        "",
    );
    assert_eq!(
        (two.active, two.mode, two.window),
        (0, Mode::ReceiveOnly, None)
    );
    assert_eq!(two.keys[1].secret, [0, 255].repeat(16));
    let slow = hmac(&format!("key 7 {SECRET}"), "advert_int 4");
    assert_eq!(slow.window, Some(Duration::from_secs(12)));
    let wide = hmac(
        &format!("key 7 {SECRET}\ntime_window 60\nanti_replay time"),
        "",
    );
    assert_eq!(wide.window, Some(Duration::from_secs(60)));
}

#[test]
fn an_advert_over_ipv6_carries_fewer_addresses_when_it_is_signed() {
    let many: String = (1..=100).map(|host| format!("fe80::{host}\n")).collect();
    for (words, carried) in [
        ("", 90),
        ("auth_hmac {\nkey 1 0123456789abcdef0123456789abcdef\n}", 89),
    ] {
        let text = text("", words, &many);
        let router = config(&text).routers.remove(0);
        assert_eq!(
            (router.addresses.len(), router.excluded.len()),
            (carried, 100 - carried)
        );
    }
}

#[test]
fn keys_that_protect_nothing_are_refused() {
    for (block, words, part) in [
        ("", "", "has no `key`"),
        ("key 1 short", "", "32 to 64 bytes"),
        (
            "key 1 hex:00112233445566778899aabbccddeeffzz112233445566778899aabbccddeeff",
            "",
            "32 to 64 bytes",
        ),
        ("key 1 file:/etc/keys/one", "", "not read from a file"),
        (
            "key 1 0123456789abcdef0123456789abcdef\nkey 1 0123456789abcdef0123456789abcdef",
            "",
            "already there",
        ),
        (
            "key 1 0123456789abcdef0123456789abcdef\nkey 2 0123456789abcdef0123456789abcdef",
            "",
            "no `active_key`",
        ),
        (
            "key 1 0123456789abcdef0123456789abcdef\nactive_key 2",
            "",
            "there is no key 2",
        ),
        (
            "key 1 0123456789abcdef0123456789abcdef\nmode maybe",
            "",
            "not one of enforce",
        ),
        (
            "key 1 0123456789abcdef0123456789abcdef",
            "strict_mode",
            "strict mode has no authentication",
        ),
        (
            "key 1 0123456789abcdef0123456789abcdef",
            "authentication {\nauth_type PASS\nauth_pass 1111\n}",
            "one of them is enough",
        ),
    ] {
        let errors = keyed(block, words).unwrap_err();
        assert!(
            errors.iter().any(|error| error.contains(part)),
            "{block}: {errors:?}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_key_is_told_without_the_key() {
    let words = "auth_hmac {\nkey 1 tooshorttobeakey\n}";
    let text = text("", words, "10.0.0.1");
    let parsed = read(&text);
    let told: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
    assert!(
        told[0].contains("32 to 64 bytes") && !told[0].contains("tooshort"),
        "{told:?}"
    );
}
