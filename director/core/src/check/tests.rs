//! Checks in virtual time, against servers of every kind.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::limits;
use crate::net::Endpoint;
use crate::pattern::{Options, Pattern};
use crate::time::Instant;

const OK: &str = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn health_follows_the_results() {
    // s: the connection is made; f: it is refused. Retry 1: two failures in a row take a server out.
    let cases = [
        // (alpha, results, health after each)
        (false, "f", "d"), // never succeeded: at once
        (false, "s", "u"),
        (false, "sff", "uud"),
        (false, "sfsfsff", "uuuuuud"),
        (false, "fffs", "dddu"), // one success is enough
        (false, "sffsff", "uudu" /* then again after two */),
        (true, "fs", "du"),
        (true, "sff", "uud"),
    ];
    for (alpha, results, healths) in cases {
        let mut results = results.chars();
        let mut world = World::new(move |_| match results.next() {
            Some('s') => vec![(1, What::Connected)],
            _ => vec![(1, What::Failed(111))],
        });
        let initially = if alpha { Health::Down } else { Health::Up };
        world.set_initially(initially, vec![(0, tcp())]);
        assert_eq!(world.checks.health(&0), Some(initially));
        for health in healths.chars() {
            world.run_attempt();
            let want = if health == 'u' {
                Health::Up
            } else {
                Health::Down
            };
            assert_eq!(world.checks.health(&0), Some(want), "{healths}");
        }
    }
}

#[test]
fn a_failed_attempt_is_repeated_after_the_pause_and_the_schedule_stays() {
    let mut world = World::new(|n| match n {
        0 => vec![(1, What::Connected)],
        _ => vec![],
    });
    let settings = Settings { retry: 2, ..tcp() };
    world.set(vec![(0, settings)]);
    for _ in 0..6 {
        world.run_attempt();
    }
    let at = |n: usize| world.starts[n].1;
    // 1 success; then attempts that time out after 2 s and are repeated 1 s later; then one each interval.
    assert_eq!(at(2).since(at(1)), Duration::from_secs(3));
    assert_eq!(at(3).since(at(2)), Duration::from_secs(3));
    assert_eq!(at(4).since(at(1)), Duration::from_secs(10));
    assert_eq!(at(5).since(at(4)), Duration::from_secs(10));
    let event = world.events.remove(0);
    assert_eq!((event.old, event.new), (Health::Up, Health::Down));
    assert_eq!(
        event.to_string(),
        "TCP check of 192.0.2.10:80: up -> down after 13.340 s: no connection in time (2000.000 ms)"
    );
    assert!(world.events.is_empty());
}

#[test]
fn all_failures_are_told_where_that_is_asked_for() {
    let mut world = World::new(|n| match n {
        0 => vec![(1, What::Connected)],
        _ => vec![(1, What::Failed(111))],
    });
    let settings = Settings {
        log_all: true,
        ..tcp()
    };
    world.set(vec![(0, settings)]);
    for _ in 0..4 {
        world.run_attempt();
    }
    let told: Vec<String> = world.events.iter().map(ToString::to_string).collect();
    let tail = |line: &String| line.split_once("80: ").unwrap().1.to_string();
    let told: Vec<String> = told.iter().map(tail).collect();
    assert_eq!(told[0], "still up: connection refused (1.000 ms)");
    assert!(told[1].starts_with("up -> down after "), "{told:?}");
    assert_eq!(told[2], "still down: connection refused (1.000 ms)");
    assert_eq!(told.len(), 3);
}

#[test]
fn a_server_comes_back_after_as_many_successes_as_it_needs() {
    let cases = [
        ("s", "u"), // never failed: the first one is believed
        ("fsss", "dddu"),
        ("fsfsss", "dddddu"),
        ("sfsfss", "uuuuuu"), // up, and one failure is not enough
    ];
    for (results, healths) in cases {
        let mut results = results.chars();
        let mut world = World::new(move |_| match results.next() {
            Some('s') => vec![(1, What::Connected)],
            _ => vec![(1, What::Failed(111))],
        });
        let settings = Settings { rise: 3, ..tcp() };
        world.set(vec![(0, settings)]);
        for health in healths.chars() {
            world.run_attempt();
            let up = world.checks.health(&0) == Some(Health::Up);
            assert_eq!(up, health == 'u', "{healths}");
        }
    }
}

