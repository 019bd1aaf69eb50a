//! Connections by FULLNAT after a takeover: a thread reads what IPVS knows of them and has them tracked.
//!
//! The kernel tells its table of connections a page at a time, and walks it from the beginning for each: a large one
//! takes seconds, which are not the loop's.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use director_core::filter::Filter;
use director_core::tracking::{Recovery, Tracked};
use mio::Waker;
use nix::errno::Errno;

use crate::kernel::NetlinkError;
use crate::kernel::netfilter::conntrack::{Conntrack, Outcome};
use crate::limits;

/// The kernel's table of connections.
const TABLE: &str = "/proc/self/net/ip_vs_conn";

/// The recoveries that are wanted.
#[derive(Debug)]
pub(crate) struct Recoveries {
    waker: Arc<Waker>,
    /// Started with the first takeover.
    worker: Option<Worker>,
}

#[derive(Debug)]
struct Worker {
    orders: SyncSender<Arc<Filter>>,
    done: Receiver<Recovery>,
}

impl Recoveries {
    /// None yet. `waker` wakes the loop for [`Recoveries::collect`].
    pub(crate) const fn new(waker: Arc<Waker>) -> Self {
        Self {
            waker,
            worker: None,
        }
    }

    /// Lets one begin, or come after those that were wanted before.
    pub(crate) fn want(&mut self, filter: Arc<Filter>) {
        if let Err(error) = self.order(filter) {
            log::error!("connections by FULLNAT can't be taken over: connection tracking {error}");
        }
    }

    fn order(&mut self, filter: Arc<Filter>) -> io::Result<()> {
        if self.worker.is_none() {
            self.worker = Some(Worker::start(Arc::clone(&self.waker))?);
        }
        let worker = self.worker.as_ref().ok_or(Errno::EAGAIN)?;
        let sent = worker.orders.try_send(filter);
        sent.map_err(|_| Errno::EAGAIN.into())
    }

    /// What came of those that are over; to be called when the waker has woken the loop.
    pub(crate) fn collect(&self) -> Vec<Recovery> {
        let done = self.worker.iter().flat_map(|worker| worker.done.try_iter());
        done.collect()
    }
}

impl Worker {
    fn start(waker: Arc<Waker>) -> io::Result<Self> {
        let (orders, todo) = sync_channel::<Arc<Filter>>(limits::RECOVERIES_MAX);
        let (finished, done) = sync_channel(limits::RECOVERIES_MAX);
        let work = move || {
            crate::process::give_up_priority();
            for filter in todo {
                let recovery = recover(&filter).unwrap_or_else(|error| {
                    log::error!(
                        "connections by FULLNAT can't be taken over: connection tracking {error}"
                    );
                    Recovery::default()
                });
                // The loop has ended when nobody receives.
                if finished.send(recovery).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("recovery".to_owned());
        thread.spawn(work)?;
        Ok(Self { orders, done })
    }
}

/// Has all connections of a filter's services tracked. What the kernel refuses is tried again some times.
fn recover(filter: &Filter) -> Result<Recovery, NetlinkError> {
    let started = Instant::now();
    let mut restorer = Restorer {
        conntrack: Conntrack::open()?,
        recovery: Recovery::default(),
        refused: Vec::new(),
    };
    restorer.restore_table(filter)?;
    for _ in 0..limits::RECOVERY_RETRIES {
        if restorer.refused.is_empty() {
            break;
        }
        std::thread::sleep(limits::RECOVERY_PAUSE);
        for batch in core::mem::take(&mut restorer.refused).chunks(limits::RECOVERY_BATCH) {
            restorer.restore(batch)?;
        }
    }
    let left = u64::try_from(restorer.refused.len()).unwrap_or(u64::MAX);
    restorer.recovery.failed += left;
    restorer.recovery.took = started.elapsed();
    Ok(restorer.recovery)
}

struct Restorer {
    conntrack: Conntrack,
    recovery: Recovery,
    /// Worth another try.
    refused: Vec<Tracked>,
}

impl Restorer {
    fn restore_table(&mut self, filter: &Filter) -> Result<(), NetlinkError> {
        let locals = filter.locals();
        let mut table = BufReader::new(File::open(TABLE)?);
        let mut line = Vec::new();
        let mut batch = Vec::with_capacity(limits::RECOVERY_BATCH);
        for _ in 0..limits::RECOVERY_LINES_MAX {
            line.clear();
            if table.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            batch.extend(Tracked::parse(&String::from_utf8_lossy(&line), &locals));
            if batch.len() == limits::RECOVERY_BATCH {
                self.restore(&batch)?;
                batch.clear();
            }
        }
        self.restore(&batch)
    }

    fn restore(&mut self, batch: &[Tracked]) -> Result<(), NetlinkError> {
        if batch.is_empty() {
            return Ok(());
        }
        for (connection, outcome) in batch.iter().zip(self.conntrack.track(batch)?) {
            match outcome {
                Outcome::Restored => self.recovery.restored += 1,
                Outcome::Present => self.recovery.present += 1,
                Outcome::Contested => self.recovery.contested += 1,
                Outcome::Refused(errno) => {
                    log::debug!("{connection:?}: {}", Errno::from_raw(errno).desc());
                    if self.refused.len() < limits::RECOVERY_REFUSED_MAX {
                        self.refused.push(*connection);
                    } else {
                        self.recovery.failed += 1;
                    }
                }
            }
        }
        Ok(())
    }
}
