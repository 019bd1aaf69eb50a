//! `routers`, `services`, `checks`, `interfaces`: everything the status knows of each.

use director_core::status::{
    CheckStatus, DestStatus, GroupStatus, RouterStatus, ServiceStatus, Status, Totals,
    TrackerStatus, TrackingStatus,
};

use super::overview::name;
use super::table::{Table, wrap};
use super::words::{age, brief, count, endpoint, plural};

/// Each virtual router in a paragraph.
pub(super) fn routers(status: &Status) -> String {
    let paragraph = |router| router_text(router, status.now_us);
    let group = |group| group_text(group, status.now_us);
    let groups = status.groups.iter().map(group);
    listed(
        status.routers.iter().map(paragraph).chain(groups),
        "no virtual router is configured\n",
    )
}

fn group_text(group: &GroupStatus, now_us: u64) -> String {
    let mut text = wrap("", 4, &format!("sync group {}", group.name));
    let mut line = |label: &str, words: &str| text += &wrap(&format!("  {label:10}"), 12, words);
    let since = age(now_us, group.since_us);
    line("state", &format!("{} for {since}", group.state));
    if !group.reason.is_empty() {
        line("because", &group.reason);
    }
    line("members", &group.members.join(" "));
    text
}

fn router_text(router: &RouterStatus, now_us: u64) -> String {
    let active = match (&router.active, router.state.as_str()) {
        (Some(address), "Active") => format!("this node, {address}"),
        (None, "Active") => "this node".to_owned(),
        (Some(address), _) => address.clone(),
        (None, _) => "nobody known".to_owned(),
    };
    let mut text = wrap(
        "",
        4,
        &format!(
            "{}: VRID {}, {}, VRRPv{} on {}",
            router.name, router.vrid, router.family, router.version, router.interface
        ),
    );
    let mut line = |label: &str, words: &str| text += &wrap(&format!("  {label:10}"), 12, words);
    let takeovers = plural(router.takeovers, "takeover");
    line(
        "state",
        &format!(
            "{} for {}, {takeovers}",
            router.state,
            age(now_us, router.since_us)
        ),
    );
    if !router.reason.is_empty() {
        line("because", &router.reason);
    }
    line("Active is", &active);
    line(
        "priority",
        &format!(
            "{}, adverts every {} ms",
            priority(router),
            router.advert_interval_ms
        ),
    );
    line(
        "adverts",
        &format!(
            "{} sent, {} received, {}{}",
            router.adverts_sent,
            router.adverts_received,
            dropped(router),
            authenticated(&router.authentication)
        ),
    );
    line("addresses", &addresses(router));
    let tracked: Vec<String> = router.trackers.iter().map(tracker).collect();
    for (label, words) in [
        ("devices", router.devices.join(", ")),
        ("routing", router.routing.join(", ")),
        ("peers", router.peers.join(" ")),
        ("group", router.group.clone().unwrap_or_default()),
        ("tracks", tracked.join(", ")),
    ] {
        if !words.is_empty() {
            line(label, &words);
        }
    }
    text
}

/// How many adverts were dropped, and why.
fn dropped(router: &RouterStatus) -> String {
    let dropped: u64 = router.adverts_dropped.iter().map(|drop| drop.count).sum();
    let reasons: Vec<String> = router
        .adverts_dropped
        .iter()
        .map(|drop| format!("{} {}", drop.name, drop.count))
        .collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join(", "))
    };
    format!("{dropped} dropped{reasons}")
}

/// The virtual addresses, and what they are for if not for everything.
fn addresses(router: &RouterStatus) -> String {
    let only = if router.accepts || router.addresses.is_empty() {
        ""
    } else {
        ", for services and forwarding alone (no_accept)"
    };
    router.addresses.join(" ") + only
}

fn authenticated(by: &str) -> String {
    match by {
        "" | "none" => String::new(),
        by => format!(", authenticated by {by}"),
    }
}

/// The priority, and what it would be without trackers.
fn priority(router: &RouterStatus) -> String {
    if router.priority == router.base_priority {
        return router.priority.to_string();
    }
    format!("{} ({} configured)", router.priority, router.base_priority)
}

/// A tracked thing: what it is now, and what it adds or could add.
fn tracker(tracker: &TrackerStatus) -> String {
    let TrackerStatus {
        name,
        state,
        weight,
        adds,
        ..
    } = tracker;
    match (weight, adds) {
        (0, _) => format!("{name} {state}"),
        (_, 0) => format!("{name} {state} (weight {weight})"),
        _ => format!("{name} {state} (adds {adds})"),
    }
}

/// Each service with its pool.
pub(super) fn services(status: &Status) -> String {
    let paragraph = |service| service_text(service, status.now_us);
    let tracking = status.tracking.iter().map(tracking_text);
    listed(
        status.services.iter().map(paragraph).chain(tracking),
        "no service is configured\n",
    )
}

/// Connection tracking, which services by FULLNAT share.
fn tracking_text(tracking: &TrackingStatus) -> String {
    let (tracked, most) = (count(tracking.tracked), count(tracking.tracked_max));
    let mut text = wrap("", 4, &format!("FULLNAT: {tracked} of {most} connections"));
    let (refused, dropped) = (count(tracking.refused), count(tracking.dropped));
    let lost = format!("{refused} had no local port, {dropped} packets had no place");
    text += &wrap("  ", 4, &lost);
    let [restored, contested, failed] =
        [tracking.restored, tracking.contested, tracking.failed].map(count);
    let taken = format!(
        "takeovers: {restored} went on, {contested} had no port of their own, {failed} were refused"
    );
    text + &wrap("  ", 4, &taken)
}