#[test]
fn checks_that_are_alike_are_one_and_each_key_has_its_events() {
    let slower = || Settings {
        interval: Duration::from_secs(30),
        ..tcp()
    };
    let mut world = World::new(|_| vec![(1, What::Failed(111))]);
    let up = |key: u32, settings: Settings| (key, ask(0, settings), Health::Up);
    world
        .checks
        .set(world.now, [up(0, tcp()), up(1, tcp()), up(2, slower())]);
    while world.events.len() < 3 {
        world.run_attempt();
    }
    let places: BTreeSet<u32> = world.starts.iter().map(|(id, _)| id.index).collect();
    assert_eq!(places.len(), 2, "one for two, and one for the slower");
    let mut told: Vec<_> = world.events.iter().map(|event| event.key).collect();
    told.sort_unstable();
    assert_eq!(told, [0, 1, 2]);
    let sharers = |world: &World, key: u32| world.checks.sharers(&key);
    assert_eq!([0, 1, 2].map(|key| sharers(&world, key)), [2, 2, 1]);
    // One goes, one changes its mind about time and joins another: what is known stays.
    world.checks.set(
        world.now,
        [up(1, slower()), up(2, slower()), up(3, slower())],
    );
    assert_eq!([0, 1, 2, 3].map(|key| sharers(&world, key)), [0, 3, 3, 3]);
    for key in 1..=3 {
        assert_eq!(world.checks.health(&key), Some(Health::Down), "{key}");
    }
    // Two that ask alike, but think otherwise of a server that nobody has asked yet.
    world.checks.set(world.now, []);
    world.checks.set(
        world.now,
        [up(0, tcp()), (1, ask(0, tcp()), Health::Down), up(2, tcp())],
    );
    assert_eq!([0, 1, 2].map(|key| sharers(&world, key)), [2, 1, 2]);
    // An earlier director knew of one only.
    world.checks.assume(world.now, &2, Health::Down);
    assert_eq!([0, 1, 2].map(|key| sharers(&world, key)), [1, 2, 2]);
    assert_eq!(world.checks.health(&0), Some(Health::Up));
    assert_eq!(world.checks.health(&2), Some(Health::Down));
}

#[test]
fn what_a_program_says_is_known_until_it_succeeds() {
    let mut runs = 0;
    let mut world = World::new(move |_| {
        runs += 1;
        let (said, code) = if runs == 1 {
            ("no route\nx", 2)
        } else {
            ("ok", 0)
        };
        let exit = What::Exited(Exit::Code(code));
        vec![(0, What::Received(said.into())), (1, exit)]
    });
    world.set(vec![(0, program(false))]);
    for said in ["no route", ""] {
        world.run_attempt();
        assert_eq!(world.checks.said(&0), said);
    }
}

#[test]
fn a_check_rests_while_all_whom_it_serves_want_that() {
    let mut world = World::new(|_| vec![(1, What::Connected)]);
    world.now = Instant::from_millis(1);
    let up = |key: u32| (key, ask(0, tcp()), Health::Up);
    world.checks.set(world.now, [up(0), up(1)]);
    let rests = |world: &World| {
        let (_, status) = world.checks.status(&1).unwrap();
        status.next_run == Instant::ZERO
    };
    let suspend = |world: &mut World, key: u32, suspended| {
        world.checks.suspend(world.now, &key, suspended);
    };
    suspend(&mut world, 0, true);
    suspend(&mut world, 0, true);
    assert!(!rests(&world), "one of two");
    suspend(&mut world, 1, true);
    assert!(rests(&world), "both");
    world.checks.set(world.now, [up(0), up(1), up(2)]);
    assert!(!rests(&world), "a third one came");
    world.checks.set(world.now, [up(0), up(1)]);
    assert!(rests(&world), "it went");
    suspend(&mut world, 0, false);
    assert!(!rests(&world));
    world.run_attempt();
    // Who is of another mind is served by another check, and goes on to rest.
    let mut world = World::new(|_| vec![(1, What::Connected)]);
    world.now = Instant::from_millis(1);
    world.checks.set(world.now, [up(0), up(1)]);
    suspend(&mut world, 1, true);
    world.checks.assume(world.now, &1, Health::Down);
    assert_eq!(world.checks.sharers(&1), 1);
    assert!(rests(&world));
    // Its place may be another one's afterwards.
    world.checks.set(world.now, [up(0)]);
    world
        .checks
        .set(world.now, [up(0), (1, ask(0, tcp()), Health::Down)]);
    assert!(!rests(&world));
}

#[test]
fn the_end_of_a_program_is_its_verdict() {
    let cases: [(bool, Script, &str, Option<i64>); 9] = [
        (false, ends(Exit::Code(0)), "", None),
        (false, ends(Exit::Code(1)), "exit code 1", None),
        (false, ends(Exit::Code(2)), "exit code 2", None),
        (
            false,
            ends(Exit::Code(127)),
            "the program is not there (exit code 127)",
            None,
        ),
        (true, ends(Exit::Code(0)), "", None),
        (true, ends(Exit::Code(1)), "exit code 1", None),
        (true, ends(Exit::Code(2)), "", Some(0)),
        (true, ends(Exit::Code(255)), "", Some(253)),
        (true, ends(Exit::Signal(9)), "killed by signal 9", None),
    ];
    for (dynamic, script, failure, value) in cases {
        let mut world = World::new(move |_| script.clone());
        world.set(vec![(0, program(dynamic))]);
        world.run_attempt();
        let status = world.status(0);
        let last = status.last.unwrap().err();
        assert_eq!(last.map_or(String::new(), |last| last.to_string()), failure);
        assert_eq!(status.value, value);
        assert_eq!((world.open, world.closed.len()), (0, 0));
        assert_eq!(world.ran.len(), 1);
    }
}

#[test]
fn a_weight_that_a_program_tells_is_an_event_and_an_unchanged_one_is_not() {
    let mut codes = [12, 12, 0, 1].into_iter();
    let mut world = World::new(move |_| ends(Exit::Code(codes.next().unwrap_or(1))));
    world.set(vec![(0, program(true))]);
    for _ in 0..4 {
        world.run_attempt();
    }
    let events: Vec<String> = world.events.iter().map(ToString::to_string).collect();
    assert_eq!(
        events,
        [
            "MISC check of 192.0.2.10:80: up -> up: success, 10 (1.000 ms)",
            "MISC check of 192.0.2.10:80: up -> up: success (1.000 ms)",
            "MISC check of 192.0.2.10:80: up -> down after 25.341 s: exit code 1 (1.000 ms)",
        ]
    );
}

