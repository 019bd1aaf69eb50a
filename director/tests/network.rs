//! The shell against the kernel it runs on, each test in a network namespace of its own. Needs root and
//! iproute2; without them the tests say so and pass.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::process::Command;
use std::time::{Duration, Instant};

use director::kernel::PROTOCOL;
use director::kernel::monitor::Monitor;
use director::kernel::rtnl::Rtnl;
use director::sock::announce::Announcer;
use director::sock::vrrp::{Header, VrrpSockets};
use director_core::diff;
use director_core::kernel::{
    Actual, AddressId, Desired, KernelEvent, Link, NextHop, Op, OpError, Route, RouteKind, Rule,
    RuleAction, Snapshot,
};
use director_core::net::{AddressOptions, Family, Ifindex, Mac};
use director_core::vrrp::Received;
use mio::{Poll, Token};
use nix::sched::{CloneFlags, unshare};

#[test]
fn links_addresses_and_routes_are_set_and_read_back() {
    in_a_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        ip("link add left type veth peer name right");
        let left = link(&mut rtnl, "left");
        assert!(!left.up && !left.carrier && !left.loopback && left.mac != Mac::default());
        assert!(link(&mut rtnl, "lo").loopback);

        apply(&mut rtnl, Op::LinkMtu(left.ifindex, 1400)).unwrap();
        apply(&mut rtnl, Op::LinkUp(left.ifindex)).unwrap();
        ip("link set right up");
        let after = link(&mut rtnl, "left");
        assert!(after.up && after.mtu == 1400);

        let own = AddressId {
            ifindex: left.ifindex,
            cidr: "192.0.2.1/24".parse().unwrap(),
        };
        let vip = AddressId {
            ifindex: left.ifindex,
            cidr: "192.0.2.100/32".parse().unwrap(),
        };
        let vip6 = AddressId {
            ifindex: left.ifindex,
            cidr: "2001:db8::100/128".parse().unwrap(),
        };
        ip("address add 192.0.2.7/24 dev left");
        for id in [own, vip, vip6] {
            apply(&mut rtnl, Op::AddAddress(id, None)).unwrap();
            assert_eq!(
                apply(&mut rtnl, Op::AddAddress(id, None)),
                Err(OpError::EXISTS)
            );
        }
        let addresses = addresses(&mut rtnl);
        for id in [own, vip, vip6] {
            assert!(addresses.contains(&(id, true)), "{id:?} in {addresses:?}");
        }
        let foreign = AddressId {
            ifindex: left.ifindex,
            cidr: "192.0.2.7/24".parse().unwrap(),
        };
        assert!(addresses.contains(&(foreign, false)), "{addresses:?}");

        let default = Route {
            via: Some("192.0.2.254".parse().unwrap()),
            ifindex: Some(left.ifindex),
            source: Some("192.0.2.7".parse().unwrap()),
            metric: 5,
            ..Route::to("0.0.0.0/0".parse().unwrap())
        };
        let direct = Route {
            ifindex: Some(left.ifindex),
            scope: 253,
            ..Route::to("198.51.100.0/24".parse().unwrap())
        };
        let by_hop = Route {
            via: default.via,
            ..Route::to("198.51.101.0/24".parse().unwrap())
        };
        let direct6 = Route {
            ifindex: Some(left.ifindex),
            ..Route::to("2001:db8:1::/64".parse().unwrap())
        };
        let elsewhere = Route {
            ifindex: Some(left.ifindex),
            via: Some("203.0.113.9".parse().unwrap()),
            onlink: true,
            table: 1000,
            ..Route::to("0.0.0.0/0".parse().unwrap())
        };
        let dropped = Route {
            kind: RouteKind::Blackhole,
            ..Route::to("198.51.102.0/24".parse().unwrap())
        };
        let dropped6 = Route {
            kind: RouteKind::Prohibit,
            table: 7,
            ..Route::to("2001:db8:2::/64".parse().unwrap())
        };
        let hop = |via: &str| NextHop {
            via: Some(via.parse().unwrap()),
            ifindex: None,
            weight: NonZeroU8::new(2).unwrap(),
            onlink: false,
        };
        let mut shared = Route::to("198.51.103.0/24".parse().unwrap());
        shared.metrics.set(2, 1400);
        shared.metrics.lock(2);
        shared.hops = ["192.0.2.8", "192.0.2.9"].map(hop).into();
        let mut shared6 = Route::to("2001:db8:3::/64".parse().unwrap());
        shared6.metrics.set(10, 7);
        shared6.hops = ["2001:db8:4::8", "2001:db8:4::9"].map(hop).into();
        let all = [
            shared, shared6, default, direct, by_hop, direct6, elsewhere, dropped, dropped6,
        ];
        ip("route add 203.0.113.0/24 dev left");
        ip("address add 2001:db8:4::1/64 dev left nodad");
        for route in &all {
            let add = Op::AddRoute(route.clone());
            apply(&mut rtnl, add.clone()).unwrap();
            assert_eq!(apply(&mut rtnl, add), Err(OpError::EXISTS));
        }
        let read: BTreeSet<Route> = routes(&mut rtnl).into_iter().collect();
        assert_eq!(read, BTreeSet::from(all.clone()));

        for route in all {
            let del = Op::DelRoute(route);
            apply(&mut rtnl, del.clone()).unwrap();
            assert_eq!(apply(&mut rtnl, del), Err(OpError::NO_SERVICE));
        }
        for id in [own, vip, vip6] {
            apply(&mut rtnl, Op::DelAddress(id)).unwrap();
            assert_eq!(
                apply(&mut rtnl, Op::DelAddress(id)),
                Err(OpError::NO_ADDRESS)
            );
        }
        assert_eq!(routes(&mut rtnl), []);
    });
}

