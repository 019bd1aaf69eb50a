//! The command line as a shell sees it: what it prints and its exit status.
#![allow(clippy::unwrap_used)] // in what the tests share

mod fake;

use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};

use director::proto::Request;
use fake::{Director, Place, Terminal, keelson};

/// Runs it to its end: exit status, standard output, standard error.
#[track_caller]
fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = keelson(arguments).stdin(Stdio::null()).output().unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

const GOOD: &str = "\
vrrp_instance VI_1 {
    interface lan0
    virtual_router_id 51
    priority 150
    virtual_ipaddress {
        10.77.0.100/24
    }
}
";

#[test]
fn check_says_what_is_wrong_and_where() {
    let place = Place::new();
    let good = place.file("keepalived.conf", GOOD);
    let (status, text, _) = run(&["check", &good]);
    assert_eq!(status, 0, "{text}");
    assert!(
        text.ends_with(&format!("{good}: 0 errors, 0 warnings\n")),
        "{text}"
    );

    let bad = place.file(
        "bad.conf",
        &GOOD.replace("priority 150", "priority many\n    vrrp_id 3"),
    );
    let (status, text, _) = run(&["check", &bad]);
    assert_eq!(status, 1);
    assert!(text.starts_with(&format!("{bad}:4:14: error: ")), "{text}");
    assert!(text.contains(&format!("\n{bad}:5:5: error: ")), "{text}");
    assert!(
        text.ends_with(&format!("{bad}: 2 errors, 0 warnings\n")),
        "{text}"
    );

    let (status, text, _) = run(&["check", "--json", &bad]);
    assert_eq!(status, 1);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["errors"], 2);
    assert_eq!(value["diagnostics"][0]["line"], 4);
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn check_tells_the_two_files_apart() {
    let place = Place::new();
    let keepalived = place.file("a.conf", GOOD);
    let router =
        "! node\nsystem {\n    hostname n1\n}\ninterface lan0 {\n    address 10.77.0.11/24\n}\n";
    for name in ["router.conf", "b.conf"] {
        let router = place.file(name, router);
        let (status, text, _) = run(&["check", &router, &keepalived]);
        assert_eq!(status, 0, "{text}");
        assert!(
            text.ends_with(&format!("{keepalived}, {router}: 0 errors, 0 warnings\n")),
            "{text}"
        );
    }
    let odd = place.file("keepalived.conf.n1", router);
    let (status, text, _) = run(&["check", "--router", &odd, "--keepalived", &keepalived]);
    assert_eq!(status, 0, "{text}");
    let (status, _, error) = run(&["check", &keepalived, &keepalived]);
    assert_eq!(status, 2);
    assert!(error.contains("same kind"), "{error}");
}

#[test]
fn plan_says_what_would_change_and_what_that_costs() {
    let place = Place::new();
    let old = place.file("old.conf", GOOD);
    let new = place.file(
        "new.conf",
        &GOOD.replace("150", "120").replace("0.100/", "0.101/"),
    );
    let (status, text, _) = run(&["plan", &old, &new]);
    assert_eq!(status, 0, "{text}");
    let expected = "virtual address 10.77.0.100/24 goes from lan0 -- its connections end\n\
        virtual address 10.77.0.101/24 comes to lan0\n\
        virtual router VI_1 keeps its state: priority 150 -> 120\n\
        3 changes, 1 of which are felt\n";
    assert_eq!(text, expected);
    let (_, text, _) = run(&["plan", &old, &old, "--json"]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["changes"], serde_json::json!([]));
    let bad = place.file("bad.conf", "vrrp_instance {\n");
    let (status, _, error) = run(&["plan", &old, &bad]);
    assert_eq!(status, 1);
    assert!(error.starts_with(&format!("{bad}:1:1: error: ")), "{error}");
}

#[test]
fn realserver_says_what_each_real_server_needs() {
    let place = Place::new();
    let good = place.file(
        "keepalived.conf",
        "virtual_server 10.77.0.100 80 {\n  lb_algo rr\n  lb_kind DR\n  protocol TCP\n\
         real_server 10.77.0.21 80 {\n}\n  real_server 10.77.0.22 80 {\n}\n}\n",
    );
    let (status, text, _) = run(&["realserver", &good]);
    assert_eq!(
        (status, text.matches("# Real server").count()),
        (0, 2),
        "{text}"
    );
    let (status, text, _) = run(&[
        "realserver",
        &good,
        "--server",
        "10.77.0.22",
        "--form",
        "ifupdown",
    ]);
    assert_eq!(status, 0);
    assert!(text.starts_with("# Real server 10.77.0.22\n"), "{text}");
    assert!(text.contains("\niface lo inet manual\n"), "{text}");
    let (status, text, error) = run(&["realserver", &good, "--server", "10.77.0.29"]);
    assert_eq!((status, text.as_str()), (1, ""));
    assert!(error.contains("10.77.0.29 is no real server"), "{error}");
    let bad = place.file("bad.conf", "virtual_server 10.77.0.100 80 {\n}\n");
    let (status, _, error) = run(&["realserver", &bad]);
    assert_eq!(status, 1);
    assert!(error.starts_with(&format!("{bad}:1:")), "{error}");
}

