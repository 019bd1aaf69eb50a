//! What must hold of the kernel's pools at rest.

use director_core::config::{Check, CheckKind, VirtualServer};
use director_core::director::Director;
use director_core::ipvs::{DestId, ServiceId, Table};
use director_core::overrides::{Kind, Saved, Word};

use super::laws::Violation;
use super::node::Node;
use super::reals::{Reals, TOLD};

/// After rest: the kernel's pools follow the moods of the real servers.
///
/// # Errors
/// When a server that fails its checks takes connections, or one that passes them does not though it should.
pub fn pools(nodes: &[Node], reals: &Reals) -> Result<(), Violation> {
    for (index, node) in nodes.iter().enumerate() {
        let services = node
            .director
            .iter()
            .flat_map(|director| &director.config().services);
        // What is not looked at stays as it was.
        let services = services.filter(|of| !node.rests(of));
        for (service, id) in services.flat_map(|of| of.ids().map(move |id| (of, id))) {
            let saved = node.director.iter().flat_map(Director::saved);
            let words: Vec<_> = saved.filter(|saved| saved.service == service.id).collect();
            pool(service, &words, &id, &node.kernel.state.table, reals)
                .map_err(|what| Violation(format!("{index} at rest: {id}: {what}")))?;
        }
    }
    Ok(())
}

/// What is wrong with one pool.
fn pool(
    server: &VirtualServer,
    words: &[Saved],
    id: &ServiceId,
    table: &Table,
    reals: &Reals,
) -> Result<(), String> {
    let serving = serving(table, id);
    let told =
        |check: Check| matches!(&check.how.kind, CheckKind::Exec(program) if program.dynamic);
    for real in &server.real_servers {
        let dest = real.id.within(id, real.dest.forwarding);
        let serves = serving.contains(&dest);
        if let Some(saved) = words.iter().find(|saved| saved.dest == real.id) {
            let may_serve = matches!(saved.word, Word::Override(word) if matches!(word.kind, Kind::Weight(1..)));
            if serves && !may_serve {
                return Err(format!("{} serves against {:?}", real.id, saved.word));
            }
            continue;
        }
        let well = real.asks().all(|check| reals.passes(&check));
        if !well && serves {
            return Err(format!("{} fails and serves", real.id));
        }
        if well && !serves && server.sorry.is_none() {
            return Err(format!("{} is well and does not serve", real.id));
        }
        let pool = table.0.get(id);
        let weight = pool.and_then(|pool| Some(pool.dests.get(&dest)?.weight));
        if serves && real.asks().any(told) && weight != Some(TOLD) {
            return Err(format!("{} has not the weight that was told", real.id));
        }
    }
    match server.sorry.as_deref().copied() {
        Some((sorry, _)) if serving.is_empty() => {
            Err(format!("{sorry} does not serve, and nobody else does"))
        }
        _ => Ok(()),
    }
}

/// Which dests of a pool take new connections.
#[must_use]
pub fn serving(table: &Table, id: &ServiceId) -> Vec<DestId> {
    let pool = table.0.get(id);
    let dests = pool.into_iter().flat_map(|pool| pool.dests.iter());
    dests
        .filter(|(_, dest)| dest.weight > 0)
        .map(|(id, _)| *id)
        .collect()
}