#[test]
fn a_route_of_several_next_hops_is_repaired_and_is_left_alone_as_it_was_wished() {
    in_a_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        cable(&mut rtnl);
        ip("address add 192.0.2.1/24 dev left");
        ip("address add 2001:db8:4::1/64 dev left nodad");
        let ifindex = Some(link(&mut rtnl, "left").ifindex);
        let hop = |via: &str, weight| NextHop {
            via: Some(via.parse().unwrap()),
            ifindex,
            weight: NonZeroU8::new(weight).unwrap(),
            onlink: false,
        };
        let route = |to: &str, hops: [NextHop; 2], mtu| {
            let mut route = Route {
                hops: hops.into(),
                metric: 1024,
                ..Route::to(to.parse().unwrap())
            };
            route.metrics.set(2, mtu);
            route.metrics.lock(2);
            route
        };
        let (to, to6) = ("198.51.103.0/24", "2001:db8:3::/64");
        let (a, b) = ("192.0.2.8", "192.0.2.9");
        let (a6, b6) = ("2001:db8:4::8", "2001:db8:4::9");
        let wished = route(to, [hop(a, 1), hop(b, 3)], 1400);
        let wished6 = route(to6, [hop(a6, 1), hop(b6, 3)], 1400);
        let mut desired = Desired {
            routes: [wished.clone(), wished6.clone()].into(),
            ..Desired::default()
        };
        let added = [&wished, &wished6].map(|route| Op::AddRoute(route.clone()));
        assert_eq!(repair(&mut rtnl, &desired), added);
        assert_eq!(repair(&mut rtnl, &desired), []);

        // The mark stays, and with it the right to change them.
        let ours = format!("proto {PROTOCOL} metric 1024");
        let hops = |weight| format!("nexthop via {a} nexthop via {b} weight {weight}");
        let (all, all6) = (hops(3), hops(3).replace("192.0.2.", "2001:db8:4::"));
        for edit in [
            format!("route change {to} {ours} mtu lock 1400 {}", hops(2)),
            format!("route change {to} {ours} mtu lock 1400 {all} nexthop dev left"),
            format!("route change {to} {ours} mtu lock 1400 via {a}"),
            format!("route change {to} {ours} mtu 1400 {all}"),
            format!("route change {to} {ours} mtu lock 1400 rto_min 300ms {all}"),
            format!("-6 route change {to6} {ours} mtu lock 1300 {all6}"),
            format!("-6 route change {to6} {ours} mtu lock 1400 via {a6}"),
            format!("-6 route del {to6} metric 1024 via {b6}"),
        ] {
            ip(&edit);
            let is_v6 = edit.starts_with("-6");
            let changed = routes(&mut rtnl).remove(usize::from(is_v6));
            let back = if is_v6 { &wished6 } else { &wished };
            let ops = [Op::DelRoute(changed), Op::AddRoute(back.clone())];
            assert_eq!(repair(&mut rtnl, &desired), ops, "{edit}");
            assert_eq!(repair(&mut rtnl, &desired), [], "{edit}");
        }
        ip(&format!("route del {to} metric 1024"));
        assert_eq!(repair(&mut rtnl, &desired), added[..1]);

        // Somebody makes it his own: the one that was wished comes before it, and goes again alone.
        ip(&format!("route change {to} metric 1024 {}", hops(9)));
        assert_eq!(repair(&mut rtnl, &desired), added[..1]);
        assert_eq!(repair(&mut rtnl, &desired), []);
        let both = ip(&format!("route show {to}"));
        let first = both.lines().next().unwrap();
        assert!(first.contains(&format!("proto {PROTOCOL}")), "{both}");
        assert_eq!(both.matches(to).count(), 2, "{both}");
        apply(&mut rtnl, Op::DelRoute(wished.clone())).unwrap();
        let left = ip(&format!("route show {to}"));
        assert!(left.contains("weight 9"), "{left}");
        ip(&format!("route del {to} metric 1024"));
        assert_eq!(repair(&mut rtnl, &desired), added[..1]);

        // A director after this one finds nothing to do, and takes another wish for what it is.
        let mut rtnl = Rtnl::open().unwrap();
        assert_eq!(repair(&mut rtnl, &desired), []);
        let other = route(to, [hop(a, 1), hop(b, 4)], 1400);
        desired.routes = [other.clone(), wished6].into();
        let ops = [Op::DelRoute(wished), Op::AddRoute(other)];
        assert_eq!(repair(&mut rtnl, &desired), ops);
        assert_eq!(repair(&mut rtnl, &desired), []);
    });
}