#[test]
fn a_program_that_does_not_end_is_ended_and_few_run_at_once() {
    let count = 3 * limits::PROGRAMS_MAX as u32;
    let mut world = World::new(|_| vec![]);
    let mut wanted: Vec<_> = (0..count).map(|key| (key, program(false))).collect();
    wanted.push((count, tcp()));
    world.set(wanted);
    world.run_for(Duration::from_secs(8));
    assert_eq!(
        world.open_max,
        limits::PROGRAMS_MAX + 1,
        "sockets have a line of their own"
    );
    for key in 0..count {
        let status = world.status(key);
        assert_eq!(status.last, Some(Err(Failure::RunTimeout)), "{key}");
    }
    world.set(vec![]);
    assert_eq!(world.open, 0);
}

#[test]
fn a_mail_server_is_greeted_and_left() {
    let cases: [(&[(u64, &str)], &str); 6] = [
        (
            &[
                (1, "220 a\r\n"),
                (1, "250-b\r\n250 c\r\n"),
                (1, "221 d\r\n"),
            ],
            "",
        ),
        (&[(1, "554 no\r\n")], "reply 554"),
        (&[(1, "220 a\r\n"), (1, "501 who\r\n")], "reply 501"),
        (&[(1, "220 a\r\n")], "no reply in time"),
        (&[(1, "HTTP/1.1 400 Bad\r\n")], "reply is not SMTP"),
        (&[(1, "22")], "no reply in time"),
    ];
    for (pieces, failure) in cases {
        let script = http_server(pieces, None);
        let mut world = World::new(move |_| script.clone());
        let kind = Kind::Smtp {
            helo: "me.example".to_string(),
        };
        world.set(vec![(0, Settings { kind, ..tcp() })]);
        world.run_attempt();
        assert_eq!(last(&world), failure, "{pieces:?}");
        let sent: Vec<_> = world.sent.iter().map(|(_, text)| text.as_str()).collect();
        let lines = ["HELO me.example\r\n", "QUIT\r\n"];
        assert_eq!(sent, lines[..sent.len()]);
        assert_eq!(world.open, 0);
    }
}

#[test]
fn a_datagram_check_judges_what_comes_back() {
    let ping = |bytes: &[u8]| [&[0], &bytes[1..]].concat();
    let dns = |code: u8| move |bytes: &[u8]| [&bytes[..2], &[0x81, code], &bytes[4..]].concat();
    let udp = |reply| {
        Kind::Udp(Box::new(Udp {
            payload: b"ask".to_vec(),
            reply,
        }))
    };
    let reply = |pattern: &[(u8, u8)]| {
        Some(Reply {
            pattern: pattern.to_vec(),
            length: (2, 3),
        })
    };
    let question = || Kind::Dns(Box::new(crate::wire::dns::Question::new(6, ".").unwrap()));
    let cases: Vec<(Kind, Option<Echo>, &str)> = vec![
        (Kind::Ping, Some(Box::new(ping)), ""),
        (Kind::Ping, None, "no reply in time"),
        (
            Kind::Ping,
            Some(Box::new(<[u8]>::to_vec)),
            "no reply in time",
        ),
        (question(), Some(Box::new(dns(0))), ""),
        (question(), Some(Box::new(dns(2))), "answer SERVFAIL"),
        (
            question(),
            Some(Box::new(<[u8]>::to_vec)),
            "no reply in time",
        ),
        (udp(None), None, ""),
        (udp(None), Some(Box::new(<[u8]>::to_vec)), ""),
        (udp(reply(&[])), None, "no reply in time"),
        (udp(reply(&[])), Some(Box::new(<[u8]>::to_vec)), ""),
        (
            udp(reply(&[(b'a', 0xff), (0x70, 0xf0)])),
            Some(Box::new(<[u8]>::to_vec)),
            "",
        ),
        (
            udp(reply(&[(b'b', 0xff)])),
            Some(Box::new(<[u8]>::to_vec)),
            "reply of 3 bytes is not as required",
        ),
        (
            udp(reply(&[])),
            Some(Box::new(|_: &[u8]| vec![1; 4])),
            "reply of 4 bytes is not as required",
        ),
    ];
    for (kind, echo, failure) in cases {
        let mut world = World::new(|_| vec![(0, What::Connected)]);
        world.echo = echo;
        let transport = kind.transport();
        world.set(vec![(
            0,
            Settings {
                kind: kind.clone(),
                ..tcp()
            },
        )]);
        world.run_attempt();
        assert_eq!(last(&world), failure, "{kind:?}");
        assert_eq!(world.transport, Some(transport));
        assert_eq!(world.open, 0);
    }
}

