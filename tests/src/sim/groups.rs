//! The laws of what couples virtual routers: sync groups, and the weights of trackers.

use director_core::config::{PoolChoice, Tracked, Tracker, Weight};

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

/// A router competes with its own priority and with what its pools make of it, and with nothing else.
///
/// # Errors
/// When it competes with another.
pub fn weighted(nodes: &[Node]) -> Result<(), Violation> {
    for (index, node) in nodes.iter().enumerate() {
        let Some(director) = &node.director else {
            continue;
        };
        let status = director.status();
        let whole = status.services.iter().all(|service| service.quorum);
        for (router, of) in node.routers().zip(&status.routers) {
            let sum: i32 = router
                .trackers
                .iter()
                .map(|tracker| {
                    let value = i32::from(tracker.weight.value);
                    let counts = (value > 0) == whole;
                    let sign = if tracker.weight.reverse { -1 } else { 1 };
                    if counts { value * sign } else { 0 }
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

/// A tracker of all pools with a weight.
pub fn pool_tracker(random: &mut Random) -> Tracker {
    let (value, reverse) = (random.pick(&[-253, -40, -10, 10, 40]), random.chance(20));
    Tracker {
        of: Tracked::Pool(PoolChoice::All),
        weight: Weight { value, reverse },
    }
}
