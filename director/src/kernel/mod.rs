//! The kernel's tables: interfaces, addresses and routes by rtnetlink, the packet filter by nfnetlink, IPVS by generic
//! netlink.
//!
//! Operations are done at once, in batches. A reading takes many exchanges, one for each service of IPVS, so it is cut
//! into slices; what changes in between makes it begin anew, for what it has read is outdated.

mod exchange;
pub mod ipvs;
mod link_message;
mod message;
pub mod monitor;
pub mod netfilter;
mod netlink;
mod network_reader;
mod reader;
mod route_message;
mod route_socket;
pub mod rtnl;
mod rtnl_message;
mod rule_message;
pub(crate) mod sysctl;
pub(crate) mod tracking;
mod vmac;

use std::io;
use std::sync::Arc;

use director_core::director::Part;
use director_core::ipvs::Table;
use director_core::kernel::{Op, OpError, Snapshot};
use director_core::time::{Instant, earliest};

pub use self::exchange::NetlinkError;
use self::ipvs::Ipvs;
use self::netfilter::Netfilter;
use self::network_reader::NetworkReader;
use self::reader::TableReader;
use self::rtnl::Rtnl;
use crate::{clock, limits};

/// What the director writes into the addresses (IFA_PROTO, linux/if_addr.h) and routes (rtm_protocol,
/// linux/rtnetlink.h) that it adds, so that a restarted director knows its own. No routing daemon is registered
/// under it (iproute2, etc/rt_protos).
pub const PROTOCOL: u8 = 75;

/// The interfaces to the kernel, and the readings that are still to be done.
pub struct Kernel {
    rtnl: Rtnl,
    ipvs: Option<Ipvs>,
    /// The last failure of IPVS, logged once; empty when it went well.
    trouble: String,
    netfilter: Option<Netfilter>,
    /// A service needs connections to be tracked.
    tracks: bool,
    /// Before this moment a missing IPVS is not looked for again.
    ipvs_retry_at: Instant,
    network_read_at: Option<Instant>,
    network_reader: NetworkReader,
    /// A reading of the network has to begin anew: it is done in one go, for the next change may come soon.
    hurries: bool,
    filter_read_at: Option<Instant>,
    table_read_at: Option<Instant>,
    reader: TableReader,
    table_read_last: Option<Instant>,
}