fn service_text(service: &ServiceStatus, now_us: u64) -> String {
    let mut facts = vec![service.scheduler.clone()];
    if service.members > 1 {
        facts.push(format!("{} services", service.members));
    }
    if service.persistence_s > 0 {
        facts.push(format!("persistent {} s", service.persistence_s));
    }
    if !service.local_addresses.is_empty() {
        facts.push(format!(
            "local addresses {}",
            service.local_addresses.join(" ")
        ));
    }
    if !service.in_kernel {
        facts.push("NOT IN THE KERNEL".to_owned());
    }
    if !service.quorum {
        facts.push("NO QUORUM".to_owned());
    }
    let mut text = wrap("", 4, &format!("{}: {}", name(service), facts.join(", ")));
    text += &wrap("  ", 4, &traffic(&service.totals));
    let mut table = Table::new(
        2,
        &[21, 4, -8, 5, -7, -6, -6, -6],
        &[
            "DEST", "FWD", "WEIGHT", "STATE", "SINCE", "ACTIVE", "INACT", "TOTAL",
        ],
    );
    for dest in &service.dests {
        table.row(&[
            endpoint(&dest.address, dest.port),
            dest.forwarding.clone(),
            weight(dest),
            dest.state.clone(),
            age(now_us, dest.since_us),
            count(dest.totals.active),
            count(dest.totals.inactive),
            count(dest.totals.connections),
        ]);
        if !dest.tunnel.is_empty() {
            table.note(&wrap("      ", 6, &format!("tunnel: {}", dest.tunnel)));
        }
        if !dest.operator.is_empty() {
            let since = age(now_us, dest.operator_since_us);
            let note = format!("{} (an operator, {since} ago)", dest.operator);
            table.note(&wrap("      ", 6, &note));
        }
        if matches!(dest.state.as_str(), "down" | "leaving") && !dest.reason.is_empty() {
            table.note(&wrap("      ", 6, &dest.reason));
        }
    }
    text + &table.finish()
}

fn traffic(totals: &Totals) -> String {
    format!(
        "{} connections; in {} packets, {} bytes; out {} packets, {} bytes",
        count(totals.connections),
        count(totals.packets_in),
        count(totals.bytes_in),
        count(totals.packets_out),
        count(totals.bytes_out),
    )
}

/// The weight in the kernel, and the configured one where it differs.
fn weight(dest: &DestStatus) -> String {
    match dest.kernel_weight {
        Some(weight) if weight == dest.weight => weight.to_string(),
        Some(weight) => format!("{weight}/{}", dest.weight),
        None => format!("-/{}", dest.weight),
    }
}

/// Each check, below its service.
pub(super) fn checks(status: &Status) -> String {
    let mut table = Table::new(
        0,
        &[5, 27, 6, -7, -6, -6, -6, -8],
        &[
            "CHECK", "TARGET", "HEALTH", "SINCE", "TOOK", "NEXT", "RUNS", "FAILED",
        ],
    );
    if status.checks.is_empty() {
        return "no check is configured\n".to_owned();
    }
    let mut service = "";
    for check in &status.checks {
        if check.service != service {
            service = &check.service;
            table.note(&wrap("", 4, service));
        }
        let ran = check.runs > 0;
        table.row(&[
            check.kind.as_str(),
            &check.target,
            &check.health,
            &age(status.now_us, check.since_us),
            &if ran {
                brief(check.latency_us)
            } else {
                "-".to_owned()
            },
            &next_run(check.next_run_us, status.now_us),
            &count(check.runs),
            &count(check.failures),
        ]);
        table.note(&wrap("      ", 6, &timing(check)));
        if ran {
            let ago = age(status.now_us, check.last_run_us);
            table.note(&wrap("      ", 6, &format!("{ago} ago: {}", check.last)));
        }
    }
    table.finish()
}

/// Until the next run; a check that is suspended has none.
fn next_run(next_run_us: u64, now_us: u64) -> String {
    match next_run_us.saturating_sub(now_us) / 100_000 * 100_000 {
        _ if next_run_us == 0 => "-".to_owned(),
        0 => "now".to_owned(),
        left_us => brief(left_us),
    }
}

/// How often a check runs, and when its server is out or back.
fn timing(check: &CheckStatus) -> String {
    let time = |millis: u32| brief(u64::from(millis) * 1000);
    let way = match check.path.as_str() {
        "" => String::new(),
        path => format!("by way of {path}; "),
    };
    format!(
        "{way}every {}, timeout {}; out after {} ({} at most), back after {}",
        time(check.interval_ms),
        time(check.timeout_ms),
        check.fall,
        time(check.detection_ms),
        check.rise,
    )
}

/// Each interface with its addresses.
pub(super) fn interfaces(status: &Status) -> String {
    let mut table = Table::new(
        0,
        &[15, 7, 17, -5, 30],
        &["INTERFACE", "STATE", "MAC", "MTU", "ADDRESSES"],
    );
    for interface in &status.interfaces {
        let state = match (interface.up, interface.carrier) {
            (true, true) => "up",
            (true, false) => "no link",
            (false, _) => "down",
        };
        table.row(&[
            interface.name.as_str(),
            state,
            &interface.mac,
            &interface.mtu.to_string(),
            &interface.addresses.join(" "),
        ]);
        if interface.kernel_name != interface.name {
            table.note(&format!("    the kernel's {}\n", interface.kernel_name));
        }
    }
    table.finish()
}

/// Paragraphs with empty lines between, or a word for none.
fn listed(paragraphs: impl Iterator<Item = String>, none: &str) -> String {
    let text = paragraphs.collect::<Vec<_>>().join("\n");
    if text.is_empty() {
        none.to_owned()
    } else {
        text
    }
}
