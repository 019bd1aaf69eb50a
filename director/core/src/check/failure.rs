//! Why an attempt failed, in words.

use core::fmt;

use crate::wire::{dns, http};

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection in time.
    ConnectTimeout,
    /// Connected, but no whole answer in time; so many bytes had come.
    ReplyTimeout(u64),
    /// Refused, unreachable or broken: errno.
    Network(i32),
    /// This node could not even try: errno. It does not count against the server.
    Local(i32),
    /// The way by the virtual address is not open on this node. It does not count against the server.
    Barred(Barrier),
    /// The connection could not be secured.
    Tls(TlsError),
    /// Not an answer that can be read.
    Http(http::Error),
    /// A status outside the set.
    Status(u16),
    /// A body with another MD5.
    Digest([u8; 16]),
    /// A body that its regex does not match, or matches where it must not.
    Regex {
        /// Whether it matches.
        found: bool,
    },
    /// Not a mail server's reply.
    NotSmtp,
    /// A mail server's reply with another code than it should have.
    Smtp(u16),
    /// A name server's answer with an error.
    Dns(dns::Code),
    /// A datagram of so many bytes that is not what it should be.
    Reply(usize),
    /// What is in the file is no number. It does not count: the file may be about to be written.
    Number,
    /// The file holds this number, and should hold 0.
    Told(i64),
    /// The program ended with this code.
    Exit(u8),
    /// The program was ended by this signal.
    Killed(u8),
    /// The program did not end in time.
    RunTimeout,
}

/// Why the way by a virtual address is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// The service of the kernel that leads to this server alone is not there.
    NoService,
    /// The node has no address of its own that it could ask from.
    NoSource,
    /// The kernel drops the answers, which come from an address of this node's (accept_local).
    Martian,
}

impl fmt::Display for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoService => "the kernel has no service for this check yet",
            Self::NoSource => "the node has no address of its own to ask from",
            Self::Martian => {
                "accept_local can't be set, without which the kernel drops the answers"
            }
        })
    }
}

/// Why a connection could not be secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The certificate does not descend from those that are trusted.
    Untrusted,
    /// The certificate's time is over.
    Expired,
    /// The certificate is for another name.
    WrongName,
    /// The certificate is none, or broken, or not for this use.
    Certificate,
    /// The server refused, by an alert.
    Alert,
    /// No version or cipher is common.
    Incompatible,
    /// What the server sends is not TLS.
    Protocol,
    /// There was a connection in time, but no session.
    Late,
    /// The connection ended before the session did.
    Cut,
    /// This node's own certificates can't be read.
    Files,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untrusted => "certificate of an unknown issuer",
            Self::Expired => "certificate has expired",
            Self::WrongName => "certificate for another name",
            Self::Certificate => "certificate is not good",
            Self::Alert => "refused by the server",
            Self::Incompatible => "no common version or cipher",
            Self::Protocol => "not understood",
            Self::Late => "no session in time",
            Self::Cut => "cut before its end",
            Self::Files => "certificate or key of this node can't be read",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectTimeout => f.write_str("no connection in time"),
            Self::ReplyTimeout(0) => f.write_str("no reply in time"),
            Self::ReplyTimeout(bytes) => {
                write!(f, "reply not complete in time ({bytes} bytes came)")
            }
            Self::Network(errno) => f.write_str(&errno_text(*errno)),
            Self::Local(errno) => write!(f, "not tried: {}", errno_text(*errno)),
            Self::Barred(barrier) => write!(f, "not tried: {barrier}"),
            Self::Tls(TlsError::Files) => {
                write!(f, "not tried: {}", TlsError::Files)
            }
            Self::Tls(error) => write!(f, "TLS: {error}"),
            Self::Http(error) => write!(f, "{error}"),
            Self::Status(code) => write!(f, "status {code}"),
            Self::Digest(digest) => {
                f.write_str("digest ")?;
                digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Regex { found: false } => f.write_str("body that the regex does not match"),
            Self::Regex { found: true } => f.write_str("body that the regex matches"),
            Self::NotSmtp => f.write_str("reply is not SMTP"),
            Self::Smtp(code) => write!(f, "reply {code}"),
            Self::Dns(code) => write!(f, "answer {code}"),
            Self::Reply(bytes) => write!(f, "reply of {bytes} bytes is not as required"),
            Self::Number => f.write_str("no number in the file"),
            Self::Told(number) => write!(f, "the file says {number}"),
            // What the launcher, like a shell, says of a program that it can't run.
            Self::Exit(126) => f.write_str("the program can't be run (exit code 126)"),
            Self::Exit(127) => f.write_str("the program is not there (exit code 127)"),
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Killed(signal) => write!(f, "killed by signal {signal}"),
            Self::RunTimeout => f.write_str("did not end in time"),
        }
    }
}

/// The errors that a connection to a real server meets, in words (asm-generic/errno.h, the same on all our targets).
fn errno_text(errno: i32) -> String {
    let text = match errno {
        11 => "too many at once",
        12 => "out of memory",
        13 => "permission denied",
        19 => "no such interface",
        23 | 24 => "out of file descriptors",
        32 => "broken pipe",
        98 => "local port in use",
        99 => "no local address or port",
        101 => "network unreachable",
        104 => "connection reset",
        105 => "no buffer space",
        110 => "connection timed out",
        111 => "connection refused",
        113 => "no route to host",
        _ => return format!("errno {errno}"),
    };
    text.to_string()
}
