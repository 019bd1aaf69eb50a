//! Health checks: is a real server fit for traffic?
//!
//! [`Checks`] holds all checks of the node. Sockets belong to the shell, bytes and time to this module:
//! [`Checks::poll_action`] says what to do with the socket of a check, [`Checks::handle_io`] hears what came of it,
//! [`Checks::handle_timeout`] tells the time, [`Checks::poll_event`] reports each change of health.
//!
//! Rules, and where they differ from keepalived's:
//!
//! - Runs start at a fixed rate: the next planned start is the last one plus the interval, however long the run took
//!   (keepalived: completion plus interval, so the period drifts). The phase of each check is random, so that many
//!   checks spread over the interval. The first run comes early, so that a dead server takes traffic for a second
//!   and not for a minute.
//! - Up, and an attempt fails: again after `delay_before_retry`; Down after `retry` + 1 failures in a row. The first
//!   failure of a check that never succeeded is Down at once. Down: Up after `rise` successes in a row, one a run; the
//!   first success of a check that never failed is Up at once.
//! - `timeout` bounds an attempt as a whole, once for each URL: a server that sends a byte now and then can't
//!   stretch it (keepalived: each phase anew).
//! - All URLs of an HTTP check are asked in one run, one after the other (keepalived: one for each interval).
//! - Trouble of our own (no descriptor, no memory, no local port) is not the server's failure: the attempt is
//!   repeated later and the health stays.
//! - A stall of our own loop is not the server's failure either. Only a timeout ends an attempt for being late, never
//!   what is read from the socket; and when the deadline is judged late, or the server is heard after it, then the
//!   time that we slept through is given once more ([`limits::CHECK_GRACE`]). A stall that ends just before the
//!   deadline can't be told from a slow server; the retry is for that.

mod attempt;
mod checks;
mod failure;
mod index;
mod keys;
mod line;
mod said;
mod schedule;
mod settings;
mod talk;
#[cfg(test)]
mod tests;
mod timers;

use core::fmt;
use core::net::SocketAddr;

pub use checks::Checks;
pub use failure::{Barrier, Failure, TlsError};
pub use schedule::Status;
pub use settings::{
    Ask, Bind, DataPath, Kind, Owner, Program, Regex, Reply, ServerCheck, Settings, Target, Tls,
    Transport, Udp, Url, Watch,
};

#[cfg(doc)]
use crate::limits;
use crate::time::Duration;

/// One connection of one check: an index into the slab, and a generation that each connection raises, so that what
/// is heard late of an old connection is dropped by comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Place in the slab, below [`limits::CHECKS_MAX`], and above it what tells the slabs of a node apart: less than
    /// 2 to the power of [`Id::INDEX_BITS`].
    pub index: u32,
    /// Which connection of that place.
    pub generation: u32,
}

impl Id {
    /// Bits of an index: with 32 of a generation, the shell has four left of a number to say what it is of.
    pub const INDEX_BITS: u32 = 28;
}

impl From<Id> for u64 {
    /// As one number, for a table of sockets.
    fn from(id: Id) -> Self {
        Self::from(id.generation) << 32 | Self::from(id.index)
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self {
            index: number as u32, // the lower half
            generation: (number >> 32) as u32,
        }
    }
}

/// Whether a server passes a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It does.
    Up,
    /// It does not.
    Down,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// What came of a socket or a program. `Failed`, `Barred`, `Insecure`, `Closed` and `Exited` say that the shell has
/// dropped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io<'a> {
    /// The connection is established, and secured where that is asked for.
    Connected,
    /// The connection is established; securing it begins.
    Reached,
    /// It could not be made, or broke: a positive errno (errno.h).
    Failed(i32),
    /// It was not even tried: the way is not open.
    Barred(Barrier),
    /// It could not be secured, or broke.
    Insecure(TlsError),
    /// Bytes of the server, in any pieces; or the first ones that a program has written, before it `Exited`.
    Received(&'a [u8]),
    /// The server sent all it had to send.
    Closed,
    /// The program has ended.
    Exited(Exit),
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(u8),
}

