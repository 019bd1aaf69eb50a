//! A probe: a request every few milliseconds, to see how long a service is away.
//!
//! The requests leave on time whatever became of the ones before (an open loop). A closed loop would wait out its
//! time limit on the first lost request and so see every outage at least that long.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::http;
use crate::limits::WORKERS_MAX;
use crate::{ProbePlan, ProbeReport, tally};

/// A probe under way. The workers take the time slots in turn, each sleeps until its slot has come.
pub(crate) struct Probe {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    plan: ProbePlan,
    start: Instant,
    next_slot: AtomicU64,
    stop: AtomicBool,
    seen: Mutex<Seen>,
}

/// Everything seen, folded as it comes, so that a probe may run for hours.
#[derive(Default)]
struct Seen {
    report: ProbeReport,
    last_answer_us: Option<u64>,
    /// Answer times by the power of two of their microseconds and an eighth of it: enough for a median.
    answer_times: Vec<u32>,
}

impl Probe {
    /// Starts a probe with as many workers as can be waiting at once.
    pub(crate) fn start(plan: ProbePlan) -> Result<Self, String> {
        if plan.period_ms == 0 || plan.timeout_ms == 0 {
            return Err("a probe's period and time limit are at least one millisecond".to_owned());
        }
        let workers = plan.timeout_ms / plan.period_ms + 2;
        if workers > WORKERS_MAX {
            return Err(format!(
                "a time limit of more than {} periods needs too many workers",
                WORKERS_MAX - 2
            ));
        }
        let shared = Arc::new(Shared {
            plan,
            start: Instant::now(),
            next_slot: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            seen: Mutex::default(),
        });
        let spawn = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work())
        };
        Ok(Self {
            workers: (0..workers).map(spawn).collect(),
            shared,
        })
    }

    /// What was seen so far.
    pub(crate) fn report(&self) -> Result<ProbeReport, String> {
        let seen = self
            .shared
            .seen
            .lock()
            .map_err(|_| "a worker of the probe panicked")?;
        let mut report = seen.report.clone();
        report.period_ms = self.shared.plan.period_ms;
        report.median_answer_us = median_us(&seen.answer_times);
        report.elapsed_us = self.shared.start.elapsed().as_micros() as u64;
        // An outage that is still going on is one.
        if let Some(last) = seen.last_answer_us {
            report.saw_gap(last, report.elapsed_us);
        }
        Ok(report)
    }

    /// Waits for the requests that are under way, and reports.
    pub(crate) fn stop(mut self) -> Result<ProbeReport, String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let report = self.report();
        for worker in self.workers.drain(..) {
            worker
                .join()
                .map_err(|_| "a worker of the probe panicked")?;
        }
        let late = self.report()?;
        // The requests that were under way count; the pause while the probe ends is no gap.
        report.map(|report| ProbeReport {
            answers: late.answers,
            errors: late.errors,
            last_error_at_us: late.last_error_at_us,
            ..report
        })
    }
}

impl Shared {
    fn work(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let slot = self.next_slot.fetch_add(1, Ordering::Relaxed);
            let due = self.start + Duration::from_millis(u64::from(self.plan.period_ms) * slot);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if !self.stop.load(Ordering::Relaxed) {
                self.request();
            }
        }
    }

    fn request(&self) {
        let started = Instant::now();
        let outcome = http::fetch(
            self.plan.target,
            Duration::from_millis(self.plan.timeout_ms.into()),
        );
        let took_us = started.elapsed().as_micros() as u64;
        let started_us = started.duration_since(self.start).as_micros() as u64;
        let Ok(mut seen) = self.seen.lock() else {
            return;
        };
        match outcome {
            Ok(body) => seen.answered(body, started_us + took_us, took_us),
            Err(error) => {
                tally(&mut seen.report.errors, error.to_string());
                let last = seen.report.last_error_at_us.unwrap_or(0);
                seen.report.last_error_at_us = Some(last.max(started_us));
            }
        }
    }
}

impl Seen {
    fn answered(&mut self, body: String, at_us: u64, took_us: u64) {
        tally(&mut self.report.answers, body);
        let bucket = bucket_of(took_us);
        if self.answer_times.len() <= bucket {
            self.answer_times.resize(bucket + 1, 0);
        }
        if let Some(count) = self.answer_times.get_mut(bucket) {
            *count += 1;
        }
        // Workers may report in another order than their answers came.
        let last = self.last_answer_us.unwrap_or(at_us);
        self.report.saw_gap(last, at_us);
        self.last_answer_us = Some(last.max(at_us));
    }
}

impl ProbeReport {
    fn saw_gap(&mut self, from_us: u64, to_us: u64) {
        let gap_us = to_us.saturating_sub(from_us);
        if gap_us > self.longest_gap_us {
            self.longest_gap_us = gap_us;
            self.longest_gap_at_us = from_us;
        }
    }
}

/// Eight buckets for each power of two: an error of at most an eighth.
fn bucket_of(us: u64) -> usize {
    let us = us.max(8);
    let power = u64::from(us.ilog2());
    (power * 8 + ((us >> (power - 3)) & 7)) as usize
}

/// The lower end of a bucket.
fn bucket_start_us(bucket: usize) -> u64 {
    let (power, eighth) = (bucket as u64 / 8, bucket as u64 % 8);
    (8 + eighth) << power.saturating_sub(3)
}

fn median_us(buckets: &[u32]) -> u64 {
    let half = buckets.iter().sum::<u32>().div_ceil(2);
    let mut seen = 0;
    buckets
        .iter()
        .position(|count| {
            seen += count;
            half > 0 && seen >= half
        })
        .map_or(0, bucket_start_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_between_answers_whatever_their_order() {
        let mut seen = Seen::default();
        for at_us in [100, 200, 150, 900, 950] {
            seen.answered("server3".into(), at_us, 10);
        }
        assert_eq!(
            (seen.report.longest_gap_us, seen.report.longest_gap_at_us),
            (700, 200)
        );
        assert_eq!(seen.report.answered(), 5);
    }

    #[test]
    fn buckets_hold_a_time_within_an_eighth() {
        for us in [8, 9, 100, 1_000, 12_345, 7_654_321] {
            let start = bucket_start_us(bucket_of(us));
            assert!(
                start <= us && us - start <= us / 8,
                "{us} in the bucket of {start}"
            );
        }
    }

    #[test]
    fn the_median_is_the_middle_answer() {
        let mut seen = Seen::default();
        for took_us in [1024, 2048, 4096] {
            seen.answered("server3".into(), 0, took_us);
        }
        assert_eq!(median_us(&seen.answer_times), 2048);
        assert_eq!(median_us(&[]), 0);
    }
}
