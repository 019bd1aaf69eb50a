//! The status snapshot, read from the state that drives the director.

use core::net::IpAddr;
use std::sync::Arc;

use super::check_report::reason;
use super::groups::Group;
use super::seats::{Seat, seats};
use super::services::{self, State};
use super::standings::Standing;
use super::surroundings::Surroundings;
use super::{Director, Slot};
use crate::check::Health;
use crate::config::{RealServer, Tracker, VirtualServer};
use crate::ipvs::{Counters, Dest, DestId, Forwarding, Pool, ServiceId, Tallies};
use crate::kernel::Actual;
use crate::overrides::Leaving;
use crate::status::{
    ConfigStatus, Count, DestStatus, GroupStatus, InterfaceStatus, KernelStatus, RouterStatus,
    SCHEMA, ServiceStatus, Status, SyncStatus, Totals, TrackerStatus, TrackingStatus,
};
use crate::time::{Duration, Instant};
use crate::tracking::Recovery;
use crate::vrrp::{Effect, Fault, Member, Reason, State as RouterState};

/// The status but for the services and the checks.
pub(super) fn head(director: &Director) -> Status {
    let actual = director.reconciler.actual();
    Status {
        schema: SCHEMA,
        node: director.config.node.hostname.clone().unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        now_us: director.now.micros(),
        uptime_us: micros(director.now.since(director.started_at)),
        config: ConfigStatus {
            since_us: director.configured_at.micros(),
            reloads: director.reloads,
            errors: 0,
            warnings: 0,
        },
        routers: director
            .routers
            .configured()
            .map(|slot| router(slot, director))
            .collect(),
        groups: director
            .routers
            .groups()
            .map(|(group, members)| sync_group(group, &members, director.now))
            .collect(),
        services: Vec::new(),
        checks: Vec::new(),
        interfaces: interfaces(director),
        sync: actual
            .sync
            .iter()
            .map(|(role, daemon)| SyncStatus {
                role: role.to_string(),
                interface: daemon.interface.to_string(),
                id: daemon.id,
            })
            .collect(),
        kernel: kernel(director),
        tracking: tracking(director),
        outlets: Vec::new(),
        process: crate::status::ProcessStatus::default(),
    }
}

/// The member that a group waits for first: one that can't be Active, then one whose time has not come.
fn sync_group(group: &Group, members: &[&Slot], now: Instant) -> GroupStatus {
    let hindrance = |slot: &&&Slot| match slot.machine.member() {
        Member::Fails if matches!(slot.machine.state(), RouterState::Fault(Fault::Mate(_))) => 6,
        Member::Fails => 0,
        Member::Starts => 1,
        Member::Follows => 2,
        Member::Waits => 3,
        Member::Leaves => 4,
        Member::Ready => 5,
        Member::Active => 6,
    };
    let first = members.iter().min_by_key(hindrance);
    let reason = first.and_then(|slot| {
        let why = slot.machine.why_not_active(now)?;
        Some(format!("{}: {why}", slot.config.name))
    });
    GroupStatus {
        name: group.name.to_string(),
        state: group.state.to_string(),
        since_us: group.since.micros(),
        members: members
            .iter()
            .map(|slot| slot.config.name.to_string())
            .collect(),
        reason: reason.unwrap_or_default(),
    }
}

fn tracked(tracker: &Tracker, director: &Director) -> TrackerStatus {
    let Director {
        config,
        reconciler,
        services,
        watches,
        ..
    } = director;
    let around = Surroundings::of(config, reconciler, services, watches);
    let standing = around.standing(director.routers.links(), &tracker.of);
    TrackerStatus {
        name: tracker.of.to_string(),
        state: standing.to_string(),
        weight: tracker.weight.value,
        reverse: tracker.weight.reverse,
        adds: match tracker.weight.effect(standing) {
            Effect::Adds(weight) => weight,
            Effect::Fails | Effect::Waits => 0,
        },
    }
}

