//! What real files have that a strict reading would refuse: each with its verdict, strictly and leniently read.

#![allow(clippy::unwrap_used)]

use director_core::config::{Parsed, Reading, Severity, Source, parse, parse_with};

/// What becomes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Not a word is said.
    Clean,
    /// Taken, and each of these many warnings says what holds.
    Warned(usize),
    /// Refused, with these many errors.
    Refused(usize),
}
use Verdict::{Clean, Refused, Warned};

fn verdict(parsed: &Parsed) -> Verdict {
    let of = |severity| {
        let found = parsed.diagnostics.iter();
        found.filter(|found| found.severity == severity).count()
    };
    match (of(Severity::Error), of(Severity::Warning)) {
        (0, 0) => Clean,
        (0, warnings) => Warned(warnings),
        (errors, _) => Refused(errors),
    }
}

fn read(keepalived: &[u8], lenient: bool) -> Parsed {
    let source = |name, bytes| Source { name, bytes };
    let reading = Reading {
        lenient,
        ..Reading::default()
    };
    let router = b"system { hostname main }\n";
    let keepalived = Some(source("keepalived.conf", keepalived));
    parse_with(keepalived, Some(source("router.conf", router)), &reading)
}

/// A service with these words, and a real server with those.
fn service(words: &str, real: &str) -> String {
    format!(
        "virtual_server 10.0.0.1 80 {{\nlb_algo rr\nlb_kind DR\nprotocol TCP\n{words}\n\
         real_server 10.0.0.2 80 {{\nweight 1\n{real}\n}}\n}}\n"
    )
}

/// A virtual router with these words.
fn instance(words: &str) -> String {
    format!(
        "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress {{\n10.0.0.1/24\n}}\n{words}\n}}\n"
    )
}

#[test]
fn each_oddity_gets_its_verdict() {
    let table: Vec<(String, Verdict, Verdict)> = vec![
        // Words that keepalived rejects or ignores, and runs on; each is in the table of dead words.
        (
            service("", "TCP_CHECK {\nnb_get_retry 3\n}"),
            Warned(1),
            Warned(1),
        ),
        (service("nat_mask 255.255.255.0", ""), Warned(1), Warned(1)),
        (service("persistence_timeout 0", ""), Warned(1), Warned(1)),
        (
            instance("lvs_sync_daemon_inteface eth1"),
            Warned(1),
            Warned(1),
        ),
        (
            "global_defs {\nlvs_id X\n}\n".to_owned(),
            Warned(1),
            Warned(1),
        ),
        (
            "global_defs {\nvrrp_garp_interval 0\n}\n".to_owned(),
            Warned(1),
            Warned(1),
        ),
        // Single typos.
        (service("delay_lop 6", ""), Refused(1), Warned(1)),
        (service("", "wieght 3"), Refused(1), Warned(1)),
        (
            service("", "TCP_CHEK {\nconnect_timeout 3\n}"),
            Refused(1),
            Warned(1),
        ),
        (instance("prioriti 100"), Refused(1), Warned(1)),
        // A block that nobody knows is one mistake, with all that is in it.
        (
            "vrrp_instanze V {\ninterface eth0\nx {\n}\n}\n".to_owned(),
            Refused(1),
            Warned(1),
        ),
        // Bad values of words that act are no matter of leniency.
        (instance("priority 300"), Refused(1), Refused(1)),
        (service("lb_kind XX", ""), Refused(1), Refused(1)),
        (service("", "weight -1"), Refused(1), Refused(1)),
        // Nor are braces and what is missing.
        (
            "vrrp_instance V {\ninterface eth0\nvirtual_router_id 7\n".to_owned(),
            Refused(1),
            Refused(1),
        ),
        (
            service("}", "").replacen("{", "{ }", 1),
            Refused(2),
            Refused(2),
        ),
        (
            "virtual_server 10.0.0.1 80 {\nreal_server 10.0.0.2 80 {\n}\n}\n".to_owned(),
            Refused(3),
            Refused(3),
        ),
        // Nor duplicates.
        (service("", "") + &service("", ""), Refused(1), Refused(1)),
        (instance("") + &instance(""), Refused(3), Refused(3)),
        (
            service("real_server 10.0.0.2 80 {\n}", ""),
            Refused(1),
            Refused(1),
        ),
        // An over-long password is cut to 8 bytes, as the peer does.
        (
            instance("authentication {\nauth_type PASS\nauth_pass 123456789\n}"),
            Warned(1),
            Warned(1),
        ),
        // Mail and SNMP have no effect and do no harm.
        (
            "global_defs {\nnotification_email {\na@b.c\n}\nenable_traps\n}\n".to_owned(),
            Warned(2),
            Warned(2),
        ),
        // Comments of both kinds, tabs, no last newline, carriage returns, no blank before a brace.
        (
            "! a\n# b\n\tglobal_defs{\n\trouter_id\tx # \u{e9}\n}".to_owned(),
            Clean,
            Clean,
        ),
        (
            "global_defs {\r\nrouter_id x\r\n}\r\n".to_owned(),
            Clean,
            Clean,
        ),
        // A no-break space is a letter to keepalived.
        (
            "global_defs {\n\u{a0}router_id x\n}\n".to_owned(),
            Refused(1),
            Refused(1),
        ),
        // A file that is not there: keepalived logs it and runs on.
        ("include none.conf\n".to_owned(), Refused(1), Warned(1)),
        ("include none*.conf\n".to_owned(), Warned(1), Warned(1)),
        // Lines for other nodes.
        (
            "@other nonsense\n@main global_defs {\n@main }\n".to_owned(),
            Clean,
            Clean,
        ),
        // The last backslash of a line is a part of its word to keepalived.
        (service("delay_loop \\\n6", ""), Refused(1), Refused(1)),
        (service("delay_loop \"6", ""), Refused(1), Refused(1)),
    ];
    let mut wrong = Vec::new();
    for (text, strict, lenient) in &table {
        for (expected, is_lenient) in [(strict, false), (lenient, true)] {
            let parsed = read(text.as_bytes(), is_lenient);
            if verdict(&parsed) != *expected {
                let said: Vec<String> =
                    parsed.diagnostics.iter().map(ToString::to_string).collect();
                wrong.push(format!(
                    "{text}lenient {is_lenient}: {expected:?}\n{}",
                    said.join("\n")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn bytes_that_are_no_text_may_stand_in_comments() {
    // GBK.
    let text = b"! \xc5\xe4\xd6\xc3\nglobal_defs {\nrouter_id x # \xb5\xd8\n}\n";
    assert_eq!(verdict(&read(text, false)), Clean);
}

#[test]
fn router_conf_can_ask_for_leniency_but_is_read_strictly_itself() {
    let source = |name, text: &'static str| Source {
        name,
        bytes: text.as_bytes(),
    };
    let both = |router| parse(Some(source("k", "nonsense 1\n")), Some(source("r", router)));
    let lenient = both("config lenient\n");
    assert_eq!(verdict(&lenient), Warned(1));
    assert!(lenient.diagnostics[0].message.ends_with("; it is left out"));
    assert_eq!(verdict(&both("config lenient\nnonsense\n")), Refused(1));
    assert_eq!(verdict(&both("config strict\n")), Refused(2));
}