#[test]
fn export_follows_includes_and_says_what_is_wrong() {
    let place = Place::new();
    place.file(
        "web.conf",
        "virtual_server 10.77.0.100 80 {\n  lb_algo rr\n  lb_kind DR\n  protocol TCP\n\
         real_server 10.77.0.21 80 {\n}\n}\n",
    );
    let file = place.file("keepalived.conf", "include web.conf\n");
    let (status, text, error) = run(&["export", "ipvsadm", &file]);
    assert_eq!((status, error.as_str()), (0, ""));
    let expected = "-A -t 10.77.0.100:80 -s rr\n-a -t 10.77.0.100:80 -r 10.77.0.21:80 -g -w 1\n";
    assert_eq!(text, expected);
    let bad = place.file("bad.conf", "virtual_server 10.77.0.100 80 {\n}\n");
    let (status, text, error) = run(&["export", "ipvsadm", &bad]);
    assert_eq!((status, text.as_str()), (1, ""));
    assert!(error.starts_with(&format!("{bad}:1:")), "{error}");
}

#[test]
fn import_writes_files_that_check_has_nothing_to_say_about() {
    let place = Place::new();
    let table = place.file(
        "table",
        "-A -t 10.0.0.100:80 -s rr\n-a -t 10.0.0.100:80 -r 10.0.0.21:80 -g -w 1\n",
    );
    let (status, text, notes) = run(&["import", &table]);
    assert_eq!(status, 0, "{notes}");
    assert!(text.starts_with("# keepalived.conf\n"), "{text}");
    assert!(notes.contains("table:1: assumed: "), "{notes}");
    let folder = place.path("new");
    assert_eq!(run(&["import", &table, "--out", &folder]).0, 0);
    for router in ["router.conf", "router2.conf"] {
        let (keepalived, router) = (
            format!("{folder}/keepalived.conf"),
            format!("{folder}/{router}"),
        );
        let (status, text, _) = run(&["check", &keepalived, &router]);
        assert_eq!(status, 0, "{text}");
        assert!(text.ends_with("0 errors, 0 warnings\n"), "{text}");
        let (status, text, _) = run(&["export", "ipvsadm", &keepalived, &router]);
        assert_eq!(status, 0);
        assert_eq!(
            text,
            "-A -t 10.0.0.100:80 -s rr\n-a -t 10.0.0.100:80 -r 10.0.0.21:80 -g -w 1\n"
        );
    }
    let (status, _, error) = run(&["import", &table, "--out", &folder]);
    assert_eq!(status, 2);
    assert!(error.contains("is there already"), "{error}");
    let lost = place.file("lost", "-A -t www:http -s rr\n");
    assert_eq!(run(&["import", &lost]).0, 1);
    let odd = place.file("odd", "hello\n");
    assert_eq!(run(&["import", &odd]).0, 2);
}

#[test]
fn check_of_what_can_not_be_read_is_another_failure() {
    let place = Place::new();
    let (status, text, error) = run(&["check", &place.path("missing.conf")]);
    assert_eq!((status, text.as_str()), (2, ""));
    assert!(error.contains("missing.conf: No such file"), "{error}");
    assert_eq!(run(&["check"]).0, 2);
    assert_eq!(run(&["check", "/"]).0, 2);
    assert_eq!(run(&["nonsense"]).0, 2);
}

