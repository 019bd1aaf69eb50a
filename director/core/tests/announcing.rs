//! Announcements of whole directors: the pace of a group of interfaces, and interfaces that no advert comes from.

#![allow(clippy::unwrap_used)]

mod pair;

use std::time::Duration;

use pair::World;

const SECOND: Duration = Duration::from_secs(1);

/// Two owners on two wires; each address is announced once.
fn text(global: &str, more: &str) -> String {
    let instance = |wire: usize| {
        format!(
            "vrrp_instance V{wire} {{\ninterface eth{wire}\nvirtual_router_id 5{wire}\npriority 255\n\
             virtual_ipaddress {{\n10.0.{wire}.100/24\n10.0.{wire}.101/24\n}}\n}}\n"
        )
    };
    let (first, second) = (instance(0), instance(1));
    format!("global_defs {{\nvrrp_min_garp\n{global}\n}}\n{first}{second}{more}")
}

/// When which address was announced, in milliseconds since the first one.
fn announced(world: &World) -> Vec<(u128, &str)> {
    let start = world.announced[0].0;
    let all = world.announced.iter();
    all.map(|(at, _, address)| (at.since(start).as_millis(), address.as_str()))
        .collect()
}

#[test]
fn routers_of_a_garp_group_announce_one_after_the_other() {
    let mut apart = World::new(&[text("", "")]);
    apart.run(5 * SECOND);
    let at_once = announced(&apart);
    assert_eq!(at_once.len(), 4);
    assert!(at_once.iter().all(|(at, _)| *at <= 2), "{at_once:?}");

    let group = "garp_group {\ngarp_interval 0.05\ninterfaces {\neth0\neth1\n}\n}\n";
    let mut paced = World::new(&[text("", group)]);
    paced.run(5 * SECOND);
    let found = announced(&paced);
    let times: Vec<u128> = found.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 49, 99, 149], "the first pause is a tick shorter");
    let mut addresses: Vec<&str> = found.iter().map(|(_, address)| *address).collect();
    addresses.sort_unstable();
    let expected = ["10.0.0.100", "10.0.0.101", "10.0.1.100", "10.0.1.101"];
    assert_eq!(addresses, expected);
    for node in &paced.nodes {
        assert!(
            node.director
                .status()
                .routers
                .iter()
                .all(|router| router.state == "Active")
        );
    }
}

/// Who lets go while his announcements wait says no more.
#[test]
fn what_waits_is_dropped_when_its_router_lets_go() {
    let group = "garp_group {\ngarp_interval 1\ninterfaces {\neth0\neth1\n}\n}\n";
    let mut world = World::new(&[text("", group)]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.announced.len(), 1);
    world.plug(0, 1, false);
    world.run(20 * SECOND);
    let of_second = |address: &&str| address.starts_with("10.0.1.");
    let found = announced(&world);
    assert_eq!(
        found
            .iter()
            .map(|(_, address)| address)
            .filter(|it| of_second(it))
            .count(),
        0
    );
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn an_interface_without_adverts_is_told_again_and_again() {
    let instance = |words: &str| {
        format!(
            "global_defs {{\nvrrp_min_garp\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 5\npriority 255\n\
             {words}\nvirtual_ipaddress {{\n10.0.0.100/24\n10.0.1.100/24 dev eth1\n10.0.1.101/24 dev eth1\n}}\n}}\n"
        )
    };
    for (words, each) in [
        ("", vec![]),
        ("garp_extra_if 10", vec!["10.0.1.100"]),
        ("garp_extra_if all 10", vec!["10.0.1.100", "10.0.1.101"]),
    ] {
        let mut world = World::new(&[instance(words)]);
        world.run(25 * SECOND);
        let later = announced(&world).into_iter().filter(|(at, _)| *at > 1000);
        let again = [10_000, 20_000].into_iter();
        let again = again.flat_map(|at| each.iter().map(move |address| (at, *address)));
        assert!(later.eq(again), "{words}: {:?}", announced(&world));
    }
}
