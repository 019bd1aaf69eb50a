//! Two directors on two hosts: processes of their own, in network namespaces joined by a cable. Needs root; without it
//! the test says so and passes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod host;

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::path::Path;

use director::proto::{Checked, File as Which, Reply, Request};
use nix::sched::{CloneFlags, setns};

use self::host::{Node, ask, wait_until};

const VIP: &str = "192.0.2.100/32";

#[test]
fn as_a_director() {
    host::as_a_director();
}

/// The main job, as far as it goes without IPVS: one is Active and has the address, the other takes over when it is
/// killed, gives back when it returns, and takes over without a gap when it is told to stop.
#[test]
fn a_killed_director_is_taken_over_and_takes_back_when_it_returns() {
    let Some(mut pair) = Pair::new("takeover") else {
        return;
    };
    pair.left.start();
    pair.right.start();
    pair.left.wait_for("Active");
    pair.right.wait_for("Backup");
    assert!(pair.left.has_address(VIP) && !pair.right.has_address(VIP));

    pair.left.kill();
    pair.right.wait_for("Active");
    assert!(pair.right.has_address(VIP));
    assert!(
        pair.left.has_address(VIP),
        "nobody took the address from the dead one"
    );

    pair.left.start();
    pair.left.wait_for("Active");
    pair.right.wait_for("Backup");
    assert!(pair.left.has_address(VIP) && !pair.right.has_address(VIP));

    let status = pair.left.stop();
    assert!(status.success(), "{status}");
    assert!(!pair.left.has_address(VIP));
    pair.right.wait_for("Active");
    assert!(pair.right.has_address(VIP));
    assert!(pair.right.status().routers[0].takeovers >= 2);
}

/// It was stopped for several times Active_Down (0.7 s); what its peer said meanwhile waits in the socket, and is
/// heard before any timer is judged.
#[test]
fn a_backup_that_was_stopped_does_not_mistake_its_own_stall_for_a_dead_peer() {
    let Some(mut pair) = Pair::new("stall") else {
        return;
    };
    pair.left.start();
    pair.right.start();
    pair.left.wait_for("Active");
    pair.right.wait_for("Backup");
    let before = pair.right.status().routers[0].clone();
    let sent = pair.left.status().routers[0].adverts_sent;
    pair.right.signal("STOP");
    wait_until("twenty adverts", || {
        pair.left.status().routers[0].adverts_sent >= sent + 20
    });
    pair.right.signal("CONT");
    wait_until("what was said meanwhile", || {
        pair.right.status().routers[0].adverts_received >= before.adverts_received + 20
    });
    let right = &pair.right.status().routers[0];
    assert_eq!(
        (right.state.as_str(), right.takeovers),
        ("Backup", before.takeovers)
    );
}

#[test]
fn an_operator_checks_replaces_reloads_and_hands_over() {
    let Some(mut pair) = Pair::new("operator") else {
        return;
    };
    pair.left.start();
    pair.right.start();
    pair.left.wait_for("Active");
    pair.right.wait_for("Backup");

    let Reply::Text(shown) = pair.left.ask(Request::ConfigShow {
        file: Which::Router,
    }) else {
        panic!("no text")
    };
    assert!(shown.contains("secret ***"), "{shown}");
    assert_eq!(pair.left.ask(Request::Reload), Reply::Denied { wait_s: 0 });
    let mut operator = pair.left.connect();
    let guess = Request::Authorize {
        secret: "guess".into(),
    };
    assert_eq!(
        ask(&mut operator, guess.clone()),
        Reply::Denied { wait_s: 3 }
    );
    assert!(matches!(ask(&mut operator, guess), Reply::Denied { .. }));
    let secret = Request::Authorize {
        secret: "opensesame".into(),
    };
    wait_until("the pause after a wrong secret", || {
        matches!(ask(&mut operator, secret.clone()), Reply::Done(_))
    });

    let broken = Request::ConfigPut {
        file: Which::Keepalived,
        text: "vrrp_instance {\n".into(),
    };
    let Reply::Checked(checked) = ask(&mut operator, broken) else {
        panic!("not checked")
    };
    assert!(
        checked.errors > 0 && checked.lines[0].contains("keepalived.conf:1:"),
        "{checked:?}"
    );
    assert_eq!(
        ask(&mut operator, Request::Reload),
        Reply::Checked(Checked::default())
    );

    let text = keepalived_conf(150).replace("192.0.2.100", "192.0.2.100\n 192.0.2.101");
    assert_eq!(
        ask(
            &mut operator,
            Request::ConfigPut {
                file: Which::Keepalived,
                text
            }
        ),
        Reply::Checked(Checked::default())
    );
    assert!(
        !pair.left.has_address("192.0.2.101/32"),
        "it counts from the next reload on"
    );
    assert_eq!(
        ask(&mut operator, Request::Reload),
        Reply::Checked(Checked::default())
    );
    wait_until("the new address", || {
        pair.left.has_address("192.0.2.101/32")
    });
    assert_eq!(pair.left.status().routers[0].state, "Active");

    let unknown = Request::Handover {
        router: Some("VI_9".into()),
    };
    assert!(matches!(ask(&mut operator, unknown), Reply::Error(_)));
    assert!(matches!(
        ask(&mut operator, Request::Handover { router: None }),
        Reply::Done(_)
    ));
    pair.right.wait_for("Active");
    pair.left.wait_for("Backup");
    assert!(!pair.left.has_address(VIP) && pair.right.has_address(VIP));

    let Reply::Log(lines) = ask(&mut operator, Request::Log { lines: 10, from: 0 }) else {
        panic!("no log")
    };
    assert!(!lines.is_empty() && lines.len() <= 10);
    let process = pair.left.status().process;
    println!("{process:?}");
    assert!(process.rss_kib > 0 && process.turns > 0 && process.cpu_us > 0);
}

