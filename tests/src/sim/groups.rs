//! The laws of what couples virtual routers: sync groups, and the weights of trackers.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use director_core::check;
use director_core::config::{
    Check, CheckKind, CheckSettings, Config, PoolChoice, Tracked, Tracker, Watch, Weight,
};
use director_core::limits;
use director_core::time::Duration;

use super::laws::Violation;
use super::node::Node;
use super::random::Random;

/// The members of a sync group are all Active on a node, or none is.
///
/// # Errors
/// When some are.
pub fn together(nodes: &[Node]) -> Result<(), Violation> {
    for (index, node) in nodes.iter().enumerate() {
        let groups = node
            .director
            .iter()
            .flat_map(|director| &director.config().groups);
        for group in groups {
            let members = node.routers().filter(|of| group.members.contains(&of.name));
            let active: Vec<bool> = members.map(|router| node.is_active(router)).collect();
            if active.windows(2).any(|pair| pair[0] != pair[1]) {
                return Err(Violation(format!(
                    "{index} at rest: {:?} Active of the members of {}",
                    active, group.name
                )));
            }
        }
    }
    Ok(())
}

/// Whether all directors that run tie the same virtual routers together.
#[must_use]
pub fn agree(nodes: &[Node]) -> bool {
    let vrids = |config: &Config| -> Vec<u8> { config.routers.iter().map(|of| of.vrid).collect() };
    let mut configs = nodes
        .iter()
        .filter_map(|node| node.director.as_ref())
        .map(director_core::director::Director::config);
    let Some(first) = configs.next() else {
        return true;
    };
    configs.all(|other| {
        other.groups == first.groups && (first.groups.is_empty() || vrids(other) == vrids(first))
    })
}

/// A router competes with its own priority and with what its pools and its switch make of it, and with nothing else.
///
/// # Errors
/// When it competes with another.
pub fn weighted(nodes: &[Node]) -> Result<(), Violation> {
    for (index, node) in nodes.iter().enumerate() {
        let Some(director) = &node.director else {
            continue;
        };
        let status = director.status();
        let mut services = director.config().services.iter().zip(&status.services);
        let whole = services.all(|(_, service)| service.quorum);
        for (router, of) in node.routers().zip(&status.routers) {
            let sum: i32 = router
                .trackers
                .iter()
                .map(|tracker| {
                    let value = i32::from(tracker.weight.value);
                    let counts = (value > 0) == whole;
                    let sign = if tracker.weight.reverse { -1 } else { 1 };
                    match tracker.of {
                        Tracked::File(_) => value * sign * node.switch as i32,
                        _ if counts => value * sign,
                        _ => 0,
                    }
                })
                .sum();
            let owner = router.priority == 255;
            let expected = match i32::from(router.priority) {
                // An owner that yielded to another owner.
                own if owner => own.min(i32::from(of.priority.max(254))),
                own => (own + sum).clamp(1, 254),
            };
            if i32::from(of.priority) != expected {
                return Err(Violation(format!(
                    "{index} at rest: {} competes with {} instead of {expected}",
                    of.name, of.priority
                )));
            }
        }
    }
    Ok(())
}

/// Has all virtual routers of a node track the pools and a file.
pub fn track(config: &mut Config, pools: Option<&Tracker>, switch: Option<&(Watch, Tracker)>) {
    let (watch, file) = switch.map(|(watch, file)| (watch.clone(), file)).unzip();
    config.watches.extend(watch);
    for router in &mut config.routers {
        router
            .trackers
            .extend(pools.into_iter().chain(file).cloned());
    }
}

/// A tracker of all pools with a weight.
pub fn pool_tracker(random: &mut Random) -> Tracker {
    let (value, reverse) = (random.pick(&[-253, -40, -10, 10, 40]), random.chance(20));
    Tracker {
        of: Tracked::Pool(PoolChoice::All),
        weight: Weight { value, reverse },
    }
}

/// The path of the file that virtual routers track.
pub const SWITCH: &str = "switch";

/// A tracker of a file with a weight, and how the file is looked at.
pub fn switch(random: &mut Random) -> (Watch, Tracker) {
    let of = Tracked::File("switch".parse().expect("a short name"));
    let weight = Weight {
        value: 1,
        reverse: random.chance(30),
    };
    let file = check::Watch {
        path: SWITCH.to_string(),
        weight: 1,
        reverse: false,
    };
    let how = CheckSettings {
        kind: CheckKind::File(Box::new(file)),
        bind: None,
        path: None,
        interval: limits::FILE_INTERVAL,
        timeout: limits::FILE_TIMEOUT,
        rise: 1,
        retry: 0,
        delay_before_retry: limits::FILE_INTERVAL,
        log_all: false,
        warmup: Duration::ZERO,
    };
    let watch = Watch {
        of: of.clone(),
        check: Check {
            target: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0).into(),
            how: how.into(),
        },
        weight,
        init_fail: false,
        init_file: None,
    };
    (watch, Tracker { of, weight })
}
