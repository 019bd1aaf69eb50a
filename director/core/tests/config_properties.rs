//! Properties of the configuration reader: it takes any bytes, its reports are safe and bounded, and it is linear.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::time::Duration;

use director_core::config::{Parsed, SHOWN_COLUMNS, Source, parse};
use director_core::limits;
use nix::time::{ClockId, clock_gettime};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const PAIR: &str = include_str!("config/pair.conf");
const ROUTER: &str = include_str!("config/pair.router.conf");

/// Pieces that the grammar knows, so that random texts come far.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "\n",
    "\n",
    " ",
    "\"",
    "#",
    "!",
    "\\",
    "\\\n",
    "\t",
    "\r\n",
    "\0",
    "\u{a0}",
    "@one",
    "@^one",
    "$X=",
    "$X",
    "${X}",
    "~SEQ(x, 1)",
    "include",
    "global_defs",
    "vrrp_instance V",
    "virtual_server 10.0.0.1 80",
    "real_server 10.0.0.2 80",
    "TCP_CHECK",
    "HTTP_GET",
    "url",
    "path /",
    "virtual_ipaddress",
    "10.0.0.1/24",
    "interface eth0",
    "virtual_router_id 1",
    "priority",
    "authentication",
    "auth_pass",
    "vrrp_sync_group",
    "smtp_alert",
    "quorum 5",
    "255",
];

fn both(keepalived: &[u8], router: &[u8]) -> Parsed {
    let keepalived = Source {
        name: "keepalived.conf",
        bytes: keepalived,
    };
    parse(
        Some(keepalived),
        Some(Source {
            name: "router.conf",
            bytes: router,
        }),
    )
}

fn holds_what_is_promised(parsed: &Parsed) {
    assert!(parsed.diagnostics.len() <= limits::DIAGNOSTICS_MAX);
    assert_eq!(parsed.config.is_some(), !parsed.has_errors());
    for diagnostic in &parsed.diagnostics {
        let text = diagnostic.to_string();
        assert!(
            text.chars()
                .all(|c| c == '\n' || c == '\t' || !c.is_control()),
            "{text:?}"
        );
        assert!(
            diagnostic.source_line.chars().count() <= SHOWN_COLUMNS,
            "{text:?}"
        );
        assert!(diagnostic.message.chars().count() <= 160, "{text:?}");
        assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
    }
    for pair in parsed.diagnostics.windows(2) {
        let [a, b] = pair else { unreachable!() };
        assert!(
            a.file != b.file || (a.line, a.column, &a.message) != (b.line, b.column, &b.message),
            "{a}\n{b}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read(keepalived: Vec<u8>, router: Vec<u8>) {
        holds_what_is_promised(&both(&keepalived, &router));
    }

    #[test]
    fn any_row_of_known_pieces_is_read(
        pieces in vec(select(PIECES.as_slice()), 0..200),
        blanks in vec(any::<bool>(), 200),
    ) {
        let mut text = String::new();
        for (piece, blank) in pieces.iter().zip(blanks) {
            text.push_str(piece);
            text.push_str(if blank { " " } else { "" });
        }
        holds_what_is_promised(&both(text.as_bytes(), b""));
        holds_what_is_promised(&both(b"", text.as_bytes()));
    }

    #[test]
    fn a_good_file_with_random_damage_is_read(
        damage in vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..12),
    ) {
        let (mut keepalived, mut router) = (PAIR.as_bytes().to_vec(), ROUTER.as_bytes().to_vec());
        for (index, kind, byte) in damage {
            for text in [&mut keepalived, &mut router] {
                let at = index.index(text.len());
                match kind {
                    0 => text[at] = byte,
                    1 => text.insert(at, byte),
                    2 if text.len() > 1 => drop(text.remove(at)),
                    _ => text.truncate(at.max(1)),
                }
            }
        }
        holds_what_is_promised(&both(&keepalived, &router));
    }

    #[test]
    fn one_brace_too_few_or_too_many_is_one_error(index: prop::sample::Index, insert: bool) {
        let braces: Vec<usize> = PAIR.match_indices('}').map(|(at, _)| at).collect();
        let at = braces[index.index(braces.len())];
        let mut text = PAIR.to_owned();
        if insert {
            text.insert(at, '}');
        } else {
            text.remove(at);
        }
        let parsed = both(text.as_bytes(), ROUTER.as_bytes());
        let said: String = parsed.diagnostics.iter().map(ToString::to_string).collect();
        prop_assert!((1..=2).contains(&parsed.diagnostics.len()), "{said}");
    }
}

