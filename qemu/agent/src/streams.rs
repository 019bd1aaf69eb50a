//! Streams: connections that stay open, to see whether a takeover breaks them.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::http::{Connection, HttpError, Persistence};
use crate::limits::{LOST_STREAMS_MAX, STREAMS_MAX};
use crate::{StreamPlan, StreamReport};

/// Open streams, a thread for each.
pub(crate) struct Streams {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    plan: StreamPlan,
    start: Instant,
    stop: AtomicBool,
    report: Mutex<StreamReport>,
}

impl Streams {
    /// Opens the streams one after the other, each with its first exchange, so that all of them stand at the return.
    pub(crate) fn open(plan: StreamPlan) -> Result<Self, String> {
        if plan.streams == 0 || plan.streams > STREAMS_MAX {
            return Err(format!("1 to {STREAMS_MAX} streams"));
        }
        let report = StreamReport {
            wanted: plan.streams,
            ..StreamReport::default()
        };
        let shared = Arc::new(Shared {
            plan,
            start: Instant::now(),
            stop: AtomicBool::new(false),
            report: Mutex::new(report),
        });
        let mut workers = Vec::new();
        for number in 0..shared.plan.streams {
            match shared.open() {
                Ok(connection) => {
                    let shared = Arc::clone(&shared);
                    workers.push(thread::spawn(move || shared.work(number, connection)));
                }
                Err(error) => shared.lost(number, &error),
            }
        }
        Ok(Self { shared, workers })
    }

    /// How they fare.
    pub(crate) fn report(&self) -> StreamReport {
        self.shared.report().clone()
    }

    /// Closes them; the report of just before.
    pub(crate) fn close(self) -> StreamReport {
        let report = self.report();
        self.shared.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            // A worker that panicked has nothing to add: its stream is missing from the living ones already.
            let _ = worker.join();
        }
        report
    }
}

impl Shared {
    fn open(&self) -> Result<Connection, HttpError> {
        let deadline = Instant::now() + self.timeout();
        let mut connection = Connection::open(self.plan.target, deadline)?;
        self.exchange(&mut connection)?;
        self.report().alive += 1;
        Ok(connection)
    }

    fn work(&self, number: u32, mut connection: Connection) {
        while !self.stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(self.plan.period_ms.into()));
            if let Err(error) = self.exchange(&mut connection) {
                self.report().alive -= 1;
                return self.lost(number, &error);
            }
        }
    }

    fn exchange(&self, connection: &mut Connection) -> Result<(), HttpError> {
        let start = Instant::now();
        connection.fetch(Persistence::Keep, start + self.timeout())?;
        let mut report = self.report();
        report.exchanges += 1;
        report.longest_exchange_us = report
            .longest_exchange_us
            .max(start.elapsed().as_micros() as u64);
        Ok(())
    }

    fn lost(&self, number: u32, error: &HttpError) {
        let mut report = self.report();
        if report.lost.len() < LOST_STREAMS_MAX {
            report.lost.push(format!(
                "stream {number} after {} ms: {error}",
                self.start.elapsed().as_millis()
            ));
        }
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.plan.timeout_ms.into())
    }

    /// The report holds plain counts, so one that a panic left behind is as good as any.
    fn report(&self) -> MutexGuard<'_, StreamReport> {
        self.report
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