#[test]
fn a_connection_that_can_not_be_secured_is_the_servers_fault_unless_it_is_ours() {
    for (error, health, text) in [
        (
            TlsError::Untrusted,
            Health::Down,
            "TLS: certificate of an unknown issuer",
        ),
        (
            TlsError::Files,
            Health::Up,
            "not tried: certificate or key of this node can't be read",
        ),
    ] {
        let mut world = World::new(move |_| vec![(1, What::Insecure(error))]);
        let tls = Tls {
            name: None,
            sni: true,
            ca: Some("ca.pem".to_string()),
            identity: None,
            compliant: false,
        };
        let mut settings = http(&["/"]);
        if let Kind::Http { tls: of, .. } = &mut settings.kind {
            *of = Some(Box::new(tls));
        }
        assert_eq!(settings.kind.name(), "SSL");
        world.set(vec![(0, settings)]);
        world.run_attempt();
        assert_eq!(
            (world.status(0).health, last(&world).as_str()),
            (health, text)
        );
        assert_eq!(world.open, 0);
    }
}

#[test]
fn a_datagram_that_nobody_takes_is_a_failure() {
    let mut world = World::new(|_| vec![(0, What::Connected), (1, What::Failed(111))]);
    let kind = Kind::Udp(Box::new(Udp {
        payload: Vec::new(),
        reply: None,
    }));
    world.set(vec![(0, Settings { kind, ..tcp() })]);
    world.run_attempt();
    assert_eq!(last(&world), "connection refused");
}

#[test]
fn a_file_tells_a_number_or_a_failure() {
    let cases = [
        (2, false, "5\n", "", Some(10)),
        (-3, false, " -4 ", "", Some(12)),
        (-3, true, "-4", "", Some(-12)),
        (1, false, "", "", Some(0)),
        (0, false, "0\n", "", None),
        (0, false, "", "", None),
        (0, false, "3", "the file says 3", None),
        (0, true, "3", "", None),
        (0, true, "", "the file says 0", None),
        (1, false, "many", "no number in the file", None),
    ];
    for (weight, reverse, text, failure, value) in cases {
        let mut world = World::new(move |_| {
            vec![
                (0, What::Connected),
                (0, What::Received(text.into())),
                (0, What::Closed),
            ]
        });
        let kind = Kind::File(Box::new(Watch {
            path: "number".to_string(),
            weight,
            reverse,
        }));
        world.set(vec![(0, Settings { kind, ..tcp() })]);
        world.run_attempt();
        assert_eq!(last(&world), failure, "{text}");
        assert_eq!(world.status(0).value, value, "{text}");
        let down = weight == 0 && !failure.is_empty();
        assert_eq!(world.status(0).health == Health::Down, down, "{text}");
    }
}

/// The last failure; empty for a success.
fn last(world: &World) -> String {
    let last = world.status(0).last.unwrap().err();
    last.map_or(String::new(), |last| last.to_string())
}

#[test]
fn the_longest_detection_is_an_interval_and_all_attempts() {
    let settings = Settings { retry: 2, ..tcp() };
    let seconds = |settings: &Settings| settings.detection().as_secs();
    assert_eq!(seconds(&settings), 10 + 3 * 2 + 2);
    assert_eq!(seconds(&http(&["/a", "/b"])), 10 + 2 * (2 * 2) + 1);
}

#[test]
fn runs_start_at_a_fixed_rate_however_long_they_take() {
    let mut world = World::new(|n| vec![(if n % 2 == 0 { 1 } else { 1900 }, What::Connected)]);
    world.set(vec![(0, tcp())]);
    for _ in 0..8 {
        world.run_attempt();
    }
    let starts: Vec<_> = world.starts.iter().map(|(_, at)| *at).collect();
    assert!(starts[0] <= Instant::ZERO + limits::CHECK_FIRST_WITHIN);
    assert!(starts[1].since(starts[0]) <= Duration::from_secs(10));
    for pair in starts[1..].windows(2) {
        assert_eq!(pair[1].since(pair[0]), Duration::from_secs(10));
    }
}

