//! Sync groups of whole directors on two wires: what moves one member moves all.

#![allow(clippy::unwrap_used)]

mod pair;

use std::time::Duration;

use director_core::director::Command;
use pair::World;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

fn text(priorities: [u8; 2], more: &str) -> String {
    let instance = |wire: usize, priority: u8| {
        format!(
            "vrrp_instance V{wire} {{\ninterface eth{wire}\nvirtual_router_id 5{wire}\npriority {priority}\n\
             virtual_ipaddress {{\n10.0.{wire}.100/24\n}}\n}}\n"
        )
    };
    let [zero, one] = priorities;
    format!(
        "vrrp_sync_group G {{\ngroup {{\nV0\nV1\n}}\n}}\n{}{}{more}",
        instance(0, zero),
        instance(1, one)
    )
}

/// The first node has the higher priority; both have run until it is Active.
fn pair() -> World {
    let mut world = World::new(&[text([150, 150], ""), text([100, 100], "")]);
    world.run(5 * SECOND);
    assert_eq!(world.states(0), ["Active", "Active"]);
    assert_eq!(world.states(1), ["Backup", "Backup"]);
    world
}

#[test]
fn a_cable_that_is_pulled_moves_all_members_and_plugged_brings_them_back() {
    for wire in [0, 1] {
        let mut world = pair();
        world.plug(0, wire, false);
        assert_eq!(world.states(0), ["Fault", "Fault"]);
        assert_eq!(world.group(0).state, "Fault");
        let own = format!("V{wire}: link down");
        assert_eq!(world.group(0).reason, own);
        let other = world.router(0, &format!("V{}", 1 - wire));
        let expected = format!("V{wire} of the same sync group is in Fault");
        assert_eq!(other.reason, expected);
        // Where the cable is in, priority 0 was heard; where it is out, silence has to do.
        world.run(4 * SECOND);
        assert_eq!(world.states(1), ["Active", "Active"]);
        assert!(world.holds(1, "10.0.0.100/24") && world.holds(1, "10.0.1.100/24"));
        assert!(!world.holds(0, "10.0.0.100/24") && !world.holds(0, "10.0.1.100/24"));
        world.plug(0, wire, true);
        assert_eq!(world.states(0), ["Backup", "Backup"]);
        world.run(5 * SECOND);
        assert_eq!(world.states(0), ["Active", "Active"]);
        assert_eq!(world.states(1), ["Backup", "Backup"]);
        assert_eq!(world.group(0).reason, "");
    }
}

#[test]
fn a_takeover_waits_for_the_member_that_hears_longest_and_all_go_in_one_moment() {
    // Skews of 200/256 and 100/256 s: the first member is ready later.
    let mut world = World::new(&[text([150, 150], ""), text([56, 156], "")]);
    world.run(5 * SECOND);
    world.nodes[0].dead = true;
    world.nodes[1].log.clear();
    world.run(5 * SECOND);
    let taken: Vec<_> = world.nodes[1]
        .log
        .iter()
        .filter(|line| line.contains("-> Active"))
        .collect();
    assert_eq!(taken.len(), 3, "{taken:?}");
    let moment = |line: &str| line.split(' ').next().unwrap().to_owned();
    assert!(
        taken.iter().all(|line| moment(line) == moment(taken[0])),
        "{taken:?}"
    );
    assert!(
        taken[2].contains("sync group G: Backup -> Active"),
        "{taken:?}"
    );
}

#[test]
fn priorities_that_disagree_settle_instead_of_swinging() {
    let mut world = World::new(&[text([150, 50], ""), text([100, 100], "")]);
    world.run(20 * SECOND);
    let active: Vec<usize> = (0..2)
        .filter(|node| world.group(*node).state == "Active")
        .collect();
    assert_eq!(
        active.len(),
        1,
        "{:?} {:?}",
        world.states(0),
        world.states(1)
    );
    let [other] = [1 - active[0]];
    assert_eq!(world.states(other), ["Backup", "Backup"]);
    // One member would preempt; the other one follows a better router, and so does the group.
    let reasons = [
        world.router(other, "V0").reason,
        world.router(other, "V1").reason,
    ];
    let waits = "would take over, waits for the rest of its sync group";
    assert!(reasons.contains(&waits.to_owned()), "{reasons:?}");
    for node in &mut world.nodes {
        node.log.clear();
    }
    world.run(60 * SECOND);
    for node in &world.nodes {
        let changes: Vec<_> = node.log.iter().filter(|line| line.contains("->")).collect();
        assert!(changes.is_empty(), "{changes:?}");
    }
}

