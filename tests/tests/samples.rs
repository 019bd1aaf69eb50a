//! The sample configurations of Debian's keepalived package, each with its verdict. They are taken from the package and
//! not kept here, for they are under another licence.

#![allow(clippy::unwrap_used)]

use std::fs;

use director_core::config::{Severity, Source, parse};
use image::Workspace;
use qemu::reference::Keepalived;

/// What a lasting error says, by sample; samples without one are not listed. What is only not yet supported does not
/// count.
const REFUSED: [(&str, &[&str]); 8] = [
    // The node is not known: it takes `@NODE` lines, and a router.conf that says which it is. Without them the script
    // is none.
    (
        "conditional_conf",
        &[
            "lines for single nodes (`@id`)",
            "`vrrp_script check_VI_0` has no `script`",
        ],
    ),
    // Its scripts are looked for in a PATH, which a node does not have.
    (
        "vrrp.localcheck",
        &[
            "a program is a path",
            "a program is a path",
            "a program is a path",
        ],
    ),
    ("SMTP_CHECK", &["`host` is refused"; 6]),
    ("SSL_GET", &["`AH`: this type is refused"]),
    // Programs of the host, where the native action knows `ip address`.
    (
        "quorum",
        &[
            "`quorum_up`: the node runs no such program",
            "`quorum_down`: the node runs no such program",
        ],
    ),
    // Two networks are misspelt.
    (
        "vrrp.rules",
        &[
            "`192.168.100./24`: not an IP address",
            "`192.168.200./24`: not an IP address",
        ],
    ),
    // It has an address twice.
    (
        "vrrp",
        &["the virtual address `192.168.200.18` is already there"],
    ),
    // The groups' members stand where keepalived does not look for them either.
    (
        "vrrp.lvs_syncd",
        &["unknown keyword `VI_2`", "unknown keyword `VI_3`"],
    ),
];

#[test]
fn each_sample_of_keepaliveds_package_gets_its_verdict() {
    let workspace = Workspace::new();
    let keepalived = Keepalived::unpacked(&workspace, image::to_stderr).unwrap();
    let samples = keepalived.samples().unwrap();
    assert_eq!(samples.len(), 25);
    let mut wrong = Vec::new();
    for path in samples {
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let name = name.trim_start_matches("keepalived.conf.");
        let parsed = parse(
            Some(Source {
                name,
                bytes: &bytes,
            }),
            None,
        );
        let errors = parsed.diagnostics.iter().filter(|found| {
            found.severity == Severity::Error && !found.message.ends_with("is not yet supported")
        });
        let errors: Vec<&str> = errors.map(|found| found.message.as_str()).collect();
        let listed = REFUSED.iter().find(|(sample, _)| *sample == name);
        let expected = listed.map_or(&[][..], |(_, errors)| errors);
        let fits = errors.len() == expected.len()
            && errors
                .iter()
                .zip(expected)
                .all(|(error, part)| error.contains(part));
        if !fits {
            wrong.push(format!("{name}: {errors:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