#[test]
fn each_bad_server_ends_in_a_clear_reason() {
    let cases: [(&str, Script, &str); 15] = [
        ("nothing answers", vec![], "no connection in time"),
        (
            "refuses",
            vec![(1, What::Failed(111))],
            "connection refused",
        ),
        (
            "unreachable",
            vec![(1, What::Failed(113))],
            "no route to host",
        ),
        ("strange errno", vec![(1, What::Failed(71))], "errno 71"),
        ("silent", vec![(1, What::Connected)], "no reply in time"),
        (
            "resets",
            http_server(&[(1, "HTTP/1.")], Some(What::Failed(104))),
            "connection reset",
        ),
        (
            "closes",
            http_server(&[], Some(What::Closed)),
            "closed without a reply",
        ),
        (
            "closes early",
            http_server(&[(1, "HTTP/1.0 200 OK\r\n")], Some(What::Closed)),
            "closed without a reply",
        ),
        (
            "speaks SMTP",
            http_server(&[(1, "220 mail ESMTP\r\n")], None),
            "reply is not HTTP/1",
        ),
        (
            "error page",
            http_server(
                &[(1, "HTTP/1.0 503 Busy\r\nContent-Length: 0\r\n\r\n")],
                None,
            ),
            "status 503",
        ),
        (
            "other page",
            http_server(
                &[(1, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nho")],
                None,
            ),
            "digest b5d9b59113086d3f9f9f108adaaa9ab5",
        ),
        (
            "drips",
            drip("HTTP/1.0 200 OK\r\n", "X: y\r\n"),
            "reply not complete in time",
        ),
        (
            "endless head",
            vec![(1, What::Connected), (2, What::Received(endless()))],
            "reply with too long a head",
        ),
        (
            "body cut",
            http_server(
                &[(
                    1,
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
                )],
                Some(What::Closed),
            ),
            "closed within the reply",
        ),
        (
            "wrong length",
            http_server(
                &[(1, "HTTP/1.0 200 OK\r\nContent-Length: many\r\n\r\n")],
                None,
            ),
            "reply with a wrong Content-Length",
        ),
    ];
    for (name, script, reason) in cases {
        let mut world = World::new(move |_| script.clone());
        world.set(vec![(0, http(&["/"]))]);
        world.run_attempt();
        let status = world.status(0);
        let text = status.last.unwrap().unwrap_err().to_string();
        assert!(text.starts_with(reason), "{name}: {text}");
        assert_eq!(status.health, Health::Down, "{name}");
        assert!(
            status.latency <= Duration::from_millis(2200),
            "{name}: {:?}",
            status.latency
        );
        assert_eq!(world.open, 0, "{name}: its socket is closed");
    }
}

#[test]
fn a_body_must_match_or_must_not() {
    for (expression, wanted, failure) in [
        ("^h.$", true, ""),
        ("ho", true, "body that the regex does not match"),
        ("ho", false, ""),
        ("h", false, "body that the regex matches"),
    ] {
        let mut world = World::new(|_| http_server(&[(1, OK)], None));
        let mut settings = http(&["/"]);
        if let Kind::Http { urls, .. } = &mut settings.kind {
            urls[0].regex = Some(Box::new(Regex {
                pattern: Pattern::new(expression, Options::default()).unwrap(),
                wanted,
                begins: 0..=u64::MAX,
            }));
        }
        world.set(vec![(0, settings)]);
        world.run_attempt();
        assert_eq!(last(&world), failure, "{expression} {wanted}");
    }
}

#[test]
fn all_urls_are_asked_in_one_run() {
    let mut world = World::new(|_| http_server(&[(1, OK)], None));
    world.set(vec![(0, http(&["/a", "/b", "/c"]))]);
    world.run_attempt();
    assert_eq!(world.starts.len(), 3);
    let requests: Vec<_> = world.sent.iter().map(|(_, bytes)| bytes.as_str()).collect();
    assert_eq!(
        requests[1],
        "GET /b HTTP/1.1\r\nHost: www.example\r\nUser-Agent: Keelson\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(world.status(0).runs, 1);
    assert_eq!(world.status(0).last, Some(Ok(())));
    // A failure of the second one is a failure of the run, and the third is not asked.
    let mut world = World::new(|n| match n {
        1 => http_server(&[(1, "HTTP/1.0 404 No\r\n\r\n")], Some(What::Closed)),
        _ => http_server(&[(1, OK)], Some(What::Closed)),
    });
    world.set(vec![(0, http(&["/a", "/b", "/c"]))]);
    world.run_attempt();
    assert_eq!(world.starts.len(), 2);
    assert_eq!(world.status(0).last, Some(Err(Failure::Status(404))));
}

#[test]
fn trouble_of_our_own_does_not_count_against_the_server() {
    let mut world = World::new(|n| match n {
        0 => vec![(1, What::Connected)],
        1..=20 => vec![(0, What::Failed(24))],
        _ => vec![(1, What::Connected)],
    });
    world.set(vec![(0, tcp())]);
    for _ in 0..20 {
        world.run_attempt();
    }
    let status = world.status(0);
    assert_eq!(
        (status.health, status.runs, status.failures),
        (Health::Up, 1, 0)
    );
    assert_eq!(status.last, Some(Err(Failure::Local(24))));
    let (first, last) = (world.starts[1].1, world.starts[19].1);
    assert!(
        last.since(first) >= limits::CHECK_LOCAL_PAUSE * 18,
        "it does not spin"
    );
}

#[test]
fn a_stall_of_our_own_loop_is_not_the_servers_failure() {
    // The server connects after 500 ms and replies 20 ms after it is asked; the timeout is 2 s.
    for stall_ms in [1990, 2005, 2500, 9000] {
        let mut world =
            World::new(|_| vec![(500, What::Connected), (520, What::Received(OK.into()))]);
        world.set_initially(Health::Down, vec![(0, http(&["/"]))]);
        world.run_until_started(1);
        let (id, at) = world.starts[0];
        world.pending.clear();
        // The loop sleeps through the connection, then reads its sockets before it judges its timers.
        let now = at + Duration::from_millis(stall_ms);
        world.checks.handle_io(now, id, Io::Connected);
        world.drain(now);
        world.checks.handle_timeout(now);
        world.drain(now);
        let now = now + Duration::from_millis(20);
        if stall_ms < 2000 {
            // It ends just before the deadline: not to be told from a slow server.
            world.checks.handle_timeout(now);
            assert_eq!(world.status(0).last, Some(Err(Failure::ReplyTimeout(0))));
            continue;
        }
        world.checks.handle_timeout(now);
        world.checks.handle_io(now, id, Io::Received(OK.as_bytes()));
        assert_eq!(world.status(0).last, Some(Ok(())), "stall of {stall_ms} ms");
    }
}

#[test]
fn a_stall_gives_time_only_once() {
    let mut world = World::new(|_| vec![]);
    world.set(vec![(0, tcp())]);
    world.run_until_started(1);
    let mut now = world.starts[0].1 + Duration::from_secs(30);
    world.checks.handle_timeout(now);
    assert_eq!(
        world.status(0).last,
        None,
        "its socket may hold something to read"
    );
    now = world.checks.next_timeout().unwrap() + Duration::from_secs(30);
    world.checks.handle_timeout(now);
    assert_eq!(world.status(0).last, Some(Err(Failure::ConnectTimeout)));
}

#[test]
fn a_reload_keeps_what_did_not_change() {
    let mut world = World::new(|_| vec![(1, What::Connected)]);
    world.set(vec![(0, tcp()), (1, tcp()), (2, tcp())]);
    world.run_for(Duration::from_secs(100));
    let before = world.status(1);
    let slower = Settings {
        interval: Duration::from_secs(30),
        ..tcp()
    };
    world.set(vec![(1, tcp()), (2, slower), (3, tcp())]);
    assert_eq!(world.status(1), before);
    assert!(
        world.status(2).runs > 5,
        "another interval is no reason to forget"
    );
    assert_eq!(world.status(3).runs, 0);
    assert_eq!(world.checks.health(&0), None);
    assert_eq!(world.checks.len(), 3);
    world.run_for(Duration::from_secs(31));
    assert!(world.status(2).runs > 5 && world.status(3).runs > 2);
}

#[test]
fn a_reload_does_not_disturb_an_attempt_under_way() {
    let mut world = World::new(|_| vec![(700, What::Connected)]);
    world.set(vec![(0, tcp())]);
    world.run_until_started(1);
    let slower = Settings {
        interval: Duration::from_secs(7),
        ..tcp()
    };
    world.set(vec![(0, slower)]);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.starts.len(), 1);
    assert_eq!(world.status(0).last, Some(Ok(())));
}

#[test]
fn a_failed_server_stays_down_when_its_check_changes() {
    let mut world = World::new(|_| vec![(1, What::Failed(111))]);
    world.set(vec![(0, tcp())]);
    world.run_attempt();
    assert_eq!(world.checks.health(&0), Some(Health::Down));
    world.set(vec![(0, http(&["/"]))]);
    assert_eq!(world.checks.health(&0), Some(Health::Down));
    assert_eq!(world.status(0).last, None);
}

#[test]
fn an_assumption_holds_until_the_first_result() {
    let mut world = World::new(|n| match n {
        0 => vec![(1, What::Connected)],
        _ => vec![(1, What::Failed(111))],
    });
    world.set(vec![(0, tcp())]);
    world.checks.assume(world.now, &0, Health::Down);
    assert_eq!(world.checks.health(&0), Some(Health::Down));
    world.run_attempt();
    assert_eq!(world.checks.health(&0), Some(Health::Up));
    assert_eq!(world.events.len(), 1);
    world.checks.assume(world.now, &0, Health::Down);
    assert_eq!(
        world.checks.health(&0),
        Some(Health::Up),
        "it knows better now"
    );
    // An alpha check that is assumed to be up goes down by its first failure.
    world.set_initially(Health::Down, vec![(1, tcp())]);
    world.checks.assume(world.now, &1, Health::Up);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.checks.health(&1), Some(Health::Down));
}

#[test]
fn what_is_heard_late_of_an_old_connection_is_dropped() {
    let mut world = World::new(|_| vec![]);
    world.set(vec![(0, tcp())]);
    world.run_until_started(1);
    let (old, _) = world.starts[0];
    // The check is replaced while it connects: its socket is closed, and its place is taken.
    world.set(vec![(0, http(&["/"]))]);
    assert_eq!(world.closed, vec![old]);
    world.run_until_started(2);
    let (new, _) = world.starts[1];
    assert_eq!(
        (new.index, u64::from(new)),
        (old.index, Id::from(u64::from(new)).into())
    );
    assert_ne!(new, old);
    for io in [
        Io::Connected,
        Io::Failed(111),
        Io::Closed,
        Io::Received(b"x"),
    ] {
        world.checks.handle_io(world.now, old, io);
        world.drain(world.now);
    }
    assert_eq!(world.status(0).last, None);
    world.checks.handle_io(world.now, new, Io::Connected);
    world.drain(world.now);
    assert_eq!(world.sent.len(), 1);
}

#[test]
fn open_sockets_are_bounded_and_nobody_starves() {
    // Twice as many dead servers as sockets: each is still asked, in turn.
    let count = 2 * limits::PROBES_OPEN_MAX as u32;
    let mut world = World::new(|_| vec![]);
    let slow = Settings {
        timeout: Duration::from_secs(5),
        ..tcp()
    };
    world.set((0..count).map(|key| (key, slow.clone())).collect());
    world.run_for(Duration::from_secs(14));
    assert_eq!(world.open_max, limits::PROBES_OPEN_MAX);
    for key in 0..count {
        assert!(world.status(key).runs >= 1, "check {key} has run");
        assert_eq!(world.status(key).health, Health::Down);
    }
    world.set(vec![]);
    assert_eq!(world.open, 0);
    assert_eq!(world.checks.next_timeout(), None);
}

#[test]
fn many_checks_spread_over_the_interval() {
    let mut world = World::new(|_| vec![(1, What::Connected)]);
    world.set((0..10_000).map(|key| (key, tcp())).collect());
    world.run_for(Duration::from_secs(21));
    let mut seconds = [0_u32; 22];
    for (_, at) in &world.starts {
        seconds[(at.micros() / 1_000_000) as usize] += 1;
    }
    let soon = Instant::from_millis(10_000) + limits::CHECK_GRID;
    let early = world.starts.iter().filter(|(_, at)| *at <= soon);
    assert!(early.count() >= 10_000, "the first runs come early");
    // Each has its second run within an interval of its first.
    for (second, starts) in seconds.iter().enumerate().take(10) {
        let most = 1200 + 120 * (second as u32 + 1);
        assert!(*starts <= most, "second {second}: {starts} starts");
    }
    for (second, starts) in seconds.iter().enumerate().take(21).skip(11) {
        assert!(
            (800..1200).contains(starts),
            "second {second}: {starts} starts"
        );
    }
}

#[test]
fn spurious_calls_change_nothing() {
    let mut world = World::new(|_| vec![(500, What::Connected)]);
    world.set(vec![(0, tcp())]);
    // At moments when what is due has begun.
    for step in 0..200 {
        let now = Instant::ZERO + limits::CHECK_GRID * step;
        world.advance(now);
        world.checks.handle_timeout(now);
        world.checks.handle_timeout(now);
        assert!(world.checks.poll_action(now).is_none());
    }
    assert_eq!(world.starts.len(), 1);
    assert_eq!(world.status(0).runs, 1);
}

proptest! {
    #[test]
    fn any_server_gets_a_verdict_in_time(
        pieces in prop::collection::vec((0_u64..3000, arbitrary_io()), 0..40),
        urls in 1_usize..3,
    ) {
        let mut world = World::new(move |_| pieces.clone());
        let paths = ["/a", "/b"];
        world.set(vec![(0, http(&paths[..urls]))]);
        world.run_until_started(1);
        let bound = (Duration::from_secs(2) + limits::CHECK_GRACE) * urls as u32;
        world.run_for(bound);
        let status = world.status(0);
        prop_assert!(status.last.is_some());
        prop_assert!(status.latency <= bound);
    }
}

fn arbitrary_io() -> impl Strategy<Value = What> {
    prop_oneof![
        8 => Just(What::Connected),
        1 => Just(What::Closed),
        1 => (1..140).prop_map(What::Failed),
        4 => prop::collection::vec(any::<u8>(), 0..200).prop_map(What::Received),
        8 => prop::sample::select(vec![
            OK, "HTTP/1.1 ", "200 OK\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n",
            "\r\n", "5\r\n", "hello", "0\r\n", "\n", "HTTP/1.1 100 Continue\r\n\r\n",
        ]).prop_map(|text| What::Received(text.into())),
    ]
}

/// What a server does, and when: milliseconds from the `Connect`.
type Script = Vec<(u64, What)>;

/// One thing that comes from a server.
#[derive(Clone, Debug)]
enum What {
    Connected,
    Failed(i32),
    Received(Vec<u8>),
    Closed,
    Exited(Exit),
    Insecure(TlsError),
}

/// What answers the bytes that were sent.
type Echo = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// The shell and the servers: answers each `Connect` by the script that `server` gives for its number.
struct World {
    now: Instant,
    checks: Checks<u32>,
    server: Box<dyn FnMut(usize) -> Script>,
    pending: BTreeMap<(Instant, usize), (Id, What)>,
    starts: Vec<(Id, Instant)>,
    sent: Vec<(Id, String)>,
    ran: Vec<Program>,
    transport: Option<Transport>,
    /// What answers a datagram.
    echo: Option<Echo>,
    closed: Vec<Id>,
    events: Vec<Event<u32>>,
    open: usize,
    open_max: usize,
    serial: usize,
}

impl World {
    fn new(server: impl FnMut(usize) -> Script + 'static) -> Self {
        Self {
            now: Instant::ZERO,
            checks: Checks::new(7),
            server: Box::new(server),
            pending: BTreeMap::new(),
            starts: Vec::new(),
            sent: Vec::new(),
            ran: Vec::new(),
            transport: None,
            echo: None,
            closed: Vec::new(),
            events: Vec::new(),
            open: 0,
            open_max: 0,
            serial: 0,
        }
    }

    fn set(&mut self, wanted: Vec<(u32, Settings)>) {
        self.set_initially(Health::Up, wanted);
    }

    fn set_initially(&mut self, health: Health, wanted: Vec<(u32, Settings)>) {
        let wanted = wanted.into_iter();
        // Each asks another port, so that none is shared.
        let wanted = wanted.map(|(key, settings)| (key, ask(key, settings), health));
        self.checks.set(self.now, wanted);
        self.drain(self.now);
    }

    fn status(&self, key: u32) -> Status {
        self.checks.status(&key).unwrap().1
    }

    fn drain(&mut self, now: Instant) {
        self.now = now;
        while let Some((id, action)) = self.checks.poll_action(now) {
            match action {
                Action::Connect {
                    target, transport, ..
                } => {
                    assert_eq!(target.ip(), ask(0, tcp()).target.address);
                    self.transport = Some(transport);
                    self.begin(id, now);
                }
                Action::Run(program) => {
                    self.ran.push(*program);
                    self.begin(id, now);
                }
                Action::Read(_) => self.begin(id, now),
                Action::Send { bytes } => self.say(id, &bytes),
                Action::Close => {
                    self.open -= 1;
                    self.closed.push(id);
                    self.pending.retain(|_, (of, _)| *of != id);
                }
            }
        }
        while let Some(event) = self.checks.poll_event() {
            self.events.push(event);
        }
    }

    fn say(&mut self, id: Id, bytes: &[u8]) {
        self.sent.push((id, String::from_utf8_lossy(bytes).into()));
        if let Some(echo) = &self.echo {
            self.serial += 1;
            let at = self.now + Duration::from_millis(1);
            let what = What::Received(echo(bytes));
            self.pending.insert((at, self.serial), (id, what));
        }
    }

    /// A connection or a program begins.
    fn begin(&mut self, id: Id, now: Instant) {
        let script = (self.server)(self.starts.len());
        self.starts.push((id, now));
        self.open += 1;
        self.open_max = self.open_max.max(self.open);
        for (ms, what) in script {
            self.serial += 1;
            let at = now + Duration::from_millis(ms);
            self.pending.insert((at, self.serial), (id, what));
        }
    }

    /// Goes to the next thing that happens, up to `end`: sockets first, then timers.
    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.pending.keys().next().map(|(at, _)| *at);
        // What is past is to be done now.
        let timer = self.checks.next_timeout().map(|at| at.max(self.now));
        let Some(at) = crate::time::earliest(arrival, timer).filter(|at| *at <= end) else {
            return false;
        };
        assert!(at >= self.now, "time goes on");
        if arrival == Some(at) {
            let (_, (id, what)) = self.pending.pop_first().unwrap();
            let io = match &what {
                What::Connected => Io::Connected,
                What::Failed(errno) => Io::Failed(*errno),
                What::Received(bytes) => Io::Received(bytes),
                What::Closed => Io::Closed,
                What::Exited(exit) => Io::Exited(*exit),
                What::Insecure(error) => Io::Insecure(*error),
            };
            if matches!(
                io,
                Io::Failed(_) | Io::Insecure(_) | Io::Closed | Io::Exited(_)
            ) {
                self.open -= 1;
                self.pending.retain(|_, (of, _)| *of != id);
            }
            self.checks.handle_io(at, id, io);
        } else {
            self.checks.handle_timeout(at);
            assert!(self.checks.next_timeout().is_none_or(|next| next > at));
        }
        self.drain(at);
        true
    }

    fn advance(&mut self, end: Instant) {
        while self.step(end) {}
        self.now = end;
    }

    fn run_for(&mut self, time: Duration) {
        self.advance(self.now + time);
    }

    fn run_until_started(&mut self, count: usize) {
        while self.starts.len() < count {
            assert!(self.step(self.now + Duration::from_secs(60)));
        }
    }

    /// Runs until check 0 has finished one attempt more.
    fn run_attempt(&mut self) {
        let before = self.status(0).last_run;
        while self.status(0).last_run == before {
            assert!(self.step(self.now + Duration::from_secs(60)));
        }
    }
}

