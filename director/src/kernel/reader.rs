//! One reading of the IPVS table, in slices.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use director_core::ipvs::{ActualDest, Pool, ServiceId, SyncDaemon, SyncRole, Table, Timeouts};
use director_core::kernel::Snapshot;

use super::ipvs::{Ipvs, IpvsError};
use crate::limits;

/// What has been read so far.
#[derive(Default)]
pub(super) struct TableReader {
    table: Table<ActualDest>,
    sync: BTreeMap<SyncRole, SyncDaemon>,
    timeouts: Timeouts,
    /// Services whose dests are still to be read; none before the services have been.
    left: Option<VecDeque<ServiceId>>,
}

impl TableReader {
    /// Reads on for a while; true at the end.
    ///
    /// # Errors
    /// See [`IpvsError`]; the reading has to begin anew.
    pub(super) fn slice(&mut self, ipvs: &mut Ipvs) -> Result<bool, IpvsError> {
        let until = Instant::now() + limits::TABLE_SLICE_MAX;
        while !self.step(ipvs)? {
            if Instant::now() >= until {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One exchange with the kernel; true after the last one.
    fn step(&mut self, ipvs: &mut Ipvs) -> Result<bool, IpvsError> {
        let Some(left) = &mut self.left else {
            let services = ipvs.services()?;
            self.left = Some(services.keys().copied().collect());
            let pool = |service| Pool {
                service,
                dests: BTreeMap::new(),
            };
            self.table.0 = services
                .into_iter()
                .map(|(id, service)| (id, pool(service)))
                .collect();
            return Ok(false);
        };
        if let Some(id) = left.pop_front() {
            let dests = ipvs.dests(&id)?;
            if let Some(pool) = self.table.0.get_mut(&id) {
                pool.dests = dests;
            }
            return Ok(false);
        }
        self.sync = ipvs.daemons()?;
        self.timeouts = ipvs.timeouts()?;
        Ok(true)
    }

    /// The table as it was read.
    pub(super) fn finish(self) -> Snapshot {
        Snapshot::Ipvs {
            table: self.table,
            sync: self.sync,
            timeouts: self.timeouts,
        }
    }
}
