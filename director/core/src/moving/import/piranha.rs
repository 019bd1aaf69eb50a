//! Piranha's `lvs.cf`: what pulse, lvs and nanny were told.

use core::net::IpAddr;
use core::str::FromStr;

use super::checks::{self, Page, Timing};
use super::notes::Notes;
use super::outline::Block;
use super::pair::Pair;
use super::words::{self, Section, Value};
use crate::config::keywords;
use crate::net::IfName;

/// Words that no other format has on its outermost level.
pub(super) fn is_own_keyword(word: &str) -> bool {
    IGNORED.contains(&word)
        || matches!(
            word,
            "primary" | "backup" | "heartbeat" | "keepalive" | "deadtime" | "network" | "service"
        )
}

/// Without a counterpart, and of no consequence.
const IGNORED: &[&str] = &[
    "serial_no",
    "rsh_command",
    "debug_level",
    "ipvsadm",
    "reservation_conflict_action",
    "primary_shared",
    "backup_shared",
    "primary_private",
    "backup_private",
    "backup_active",
    "heartbeat_port",
    "hard_shutdown",
    "nat_nmask",
    "syncd_iface",
    "syncd_id",
    "deadtime",
];

/// What holds for all services.
struct Whole {
    method: &'static str,
}

pub(super) fn read(text: &str, pair: &mut Pair, notes: &mut Notes) -> Vec<Block> {
    let root = words::sections(text, notes);
    let mut whole = Whole { method: "NAT" };
    for value in &root.values {
        global(value, &root, &mut whole, pair, notes);
    }
    timers(&root, pair, notes);
    let mut services = Vec::new();
    for section in &root.sections {
        match section.kind() {
            "virtual" => services.extend(service(section, &whole, pair, notes)),
            kind => notes.lost(
                section.line,
                format!("`{kind}`: services of the node itself are not run here"),
            ),
        }
    }
    services
}

fn global(value: &Value, root: &Section, whole: &mut Whole, pair: &mut Pair, notes: &mut Notes) {
    let line = value.line;
    match value.key.as_str() {
        "primary" => pair.nodes[0] = value.parse(notes),
        "backup" => pair.nodes[1] = value.parse(notes),
        "service" if value.text == "lvs" => {}
        "service" => notes.lost(
            line,
            "`service = fos`: only the load balancing is carried over",
        ),
        "heartbeat" if value.is_on() => {}
        "heartbeat" => notes.assumed(line, "a pair by VRRP, although the heartbeat was off"),
        "keepalive" => pair.advert_s = value.number(1..=255, notes),
        "network" => {
            whole.method = match value.text.as_str() {
                "direct" => "DR",
                "tunnel" => "TUN",
                _ => "NAT",
            };
        }
        "nat_router" => nat_router(value, root, pair, notes),
        "syncdaemon" if value.is_on() => {
            let interface = root
                .text("syncd_iface")
                .filter(|name| IfName::from_str(name).is_ok());
            let id = root
                .text("syncd_id")
                .and_then(|id| id.parse().ok())
                .filter(|id| *id <= 255);
            let interface = interface.map_or_else(|| pair.interface.clone(), str::to_owned);
            pair.sync = Some((interface, id.unwrap_or(0)));
        }
        "syncdaemon" | "monitor_links" if !value.is_on() => {}
        "monitor_links" => notes.assumed(
            line,
            "the interfaces of virtual addresses are always watched",
        ),
        "tcp_timeout" | "tcpfin_timeout" | "udp_timeout" => {}
        "active_cmd" | "inactive_cmd" => {
            notes.lost(
                line,
                format!(
                    "`{}`: no commands are run; the log has each change",
                    value.key
                ),
            );
        }
        word if IGNORED.contains(&word) => {}
        word => notes.lost(
            line,
            format!("`{word}` is not a word of lvs.cf that is known"),
        ),
    }
}