#[test]
fn the_loop_beats_into_the_pipe_that_it_was_given() {
    let Some(mut pair) = Pair::new("beat") else {
        return;
    };
    let (receiver, sender) = std::io::pipe().unwrap();
    // Only a copy that stays open across exec reaches the director.
    let inherited = nix::unistd::dup(&sender).unwrap();
    let number = inherited.as_raw_fd().to_string();
    pair.left.start_with(&[("KEELSON_HEARTBEAT_FD", &number)]);
    drop((sender, inherited));
    let mut beats = [1; 2];
    (&receiver).read_exact(&mut beats).unwrap();
    assert_eq!(beats, [0, 0]);
}

#[test]
fn a_broken_configuration_leaves_a_node_that_can_be_asked() {
    let Some(mut pair) = Pair::new("broken") else {
        return;
    };
    fs::write(
        pair.left.folder.join("keepalived.conf"),
        "vrrp_instance VI_1 {\n  intreface eth0\n}\n",
    )
    .unwrap();
    pair.right.ip("link set eth0 up");
    pair.left.start();
    let status = pair.left.status();
    assert!(status.config.errors > 0 && status.routers.is_empty());
    wait_until("the interface of router.conf", || {
        pair.left.has_address("192.0.2.1/24")
    });
    fs::write(
        pair.left.folder.join("keepalived.conf"),
        keepalived_conf(150),
    )
    .unwrap();
    pair.left.signal("HUP");
    pair.left.wait_for("Active");
    assert_eq!(pair.left.status().config.errors, 0);
}

/// On a slow machine more than one turn of the loop has time for, at the start and at the end: nobody is forgotten.
#[test]
fn a_hundred_routers_serve_and_are_handed_over_one_and_all() {
    let Some(mut pair) = Pair::new("many") else {
        return;
    };
    const ROUTERS: usize = 100;
    let text = |priority: u8| {
        let instance = |vrid: usize| {
            format!(
                "vrrp_instance V{vrid} {{\n interface eth0\n virtual_router_id {vrid}\n priority {priority}\n \
                 advert_int 1\n virtual_ipaddress {{\n 192.0.3.{vrid}\n }}\n}}\n"
            )
        };
        let instances: String = (1..=ROUTERS).map(instance).collect();
        format!("global_defs {{\n vrrp_version 3\n}}\n{instances}")
    };
    for (node, priority) in [(&pair.left, 250), (&pair.right, 100)] {
        fs::write(node.folder.join("keepalived.conf"), text(priority)).unwrap();
    }
    let count = |node: &Node, state: &str| {
        let routers = node.status().routers;
        routers
            .iter()
            .filter(|router| router.state == state)
            .count()
    };
    let addresses = |node: &Node| node.ip("address show dev eth0").matches("192.0.3.").count();
    pair.right.ip("link set eth0 up");
    pair.left.start();
    wait_until("all to be Active", || {
        count(&pair.left, "Active") == ROUTERS
    });
    wait_until("all addresses", || addresses(&pair.left) == ROUTERS);
    pair.right.start();
    wait_until("all adverts", || {
        let routers = pair.right.status().routers;
        routers.iter().all(|router| router.adverts_received > 2)
    });
    assert_eq!(count(&pair.right, "Backup"), ROUTERS);
    assert_eq!(addresses(&pair.right), 0);

    assert!(pair.left.stop().success());
    assert_eq!(addresses(&pair.left), 0);
    let log = fs::read_to_string(pair.left.folder.join("log")).unwrap();
    assert_eq!(
        log.matches("Active -> Initialize").count(),
        ROUTERS,
        "{log}"
    );
    wait_until("all to be taken over", || {
        count(&pair.right, "Active") == ROUTERS && addresses(&pair.right) == ROUTERS
    });
    let log = fs::read_to_string(pair.right.folder.join("log")).unwrap();
    assert_eq!(log.matches("gave up").count(), ROUTERS, "{log}");
}

