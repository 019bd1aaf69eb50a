//! What a check asks, of whom, and how often.

use core::net::{IpAddr, SocketAddr};
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::ipvs::{DestId, Forwarding};
#[cfg(doc)]
use crate::limits;
use crate::net::{Endpoint, Family, IfName};
use crate::pattern::Pattern;
use crate::time::Duration;
use crate::wire::dns;

/// What one check asks, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Where; for a program or a file, the server of which it tells.
    pub target: Endpoint,
    /// All else. Most checks of a node differ in nothing but their targets, and share this.
    pub how: Arc<Settings>,
}

impl Ask {
    /// The same, as a real server has it.
    pub(crate) fn of(self, server: DestId) -> ServerCheck {
        ServerCheck {
            target: Target::of(self.target, server),
            how: self.how,
        }
    }

    /// The family of the target.
    pub(super) fn family(&self) -> Family {
        Family::of(self.target.address)
    }
}

/// A check of a real server, as the configuration has it. Most real servers of a node have the same ones, each asks of
/// itself, and they share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCheck {
    /// Of whom.
    pub target: Target,
    /// All else.
    pub how: Arc<Settings>,
}

/// Whom a check of a real server asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The real server itself.
    Server,
    /// The real server, at this port; 0 where the check has none.
    Port(u16),
    /// Somebody else (`connect_ip`).
    Elsewhere(Endpoint),
}

impl Target {
    /// This address, as seen from a real server.
    fn of(asked: Endpoint, server: DestId) -> Self {
        if asked.address != server.address {
            Self::Elsewhere(asked)
        } else if asked.port != server.port {
            Self::Port(asked.port)
        } else {
            Self::Server
        }
    }

    /// The address, for this real server.
    const fn endpoint(&self, server: DestId) -> Endpoint {
        let DestId { address, port } = server;
        match *self {
            Self::Server => Endpoint { address, port },
            Self::Port(port) => Endpoint { address, port },
            Self::Elsewhere(asked) => asked,
        }
    }
}

impl ServerCheck {
    /// What is asked for this real server.
    #[must_use]
    pub fn ask(&self, server: DestId) -> Ask {
        Ask {
            target: self.target.endpoint(server),
            how: Arc::clone(&self.how),
        }
    }
}

impl Hash for Ask {
    /// By what is cheap to look at: those of one hash may be different.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.how.kind.name(), self.target).hash(state);
    }
}

/// What one check does, of whomever. Durations below [`limits::CHECK_STEP_MIN`] count as that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is asked.
    pub kind: Kind,
    /// Where from; none for what the routing says.
    pub bind: Option<Box<Bind>>,
    /// By way of the service's virtual address (`data_path`); none for straight to the target.
    pub path: Option<Box<DataPath>>,
    /// From the planned start of one run to the next.
    pub interval: Duration,
    /// Longest time of one attempt, for each URL.
    pub timeout: Duration,
    /// Successes in a row before a server that was down is up, at least 1 (`rise`). A check that has never failed
    /// believes the first one.
    pub rise: u32,
    /// Further attempts before a server that was up is down: `retry`, or `fall` less 1.
    pub retry: u32,
    /// Pause before such an attempt.
    pub delay_before_retry: Duration,
    /// Each failed attempt is an event, not only the one that decides.
    pub log_all: bool,
    /// The first run starts within this time, and within [`limits::CHECK_FIRST_WITHIN`].
    pub warmup: Duration,
}

impl Settings {
    /// The longest time from the moment that a server falls silent until it is out: it passed a check just before, so
    /// that a whole interval goes by, and then each attempt runs out of time.
    #[must_use]
    pub fn detection(&self) -> Duration {
        let attempt = self.timeout.saturating_mul(self.kind.parts());
        let attempts = attempt.saturating_mul(self.retry.saturating_add(1));
        let pauses = self.delay_before_retry.saturating_mul(self.retry);
        self.interval
            .saturating_add(attempts)
            .saturating_add(pauses)
    }
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The connection is established; it is closed at once.
    Tcp,
    /// Each URL answers with a status of its set, and with a body of its digest where one is given.
    Http {
        /// At least one; a check without any succeeds like a TCP check.
        urls: Vec<Url>,
        /// HTTP/1.1 instead of 1.0.
        http11: bool,
        /// Over TLS (`SSL_GET`).
        tls: Option<Box<Tls>>,
    },
    /// The server greets (220), answers `HELO` (250) and `QUIT` (221).
    Smtp {
        /// The name behind `HELO`.
        helo: String,
    },
    /// The name server answers the question, and without an error.
    Dns(Box<dns::Question>),
    /// Nobody says that the port is unreachable; or an answer comes and is as it must be.
    Udp(Box<Udp>),
    /// An echo request is answered.
    Ping,
    /// A program of the operator's ends in time and with a code that says success.
    Exec(Box<Program>),
    /// A file holds a number that says success, or that the weight follows.
    File(Box<Watch>),
}

