//! What Tab offers: the words of commands, and the names that they take.

use director_core::status::{ServiceStatus, Status};

use super::command::COMMANDS;
use super::render::endpoint;

/// The names that commands take.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Virtual routers.
    pub(super) routers: Vec<String>,
    /// Services, each with its dests.
    pub(super) services: Vec<(String, Vec<String>)>,
}

impl Names {
    /// The names of what a status shows.
    pub(super) fn of(status: &Status) -> Self {
        let routers = status.routers.iter().map(|router| router.name.clone());
        let services = status.services.iter().map(|service| {
            let dests = service.dests.iter();
            let dests = dests.filter(|dest| matches!(dest.state.as_str(), "up" | "down"));
            let dests = dests.map(|dest| endpoint(&dest.address, dest.port));
            (service_name(service), dests.collect())
        });
        Self {
            routers: routers.collect(),
            services: services.collect(),
        }
    }
}

/// A service as commands name it.
fn service_name(service: &ServiceStatus) -> String {
    if !service.group.is_empty() {
        service.group.clone()
    } else if service.mark != 0 {
        format!("fwm/{}", service.mark)
    } else {
        let endpoint = endpoint(&service.address, service.port);
        format!("{}/{endpoint}", service.protocol.to_ascii_lowercase())
    }
}

/// What may come next after the text before the cursor: whole words that begin with its last, unfinished one.
pub(super) fn completions(before: &str, names: &Names) -> Vec<String> {
    let (done, started) = before.rsplit_once(' ').unwrap_or(("", before));
    let done: Vec<&str> = done.split_ascii_whitespace().collect();
    let mut candidates: Vec<&str> = Vec::new();
    for entry in COMMANDS {
        if entry.words.len() > done.len() && entry.words.starts_with(&done) {
            candidates.extend(entry.words.get(done.len()));
        } else if entry.words == done {
            candidates.extend(
                entry
                    .arguments
                    .split(['[', ']', '|', ' '])
                    .filter(|word| word.starts_with(|letter: char| letter.is_ascii_lowercase())),
            );
        }
    }
    match done[..] {
        ["help", ref words @ ..] if !words.is_empty() || before.contains(' ') => {
            let further = COMMANDS
                .iter()
                .filter(|entry| entry.words.starts_with(words));
            candidates.extend(further.filter_map(|entry| entry.words.get(words.len())));
        }
        ["handover"] => candidates.extend(names.routers.iter().map(String::as_str)),
        ["drain" | "disable" | "enable" | "weight"] => {
            candidates.extend(names.services.iter().map(|(name, _)| name.as_str()));
        }
        ["drain" | "disable" | "enable" | "weight", service] => {
            let pools = names.services.iter().filter(|(name, _)| name == service);
            candidates.extend(pools.flat_map(|(_, dests)| dests).map(String::as_str));
        }
        _ => {}
    }
    candidates.retain(|word| word.starts_with(started));
    let mut candidates: Vec<String> = candidates.into_iter().map(str::to_owned).collect();
    candidates.sort();
    candidates.dedup();
    candidates
}

/// What all candidates begin with.
pub(super) fn shared_start(candidates: &[String]) -> &str {
    let Some((first, others)) = candidates.split_first() else {
        return "";
    };
    let length = others.iter().fold(first.len(), |length, other| {
        first
            .bytes()
            .zip(other.bytes())
            .take(length)
            .take_while(|(a, b)| a == b)
            .count()
    });
    first.get(..length).unwrap_or_default()
}
