//! Programs that are run when a virtual router changes, by a whole director. Needs root; without it the test says so.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod host;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use self::host::{Node, wait_until};

#[test]
fn as_a_director() {
    host::as_a_director();
}

/// In the order of what happened, one after the other, those of a router that is no longer configured and of the end
/// too; one that hangs is ended with the director.
#[test]
fn each_change_runs_its_programs_in_order() {
    let folder = std::env::temp_dir().join(format!("director-notices-{}", std::process::id()));
    let second = router(2, "notify_deleted \"note 2 deleted\"\nnotify_stop \"hang\"");
    let first = router(
        1,
        "notify_backup \"note 1 backup\"\nnotify_master \"note 1 'to master'\"\nnotify_stop hang\nnotify note",
    );
    let global = "global_defs {\nvrrp_version 3\n}\n";
    let configuration = format!("{global}{first}{second}");
    let router = "interface eth0 {\n address 192.0.2.1/24\n}\n";
    let Some(mut node) = Node::new(&folder, &configuration, router) else {
        return;
    };
    node.ip("link add eth0 type veth peer name eth1");
    node.ip("link set eth1 up");
    let told = folder.join("told");
    // What the real launcher does besides has its own test.
    script(
        &folder,
        "launcher",
        "shift 3\nprogram=$1\nshift 2\nexec \"$program\" \"$@\"",
    );
    script(
        &folder,
        "note",
        &format!("sleep 0.1\necho \"$*\" >> {}", told.display()),
    );
    script(
        &folder,
        "hang",
        &format!("echo hangs >> {}\nsleep 1000", told.display()),
    );
    let lines = || fs::read_to_string(&told).unwrap_or_default();
    let mut expected =
        "1 backup\nINSTANCE VI_1 BACKUP 150\n1 to master\nINSTANCE VI_1 MASTER 150\n".to_string();
    node.start();
    wait_until("the programs of a takeover", || lines() == expected);
    fs::write(folder.join("keepalived.conf"), format!("{global}{first}")).unwrap();
    node.signal("HUP");
    expected += "2 deleted\n";
    wait_until("the program of a router that is gone", || {
        lines() == expected
    });
    let status = node.stop();
    assert!(status.success(), "{status}");
    let all = lines();
    let after = all.strip_prefix(&expected).unwrap();
    assert!(after.contains("hangs\n"), "{all}");
    assert!(
        !after.contains("STOP"),
        "it waits behind the one that hangs: {all}"
    );
}

fn router(vrid: u8, notices: &str) -> String {
    format!(
        "vrrp_instance VI_{vrid} {{\ninterface eth0\nvirtual_router_id {vrid}\npriority 150\nadvert_int 0.1\n\
         virtual_ipaddress {{\n192.0.2.10{vrid}\n}}\n{notices}\n}}\n"
    )
}

fn script(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
}
