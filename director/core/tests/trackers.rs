//! Trackers of whole directors: what they do to priorities and states, and where the addresses go.

#![allow(clippy::unwrap_used)]

mod pair;

use std::time::Duration;

use director_core::director::Command;
use director_core::overrides::Wish;
use director_core::status::TrackerStatus;
use pair::World;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const ADDRESS: &str = "10.0.0.100/24";

fn text(priority: u8, words: &str, more: &str) -> String {
    format!(
        "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 50\npriority {priority}\nvirtual_ipaddress {{\n\
         {ADDRESS}\n}}\n{words}\n}}\n{more}\n"
    )
}

/// Nodes of priority 150 and 100 with the same words, run until the first one is Active.
fn pair(words: &str, more: &str) -> World {
    let mut world = World::new(&[text(150, words, more), text(100, words, more)]);
    world.run(6 * SECOND);
    assert_eq!(
        (state(&world, 0), state(&world, 1)),
        ("Active".into(), "Backup".into())
    );
    world
}

fn state(world: &World, node: usize) -> String {
    world.router(node, "V").state
}

fn priority(world: &World, node: usize) -> u8 {
    world.router(node, "V").priority
}

fn tracker(world: &World, node: usize) -> TrackerStatus {
    world.router(node, "V").trackers.remove(0)
}

const PROBE: &str = "track_probe web {\ntcp 10.0.0.9 80\ninterval 0.5\nfall 2\n}";

#[test]
fn a_weighted_interface_lowers_the_priority_and_the_better_peer_takes_the_addresses_without_a_gap()
{
    let mut world = pair("track_interface {\neth1 weight -60\n}", "");
    assert_eq!(
        (priority(&world, 0), world.router(0, "V").base_priority),
        (150, 150)
    );
    world.plug(0, 1, false);
    assert_eq!(priority(&world, 0), 90);
    assert_eq!(
        (tracker(&world, 0).adds, tracker(&world, 0).state.as_str()),
        (-60, "down")
    );
    assert_eq!(state(&world, 0), "Active", "until the peer preempts it");
    for _ in 0..400 {
        world.run(10 * MILLISECOND);
        assert!(world.holds(0, ADDRESS) || world.holds(1, ADDRESS));
    }
    assert_eq!(
        (state(&world, 0), state(&world, 1)),
        ("Backup".into(), "Active".into())
    );
    world.plug(0, 1, true);
    world.run(4 * SECOND);
    assert_eq!(
        (state(&world, 0), priority(&world, 0)),
        ("Active".into(), 150)
    );
}

#[test]
fn a_weight_above_zero_is_added_while_the_thing_is_up_and_reverse_turns_it() {
    let mut world = pair("track_interface {\neth1 weight 20\n}", "");
    assert_eq!((priority(&world, 0), priority(&world, 1)), (170, 120));
    world.plug(0, 1, false);
    assert_eq!(priority(&world, 0), 150);
    let world = pair("track_interface {\neth1 weight 20 reverse\n}", "");
    assert_eq!((priority(&world, 0), priority(&world, 1)), (130, 80));
}

#[test]
fn priorities_end_at_1_and_254_and_an_owner_keeps_its_own() {
    let world = pair("track_interface {\neth1 weight 253\n}", "");
    assert_eq!(priority(&world, 0), 254);
    let mut world = pair("track_interface {\neth1 weight -253\n}", "");
    world.plug(0, 1, false);
    assert_eq!(priority(&world, 0), 1);
    let mut world = World::new(&[text(255, "track_interface {\neth1 weight -253\n}", "")]);
    world.plug(0, 1, false);
    world.run(SECOND);
    assert_eq!(
        (priority(&world, 0), state(&world, 0)),
        (255, "Active".into())
    );
}

/// The timer of a waiting router moves by what its skew has changed, and not by more.
#[test]
fn a_waiting_router_waits_by_its_new_priority() {
    let mut world = pair("track_interface {\neth1 weight -64\n}", "");
    world.nodes[0].dead = true;
    world.run(SECOND);
    let before = world.nodes[1].director.next_timeout().unwrap().0;
    world.plug(1, 1, false);
    let after = world.nodes[1].director.next_timeout().unwrap().0;
    assert!(after >= before);
    let taken = |world: &World| state(world, 1) == "Active";
    while !taken(&world) {
        world.run(MILLISECOND);
    }
    // Three adverts and a skew of 220/256 s after the last advert, which was less than a second before the silence.
    let line = world.nodes[1]
        .log
        .iter()
        .find(|line| line.contains("-> Active"))
        .unwrap();
    assert!(line.contains("no advert for 3.86 s"), "{line}");
}