impl Kernel {
    /// Opens rtnetlink. IPVS is opened when it is first needed, and looked for again when it is not there.
    ///
    /// # Errors
    /// When there is no rtnetlink.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            rtnl: Rtnl::open()?,
            ipvs: None,
            trouble: String::new(),
            netfilter: None,
            tracks: false,
            ipvs_retry_at: Instant::ZERO,
            network_read_at: None,
            network_reader: NetworkReader::default(),
            hurries: false,
            filter_read_at: None,
            table_read_at: None,
            reader: TableReader::default(),
            table_read_last: None,
        })
    }

    /// Does operations of one part, up to [`ipvs::BATCH_MAX`] of them, in order; the results have the same order.
    pub fn apply(&mut self, part: Part, ops: &[Op]) -> Vec<Result<(), OpError>> {
        match part {
            Part::Network => {
                self.outdate_network();
                self.rtnl.apply(ops)
            }
            Part::Filter => ops.iter().map(|op| self.apply_filter(op)).collect(),
            Part::Ipvs => self.apply_ipvs(ops),
        }
    }

    /// Replaces the director's part of the packet filter. Connections are tracked from before the first rule that
    /// needs it, and no longer once the last such rule is gone.
    fn apply_filter(&mut self, op: &Op) -> Result<(), OpError> {
        let Op::SetFilter(filter) = op else {
            return Err(OpError(libc::EOPNOTSUPP));
        };
        let is_needed = !filter.translated.is_empty();
        if is_needed {
            tracking::begin()?;
            self.follow_timeouts();
        }
        self.tracks = is_needed;
        self.netfilter()
            .and_then(|netfilter| netfilter.replace(filter))
            .map_err(|error| error.errno())?;
        if !is_needed {
            tracking::end();
        }
        Ok(())
    }

    fn netfilter(&mut self) -> Result<&mut Netfilter, NetlinkError> {
        match &mut self.netfilter {
            Some(netfilter) => Ok(netfilter),
            none => Ok(none.insert(Netfilter::open()?)),
        }
    }

    fn apply_ipvs(&mut self, ops: &[Op]) -> Vec<Result<(), OpError>> {
        self.put_off_reading();
        let results = match self.ipvs() {
            Some(ipvs) => ipvs.apply(ops),
            None => vec![Err(NetlinkError::Missing.errno()); ops.len()],
        };
        if self.tracks && ops.iter().any(|op| matches!(op, Op::SetTimeouts(_))) {
            self.follow_timeouts();
        }
        results
    }

    /// Connections are tracked for as long as IPVS knows them.
    fn follow_timeouts(&mut self) {
        match self.ipvs().map(Ipvs::timeouts) {
            Some(Ok(timeouts)) => tracking::follow(timeouts),
            Some(Err(error)) => log::warn!("timeouts of connections: IPVS {error}"),
            None => {}
        }
    }

    /// What has been read of the table is outdated by an operation, and while one slice of operations follows the
    /// other there is no use in beginning anew.
    fn put_off_reading(&mut self) {
        if self.table_read_at.is_some() {
            self.reader = TableReader::default();
            self.table_read_at = Some(clock::now() + limits::TABLE_QUIET);
        }
    }

    /// Notes that a part of the kernel's state is to be read whole; [`Kernel::read`] does it.
    pub fn begin_read(&mut self, part: Part) {
        match part {
            Part::Network => self.network_read_at = Some(Instant::ZERO),
            Part::Filter => self.filter_read_at = Some(Instant::ZERO),
            Part::Ipvs => self.table_read_at = Some(Instant::ZERO),
        }
    }

    /// When [`Kernel::read`] has something to do.
    #[must_use]
    pub fn next_read(&self) -> Option<Instant> {
        let filter_or_table = earliest(self.filter_read_at, self.table_read_at);
        earliest(self.network_read_at, filter_or_table)
    }

    /// When the IPVS table was last read to its end.
    #[must_use]
    pub const fn table_read_last(&self) -> Option<Instant> {
        self.table_read_last
    }

    /// Does a slice of what is to be read; returns a part when it has been read whole. A reading that fails is tried
    /// again a little later. `known` is the IPVS table as it is believed to be.
    pub fn read(&mut self, now: Instant, known: &Table) -> Option<Snapshot> {
        if self.network_read_at.is_some_and(|at| at <= now) {
            return self.read_network(now);
        }
        if self.filter_read_at.is_some_and(|at| at <= now) {
            return self.read_filter(now);
        }
        if self.table_read_at.is_some_and(|at| at <= now) {
            return self.read_table(now, known);
        }
        None
    }

    /// A reading of links and addresses that is under way is outdated, or somebody waits for its end: it begins anew,
    /// and is done in one go.
    pub fn outdate_network(&mut self) {
        if self.network_read_at.is_some() {
            self.network_reader = NetworkReader::default();
            self.hurries = true;
        }
    }

    fn read_network(&mut self, now: Instant) -> Option<Snapshot> {
        let read = if self.hurries {
            self.rtnl.snapshot().map(Some)
        } else {
            self.rtnl.read(&mut self.network_reader)
        };
        match read {
            Ok(None) => None,
            Ok(whole) => {
                self.network_read_at = None;
                self.hurries = false;
                whole
            }
            Err(error) => {
                log::error!("links, addresses and routes can't be read: {error}");
                self.network_reader = NetworkReader::default();
                self.network_read_at = Some(now + limits::KERNEL_RETRY);
                None
            }
        }
    }

    fn read_filter(&mut self, now: Instant) -> Option<Snapshot> {
        let found = self.netfilter().and_then(Netfilter::read);
        match found {
            Ok(filter) => {
                self.filter_read_at = None;
                Some(Snapshot::Filter(filter))
            }
            // Without nftables nothing is there, and every operation will say why.
            Err(NetlinkError::Missing) => {
                self.netfilter = None;
                self.filter_read_at = None;
                Some(Snapshot::Filter(Some(Arc::default())))
            }
            Err(error) => {
                log::warn!("nftables {error}");
                self.netfilter = None;
                self.filter_read_at = Some(now + limits::KERNEL_RETRY);
                None
            }
        }
    }

    fn read_table(&mut self, now: Instant, known: &Table) -> Option<Snapshot> {
        let mut reader = core::mem::take(&mut self.reader);
        // Without IPVS the table is empty, and every operation on it will say why.
        let slice = self
            .ipvs()
            .map_or(Ok(true), |ipvs| reader.slice(ipvs, known));
        match slice {
            Ok(true) => {
                self.table_read_at = None;
                self.table_read_last = Some(clock::now());
                Some(reader.finish())
            }
            Ok(false) => {
                self.reader = reader;
                None
            }
            Err(error) => {
                // Perhaps the module was unloaded and loaded again, and the family has another number.
                self.ipvs = None;
                self.note_trouble(format!("IPVS {error}"));
                self.table_read_at = Some(now + limits::KERNEL_RETRY);
                None
            }
        }
    }

    fn ipvs(&mut self) -> Option<&mut Ipvs> {
        if self.ipvs.is_none() {
            let now = clock::now();
            if now < self.ipvs_retry_at {
                return None;
            }
            self.ipvs_retry_at = now + limits::KERNEL_RETRY;
            match Ipvs::open() {
                Ok(ipvs) => {
                    if !core::mem::take(&mut self.trouble).is_empty() {
                        log::info!("IPVS is there again");
                    }
                    self.ipvs = Some(ipvs);
                }
                Err(error) => self.note_trouble(format!("IPVS {error}")),
            }
        }
        self.ipvs.as_mut()
    }

    fn note_trouble(&mut self, trouble: String) {
        if self.trouble != trouble {
            log::error!("{trouble}");
            self.trouble = trouble;
        }
    }
}
