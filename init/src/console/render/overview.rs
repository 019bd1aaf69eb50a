//! `status`: the node on one screen.

use director_core::status::{DestStatus, InterfaceStatus, RouterStatus, ServiceStatus, Status};

use super::table::{Table, wrap};
use super::words::{age, brief, count, endpoint, plural, span};

/// What fits a screen of 24 lines in the usual case; the rest is counted and has a command of its own.
const WARNINGS: usize = 6;
const ROUTERS: usize = 6;
const SERVICES: usize = 8;

/// A turn of the director's loop that delays adverts of the shortest usual interval.
const SLOW_TURN_US: u64 = 500_000;

/// The node, what is wrong, virtual routers, services.
pub(super) fn node(status: &Status) -> String {
    let mut text = head(status);
    let warnings = warnings(status);
    for warning in warnings.iter().take(WARNINGS) {
        text += &wrap("! ", 2, warning);
    }
    if let Some(more @ 1..) = warnings.len().checked_sub(WARNINGS) {
        text += &format!("! and {more} more\n");
    }
    if !status.routers.is_empty() {
        text.push('\n');
        text += &routers(status);
    }
    if !status.services.is_empty() {
        text.push('\n');
        text += &services(status);
    }
    for sync in &status.sync {
        let words = format!(
            "connections are synchronised as {} on {}, id {}",
            sync.role, sync.interface, sync.id
        );
        text += &wrap("", 2, &words);
    }
    text
}

fn head(status: &Status) -> String {
    let Status {
        node,
        version,
        config,
        process,
        ..
    } = status;
    let up = span(status.now_us);
    let mut text = wrap("", 4, &format!("{node} - keelson {version}, up {up}"));
    // One thread; what it used before its clock began to count makes more of the first second.
    let permille = (process.cpu_us.saturating_mul(1000) / status.uptime_us.max(1)).min(1000);
    text += &format!(
        "director up {}, {}.{}% of a CPU, {} KiB, longest turn {}\n",
        span(status.uptime_us),
        permille / 10,
        permille % 10,
        process.rss_kib,
        brief(process.turn_max_us),
    );
    text += &format!(
        "configuration in force for {}, {}, {}\n",
        age(status.now_us, config.since_us),
        plural(config.reloads.into(), "reload"),
        plural(config.warnings.into(), "warning"),
    );
    text
}

/// All that wants attention, the most urgent first.
fn warnings(status: &Status) -> Vec<String> {
    let mut warnings = Vec::new();
    if status.config.errors > 0 {
        let errors = plural(status.config.errors.into(), "error");
        warnings.push(format!(
            "configuration: {errors} in the files, they are not in force (`config check`)"
        ));
    }
    if status.routers.is_empty() && status.services.is_empty() {
        warnings.push("no virtual router and no service is configured".to_owned());
    }
    warnings.extend(
        status
            .routers
            .iter()
            .filter_map(|router| of_router(router, status.now_us)),
    );
    for service in &status.services {
        warnings.extend(of_service(service));
        warnings.extend(
            service
                .dests
                .iter()
                .filter_map(|dest| of_dest(service, dest, status.now_us)),
        );
    }
    warnings.extend(
        status
            .interfaces
            .iter()
            .filter_map(|interface| of_interface(interface, &status.routers)),
    );
    let kernel = &status.kernel;
    if kernel.pending > 0 && !kernel.last_failure.is_empty() {
        let pending = plural(kernel.pending.into(), "operation");
        warnings.push(format!(
            "kernel: {pending} to be done, last refusal: {}",
            kernel.last_failure
        ));
    }
    let losing = status.outlets.iter().filter(|outlet| outlet.lost > 0);
    warnings.extend(losing.map(|outlet| {
        let lost = plural(outlet.lost, "line");
        format!("{} {}: {lost} lost, not taken", outlet.kind, outlet.to)
    }));
    if status.process.turn_max_us > SLOW_TURN_US {
        warnings.push(format!(
            "the director's loop once took {}",
            brief(status.process.turn_max_us)
        ));
    }
    warnings
}

fn of_router(router: &RouterStatus, now_us: u64) -> Option<String> {
    let wrong = matches!(router.state.as_str(), "Fault" | "Initialize");
    let since = age(now_us, router.since_us);
    wrong.then(|| {
        format!(
            "{} is in {} for {since}: {}",
            router.name, router.state, router.reason
        )
    })
}