#[test]
fn addresses_are_put_there_as_they_are_asked_for_and_go_again() {
    in_a_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        ip("link add left type veth peer name right");
        ip("link set left up");
        let ifindex = link(&mut rtnl, "left").ifindex;
        let usual = AddressOptions::default;
        let all = [
            (
                "192.0.2.1/32",
                AddressOptions {
                    peer: Some("192.0.2.2".parse().unwrap()),
                    label: Some("left:1".parse().unwrap()),
                    scope: 253,
                    ..usual()
                },
                "inet 192.0.2.1 peer 192.0.2.2/32 scope link left:1",
            ),
            (
                "198.51.100.1/24",
                AddressOptions {
                    broadcast: Some("198.51.100.7".parse().unwrap()),
                    no_prefix_route: true,
                    ..usual()
                },
                "inet 198.51.100.1/24 brd 198.51.100.7 scope global noprefixroute left",
            ),
            (
                "203.0.113.1/24",
                AddressOptions {
                    broadcast: Some("0.0.0.0".parse().unwrap()),
                    preferred_s: Some(0),
                    ..usual()
                },
                "inet 203.0.113.1/24 scope global deprecated left",
            ),
            (
                "2001:db8::1/128",
                AddressOptions {
                    preferred_s: Some(AddressOptions::FOREVER),
                    home: true,
                    ..usual()
                },
                "inet6 2001:db8::1/128 scope global nodad home",
            ),
            (
                "2001:db8::2/128",
                AddressOptions {
                    looks_for_duplicates: true,
                    ..usual()
                },
                "inet6 2001:db8::2/128 scope global deprecated",
            ),
            (
                "2001:db8:1::1/64",
                AddressOptions {
                    peer: Some("2001:db8:1::2".parse().unwrap()),
                    manages_temporary: true,
                    ..usual()
                },
                "inet6 2001:db8:1::1 peer 2001:db8:1::2/64 scope global nodad mngtmpaddr",
            ),
        ];
        let shown = || {
            let output = Command::new("ip")
                .args(["-o", "address", "show", "dev", "left"])
                .output();
            let text = String::from_utf8(output.unwrap().stdout).unwrap();
            let words = text.split_whitespace();
            words.collect::<Vec<_>>().join(" ")
        };
        for (cidr, options, expected) in all.clone() {
            let cidr = cidr.parse().unwrap();
            let id = AddressId { ifindex, cidr };
            apply(&mut rtnl, Op::AddAddress(id, Some(options.into()))).unwrap();
            assert!(addresses(&mut rtnl).contains(&(id, true)), "{id:?}");
            assert!(shown().contains(expected), "{expected} in {}", shown());
        }
        // A director that finds them removes them as well.
        let mut rtnl = Rtnl::open().unwrap();
        addresses(&mut rtnl);
        for (cidr, ..) in all {
            let cidr = cidr.parse().unwrap();
            apply(&mut rtnl, Op::DelAddress(AddressId { ifindex, cidr })).unwrap();
        }
        let left = addresses(&mut rtnl);
        assert!(!left.iter().any(|(_, ours)| *ours), "{left:?}");
    });
}

