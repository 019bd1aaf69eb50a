//! What checks make of a pool: which real servers are in, and with which weight.

#![allow(clippy::unwrap_used)]

mod pair;

use std::time::Duration;

use director_core::status::DestStatus;

use pair::World;

/// Longer than any check below takes to decide.
const WHILE: Duration = Duration::from_secs(5);

/// A service with these words, and real servers on ports from 1 on with these.
fn world(words: &str, reals: &[&str]) -> World {
    let reals: String = (1..)
        .zip(reals)
        .map(|(port, words)| format!("real_server 10.0.0.9 {port} {{\n{words}\n}}\n"))
        .collect();
    let text = format!(
        "track_file F {{\nfile switch\n}}\nvirtual_server 10.0.0.50 80 {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n\
         delay_loop 1\nretry 0\n{words}\n{reals}}}\n"
    );
    World::new(&[text])
}

fn dests(world: &mut World) -> Vec<DestStatus> {
    world.run(WHILE);
    world.nodes[0].director.status().services.remove(0).dests
}

fn weights(world: &mut World) -> Vec<Option<u32>> {
    let dests = dests(world);
    dests.iter().map(|dest| dest.kernel_weight).collect()
}

#[test]
fn a_file_adds_to_the_weight_or_takes_the_server_out() {
    let words = |weight: &str| format!("weight 10\nFILE_CHECK {{\ntrack_file F\n{weight}\n}}");
    let reals = [
        "",
        "weight 2",
        "weight 3 reverse",
        "weight 0",
        "weight 0 reverse",
    ];
    let reals = reals.map(words);
    let mut world = world("", &reals.each_ref().map(String::as_str));
    let at_rest = [Some(10), Some(10), Some(10), Some(10), None];
    assert_eq!(weights(&mut world), at_rest, "no file says 0");
    for (text, expected) in [
        ("3", [Some(13), Some(16), Some(1), None, Some(10)]),
        ("-6\n", [Some(4), Some(0), Some(28), None, Some(10)]),
        ("many", [Some(4), Some(0), Some(28), None, Some(10)]),
        ("0", at_rest),
    ] {
        let files = &mut world.nodes[0].files;
        files.insert("switch".to_string(), text.to_string());
        assert_eq!(weights(&mut world), expected, "{text}");
    }
}

#[test]
fn no_more_servers_go_than_the_limit_says_and_who_failed_first_goes_first() {
    for limit in ["2", "50%", "74%"] {
        let words = format!("depool_limit {limit}");
        let mut world = world(&words, &["TCP_CHECK {\n}"; 4]);
        assert_eq!(weights(&mut world), [Some(1); 4]);
        for port in [3, 1, 4] {
            world.nodes[0].failing.insert(format!("10.0.0.9:{port}"));
            world.run(WHILE);
        }
        let held = dests(&mut world);
        let weights_of = |dests: &[DestStatus]| -> Vec<_> {
            dests.iter().map(|dest| dest.kernel_weight).collect()
        };
        assert_eq!(weights_of(&held), [None, Some(1), None, Some(1)], "{limit}");
        assert_eq!(held[3].state, "down");
        let reason = "held in, as no more may go: TCP check: connection refused";
        assert_eq!(held[3].reason, reason);
        assert_eq!(held[0].reason, "TCP check: connection refused");
        world.nodes[0].failing.remove("10.0.0.9:3");
        assert_eq!(
            weights(&mut world),
            [None, Some(1), Some(1), None],
            "{limit}"
        );
    }
}

#[test]
fn one_that_was_never_up_is_not_held() {
    let mut world = world("depool_limit 0\nalpha", &["TCP_CHECK {\n}"; 2]);
    world.nodes[0].failing.insert("10.0.0.9:1".to_string());
    assert_eq!(weights(&mut world), [None, Some(1)]);
    world.nodes[0].failing.insert("10.0.0.9:2".to_string());
    assert_eq!(weights(&mut world), [None, Some(1)]);
}
