//! Every word that the manual page of Debian's keepalived shows has a verdict here.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use director_core::config::keywords::keywords;
use image::Workspace;
use qemu::reference::Keepalived;

/// Words that stand where keywords stand and are none of their own.
const NO_KEYWORDS: [(&str, &[&str]); 5] = [
    (
        "inclusion, which is read before keywords are",
        &[
            "include", "includea", "includeb", "includem", "includer", "includew",
        ],
    ),
    (
        "words of blocks that are refused or without effect, and skipped whole",
        &[
            "delay",
            "fork_delay",
            "full_command",
            "hoplimit",
            "idle_tx",
            "max_hops",
            "min_rx",
            "min_tx",
            "multiplier",
            "neighbor_ip",
            "passive",
            "process",
            "quorum_max",
            "source_ip",
            "start",
            "terminate_delay",
            "ttl",
        ],
    ),
    ("shown and unknown to keepalived itself", &["dynamic"]),
    ("values", &["checker", "vrrp", "val1"]),
    ("a package's name", &["keepalived"]),
];

/// What stands in bold at the start of a line, small letters and the names of checks.
fn shown(manual: &str) -> BTreeSet<String> {
    let starts = manual.lines().filter_map(|line| {
        let bold = line.trim_start().strip_prefix("\\fB")?;
        let end = bold.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'));
        bold.get(..end.unwrap_or(bold.len()))
    });
    let is_word = |word: &&str| {
        let small = word.starts_with(|c: char| c.is_ascii_lowercase());
        small || word.ends_with("_CHECK") || word.ends_with("_GET")
    };
    starts.filter(is_word).map(str::to_owned).collect()
}

#[test]
fn every_word_of_the_manual_page_is_known() {
    let workspace = Workspace::new();
    let keepalived = Keepalived::unpacked(&workspace, image::to_stderr).unwrap();
    let shown = shown(&keepalived.manual().unwrap());
    assert!(shown.len() > 300, "{shown:?}");
    let excepted = || NO_KEYWORDS.iter().flat_map(|(_, words)| *words);
    let is_known = |word: &str| keywords().iter().any(|keyword| keyword.word == word);
    let unknown: Vec<&String> = shown
        .iter()
        .filter(|word| !is_known(word) && !excepted().any(|other| other == word))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let needless: Vec<&&str> = excepted()
        .filter(|word| is_known(word) || !shown.contains(**word))
        .collect();
    assert!(needless.is_empty(), "{needless:?}");
}
