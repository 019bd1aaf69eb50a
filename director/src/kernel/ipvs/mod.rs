//! IPVS over generic netlink: services, dests, synchronisation daemons, timeouts.

mod abi;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

use core::fmt;
use std::collections::BTreeMap;
use std::io;

use director_core::ipvs::{ActualDest, DestId, Service, ServiceId, SyncDaemon, SyncRole, Timeouts};
use director_core::kernel::{Op, OpError};
use neli::consts::socket::NlFamily;
use nix::errno::Errno;

use self::encode::Writer;
use super::exchange::{Exchange, ExchangeError};
use super::netlink;

/// Operations of one batch. Each that is refused is answered by a datagram of its own, and some hundred of them
/// overflow a receive buffer of the default size.
pub const BATCH_MAX: usize = 64;

/// Attempts at a dump that the kernel reports as interrupted.
const DUMP_ATTEMPTS: u32 = 3;

/// Why the kernel's IPVS could not be asked.
#[derive(Debug)]
pub enum IpvsError {
    /// The family is not there: the module `ip_vs` is not loaded.
    Missing,
    /// The socket failed; it is of no further use.
    Socket(io::Error),
    /// The kernel refused, with a positive errno.
    Refused(i32),
    /// No answer in time.
    Silent,
    /// The table changed under every attempt to read it.
    Interrupted,
}

impl fmt::Display for IpvsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the kernel has no IPVS (is the module ip_vs loaded?)"),
            Self::Socket(error) => write!(f, "IPVS netlink socket: {error}"),
            Self::Refused(errno) => write!(f, "IPVS refused: {}", Errno::from_raw(*errno).desc()),
            Self::Silent => f.write_str("IPVS gave no answer"),
            Self::Interrupted => f.write_str("the IPVS table changes faster than it can be read"),
        }
    }
}

impl From<io::Error> for IpvsError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<ExchangeError> for IpvsError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Socket(error) => Self::Socket(error),
            ExchangeError::Silent => Self::Silent,
        }
    }
}

impl IpvsError {
    /// The error as the answer to an operation.
    #[must_use]
    pub fn errno(&self) -> OpError {
        OpError(match self {
            // Not ENOENT, which would read as "already deleted".
            Self::Missing => libc::EPROTONOSUPPORT,
            Self::Socket(error) => error.raw_os_error().unwrap_or(libc::EIO),
            Self::Refused(errno) => *errno,
            Self::Silent => libc::ETIMEDOUT,
            Self::Interrupted => libc::EAGAIN,
        })
    }
}

/// A dump under way.
pub(super) struct Dump<K, V> {
    sequence: u32,
    interrupted: bool,
    /// What it brought so far.
    pub(super) found: BTreeMap<K, V>,
}

/// The kernel's IPVS of this network namespace.
pub struct Ipvs {
    exchange: Exchange,
    family: u16,
}

impl Ipvs {
    /// Opens a socket and asks for the family's number.
    ///
    /// # Errors
    /// [`IpvsError::Missing`] while the module is not loaded, otherwise the socket's or the kernel's error.
    pub fn open() -> Result<Self, IpvsError> {
        let mut ipvs = Self {
            exchange: Exchange::open(NlFamily::Generic)?,
            family: 0,
        };
        let sequence = ipvs.exchange.next_sequence();
        let mut writer = Writer::new(0);
        writer.resolve(sequence);
        ipvs.send(&writer)?;
        let mut family = None;
        let answer = ipvs.exchange.until_answered(|message| {
            if message.sequence != sequence {
                return None;
            }
            if message.kind == netlink::ERROR {
                return Some(message.errno());
            }
            family = decode::family_number(message.payload);
            None
        });
        ipvs.family = match (answer?, family) {
            (0, Some(family)) => family,
            (0 | libc::ENOENT, _) => return Err(IpvsError::Missing),
            (errno, _) => return Err(IpvsError::Refused(errno)),
        };
        Ok(ipvs)
    }

