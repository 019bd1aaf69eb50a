//! What `ipvsadm -S -n` prints: services (`-A`) and dests (`-a`), one a line.

use core::net::{IpAddr, SocketAddr};

use super::checks::{self, Timing};
use super::notes::Notes;
use super::outline::Block;
use super::pair::Pair;
use super::words;

/// One service with its dests, as the lines said.
struct Service {
    key: String,
    address: Option<IpAddr>,
    block: Block,
    has_checks: bool,
    methods: Vec<&'static str>,
    dests: Vec<Block>,
}

pub(super) fn read(text: &str, pair: &mut Pair, notes: &mut Notes) -> Vec<Block> {
    let mut services: Vec<Service> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split_whitespace().peekable();
        words.next_if_eq(&"ipvsadm");
        let options = Options::read(words);
        match options.command {
            None if line.trim().is_empty() || line.trim().starts_with('#') => {}
            Some('A') => match service(&options, number, notes) {
                Some(service) if services.iter().any(|other| other.key == service.key) => {
                    notes.lost(
                        number,
                        format!("the service `{}` is there twice", service.key),
                    );
                }
                Some(service) => {
                    if let Some(address) = service.address {
                        pair.add(address, None, None);
                    }
                    services.push(service);
                }
                None => {}
            },
            Some('a') => {
                let key = options.key();
                match services.iter_mut().find(|service| service.key == key) {
                    Some(service) => dest(&options, service, number, notes),
                    None => notes.lost(number, "a real server without its service"),
                }
            }
            _ => notes.lost(number, "not a line of `ipvsadm -S -n`"),
        }
    }
    if services.iter().any(|service| service.has_checks) {
        notes.assumed(
            1,
            "a TCP_CHECK every 10 s for each server of TCP: the table has no checks",
        );
    }
    if !services.is_empty() {
        notes.assumed(
            1,
            "IPVS timeouts of the kernel, no synchronisation of connections: the table has neither",
        );
    }
    services.into_iter().map(Service::finish).collect()
}

/// The options of one line, long forms as short ones.
#[derive(Default)]
struct Options<'a> {
    command: Option<char>,
    /// `-t`, `-u`, `--sctp-service` or `-f`, and what follows.
    service: Option<(&'static str, &'a str)>,
    others: Vec<(&'a str, &'a str)>,
    ipv6: bool,
    unknown: Option<&'a str>,
}

impl<'a> Options<'a> {
    fn read(mut words: impl Iterator<Item = &'a str>) -> Self {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            match word {
                "-A" | "--add-service" => options.command = Some('A'),
                "-a" | "--add-server" => options.command = Some('a'),
                "-6" | "--ipv6" => options.ipv6 = true,
                "-t" | "--tcp-service" => options.service = words.next().map(|text| ("TCP", text)),
                "-u" | "--udp-service" => options.service = words.next().map(|text| ("UDP", text)),
                "--sctp-service" => options.service = words.next().map(|text| ("SCTP", text)),
                "-f" | "--fwmark-service" => {
                    options.service = words.next().map(|text| ("fwmark", text));
                }
                "-g" | "--gatewaying" => options.others.push(("method", "DR")),
                "-i" | "--ipip" => options.others.push(("method", "TUN")),
                "-m" | "--masquerading" => options.others.push(("method", "NAT")),
                "-o" | "--ops" => options.others.push(("ops", "")),
                "-p" | "--persistent" => options.others.push(("persistent", "360")),
                "--tun-nocsum" => options.others.push(("csum", "nocsum")),
                "--tun-csum" => options.others.push(("csum", "csum")),
                "--tun-remcsum" => options.others.push(("csum", "remcsum")),
                _ => options.with_value(word, &mut words),
            }
        }
        options
    }

    /// An option with a value, or the value of `-p`, which is optional.
    fn with_value(&mut self, word: &'a str, words: &mut impl Iterator<Item = &'a str>) {
        let name = match word {
            "-s" | "--scheduler" => "scheduler",
            "-M" | "--netmask" => "netmask",
            "-b" | "--sched-flags" => "flags",
            "-r" | "--real-server" => "real",
            "-w" | "--weight" => "weight",
            "-x" | "--u-threshold" => "upper",
            "-y" | "--l-threshold" => "lower",
            "--pe" => "engine",
            "--tun-type" => "type",
            "--tun-port" => "port",
            _ => {
                match self
                    .others
                    .last_mut()
                    .filter(|(name, _)| *name == "persistent")
                {
                    Some((_, value)) if word.parse::<u32>().is_ok() => *value = word,
                    _ => self.unknown = self.unknown.or(Some(word)),
                }
                return;
            }
        };
        match words.next() {
            Some(value) => self.others.push((name, value)),
            None => self.unknown = Some(word),
        }
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.others
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| *value)
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.value(name)?.parse().ok()
    }

    fn key(&self) -> String {
        let (kind, text) = self.service.unwrap_or_default();
        format!(
            "{kind} {text}{}",
            if self.ipv6 && kind == "fwmark" {
                " -6"
            } else {
                ""
            }
        )
    }
}