/// IPVS timeouts, and what is said of the heartbeat's.
fn timers(root: &Section, pair: &mut Pair, notes: &mut Notes) {
    let names = [
        ("tcp_timeout", "tcp"),
        ("tcpfin_timeout", "tcpfin"),
        ("udp_timeout", "udp"),
    ];
    let mut timeouts = String::new();
    for (word, name) in names {
        if let Some(value) = root.value(word)
            && let Some(seconds) = value.number(1..=2_678_400, notes)
        {
            timeouts += &format!(" {name} {seconds}");
        }
    }
    if !timeouts.is_empty() {
        pair.globals.push(format!("lvs_timeouts{timeouts}"));
    }
    // keepalive's default stands in the program, not in the file.
    let advert_s = *pair.advert_s.get_or_insert(2);
    if let Some(dead) = root.value("deadtime")
        && let Some(seconds) = dead.number(1..=86_400, notes)
        && seconds != 3 * advert_s
    {
        let text = format!(
            "a takeover after three adverts, {} to {} s; `deadtime` was {seconds} s",
            3 * advert_s,
            4 * advert_s
        );
        notes.assumed(dead.line, text);
    }
}

/// `nat_router = ADDRESS DEVICE:N`: the servers' way out.
fn nat_router(value: &Value, root: &Section, pair: &mut Pair, notes: &mut Notes) {
    let prefix = root.value("nat_nmask").and_then(|mask| mask.netmask(notes));
    if let Some((address, device)) = address_and_device(value, notes) {
        pair.add(address, prefix, device);
    }
}

fn address_and_device(value: &Value, notes: &mut Notes) -> Option<(IpAddr, Option<String>)> {
    let mut words = value.text.split_whitespace();
    let address = words.next().and_then(|word| word.parse().ok());
    let Some(address) = address else {
        notes.lost(value.line, format!("`{}`: not an address", value.text));
        return None;
    };
    let device = words.next().and_then(|word| word.split(':').next());
    let device = device.filter(|name| IfName::from_str(name).is_ok());
    Some((address, device.map(str::to_owned)))
}

fn service(section: &Section, whole: &Whole, pair: &mut Pair, notes: &mut Notes) -> Option<Block> {
    let name = section.name();
    let Some(address) = section.value("address") else {
        notes.lost(section.line, format!("`virtual {name}` has no address"));
        return None;
    };
    let (vip, device) = address_and_device(address, notes)?;
    let prefix = section
        .value("vip_nmask")
        .and_then(|mask| mask.netmask(notes));
    pair.add(vip, prefix, device);
    let port = match section.value("port") {
        Some(port) => words::port(&port.text).or_else(|| {
            notes.lost(
                port.line,
                format!("`virtual {name}`: `{}` is not a port", port.text),
            );
            None
        })?,
        None => 80,
    };
    let mark = section
        .value("fwmark")
        .and_then(|mark| mark.number(1..=u32::MAX, notes));
    let head = match (mark, section.value("fwmark")) {
        (Some(mark), Some(value)) => {
            let text = format!(
                "nothing on the node sets mark {mark}: give the ports of `virtual {name}` as services"
            );
            notes.lost(value.line, text);
            format!("virtual_server fwmark {mark}")
        }
        _ => format!("virtual_server {vip} {port}"),
    };
    let is_off = section
        .value("active")
        .is_some_and(|active| !active.is_on());
    if is_off {
        notes.assumed(
            section.line,
            format!("`virtual {name}` is not active: it is written as a comment"),
        );
    }
    let mut block = Block::new(head).off(is_off);
    let timing = service_lines(section, whole, mark.is_none(), &mut block, notes);
    let check = check(section, port, timing, notes);
    let context = Context { whole, port, check };
    for server in &section.sections {
        block.blocks(real_server(server, &context, notes));
    }
    Some(block)
}

/// The lines of a service, and how its checks are timed.
fn service_lines(
    section: &Section,
    whole: &Whole,
    has_protocol: bool,
    block: &mut Block,
    notes: &mut Notes,
) -> Timing {
    let protocol = if is_udp(section) { "UDP" } else { "TCP" };
    block.lines(has_protocol.then(|| format!("protocol {protocol}")));
    block.line(section.scheduler("wlc", notes));
    block.line(format!("lb_kind {}", whole.method));
    block.lines(section.persistence("pmask", notes));
    let timeout = section
        .value("timeout")
        .and_then(|value| value.number(1..=86_400, notes));
    let timeout_s = timeout.unwrap_or(10);
    block.line(format!("delay_loop {timeout_s}"));
    let quiesce = section.value("quiesce_server").is_some_and(Value::is_on);
    block.lines(quiesce.then(|| "inhibit_on_failure".to_owned()));
    if let Some(sorry) = section.value("sorry_server") {
        let address: Option<IpAddr> = sorry.parse(notes);
        block.lines(address.map(|address| format!("sorry_server {address}")));
    }
    for value in &section.values {
        unused(value, notes);
    }
    let reentry = section
        .value("reentry")
        .and_then(|value| value.number(1..=86_400, notes));
    // So many successes in a row made up nanny's `reentry`.
    let rise = reentry.unwrap_or(180).div_ceil(timeout_s);
    block.lines((rise > 1).then(|| format!("rise {rise}")));
    Timing {
        timeout_s,
        retry: 0,
        pause_s: timeout_s,
    }
}