    /// Does up to [`BATCH_MAX`] operations in their order and returns their results in the same order. One that
    /// fails does not keep the kernel from doing the next.
    pub fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), OpError>> {
        debug_assert!(ops.len() <= BATCH_MAX);
        let mut writer = Writer::new(self.family);
        for (index, op) in ops.iter().enumerate() {
            let is_last = index + 1 == ops.len();
            writer.operation(self.exchange.next_sequence(), op, is_last);
        }
        self.exchange.do_all(writer.bytes(), ops.len())
    }

    /// All services, without their dests.
    ///
    /// # Errors
    /// See [`IpvsError`].
    pub fn services(&mut self) -> Result<BTreeMap<ServiceId, Service>, IpvsError> {
        self.dump(Writer::dump_services, decode::service)
    }

    /// The dests of one service; none when there is no such service.
    ///
    /// # Errors
    /// See [`IpvsError`].
    pub fn dests(&mut self, id: &ServiceId) -> Result<BTreeMap<DestId, ActualDest>, IpvsError> {
        let family = id.family();
        self.dump(
            |writer, sequence| writer.dump_dests(sequence, id),
            |payload| decode::dest(payload, family),
        )
    }

    /// The running synchronisation daemons.
    ///
    /// # Errors
    /// See [`IpvsError`].
    pub fn daemons(&mut self) -> Result<BTreeMap<SyncRole, SyncDaemon>, IpvsError> {
        self.dump(Writer::dump_daemons, decode::daemon)
    }

    /// The timeouts.
    ///
    /// # Errors
    /// See [`IpvsError`].
    pub fn timeouts(&mut self) -> Result<Timeouts, IpvsError> {
        let sequence = self.exchange.next_sequence();
        let mut writer = Writer::new(self.family);
        writer.get_timeouts(sequence);
        self.send(&writer)?;
        let mut found = None;
        let errno = self.exchange.until_answered(|message| {
            if message.sequence != sequence {
                return None;
            }
            if message.kind == netlink::ERROR {
                return Some(message.errno());
            }
            found = decode::timeouts(message.payload);
            None
        })?;
        match errno {
            0 => Ok(found.unwrap_or_default()),
            errno => Err(IpvsError::Refused(errno)),
        }
    }

    /// The same IPVS by a socket of its own, whose dump no operation gets in the way of.
    pub(super) fn reader(&self) -> Result<Self, IpvsError> {
        Ok(Self {
            exchange: Exchange::open(NlFamily::Generic)?,
            family: self.family,
        })
    }

    /// Asks for all services; [`Self::more_services`] takes them.
    pub(super) fn begin_services(&mut self) -> Result<Dump<ServiceId, Service>, IpvsError> {
        self.begin(Writer::dump_services)
    }

    /// Takes one datagram of them; true after the last one.
    pub(super) fn more_services(
        &mut self,
        dump: &mut Dump<ServiceId, Service>,
    ) -> Result<bool, IpvsError> {
        self.step(dump, decode::service)
    }

    /// Reads one table whole; a repeated entry counts once.
    fn dump<K: Ord, V>(
        &mut self,
        request: impl Fn(&mut Writer, u32),
        parse: impl Fn(&[u8]) -> Option<(K, V)>,
    ) -> Result<BTreeMap<K, V>, IpvsError> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut dump = self.begin(&request)?;
            loop {
                match self.step(&mut dump, &parse) {
                    Ok(false) => {}
                    Ok(true) => return Ok(dump.found),
                    Err(IpvsError::Interrupted) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Err(IpvsError::Interrupted)
    }

    fn begin<K, V>(
        &mut self,
        request: impl FnOnce(&mut Writer, u32),
    ) -> Result<Dump<K, V>, IpvsError> {
        let sequence = self.exchange.next_sequence();
        let mut writer = Writer::new(self.family);
        request(&mut writer, sequence);
        self.send(&writer)?;
        Ok(Dump {
            sequence,
            interrupted: false,
            found: BTreeMap::new(),
        })
    }

    fn step<K: Ord, V>(
        &mut self,
        dump: &mut Dump<K, V>,
        parse: impl Fn(&[u8]) -> Option<(K, V)>,
    ) -> Result<bool, IpvsError> {
        let answer = self.exchange.next_answer(|message| {
            if message.sequence != dump.sequence {
                return None;
            }
            dump.interrupted |= message.flags & netlink::DUMP_INTERRUPTED != 0;
            if matches!(message.kind, netlink::DONE | netlink::ERROR) {
                return Some(message.errno());
            }
            dump.found.extend(parse(message.payload));
            None
        })?;
        match answer {
            None => Ok(false),
            Some(0) if dump.interrupted => Err(IpvsError::Interrupted),
            Some(0) => Ok(true),
            Some(errno) => Err(IpvsError::Refused(errno)),
        }
    }

    fn send(&self, writer: &Writer) -> Result<(), IpvsError> {
        Ok(self.exchange.send(writer.bytes())?)
    }
}