fn router(slot: &Slot, director: &Director) -> RouterStatus {
    let now = director.now;
    let (config, machine) = (&slot.config, &slot.machine);
    let mut groups = director.config.groups.iter();
    let group = groups.find(|group| group.members.contains(&config.name));
    let counters = machine.counters();
    let dropped = Reason::ALL
        .iter()
        .zip(counters.dropped)
        .filter(|(_, count)| *count > 0);
    let cidrs = config.virtual_addresses().map(|address| address.cidr);
    let devices = config.vmacs.iter();
    let devices = devices.map(|vmac| format!("{} {}", vmac.name, vmac.mac));
    RouterStatus {
        name: config.name.to_string(),
        vrid: config.vrid,
        family: config.family().to_string(),
        interface: config.interface.to_string(),
        version: match config.version {
            crate::config::Version::V2 => 2,
            crate::config::Version::V3 => 3,
        },
        state: machine.state().name().to_string(),
        since_us: machine.since().micros(),
        priority: machine.effective_priority(),
        base_priority: config.priority,
        advert_interval_ms: millis(config.advert_interval),
        active: active(slot).map(|address| address.to_string()),
        reason: machine
            .why_not_active(now)
            .map(|why| why.to_string())
            .unwrap_or_default(),
        addresses: cidrs.map(|cidr| cidr.to_string()).collect(),
        devices: devices.collect(),
        accepts: config.accept,
        authentication: match (&config.hmac, config.pass) {
            (Some(hmac), _) => format!("key {}, {}", hmac.active, hmac.mode),
            (None, Some(_)) => "password".to_string(),
            (None, None) => "none".to_string(),
        },
        routing: config
            .routes
            .iter()
            .map(|route| format!("route {route}"))
            .chain(config.rules.iter().map(|rule| format!("rule {rule}")))
            .collect(),
        peers: config
            .unicast
            .iter()
            .flat_map(|unicast| &unicast.peers)
            .map(|peer| peer.address.to_string())
            .collect(),
        adverts_sent: counters.sent,
        adverts_received: counters.received,
        adverts_dropped: dropped
            .map(|(reason, count)| Count {
                name: reason.name().to_string(),
                count,
            })
            .collect(),
        takeovers: slot.takeovers,
        group: group.map(|group| group.name.to_string()),
        trackers: config
            .trackers
            .iter()
            .map(|tracker| tracked(tracker, director))
            .collect(),
    }
}

/// The Active router's address, as far as it is known.
fn active(slot: &Slot) -> Option<IpAddr> {
    match slot.machine.state() {
        RouterState::Active { .. } => slot.machine.source(),
        _ => slot.machine.active().map(|peer| peer.address),
    }
}

pub(super) fn service(server: &VirtualServer, state: &State, director: &Director) -> ServiceStatus {
    let actual = director.reconciler.actual();
    let pools = server.ids().map(|id| (id, actual.table.0.get(&id)));
    let pools: Vec<_> = pools.collect();
    let kernel = |id: &DestId, to: &Dest| in_kernel(&pools, &actual.counters, *id, to.forwarding);
    let mut dests: Vec<DestStatus> = server
        .real_servers
        .iter()
        .zip(&state.reals)
        .map(|(real, standing)| {
            let had = kernel(&real.id, &real.dest);
            let seats = seats(state.number, standing.number, real);
            dest(server, (real, standing), seats, had, director)
        })
        .collect();
    if let Some((id, to)) = server.sorry.as_deref() {
        let had = kernel(id, to);
        dests.push(DestStatus {
            address: id.address.to_string(),
            port: id.port,
            forwarding: server.method(to.forwarding),
            tunnel: to.forwarding.tunnel(),
            weight: to.weight,
            kernel_weight: had.weight,
            state: "sorry".to_string(),
            since_us: 0,
            reason: if state.quorum.held() {
                "stands by".to_string()
            } else {
                "serves: quorum lost".to_string()
            },
            operator: String::new(),
            operator_since_us: 0,
            totals: had.totals,
        });
    }
    let leaving = state.leaving.iter();
    dests.extend(leaving.map(|(id, leaving)| {
        let had = kernel(id, &leaving.dest);
        self::leaving(*id, leaving, had)
    }));
    let (protocol, address, port, mark) = identity(&server.id);
    let sum = |sum: Totals, dest: &DestStatus| add(sum, dest.totals);
    ServiceStatus {
        group: server
            .group
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        members: u32::try_from(pools.len()).unwrap_or(u32::MAX),
        protocol,
        address,
        port,
        mark,
        scheduler: server.service.scheduler.to_string(),
        persistence_s: server.service.timeout_s,
        local_addresses: server.locals.iter().map(ToString::to_string).collect(),
        in_kernel: pools.iter().all(|(_, pool)| pool.is_some()),
        quorum: state.quorum.held() || services::is_retired(server),
        totals: dests.iter().fold(Totals::default(), sum),
        dests,
    }
}

