//! The checks of a real server: what they ask, of whom, and how often.

mod exec;
mod file;
mod http;
mod network;
mod path;
mod regex;
mod source;

use core::net::{IpAddr, SocketAddr};

use super::diagnostic::Place;
use super::global::{DAY, TIME_MAX, address};
use super::keywords::Block;
use super::read::Reader;
use super::tree::Statement;
use super::{Check, CheckKind, CheckSettings};
use crate::check::Bind;
use crate::ipvs::{DestId, Forwarding, ServiceId};
use crate::time::Duration;

/// The timing keywords, which a service, a real server and a check all have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timers {
    delay_loop: Option<Duration>,
    rise: Option<u32>,
    retry: Option<u32>,
    delay_before_retry: Option<Duration>,
    warmup: Option<Duration>,
    connect_timeout: Option<Duration>,
}

impl Timers {
    /// Reads one of the keywords.
    pub(super) fn read(
        &mut self,
        reader: &mut Reader<'_, '_>,
        word: &str,
        statement: Statement<'_>,
    ) {
        let positive = Duration::from_micros(1)..=DAY;
        match word {
            "delay_loop" => self.delay_loop = reader.timer(statement, positive),
            "rise" => self.rise = reader.number(statement, 1..=RETRY_MAX),
            "retry" | "fall" if self.retry.is_some() => {
                let message = "`fall N` is `retry N-1`: only one of them can hold";
                reader.sink.error(statement.keyword().at, message);
            }
            "retry" => self.retry = reader.number(statement, 0..=RETRY_MAX),
            "fall" => {
                let fall = reader.number(statement, 1..=RETRY_MAX);
                self.retry = fall.map(|fall| fall - 1);
            }
            "delay_before_retry" => {
                self.delay_before_retry = reader.timer(statement, Duration::ZERO..=DAY);
            }
            "warmup" => self.warmup = reader.timer(statement, Duration::ZERO..=DAY),
            "connect_timeout" => {
                self.connect_timeout = reader.timer(statement, Duration::from_millis(1)..=TIME_MAX);
            }
            _ => {}
        }
    }

    /// What is not said here is as in `outer`.
    pub(super) fn or(self, outer: Self) -> Self {
        Self {
            delay_loop: self.delay_loop.or(outer.delay_loop),
            rise: self.rise.or(outer.rise),
            retry: self.retry.or(outer.retry),
            delay_before_retry: self.delay_before_retry.or(outer.delay_before_retry),
            warmup: self.warmup.or(outer.warmup),
            connect_timeout: self.connect_timeout.or(outer.connect_timeout),
        }
    }
}

/// More retries than anyone waits for.
const RETRY_MAX: u32 = 100_000;

/// The default of `delay_loop`.
const DELAY_LOOP: Duration = Duration::from_secs(60);

/// The default of `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest default of `warmup`. Keepalived takes `delay_loop`, so that a dead server may get traffic for a minute
/// after a start; the first round is cheap enough to be spread over one second.
const WARMUP: Duration = Duration::from_secs(1);

/// What a check takes over from its real server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'v> {
    pub(super) address: Option<IpAddr>,
    /// Where traffic goes; with a firewall mark, what the real server was written with.
    pub(super) port: Option<u16>,
    pub(super) timers: Timers,
    pub(super) virtualhost: Option<&'v str>,
    /// The services, and the real server's place in their pools.
    pub(super) ids: &'v [ServiceId],
    pub(super) dest: Option<DestId>,
    pub(super) forwarding: Forwarding,
    pub(super) fullnat: bool,
    /// The service's `data_path`.
    pub(super) path: Option<Wish>,
}

/// One check as far as it could be read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) check: Option<Check>,
    /// The real server is out until it has succeeded.
    pub(super) alpha: bool,
}

/// The words that all checks share, and what the kinds have by default.
#[derive(Debug)]
pub(super) struct Common {
    address: Option<IpAddr>,
    port: Option<u16>,
    timers: Timers,
    alpha: bool,
    log_all: bool,
    bind: Bind,
    /// By which way, and where that is said.
    path: Option<(Wish, Place)>,
    /// Longest time of one attempt, of a kind that has its own word for it.
    timeout: Option<Duration>,
}

impl Common {
    fn read(&mut self, reader: &mut Reader<'_, '_>, word: &str, statement: Statement<'_>) {
        match word {
            "connect_ip" => {
                self.address = reader
                    .value(statement)
                    .and_then(|word| address(reader, word));
            }
            "connect_port" => {
                let port = reader.number(statement, 1..=65_535);
                self.port = port.and_then(|port| u16::try_from(port).ok());
            }
            "log_all_failures" => self.log_all = reader.flag(statement).unwrap_or_default(),
            "alpha" => self.alpha = reader.flag(statement).unwrap_or_default(),
            "bindto" => {
                let word = reader.value(statement);
                self.bind.address = word.and_then(|word| address(reader, word));
            }
            "bind_port" => {
                let port = reader.number(statement, 1..=65_535).unwrap_or(0);
                self.bind.port = u16::try_from(port).unwrap_or(0);
            }
            "data_path" => {
                self.path = wish(reader, statement).map(|wish| (wish, statement.keyword().at));
            }
            "bind_if" => self.bind.interface = reader.parse(statement),
            "fwmark" => self.bind.mark = reader.number(statement, 1..=u32::MAX).unwrap_or(0),
            _ => self.timers.read(reader, word, statement),
        }
    }
}