/// The switch of an operator, in a file that is made by the director and read by it; and a probe of a real server.
#[test]
fn a_file_and_a_probe_move_the_active_and_bring_it_back() {
    let Some(mut pair) = Pair::new("trackers") else {
        return;
    };
    let tracked = "track_file {\nswitch\n}\ntrack_probe {\ngate\n}\n}\n\
        track_file switch {\nfile /etc/keepalived/switch\ninit_file 0\n}\n\
        track_probe gate {\ntcp 192.0.2.2 7777\ninterval 0.2\nweight -60\nfall 2\n}\n";
    let text = keepalived_conf(150);
    let text = text.trim_end().strip_suffix('}').unwrap();
    let folder = pair.left.folder.clone();
    fs::write(folder.join("keepalived.conf"), format!("{text}{tracked}")).unwrap();
    let mut gate = None;
    pair.right.start();
    wait_until("the gate", || {
        gate = listen(&pair.right, "192.0.2.2:7777");
        gate.is_some()
    });
    pair.left.start();
    pair.left.wait_for("Active");
    pair.right.wait_for("Backup");
    assert_eq!(trackers(&pair.left), ["file switch at 0", "probe gate up"]);
    assert_eq!(fs::read_to_string(folder.join("switch")).unwrap(), "0\n");

    let mut operator = pair.left.connect();
    let track = |file: &str, number| Request::Track {
        file: file.into(),
        number,
    };
    let denied = ask(&mut operator, track("switch", -60));
    assert_eq!(denied, Reply::Denied { wait_s: 0 });
    let secret = Request::Authorize {
        secret: "opensesame".into(),
    };
    assert!(matches!(ask(&mut operator, secret), Reply::Done(_)));
    let nobody = ask(&mut operator, track("swich", 0));
    assert_eq!(nobody, Reply::Error("there is no track_file swich".into()));
    let done = ask(&mut operator, track("switch", -60));
    assert_eq!(done, Reply::Done("switch is at -60".into()));
    pair.right.wait_for("Active");
    pair.left.wait_for("Backup");
    assert_eq!(pair.left.status().routers[0].priority, 90);
    // By whoever may write the file; what is half written says nothing.
    for (text, state) in [("-6?", "Backup"), ("0", "Active")] {
        fs::write(folder.join("switch"), text).unwrap();
        pair.left.wait_for(state);
    }

    drop(gate);
    pair.right.wait_for("Active");
    pair.left.wait_for("Backup");
    assert_eq!(
        trackers(&pair.left),
        ["file switch at 0", "probe gate down"]
    );
}