/// One dest as the kernel has it in all services of a `virtual_server`.
#[derive(Clone, Copy, Default)]
struct InKernel {
    weight: Option<u32>,
    totals: Totals,
}

fn in_kernel(
    pools: &[(ServiceId, Option<&Arc<Pool>>)],
    counters: &Tallies,
    dest: DestId,
    forwarding: Forwarding,
) -> InKernel {
    let mut all = InKernel::default();
    for (index, (id, pool)) in pools.iter().enumerate() {
        let dest = dest.within(id, forwarding);
        let weight = pool.and_then(|pool| Some(pool.dests.get(&dest)?.weight));
        // Where a member lacks it, the others have it in vain.
        all.weight = if index == 0 {
            weight
        } else {
            all.weight.min(weight)
        };
        all.totals = add(all.totals, totals(counters.get(id, &dest)));
    }
    all
}

fn dest(
    server: &VirtualServer,
    (real, standing): (&RealServer, &Standing),
    seats: impl Iterator<Item = Seat>,
    had: InKernel,
    director: &Director,
) -> DestStatus {
    let checks = &director.services.checks;
    let mut statuses = seats.filter_map(|seat| Some((checks.said(&seat), checks.status(&seat)?)));
    let reason = match standing.health {
        Health::Up if standing.ramp().is_some() => "slow start".to_string(),
        Health::Up if real.checks.is_empty() => "no check configured".to_string(),
        Health::Up if standing.weight != real.dest.weight => {
            format!("weight {} by its checks", standing.weight)
        }
        Health::Up => String::new(),
        Health::Down => statuses
            .find(|(_, (_, status))| status.health == Health::Down)
            .map(|(said, (ask, status))| match status.last {
                Some(Err(failure)) => {
                    format!("{} check: {}", ask.how.kind.name(), reason(failure, said))
                }
                Some(Ok(())) => {
                    let (done, rise) = (status.successes_in_row, ask.how.rise);
                    format!("{} check: {done} of {rise} successes", ask.how.kind.name())
                }
                None => "not checked yet".to_string(),
            })
            .unwrap_or_default(),
    };
    let reason = if standing.held {
        format!("held in, as no more may go: {reason}")
    } else {
        reason
    };
    DestStatus {
        address: real.id.address.to_string(),
        port: real.id.port,
        forwarding: server.method(real.dest.forwarding),
        tunnel: real.dest.forwarding.tunnel(),
        weight: real.dest.weight,
        kernel_weight: had.weight,
        state: standing.health.to_string(),
        since_us: standing.since.micros(),
        reason,
        operator: standing
            .word()
            .map(|word| word.to_string())
            .unwrap_or_default(),
        operator_since_us: standing.word().map_or(0, |word| word.since.micros()),
        totals: had.totals,
    }
}