#[test]
fn rules_are_set_and_read_back_and_foreign_ones_are_left_alone() {
    in_a_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        ip("rule add from 203.0.113.0/24 table 9");
        let by_source = Rule {
            priority: 100,
            from: Some("192.0.2.0/24".parse().unwrap()),
            iif: Some("lo".parse().unwrap()),
            mark: Some((7, 0xff)),
            ..Rule::of(Family::V4, RuleAction::Table(1000))
        };
        let refusing = Rule {
            family: Family::V6,
            priority: 101,
            from: None,
            to: Some("2001:db8::/32".parse().unwrap()),
            iif: None,
            mark: None,
            action: RuleAction::Prohibit,
            ..by_source.clone()
        };
        let suppressing = Rule {
            priority: 102,
            invert: true,
            tos: 0x10,
            protocol: Some(6),
            from_ports: Some((1024, 65534)),
            to_ports: Some((80, 80)),
            users: Some((100, 200)),
            suppress_prefix: Some(0),
            suppress_group: Some(7),
            ..Rule::of(Family::V4, RuleAction::Table(254))
        };
        let goto = Rule {
            priority: 103,
            ..Rule::of(Family::V4, RuleAction::Goto(104))
        };
        let place = Rule {
            priority: 104,
            ..Rule::of(Family::V4, RuleAction::Nop)
        };
        let all = [by_source, suppressing, goto, place, refusing];
        for rule in &all {
            apply(&mut rtnl, Op::AddRule(rule.clone())).unwrap();
            let again = apply(&mut rtnl, Op::AddRule(rule.clone()));
            assert_eq!(again, Err(OpError::EXISTS));
        }
        let rules = |rtnl: &mut Rtnl| match rtnl.snapshot() {
            Ok(Snapshot::Network { rules, .. }) => rules,
            other => panic!("{other:?}"),
        };
        assert_eq!(rules(&mut rtnl), all);
        for rule in &all {
            apply(&mut rtnl, Op::DelRule(rule.clone())).unwrap();
            let again = apply(&mut rtnl, Op::DelRule(rule.clone()));
            assert_eq!(again, Err(OpError::NOT_THERE));
        }
        assert_eq!(rules(&mut rtnl), []);
        let listed = Command::new("ip").args(["rule", "list"]).output().unwrap();
        assert!(String::from_utf8_lossy(&listed.stdout).contains("203.0.113.0/24"));
    });
}

#[test]
fn a_missing_link_is_an_errno_and_not_the_end() {
    in_a_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let nowhere = AddressId {
            ifindex: Ifindex(999),
            cidr: "192.0.2.1/24".parse().unwrap(),
        };
        assert_eq!(
            apply(&mut rtnl, Op::LinkUp(Ifindex(999))),
            Err(OpError(libc::ENODEV))
        );
        assert_eq!(
            apply(&mut rtnl, Op::AddAddress(nowhere, None)),
            Err(OpError(libc::ENODEV))
        );
        let lo = link(&mut rtnl, "lo").ifindex;
        let on = |cidr: &str| AddressId {
            ifindex: lo,
            cidr: cidr.parse().unwrap(),
        };
        let (first, second) = (on("192.0.2.1/32"), on("192.0.2.2/32"));
        let batch = [nowhere, first, first, second].map(|id| Op::AddAddress(id, None));
        assert_eq!(
            rtnl.apply(&batch),
            [
                Err(OpError(libc::ENODEV)),
                Ok(()),
                Err(OpError::EXISTS),
                Ok(())
            ],
            "one that is refused keeps no other from being done"
        );
        assert!(link(&mut rtnl, "lo").loopback);
    });
}

