//! A load: so many requests, a few at a time.
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::http;
use crate::limits::{LOAD_REQUESTS_MAX, WORKERS_MAX};
use crate::{LoadPlan, LoadReport, tally};

/// Sends the load and waits for the last answer.
pub(crate) fn run(plan: &LoadPlan) -> Result<LoadReport, String> {
    if plan.requests > LOAD_REQUESTS_MAX || plan.workers == 0 || plan.workers > WORKERS_MAX {
        return Err(format!(
            "a load has at most {LOAD_REQUESTS_MAX} requests and 1 to {WORKERS_MAX} workers"
        ));
    }
    let report = Mutex::new(LoadReport::default());
    let taken = AtomicU32::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..plan.workers {
            scope.spawn(|| {
                while taken.fetch_add(1, Ordering::Relaxed) < plan.requests {
                    request(plan, &report);
                }
            });
        }
    });
    let mut report = report
        .into_inner()
        .map_err(|_| "a worker of the load panicked")?;
    report.elapsed_us = start.elapsed().as_micros() as u64;
    Ok(report)
}

fn request(plan: &LoadPlan, report: &Mutex<LoadReport>) {
    let start = Instant::now();
    let outcome = http::fetch(plan.target, Duration::from_millis(plan.timeout_ms.into()));
    let took_us = start.elapsed().as_micros() as u64;
    let Ok(mut report) = report.lock() else {
        return;
    };
    match outcome {
        Ok(body) => {
            tally(&mut report.answers, body);
            report.slowest_us = report.slowest_us.max(took_us);
        }
        Err(error) => tally(&mut report.errors, error.to_string()),
    }
}
