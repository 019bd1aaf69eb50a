//! The metrics themselves.

use super::{Family, Samples};
use crate::status::{
    CheckStatus, DestStatus, InterfaceStatus, OutletStatus, RouterStatus, ServiceStatus, Status,
    SyncStatus, TrackingStatus,
};

const fn gauge<T>(
    name: &'static str,
    help: &'static str,
    samples: fn(&T, &mut Samples<'_>),
) -> Family<T> {
    let kind = "gauge";
    Family {
        name,
        kind,
        help,
        samples,
    }
}

const fn counter<T>(
    name: &'static str,
    help: &'static str,
    samples: fn(&T, &mut Samples<'_>),
) -> Family<T> {
    let kind = "counter";
    Family {
        name,
        kind,
        help,
        samples,
    }
}

/// States of a virtual router, each a sample that is 1 in this state.
const STATES: [&str; 4] = ["Initialize", "Backup", "Active", "Fault"];

pub(super) const NODE: &[Family<Status>] = &[
    gauge(
        "keelson_build_info",
        "Version of the program; always 1.",
        |node, out| {
            out.labelled("version", &node.version, 1);
        },
    ),
    gauge(
        "keelson_uptime_seconds",
        "Time since the director started.",
        |node, out| out.seconds(node.uptime_us),
    ),
    gauge(
        "keelson_config_age_seconds",
        "Time since the configuration was taken.",
        |node, out| {
            out.age(node.config.since_us);
        },
    ),
    counter(
        "keelson_config_reloads_total",
        "Reloads that took effect.",
        |node, out| out.number(node.config.reloads),
    ),
    gauge(
        "keelson_config_errors",
        "Errors of the files read last; above 0 they are not in force.",
        |node, out| {
            out.number(node.config.errors);
        },
    ),
    gauge(
        "keelson_config_warnings",
        "Warnings of the files read last.",
        |node, out| out.number(node.config.warnings),
    ),
    gauge(
        "keelson_kernel_operations_pending",
        "Operations of the kernel still to be done.",
        |node, out| {
            out.number(node.kernel.pending);
        },
    ),
    counter(
        "keelson_kernel_operations_applied_total",
        "Operations that the kernel did.",
        |node, out| {
            out.number(node.kernel.applied);
        },
    ),
    counter(
        "keelson_kernel_operations_failed_total",
        "Operations that the kernel refused.",
        |node, out| {
            out.number(node.kernel.failed);
        },
    ),
    counter(
        "keelson_kernel_repairs_total",
        "Foreign edits of the kernel's tables found.",
        |node, out| {
            out.number(node.kernel.repairs);
        },
    ),
    gauge(
        "keelson_kernel_routes",
        "Routes of the director that the kernel has.",
        |node, out| out.number(node.kernel.routes),
    ),
    gauge(
        "keelson_kernel_routes_missing",
        "Routes of the director that the kernel lacks.",
        |node, out| out.number(node.kernel.routes_missing),
    ),
    gauge(
        "keelson_kernel_rules",
        "Rules of the director that the kernel has.",
        |node, out| out.number(node.kernel.rules),
    ),
    gauge(
        "keelson_kernel_rules_missing",
        "Rules of the director that the kernel lacks.",
        |node, out| out.number(node.kernel.rules_missing),
    ),
    counter(
        "keelson_process_cpu_seconds_total",
        "Processor time of the director.",
        |node, out| {
            out.seconds(node.process.cpu_us);
        },
    ),
    gauge(
        "keelson_process_resident_memory_bytes",
        "Memory of the director.",
        |node, out| {
            out.number(node.process.rss_kib.saturating_mul(1024));
        },
    ),
    counter(
        "keelson_loop_turns_total",
        "Turns of the director's loop.",
        |node, out| out.number(node.process.turns),
    ),
    gauge(
        "keelson_loop_turn_max_seconds",
        "Longest turn of the director's loop.",
        |node, out| {
            out.seconds(node.process.turn_max_us);
        },
    ),
    gauge(
        "keelson_tracked_connections",
        "Connections that the kernel tracks.",
        |node, out| tracked(node, out, |tracking| tracking.tracked),
    ),
    gauge(
        "keelson_tracked_connections_max",
        "Connections that the kernel can track.",
        |node, out| tracked(node, out, |tracking| tracking.tracked_max),
    ),
    counter(
        "keelson_tracked_connections_refused_total",
        "Connections for which there was no local port, or no place.",
        |node, out| tracked(node, out, |tracking| tracking.refused),
    ),
    counter(
        "keelson_tracked_packets_dropped_total",
        "Packets dropped because no more connections can be tracked.",
        |node, out| tracked(node, out, |tracking| tracking.dropped),
    ),
    counter(
        "keelson_takeover_connections_restored_total",
        "Connections by FULLNAT that go on after a takeover.",
        |node, out| tracked(node, out, |tracking| tracking.restored),
    ),
    counter(
        "keelson_takeover_connections_contested_total",
        "Connections by FULLNAT whose local port another one has after a takeover.",
        |node, out| tracked(node, out, |tracking| tracking.contested),
    ),
    counter(
        "keelson_takeover_connections_failed_total",
        "Connections by FULLNAT that the kernel refused after a takeover.",
        |node, out| tracked(node, out, |tracking| tracking.failed),
    ),
];

/// A figure of connection tracking, where there is any.
fn tracked(node: &Status, out: &mut Samples<'_>, figure: fn(&TrackingStatus) -> u64) {
    if let Some(tracking) = &node.tracking {
        out.number(figure(tracking));
    }
}

pub(super) const ROUTER: &[Family<RouterStatus>] = &[
    gauge(
        "keelson_router_state",
        "1 for the state that a virtual router is in.",
        |router, out| {
            for state in STATES {
                out.labelled("state", state, u64::from(router.state == state));
            }
        },
    ),
    gauge(
        "keelson_router_state_age_seconds",
        "Time since the virtual router entered its state.",
        |router, out| {
            out.age(router.since_us);
        },
    ),
    gauge(
        "keelson_router_priority",
        "Priority of the virtual router.",
        |router, out| out.number(router.priority),
    ),
    gauge(
        "keelson_router_advert_interval_seconds",
        "Advertisement interval in force.",
        |router, out| {
            out.seconds(u64::from(router.advert_interval_ms) * 1000);
        },
    ),
    counter(
        "keelson_router_adverts_sent_total",
        "Adverts sent.",
        |router, out| out.number(router.adverts_sent),
    ),
    counter(
        "keelson_router_adverts_received_total",
        "Adverts accepted.",
        |router, out| {
            out.number(router.adverts_received);
        },
    ),
    counter(
        "keelson_router_adverts_dropped_total",
        "Adverts dropped, by reason.",
        |router, out| {
            for dropped in &router.adverts_dropped {
                out.labelled("reason", &dropped.name, dropped.count);
            }
        },
    ),
    gauge(
        "keelson_router_tracker_adds",
        "What a tracked thing adds to the priority.",
        |router, out| {
            for tracker in &router.trackers {
                out.labelled("tracker", &tracker.name, tracker.adds);
            }
        },
    ),
    gauge(
        "keelson_router_routes",
        "Routes that are there while the virtual router is Active.",
        |router, out| routing(router, out, "route "),
    ),
    gauge(
        "keelson_router_rules",
        "Rules that are there while the virtual router is Active.",
        |router, out| routing(router, out, "rule "),
    ),
    counter(
        "keelson_router_takeovers_total",
        "How often the virtual router became Active.",
        |router, out| {
            out.number(router.takeovers);
        },
    ),
];

/// How many of a router's routes and rules are of one kind.
fn routing(router: &RouterStatus, out: &mut Samples<'_>, kind: &str) {
    let found = router.routing.iter().filter(|of| of.starts_with(kind));
    out.number(u64::try_from(found.count()).unwrap_or(u64::MAX));
}

pub(super) const SERVICE: &[Family<ServiceStatus>] = &[
    gauge(
        "keelson_service_quorum",
        "1 while the pool has its quorum.",
        |service, out| out.flag(service.quorum),
    ),
    gauge(
        "keelson_service_in_kernel",
        "1 while the kernel has the service.",
        |service, out| {
            out.flag(service.in_kernel);
        },
    ),
];

pub(super) const DEST: &[Family<DestStatus>] = &[
    gauge(
        "keelson_dest_up",
        "1 while the real server is healthy.",
        |dest, out| out.flag(dest.state != "down"),
    ),
    gauge(
        "keelson_dest_state_age_seconds",
        "Time since the real server's state changed.",
        |dest, out| {
            out.age(dest.since_us);
        },
    ),
    gauge("keelson_dest_weight", "Configured weight.", |dest, out| {
        out.number(dest.weight);
    }),
    gauge(
        "keelson_dest_kernel_weight",
        "Weight in the kernel; absent while it is not there.",
        |dest, out| {
            if let Some(weight) = dest.kernel_weight {
                out.number(weight);
            }
        },
    ),
    gauge(
        "keelson_dest_active_connections",
        "Established connections.",
        |dest, out| out.number(dest.totals.active),
    ),
    gauge(
        "keelson_dest_inactive_connections",
        "Other connection entries.",
        |dest, out| {
            out.number(dest.totals.inactive);
        },
    ),
    counter(
        "keelson_dest_connections_total",
        "Connections scheduled.",
        |dest, out| {
            out.number(dest.totals.connections);
        },
    ),
    counter(
        "keelson_dest_received_packets_total",
        "Packets from clients.",
        |dest, out| {
            out.number(dest.totals.packets_in);
        },
    ),
    counter(
        "keelson_dest_sent_packets_total",
        "Packets to clients; 0 in DR and TUN.",
        |dest, out| {
            out.number(dest.totals.packets_out);
        },
    ),
    counter(
        "keelson_dest_received_bytes_total",
        "Bytes from clients.",
        |dest, out| out.number(dest.totals.bytes_in),
    ),
    counter(
        "keelson_dest_sent_bytes_total",
        "Bytes to clients; 0 in DR and TUN.",
        |dest, out| {
            out.number(dest.totals.bytes_out);
        },
    ),
];

pub(super) const CHECK: &[Family<CheckStatus>] = &[
    gauge(
        "keelson_check_up",
        "1 while the check succeeds.",
        |check, out| out.flag(check.health == "up"),
    ),
    gauge(
        "keelson_check_latency_seconds",
        "How long the last run took.",
        |check, out| out.seconds(check.latency_us),
    ),
    gauge(
        "keelson_check_value",
        "The number that the check told, of a file or a program; absent where it tells none.",
        |check, out| {
            if let Some(value) = check.value {
                out.number(value);
            }
        },
    ),
    counter("keelson_check_runs_total", "Runs.", |check, out| {
        out.number(check.runs);
    }),
    counter(
        "keelson_check_failures_total",
        "Failed runs.",
        |check, out| out.number(check.failures),
    ),
    gauge(
        "keelson_check_interval_seconds",
        "From one run to the next.",
        |check, out| {
            out.seconds(u64::from(check.interval_ms) * 1000);
        },
    ),
    gauge(
        "keelson_check_timeout_seconds",
        "Longest run.",
        |check, out| {
            out.seconds(u64::from(check.timeout_ms) * 1000);
        },
    ),
];

pub(super) const INTERFACE: &[Family<InterfaceStatus>] = &[
    gauge(
        "keelson_interface_up",
        "1 while the interface is up.",
        |interface, out| out.flag(interface.up),
    ),
    gauge(
        "keelson_interface_carrier",
        "1 while the interface has a link.",
        |interface, out| {
            out.flag(interface.carrier);
        },
    ),
    gauge("keelson_interface_mtu_bytes", "MTU.", |interface, out| {
        out.number(interface.mtu);
    }),
];

pub(super) const OUTLET: &[Family<OutletStatus>] = &[
    gauge(
        "keelson_outlet_lines_waiting",
        "Lines of the log that wait for a receiver.",
        |outlet, out| out.number(outlet.waiting),
    ),
    counter(
        "keelson_outlet_lines_lost_total",
        "Lines that a receiver of the log or the reader of a FIFO did not take.",
        |outlet, out| out.number(outlet.lost),
    ),
];

pub(super) const SYNC: &[Family<SyncStatus>] = &[gauge(
    "keelson_sync_running",
    "1 for each running synchronisation of connections.",
    |_, out| out.flag(true),
)];