#[test]
fn dont_track_primary_serves_on_without_a_link() {
    let mut world = pair("dont_track_primary", "");
    world.plug(0, 0, false);
    world.run(SECOND);
    assert_eq!(state(&world, 0), "Active");
}

#[test]
fn a_short_loss_of_the_link_is_waited_out_and_a_long_one_is_not() {
    let delays = "interface_up_down_delays {\neth0 0.5 1\n}";
    let mut world = pair("", delays);
    world.plug(0, 0, false);
    world.run(400 * MILLISECOND);
    world.plug(0, 0, true);
    world.run(SECOND);
    assert_eq!(state(&world, 0), "Active");
    world.plug(0, 0, false);
    world.run(499 * MILLISECOND);
    assert_eq!(state(&world, 0), "Active");
    world.run(MILLISECOND);
    assert_eq!(state(&world, 0), "Fault");
    world.plug(0, 0, true);
    world.run(999 * MILLISECOND);
    assert_eq!(state(&world, 0), "Fault");
    world.run(MILLISECOND);
    assert_eq!(state(&world, 0), "Backup");
}

/// Two adverts less an advert's 256th: a peer that misses a third takes over.
#[test]
fn a_link_is_never_waited_for_longer_than_a_peer_waits_for_adverts() {
    let mut world = pair("", "interface_up_down_delays {\neth0 200\n}");
    world.plug(0, 0, false);
    world.run(1996 * MILLISECOND);
    assert_eq!(state(&world, 0), "Active");
    world.run(MILLISECOND);
    assert_eq!(state(&world, 0), "Fault");
}

#[test]
fn an_unweighted_probe_holds_a_router_out_of_backup_until_it_has_run_and_in_fault_while_it_fails() {
    let mut world = World::new(&[text(150, "track_probe {\nweb\n}", PROBE)]);
    assert_eq!(state(&world, 0), "Initialize");
    world.run(2 * SECOND);
    assert_eq!(state(&world, 0), "Backup");
    world.run(4 * SECOND);
    assert_eq!(state(&world, 0), "Active");
    world.nodes[0].failing.insert("10.0.0.9:80".into());
    world.run(500 * MILLISECOND);
    assert_eq!(state(&world, 0), "Active", "one failure is none");
    world.run(2 * SECOND);
    assert_eq!(state(&world, 0), "Fault");
    assert_eq!(world.router(0, "V").reason, "tracked probe web down");
    assert!(!world.holds(0, ADDRESS));
    world.nodes[0].failing.clear();
    world.run(6 * SECOND);
    assert_eq!(state(&world, 0), "Active");
    // One that fails from the start.
    let mut world = World::new(&[text(150, "track_probe {\nweb\n}", PROBE)]);
    world.nodes[0].failing.insert("10.0.0.9:80".into());
    world.run(2 * SECOND);
    assert_eq!(state(&world, 0), "Fault");
}

#[test]
fn a_weighted_script_moves_the_addresses_and_brings_them_back() {
    let script = "vrrp_script chk {\nscript /opt/check\ninterval 1\nweight -60\nrise 2\nfall 2\n}";
    let mut world = pair("track_script {\nchk\n}", script);
    world.nodes[0].failing.insert("/opt/check".into());
    world.run(8 * SECOND);
    assert_eq!(
        (state(&world, 0), priority(&world, 0)),
        ("Backup".into(), 90)
    );
    assert_eq!(state(&world, 1), "Active");
    let told = world.nodes[0]
        .log
        .iter()
        .any(|line| line.contains("script chk: up -> down"));
    assert!(told, "{:?}", world.nodes[0].log);
    world.nodes[0].failing.clear();
    world.run(8 * SECOND);
    assert_eq!(
        (state(&world, 0), priority(&world, 0)),
        ("Active".into(), 150)
    );
}

#[test]
fn init_fail_is_a_failure_until_the_first_run() {
    let script = |init: &str| format!("vrrp_script chk {{\nscript /opt/check\n{init}\n}}");
    let words = "track_script {\nchk\n}";
    let world = World::new(&[text(150, words, &script("init_fail"))]);
    assert_eq!(state(&world, 0), "Fault");
    let world = World::new(&[text(150, words, &script(""))]);
    assert_eq!(state(&world, 0), "Initialize");
}