#[test]
fn status_over_the_socket_is_what_the_console_shows() {
    let place = Place::new();
    let socket = place.path("socket");
    let _director = Director::start(&socket);
    let (status, text, _) = run(&["status", "--socket", &socket]);
    assert_eq!(
        (status, text.as_str()),
        (0, include_str!("../src/console/golden/status.txt"))
    );
    let (status, text, _) = run(&["status", "services", "--socket", &socket]);
    assert_eq!(
        (status, text.as_str()),
        (0, include_str!("../src/console/golden/services.txt"))
    );
    let (status, text, _) = run(&["status", "checks", "--json", "--socket", &socket]);
    assert_eq!((status, text.lines().count()), (0, 1));
    assert!(
        text.starts_with(r#"{"schema":1,"node":"lb1","now_us":8123000000,"checks":["#),
        "{text}"
    );
    let (_, text, _) = run(&["log", "1", "--socket", &socket]);
    assert_eq!(text, "[        2.000] second\n");
    let (_, text, _) = run(&["config", "show", "router", "--socket", &socket]);
    assert_eq!(text, "# router.conf\n");
}

#[test]
fn changes_take_the_secret() {
    let place = Place::new();
    let socket = place.path("socket");
    let director = Director::start(&socket);
    let right = place.file("right", "sesame\n");
    let wrong = place.file("wrong", "open\n");
    let (status, text, _) = run(&["reload", "--socket", &socket, "--secret-file", &right]);
    assert_eq!(
        (status, text.as_str()),
        (0, "0 errors, 0 warnings: in force\n")
    );
    assert_eq!(director.requests().last(), Some(&Request::Leave));
    let (status, _, error) = run(&["handover", "--socket", &socket, "--secret-file", &wrong]);
    assert_eq!(
        (status, error.as_str()),
        (1, "keelson: the secret is wrong\n")
    );
    let (status, text, _) = run(&[
        "handover",
        "VI_1",
        "--socket",
        &socket,
        "--secret-file",
        &right,
    ]);
    assert_eq!((status, text.as_str()), (0, "handed over\n"));
    let (status, _, error) = run(&[
        "handover",
        "VI_9",
        "--socket",
        &socket,
        "--secret-file",
        &right,
    ]);
    assert_eq!(
        (status, error.as_str()),
        (1, "keelson: no virtual router VI_9\n")
    );
}

#[test]
fn no_director_is_said_with_what_to_do() {
    let place = Place::new();
    let (status, text, error) = run(&["status", "--socket", &place.path("socket")]);
    assert_eq!((status, text.as_str()), (2, ""));
    assert!(
        error.contains("Does a director run on this machine?"),
        "{error}"
    );
    let (status, _, error) = run(&["status", "--serial", &place.path("ttyUSB0")]);
    assert_eq!(status, 2);
    assert!(error.contains("Is the adapter plugged in?"), "{error}");
}

#[test]
fn a_serial_line_reaches_the_node_through_its_console() {
    let place = Place::new();
    let socket = place.path("socket");
    let _director = Director::start(&socket);
    // The console at the master's end, the workstation's program at the slave's, as a serial device.
    let terminal = Terminal::new();
    let mut console = keelson(&["console", "--stdio", "--socket", &socket])
        .stdin(terminal.master())
        .stdout(terminal.master())
        .spawn()
        .unwrap();
    let device = terminal.path();
    let (status, text, error) = run(&["status", "routers", "--serial", &device]);
    assert_eq!(
        (status, text.as_str()),
        (0, include_str!("../src/console/golden/routers.txt")),
        "{error}"
    );
    let right = place.file("right", "sesame\n");
    let (status, text, error) = run(&[
        "reload",
        "--serial",
        &device,
        "--baud",
        "9600",
        "--secret-file",
        &right,
    ]);
    assert_eq!(
        (status, text.as_str()),
        (0, "0 errors, 0 warnings: in force\n"),
        "{error}"
    );
    // Nobody is authorized by what another showed before.
    let wrong = place.file("wrong", "open\n");
    assert_eq!(
        run(&["reload", "--serial", &device, "--secret-file", &wrong]).0,
        1
    );
    console.kill().unwrap();
    console.wait().unwrap();
}

#[test]
fn a_virtual_machines_serial_socket_is_a_serial_line_too() {
    let place = Place::new();
    let (socket, line) = (place.path("socket"), place.path("line"));
    let _director = Director::start(&socket);
    let listener = UnixListener::bind(&line).unwrap();
    let ask = keelson(&["status", "--json", "--serial", &format!("unix:{line}")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (end, _) = listener.accept().unwrap();
    let mut console = console_at(end.try_clone().unwrap().into(), end.into(), &socket)
        .spawn()
        .unwrap();
    let output = ask.wait_with_output().unwrap();
    assert!(output.status.success());
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value, serde_json::to_value(fake::status()).unwrap());
    // The workstation has hung up: so does the console.
    assert!(console.wait().unwrap().success());
}

fn console_at(input: std::os::fd::OwnedFd, output: std::os::fd::OwnedFd, socket: &str) -> Command {
    let mut command = keelson(&["console", "--stdio", "--socket", socket]);
    command.stdin(input).stdout(output);
    command
}

#[test]
fn a_silent_line_and_a_talking_one_are_told_apart() {
    let silent = Terminal::new();
    let (status, _, error) = run(&["status", "--serial", &silent.path(), "--timeout", "1"]);
    assert_eq!(status, 2);
    assert!(error.contains("not a single byte"), "{error}");
    let mut terminal = Terminal::new();
    let ask = keelson(&["status", "--serial", &terminal.path(), "--timeout", "2"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It has asked: what comes now is its answer.
    terminal.expect("\0");
    terminal.types("login: ");
    let error = String::from_utf8(ask.wait_with_output().unwrap().stderr).unwrap();
    assert!(error.contains("7 bytes of something else"), "{error}");
}