/// Says of a word of a service what becomes of it, when it has no counterpart.
fn unused(value: &Value, notes: &mut Notes) {
    let key = value.key.as_str();
    let text = match key {
        "load_monitor" if value.text != "none" => "weights do not follow the load of the servers",
        "start_cmd" | "stop_cmd" => "no commands are run",
        "client_monitor" | "master" | "dirs" => "it has no counterpart",
        "send_program" => "no programs are run: a connection is opened instead",
        "use_regex" if value.is_on() => "the answer is not compared with `expect`",
        _ => return,
    };
    notes.lost(value.line, format!("`{key}`: {text}"));
}

/// What nanny did to each server.
fn check(section: &Section, port: u16, timing: Timing, notes: &mut Notes) -> Option<Block> {
    if is_udp(section) {
        let text = "UDP servers are checked by ping; UDP_CHECK or DNS_CHECK may say more";
        notes.assumed(section.line, text);
        let ping = checks::acts(keywords::Block::RealServer, "PING_CHECK");
        return ping.then(|| checks::plain("PING_CHECK", None, timing));
    }
    let send = section.text("send");
    let programs = section.value("send_program").is_some();
    let request = send.map(|send| send.split("\\r").next().unwrap_or_default());
    let get = request.and_then(|request| request.strip_prefix("GET ")?.split(' ').next());
    Some(match (get, send) {
        (Some(path), _) if words::is_path(path) => http(section, path, timing, notes),
        (_, Some(_)) => {
            let line = section
                .value("send")
                .map_or(section.line, |value| value.line);
            notes.lost(
                line,
                "`send` and `expect`: a connection is opened, nothing is sent",
            );
            checks::plain("TCP_CHECK", None, timing)
        }
        (None, None) if port == 80 && !programs => http(section, "/", timing, notes),
        (_, None) => checks::plain("TCP_CHECK", None, timing),
    })
}

fn is_udp(section: &Section) -> bool {
    let protocol = section.text("protocol");
    protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("udp"))
}

fn http(section: &Section, path: &str, timing: Timing, notes: &mut Notes) -> Block {
    let expect = section
        .value("expect")
        .filter(|value| !value.text.starts_with("HTTP"));
    if let Some(value) = expect.filter(|value| value.text != "*") {
        notes.lost(value.line, "`expect`: any status of an HTTP answer will do");
    }
    let page = Page {
        path: path.to_owned(),
        any_status: true,
        ..Page::default()
    };
    checks::http("HTTP_GET", None, timing, &page)
}

/// What the servers of a service have in common.
struct Context<'a> {
    whole: &'a Whole,
    port: u16,
    check: Option<Block>,
}

fn real_server(section: &Section, context: &Context<'_>, notes: &mut Notes) -> Option<Block> {
    let name = section.name();
    let Some(address) = section.value("address") else {
        notes.lost(
            section.line,
            format!("`{} {name}` has no address", section.kind()),
        );
        return None;
    };
    let address: IpAddr = address.parse(notes)?;
    let own = section
        .value("port")
        .and_then(|value| words::port(&value.text));
    let port = own
        .filter(|_| context.whole.method == "NAT")
        .unwrap_or(context.port);
    let is_off = section
        .value("active")
        .is_some_and(|active| !active.is_on());
    if is_off {
        notes.assumed(
            section.line,
            format!("`server {name}` is not active: it is written as a comment"),
        );
    }
    let mut block = Block::new(format!("real_server {address} {port}")).off(is_off);
    let weight = section
        .value("weight")
        .and_then(|value| value.number(0..=65_535, notes));
    block.line(format!("weight {}", weight.unwrap_or(1)));
    block.blocks(context.check.clone());
    Some(block)
}
