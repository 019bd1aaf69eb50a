//! The checks in the status snapshot.

use super::Director;
use super::report::{micros, millis};
use super::services::State;
use crate::check::{self, Failure};
use crate::config::{VirtualServer, Watch};
use crate::status::CheckStatus;
use crate::time::Instant;

pub(super) fn checks<'a>(
    (server, state): (&'a VirtualServer, &'a State),
    director: &'a Director,
) -> impl Iterator<Item = CheckStatus> + 'a {
    let checks = &director.services.checks;
    state.all_seats(server).filter_map(|seat| {
        let (ask, status) = checks.status(&seat)?;
        let mut status = check_status(server.id.to_string(), ask, &status, checks.said(&seat));
        let others = checks.sharers(&seat).saturating_sub(1);
        status.shared = u32::try_from(others).unwrap_or(u32::MAX);
        let way = director.way(ask);
        status.path = way.map_or_else(String::new, |way| way.to_string());
        Some(status)
    })
}

/// Scripts and probes that virtual routers track.
pub(super) fn watches(director: &Director) -> impl Iterator<Item = CheckStatus> {
    let status = |watch: &Watch| {
        let (ask, status) = director.watches.status(&watch.of)?;
        let said = director.watches.said(&watch.of);
        Some(check_status(watch.of.to_string(), ask, &status, said))
    };
    director.config.watches.iter().filter_map(status)
}

/// A failure in words, with those of the program that failed.
pub(super) fn reason(failure: Failure, said: &str) -> String {
    if said.is_empty() {
        failure.to_string()
    } else {
        format!("{failure}: {said}")
    }
}

fn check_status(
    service: String,
    ask: &check::Ask,
    status: &check::Status,
    said: &str,
) -> CheckStatus {
    let settings = &*ask.how;
    CheckStatus {
        kind: settings.kind.name().to_string(),
        target: ask.target.to_string(),
        service,
        health: status.health.to_string(),
        since_us: status.since.micros(),
        last: match status.last {
            None => String::new(),
            Some(Ok(())) => "success".to_string(),
            Some(Err(failure)) => reason(failure, said),
        },
        latency_us: micros(status.latency),
        last_run_us: status.last_run.map_or(0, Instant::micros),
        next_run_us: status.next_run.micros(),
        runs: status.runs,
        failures: status.failures,
        interval_ms: millis(settings.interval),
        timeout_ms: millis(settings.timeout),
        rise: settings.rise,
        fall: settings.retry.saturating_add(1),
        detection_ms: millis(settings.detection()),
        value: status.value,
        shared: 0,
        path: String::new(),
    }
}
