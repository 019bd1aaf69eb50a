//! `TCP_CHECK` and `HTTP_GET`: what is asked of a real server, and how often.

use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;

use super::global::{DAY, TIME_MAX, address};
use super::keywords::Block;
use super::read::{Reader, decimal};
use super::tree::{Statement, Word};
use super::{Check, CheckKind, Url};
use crate::time::Duration;

/// The timing keywords, which a service, a real server and a check all have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timers {
    delay_loop: Option<Duration>,
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
            "retry" => self.retry = reader.number(statement, 0..=RETRY_MAX),
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
}

/// One check as far as it could be read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) check: Option<Check>,
    /// The real server is out until it has succeeded.
    pub(super) alpha: bool,
}

/// Reads one check.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    context: &Context<'_>,
) -> Found {
    let is_http = block.keyword().bytes == b"HTTP_GET";
    let table = if is_http {
        Block::HttpGet
    } else {
        Block::TcpCheck
    };
    let mut connect = (context.address, context.port);
    let mut timers = Timers::default();
    let mut alpha = false;
    let mut host = None;
    let mut http11 = false;
    let mut urls = Vec::new();
    reader.no_more(block.arguments());
    reader.each(
        table,
        block.children(),
        |reader, word, statement| match word {
            "connect_ip" => {
                connect.0 = reader
                    .value(statement)
                    .and_then(|word| address(reader, word));
            }
            "connect_port" => {
                let port = reader.number(statement, 1..=65_535);
                connect.1 = port.and_then(|port| u16::try_from(port).ok());
            }
            "alpha" => alpha = reader.flag(statement).unwrap_or_default(),
            "virtualhost" => host = virtualhost(reader, statement),
            "http_protocol" => http11 = http_protocol(reader, statement),
            // A server that was down has all its URLs asked in a row anyway.
            "fast_recovery" => _ = reader.flag(statement),
            "url" => urls.push(statement),
            _ => timers.read(reader, word, statement),
        },
    );
    let at = block.keyword().at;
    let target = target(reader, block, connect);
    let host = host.as_deref().or(context.virtualhost).map(str::to_owned);
    let host = host
        .or_else(|| target.map(|target| target.to_string()))
        .unwrap_or_default();
    if is_http && urls.is_empty() {
        reader.sink.error(at, "`HTTP_GET` has no `url`");
    }
    let urls = urls
        .iter()
        .filter_map(|block| url(reader, *block, &host))
        .collect();
    let kind = if is_http {
        CheckKind::Http { urls, http11 }
    } else {
        CheckKind::Tcp
    };
    let check = target.map(|target| schedule(kind, target, timers.or(context.timers)));
    Found { check, alpha }
}

/// Where the check asks, when the block or its real server say so.
fn target(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    connect: (Option<IpAddr>, Option<u16>),
) -> Option<SocketAddr> {
    match connect {
        (Some(address), Some(port)) if port != 0 => Some(SocketAddr::new(address, port)),
        (Some(_), _) if block.lacks("connect_port") => {
            let message = format!(
                "{} has no port to connect to: `connect_port` is missing",
                block.title()
            );
            reader.sink.error(block.keyword().at, message);
            None
        }
        _ => None,
    }
}

/// Fills in the defaults.
fn schedule(kind: CheckKind, target: SocketAddr, timers: Timers) -> Check {
    let interval = timers.delay_loop.unwrap_or(DELAY_LOOP);
    let pause = match kind {
        CheckKind::Tcp => Duration::from_secs(1),
        CheckKind::Http { .. } => Duration::from_secs(3),
    };
    Check {
        kind,
        target,
        interval,
        timeout: timers.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        retry: timers.retry.unwrap_or(1),
        delay_before_retry: timers.delay_before_retry.unwrap_or(pause),
        warmup: timers.warmup.unwrap_or_else(|| interval.min(WARMUP)),
    }
}

/// A value of the Host header: visible ASCII, so that it can't break out of it.
pub(super) fn virtualhost(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<String> {
    visible(reader, statement, "a host name")
}

fn visible(reader: &mut Reader<'_, '_>, statement: Statement<'_>, what: &str) -> Option<String> {
    let word = reader.value(statement)?;
    let text = word
        .text()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
    if text.is_none() {
        reader.wrong(word, format!("{what} has visible ASCII characters only"));
    }
    text.map(core::convert::Into::into)
}

/// `1.0`, `1.0C` or `1.1`; true for the last.
fn http_protocol(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> bool {
    let Some(word) = reader.value(statement) else {
        return false;
    };
    match word.bytes {
        b"1.1" => true,
        b"1.0" | b"1.0C" | b"1.0c" => false, // all our requests ask for the connection to be closed
        _ => {
            reader.wrong(word, "the HTTP protocol is 1.0, 1.0C or 1.1");
            false
        }
    }
}

fn url(reader: &mut Reader<'_, '_>, block: Statement<'_>, host: &str) -> Option<Url> {
    reader.no_more(block.arguments());
    let mut path = None;
    let mut status = Vec::new();
    let mut digest = None;
    let mut host = host.to_owned();
    reader.each(
        Block::Url,
        block.children(),
        |reader, word, statement| match word {
            "path" => path = Some(request_path(reader, statement)),
            "status_code" => status_codes(reader, statement, &mut status),
            "digest" => digest = md5(reader, statement),
            _ => host = virtualhost(reader, statement).unwrap_or_default(),
        },
    );
    if path.is_none() {
        reader.sink.error(block.keyword().at, "`url` has no `path`");
    }
    if status.is_empty() {
        status.push(200..=299);
    }
    Some(Url {
        path: path??,
        host,
        status,
        digest,
    })
}

fn request_path(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<String> {
    let path = visible(reader, statement, "a path")?;
    if path.starts_with('/') {
        return Some(path);
    }
    let word = reader.value(statement)?;
    reader.wrong(word, "a path begins with `/`");
    None
}

/// `status_code N[-M]..`
fn status_codes(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
    list: &mut Vec<RangeInclusive<u16>>,
) {
    if statement.arguments().next().is_none() {
        reader.value(statement);
    }
    for word in statement.arguments() {
        match status_range(word) {
            // A response has one code of three digits: more ranges than codes say nothing new.
            Some(range) if list.len() < 500 => list.push(range),
            Some(_) => {}
            None => reader.wrong(
                word,
                "a status code is a number from 100 to 599, or two with `-` between",
            ),
        }
    }
}

fn status_range(word: Word<'_>) -> Option<RangeInclusive<u16>> {
    let mut ends = word.bytes.splitn(2, |byte| *byte == b'-');
    let code = |bytes| {
        decimal(bytes)
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (100..=599).contains(code))
    };
    let low = code(ends.next()?)?;
    let high = match ends.next() {
        Some(bytes) => code(bytes)?,
        None => low,
    };
    (low <= high).then_some(low..=high)
}

/// 32 hexadecimal digits.
fn md5(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<[u8; 16]> {
    let word = reader.value(statement)?;
    let mut digest = [0; 16];
    let mut pairs = word.bytes.chunks_exact(2);
    let digits = |pair: &[u8]| {
        let text = core::str::from_utf8(pair)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        u8::from_str_radix(text, 16).ok()
    };
    let read = digest.iter_mut().all(|byte| {
        let value = pairs.next().and_then(digits);
        *byte = value.unwrap_or_default();
        value.is_some()
    });
    if !read || word.bytes.len() != 32 {
        reader.wrong(word, "an MD5 digest has 32 hexadecimal digits");
        return None;
    }
    Some(digest)
}
