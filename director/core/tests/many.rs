//! Many virtual routers on one interface: they take turns.

#![allow(clippy::unwrap_used)]

mod pair;

use std::collections::BTreeMap;
use std::time::Duration;

use director_core::director::Input;
use director_core::limits::{ROUTERS_PER_PHASE, TAKEOVERS_PER_SLICE};
use director_core::time::Instant;
use pair::World;

const ROUTERS: usize = 200;
const INTERVAL: Duration = Duration::from_millis(100);

fn text(routers: usize, priority: u8) -> String {
    let instance = |vrid: usize| {
        format!(
            "vrrp_instance V{vrid} {{\nversion 3\ninterface eth0\nvirtual_router_id {vrid}\npriority {priority}\n\
             advert_int 0.1\nvirtual_ipaddress {{\n10.0.9.{vrid}/32\n}}\n}}\n"
        )
    };
    (1..=routers).map(instance).collect()
}

/// What one look at the timers takes, and what follows from it, on a slow machine.
const SLOW: Duration = Duration::from_millis(20);

fn active(world: &World, node: usize) -> usize {
    let states = world.states(node);
    states.iter().filter(|state| *state == "Active").count()
}

/// How many adverts of a node left at which moment of a time.
fn moments(world: &World, node: usize, from: Instant) -> BTreeMap<Instant, usize> {
    let mut moments = BTreeMap::new();
    let all = world.advertised.iter();
    for (at, ..) in all.filter(|(at, by, _)| *by == node && *at >= from) {
        *moments.entry(*at).or_default() += 1;
    }
    moments
}

#[test]
fn adverts_of_many_routers_leave_by_turns_and_never_late() {
    let mut world = World::new(&[text(ROUTERS, 200), text(ROUTERS, 100)]);
    world.run(Duration::from_secs(1));
    let from = world.now;
    world.run(10 * INTERVAL);
    let moments = moments(&world, 0, from);
    let turns = ROUTERS.div_ceil(ROUTERS_PER_PHASE);
    assert_eq!(moments.len(), 10 * turns);
    assert!(moments.values().all(|count| *count <= ROUTERS_PER_PHASE));
    let mut last = BTreeMap::new();
    for (at, node, vrid) in &world.advertised {
        assert_eq!(*node, 0, "the other one keeps silent");
        if let Some(before) = last.insert(vrid, *at) {
            assert!(at.since(before) <= INTERVAL, "{vrid} at {at}");
        }
    }
    assert_eq!(last.len(), ROUTERS);

    world.nodes[0].dead = true;
    world.run(Duration::from_secs(1));
    assert_eq!(active(&world, 1), ROUTERS);
    let by_successor = world.announced.iter().filter(|(_, node, _)| *node == 1);
    let mut takeovers: Vec<Instant> = by_successor.map(|(at, ..)| *at).collect();
    takeovers.dedup();
    // A quarter of them at a time.
    let apart = takeovers[turns - 1].since(takeovers[0]);
    assert!(
        apart >= INTERVAL * 3 / 4 - Duration::from_millis(1),
        "{apart:?}"
    );
}

#[test]
fn few_routers_wait_for_no_turn() {
    let mut world = World::new(&[text(ROUTERS_PER_PHASE, 200)]);
    world.run(Duration::from_secs(1));
    let from = world.now;
    world.run(10 * INTERVAL);
    assert_eq!(moments(&world, 0, from).len(), 10);
}

#[test]
fn takeovers_of_one_moment_are_judged_in_slices() {
    let mut world = World::new(&[text(ROUTERS, 200)]);
    // Three intervals and the skew, to the microsecond: all of them at once.
    let mut most = 0;
    while active(&world, 0) < ROUTERS {
        let (at, _) = world.nodes[0].director.next_timeout().unwrap();
        world.now = world.now.max(at);
        assert!(
            world.now <= Instant::from_millis(500),
            "{}",
            active(&world, 0)
        );
        let before = active(&world, 0);
        world.feed(0, Input::Timeout);
        most = most.max(active(&world, 0) - before);
    }
    assert_eq!(most, TAKEOVERS_PER_SLICE);
}

#[test]
fn who_waits_for_others_to_take_over_was_not_asleep() {
    let mut world = World::new(&[text(ROUTERS, 200)]);
    let due = Instant::from_millis(1) + 3 * INTERVAL + INTERVAL * 56 / 256;
    world.run(due.since(world.now) - Duration::from_millis(1));
    let slices = u32::try_from(ROUTERS.div_ceil(TAKEOVERS_PER_SLICE)).unwrap();
    assert!((slices - 1) * SLOW > INTERVAL, "the last one is late");
    for _ in 0..slices {
        world.now = world.now.max(due) + SLOW;
        world.feed(0, Input::Timeout);
    }
    assert_eq!(active(&world, 0), ROUTERS);
}

#[test]
fn who_is_due_the_longest_takes_over_first() {
    let mut world = World::new(&[text(ROUTERS, 200), text(ROUTERS, 100)]);
    world.run(Duration::from_secs(1));
    world.nodes[0].dead = true;
    let mut heard = BTreeMap::new();
    for (at, _, vrid) in world.advertised.drain(..) {
        heard.insert(vrid, at);
    }
    while active(&world, 1) < ROUTERS {
        let (at, _) = world.nodes[1].director.next_timeout().unwrap();
        world.now = world.now.max(at) + SLOW;
        world.feed(1, Input::Timeout);
    }
    let mut taken: BTreeMap<Instant, Vec<Instant>> = BTreeMap::new();
    for (at, _, vrid) in &world.advertised {
        if let Some(heard) = heard.remove(vrid) {
            taken.entry(*at).or_default().push(heard);
        }
    }
    let mut last = Instant::ZERO;
    for (at, heard) in &taken {
        let (first, latest) = (heard.iter().min().unwrap(), heard.iter().max().unwrap());
        assert!(last <= *first, "at {at}");
        last = *latest;
    }
    assert_eq!(heard.len(), 0);
}

#[test]
fn all_routers_of_a_node_that_was_asleep_listen_once_more() {
    let mut world = World::new(&[text(ROUTERS, 200)]);
    world.run(INTERVAL);
    world.now = Instant::from_millis(5000);
    let woke = world.now;
    let again = INTERVAL + INTERVAL * 56 / 256;
    while world.now < woke + again {
        assert_eq!(active(&world, 0), 0, "at {}", world.now);
        world.feed(0, Input::Timeout);
        world.now = world.now + SLOW;
    }
    world.run(INTERVAL * 2);
    assert_eq!(active(&world, 0), ROUTERS);
}