fn services(count: usize) -> String {
    let mut text = String::new();
    for i in 0..count {
        let (a, b) = (i / 250, i % 250);
        let head = "    delay_loop 6\n    lb_algo wrr\n    lb_kind DR\n    protocol TCP";
        writeln!(text, "virtual_server 10.{a}.{b}.1 80 {{\n{head}").unwrap();
        for j in 1..=10 {
            let server = "        weight 1\n        TCP_CHECK {\n            connect_timeout 3\n        }\n    }";
            writeln!(text, "    real_server 172.16.{b}.{j} 80 {{\n{server}").unwrap();
        }
        text.push_str("}\n");
    }
    text
}

/// What this thread has computed so far: neighbours on a busy machine do not count.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}

fn seconds(text: &str) -> f64 {
    let start = processor_time();
    let parsed = parse(
        Some(Source {
            name: "k",
            bytes: text.as_bytes(),
        }),
        None,
    );
    let seconds = (processor_time() - start).as_secs_f64();
    holds_what_is_promised(&parsed);
    seconds
}

#[test]
fn ten_thousand_services_of_ten_servers_are_read_in_linear_time() {
    let (small, large) = (services(1000), services(10_000));
    let (small_s, large_s) = (seconds(&small), seconds(&large));
    println!(
        "1000 services x 10: {small_s:.3} s; 10000 x 10 ({} bytes): {large_s:.3} s",
        large.len()
    );
    // Ten times the text takes ten times as long; what is above it is cache misses.
    assert!(large_s < 40.0 * small_s, "{small_s} {large_s}");
}

#[test]
fn hostile_texts_take_no_longer_than_their_length() {
    // What is quadratic needs minutes for a megabyte, what is linear a second.
    let size = 1 << 20;
    for (name, piece) in [
        ("open braces", "{"),
        ("closed braces", "}"),
        ("named blocks", "vrrp_instance V {"),
        ("crossed braces", "} {"),
        ("quotes", "\""),
        ("words", "x "),
        ("statements", "x\n"),
        ("continued lines", "\\\n"),
        ("comments", "a#\n"),
        ("nested opaque", "a { b\n"),
        ("accepted words", "linkbeat_use_polling\n"),
        ("variables", "$X $Y=1\n"),
        (
            "servers without end",
            "virtual_server 10.0.0.1 80 { real_server 10.0.0.2 80 {\n",
        ),
        (
            "one instance again and again",
            "vrrp_instance V {\ninterface eth0\n}\n",
        ),
        ("NULs", "\0"),
        ("ids", "@x y\n"),
    ] {
        let text = piece.repeat(size / piece.len());
        let seconds = seconds(&text);
        println!("{name}: {seconds:.3} s");
        assert!(seconds < 30.0, "{name}: {seconds}");
    }
}

#[test]
fn a_file_beyond_the_limit_is_refused_unread() {
    let bytes = vec![b'\n'; limits::CONFIG_BYTES_MAX + 1];
    let parsed = parse(
        Some(Source {
            name: "k",
            bytes: &bytes,
        }),
        None,
    );
    assert_eq!(parsed.diagnostics.len(), 1);
    assert!(parsed.config.is_none());
}

#[test]
fn tables_beyond_their_limits_are_refused() {
    let routers: String = (0..=limits::ROUTERS_MAX)
        .map(|i| {
            let (vrid, interface, a, b) = (i % 255 + 1, i / 255, i / 250, i % 250 + 1);
            let place = format!("interface e{interface}\nvirtual_router_id {vrid}");
            format!("vrrp_instance V{i} {{\n{place}\nvirtual_ipaddress {{\n10.1.{a}.{b}\n}}\n}}\n")
        })
        .collect();
    let service = |i: usize, servers: usize| {
        let mut text = format!(
            "virtual_server fwmark {} {{\nlb_algo rr\nlb_kind DR\n",
            i + 1
        );
        for server in 0..servers {
            writeln!(
                text,
                "real_server 10.{}.{}.1 {{\n}}",
                server / 250,
                server % 250
            )
            .unwrap();
        }
        text + "}\n"
    };
    let services: String = (0..=limits::SERVICES_MAX).map(|i| service(i, 1)).collect();
    let dests: String = (0..=limits::DESTS_MAX / 10_000)
        .map(|i| service(i, 10_000))
        .collect();
    for (text, message) in [
        (routers, "more than 1020 virtual routers"),
        (services, "more than 20000 services"),
        (
            dests,
            "more than 200000 real servers in all services together",
        ),
    ] {
        let parsed = parse(
            Some(Source {
                name: "k",
                bytes: text.as_bytes(),
            }),
            None,
        );
        let messages: Vec<&str> = parsed
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.message.as_str())
            .collect();
        assert_eq!(messages, [message]);
    }
}
