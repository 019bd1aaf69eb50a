//! Checks: programs and files that travel with the configuration, and a web server that is well or misbehaves in many
//! ways, by TLS and without, beside a virtual router whose adverts go on.

use director_core::status::{CheckStatus, Status};
use image::FurtherFile;
use qemu::lab::{Lab, LabError};
use qemu::topology::{self, Topology};
use tests::lab::{WAIT, boot, complaint, tell};

const KEEPALIVED: &str = include_str!("checks.conf");
/// The service whose real server is judged by a program that came along.
const CARRIED: &str = "conf.d/carried.conf";
const CERTIFICATE: &str = include_str!("../../../director/tests/tls/server.pem");
const KEY: &str = include_str!("../../../director/tests/tls/server.key");

/// nginx beside its own port 80, which it keeps. What it sends to 10.77.0.99 goes to nobody ([`serve`]).
const NGINX: &str = "
user root;
pid /run/nginx.pid;
events { }
http {
    access_log off;
    default_type text/plain;
    ssl_certificate /etc/nginx/server.pem;
    ssl_certificate_key /etc/nginx/server.key;
    server { listen 80; listen 443 ssl; location / { return 200 \"well\\n\"; } }
    server { listen 81; listen 444 ssl; reset_timedout_connection on; location / { return 444; } }
    server { listen 82; listen 445 ssl; location / { proxy_pass http://10.77.0.99; } }
    server { listen 83; listen 446 ssl; limit_rate 1; root /; location / { try_files /page =404; } }
    server { listen 84 http2; location / { return 200; } }
}
";

/// Check, port, and how the reason begins; `|` is between two that depend on the machine. Empty: all is well.
type Case = (&'static str, u16, &'static str);

/// Two checks of one port are of two real servers, so each has a port of its own that nobody is at.
const FIRST_PORT: usize = 9000;

const CASES: [Case; 11] = [
    ("HTTP_GET", 80, ""),
    ("SSL_GET", 443, ""),
    ("HTTP_GET", 81, GONE),
    ("SSL_GET", 444, GONE),
    ("HTTP_GET", 82, "no reply in time"),
    ("SSL_GET", 445, "no reply in time"),
    ("HTTP_GET", 83, "reply not complete in time ("),
    ("SSL_GET", 446, "reply not complete in time ("),
    // What is no HTTP/1, no HTTP, no TLS.
    ("HTTP_GET", 84, "reply is not HTTP/1"),
    ("HTTP_GET", 443, "status 400"),
    ("SSL_GET", 80, "TLS: not understood"),
];
const GONE: &str = "connection reset|broken pipe|closed without a reply|TLS: cut before its end";
/// Runs of each that are waited for: the second one meets what the first one left behind.
const RUNS: u64 = 3;

#[test]
fn carried_programs_and_a_real_web_server_are_judged_rightly_and_hold_up_no_advert() {
    tell("checks", topology(), |lab| {
        boot(lab)?;
        serve(lab)?;
        let director = lab.director("d1")?;
        let before = director.wait_for_state("Active", WAIT)?;
        let runs = |status: &Status| status.checks.iter().map(|check| check.runs).collect();
        let begun: Vec<u64> = runs(&before);
        let after = director.wait_until("three runs of each check", WAIT, |status| {
            let runs: Vec<u64> = runs(status);
            let mut pairs = begun.iter().zip(&runs);
            runs.len() == CASES.len() + 1 && pairs.all(|(begun, runs)| *runs >= begun + RUNS)
        })?;
        for case in CASES.iter().enumerate() {
            judge(case, &after);
        }
        let program = program(&after);
        let judged = (program.health.as_str(), program.last.as_str());
        assert_eq!(judged, ("up", "success"), "run by nobody: {program:?}");
        adverts_went_on(&before, &after);

        a_server_that_went_is_out_until_it_is_back(lab)?;
        a_changed_include_is_taken_into_force(lab)?;
        assert_eq!(complaint(lab.vm("d1")?), None);
        Ok(())
    });
}

/// One director with its files, and one real server.
fn topology() -> Topology {
    let text = |name: &str, text: String| FurtherFile {
        name: name.to_owned(),
        bytes: text.into_bytes(),
        executable: false,
    };
    let program = FurtherFile {
        name: "bin/is-nobody".to_owned(),
        bytes: is_nobody(),
        executable: true,
    };
    let mut topology = topology::lone()
        .with_agents()
        .with_keepalived(KEEPALIVED)
        .with_file(&text(CARRIED, carried("")))
        .with_file(&text("conf.d/web.conf", web()))
        .with_file(&program);
    topology.nodes.retain(|node| node.name != "client");
    topology
}

/// A service whose real server is well while the program that asks is run by nobody, or by whom else this says.
fn carried(user: &str) -> String {
    format!(
        "virtual_server 10.77.0.100 7 {{
    lb_algo rr
    lb_kind NAT
    protocol TCP
    delay_loop 1
    real_server 10.77.0.21 7 {{
        MISC_CHECK {{
            misc_path /etc/keepalived/bin/is-nobody
            misc_timeout 5
            {user}
        }}
    }}
}}
"
    )
}

fn web() -> String {
    let mut text = "virtual_server 10.77.0.100 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    delay_loop 2
    connect_timeout 2
    retry 1
    delay_before_retry 0.5
"
    .to_owned();
    for (number, (keyword, port, _)) in CASES.iter().enumerate() {
        let own = FIRST_PORT + number;
        text += &format!(
            "    real_server 10.77.0.21 {own} {{
        {keyword} {{
            connect_port {port}
            url {{
                path /
                status_code 200
            }}
        }}
    }}
"
        );
    }
    text + "}\n"
}

