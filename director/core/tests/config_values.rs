//! What the words of the configuration come to: keepalived's defaults, inheritance, and the values of each keyword.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::time::Duration;

use director_core::config::{
    Check, CheckKind, CheckSettings, Config, Garp, RealServer, Route, Source, Tracked, Tracker,
    Version, VirtualAddress, VirtualServer, Weight, parse,
};
use director_core::ipvs::{
    Checksum, DestId, FLAG_ONE_PACKET, FLAG_PERSISTENT, FLAG_SCHED1, FLAG_SCHED2, FLAG_SCHED3,
    Forwarding, Protocol, ServiceId, SyncWire, Tunnel,
};
use director_core::kernel::{RouteKind, Rule, RuleAction};
use director_core::net::Family;

fn source<'a>(name: &'a str, text: &'a str) -> Source<'a> {
    Source {
        name,
        bytes: text.as_bytes(),
    }
}

fn config(text: &str) -> Config {
    let parsed = parse(Some(source("keepalived.conf", text)), None);
    let said: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
    parsed
        .config
        .unwrap_or_else(|| panic!("{}", said.join("\n")))
}

fn instance(global: &str, words: &str) -> director_core::config::Router {
    let text = format!(
        "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress {{\n10.0.0.1/24\n}}\n{words}\n}}\n\
         global_defs {{\n{global}\n}}\n"
    );
    config(&text).routers.remove(0)
}

fn service(words: &str) -> VirtualServer {
    let text = format!(
        "virtual_server 10.0.0.1 80 {{\nlb_algo wlc\nlb_kind NAT\nprotocol TCP\n{words}\n}}\n"
    );
    std::sync::Arc::unwrap_or_clone(config(&text).services.remove(0))
}

fn real_server(service_words: &str, words: &str) -> RealServer {
    service(&format!(
        "{service_words}\nreal_server 10.0.0.2 8080 {{\n{words}\n}}"
    ))
    .real_servers
    .remove(0)
}

fn asked(service_words: &str, server_words: &str, words: &str) -> Check {
    real_server(service_words, &format!("{server_words}\n{words}"))
        .asks()
        .next()
        .unwrap()
}