/// How a connection is secured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The server's name, for SNI and for its certificate; the address without one.
    pub name: Option<String>,
    /// Whether the name is told to the server (SNI).
    pub sni: bool,
    /// File with the certificates that the server's must descend from; without it, any is taken.
    pub ca: Option<String>,
    /// Files with this node's certificate and its key, for servers that ask who is there.
    pub identity: Option<(String, String)>,
    /// A server must end its session before its connection.
    pub compliant: bool,
}

/// What carries a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A connection.
    Tcp,
    /// The beginning of one: `Connected` when the server has answered the SYN, and a reset instead of the last step of
    /// the handshake. The kernel does not bother the server's program with such a one.
    HalfOpen,
    /// Datagrams; `Connected` says that they can be sent.
    Udp,
    /// Echo requests and replies, without the IP header; as `Udp`.
    Icmp,
}

/// The way that clients of a service come to a server: to its virtual address, and on by IPVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPath {
    /// The virtual address, and the port there.
    pub address: SocketAddr,
    /// How packets reach the server.
    pub forwarding: Forwarding,
    /// FULLNAT: the local addresses, to which the server answers, are where the virtual address is. Elsewhere the
    /// check goes straight to the target.
    pub only_where_held: bool,
}

/// Where a check comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bind {
    /// Source address (`bindto`).
    pub address: Option<IpAddr>,
    /// Source port (`bind_port`); 0 for any.
    pub port: u16,
    /// Interface (`bind_if`): the configured name in the settings, the kernel's in what the shell is told.
    pub interface: Option<IfName>,
    /// Firewall mark (`fwmark`); 0 for none.
    pub mark: u32,
    /// The connection is reset at its end: IPVS takes a later one from the same port to where that is to go, and
    /// forgets this one soon.
    pub reset: bool,
    /// The server answers from a virtual address, which may be this node's too, by this interface (the kernel's name):
    /// that must be believed (accept_local).
    pub from_own: Option<IfName>,
}

/// What a UDP check sends, and what must come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// One datagram; may be empty.
    pub payload: Vec<u8>,
    /// What the answer must be; without it none is needed.
    pub reply: Option<Reply>,
}

/// What an answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it begins: of each byte the value of those bits that the mask has.
    pub pattern: Vec<(u8, u8)>,
    /// Bytes, at least and at most.
    pub length: (usize, usize),
}

/// A file with a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Where it is.
    pub path: String,
    /// The number times this is what is told; with 0, the number is a failure unless it is 0. Above `i32::MIN`.
    pub weight: i32,
    /// The other way round: the negative is told; with 0, the number is a failure if it is 0.
    pub reverse: bool,
}

impl Kind {
    /// As `TCP` or `MISC`: the keyword of keepalived.conf without its ending.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Http { tls: None, .. } => "HTTP",
            Self::Http { tls: Some(_), .. } => "SSL",
            Self::Smtp { .. } => "SMTP",
            Self::Dns(_) => "DNS",
            Self::Udp(_) => "UDP",
            Self::Ping => "PING",
            Self::Exec(_) => "MISC",
            Self::File(_) => "FILE",
        }
    }

    /// Connections of one attempt, each of which has the timeout to itself.
    fn parts(&self) -> u32 {
        match self {
            Self::Http { urls, .. } => u32::try_from(urls.len()).unwrap_or(u32::MAX).max(1),
            _ => 1,
        }
    }

    /// What carries it.
    pub(super) const fn transport(&self) -> Transport {
        match self {
            Self::Dns(_) | Self::Udp(_) => Transport::Udp,
            Self::Ping => Transport::Icmp,
            Self::Tcp => Transport::HalfOpen,
            _ => Transport::Tcp,
        }
    }
}

/// A program that the operator ships with the configuration: run without a shell, in a process group of its own, with
/// an empty environment and without privileges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its file, as the configuration names it; where that is, is the shell's matter.
    pub path: String,
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
    /// Who it runs as.
    pub owner: Owner,
    /// Its exit code tells a number (`misc_dynamic`): 0 success, 1 failure, 2..=255 success and the code less 2.
    pub dynamic: bool,
}

/// User and group by number; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
}

impl Owner {
    /// `nobody` of every distribution.
    pub const NOBODY: Self = Self {
        user: 65_534,
        group: 65_534,
    };
}

/// One URL of an HTTP check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Request target.
    pub path: String,
    /// Value of the Host header.
    pub host: String,
    /// Status codes that are a success.
    pub status: Vec<RangeInclusive<u16>>,
    /// MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// What must be, or must not be, in the body.
    pub regex: Option<Box<Regex>>,
}

/// What a body must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regex {
    /// The expression.
    pub pattern: Pattern,
    /// A match is a success; else it is a failure (`regex_no_match`).
    pub wanted: bool,
    /// Where in the body a match may begin, in bytes.
    pub begins: RangeInclusive<u64>,
}
