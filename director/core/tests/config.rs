//! Every message of the configuration reader, as goldens: `config/NAME.conf` is keepalived.conf,
//! `config/NAME.router.conf` router.conf, and `config/NAME.expected` what is said of them.
//! `KEELSON_UPDATE_GOLDENS=1` writes the latter anew.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use director_core::config::{Parsed, SHOWN_COLUMNS, Severity, Source, parse};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}

fn names() -> BTreeSet<String> {
    let entries = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let files = entries.map(|name| name.into_string().unwrap());
    let confs = files.filter_map(|name| name.strip_suffix(".conf").map(str::to_owned));
    confs
        .map(|name| name.trim_end_matches(".router").to_owned())
        .collect()
}

fn parse_case(name: &str) -> Parsed {
    let keepalived = fs::read(folder().join(format!("{name}.conf"))).ok();
    let router = fs::read(folder().join(format!("{name}.router.conf"))).ok();
    fn source<'a>(name: &'a str, bytes: &'a Option<Vec<u8>>) -> Option<Source<'a>> {
        bytes.as_deref().map(|bytes| Source { name, bytes })
    }
    parse(
        source("keepalived.conf", &keepalived),
        source("router.conf", &router),
    )
}

fn report(parsed: &Parsed) -> String {
    let mut text = String::new();
    let of = |severity| {
        parsed
            .diagnostics
            .iter()
            .filter(move |diagnostic| diagnostic.severity == severity)
            .count()
    };
    for diagnostic in &parsed.diagnostics {
        writeln!(text, "{diagnostic}\n").unwrap();
    }
    let verdict = if parsed.config.is_some() {
        "accepted"
    } else {
        "refused"
    };
    writeln!(
        text,
        "{verdict}: {} errors, {} warnings",
        of(Severity::Error),
        of(Severity::Warning)
    )
    .unwrap();
    text
}

#[test]
fn every_case_is_reported_as_expected() {
    let update = std::env::var_os("KEELSON_UPDATE_GOLDENS").is_some();
    let mut wrong = Vec::new();
    for name in names() {
        let path = folder().join(format!("{name}.expected"));
        let found = report(&parse_case(&name));
        if update {
            fs::write(&path, &found).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != found {
            wrong.push(format!("--- {name}\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_configuration_is_given_exactly_when_there_is_no_error() {
    for name in names() {
        let parsed = parse_case(&name);
        assert_eq!(parsed.config.is_some(), !parsed.has_errors(), "{name}");
        assert_eq!(
            parsed
                .config
                .map_or_else(|| parsed.node.clone(), |config| config.node),
            parsed.node
        );
    }
}

#[test]
fn diagnostics_are_in_order_each_once_and_fit_a_terminal() {
    for name in names() {
        let parsed = parse_case(&name);
        let places: Vec<_> = parsed
            .diagnostics
            .iter()
            .map(|d| (&d.file, d.line, d.column, &d.message))
            .collect();
        assert!(places.windows(2).all(|pair| pair[0] != pair[1]), "{name}");
        let in_file = |file: &str| {
            places
                .iter()
                .filter(|place| place.0 == file)
                .map(|place| (place.1, place.2))
                .collect()
        };
        for file in ["keepalived.conf", "router.conf"] {
            let order: Vec<(u32, u32)> = in_file(file);
            assert!(order.is_sorted(), "{name} {file}");
        }
        for diagnostic in &parsed.diagnostics {
            assert!(
                diagnostic.message.chars().count() <= 110,
                "{name}: {}",
                diagnostic.message
            );
            assert!(
                diagnostic.source_line.chars().count() <= SHOWN_COLUMNS,
                "{name}: {}",
                diagnostic.source_line
            );
            assert!(
                diagnostic
                    .hint
                    .as_ref()
                    .is_none_or(|hint| hint.len() <= 100),
                "{name}: {:?}",
                diagnostic.hint
            );
            let text = diagnostic.to_string();
            assert!(
                text.chars()
                    .all(|c| c == '\n' || c == '\t' || !c.is_control()),
                "{name}: {text:?}"
            );
        }
    }
}
