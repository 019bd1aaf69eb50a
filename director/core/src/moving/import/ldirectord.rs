//! ldirectord's `ldirectord.cf`.

use core::net::{IpAddr, SocketAddr};

use super::checks::{self, Page, Timing};
use super::notes::Notes;
use super::outline::Block;
use super::pair::Pair;
use super::words::{self, Section, Value};
use crate::config::keywords;
use crate::pattern::{Options, Pattern};

/// Words that no other format has on its outermost level.
pub(super) fn is_own_keyword(word: &str) -> bool {
    TIMES.contains(&word) || FLAGS.contains(&word) || IGNORED.contains(&word) || word == "fallback"
}

/// What a service may say for itself, and the file for all services.
const TIMES: &[&str] = &[
    "checkinterval",
    "checktimeout",
    "negotiatetimeout",
    "failurecount",
    "checkcount",
];
const FLAGS: &[&str] = &["quiescent", "readdquiescent", "cleanstop"];
/// Without a counterpart, and of no consequence.
const IGNORED: &[&str] = &[
    "autoreload",
    "callback",
    "fork",
    "supervised",
    "emailalert",
    "emailalertfreq",
    "emailalertfrom",
    "emailalertstatus",
    "smtp",
    "logfile",
];

pub(super) fn read(text: &str, pair: &mut Pair, notes: &mut Notes) -> Vec<Block> {
    let root = sections(text);
    for value in &root.values {
        let (key, line) = (value.key.as_str(), value.line);
        match key {
            "execute" | "maintenancedir" | "fallbackcommand" => {
                notes.lost(
                    line,
                    format!(
                        "`{key}`: drain a server on the console, and see the log for what happens"
                    ),
                );
            }
            "fallback" | "fallback6" => {}
            _ if is_own_keyword(key) => {}
            _ => notes.lost(
                line,
                format!("`{key}` is not a word of ldirectord.cf that is known"),
            ),
        }
    }
    if root.value("quiescent").is_none() {
        let text = "`quiescent` is off, as in ldirectord 4: a failed server is taken out (its manual says on)";
        notes.assumed(1, text);
    }
    let mut services = Vec::new();
    for section in &root.sections {
        services.extend(service(section, &root, pair, notes));
    }
    services
}

/// Lines at the margin are of the file or begin a service; indented ones are of the service above.
fn sections(text: &str) -> Section {
    let mut root = Section::default();
    for (number, line) in (1..).zip(text.lines()) {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let value = words::value(bare, number);
        if matches!(value.key.as_str(), "virtual" | "virtual6") {
            root.sections.push(Section::new(&value.text, number));
            continue;
        }
        let indented = line.starts_with([' ', '\t']);
        match root.sections.last_mut().filter(|_| indented) {
            Some(section) => section.values.push(value),
            None => root.values.push(value),
        }
    }
    root
}

/// A value of the service, or else of the file.
fn either<'a>(section: &'a Section, root: &'a Section, key: &str) -> Option<&'a Value> {
    section.value(key).or_else(|| root.value(key))
}

fn service(section: &Section, root: &Section, pair: &mut Pair, notes: &mut Notes) -> Option<Block> {
    let what = section.kind();
    let mark: Option<u32> = what.parse().ok().filter(|mark| *mark > 0);
    let endpoint = endpoint(what);
    let protocol = protocol(section, endpoint.map(|(_, port)| port));
    let head = match (mark, endpoint) {
        (Some(mark), _) => {
            notes.lost(
                section.line,
                format!("nothing on the node sets mark {mark}: give addresses and ports instead"),
            );
            format!("virtual_server fwmark {mark}")
        }
        (None, Some((address, port))) => {
            pair.add(address, None, None);
            format!("virtual_server {address} {port}")
        }
        (None, None) => {
            notes.lost(
                section.line,
                format!("`virtual={what}`: not ADDRESS:PORT or a mark; names are not looked up"),
            );
            return None;
        }
    };
    let mut block = Block::new(head);
    block.lines(mark.is_none().then(|| format!("protocol {protocol}")));
    let reals: Vec<Real> = section
        .values
        .iter()
        .filter(|value| matches!(value.key.as_str(), "real" | "real6"))
        .flat_map(|value| Real::read(value, notes))
        .collect();
    let method = reals.first().map_or("NAT", |real| real.method);
    let timing = service_lines(section, root, method, &mut block, notes);
    let fallback = ["fallback", "fallback6"]
        .iter()
        .find_map(|key| either(section, root, key));
    block.lines(fallback.and_then(|value| sorry(value, notes)));
    let port = endpoint.map_or(0, |(_, port)| port);
    for real in &reals {
        let check = check(section, real, port, timing, notes);
        block.block(real.block(method, check));
    }
    Some(block)
}

fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    if let Ok(endpoint) = text.parse::<SocketAddr>() {
        return Some((endpoint.ip(), endpoint.port()));
    }
    let (address, port) = text.rsplit_once(':')?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    Some((address.parse().ok()?, words::port(port)?))
}

