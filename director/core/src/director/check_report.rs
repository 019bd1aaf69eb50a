//! The checks in the status snapshot.

use super::report::{micros, millis};
use super::{Director, services};
use crate::check::{self, Failure};
use crate::config::{VirtualServer, Watch};
use crate::status::CheckStatus;
use crate::time::Instant;

pub(super) fn checks<'a>(
    server: &'a VirtualServer,
    director: &'a Director,
) -> impl Iterator<Item = CheckStatus> + 'a {
    let keys = server
        .real_servers
        .iter()
        .flat_map(|real| services::keys(server, real));
    let checks = &director.services.checks;
    keys.filter_map(|key| {
        let (ask, status) = checks.status(&key)?;
        let mut status = check_status(server.id.to_string(), ask, &status, checks.said(&key));
        let others = checks.sharers(&key).saturating_sub(1);
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
