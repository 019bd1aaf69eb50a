//! `track_probe NAME`: something that is asked over TCP or HTTP for the sake of virtual routers that track it.
//!
//! ```text
//! track_probe NAME {
//!     tcp ADDRESS PORT             # the connection is established; or
//!     http http://ADDRESS[:PORT]/PATH    # answers with a status of 200 to 299
//!     interval SECONDS             # 1
//!     timeout SECONDS              # of one attempt: `interval`, at most 5
//!     rise N                       # successes in a row that make it up again: 1
//!     fall N                       # failures in a row that make it down: 3
//!     weight N [reverse]           # where a `track_probe` of a router has none: 0
//! }
//! ```

use core::net::{IpAddr, SocketAddr};

use super::diagnostic::Place;
use super::global::{DAY, address, required};
use super::keywords::Block;
use super::read::Reader;
use super::track::weight;
use super::tree::{Statement, Word};
use super::{Check, CheckKind, CheckSettings, Tracked, Url, Watch};
use crate::net::Name;
use crate::time::Duration;
use crate::vrrp::Weight;

/// The default of `timeout`, where `interval` is not shorter.
const TIMEOUT: Duration = Duration::from_secs(5);

/// More results in a row than anyone waits for.
pub(super) const ROW_MAX: u32 = 1000;

#[derive(Default)]
struct Draft {
    asks: Option<(CheckKind, SocketAddr)>,
    said: Option<Place>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    rise: Option<u32>,
    fall: Option<u32>,
    weight: Weight,
}

/// Reads one `track_probe NAME`.
pub(super) fn read(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Option<Watch> {
    let name: Option<Name> = reader.parse(block);
    let mut draft = Draft::default();
    reader.each(
        Block::TrackProbe,
        block.children(),
        |reader, word, statement| draft.read(reader, word, statement),
    );
    if draft.said.is_none() {
        let message = format!("{} has neither `tcp` nor `http`", block.title());
        reader.sink.error(block.keyword().at, message);
    }
    let interval = draft.interval.unwrap_or(Duration::from_secs(1));
    let (kind, target) = draft.asks?;
    let how = CheckSettings {
        kind,
        bind: None,
        path: None,
        interval,
        timeout: draft.timeout.unwrap_or_else(|| interval.min(TIMEOUT)),
        rise: draft.rise.unwrap_or(1),
        retry: draft.fall.unwrap_or(3) - 1,
        delay_before_retry: interval,
        log_all: false,
        warmup: Duration::ZERO,
    };
    Some(Watch {
        of: Tracked::Probe(name?),
        weight: draft.weight,
        init_fail: false,
        init_file: None,
        check: Check {
            target: target.into(),
            how: how.into(),
        },
    })
}

impl Draft {
    fn read(&mut self, reader: &mut Reader<'_, '_>, word: &str, statement: Statement<'_>) {
        let positive = Duration::from_millis(10)..=DAY;
        match word {
            "tcp" | "http" => {
                let at = statement.keyword().at;
                if let Some(first) = self.said.replace(at) {
                    reader.twice(at, "what the probe asks", first);
                }
                self.asks = if word == "tcp" {
                    tcp(reader, statement)
                } else {
                    http(reader, statement)
                };
            }
            "interval" => self.interval = reader.timer(statement, positive),
            "timeout" => self.timeout = reader.timer(statement, positive),
            "rise" => self.rise = reader.number(statement, 1..=ROW_MAX),
            "fall" => self.fall = reader.number(statement, 1..=ROW_MAX),
            _ => self.weight = default_weight(reader, statement).unwrap_or_default(),
        }
    }
}

/// `weight N [reverse]`
pub(super) fn default_weight(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
) -> Option<Weight> {
    let mut words = statement.arguments();
    let value = required(reader, statement.keyword(), words.next())?;
    let value = weight(reader, value)?;
    let second = words.next();
    let reverse = second.is_some_and(|word| word.bytes == b"reverse");
    reader.no_more(second.filter(|_| !reverse).into_iter().chain(words));
    Some(Weight { value, reverse })
}

/// `tcp ADDRESS PORT`
fn tcp(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<(CheckKind, SocketAddr)> {
    let mut words = statement.arguments();
    let host = required(reader, statement.keyword(), words.next())?;
    let host = address(reader, host)?;
    let port = required(reader, statement.keyword(), words.next())?;
    let port = reader.number_word(port, b"the port", 1..=65_535)?;
    reader.no_more(words);
    let port = u16::try_from(port).unwrap_or(u16::MAX);
    Some((CheckKind::Tcp, SocketAddr::new(host, port)))
}

/// `http http://ADDRESS[:PORT]/PATH`
fn http(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<(CheckKind, SocketAddr)> {
    let word: Word<'_> = reader.value(statement)?;
    let text = reader.utf8(word)?;
    let parsed = split(&text);
    let Some((target, host, path)) = parsed else {
        reader.wrong(
            word,
            "such as http://192.0.2.1:8080/health, with an address",
        );
        return None;
    };
    let url = Url {
        path: path.to_owned(),
        host: host.to_owned(),
        status: vec![200..=299],
        digest: None,
        regex: None,
    };
    let kind = CheckKind::Http {
        urls: vec![url],
        http11: true,
        tls: None,
    };
    Some((kind, target))
}

/// Where to connect, what the Host header says, and what is asked for.
fn split(url: &str) -> Option<(SocketAddr, &str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let slash = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(slash);
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible(path) {
        return None;
    }
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let target = match host.parse::<SocketAddr>() {
        Ok(target) => target,
        Err(_) => SocketAddr::new(bare.unwrap_or(host).parse::<IpAddr>().ok()?, 80),
    };
    let path = if path.is_empty() { "/" } else { path };
    (target.port() != 0).then_some((target, host, path))
}