/// Virtual routes and rules are where the router is Active, static ones everywhere; what somebody removes is put back.
#[test]
fn routes_and_rules_go_with_the_active() {
    let Some(mut pair) = Pair::new("routes") else {
        return;
    };
    for (node, priority, last) in [(&pair.left, 150, 51), (&pair.right, 100, 52)] {
        let text = keepalived_conf(priority);
        let text = text.trim_end().strip_suffix('}').unwrap();
        let more = format!(
            "virtual_routes {{\n198.51.100.0/24 via 192.0.2.9 src 192.0.2.100\n\
             default via 192.0.2.9 dev eth0 table 100\n}}\n\
             virtual_rules {{\nfrom 192.0.2.100 table 100 preference 100\n}}\n}}\n\
             static_ipaddress {{\n192.0.2.{last}/24 dev eth0\n}}\n\
             static_routes {{\n198.51.101.0/24 via 192.0.2.9\n}}\n\
             static_rules {{\nfrom 203.0.113.0/24 prohibit preference 200\n}}\n"
        );
        fs::write(node.folder.join("keepalived.conf"), format!("{text}{more}")).unwrap();
    }
    let virtual_ones = |node: &Node| {
        let has = |what: &str, word: &str| node.ip(what).contains(word);
        [
            has(
                "route show",
                "198.51.100.0/24 via 192.0.2.9 dev eth0 proto 75 src 192.0.2.100",
            ),
            has(
                "route show table all",
                "default via 192.0.2.9 dev eth0 table 100",
            ),
            has("rule show", "100:\tfrom 192.0.2.100 lookup 100"),
        ]
    };
    pair.left.start();
    pair.right.start();
    pair.left.wait_for("Active");
    pair.right.wait_for("Backup");
    let holds = |node: &Node| virtual_ones(node) == [true; 3];
    let lacks = |node: &Node| virtual_ones(node) == [false; 3];
    wait_until("all of them on the left", || holds(&pair.left));
    assert!(lacks(&pair.right), "{:?}", virtual_ones(&pair.right));
    for (node, own) in [
        (&pair.left, "192.0.2.51/24"),
        (&pair.right, "192.0.2.52/24"),
    ] {
        assert!(node.has_address(own));
        wait_until("the static ones", || {
            node.ip("route show")
                .contains("198.51.101.0/24 via 192.0.2.9")
                && node
                    .ip("rule show")
                    .contains("200:\tfrom 203.0.113.0/24 prohibit")
        });
    }
    for (node, wished) in [(&pair.left, [3, 0, 2, 0]), (&pair.right, [1, 0, 1, 0])] {
        wait_until("the status to count them", || {
            let of = node.status().kernel;
            let counts = [of.routes, of.routes_missing, of.rules, of.rules_missing];
            counts == wished
        });
    }
    pair.left.ip("route del 198.51.100.0/24");
    pair.left.ip("rule del preference 100");
    wait_until("what was removed", || holds(&pair.left));

    pair.left.kill();
    pair.right.wait_for("Active");
    wait_until("all of them on the right", || holds(&pair.right));
    // The next director finds what the one before it left.
    assert!(holds(&pair.left));
    pair.left.start();
    pair.left.wait_for("Active");
    pair.right.wait_for("Backup");
    wait_until("none on the right", || lacks(&pair.right));
    assert!(holds(&pair.left));
    assert!(pair.left.stop().success());
    assert!(lacks(&pair.left), "{:?}", virtual_ones(&pair.left));
}

fn trackers(node: &Node) -> Vec<String> {
    let trackers = node.status().routers.remove(0).trackers;
    let said = trackers
        .iter()
        .map(|tracker| format!("{} {}", tracker.name, tracker.state));
    said.collect()
}

/// A server on a node; none until the node has the address.
fn listen(node: &Node, on: &str) -> Option<TcpListener> {
    let listener = || {
        setns(&node.namespace, CloneFlags::CLONE_NEWNET).unwrap();
        TcpListener::bind(on).ok()
    };
    std::thread::scope(|scope| scope.spawn(listener).join()).unwrap()
}

struct Pair {
    left: Node,
    right: Node,
}

impl Pair {
    /// Two namespaces with a cable; none without the right to make them.
    fn new(name: &str) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("director-{name}-{}", std::process::id()));
        let left = node(&folder.join("left"), "192.0.2.1/24", 150)?;
        let right = node(&folder.join("right"), "192.0.2.2/24", 100)?;
        let there = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            right.namespace.as_raw_fd()
        );
        left.ip(&format!(
            "link add eth0 type veth peer name eth0 netns {there}"
        ));
        Some(Self { left, right })
    }
}

fn node(folder: &Path, address: &str, priority: u8) -> Option<Node> {
    let router = format!(
        "system {{\n console {{\n secret opensesame\n}}\n}}\ninterface eth0 {{\n address {address}\n}}\n"
    );
    Node::new(folder, &keepalived_conf(priority), &router)
}

fn keepalived_conf(priority: u8) -> String {
    format!(
        "global_defs {{\n vrrp_version 3\n}}\nvrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n \
         priority {priority}\n advert_int 0.2\n virtual_ipaddress {{\n 192.0.2.100\n }}\n}}\n"
    )
}