const FILE: &str = "track_file switch {\nfile /etc/keepalived/switch\n}";

fn write(world: &mut World, node: usize, text: &str) {
    let files = &mut world.nodes[node].files;
    files.insert("/etc/keepalived/switch".into(), text.into());
}

/// The manual switch: a number in a file is added to the priority, and where none is, nothing changes.
#[test]
fn a_file_with_a_number_moves_the_addresses_and_brings_them_back() {
    let mut world = pair("track_file {\nswitch\n}", FILE);
    assert_eq!(tracker(&world, 0).state, "at 0", "it is not there");
    write(&mut world, 0, "-60\n");
    world.run(6 * SECOND);
    assert_eq!(
        (
            state(&world, 0),
            priority(&world, 0),
            tracker(&world, 0).adds
        ),
        ("Backup".into(), 90, -60)
    );
    assert_eq!(state(&world, 1), "Active");
    let told = |world: &World, text: &str| world.nodes[0].log.iter().any(|l| l.ends_with(text));
    assert!(told(&world, " file switch: at -60"));
    // What is no number is not believed, nor what can't be read.
    for text in ["sixty", "-60 -60", "\u{0}", "99999999999999999999", "!"] {
        write(&mut world, 0, text);
        world.run(2 * SECOND);
        assert_eq!(priority(&world, 0), 90, "{text:?}");
    }
    world.nodes[0].files.clear();
    world.run(8 * SECOND);
    assert_eq!(
        (state(&world, 0), priority(&world, 0)),
        ("Active".into(), 150)
    );
}

#[test]
fn a_file_makes_a_router_fault_by_weight_zero_and_by_a_number_that_is_low_enough() {
    for (words, calm, fault) in [
        ("switch weight 0", "0", "1"),
        ("switch weight 0 reverse", "1", "0"),
        ("switch weight 2", "-126", "-127"),
        ("switch weight 2 reverse", "126", "127"),
    ] {
        let words = format!("track_file {{\n{words}\n}}");
        let mut world = World::with(&[text(150, &words, FILE)], |node| {
            node.files
                .insert("/etc/keepalived/switch".into(), calm.into());
        });
        world.run(5 * SECOND);
        assert_eq!(state(&world, 0), "Active", "{words} {calm}");
        write(&mut world, 0, fault);
        world.run(SECOND);
        assert_eq!(state(&world, 0), "Fault", "{words} {fault}");
        let reason = format!("tracked file switch at {fault}");
        assert_eq!(world.router(0, "V").reason, reason);
        write(&mut world, 0, calm);
        world.run(5 * SECOND);
        assert_eq!(state(&world, 0), "Active", "{words} {calm} again");
    }
}

/// A switch that was turned before the start holds from the first moment, also while checks wait for the network.
#[test]
fn a_file_is_read_before_anything_is_active() {
    let words = "track_file {\nswitch\n}\ntrack_interface {\neth1 weight 1\n}";
    let mut world = World::with(&[text(150, words, FILE)], |node| {
        node.files
            .insert("/etc/keepalived/switch".into(), "-100".into());
        node.links[1].carrier = false;
    });
    world.run(2 * SECOND);
    assert_eq!(
        (state(&world, 0), priority(&world, 0)),
        ("Backup".into(), 50)
    );
}

/// One that holds no number at the start, or is no file, is like one that is not there, and does not keep a router
/// waiting.
#[test]
fn a_file_that_never_held_a_number_says_0() {
    let words = "track_file {\nswitch weight 0\n}";
    for text_of_it in ["what?", "!"] {
        let mut world = World::with(&[text(150, words, FILE)], |node| {
            node.files
                .insert("/etc/keepalived/switch".into(), text_of_it.into());
        });
        world.run(5 * SECOND);
        assert_eq!(state(&world, 0), "Active");
        assert_eq!(tracker(&world, 0).state, "at 0");
    }
}

const SERVICES: &str = "virtual_server 10.0.0.100 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\ndelay_loop 1\n\
    real_server 10.0.0.9 80 {\nTCP_CHECK {\nretry 0\n}\n}\n}";