#[test]
fn a_split_of_one_wire_heals_with_all_members_on_one_node() {
    let mut world = pair();
    let split = [(0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 0, 1)];
    world.cut.extend(split);
    world.run(5 * SECOND);
    assert_eq!(world.states(1), ["Active", "Active"], "nobody is heard");
    // Only one wire heals: the worse node steps back there, and with it everywhere.
    world.cut.remove(&(0, 1, 0));
    world.cut.remove(&(1, 0, 0));
    world.run(2 * SECOND);
    assert_eq!(world.states(1), ["Backup", "Backup"]);
    assert!(!world.holds(1, "10.0.1.100/24"));
    world.run(20 * SECOND);
    assert_eq!(
        world.states(1),
        ["Backup", "Backup"],
        "it hears nobody on the other wire, and waits"
    );
    assert_eq!(world.states(0), ["Active", "Active"]);
}

/// A rival on one wire may have had the addresses of the others too.
#[test]
fn a_rival_of_one_member_has_all_members_announced_again() {
    let mut world = pair();
    world.run(20 * SECOND);
    world.cut.extend([(0, 1, 0), (0, 1, 1), (1, 0, 1)]);
    world.announced.clear();
    world.run(5 * SECOND);
    let by_first = |address: &str| {
        let mut own = world.announced.iter().filter(|(_, node, _)| *node == 0);
        own.any(|(_, _, announced)| announced == address)
    };
    assert!(by_first("10.0.0.100"), "its rival was heard");
    assert!(by_first("10.0.1.100"), "and nothing of that one's");
}

#[test]
fn a_handover_of_a_member_hands_over_the_group_without_a_gap() {
    for name in ["V1", "G"] {
        let mut world = pair();
        world.command(0, Command::Handover(Some(name.parse().unwrap())));
        for _ in 0..200 {
            world.run(10 * MILLISECOND);
            for address in ["10.0.0.100/24", "10.0.1.100/24"] {
                assert!(world.holds(0, address) || world.holds(1, address));
            }
        }
        assert_eq!(world.states(1), ["Active", "Active"]);
        assert_eq!(world.states(0), ["Backup", "Backup"]);
        world.run(20 * SECOND);
        assert_eq!(
            world.states(0),
            ["Backup", "Backup"],
            "it does not take it back"
        );
    }
}

#[test]
fn without_a_successor_for_one_member_the_whole_group_stays() {
    let mut world = pair();
    world.plug(1, 1, false);
    world.command(0, Command::Handover(Some("V0".parse().unwrap())));
    world.run(10 * SECOND);
    assert_eq!(world.states(0), ["Active", "Active"]);
    assert_eq!(world.states(1), ["Fault", "Fault"]);
}

#[test]
fn a_stop_hands_the_group_over() {
    let mut world = pair();
    world.command(0, Command::Stop);
    world.run(2 * SECOND);
    assert!(world.nodes[0].director.stopped());
    assert_eq!(world.states(1), ["Active", "Active"]);
}

#[test]
fn a_director_that_stops_asks_no_server_any_more() {
    let service = "virtual_server 10.0.0.50 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\ndelay_loop 0.1\nretry 0\n\
                   real_server 10.0.0.9 80 {\nTCP_CHECK {\n}\n}\n}\n";
    let mut world = World::new(&[text([150, 150], service), text([100, 100], "")]);
    world.run(5 * SECOND);
    world.nodes[0].failing.insert("10.0.0.9:80".to_owned());
    world.command(0, Command::Stop);
    world.run(300 * MILLISECOND);
    assert!(!world.nodes[0].director.stopped(), "it hands over");
    let fell = |line: &&String| line.contains("up -> down");
    assert_eq!(world.nodes[0].log.iter().find(fell), None);
    world.run(2 * SECOND);
    assert!(world.nodes[0].director.stopped());
}

