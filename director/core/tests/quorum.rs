//! What follows a service's quorum and its addresses: `quorum_up`, `ha_suspend`.

#![allow(clippy::unwrap_used)]

mod pair;

use std::time::Duration;

use director_core::director::Command;
use director_core::status::CheckStatus;
use pair::World;

const SECOND: Duration = Duration::from_secs(1);
const SERVER: &str = "10.0.0.9:80";

fn service(words: &str) -> String {
    format!(
        "virtual_server 10.0.0.100 80 {{\nlb_algo rr\nlb_kind DR\nprotocol TCP\ndelay_loop 1\n{words}\n\
         real_server 10.0.0.9 80 {{\nTCP_CHECK {{\nretry 0\n}}\n}}\n}}\n"
    )
}

#[test]
fn an_address_is_on_the_node_while_all_its_services_have_their_quorum() {
    let on = "quorum_up \"ip addr add 10.0.0.100/32 dev eth1\"\nquorum_down \"ip addr del 10.0.0.100/32 dev eth1\"";
    let other = service(on)
        .replace("100 80 {", "100 443 {")
        .replace("10.0.0.9 80", "10.0.0.8 443");
    let mut world = World::new(&[service(on) + &other]);
    world.run(3 * SECOND);
    assert!(world.holds(0, "10.0.0.100/32"));
    for server in [SERVER, "10.0.0.8:443"] {
        world.nodes[0].failing.insert(server.to_owned());
        world.run(3 * SECOND);
        assert!(!world.holds(0, "10.0.0.100/32"), "{server} is down");
        world.nodes[0].failing.clear();
        world.run(3 * SECOND);
        assert!(world.holds(0, "10.0.0.100/32"), "{server} is back");
    }
    world.command(0, Command::Stop);
    world.run(SECOND);
    assert!(world.nodes[0].director.stopped());
    assert!(!world.holds(0, "10.0.0.100/32"), "after an orderly stop");
}

fn instance(priority: u8, track: &str, words: &str) -> String {
    format!(
        "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 50\npriority {priority}\n\
         virtual_ipaddress {{\n10.0.0.100/24\n}}\n{track}\n}}\n{}",
        service(words)
    )
}

const TRACK: &str = "track_pool {\nall\n}";

fn check(world: &World, node: usize) -> CheckStatus {
    world.nodes[node].director.status().checks.remove(0)
}

fn states(world: &World) -> [String; 2] {
    [0, 1].map(|node| world.states(node).remove(0))
}

#[test]
fn checks_run_only_where_the_services_address_is_and_what_they_said_holds_on() {
    let instance = |priority: u8, words: &str| instance(priority, "", words);
    let mut world = World::new(&[instance(150, "ha_suspend"), instance(100, "ha_suspend")]);
    world.nodes[1].failing.insert(SERVER.to_owned());
    world.run(6 * SECOND);
    assert_eq!(states(&world), ["Active", "Backup"]);
    assert!(check(&world, 0).runs > 0);
    let rests = check(&world, 1);
    assert_eq!(
        (rests.runs, rests.next_run_us, &*rests.health),
        (0, 0, "up")
    );

    // The successor looks for itself once it has the address.
    world.nodes[0].failing.insert(SERVER.to_owned());
    world.command(0, Command::Handover(None));
    world.run(SECOND);
    assert_eq!(world.states(1), ["Active"]);
    let asked = check(&world, 0).runs;
    world.run(2 * SECOND);
    assert_eq!(check(&world, 1).health, "down");
    let rests = check(&world, 0);
    assert_eq!(
        (rests.runs, rests.next_run_us, &*rests.health),
        (asked, 0, "up")
    );

    // A reload may let it look again.
    world.reload(0, &instance(150, ""));
    world.run(3 * SECOND);
    assert_eq!(check(&world, 0).health, "down");
}

#[test]
fn checks_of_a_pool_that_is_tracked_never_rest() {
    let tracking = |priority| instance(priority, TRACK, "ha_suspend");
    let mut world = World::new(&[tracking(150), tracking(100)]);
    world.run(6 * SECOND);
    assert!(check(&world, 1).runs > 0, "on the Backup node");
    // Where the pool is bad for both, nobody hands it over.
    for node in &mut world.nodes {
        node.failing.insert(SERVER.to_owned());
    }
    world.run(3 * SECOND);
    let changes = |world: &World| {
        let lines = world.nodes.iter().flat_map(|node| &node.log);
        lines.filter(|line| line.contains("-> Active")).count()
    };
    let before = changes(&world);
    world.run(60 * SECOND);
    assert_eq!(changes(&world), before);
    assert_eq!(states(&world), ["Active", "Backup"]);

    // Nobody tracks it any more, and then somebody does again.
    world.reload(1, &instance(100, "", "ha_suspend"));
    world.run(SECOND);
    assert_eq!(check(&world, 1).next_run_us, 0);
    world.reload(1, &tracking(100));
    world.run(SECOND);
    assert!(check(&world, 1).next_run_us > 0);
}
