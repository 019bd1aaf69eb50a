//! IPVS over generic netlink: services, dests, synchronisation daemons, timeouts.

mod abi;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use director_core::ipvs::{ActualDest, DestId, Service, ServiceId, SyncDaemon, SyncRole, Timeouts};
use director_core::kernel::{Op, OpError};
use neli::consts::socket::NlFamily;

use self::encode::Writer;
use super::exchange::{Exchange, NetlinkError};
use super::netlink;

/// Operations of one batch. Each that is refused is answered by a datagram of its own, and some hundred of them
/// overflow a receive buffer of the default size.
pub const BATCH_MAX: usize = 64;

/// Attempts at a dump that the kernel reports as interrupted.
const DUMP_ATTEMPTS: u32 = 3;

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
    /// The operations of a batch; its room serves the next one.
    operations: Writer,
}

impl Ipvs {
    /// Opens a socket and asks for the family's number.
    ///
    /// # Errors
    /// [`NetlinkError::Missing`] while the module is not loaded, otherwise the socket's or the kernel's error.
    pub fn open() -> Result<Self, NetlinkError> {
        let mut ipvs = Self::over(Exchange::open(NlFamily::Generic)?, 0);
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
        match (answer?, family) {
            (0, Some(family)) => Ok(Self::over(ipvs.exchange, family)),
            (0 | libc::ENOENT, _) => Err(NetlinkError::Missing),
            (errno, _) => Err(NetlinkError::Refused(errno)),
        }
    }

    fn over(exchange: Exchange, family: u16) -> Self {
        Self {
            exchange,
            family,
            operations: Writer::new(family),
        }
    }

    /// Does up to [`BATCH_MAX`] operations in their order and returns their results in the same order. One that
    /// fails does not keep the kernel from doing the next.
    pub fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), OpError>> {
        debug_assert!(ops.len() <= BATCH_MAX);
        self.operations.clear();
        for (index, op) in ops.iter().enumerate() {
            let is_last = index + 1 == ops.len();
            let sequence = self.exchange.next_sequence();
            self.operations.operation(sequence, op, is_last);
        }
        self.exchange.do_all(self.operations.bytes(), ops.len())
    }

    /// All services, without their dests.
    ///
    /// # Errors
    /// See [`NetlinkError`].
    pub fn services(&mut self) -> Result<BTreeMap<ServiceId, Service>, NetlinkError> {
        self.dump(Writer::dump_services, decode::service)
    }

    /// The dests of one service; none when there is no such service.
    ///
    /// # Errors
    /// See [`NetlinkError`].
    pub fn dests(&mut self, id: &ServiceId) -> Result<BTreeMap<DestId, ActualDest>, NetlinkError> {
        let family = id.family();
        self.dump(
            |writer, sequence| writer.dump_dests(sequence, id),
            |payload| decode::dest(payload, family),
        )
    }

    /// The running synchronisation daemons.
    ///
    /// # Errors
    /// See [`NetlinkError`].
    pub fn daemons(&mut self) -> Result<BTreeMap<SyncRole, SyncDaemon>, NetlinkError> {
        self.dump(Writer::dump_daemons, decode::daemon)
    }

    /// The timeouts.
    ///
    /// # Errors
    /// See [`NetlinkError`].
    pub fn timeouts(&mut self) -> Result<Timeouts, NetlinkError> {
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
            errno => Err(NetlinkError::Refused(errno)),
        }
    }

    /// The same IPVS by a socket of its own, whose dump no operation gets in the way of.
    pub(super) fn reader(&self) -> Result<Self, NetlinkError> {
        let exchange = Exchange::open(NlFamily::Generic)?;
        Ok(Self::over(exchange, self.family))
    }

    /// Asks for all services; [`Self::more_services`] takes them.
    pub(super) fn begin_services(&mut self) -> Result<Dump<ServiceId, Service>, NetlinkError> {
        self.begin(Writer::dump_services)
    }

    /// Takes one datagram of them; true after the last one.
    pub(super) fn more_services(
        &mut self,
        dump: &mut Dump<ServiceId, Service>,
    ) -> Result<bool, NetlinkError> {
        self.step(dump, decode::service)
    }

    /// Reads one table whole; a repeated entry counts once.
    fn dump<K: Ord, V>(
        &mut self,
        request: impl Fn(&mut Writer, u32),
        parse: impl Fn(&[u8]) -> Option<(K, V)>,
    ) -> Result<BTreeMap<K, V>, NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut dump = self.begin(&request)?;
            loop {
                match self.step(&mut dump, &parse) {
                    Ok(false) => {}
                    Ok(true) => return Ok(dump.found),
                    Err(NetlinkError::Interrupted) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Err(NetlinkError::Interrupted)
    }

    fn begin<K, V>(
        &mut self,
        request: impl FnOnce(&mut Writer, u32),
    ) -> Result<Dump<K, V>, NetlinkError> {
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
    ) -> Result<bool, NetlinkError> {
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
            Some(0) if dump.interrupted => Err(NetlinkError::Interrupted),
            Some(0) => Ok(true),
            Some(errno) => Err(NetlinkError::Refused(errno)),
        }
    }

    fn send(&self, writer: &Writer) -> Result<(), NetlinkError> {
        Ok(self.exchange.send(writer.bytes())?)
    }
}
