//! FULLNAT: where local addresses are, and what must hold for them beyond what holds for all virtual addresses.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use director_core::config::Config;
use director_core::event::Event;
use director_core::filter::Filter;
use director_core::ipvs::ServiceId;

use super::setup;

/// Local addresses float with the router that has the services' address.
pub(super) fn place(config: &mut Config) {
    let services = config.services.iter();
    let locals: BTreeSet<IpAddr> = services.flat_map(|of| &of.locals).copied().collect();
    if let Some(router) = config.routers.first_mut() {
        let before = std::mem::take(&mut router.locals);
        router
            .excluded
            .retain(|had| !before.contains(&had.cidr.address));
        router
            .excluded
            .extend(locals.iter().copied().map(setup::on_eth0));
        router.locals = locals.into_iter().collect();
    }
}

/// Whether an event says that connections come to a node with the local addresses of a virtual router.
pub(super) fn brings_connections(config: &Config, event: &Event) -> bool {
    let Event::Vrrp { router, event } = event else {
        return false;
    };
    let mut routers = config.routers.iter();
    event.is_takeover() && routers.any(|of| of.name == *router && !of.locals.is_empty())
}

/// The local addresses of all services are closed to strangers, and each service is translated to its own.
pub(super) fn translates(config: &Config, filter: Option<&Filter>) -> bool {
    let (none, mut services) = (Filter::default(), config.services.iter());
    let filter = filter.unwrap_or(&none);
    let locals = filter.locals();
    services.all(|server| {
        let translated = |id| match id {
            ServiceId::Address {
                protocol,
                address,
                port,
            } => locals.get(&(protocol, SocketAddr::new(address, port))),
            ServiceId::Fwmark { .. } => None,
        };
        let closed = |local: &IpAddr| filter.closed.contains(local);
        let is_right = |id| match translated(id) {
            None => server.locals.is_empty(),
            Some(locals) => *locals == server.locals,
        };
        server.locals.iter().all(closed) && server.ids().all(is_right)
    })
}