fn leaving(id: DestId, leaving: &Leaving, had: InKernel) -> DestStatus {
    let most = leaving.until.since(leaving.since).as_secs();
    DestStatus {
        address: id.address.to_string(),
        port: id.port,
        forwarding: leaving.dest.forwarding.to_string(),
        tunnel: leaving.dest.forwarding.tunnel(),
        weight: 0,
        kernel_weight: had.weight,
        state: "leaving".to_string(),
        since_us: leaving.since.micros(),
        reason: format!("no longer configured, drains, at most {most} s"),
        operator: String::new(),
        operator_since_us: 0,
        totals: had.totals,
    }
}

fn identity(id: &ServiceId) -> (String, String, u16, u32) {
    match id {
        ServiceId::Address {
            protocol,
            address,
            port,
        } => (protocol.to_string(), address.to_string(), *port, 0),
        ServiceId::Fwmark { mark, .. } => ("FWM".to_string(), String::new(), 0, *mark),
    }
}

fn totals(counters: &Counters) -> Totals {
    Totals {
        active: u64::from(counters.active),
        inactive: u64::from(counters.inactive),
        connections: counters.connections,
        packets_in: counters.packets_in,
        packets_out: counters.packets_out,
        bytes_in: counters.bytes_in,
        bytes_out: counters.bytes_out,
    }
}

/// The kernel is free to report any number: sums saturate.
const fn add(a: Totals, b: Totals) -> Totals {
    Totals {
        active: a.active.saturating_add(b.active),
        inactive: a.inactive.saturating_add(b.inactive),
        connections: a.connections.saturating_add(b.connections),
        packets_in: a.packets_in.saturating_add(b.packets_in),
        packets_out: a.packets_out.saturating_add(b.packets_out),
        bytes_in: a.bytes_in.saturating_add(b.bytes_in),
        bytes_out: a.bytes_out.saturating_add(b.bytes_out),
    }
}

fn interfaces(director: &Director) -> Vec<InterfaceStatus> {
    let actual: &Actual = director.reconciler.actual();
    let configured = |link: &crate::kernel::Link| {
        let of_link = |name| crate::plan::link(&director.config, &actual.links, name);
        let mut named = director.config.node.interfaces.iter();
        let named = named.find(|interface| {
            of_link(&interface.name).is_some_and(|found| found.ifindex == link.ifindex)
        });
        named.map_or_else(
            || link.name.to_string(),
            |interface| interface.name.to_string(),
        )
    };
    let of_link = |link: &crate::kernel::Link| {
        let ids = actual
            .addresses
            .keys()
            .filter(|id| id.ifindex == link.ifindex);
        ids.map(|id| id.cidr.to_string()).collect()
    };
    let status = |link: &crate::kernel::Link| InterfaceStatus {
        name: configured(link),
        kernel_name: link.name.to_string(),
        mac: link.mac.to_string(),
        mtu: link.mtu,
        up: link.up,
        carrier: link.carrier,
        addresses: of_link(link),
    };
    actual.links.values().map(status).collect()
}

fn kernel(director: &Director) -> KernelStatus {
    let (applied, failed, repairs) = director.reconciler.counts();
    let (had, wanted) = (director.reconciler.actual(), director.reconciler.desired());
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    KernelStatus {
        pending: count(director.reconciler.pending()),
        applied,
        failed,
        last_failure: director.last_failure.clone(),
        repairs,
        routes: count(had.routes.len()),
        routes_missing: count(wanted.routes.difference(&had.routes).count()),
        rules: count(had.rules.len()),
        rules_missing: count(wanted.rules.difference(&had.rules).count()),
    }
}

fn tracking(director: &Director) -> Option<TrackingStatus> {
    let Recovery {
        restored,
        contested,
        failed,
        ..
    } = director.recoveries.sum;
    (!director.filter.translated.is_empty()).then_some(TrackingStatus {
        restored,
        contested,
        failed,
        ..TrackingStatus::default()
    })
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
