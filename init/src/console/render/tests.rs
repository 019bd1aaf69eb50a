//! What an operator sees of one example, kept in files: a change of words or schema shows as a difference there.
//! `KEELSON_BLESS=1 cargo test -p init` writes the files anew.

use std::path::{Path, PathBuf};

use director_core::status::{DestStatus, LogLine, RouterStatus, Status};

use super::*;

const VIEWS: [(View, &str); 5] = [
    (View::Status, "status"),
    (View::Routers, "routers"),
    (View::Services, "services"),
    (View::Checks, "checks"),
    (View::Interfaces, "interfaces"),
];

#[test]
fn each_part_of_the_example_looks_as_it_did() {
    for (view, name) in VIEWS {
        same(&format!("{name}.txt"), &text(view, &example()));
    }
}

#[test]
fn the_schema_is_what_it_was() {
    // Fails when a field is added, renamed, moved or taken away: then raise `status::SCHEMA` if a reader could trip.
    same(
        "status.json",
        &(serde_json::to_string_pretty(&example()).unwrap() + "\n"),
    );
}

#[test]
fn json_is_one_line_that_a_reader_understands() {
    let status = Status {
        node: "l\u{e4}\u{1f600}\n\u{9b}1".into(),
        ..example()
    };
    for (view, name) in VIEWS {
        let line = json(view, &status);
        assert!(
            line.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{line}"
        );
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["schema"], 1);
        assert_eq!(value["node"], status.node);
        assert_eq!(value["now_us"], status.now_us);
        let whole = serde_json::to_value(&status).unwrap();
        match view {
            View::Status => assert_eq!(value, whole),
            _ => assert_eq!(value[name], whole[name]),
        }
    }
    let lines = [LogLine {
        sequence: 7,
        at_us: 1,
        text: "x\"y".into(),
    }];
    assert_eq!(
        log_json(&lines),
        r#"{"schema":1,"log":[{"sequence":7,"at_us":1,"text":"x\"y"}]}"#
    );
}

#[test]
fn everything_fits_80_columns_whatever_the_names() {
    let mut statuses = vec![example(), Status::default()];
    statuses.push(stretched(
        &example(),
        "an-extraordinarily-long-name-that-somebody-has-given-in-earnest",
    ));
    statuses.push(stretched(
        &example(),
        "words and words and words and words and words and words and words",
    ));
    statuses.push(stretched(
        &example(),
        "\u{1b}[2J\u{7}\u{9b}\r\n\u{e4}\u{4e2d}",
    ));
    for status in &statuses {
        for (view, name) in VIEWS {
            for line in text(view, status).lines() {
                assert!(line.len() < 80, "{name}: {line}");
                assert!(
                    line.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                    "{name}: {line:?}"
                );
            }
        }
    }
}

#[test]
fn a_large_node_fits_a_screen() {
    let mut status = example();
    let router = status.routers[0].clone();
    status.routers = vec![router; 200];
    let service = status.services[0].clone();
    status.services = vec![service; 5000];
    let lines = text(View::Status, &status).lines().count();
    assert!(lines <= 40, "{lines} lines with every warning on two");
}

#[test]
fn what_is_right_gives_no_warning() {
    let mut status = example();
    status.routers.truncate(1);
    status.services.truncate(1);
    status.services[0].dests.truncate(2);
    status.services[0].dests[0].operator.clear();
    status
        .interfaces
        .retain(|interface| interface.name != "wan0");
    status.kernel.pending = 0;
    status.outlets[0].lost = 0;
    assert!(!text(View::Status, &status).contains('!'));
}

#[test]
fn log_lines_carry_the_kernels_time() {
    let line = |at_us, text: &str| LogLine {
        sequence: 0,
        at_us,
        text: text.into(),
    };
    let text = log(&[
        line(8_123_004_567, "VI_1: Backup -> Active"),
        line(1, &"long words ".repeat(10)),
    ]);
    let expected = "\
[     8123.004] VI_1: Backup -> Active
[        0.000] long words long words long words long words long words long
                words long words long words long words long words
";
    assert_eq!(text, expected);
}

#[test]
fn diagnostics_keep_their_columns() {
    let found = Checked {
        errors: 1,
        warnings: 2,
        lines: vec![format!(
            "keepalived.conf:3:5: error: unknown keyword `vrid`\n    vrid 51{}\n    ^",
            " ".repeat(90)
        )],
    };
    let expected = "\
keepalived.conf:3:5: error: unknown keyword `vrid`
    vrid 51
    ^
1 error, 2 warnings: not taken; the configuration in force stays
";
    assert_eq!(checked(&found, "fine\n"), expected);
    assert_eq!(
        checked(&Checked::default(), "fine\n"),
        "0 errors, 0 warnings: fine\n"
    );
}

/// The example, read from the file that also shows the schema.
fn example() -> Status {
    serde_json::from_str(&std::fs::read_to_string(golden("status.json")).unwrap()).unwrap()
}

/// The same with every free text replaced.
fn stretched(status: &Status, word: &str) -> Status {
    let word = word.to_owned();
    let mut status = Status {
        node: word.clone(),
        version: word.clone(),
        ..status.clone()
    };
    for router in &mut status.routers {
        *router = RouterStatus {
            name: word.clone(),
            interface: word.clone(),
            active: Some(word.clone()),
            reason: word.clone(),
            addresses: vec![word.clone(); 20],
            devices: vec!["vrrp.52 00:00:5e:00:01:34".to_string()],
            accepts: false,
            authentication: word.clone(),
            routing: vec![word.clone(); 20],
            peers: vec![word.clone(); 20],
            group: Some(word.clone()),
            ..router.clone()
        };
        for tracker in &mut router.trackers {
            tracker.name.clone_from(&word);
        }
    }
    for group in &mut status.groups {
        group.name.clone_from(&word);
        group.reason.clone_from(&word);
        group.members = vec![word.clone(); 20];
    }
    for service in &mut status.services {
        service.address.clone_from(&word);
        if service.mark == 0 && !service.dests.is_empty() {
            service.group.clone_from(&word);
        }
        service.scheduler.clone_from(&word);
        service.local_addresses = vec![word.clone(); 20];
        for dest in &mut service.dests {
            *dest = DestStatus {
                address: word.clone(),
                reason: word.clone(),
                ..dest.clone()
            };
            dest.totals.connections = u64::MAX;
        }
    }
    for check in &mut status.checks {
        check.target.clone_from(&word);
        check.service.clone_from(&word);
        check.last.clone_from(&word);
    }
    for interface in &mut status.interfaces {
        interface.name.clone_from(&word);
        interface.kernel_name.clone_from(&word);
        interface.mac.clone_from(&word);
        interface.addresses = vec![word.clone(); 20];
    }
    status.kernel.last_failure = word;
    status
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/console/golden")
        .join(name)
}

fn same(name: &str, text: &str) {
    if std::env::var_os("KEELSON_BLESS").is_some() {
        std::fs::write(golden(name), text).unwrap();
    }
    let expected = std::fs::read_to_string(golden(name)).unwrap_or_default();
    assert!(text == expected, "{name} is now\n{text}");
}