/// A program without an interpreter or a library: an ELF file of one segment, whose code ends with success when its
/// user is 65534.
fn is_nobody() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    const CODE: [u8; 25] = [
        0xb8, 102, 0, 0, 0, // mov eax, getuid
        0x0f, 0x05, // syscall
        0x31, 0xff, // xor edi, edi
        0x3d, 0xfe, 0xff, 0, 0, // cmp eax, 65534
        0x40, 0x0f, 0x95, 0xc7, // setne dil
        0xb8, 60, 0, 0, 0, // mov eax, exit
        0x0f, 0x05, // syscall
    ];
    let length = HEADERS + CODE.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    half(&mut file, 2); // ET_EXEC
    half(&mut file, 62); // EM_X86_64
    word(&mut file, 1);
    for value in [BASE + HEADERS, 64, 0] {
        long(&mut file, value); // entry, program headers, no section headers
    }
    word(&mut file, 0);
    for value in [64, 56, 1, 0, 0, 0] {
        half(&mut file, value); // sizes and counts of headers
    }
    word(&mut file, 1); // PT_LOAD
    word(&mut file, 5); // readable and executable
    for value in [0, BASE, BASE, length, length, 4096] {
        long(&mut file, value);
    }
    file.extend(CODE);
    file
}

fn serve(lab: &Lab) -> Result<(), LabError> {
    let server = lab.server("s3")?;
    for (path, text) in [
        ("/etc/nginx/server.pem", CERTIFICATE),
        ("/etc/nginx/server.key", KEY),
        ("/etc/nginx/nginx.conf", NGINX),
    ] {
        server.shell(&format!("cat > {path} <<'end'\n{text}\nend\n"))?;
    }
    server.shell("seq 10000 > /page")?;
    // The request waits: without a neighbour's address, the kernel would tell nginx after a while that nobody is there.
    server.shell("arp -i eth0 -s 10.77.0.99 52:54:00:4b:00:99")?;
    server.stop_http()?;
    server.start_http()
}

fn judge((place, case): (usize, &Case), status: &Status) {
    let check = of(status, case);
    let (health, last) = (check.health.as_str(), check.last.as_str());
    if case.2.is_empty() {
        assert_eq!((health, last), ("up", "success"), "{case:?}: {check:?}");
    } else {
        assert_eq!(health, "down", "{case:?}: {check:?}");
        let mut reasons = case.2.split('|');
        let as_expected = reasons.any(|reason| last.starts_with(reason));
        assert!(as_expected, "{case:?}: {check:?}");
    }
    let mut dests = status.services.iter().flat_map(|service| &service.dests);
    let dest = dests.find(|dest| usize::from(dest.port) == FIRST_PORT + place);
    assert_eq!(
        dest.map(|dest| dest.state.as_str()),
        Some(health),
        "{case:?}"
    );
}

fn of<'a>(status: &'a Status, (keyword, port, _): &Case) -> &'a CheckStatus {
    let target = format!("10.77.0.21:{port}");
    let mut checks = status.checks.iter();
    let is_it = |check: &&CheckStatus| check.target == target && keyword.starts_with(&check.kind);
    checks
        .find(is_it)
        .unwrap_or_else(|| panic!("{keyword} of {target}: {:?}", status.checks))
}

fn program(status: &Status) -> &CheckStatus {
    let mut checks = status.checks.iter();
    let found = checks.find(|check| check.service.ends_with(":7"));
    found.expect("a program is run")
}

/// One each 200 ms, by the guest's own clock.
fn adverts_went_on(before: &Status, after: &Status) {
    let [began, ended] = [before, after].map(|status| &status.routers[0]);
    let (sent, time_us) = (
        ended.adverts_sent - began.adverts_sent,
        after.now_us - before.now_us,
    );
    println!(
        "{sent} adverts in {time_us} us, longest turn {} us",
        after.process.turn_max_us
    );
    assert!(sent * 10 >= time_us / 200_000 * 9, "{sent} in {time_us} us");
    assert_eq!((ended.state.as_str(), ended.takeovers), ("Active", 1));
}

fn a_server_that_went_is_out_until_it_is_back(lab: &Lab) -> Result<(), LabError> {
    let (director, server) = (lab.director("d1")?, lab.server("s3")?);
    let healths = |status: &Status| [0, 1].map(|place| of(status, &CASES[place]).health.clone());
    server.stop_http()?;
    director.wait_until("both are down", WAIT, |status| {
        healths(status) == ["down"; 2]
    })?;
    server.start_http()?;
    director.wait_until("both are up", WAIT, |status| healths(status) == ["up"; 2])?;
    Ok(())
}

/// It says that the program is run by somebody else, which the program does not like.
fn a_changed_include_is_taken_into_force(lab: &Lab) -> Result<(), LabError> {
    let director = lab.director("d1")?;
    let text = carried("user 1000");
    director.shell(&format!(
        "cat > /etc/keepalived/{CARRIED} <<'end'\n{text}\nend\n"
    ))?;
    director.command("reload")?;
    let status = director.wait_until("the program's new word", WAIT, |status| {
        status.config.reloads == 1 && program(status).health == "down"
    })?;
    let program = program(&status);
    assert!(program.last.contains("exit code 1"), "{program:?}");
    assert_eq!(status.config.errors, 0, "{:?}", status.config);
    Ok(())
}