/// Reads one check.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    context: &Context<'_>,
) -> Found {
    reader.no_more(block.arguments());
    if block.keyword().bytes == b"FILE_CHECK" {
        let check = file::read(reader, block, context);
        return Found {
            check,
            alpha: false,
        };
    }
    let mut common = Common {
        address: context.address,
        port: context.port,
        timers: Timers::default(),
        alpha: false,
        log_all: reader.log_all,
        bind: Bind::default(),
        path: None,
        timeout: None,
    };
    let kind = match block.keyword().bytes {
        b"HTTP_GET" | b"SSL_GET" => http::read(reader, block, &mut common, context),
        b"SMTP_CHECK" => Some(network::smtp(reader, block, &mut common)),
        b"DNS_CHECK" => network::dns(reader, block, &mut common),
        b"UDP_CHECK" => Some(network::udp(reader, block, &mut common)),
        b"PING_CHECK" => Some(network::ping(reader, block, &mut common)),
        b"MISC_CHECK" => exec::read(reader, block, &mut common),
        _ => {
            reader.each(
                Block::TcpCheck,
                block.children(),
                |reader, word, statement| common.read(reader, word, statement),
            );
            Some(CheckKind::Tcp)
        }
    };
    let path = kind
        .as_ref()
        .and_then(|kind| path::settle(reader, block, &common, context, kind));
    let (target, path) = match path {
        Some((target, path)) => (Some(target), Some(path)),
        None => (target(reader, block, &common, kind.as_ref()), None),
    };
    let check = kind.zip(target).map(|(kind, target)| {
        let timers = common.timers.or(context.timers);
        let asked = path.as_ref().map_or(target, |path| path.address);
        let bind = match kind {
            CheckKind::Exec(_) => None,
            _ => bind(reader, block, &common, asked),
        };
        let how = CheckSettings {
            bind,
            path,
            log_all: common.log_all,
            ..schedule(kind, timers, common.timeout)
        };
        Check {
            target: target.into(),
            how: reader.shared(how),
        }
    });
    Found {
        check,
        alpha: common.alpha,
    }
}

/// Where the check comes from, when the block says so.
fn bind(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    common: &Common,
    target: SocketAddr,
) -> Option<Box<Bind>> {
    let bind = &common.bind;
    if bind
        .address
        .is_some_and(|address| address.is_ipv4() != target.is_ipv4())
    {
        let message = "`bindto` is not of the family of the address that is asked";
        reader.sink.error(block.keyword().at, message);
    }
    let link_local = matches!(target.ip(), IpAddr::V6(address) if address.is_unicast_link_local());
    if link_local && bind.interface.is_none() {
        let message = format!(
            "a link-local address is on an interface: {} needs `bind_if`",
            block.title()
        );
        reader.sink.error(block.keyword().at, message);
    }
    (*bind != Bind::default()).then(|| Box::new(bind.clone()))
}

/// Where the check asks, when the block or its real server say so. A program is told by its own arguments.
fn target(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    common: &Common,
    kind: Option<&CheckKind>,
) -> Option<SocketAddr> {
    let address = common.address?;
    match common.port {
        Some(port) if port != 0 => Some(SocketAddr::new(address, port)),
        _ if matches!(kind, Some(CheckKind::Exec(_) | CheckKind::Ping)) => {
            Some(SocketAddr::new(address, 0))
        }
        _ => {
            if block.lacks("connect_port") {
                let message = format!(
                    "{} has no port to connect to: `connect_port` is missing",
                    block.title()
                );
                reader.sink.error(block.keyword().at, message);
            }
            None
        }
    }
}

/// Fills in the defaults.
fn schedule(kind: CheckKind, timers: Timers, timeout: Option<Duration>) -> CheckSettings {
    let interval = timers.delay_loop.unwrap_or(DELAY_LOOP);
    let (retry, pause, wait) = match kind {
        CheckKind::Http { .. } => (1, Duration::from_secs(3), CONNECT_TIMEOUT),
        CheckKind::Dns(_) => (3, interval, CONNECT_TIMEOUT),
        CheckKind::Exec(_) => (0, Duration::from_secs(1), interval),
        _ => (1, Duration::from_secs(1), CONNECT_TIMEOUT),
    };
    let timeout = match kind {
        CheckKind::Exec(_) => timeout,
        _ => timers.connect_timeout,
    };
    CheckSettings {
        kind,
        bind: None,
        path: None,
        log_all: false,
        interval,
        timeout: timeout.unwrap_or(wait),
        rise: timers.rise.unwrap_or(1),
        retry: timers.retry.unwrap_or(retry),
        delay_before_retry: timers.delay_before_retry.unwrap_or(pause),
        warmup: timers.warmup.unwrap_or_else(|| interval.min(WARMUP)),
    }
}

pub(super) use http::virtualhost;
use http::visible;
pub(super) use path::{Wish, reserve, wish};
pub(super) use source::of_own;