/// The pool is dead as this node sees it, and not as the other one does.
#[test]
fn a_router_follows_its_pool_to_the_node_that_reaches_it_and_stays_when_none_does() {
    for choice in ["all", "10.0.0.100 80"] {
        let mut world = pair(&format!("track_pool {{\n{choice}\n}}"), SERVICES);
        world.nodes[0].failing.insert("10.0.0.9:80".into());
        world.run(6 * SECOND);
        assert_eq!(
            (state(&world, 0), priority(&world, 0)),
            ("Backup".into(), 1)
        );
        assert_eq!(state(&world, 1), "Active");
        // Now nobody reaches it: to move again would help nobody.
        world.nodes[1].failing.insert("10.0.0.9:80".into());
        world.run(10 * SECOND);
        assert_eq!(
            (state(&world, 0), state(&world, 1)),
            ("Backup".into(), "Active".into())
        );
        world.nodes[0].failing.clear();
        world.run(8 * SECOND);
        assert_eq!(
            (state(&world, 0), priority(&world, 0)),
            ("Active".into(), 150)
        );
    }
}

#[test]
fn a_pool_of_weight_zero_is_fault_when_it_is_lost() {
    let mut world = pair("track_pool {\nall weight 0\n}", SERVICES);
    world.nodes[0].failing.insert("10.0.0.9:80".into());
    world.run(6 * SECOND);
    assert_eq!(
        (state(&world, 0), state(&world, 1)),
        ("Fault".into(), "Active".into())
    );
    assert_eq!(
        world.router(0, "V").reason,
        "tracked pool of all services down"
    );
}

#[test]
fn a_pool_that_an_operator_drains_is_lost_at_once() {
    let mut world = pair("track_pool {\nall weight 0\n}", SERVICES);
    let service = world.nodes[0].director.config().services[0].clone();
    let dest = service.real_servers[0].id;
    let command = |wish| Command::Dest(service.id, dest, wish);
    world.command(0, command(Wish::Drain(None)));
    assert_eq!(state(&world, 0), "Fault");
    world.command(0, command(Wish::Enable));
    assert_eq!(state(&world, 0), "Backup");
}

/// What a group tracks counts for all its members; what one of them tracks with a weight does not, unless asked for.
#[test]
fn a_group_shares_its_trackers_and_ignores_weights_of_its_members() {
    let instance = |wire: usize, priority: u8, words: &str| {
        format!(
            "vrrp_instance V{wire} {{\ninterface eth{wire}\nvirtual_router_id 5{wire}\npriority {priority}\n\
             virtual_ipaddress {{\n10.0.{wire}.100/24\n}}\n{words}\n}}\n"
        )
    };
    let text = |priority: u8, group: &str| {
        let weighted = "track_probe {\nweb weight -60\n}";
        format!(
            "vrrp_sync_group G {{\ngroup {{\nV0\nV1\n}}\n{group}\n}}\n{}{}{PROBE}\n",
            instance(0, priority, weighted),
            instance(1, priority, "")
        )
    };
    let moved = |group: &str| {
        let mut world = World::new(&[text(150, group), text(100, group)]);
        world.run(6 * SECOND);
        assert_eq!(world.group(0).state, "Active");
        world.nodes[0].failing.insert("10.0.0.9:80".into());
        world.run(8 * SECOND);
        let priorities = [
            world.router(0, "V0").priority,
            world.router(0, "V1").priority,
        ];
        (world.group(1).state, priorities)
    };
    assert_eq!(moved(""), ("Backup".into(), [150, 150]));
    let shared = "track_probe {\nweb weight -70\n}";
    assert_eq!(moved(shared), ("Active".into(), [80, 80]));
    assert_eq!(
        moved("sync_group_tracking_weight"),
        ("Backup".into(), [90, 150])
    );
}

#[test]
fn an_interface_too_narrow_for_the_adverts_is_a_fault_until_it_is_wider() {
    let mut world = pair("", "");
    // IP header, header, address, authentication data of version 2.
    let bytes = 20 + 8 + 4 + 8;
    world.narrow(0, 0, bytes);
    assert_eq!(state(&world, 0), "Active");
    world.narrow(0, 0, bytes - 1);
    let router = world.router(0, "V");
    assert_eq!(router.state, "Fault");
    assert!(router.reason.contains("40 bytes"), "{}", router.reason);
    world.run(SECOND);
    assert_eq!(state(&world, 1), "Active", "it heard a goodbye");
    world.narrow(0, 0, bytes);
    world.run(6 * SECOND);
    assert_eq!(state(&world, 0), "Active");
}