#[test]
fn a_restarted_director_adopts_all_members_or_none() {
    let mut world = pair();
    let restart = |world: &mut World| {
        let config = pair::config(0, &text([150, 150], ""));
        world.nodes[0].director = director_core::director::Director::new(config, world.now, 7);
        world.feed(0, director_core::director::Input::Timeout);
    };
    world.announced.clear();
    restart(&mut world);
    assert_eq!(world.states(0), ["Active", "Active"]);
    world.run(100 * MILLISECOND);
    for address in ["10.0.0.100", "10.0.1.100"] {
        let said = |(_, node, what): &(_, usize, String)| *node == 0 && what == address;
        assert!(world.announced.iter().any(said), "{address}");
    }
    world.nodes[0].forget("10.0.1.100/24");
    restart(&mut world);
    assert_eq!(world.states(0), ["Backup", "Backup"]);
    world.run(5 * SECOND);
    assert_eq!(world.states(0), ["Active", "Active"]);
}

#[test]
fn a_reload_joins_and_parts_members_and_nobody_lets_go() {
    let mut world = pair();
    let apart = text([150, 150], "").replace("V1\n}\n}\n", "}\n}\n");
    world.reload(0, &apart);
    assert_eq!(world.states(0), ["Active", "Active"]);
    world.plug(0, 1, false);
    assert_eq!(
        world.states(0),
        ["Active", "Fault"],
        "they are not one any more"
    );
    world.plug(0, 1, true);
    world.run(5 * SECOND);
    // A further member joins: the others serve on while it listens.
    let added = text([150, 150], "").replace("V1\n}\n}\n", "V1\nV2\n}\n}\n")
        + "vrrp_instance V2 {\ninterface eth1\nvirtual_router_id 60\npriority 150\n\
           virtual_ipaddress {\n10.0.1.200/24\n}\n}\n";
    world.reload(0, &added);
    assert_eq!(world.states(0), ["Active", "Active", "Backup"]);
    world.run(4 * SECOND);
    assert_eq!(world.states(0), ["Active", "Active", "Active"]);
    assert_eq!(world.group(0).members, ["V0", "V1", "V2"]);
    // A member that waits for its group and leaves it takes over.
    world.plug(1, 0, false);
    world.nodes[0].dead = true;
    world.run(5 * SECOND);
    assert_eq!(world.states(1), ["Fault", "Fault"]);
    world.reload(1, &apart);
    world.run(5 * SECOND);
    assert_eq!(world.states(1), ["Fault", "Active"]);
}

/// Cables, cuts, handovers and reloads by chance: a node's members are in one state whenever things have come to
/// rest, and one node's are Active.
#[test]
fn whatever_happens_a_group_ends_in_one_state_on_one_node() {
    for seed in 1..60_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = |limit: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % limit
        };
        let mut world = World::new(&[text([150, 150], ""), text([100, 100], "")]);
        for _ in 0..40 {
            let (node, wire) = (below(2) as usize, below(2) as usize);
            match below(6) {
                0 => world.plug(node, wire, false),
                1 => world.plug(node, wire, true),
                2 => drop(world.cut.insert((node, 1 - node, wire))),
                3 => drop(world.cut.remove(&(node, 1 - node, wire))),
                4 => world.command(node, Command::Handover(None)),
                _ => world.reload(node, &text([150, 100], "").replace("150", "120")),
            }
            world.run(below(5000) as u32 * MILLISECOND);
            for node in 0..2 {
                let states = world.states(node);
                let fault = states.iter().filter(|state| *state == "Fault").count();
                assert!(fault == 0 || fault == 2, "seed {seed}: {states:?}");
            }
        }
        world.cut.clear();
        for node in 0..2 {
            (0..2).for_each(|wire| world.plug(node, wire, true));
            let priority = 150 - 50 * u8::try_from(node).unwrap();
            world.reload(node, &text([priority, priority], ""));
        }
        world.run(20 * SECOND);
        assert_eq!(world.states(0), ["Active", "Active"], "seed {seed}");
        assert_eq!(world.states(1), ["Backup", "Backup"], "seed {seed}");
        for address in ["10.0.0.100/24", "10.0.1.100/24"] {
            assert!(
                world.holds(0, address) && !world.holds(1, address),
                "seed {seed}"
            );
        }
    }
}