/// UDP for port 53 where nothing is said.
fn protocol(section: &Section, port: Option<u16>) -> &'static str {
    match section.text("protocol") {
        Some("udp") => "UDP",
        None if port == Some(53) => "UDP",
        _ => "TCP",
    }
}

/// The lines of a service, and how its checks are timed.
fn service_lines(
    section: &Section,
    root: &Section,
    method: &str,
    block: &mut Block,
    notes: &mut Notes,
) -> Timing {
    block.line(section.scheduler("wrr", notes));
    block.line(format!("lb_kind {method}"));
    block.lines(
        section
            .value("ops")
            .is_some_and(Value::is_on)
            .then(|| "ops".to_owned()),
    );
    block.lines(section.persistence("netmask", notes));
    let quiescent = either(section, root, "quiescent").is_some_and(Value::is_on);
    block.lines(quiescent.then(|| "inhibit_on_failure".to_owned()));
    let mut seconds = |key: &str, default| {
        let value = either(section, root, key).and_then(|value| value.number(1..=86_400, notes));
        value.unwrap_or(default)
    };
    let interval = seconds("checkinterval", 10);
    let connects = section.text("checktype") == Some("connect");
    let timeout_s = if connects {
        seconds("checktimeout", 5)
    } else {
        seconds("negotiatetimeout", 30)
    };
    let failures = seconds("failurecount", 1);
    block.line(format!("delay_loop {interval}"));
    Timing {
        timeout_s,
        retry: failures - 1,
        pause_s: interval,
    }
}

/// `fallback=ADDRESS[:PORT] [METHOD]`
fn sorry(value: &Value, notes: &mut Notes) -> Option<String> {
    let word = value.text.split_whitespace().next().unwrap_or_default();
    let found = endpoint(word).or_else(|| Some((word.parse().ok()?, 0)));
    match found {
        Some((address, _)) if address.is_loopback() => {
            notes.lost(
                value.line,
                "`fallback` to the node itself: it serves no pages",
            );
            None
        }
        Some((address, 0)) => Some(format!("sorry_server {address}")),
        Some((address, port)) => Some(format!("sorry_server {address} {port}")),
        None => {
            notes.lost(
                value.line,
                format!("`fallback={word}`: not an address; names are not looked up"),
            );
            None
        }
    }
}

/// One `real=` line, or one server of a range.
struct Real {
    address: IpAddr,
    port: Option<u16>,
    method: &'static str,
    lines: Vec<String>,
    request: Option<String>,
    receive: Option<String>,
}

impl Real {
    /// `real=IP[->IP][:PORT] gate|masq|ipip [WEIGHT] [<l:N> <u:N>] ["REQUEST"[, "RECEIVE"]]`
    fn read(value: &Value, notes: &mut Notes) -> Vec<Self> {
        let (words, quoted) = value.text.split_once('"').unwrap_or((&value.text, ""));
        let mut words = words.split_whitespace();
        let place = words.next().unwrap_or_default();
        let Some((first, last, port)) = range(place) else {
            let text = format!("`real={place}`: not an address; names are not looked up");
            notes.lost(value.line, text);
            return Vec::new();
        };
        let method = match words.next() {
            Some("gate") => "DR",
            Some("ipip") => "TUN",
            _ => "NAT",
        };
        let mut lines = Vec::new();
        for word in words {
            let number = word
                .trim_end_matches('>')
                .rsplit(':')
                .next()
                .and_then(|text| text.parse::<u32>().ok());
            match (word, number) {
                (_, Some(number)) if word.starts_with("<l:") => {
                    lines.push(format!("lthreshold {number}"));
                }
                (_, Some(number)) if word.starts_with("<u:") => {
                    lines.push(format!("uthreshold {number}"));
                }
                (_, Some(weight)) if weight <= 65_535 => {
                    lines.insert(0, format!("weight {weight}"));
                }
                _ => notes.lost(
                    value.line,
                    format!("`{word}` of a real server is not known"),
                ),
            }
        }
        let mut texts = quoted
            .split('"')
            .filter(|text| !text.trim().trim_matches(',').trim().is_empty());
        let [request, receive] = [texts.next(), texts.next()].map(|text| text.map(str::to_owned));
        let real = |address| Self {
            address,
            port,
            method,
            lines: lines.clone(),
            request: request.clone(),
            receive: receive.clone(),
        };
        addresses(first, last).into_iter().map(real).collect()
    }

    fn block(&self, method: &str, check: Option<Block>) -> Block {
        let port = self
            .port
            .map_or_else(String::new, |port| format!(" {port}"));
        let mut block = Block::new(format!("real_server {}{port}", self.address));
        block.lines(self.lines.iter().cloned());
        block.lines((self.method != method).then(|| format!("lvs_method {}", self.method)));
        block.blocks(check);
        block
    }
}