fn check(service_words: &str, server_words: &str, words: &str) -> CheckSettings {
    (*asked(service_words, server_words, words).how).clone()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_virtual_router_has_keepaliveds_defaults() {
    let router = instance("", "");
    assert_eq!(
        (router.name.as_str(), router.interface.as_str(), router.vrid),
        ("V", "eth0", 7)
    );
    assert_eq!(
        (router.version, router.priority, router.state_master),
        (Version::V2, 100, false)
    );
    assert_eq!((router.advert_interval, router.down_adverts), (SECOND, 3));
    assert_eq!(
        (router.preempt, router.preempt_delay, router.startup_delay),
        (true, Duration::ZERO, Duration::ZERO)
    );
    assert_eq!(
        (router.pass, router.source, router.group),
        (None, None, [224, 0, 0, 18].into())
    );
    assert_eq!(router.addresses, [on("eth0", "10.0.0.1/24")]);
    assert!(router.excluded.is_empty() && router.trackers.is_empty());
    assert!(
        !router.checksum_as_v2 && !router.lower_prio_no_advert && router.higher_prio_send_advert
    );
    assert!(!router.ignore_link);
    let garp = Garp {
        delay: 5 * SECOND,
        repeat: 5,
        refresh: Duration::ZERO,
        refresh_repeat: 1,
        lower_prio_delay: 5 * SECOND,
        lower_prio_repeat: 5,
        extra: Duration::ZERO,
        interval: Duration::ZERO,
        interval_v6: Duration::ZERO,
    };
    assert_eq!(router.garp, garp);
}

#[test]
fn global_defs_hold_for_instances_above_them_and_give_way_to_their_own_words() {
    let global = "vrrp_version 3\nvrrp_mcast_group4 224.0.0.99\nvrrp_garp_master_delay 2\nvrrp_garp_master_repeat 3\n\
        vrrp_garp_master_refresh 60\nvrrp_garp_master_refresh_repeat 2\nvrrp_garp_lower_prio_delay 1\n\
        vrrp_garp_lower_prio_repeat 0\nvrrp_garp_interval 0.001\nvrrp_gna_interval 0.002\nvrrp_down_timer_adverts 5\n\
        vrrp_lower_prio_no_advert\nvrrp_higher_prio_send_advert on\nv3_checksum_as_v2\nvrrp_startup_delay 2.5";
    let router = instance(global, "");
    assert_eq!(
        (router.version, router.group),
        (Version::V3, [224, 0, 0, 99].into())
    );
    assert_eq!((router.garp.delay, router.garp.repeat), (2 * SECOND, 3));
    assert_eq!(
        (router.garp.refresh, router.garp.refresh_repeat),
        (60 * SECOND, 2)
    );
    assert_eq!(
        (router.garp.lower_prio_delay, router.garp.lower_prio_repeat),
        (SECOND, 0)
    );
    assert_eq!(
        (router.garp.interval, router.down_adverts),
        (Duration::from_millis(1), 5)
    );
    assert_eq!(router.garp.interval_v6, Duration::from_millis(2));
    assert!(router.lower_prio_no_advert && router.higher_prio_send_advert && router.checksum_as_v2);
    assert_eq!(router.startup_delay, Duration::from_millis(2500));

    let own = "version 2\ngarp_master_delay 0\ngarp_master_repeat 1\ngarp_master_refresh 0\ngarp_lower_prio_repeat 9\n\
        down_timer_adverts 4\nlower_prio_no_advert no\nhigher_prio_send_advert off\nv3_checksum_as_v2 false";
    let router = instance(global, own);
    assert_eq!((router.version, router.down_adverts), (Version::V2, 4));
    assert_eq!(
        (router.garp.delay, router.garp.repeat, router.garp.refresh),
        (Duration::ZERO, 1, Duration::ZERO)
    );
    assert_eq!(
        (router.garp.lower_prio_delay, router.garp.lower_prio_repeat),
        (SECOND, 9)
    );
    assert!(
        !router.lower_prio_no_advert && !router.higher_prio_send_advert && !router.checksum_as_v2
    );
}

#[test]
fn the_burst_after_a_lower_priority_is_by_default_the_one_after_a_takeover() {
    let garp = instance("", "garp_master_delay 9\ngarp_master_repeat 2").garp;
    assert_eq!(
        (garp.lower_prio_delay, garp.lower_prio_repeat),
        (9 * SECOND, 2)
    );
    let garp = instance("vrrp_min_garp", "").garp;
    assert_eq!((garp.delay, garp.repeat), (Duration::ZERO, 1));
    let garp = instance(
        "vrrp_min_garp\nvrrp_garp_master_repeat 4",
        "garp_master_delay 3",
    )
    .garp;
    assert_eq!((garp.delay, garp.repeat), (3 * SECOND, 4));
    assert_eq!(instance("vrrp_min_garp off", "").garp.repeat, 5);
}

#[test]
fn state_master_without_a_priority_is_the_owner_and_with_one_ignores_nopreempt() {
    assert_eq!(instance("", "state MASTER").priority, 255);
    let router = instance(
        "",
        "state MASTER\npriority 150\nnopreempt\npreempt_delay 60",
    );
    assert_eq!((router.priority, router.state_master), (150, true));
    assert_eq!(
        (router.preempt, router.preempt_delay),
        (true, Duration::ZERO)
    );
    let router = instance("", "state BACKUP\nnopreempt");
    assert!(!router.preempt && !router.state_master);
    assert_eq!(
        instance("", "preempt_delay 300.5").preempt_delay,
        Duration::from_millis(300_500)
    );
    assert!(instance("", "priority 255\nnopreempt").preempt);
}

fn on(interface: &str, cidr: &str) -> VirtualAddress {
    VirtualAddress {
        cidr: cidr.parse().unwrap(),
        interface: interface.parse().unwrap(),
        options: None,
    }
}

/// Another interface that carries virtual addresses is tracked, unless even the own one is not.
#[test]
fn an_interface_with_virtual_addresses_is_tracked() {
    let words = "virtual_ipaddress_excluded {\n10.1.0.1/24 dev eth1\n10.1.0.2/24 dev eth1\n}";
    let router = instance("", words);
    assert_eq!(router.trackers, [tracker("eth1", 0, false)]);
    let router = instance(
        "",
        &format!("track_interface {{\neth1 weight -5\n}}\n{words}"),
    );
    assert_eq!(router.trackers, [tracker("eth1", -5, false)]);
    let router = instance("", &format!("dont_track_primary\n{words}"));
    assert!(router.trackers.is_empty());
}

fn tracker(interface: &str, value: i16, reverse: bool) -> Tracker {
    Tracker {
        of: Tracked::Interface(interface.parse().unwrap()),
        weight: Weight { value, reverse },
    }
}

#[test]
fn what_is_tracked_has_the_weight_of_the_line_or_else_its_own() {
    let script = "vrrp_script chk {\nscript /bin/true\nweight -20 reverse\n}";
    let probe =
        "track_probe web {\nhttp http://[2001:db8::1]:8080/health\ninterval 0.2\nfall 4\nrise 2\n}";
    let words = "track_script {\nchk\n}\ntrack_probe {\nweb weight 7\n}\n\
        track_pool {\n10.0.0.9 80\nfwmark 3 weight 0\n}\ntrack_interface {\neth1 weight 3 reverse\n}";
    let text = format!(
        "{script}\n{probe}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 7\n\
         virtual_ipaddress {{\n10.0.0.1/24\n}}\n{words}\n}}\n"
    );
    let config = config(&text);
    let found: Vec<(String, i16, bool)> = config.routers[0]
        .trackers
        .iter()
        .map(|tracker| {
            let Weight { value, reverse } = tracker.weight;
            (tracker.of.to_string(), value, reverse)
        })
        .collect();
    let expected = [
        ("script chk", -20, true),
        ("probe web", 7, false),
        ("pool 10.0.0.9:80", -253, false),
        ("pool fwmark 3", 0, false),
        ("interface eth1", 3, true),
    ];
    let expected = expected.map(|(of, value, reverse)| (of.to_owned(), value, reverse));
    assert_eq!(found, expected);
    let check = &config.watches[1].check;
    assert_eq!(check.target.to_string(), "[2001:db8::1]:8080");
    assert_eq!((check.how.rise, check.how.retry), (2, 3));
    let times = [
        check.how.interval,
        check.how.timeout,
        check.how.delay_before_retry,
    ];
    assert_eq!(times, [Duration::from_millis(200); 3]);
    let check = &config.watches[0].check;
    assert_eq!((check.how.rise, check.how.retry), (1, 0));
    assert_eq!((check.how.interval, check.how.timeout), (SECOND, SECOND));
}

#[test]
fn the_words_of_an_instance_come_to_their_values() {
    let words = "mcast_src_ip 10.0.0.9\ndont_track_primary\ntrack_interface {\neth1\neth2 weight 0\n}\n\
        accept\npreempt\nskip_check_adv_addr\nadvert_int 2\n\
        virtual_ipaddress_excluded {\n10.0.0.5 dev eth0\n10.0.0.6/24 brd + dev eth3\n}";
    let router = instance("", words);
    assert_eq!(router.source, Some([10, 0, 0, 9].into()));
    assert!(router.ignore_link);
    assert_eq!(
        router.trackers,
        [tracker("eth1", 0, false), tracker("eth2", 0, false)]
    );
    assert_eq!(router.advert_interval, 2 * SECOND);
    assert_eq!(
        router.excluded,
        [on("eth0", "10.0.0.5/32"), on("eth3", "10.0.0.6/24")]
    );
    let fast = instance("", "version 3\nadvert_int .01");
    assert_eq!(fast.advert_interval, Duration::from_millis(10));
}

#[test]
fn a_password_is_eight_bytes_in_version_two_and_nothing_in_version_three() {
    let words = |pass: &str| format!("authentication {{\nauth_type PASS\nauth_pass {pass}\n}}");
    assert_eq!(instance("", &words("1111")).pass, Some(*b"1111\0\0\0\0"));
    assert_eq!(instance("", &words("123456789")).pass, Some(*b"12345678"));
    assert_eq!(
        instance("", &words("\"a b\"")).pass,
        Some(*b"a b\0\0\0\0\0")
    );
    assert_eq!(
        instance("", &words("a\\#b\\!c")).pass,
        Some(*b"a#b!c\0\0\0")
    );
    assert_eq!(instance("", &words("pa$$word")).pass, Some(*b"pa$$word"));
    assert_eq!(instance("vrrp_version 3", &words("1111")).pass, None);
}

#[test]
fn the_sync_daemon_follows_its_virtual_router() {
    let rest = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress {\n10.0.0.1\n}\n";
    for (global, inner, router, id) in [
        ("lvs_sync_daemon eth1", "", None, 0),
        ("lvs_sync_daemon eth1 id 3", "", None, 3),
        ("lvs_sync_daemon eth1 V", "", Some("V"), 7),
        ("lvs_sync_daemon eth1 inst V id 9", "", Some("V"), 9),
        ("", "lvs_sync_daemon_interface eth1", Some("V"), 7),
    ] {
        let config = config(&format!(
            "global_defs {{\n{global}\n}}\n{rest}{inner}\n}}\n"
        ));
        let sync = config.sync_daemon.unwrap();
        assert_eq!(sync.interface.as_str(), "eth1");
        assert_eq!(
            (sync.router.as_ref().map(|name| name.as_str()), sync.id),
            (router, id),
            "{global} {inner}"
        );
    }
    let words = "lvs_sync_daemon eth1 id 3 group ff02::81 maxlen 65500 port 1234 ttl 7";
    let wire = SyncWire {
        maxlen: 65_487,
        group: "ff02::81".parse().unwrap(),
        port: 1234,
        ttl: 7,
    };
    let sync = config(&format!("global_defs {{\n{words}\n}}\n")).sync_daemon;
    assert_eq!(sync.unwrap().wire, wire);
    assert_eq!(
        config("global_defs {\nlvs_timeouts udp 5 tcp 900\n}\n").timeouts,
        [900, 0, 5]
    );
}

#[test]
fn a_service_has_keepaliveds_defaults() {
    let service = service("real_server 10.0.0.2 8080 {\n}");
    let address = IpAddr::from([10, 0, 0, 1]);
    assert_eq!(
        service.id,
        ServiceId::Address {
            protocol: Protocol::Tcp,
            address,
            port: 80
        }
    );
    assert_eq!(
        (service.service.scheduler.as_str(), service.service.flags),
        ("wlc", 0)
    );
    assert_eq!(
        (service.service.timeout_s, service.service.granularity),
        (0, 32)
    );
    assert_eq!(
        (service.quorum, service.hysteresis, service.sorry),
        (1, 0, None)
    );
    let server = &service.real_servers[0];
    assert_eq!(
        server.id,
        DestId {
            address: [10, 0, 0, 2].into(),
            port: 8080
        }
    );
    assert_eq!(
        (server.dest.forwarding, server.dest.weight),
        (Forwarding::Nat, 1)
    );
    assert_eq!((server.dest.upper, server.dest.lower), (0, 0));
    assert!(!server.inhibit_on_failure && !server.alpha && server.checks.is_empty());
}

#[test]
fn persistence_and_flags_come_to_what_the_kernel_takes() {
    let server = "real_server 10.0.0.2 80 {\n}";
    let with = |words: &str| service(&format!("{words}\n{server}")).service;
    assert_eq!(
        (
            with("persistence_timeout").timeout_s,
            with("persistence_timeout 50").timeout_s
        ),
        (360, 50)
    );
    assert_eq!(with("persistence_timeout 50").flags, FLAG_PERSISTENT);
    let off = with("persistence_timeout 0");
    assert_eq!((off.timeout_s, off.flags), (0, 0));
    let network = with("persistence_granularity 255.255.255.0");
    assert_eq!(
        (network.timeout_s, network.granularity, network.flags),
        (360, 24, FLAG_PERSISTENT)
    );
    assert_eq!(with("persistence_granularity 28").granularity, 28);
    assert_eq!(with("flag-1\nflag-3").flags, FLAG_SCHED1 | FLAG_SCHED3);
    for (scheduler, words, flags) in [
        ("sh", "sh-port\nsh-fallback", FLAG_SCHED1 | FLAG_SCHED2),
        ("mh", "mh-port", FLAG_SCHED2),
        ("rr", "ops", FLAG_ONE_PACKET),
    ] {
        // The flags may also come before the scheduler.
        let text = format!(
            "virtual_server 10.0.0.1 53 {{\n{words}\nlvs_sched {scheduler}\nlvs_method NAT\nprotocol udp\n\
             {server}\n}}\n"
        );
        assert_eq!(
            config(&text).services[0].service.flags,
            flags,
            "{scheduler}"
        );
    }
}

#[test]
fn direct_routing_keeps_the_port_of_the_service() {
    let text = "virtual_server 10.0.0.1 80 {\nlb_algo rr\nlb_kind DR\nprotocol TCP\nreal_server 10.0.0.2 8080 {\n\
        TCP_CHECK {\n}\n}\nreal_server 10.0.0.3 {\nlvs_method NAT\n}\nreal_server 10.0.0.4 81 {\nlvs_method NAT\n}\n\
        sorry_server 10.0.0.5 90\nsorry_server_lvs_method NAT\n}\n";
    let service = config(text).services.remove(0);
    let ports: Vec<u16> = service
        .real_servers
        .iter()
        .map(|server| server.id.port)
        .collect();
    assert_eq!(ports, [80, 80, 81]);
    assert_eq!(
        service.real_servers[0].asks().next().unwrap().target.port,
        8080
    );
    let (id, dest) = **service.sorry.as_ref().unwrap();
    assert_eq!(
        (id.port, dest.forwarding, dest.weight),
        (90, Forwarding::Nat, 1)
    );
}

#[test]
fn a_firewall_mark_has_a_family_and_its_dests_no_port() {
    let text = |kind: &str, server: &str, words: &str| {
        format!(
            "virtual_server fwmark 5 {{\nlb_algo rr\nlb_kind {kind}\n{words}\n\
             real_server {server} 8080 {{\nTCP_CHECK {{\n}}\n}}\n}}\n"
        )
    };
    let service = config(&text("DR", "10.0.0.2", "")).services.remove(0);
    assert_eq!(
        service.id,
        ServiceId::Fwmark {
            family: Family::V4,
            mark: 5
        }
    );
    assert_eq!(service.real_servers[0].id.port, 0);
    assert_eq!(
        service.real_servers[0].asks().next().unwrap().target.port,
        8080
    );
    let service = config(&text("NAT", "10.0.0.2", "protocol TCP"))
        .services
        .remove(0);
    assert_eq!(service.real_servers[0].id.port, 8080);
    let service = config(&text("DR", "2001:db8::2", "")).services.remove(0);
    assert_eq!(service.id.family(), Family::V6);
    assert_eq!(service.service.granularity, 128);
    let service = config(&text("DR", "2001:db8::2", "ip_family inet6"))
        .services
        .remove(0);
    assert_eq!(service.id.family(), Family::V6);
}

#[test]
fn a_tunnel_has_its_type_and_leads_into_the_other_family() {
    let text = "virtual_server 2001:db8::1 80 {\nlb_algo rr\nlb_kind TUN type gre csum\nprotocol SCTP\n\
        sorry_server 10.0.0.9 80\nsorry_server_lvs_method TUN type gue port 6080 remcsum\n\
        real_server 10.0.0.2 8080 {\nuthreshold 20\nlthreshold 10\n}\n\
        real_server 2001:db8::3 80 {\nlvs_method TUN\n}\n\
        real_server 2001:db8::4 80 {\nlvs_method DR\n}\n}\n";
    let server = config(text).services.remove(0);
    assert!(server.is_mixed());
    let forwarding: Vec<Forwarding> = server
        .real_servers
        .iter()
        .map(|real| real.dest.forwarding)
        .collect();
    let gre = Tunnel::Gre {
        checksum: Checksum::Full,
    };
    let expected = [
        Forwarding::Tun(gre),
        Forwarding::Tun(Tunnel::Ipip),
        Forwarding::Dr,
    ];
    assert_eq!(forwarding, expected);
    let (id, dest) = **server.sorry.as_ref().unwrap();
    let gue = Tunnel::Gue {
        port: 6080,
        checksum: Checksum::Remote,
    };
    assert_eq!((id.port, dest.forwarding), (80, Forwarding::Tun(gue)));
    let real = &server.real_servers[0];
    assert_eq!(
        (real.id.port, real.dest.upper, real.dest.lower),
        (80, 20, 10)
    );
    let text = "virtual_server 10.0.0.1 5060 {\nlb_algo rr\nlb_kind NAT\nprotocol UDP\npersistence_engine sip\n\
        persistence_timeout\nreal_server 10.0.0.2 5060 {\n}\n}\n";
    assert!(config(text).services[0].service.sip);
}

#[test]
fn a_group_is_many_services_with_one_pool() {
    let text = "virtual_server group G {\nlb_algo rr\nlb_kind DR\nprotocol UDP\n\
        real_server 10.0.0.9 53 {\nTCP_CHECK {\n}\n}\n\
        real_server 10.0.0.8 {\nlvs_method NAT\nTCP_CHECK {\nconnect_port 99\n}\n}\n}\n\
        virtual_server_group G {\n10.0.0.1-2 53\n10.0.1.0/31 54\n10.0.2.1-10.0.2.2 53\nfwmark 7\n}\n";
    let server = config(text).services.remove(0);
    let names: Vec<String> = server.ids().map(|id| id.to_string()).collect();
    let expected = [
        "UDP 10.0.0.1:53",
        "UDP 10.0.0.2:53",
        "UDP 10.0.1.0:54",
        "UDP 10.0.1.1:54",
        "UDP 10.0.2.1:53",
        "UDP 10.0.2.2:53",
        "FWM 7 IPv4",
    ];
    assert_eq!(names, expected);
    // What the checks ask is what the file says; what the kernel is told follows from each member.
    assert_eq!(
        server.real_servers[0].asks().next().unwrap().target.port,
        53
    );
    let ports = |real: usize| -> Vec<u16> {
        let real = &server.real_servers[real];
        let within = server
            .ids()
            .map(|id| real.id.within(&id, real.dest.forwarding));
        within.map(|dest| dest.port).collect()
    };
    assert_eq!(ports(0), [53, 53, 54, 54, 53, 53, 0]);
    assert_eq!(
        ports(1),
        [53, 53, 54, 54, 53, 53, 0],
        "NAT keeps what it is not told"
    );
    let text = "virtual_server group G {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\nreal_server 2001:db8::9 8080 {\n}\n}\n\
        virtual_server_group G {\n2001:db8::ff-101 80\nfwmark 7\nfwmark 8 inet6\n}\n";
    let server = config(text).services.remove(0);
    assert!(server.ids().all(|id| id.family() == Family::V6));
    assert_eq!(server.ids().count(), 5);
    assert_eq!(server.real_servers[0].id.port, 8080);
}

#[test]
fn a_real_server_takes_over_from_its_service() {
    let server = real_server("weight 7\nalpha\ninhibit_on_failure", "");
    assert_eq!(
        (server.dest.weight, server.alpha, server.inhibit_on_failure),
        (7, true, true)
    );
    let server = real_server(
        "weight 7\nalpha\ninhibit_on_failure",
        "weight 0\nalpha off\ninhibit_on_failure no",
    );
    assert_eq!(
        (server.dest.weight, server.alpha, server.inhibit_on_failure),
        (0, false, false)
    );
    let server = real_server("", "uthreshold 20\nlthreshold 10\nTCP_CHECK {\nalpha\n}");
    assert_eq!(
        (server.dest.upper, server.dest.lower, server.alpha),
        (20, 10, true)
    );
}

#[test]
fn a_check_has_keepaliveds_timing_but_starts_within_a_second() {
    let tcp = check("", "", "TCP_CHECK {\n}");
    assert_eq!(
        (tcp.interval, tcp.timeout, tcp.retry),
        (60 * SECOND, 5 * SECOND, 1)
    );
    assert_eq!((tcp.delay_before_retry, tcp.warmup), (SECOND, SECOND));
    let there = asked("", "", "TCP_CHECK {\n}").target;
    assert_eq!(there.to_string(), "10.0.0.2:8080");
    let http = check("", "", "HTTP_GET {\nurl {\npath /\n}\n}");
    assert_eq!((http.retry, http.delay_before_retry), (1, 3 * SECOND));
    assert_eq!(
        check("delay_loop 0.2", "", "TCP_CHECK {\n}").warmup,
        Duration::from_millis(200)
    );
    assert_eq!(
        check("warmup 0", "", "TCP_CHECK {\n}").warmup,
        Duration::ZERO
    );
}

#[test]
fn a_check_takes_over_from_its_real_server_and_that_from_its_service() {
    let all = |n: u32| {
        format!(
            "delay_loop {n}\nretry {n}\ndelay_before_retry {n}\nwarmup {n}\nconnect_timeout {n}"
        )
    };
    let times = |check: CheckSettings| {
        [
            check.interval,
            SECOND * check.retry,
            check.delay_before_retry,
            check.warmup,
            check.timeout,
        ]
    };
    let tcp = |words: &str| format!("TCP_CHECK {{\n{words}\n}}");
    assert_eq!(times(check(&all(2), "", &tcp(""))), [2 * SECOND; 5]);
    assert_eq!(times(check(&all(2), &all(3), &tcp(""))), [3 * SECOND; 5]);
    assert_eq!(
        times(check(&all(2), &all(3), &tcp(&all(4)))),
        [4 * SECOND; 5]
    );
    let elsewhere = asked("", "", &tcp("connect_ip 10.0.0.9\nconnect_port 99"));
    assert_eq!(elsewhere.target.to_string(), "10.0.0.9:99");
}

#[test]
fn an_http_check_asks_for_the_host_that_is_nearest() {
    let host = |service: &str, server: &str, http: &str, url: &str| {
        let name = |name: &str| {
            if name.is_empty() {
                String::new()
            } else {
                format!("virtualhost {name}")
            }
        };
        let http = format!(
            "HTTP_GET {{\n{}\nurl {{\npath /\n{}\n}}\n}}",
            name(http),
            name(url)
        );
        let CheckKind::Http { urls, .. } = check(&name(service), &name(server), &http).kind else {
            panic!()
        };
        urls[0].host.clone()
    };
    assert_eq!(host("", "", "", ""), "10.0.0.2:8080");
    assert_eq!(host("a", "", "", ""), "a");
    assert_eq!(host("a", "b", "", ""), "b");
    assert_eq!(host("a", "b", "c", ""), "c");
    assert_eq!(host("a", "b", "c", "d"), "d");
}

#[test]
fn the_words_of_a_url_come_to_their_values() {
    let words = "HTTP_GET {\nhttp_protocol 1.1\nnb_get_retry 4\nfast_recovery\nurl {\npath /a?b=c\n\
        status_code 200 301-303\nstatus_code 404\ndigest 640205B7b0fc66c1ea91c463fac6334d\n}\nurl {\npath /\n}\n}";
    let check = check("", "", words);
    assert_eq!(check.retry, 4);
    let CheckKind::Http { urls, http11, .. } = check.kind else {
        panic!()
    };
    assert!(http11);
    assert_eq!(urls[0].path, "/a?b=c");
    assert_eq!(urls[0].status, [200..=200, 301..=303, 404..=404]);
    let digest = urls[0].digest.unwrap();
    assert_eq!((digest[0], digest[2], digest[15]), (0x64, 0x05, 0x4d));
    assert_eq!(
        (urls[1].status.as_slice(), urls[1].digest),
        ([200..=299].as_slice(), None)
    );
}

#[test]
fn the_pair_reads_one_file_on_both_nodes() {
    let keepalived = include_str!("config/pair.conf");
    let router = include_str!("config/pair.router.conf");
    let priority = |node: &str| {
        let router = router.replace("one.example.net", node);
        let parsed = parse(Some(source("k", keepalived)), Some(source("r", &router)));
        parsed.config.unwrap().routers[0].priority
    };
    assert_eq!(
        (
            priority("one.example.net"),
            priority("two"),
            priority("three")
        ),
        (150, 100, 100)
    );

    let config = parse(Some(source("k", keepalived)), Some(source("r", router)))
        .config
        .unwrap();
    assert_eq!(config.node.hostname.as_deref(), Some("one.example.net"));
    assert_eq!(config.node.secret.as_deref(), Some("open sesame"));
    let lan = &config.node.interfaces[0];
    assert_eq!((lan.name.as_str(), lan.mtu), ("lan", Some(1500)));
    assert_eq!(lan.mac, Some("52:54:00:00:00:01".parse().unwrap()));
    assert_eq!(lan.addresses, ["192.0.2.1/24".parse().unwrap()]);
    let [default, other] = config.node.routes.as_slice() else {
        panic!()
    };
    assert_eq!(default.destination, "0.0.0.0/0".parse().unwrap());
    assert_eq!(
        (default.via, default.source, default.metric),
        (Some([192, 0, 2, 254].into()), None, 0)
    );
    assert_eq!(
        default.interface.as_ref().map(|name| name.as_str()),
        Some("lan")
    );
    assert_eq!(
        (other.source, other.metric),
        (Some([192, 0, 2, 1].into()), 5)
    );
}

#[test]
fn a_node_keeps_its_interfaces_when_keepalived_conf_is_broken() {
    let router = include_str!("config/pair.router.conf");
    let parsed = parse(
        Some(source("k", "vrrp_instance {")),
        Some(source("r", router)),
    );
    assert!(parsed.config.is_none());
    assert_eq!(parsed.node.interfaces.len(), 1);
    assert_eq!(parsed.node.routes.len(), 2);
}

#[test]
fn lines_for_one_node_need_its_name_and_nothing_else_does() {
    let parsed = parse(None, None);
    assert_eq!(parsed.config, Some(Config::default()));
    let parsed = parse(Some(source("k", "@one global_defs {\n@one }\n")), None);
    assert_eq!(parsed.diagnostics.len(), 1);
}

#[test]
fn a_sync_group_has_its_members_on_one_line_or_many_and_they_track_what_it_tracks() {
    let instance = |name: &str, vrid: u8| {
        format!(
            "vrrp_instance {name} {{\ninterface eth{vrid}\nvirtual_router_id {vrid}\ntrack_interface {{\neth7\n}}\n\
             virtual_ipaddress {{\n10.0.{vrid}.1/24\n}}\n}}\n"
        )
    };
    let group =
        "vrrp_sync_group G {\ngroup {\nA B\nC\n}\ntrack_interface {\neth7\neth8 weight 0\n}\n}\n";
    let (a, b, c, d) = (
        instance("A", 1),
        instance("B", 2),
        instance("C", 3),
        instance("D", 4),
    );
    let config = config(&format!("{a}{group}{b}{c}{d}"));
    let [group] = config.groups.as_slice() else {
        panic!("{:?}", config.groups)
    };
    let members: Vec<&str> = group.members.iter().map(|name| name.as_str()).collect();
    assert_eq!((group.name.as_str(), members), ("G", vec!["A", "B", "C"]));
    for router in &config.routers {
        let mut expected = vec![tracker("eth7", 0, false)];
        if router.name.as_str() != "D" {
            expected.push(tracker("eth8", 0, false));
        }
        assert_eq!(router.trackers, expected, "{}", router.name);
    }
}

#[test]
fn unicast_keywords_are_resolved_together() {
    let peers =
        "unicast_src_ip 10.0.0.7\nunicast_ttl 9\nunicast_peer {\n10.0.0.8\n10.0.0.9 max_ttl 5\n}";
    let router = instance("", peers);
    let unicast = router.unicast.unwrap();
    assert_eq!(router.source, Some([10, 0, 0, 7].into()));
    assert_eq!((unicast.ttl, unicast.check_source), (9, true));
    let limits = unicast
        .peers
        .iter()
        .map(|peer| (peer.ttl_min, peer.ttl_max));
    assert!(limits.eq([(0, 255), (0, 5)]));

    let check = |global: &str, own: &str| {
        let own = format!("{own}\nunicast_peer {{\n10.0.0.8\n}}");
        instance(global, &own).unicast.unwrap().check_source
    };
    assert!(check("", "") && check("vrrp_check_unicast_src off", "check_unicast_src"));
    assert!(!check("vrrp_check_unicast_src off", "") && !check("", "check_unicast_src no"));

    let fault = instance("", "unicast_fault_no_peer\nunicast_peer {\n}").unicast;
    assert!(fault.unwrap().peers.is_empty());
    let other = instance(
        "vrrp_owner_ignore_adverts\nvrrp_delay_after_boot 40",
        "nopreempt\ntimer_expired_backup\nmcast_src_ip 10.0.0.7\nmcast_dst_ip 224.0.0.99\ntrack_src_ip",
    );
    assert!(other.owner_ignores_adverts && other.timer_expired_backup && other.track_source);
    assert_eq!(other.group, std::net::IpAddr::from([224, 0, 0, 99]));
    assert_eq!(other.delay_after_boot, 40 * SECOND);
    assert!(
        !instance("vrrp_owner_ignore_adverts", "owner_ignore_adverts off").owner_ignores_adverts
    );
}

#[test]
fn local_addresses_float_with_the_router_of_their_service_or_stay() {
    let text = "vrrp_instance V {\ninterface lan\nvirtual_router_id 1\nvirtual_ipaddress {\n10.0.0.100\n}\n}\n\
        global_defs {\nlocal_address {\n10.0.1.101-102 dev inside\n2001:db8::1 dev inside\n}\n}\n\
        virtual_server 10.0.0.100 80 {\nlb_algo rr\nlb_kind FNAT\nprotocol TCP\n\
        real_server 10.0.1.1 80 {\n}\n}\n\
        virtual_server 10.0.0.200 80 {\nlb_algo rr\nlb_kind FNAT\nprotocol UDP\n\
        local_address {\n10.0.1.120/24 dev inside\n}\nreal_server 10.0.1.1 80 {\n}\n}\n";
    let parsed = parse(Some(source("k", text)), None);
    let config = parsed.config.unwrap();
    let router = &config.routers[0];
    let address = |last: u8| core::net::IpAddr::from([10, 0, 1, last]);
    assert_eq!(router.locals, [address(101), address(102)]);
    let floating: Vec<_> = router
        .excluded
        .iter()
        .map(|local| local.cidr.to_string())
        .collect();
    assert_eq!(floating, ["10.0.1.101/32", "10.0.1.102/32"]);
    assert_eq!(router.trackers, [tracker("inside", 0, false)]);
    assert_eq!(config.services[0].locals, [address(101), address(102)]);
    assert_eq!(config.services[1].locals, [address(120)]);
    let staying: Vec<_> = config
        .local_addresses
        .iter()
        .map(|local| local.cidr.to_string())
        .collect();
    assert_eq!(staying, ["10.0.1.120/24"]);
    assert!(
        config
            .services
            .iter()
            .flat_map(|server| &server.real_servers)
            .all(|real| { real.dest.forwarding == director_core::ipvs::Forwarding::Nat })
    );

    let filter = director_core::plan::filter(&config);
    let mut translated = filter.translated.iter();
    let (locals, services) = translated.next().unwrap();
    assert_eq!(*locals, [address(101), address(102)]);
    let target = "10.0.0.100:80".parse().unwrap();
    assert!(services.contains(&(director_core::ipvs::Protocol::Tcp, target)));
    assert_eq!(translated.next().unwrap().0, &[address(120)]);
    assert_eq!(filter.closed, [101, 102, 120].map(address).into());
}

#[test]
fn routes_and_rules_are_read_in_the_words_of_iproute2() {
    let text = "static_ipaddress {\n10.0.0.9/24\n}\n\
        static_routes {\nsrc 10.0.0.9 to 10.1.0.0/16 gw 10.0.0.1 oif eth1 table 100 priority 5 onlink\n\
        throw default table default\n10.2.0.0/16 dev eth1\n}\n\
        static_rules {\nto 10.1.0.0/16 lookup main order 3\nfrom 10.2.0.0/16 dev eth1 fwmark 16 prohibit\n}\n\
        vrrp_instance V {\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress {\n10.0.0.1/24\n}\n\
        virtual_routes {\ndefault dev eth0 inet6\n}\nvirtual_rules {\noif eth0 table 7 inet6\n}\n}\n";
    let config = config(text);
    let interface = |name: &str| Some(name.parse().unwrap());
    let to = |text: &str| Route::to(text.parse().unwrap());
    let statics = &config.statics;
    assert_eq!(
        statics.addresses,
        [VirtualAddress {
            cidr: "10.0.0.9/24".parse().unwrap(),
            interface: "eth0".parse().unwrap(),
            options: None
        }]
    );
    assert_eq!(
        statics.routes,
        [
            Route {
                source: Some([10, 0, 0, 9].into()),
                via: Some([10, 0, 0, 1].into()),
                interface: interface("eth1"),
                table: 100,
                metric: 5,
                onlink: true,
                ..to("10.1.0.0/16")
            },
            Route {
                kind: RouteKind::Throw,
                table: 253,
                ..to("0.0.0.0/0")
            },
            Route {
                interface: interface("eth1"),
                scope: 253,
                ..to("10.2.0.0/16")
            },
        ]
    );
    let rule = Rule {
        priority: 3,
        to: Some("10.1.0.0/16".parse().unwrap()),
        ..Rule::of(Family::V4, RuleAction::Table(254))
    };
    let second = Rule {
        priority: 16_384,
        from: Some("10.2.0.0/16".parse().unwrap()),
        to: None,
        iif: interface("eth1"),
        mark: Some((16, u32::MAX)),
        action: RuleAction::Prohibit,
        ..rule.clone()
    };
    assert_eq!(statics.rules, [rule.clone(), second]);
    let router = &config.routers[0];
    let default = Route {
        interface: interface("eth0"),
        ..to("::/0")
    };
    assert_eq!(router.routes, [default]);
    let third = Rule {
        family: Family::V6,
        priority: 16_383,
        to: None,
        oif: interface("eth0"),
        action: RuleAction::Table(7),
        ..rule
    };
    assert_eq!(router.rules, [third]);
}
