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

#[test]
fn checks_run_only_where_the_services_address_is_and_what_they_said_holds_on() {
    let instance = |priority: u8| {
        format!(
            "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 50\npriority {priority}\n\
             virtual_ipaddress {{\n10.0.0.100/24\n}}\ntrack_pool {{\nall\n}}\n}}\n{}",
            service("ha_suspend")
        )
    };
    let mut world = World::new(&[instance(150), instance(100)]);
    let check = |world: &World, node: usize| -> CheckStatus {
        world.nodes[node].director.status().checks.remove(0)
    };
    world.nodes[1].failing.insert(SERVER.to_owned());
    world.run(6 * SECOND);
    assert_eq!(
        (world.states(0), world.states(1)),
        (vec!["Active".into()], vec!["Backup".into()])
    );
    assert!(check(&world, 0).runs > 0);
    let rests = check(&world, 1);
    assert_eq!(
        (rests.runs, rests.next_run_us, &*rests.health),
        (0, 0, "up")
    );

    // The successor looks for itself once it has the address; its pool is no reason before.
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
    world.reload(0, &instance(150).replace("ha_suspend", ""));
    world.run(3 * SECOND);
    assert_eq!(check(&world, 0).health, "down");
}