#[test]
fn the_monitor_hears_of_links_and_addresses() {
    in_a_namespace(|| {
        let (mut rtnl, mut monitor) = (Rtnl::open().unwrap(), Monitor::open().unwrap());
        ip("link add left type veth peer name right");
        ip("link set left up");
        ip("link set right up");
        let left = link(&mut rtnl, "left");
        let id = AddressId {
            ifindex: left.ifindex,
            cidr: "192.0.2.1/32".parse().unwrap(),
        };
        apply(&mut rtnl, Op::AddAddress(id, None)).unwrap();
        apply(&mut rtnl, Op::DelAddress(id)).unwrap();
        ip("link del left");
        let mut events = Vec::new();
        wait_until("the end of the link", || {
            events.extend(monitor.events().unwrap());
            events.contains(&KernelEvent::LinkGone(left.ifindex))
        });
        let carrier = |event: &KernelEvent| match event {
            KernelEvent::Link(link) => link.ifindex == left.ifindex && link.carrier,
            _ => false,
        };
        assert!(events.iter().any(carrier), "{events:?}");
        assert!(events.contains(&KernelEvent::Address(id, true)));
        assert!(events.contains(&KernelEvent::AddressGone(id)));
        assert_eq!(monitor.events().unwrap(), []);
    });
}

#[test]
fn adverts_are_heard_by_the_other_end_alone_and_carry_any_source() {
    in_a_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        cable(&mut rtnl);
        ip("address add 192.0.2.1/24 dev left");
        let (left, right) = (
            link(&mut rtnl, "left").ifindex,
            link(&mut rtnl, "right").ifindex,
        );
        let automatic = |id: AddressId| id.ifindex == left && id.cidr.address.is_ipv6();
        wait_until("the kernel's own address", || {
            addresses(&mut rtnl).iter().any(|(id, _)| automatic(*id))
        });
        let poll = Poll::new().unwrap();
        let mut sockets = VrrpSockets::default();
        for (group, foreign) in [("224.0.0.18", "198.51.100.9"), ("ff02::12", "fe80::9")] {
            let (group, foreign): (IpAddr, IpAddr) =
                (group.parse().unwrap(), foreign.parse().unwrap());
            let family = Family::of(group);
            for ifindex in [left, right, left] {
                sockets
                    .join(poll.registry(), Token(0), ifindex, group)
                    .unwrap();
            }
            let header = Header {
                source: foreign,
                destination: group,
                ttl: 254,
            };
            sockets.send(left, None, header, b"a payload");
            let mut buffer = [0; 2048];
            wait_until("the other end to hear it", || {
                let Some(received) = sockets.receive((right, family), &mut buffer).unwrap() else {
                    return false;
                };
                let expected = Received {
                    source: foreign,
                    destination: group,
                    ttl: 254,
                    payload: b"a payload",
                };
                assert_eq!(received, expected);
                true
            });
            assert_eq!(sockets.receive((left, family), &mut buffer).unwrap(), None);
        }
        sockets.forget(poll.registry(), left);
        for family in [Family::V4, Family::V6] {
            assert_eq!(sockets.receive((left, family), &mut [0]).unwrap(), None);
        }
    });
}

#[test]
fn an_announcement_reaches_the_neighbour_table() {
    in_a_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        cable(&mut rtnl);
        ip("address add 192.0.2.1/24 dev right");
        let left = link(&mut rtnl, "left");
        let mut announcer = Announcer::open().unwrap();
        for (vip, router) in [("192.0.2.100", false), ("2001:db8::100", true)] {
            ip(&format!(
                "neighbour add {vip} lladdr 02:00:00:00:00:01 dev right nud stale"
            ));
            if router {
                std::fs::write("/proc/sys/net/ipv6/conf/left/forwarding", "1").unwrap();
            }
            announcer.announce(left.ifindex, left.mac, vip.parse().unwrap());
            let router = if router { "router " } else { "" };
            let learned = format!("{vip} lladdr {} {router}STALE", left.mac);
            wait_until("the neighbour's table", || {
                ip("neighbour show dev right").contains(&learned)
            });
        }
    });
}