fn of_service(service: &ServiceStatus) -> Option<String> {
    let name = name(service);
    if !service.in_kernel {
        return Some(format!("{name} is not in the kernel"));
    }
    let sorry = service.dests.iter().any(|dest| dest.state == "sorry");
    let serves = if sorry {
        "the sorry server serves"
    } else {
        "nobody serves"
    };
    (!service.quorum).then(|| format!("{name} has lost its quorum, {serves}"))
}

fn of_dest(service: &ServiceStatus, dest: &DestStatus, now_us: u64) -> Option<String> {
    let since = age(now_us, dest.since_us);
    let target = endpoint(&dest.address, dest.port);
    if !dest.operator.is_empty() {
        let since = age(now_us, dest.operator_since_us);
        return Some(format!(
            "{}: {target} {} (an operator, {since} ago)",
            name(service),
            dest.operator
        ));
    }
    (dest.state == "down").then(|| {
        format!(
            "{}: {target} down for {since}: {}",
            name(service),
            dest.reason
        )
    })
}

/// Only interfaces in use: a machine may have ports with no cable.
fn of_interface(interface: &InterfaceStatus, routers: &[RouterStatus]) -> Option<String> {
    let used = !interface.addresses.is_empty()
        || routers
            .iter()
            .any(|router| router.interface == interface.name);
    let fault = match (interface.up, interface.carrier) {
        (false, _) => "is down",
        (true, false) => "has no link",
        (true, true) => return None,
    };
    used.then(|| format!("interface {} {fault}", interface.name))
}

fn routers(status: &Status) -> String {
    let mut table = Table::new(
        0,
        &[20, -4, 10, -7, -4, 30],
        &["ROUTER", "VRID", "STATE", "SINCE", "PRIO", "ACTIVE IS"],
    );
    for router in status.routers.iter().take(ROUTERS) {
        let active = match (&router.active, router.state.as_str()) {
            (_, "Active") => "this node",
            (Some(address), _) => address,
            (None, _) => "nobody known",
        };
        table.row(&[
            router.name.as_str(),
            &router.vrid.to_string(),
            &router.state,
            &age(status.now_us, router.since_us),
            &router.priority.to_string(),
            active,
        ]);
        // A fault has been named among what is wrong.
        if router.state == "Backup" && !router.reason.is_empty() {
            table.note(&wrap("    ", 4, &router.reason));
        }
    }
    more(
        &mut table,
        status.routers.len(),
        ROUTERS,
        "virtual router",
        "routers",
    );
    table.finish()
}

fn services(status: &Status) -> String {
    let mut table = Table::new(
        0,
        &[27, 6, -7, -7, -7, -7, -7],
        &[
            "SERVICE", "SCHED", "UP", "WEIGHT", "ACTIVE", "INACT", "TOTAL",
        ],
    );
    for service in status.services.iter().take(SERVICES) {
        let pool: Vec<&DestStatus> = service
            .dests
            .iter()
            .filter(|dest| matches!(dest.state.as_str(), "up" | "down"))
            .collect();
        let up = pool.iter().filter(|dest| dest.state == "up").count();
        let weight: u64 = service
            .dests
            .iter()
            .filter_map(|dest| dest.kernel_weight)
            .map(u64::from)
            .sum();
        table.row(&[
            name(service),
            service.scheduler.clone(),
            format!("{up}/{}", pool.len()),
            count(weight),
            count(service.totals.active),
            count(service.totals.inactive),
            count(service.totals.connections),
        ]);
    }
    more(
        &mut table,
        status.services.len(),
        SERVICES,
        "service",
        "services",
    );
    table.finish()
}

fn more(table: &mut Table, all: usize, shown: usize, what: &str, command: &str) {
    if let Some(more @ 1..) = all.checked_sub(shown) {
        table.note(&format!(
            "and {} (`{command}`)\n",
            plural(more as u64, &format!("more {what}"))
        ));
    }
}

/// A service by its identity: `TCP 192.0.2.1:80`, `FWM 7`, `TCP group WEB`.
pub(super) fn name(service: &ServiceStatus) -> String {
    if !service.group.is_empty() {
        return format!("{} group {}", service.protocol, service.group);
    }
    match service.mark {
        0 => format!(
            "{} {}",
            service.protocol,
            endpoint(&service.address, service.port)
        ),
        mark => format!("{} {mark}", service.protocol),
    }
}