/// Of a server that has a port for each check.
fn ask(port: u32, settings: Settings) -> Ask {
    Ask {
        target: Endpoint {
            address: [192, 0, 2, 10].into(),
            port: 80 + u16::try_from(port).unwrap(),
        },
        how: settings.into(),
    }
}

fn tcp() -> Settings {
    Settings {
        kind: Kind::Tcp,
        interval: Duration::from_secs(10),
        bind: None,
        path: None,
        timeout: Duration::from_secs(2),
        rise: 1,
        retry: 1,
        delay_before_retry: Duration::from_secs(1),
        log_all: false,
        warmup: Duration::from_secs(10),
    }
}

fn program(dynamic: bool) -> Settings {
    let program = Program {
        path: "look".to_string(),
        arguments: vec!["at".to_string()],
        owner: Owner::NOBODY,
        dynamic,
    };
    Settings {
        kind: Kind::Exec(Box::new(program)),
        retry: 0,
        ..tcp()
    }
}

/// A program that ends soon.
fn ends(exit: Exit) -> Script {
    vec![(1, What::Exited(exit))]
}

/// An HTTP check that wants status 200 and the body `hi`.
fn http(paths: &[&str]) -> Settings {
    let url = |path: &&str| Url {
        path: (*path).to_string(),
        host: "www.example".to_string(),
        status: vec![200..=299],
        digest: Some(*b"\x49\xf6\x8a\x5c\x84\x93\xec\x2c\x0b\xf4\x89\x82\x1c\x21\xfc\x3b"),
        regex: None,
    };
    Settings {
        kind: Kind::Http {
            urls: paths.iter().map(url).collect(),
            http11: true,
            tls: None,
        },
        ..tcp()
    }
}

/// A server that takes the connection, sends pieces, and then ends.
fn http_server(pieces: &[(u64, &str)], end: Option<What>) -> Script {
    let mut script = vec![(1, What::Connected)];
    let mut at = 1;
    for (after, text) in pieces {
        at += after;
        script.push((at, What::Received((*text).into())));
    }
    script.extend(end.map(|end| (at + 1, end)));
    script
}

/// A server that keeps the connection busy for ever.
fn drip(begin: &str, more: &str) -> Script {
    let mut pieces = vec![(1, begin)];
    pieces.extend((0..1000).map(|_| (100, more)));
    http_server(&pieces, None)
}

fn endless() -> Vec<u8> {
    let mut bytes = b"HTTP/1.0 200 OK\r\n".to_vec();
    bytes.extend(b"X: y\r\n".repeat(limits::HTTP_HEAD_MAX));
    bytes
}