#[test]
fn an_ipv6_address_serves_at_once_and_the_kernels_own_waits_for_the_detection_of_duplicates() {
    in_a_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        cable(&mut rtnl);
        let left = link(&mut rtnl, "left").ifindex;
        for cidr in ["fe80::100/128", "2001:db8::1/64"] {
            let id = AddressId {
                ifindex: left,
                cidr: cidr.parse().unwrap(),
            };
            apply(&mut rtnl, Op::AddAddress(id, None)).unwrap();
            assert!(addresses(&mut rtnl).contains(&(id, true)));
        }
        let shown = ip("-6 -o address show dev left");
        let line = |of: &str| shown.lines().find(|line| line.contains(of)).unwrap();
        assert!(line("fe80::100/128").contains("deprecated"), "{shown}");
        for of in ["fe80::100/128", "2001:db8::1/64"] {
            assert!(!line(of).contains("tentative"), "{shown}");
        }
        let automatic = |(id, ours): &(AddressId, bool)| id.cidr.prefix == 64 && !ours;
        if shown.contains("tentative") {
            let known = addresses(&mut rtnl);
            let stays = ip("-6 -o address show dev left").contains("tentative");
            assert!(
                !stays
                    || !known
                        .iter()
                        .any(|known| known.0.ifindex == left && automatic(known))
            );
        }
        wait_until("the kernel's own address", || {
            addresses(&mut rtnl)
                .iter()
                .any(|known| known.0.ifindex == left && automatic(known))
        });
    });
}

/// Runs a test on a thread in a fresh network namespace: namespaces belong to threads.
fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
    let result = std::thread::spawn(move || {
        let has_ip = Command::new("ip").arg("-V").output().is_ok();
        if !has_ip || unshare(CloneFlags::CLONE_NEWNET).is_err() {
            skipped("a network namespace needs root and iproute2");
            return;
        }
        ip("link set lo up");
        test();
    })
    .join();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// A cable with both ends up, named left and right, that lets packets through.
fn cable(rtnl: &mut Rtnl) {
    ip("link add left type veth peer name right");
    ip("link set left up");
    ip("link set right up");
    // The carrier comes a moment before the queue behind it; what is sent in between is dropped.
    wait_until("both ends run", || {
        ["left", "right"]
            .iter()
            .all(|name| ip(&format!("-o link show {name}")).contains("state UP"))
    });
    assert!(link(rtnl, "left").carrier && link(rtnl, "right").carrier);
}

/// Looks until it is so: the kernel delivers packets and notifications on threads of its own.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "waited in vain for {what}"
        );
        std::thread::yield_now();
    }
}

/// Runs `ip` and gives its output.
fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("ip is installed");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Reads the kernel, does what leads from there to what is desired, and says what that was.
fn repair(rtnl: &mut Rtnl, desired: &Desired) -> Vec<Op> {
    let actual = Actual {
        routes: routes(rtnl).into_iter().collect(),
        ..Actual::default()
    };
    let ops = diff::network(desired, &actual);
    let results = rtnl.apply(&ops);
    assert!(results.iter().all(Result::is_ok), "{ops:?}: {results:?}");
    ops
}

fn apply(rtnl: &mut Rtnl, op: Op) -> Result<(), OpError> {
    rtnl.apply(&[op]).remove(0)
}

fn link(rtnl: &mut Rtnl, name: &str) -> Link {
    let Ok(Snapshot::Network { links, .. }) = rtnl.snapshot() else {
        panic!("no snapshot")
    };
    links
        .into_iter()
        .find(|link| link.name.as_str() == name)
        .unwrap()
}

fn addresses(rtnl: &mut Rtnl) -> Vec<(AddressId, bool)> {
    let Ok(Snapshot::Network { addresses, .. }) = rtnl.snapshot() else {
        panic!("no snapshot")
    };
    addresses
}

fn routes(rtnl: &mut Rtnl) -> Vec<Route> {
    let Ok(Snapshot::Network { mut routes, .. }) = rtnl.snapshot() else {
        panic!("no snapshot")
    };
    routes.sort_by_key(|route| (route.destination.address.is_ipv6(), route.via.is_some()));
    routes
}

/// Says so past the test's captured output.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
