//! One reading of the IPVS table, in slices.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use director_core::ipvs::{
    Dests, Pool, Service, ServiceId, SyncDaemon, SyncRole, Table, Tallies, Timeouts,
};
use director_core::kernel::Snapshot;

use super::exchange::NetlinkError;
use super::ipvs::{Dump, Ipvs};
use crate::limits;

/// What has been read so far.
#[derive(Default)]
pub(super) struct TableReader {
    /// The socket that it is read by; closing it ends a dump.
    ipvs: Option<Ipvs>,
    /// The services, while they are being read.
    services: Option<Dump<ServiceId, Service>>,
    table: Table,
    counters: Tallies,
    sync: BTreeMap<SyncRole, SyncDaemon>,
    timeouts: Timeouts,
    /// Services whose dests are still to be read.
    left: VecDeque<ServiceId>,
}

impl TableReader {
    /// Reads on for a while; true at the end. What is read the same as it is `known` takes no memory of its own.
    ///
    /// # Errors
    /// See [`NetlinkError`]; the reading has to begin anew.
    pub(super) fn slice(&mut self, ipvs: &Ipvs, known: &Table) -> Result<bool, NetlinkError> {
        let until = Instant::now() + limits::TABLE_SLICE_MAX;
        while !self.step(ipvs, known)? {
            if Instant::now() >= until {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One answer of the kernel's; true after the last one.
    fn step(&mut self, ipvs: &Ipvs, known: &Table) -> Result<bool, NetlinkError> {
        let Some(reader) = &mut self.ipvs else {
            let mut reader = ipvs.reader()?;
            self.services = Some(reader.begin_services()?);
            self.ipvs = Some(reader);
            return Ok(false);
        };
        if let Some(services) = &mut self.services {
            if reader.more_services(services)? {
                let found = core::mem::take(&mut services.found);
                self.services = None;
                self.take_services(found);
            }
            return Ok(false);
        }
        if let Some(id) = self.left.pop_front() {
            let dests = reader.dests(&id)?;
            self.counters.read(id, dests.iter());
            if let Some(pool) = self.table.0.get_mut(&id) {
                let dests = dests.into_iter().map(|(dest, had)| (dest, had.dest));
                Arc::make_mut(pool).dests = dests.collect();
            }
            self.table.share(&id, known);
            return Ok(false);
        }
        self.sync = reader.daemons()?;
        self.timeouts = reader.timeouts()?;
        Ok(true)
    }

    fn take_services(&mut self, services: BTreeMap<ServiceId, Service>) {
        self.left = services.keys().copied().collect();
        let pool = |service| Pool::new(service, Dests::default());
        self.table.0 = services
            .into_iter()
            .map(|(id, service)| (id, pool(service)))
            .collect();
    }

    /// The table as it was read.
    pub(super) fn finish(self) -> Snapshot {
        Snapshot::Ipvs {
            table: self.table,
            counters: self.counters,
            sync: self.sync,
            timeouts: self.timeouts,
        }
    }
}
