//! The law of sync groups.

use super::laws::Violation;
use super::node::Node;

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
