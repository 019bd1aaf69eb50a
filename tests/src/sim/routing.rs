//! Virtual routes and rules: some to live with, and the law of them.

use director_core::config::{Route, Router};
use director_core::kernel::{Actual, Op, OpError, RouteKind, Rule, RuleAction};
use director_core::net::Family;

use super::laws::Violation;
use super::node::Node;
use super::random::Random;

/// Gives a virtual router routes and rules, or none.
pub fn add(router: &mut Router, random: &mut Random) {
    for number in 0..random.below(3) as u8 {
        let kind = random.pick(&[RouteKind::Unicast, RouteKind::Unicast, RouteKind::Blackhole]);
        let is_sent = kind == RouteKind::Unicast;
        router.routes.push(Route {
            kind,
            interface: is_sent.then(|| "eth0".parse().expect("a short name")),
            table: random.pick(&[254, 100]),
            scope: if is_sent { 253 } else { 0 },
            ..Route::to(
                format!("10.9.{number}.{}/32", router.vrid)
                    .parse()
                    .expect("a prefix"),
            )
        });
    }
    for number in 0..random.below(2) as u32 {
        router.rules.push(Rule {
            priority: 1000 + number + u32::from(router.vrid),
            to: Some(
                format!("10.9.0.{}/32", router.vrid)
                    .parse()
                    .expect("a prefix"),
            ),
            ..Rule::of(Family::V4, RuleAction::Table(100))
        });
    }
}

/// What a kernel makes of a rule.
///
/// # Errors
/// When it is there, or is not, already.
pub fn operate(state: &mut Actual, op: &Op) -> Result<(), OpError> {
    let (done, error) = match op {
        Op::AddRule(rule) => (state.rules.insert(rule.clone()), OpError::EXISTS),
        Op::DelRule(rule) => (state.rules.remove(rule), OpError::NOT_THERE),
        _ => (false, OpError::NOT_THERE),
    };
    done.then_some(()).ok_or(error)
}

/// The routes and rules of a virtual router are where it is Active, and nowhere else.
///
/// # Errors
/// When they are not.
pub fn follow(nodes: &[Node]) -> Result<(), Violation> {
    for (index, node) in nodes.iter().enumerate() {
        let state = &node.kernel.state;
        for router in node.routers() {
            let held = state
                .routes
                .iter()
                .map(|route| (route.destination, route.table));
            let mut wrong = router.routes.iter().filter(|route| {
                let key = (route.destination, route.table);
                held.clone().any(|other| other == key) != node.is_active(router)
            });
            let has = |rule: &Rule| {
                state
                    .rules
                    .iter()
                    .any(|held| held.priority == rule.priority)
            };
            let mut rules = router.rules.iter();
            if let Some(route) = wrong.next() {
                let what = format!(
                    "{index} at rest: route {} is in the wrong place",
                    route.destination
                );
                return Err(Violation(what));
            }
            if rules.any(|rule| has(rule) != node.is_active(router)) {
                let what = format!(
                    "{index} at rest: a rule of {} is in the wrong place",
                    router.name
                );
                return Err(Violation(what));
            }
        }
    }
    Ok(())
}
