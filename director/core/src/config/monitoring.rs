//! What leaves the node for monitoring: `metrics`, `syslog` and `log_level` of router.conf, and keepalived.conf's
//! FIFOs.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::diagnostic::hides;
use super::keywords::Block;
use super::read::Reader;
use super::tree::{Statement, Word};

/// How much a line of the log matters; what matters more comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Service is impaired, or an operation failed.
    Error,
    /// Something an operator should look at.
    Warning,
    /// A transition.
    Info,
}

impl Level {
    /// All of them, what matters most first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Info];
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

/// What syslog goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram a line (RFC 5426).
    Udp,
    /// Octet counting (RFC 6587 section 3.4.1).
    Tcp,
}

/// A machine that is sent the log: `syslog`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// Where it listens.
    pub server: SocketAddr,
    /// How it is reached.
    pub transport: Transport,
    /// Lines that matter less are not sent.
    pub level: Level,
}

/// A FIFO that gets a line for each change: `notify_fifo` and its like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// Where it is, an absolute path.
    pub path: String,
    /// Which changes.
    pub scope: FifoScope,
}

/// Which changes a FIFO is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FifoScope {
    /// All.
    All,
    /// Those of virtual routers.
    Vrrp,
    /// Those of services and real servers.
    Lvs,
}

/// Port of syslog over UDP (RFC 5426 section 3.3), and over TCP by custom.
const SYSLOG_PORT: u16 = 514;

/// `metrics { listen ADDRESS:PORT }`
pub(super) fn metrics(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Option<SocketAddr> {
    reader.no_more(block.arguments());
    let mut listen = None;
    reader.each(Block::Metrics, block.children(), |reader, _, statement| {
        listen = reader
            .value(statement)
            .and_then(|word| endpoint(reader, word, None));
    });
    if block.lacks("listen") {
        reader
            .sink
            .error(block.keyword().at, "`metrics` has no `listen`")
            .hint("such as: listen 192.0.2.1:9475");
    }
    listen
}

/// One `syslog` block of `system`.
pub(super) fn syslog(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Option<Syslog> {
    reader.no_more(block.arguments());
    let mut server = None;
    let mut transport = Transport::Udp;
    let mut least = Level::Info;
    reader.each(
        Block::Syslog,
        block.children(),
        |reader, word, statement| match word {
            "server" => {
                server = reader
                    .value(statement)
                    .and_then(|word| endpoint(reader, word, Some(SYSLOG_PORT)));
            }
            "protocol" => {
                if let Some(word) = reader.value(statement) {
                    match word.bytes {
                        b"udp" => transport = Transport::Udp,
                        b"tcp" => transport = Transport::Tcp,
                        _ => reader.wrong(word, "the protocol is udp or tcp"),
                    }
                }
            }
            _ => least = level(reader, statement).unwrap_or(least),
        },
    );
    if block.lacks("server") {
        reader
            .sink
            .error(block.keyword().at, "`syslog` has no `server`");
    }
    let server = server?;
    Some(Syslog {
        server,
        transport,
        level: least,
    })
}

/// A value that is a level.
pub(super) fn level(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<Level> {
    let word = reader.value(statement)?;
    match word.bytes {
        b"error" => Some(Level::Error),
        b"warning" => Some(Level::Warning),
        b"info" => Some(Level::Info),
        _ => {
            reader.wrong(word, "the level is error, warning or info");
            None
        }
    }
}

/// `ADDRESS:PORT`, or `ADDRESS` alone where there is a usual port. IPv6 addresses with a port stand in brackets.
fn endpoint(reader: &mut Reader<'_, '_>, word: Word<'_>, port: Option<u16>) -> Option<SocketAddr> {
    let text = reader.utf8(word)?;
    let usual = |port| {
        text.parse::<IpAddr>()
            .ok()
            .map(|address| SocketAddr::new(address, port))
    };
    let found = text.parse().ok().or_else(|| port.and_then(usual));
    let found = found.filter(|endpoint: &SocketAddr| endpoint.port() != 0);
    if found.is_none() {
        reader.wrong(word, "not ADDRESS:PORT (IPv6: [ADDRESS]:PORT)");
    }
    found
}

/// `notify_fifo FILE [USER [GROUP]]`, `vrrp_notify_fifo` and `lvs_notify_fifo`.
pub(super) fn fifo(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<Fifo> {
    let mut words = statement.arguments();
    let scope = match statement.keyword().bytes {
        b"vrrp_notify_fifo" => FifoScope::Vrrp,
        b"lvs_notify_fifo" => FifoScope::Lvs,
        _ => FifoScope::All,
    };
    let Some(word) = words.next() else {
        reader.value(statement);
        return None;
    };
    let path = reader.utf8(word)?;
    if !path.starts_with('/') || path.len() > PATH_MAX || path.chars().any(hides) {
        reader.wrong(word, "a FIFO has an absolute path of visible characters");
        return None;
    }
    if let Some(owner) = words.next().filter(|owner| owner.bytes != b"root") {
        let message = "the FIFO belongs to root, as everything on the node does";
        reader.sink.warning(owner.at, message);
    }
    Some(Fifo {
        path: path.into_owned(),
        scope,
    })
}

/// As long as a path may be (linux/limits.h), less the terminating NUL.
const PATH_MAX: usize = 4095;