fn service(options: &Options<'_>, line: u32, notes: &mut Notes) -> Option<Service> {
    let (kind, text) = options.service?;
    let endpoint = text.parse::<SocketAddr>().ok();
    let mut block = match (kind, endpoint, text.parse::<u32>()) {
        ("fwmark", _, Ok(mark)) if mark > 0 => {
            let mut block = Block::new(format!("virtual_server fwmark {mark}"));
            block.lines(options.ipv6.then(|| "ip_family inet6".to_owned()));
            block
        }
        (_, Some(endpoint), _) if kind != "fwmark" => {
            let mut block = Block::new(format!(
                "virtual_server {} {}",
                endpoint.ip(),
                endpoint.port()
            ));
            block.line(format!("protocol {kind}"));
            block
        }
        _ => {
            notes.lost(
                line,
                format!("`{text}`: not ADDRESS:PORT or a mark: dump the table with -n"),
            );
            return None;
        }
    };
    block.lines(service_lines(options));
    if let Some(word) = options.unknown {
        notes.lost(
            line,
            format!("`{word}` is not an option of a service that is known"),
        );
    }
    Some(Service {
        key: options.key(),
        address: endpoint
            .filter(|_| kind != "fwmark")
            .map(|endpoint| endpoint.ip()),
        block,
        has_checks: kind == "TCP",
        methods: Vec::new(),
        dests: Vec::new(),
    })
}

/// What the kernel is told of a service.
fn service_lines(options: &Options<'_>) -> Vec<String> {
    let word = |name| options.value(name).filter(|word| words::is_word(word));
    let mut lines = vec![format!("lb_algo {}", word("scheduler").unwrap_or("wlc"))];
    if let Some(seconds) = options.number("persistent") {
        lines.push(format!("persistence_timeout {seconds}"));
    }
    lines.extend(word("netmask").map(|mask| format!("persistence_granularity {mask}")));
    lines.extend(word("engine").map(|name| format!("persistence_engine {name}")));
    lines.extend(options.value("ops").map(|_| "ops".to_owned()));
    let flags = options.value("flags").unwrap_or_default().split(',');
    lines.extend(flags.filter(|flag| words::is_word(flag)).map(str::to_owned));
    lines
}

fn dest(options: &Options<'_>, service: &mut Service, line: u32, notes: &mut Notes) {
    let text = options.value("real").unwrap_or_default();
    let Ok(endpoint) = text.parse::<SocketAddr>() else {
        notes.lost(
            line,
            format!("`{text}`: not ADDRESS:PORT: dump the table with -n"),
        );
        return;
    };
    let method = match options.value("method") {
        Some("NAT") => "NAT",
        Some("TUN") => "TUN",
        _ => "DR",
    };
    let mut block = Block::new(format!("real_server {} {}", endpoint.ip(), endpoint.port()));
    let tunnel = if method == "TUN" {
        tunnel(options)
    } else {
        String::new()
    };
    block.line(format!("lvs_method {method}{tunnel}"));
    block.line(format!("weight {}", options.number("weight").unwrap_or(1)));
    for (name, keyword) in [("upper", "uthreshold"), ("lower", "lthreshold")] {
        block.lines(
            options
                .number(name)
                .filter(|number| *number > 0)
                .map(|number| format!("{keyword} {number}")),
        );
    }
    if service.has_checks {
        let timing = Timing {
            timeout_s: 5,
            retry: 1,
            pause_s: 1,
        };
        block.block(checks::plain("TCP_CHECK", None, timing));
    }
    if let Some(word) = options.unknown {
        notes.lost(
            line,
            format!("`{word}` is not an option of a real server that is known"),
        );
    }
    service.methods.push(method);
    service.dests.push(block);
}

/// How a tunnel wraps packets, where it is not IP in IP.
fn tunnel(options: &Options<'_>) -> String {
    let kind = match options.value("type") {
        Some("gue") => "gue",
        Some("gre") => "gre",
        _ => return String::new(),
    };
    let port = options
        .number("port")
        .map_or_else(String::new, |port| format!(" port {port}"));
    let csum = options
        .value("csum")
        .map_or_else(String::new, |csum| format!(" {csum}"));
    format!(" type {kind}{port}{csum}")
}

impl Service {
    fn finish(self) -> Block {
        let Self {
            mut block,
            has_checks,
            methods,
            dests,
            ..
        } = self;
        block.line(format!("lb_kind {}", methods.first().unwrap_or(&"DR")));
        block.lines(has_checks.then(|| "delay_loop 10".to_owned()));
        block.blocks(dests);
        block
    }
}
