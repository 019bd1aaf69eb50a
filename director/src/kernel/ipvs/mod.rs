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

use self::encode::{EncodeError, Writer};
use super::exchange::{Exchange, ExchangeError};
use super::netlink;

/// Operations of one batch. Each is acknowledged in a datagram of its own, and some hundred of them overflow a
/// receive buffer of the default size.
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

impl From<EncodeError> for IpvsError {
    fn from(error: EncodeError) -> Self {
        Self::Socket(io::Error::other(error.to_string()))
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
        writer.resolve(sequence)?;
        ipvs.send(writer)?;
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
        let mut results = vec![Err(IpvsError::Silent.errno()); ops.len()];
        if let Err(error) = self.try_apply(ops, &mut results) {
            for result in results
                .iter_mut()
                .filter(|result| **result == Err(IpvsError::Silent.errno()))
            {
                *result = Err(error.errno());
            }
        }
        results
    }

    fn try_apply(
        &mut self,
        ops: &[Op],
        results: &mut [Result<(), OpError>],
    ) -> Result<(), IpvsError> {
        let first = self.exchange.sequence().wrapping_add(1);
        let mut writer = Writer::new(self.family);
        for op in ops {
            let sequence = self.exchange.next_sequence();
            writer.operation(sequence, op)?;
        }
        self.send(writer)?;
        let mut open = ops.len();
        if open == 0 {
            return Ok(());
        }
        self.exchange.until_answered(|message| {
            let index = usize::try_from(message.sequence.wrapping_sub(first)).ok()?;
            let result = results
                .get_mut(index)
                .filter(|_| message.kind == netlink::ERROR)?;
            *result = match message.errno() {
                0 => Ok(()),
                errno => Err(OpError(errno)),
            };
            open = open.saturating_sub(1);
            (open == 0).then_some(0)
        })?;
        Ok(())
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
        writer.get_timeouts(sequence)?;
        self.send(writer)?;
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

    /// Reads one table whole; a repeated entry counts once.
    fn dump<K: Ord, V>(
        &mut self,
        request: impl Fn(&mut Writer, u32) -> Result<(), EncodeError>,
        parse: impl Fn(&[u8]) -> Option<(K, V)>,
    ) -> Result<BTreeMap<K, V>, IpvsError> {
        for _ in 0..DUMP_ATTEMPTS {
            let sequence = self.exchange.next_sequence();
            let mut writer = Writer::new(self.family);
            request(&mut writer, sequence)?;
            self.send(writer)?;
            let mut found = BTreeMap::new();
            let mut interrupted = false;
            let errno = self.exchange.until_answered(|message| {
                if message.sequence != sequence {
                    return None;
                }
                interrupted |= message.flags & netlink::DUMP_INTERRUPTED != 0;
                if matches!(message.kind, netlink::DONE | netlink::ERROR) {
                    return Some(message.errno());
                }
                found.extend(parse(message.payload));
                None
            })?;
            match errno {
                0 if !interrupted => return Ok(found),
                0 => {}
                errno => return Err(IpvsError::Refused(errno)),
            }
        }
        Err(IpvsError::Interrupted)
    }

    fn send(&self, writer: Writer) -> Result<(), IpvsError> {
        Ok(self.exchange.send(&writer.bytes.into_inner())?)
    }
}