/// `A`, `A:PORT`, `A->B` or `A->B:PORT`.
fn range(text: &str) -> Option<(IpAddr, IpAddr, Option<u16>)> {
    let (first, last) = text.split_once("->").unwrap_or((text, text));
    let (last, port) = match endpoint(last) {
        Some((last, port)) => (last, Some(port)),
        None => (last.parse().ok()?, None),
    };
    let first = match endpoint(first) {
        Some((first, _)) => first,
        None => first.parse().ok()?,
    };
    Some((first, last, port))
}

/// The addresses of a range, at most a /24 full of them.
fn addresses(first: IpAddr, last: IpAddr) -> Vec<IpAddr> {
    const RANGE_MAX: u32 = 256;
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let (first, last) = (u32::from(first), u32::from(last));
            let last = last.min(first.saturating_add(RANGE_MAX - 1));
            (first..=last)
                .map(|address| IpAddr::V4(address.into()))
                .collect()
        }
        _ => vec![first],
    }
}

/// What ldirectord asks of a server.
fn check(
    section: &Section,
    real: &Real,
    port: u16,
    timing: Timing,
    notes: &mut Notes,
) -> Option<Block> {
    let has = |name: &str| checks::acts(keywords::Block::RealServer, name);
    let kind = section.text("checktype").unwrap_or("negotiate");
    let line = section
        .value("checktype")
        .map_or(section.line, |value| value.line);
    let check_port = section.text("checkport").and_then(words::port);
    let connect = |notes: &mut Notes, why: &str| {
        if !why.is_empty() {
            notes.assumed(line, format!("a connection is opened: {why}"));
        }
        Some(checks::plain("TCP_CHECK", check_port, timing))
    };
    if real.port.unwrap_or(port) == 0
        && check_port.is_none()
        && !matches!(kind, "on" | "off" | "ping")
    {
        notes.lost(
            line,
            "the check: a mark has no port to ask at, and there is no `checkport`",
        );
        return None;
    }
    match kind {
        "on" => None,
        "off" => {
            notes.assumed(
                line,
                "`checktype=off` leaves all servers out; here they are in, without checks",
            );
            None
        }
        "connect" => connect(notes, ""),
        "ping" if has("PING_CHECK") => Some(checks::plain("PING_CHECK", None, timing)),
        "negotiate" => negotiate(section, real, port, timing, notes),
        _ if kind.parse::<u32>().is_ok() => negotiate(section, real, port, timing, notes),
        _ => connect(notes, &format!("`checktype={kind}` has no counterpart")),
    }
}

fn negotiate(
    section: &Section,
    real: &Real,
    port: u16,
    timing: Timing,
    notes: &mut Notes,
) -> Option<Block> {
    let has = |name: &str| checks::acts(keywords::Block::RealServer, name);
    let check_port = section.text("checkport").and_then(words::port);
    let by_port = match port {
        80 | 8080 => "http",
        443 => "https",
        53 => "dns",
        25 | 587 => "smtp",
        _ => "simpletcp",
    };
    let name = section.text("service").unwrap_or(by_port);
    let plain = |check: &str| Some(checks::plain(check, check_port, timing));
    match name {
        "none" => None,
        "http" | "http_proxy" => Some(http("HTTP_GET", section, real, timing, notes)),
        "https" if has("SSL_GET") => Some(http("SSL_GET", section, real, timing, notes)),
        "dns" if has("DNS_CHECK") => {
            let name = real
                .request
                .as_deref()
                .or_else(|| section.text("request"))
                .filter(|name| words::is_word(name));
            let mut check = checks::plain("DNS_CHECK", check_port, timing);
            check.lines(["type A".to_owned(), format!("name {}", name.unwrap_or("."))]);
            Some(check)
        }
        "smtp" | "submission" if has("SMTP_CHECK") => plain("SMTP_CHECK"),
        _ => {
            notes.assumed(
                section.line,
                format!("a connection is opened; `{name}` is not spoken"),
            );
            plain("TCP_CHECK")
        }
    }
}

fn http(name: &str, section: &Section, real: &Real, timing: Timing, notes: &mut Notes) -> Block {
    let request = real
        .request
        .as_deref()
        .or_else(|| section.text("request"))
        .unwrap_or("/");
    let path = match request
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
    {
        Some((_, path)) => format!("/{path}"),
        None => format!("/{}", request.trim_start_matches('/')),
    };
    let receive = real.receive.as_deref().or_else(|| section.text("receive"));
    let is_good =
        |text: &&str| !text.contains(['"', '\\']) && Pattern::new(text, Options::default()).is_ok();
    let regex = receive.filter(is_good);
    if let (Some(receive), None) = (receive, regex) {
        notes.lost(
            section.line,
            format!("the answer is not compared with `{receive}`, its status is"),
        );
    }
    let host = section
        .text("virtualhost")
        .filter(|host| words::is_word(host));
    let page = Page {
        path: if words::is_path(&path) {
            path
        } else {
            "/".to_owned()
        },
        host: host.map(str::to_owned),
        regex: regex.map(str::to_owned),
        any_status: false,
    };
    let port = section.text("checkport").and_then(words::port);
    checks::http(name, port, timing, &page)
}
