//! The metrics as Prometheus' own tool judges them: `promtool check metrics`, out of Debian's package.

#![allow(clippy::unwrap_used)] // in what the tests share

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use director_core::metrics::Metrics;
use director_core::status::{
    CheckStatus, Count, DestStatus, InterfaceStatus, KernelStatus, OutletStatus, RouterStatus,
    ServiceStatus, Status, SyncStatus, TrackerStatus,
};
use image::{Workspace, debian, folder};

/// promtool, downloaded and unpacked once.
fn promtool() -> PathBuf {
    let cache = Workspace::new().target.join("promtool");
    let program = cache.join("root/usr/bin/promtool");
    if !program.exists() {
        fs::create_dir_all(&cache).unwrap();
        let made = folder::replace(&cache, |work| {
            let packages = work.join("packages");
            debian::download(&["prometheus"], &packages)?;
            debian::unpack(&packages, &work.join("root")).map(drop)
        });
        made.unwrap_or_else(|error: image::Error| panic!("promtool can't be had: {error}"));
    }
    program
}

/// A node with one of everything, and what its labels may hold.
fn status() -> Status {
    let dest = |address: &str, state: &str| DestStatus {
        address: address.to_owned(),
        port: 80,
        forwarding: "DR".to_owned(),
        weight: 1,
        kernel_weight: (state != "down").then_some(1),
        state: state.to_owned(),
        ..DestStatus::default()
    };
    let check = CheckStatus {
        kind: "HTTP".to_owned(),
        target: "10.0.0.1:80".to_owned(),
        service: "TCP 10.0.0.100:80".to_owned(),
        health: "up".to_owned(),
        latency_us: 1_234,
        runs: 7,
        value: Some(-3),
        ..CheckStatus::default()
    };
    Status {
        node: "lb1".to_owned(),
        version: "0.1.0".to_owned(),
        now_us: 5_000_000,
        routers: vec![RouterStatus {
            name: "a \"quoted\\ name\n".to_owned(),
            state: "Active".to_owned(),
            since_us: 1_500_000,
            adverts_dropped: vec![Count {
                name: "wrong TTL".to_owned(),
                count: 3,
            }],
            routing: [
                "route 0.0.0.0/0 via 192.0.2.1",
                "rule 7 table 9",
                "rule 8 nop",
            ]
            .map(str::to_owned)
            .into(),
            trackers: vec![TrackerStatus {
                name: "file switch".to_owned(),
                adds: -20,
                ..TrackerStatus::default()
            }],
            ..RouterStatus::default()
        }],
        services: vec![ServiceStatus {
            protocol: "TCP".to_owned(),
            address: "2001:db8::100".to_owned(),
            port: 80,
            dests: vec![
                dest("2001:db8::1", "up"),
                dest("10.0.0.1", "down"),
                dest("10.0.0.1", "sorry"),
            ],
            ..ServiceStatus::default()
        }],
        checks: vec![check.clone(), check],
        interfaces: vec![InterfaceStatus::default()],
        sync: vec![SyncStatus::default()],
        kernel: KernelStatus {
            routes: 4,
            routes_missing: 1,
            rules: 2,
            ..KernelStatus::default()
        },
        outlets: vec![OutletStatus {
            kind: "syslog".to_owned(),
            to: "10.0.0.9:514".to_owned(),
            waiting: 3,
            lost: 12,
        }],
        ..Status::default()
    }
}

fn text(status: Status) -> String {
    let mut metrics = Metrics::new(status);
    std::iter::from_fn(|| metrics.next_piece()).collect()
}

#[test]
fn promtool_has_nothing_to_say_about_the_metrics() {
    let text = text(status());
    let mut tool = Command::new(promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn every_thing_has_its_samples_and_no_two_are_the_same() {
    let text = text(status());
    for line in [
        r#"keelson_router_state{router="a \"quoted\\ name\n",interface="",vrid="0",family="",state="Active"} 1"#,
        "keelson_dest_up{service=\"TCP [2001:db8::100]:80\",dest=\"10.0.0.1:80\",forwarding=\"DR\",role=\"real\"} 0",
        "keelson_check_runs_total{service=\"TCP 10.0.0.100:80\",target=\"10.0.0.1:80\",kind=\"HTTP\",ordinal=\"1\"} 7",
        "keelson_build_info{version=\"0.1.0\"} 1",
        r#"keelson_router_routes{router="a \"quoted\\ name\n",interface="",vrid="0",family=""} 1"#,
        r#"keelson_router_rules{router="a \"quoted\\ name\n",interface="",vrid="0",family=""} 2"#,
        "keelson_kernel_routes 4",
        "keelson_kernel_routes_missing 1",
        "keelson_kernel_rules 2",
        "keelson_kernel_rules_missing 0",
        "keelson_check_value{service=\"TCP 10.0.0.100:80\",target=\"10.0.0.1:80\",kind=\"HTTP\",ordinal=\"0\"} -3",
        "keelson_outlet_lines_lost_total{kind=\"syslog\",to=\"10.0.0.9:514\"} 12",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no {line} in\n{text}"
        );
    }
    let mut names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.rsplit_once(' ').map(|(name, _)| name))
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    // All samples of a family stand together, below its type.
    let types: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    let mut unique = types.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), types.len());
}

#[test]
fn pieces_are_small_and_many_dests_are_all_there() {
    let mut status = status();
    let dest = status.services[0].dests[0].clone();
    status.services[0].dests = (0..10_000)
        .map(|port| DestStatus {
            port,
            ..dest.clone()
        })
        .collect();
    let mut metrics = Metrics::new(status);
    let pieces: Vec<String> = std::iter::from_fn(|| metrics.next_piece()).collect();
    assert!(
        pieces.iter().all(|piece| piece.len() < 20_000),
        "a piece is made between two adverts"
    );
    let text = pieces.concat();
    assert_eq!(
        text.matches("\nkeelson_dest_sent_bytes_total{").count(),
        10_000
    );
}