/// What to do with the socket or the program of a check; there is one at a time for each check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a non-blocking socket and connect it; answered by `Connected` or `Failed`.
    Connect {
        /// Where to; the port means nothing to [`Transport::Icmp`].
        target: SocketAddr,
        /// By what.
        transport: Transport,
        /// Where from.
        bind: Option<Box<Bind>>,
        /// `Connected` says that the connection is secured by this, and all bytes are those within.
        tls: Option<Box<Tls>>,
    },
    /// Send these bytes as the socket takes them.
    Send {
        /// All of a request.
        bytes: Vec<u8>,
    },
    /// Run a program; answered by `Exited`, or by `Failed` when this node can't.
    Run(Box<Program>),
    /// Read the beginning of a file, at most [`limits::FILE_NUMBER_MAX`] bytes; answered by `Connected`, perhaps
    /// `Received`, and `Closed`, or by `Failed`. A file that is not there is an empty one.
    Read(String),
    /// Drop the socket without waiting, or end the program with all that it started; nothing is answered.
    Close,
}

/// A change of health, or of the number that a check tells; where all failures are to be told, one that changes
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<K> {
    /// Which check.
    pub key: K,
    /// Its kind, for people, by [`Kind::name`].
    pub kind: &'static str,
    /// Where it asks.
    pub target: SocketAddr,
    /// By way of which virtual address, where that is so always.
    pub path: Option<SocketAddr>,
    /// Health before.
    pub old: Health,
    /// Health now.
    pub new: Health,
    /// The failure that made it so; none for a success.
    pub cause: Option<Failure>,
    /// The number that the server's weight follows, of a check that tells one.
    pub value: Option<i64>,
    /// How long the old health had lasted.
    pub lasted: Duration,
    /// Time of the deciding attempt.
    pub took: Duration,
}

impl<K> Event<K> {
    fn of(key: K, ask: &Ask, change: schedule::Change) -> Self {
        let path = ask.how.path.as_ref();
        let path = path.filter(|path| !path.only_where_held);
        Self {
            key,
            kind: ask.how.kind.name(),
            target: ask.target.into(),
            path: path.map(|path| path.address),
            old: change.old,
            new: change.new,
            cause: change.cause,
            value: change.value,
            lasted: change.lasted,
            took: change.took,
        }
    }
}

impl<K> Event<K> {
    /// The same by another name of the check.
    pub(crate) fn told_of<N>(self, key: N) -> Event<N> {
        Event {
            key,
            kind: self.kind,
            target: self.target,
            path: self.path,
            old: self.old,
            new: self.new,
            cause: self.cause,
            value: self.value,
            lasted: self.lasted,
            took: self.took,
        }
    }
}

impl<K> fmt::Display for Event<K> {
    /// One line; the key is left to the reader, who knows what it means.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            target,
            old,
            new,
            value,
            lasted,
            took,
            ..
        } = self;
        write!(f, "{kind} check of ")?;
        match target.port() {
            0 => write!(f, "{}", target.ip())?,
            _ => write!(f, "{target}")?,
        }
        if let Some(path) = self.path {
            write!(f, " by way of {path}")?;
        }
        if old == new && self.cause.is_some() {
            write!(f, ": still {new}: ")?;
        } else {
            write!(f, ": {old} -> {new}")?;
            if old != new {
                write!(f, " after {:.3} s", lasted.as_secs_f64())?;
            }
            f.write_str(": ")?;
        }
        match self.cause {
            Some(failure) => write!(f, "{failure}")?,
            None => f.write_str("success")?,
        }
        if let Some(value) = value {
            write!(f, ", {value}")?;
        }
        write!(
            f,
            " ({}.{:03} ms)",
            took.as_millis(),
            took.as_micros() % 1000
        )
    }
}

/// The generator that spreads the starts: SplitMix64 (Steele, Lea, Flood, 2014).
#[derive(Clone, Copy, Debug)]
struct Random(u64);

impl Random {
    /// A time below `bound`; zero when that is zero.
    fn below(&mut self, bound: Duration) -> Duration {
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.next().checked_rem(micros).unwrap_or(0))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
