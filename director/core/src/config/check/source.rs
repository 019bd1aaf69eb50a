//! Where the checks of a real server would come from an address that the real server has itself.
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::diagnostic::Place;
use crate::config::read::Reader;
use crate::config::{RealServer, Router, VirtualAddress, VirtualServer};
use crate::ipvs::{Forwarding, ServiceId};
use crate::net::AddressOptions;

/// Warns of the services of which an Active would take all servers out: a virtual address of IPv6 with a network
/// becomes the source of the node's own connections (RFC 6724 5), and servers by DR and tunnels, which have it too,
/// answer themselves.
pub(in crate::config) fn of_own(
    reader: &mut Reader<'_, '_>,
    services: &[Arc<VirtualServer>],
    routers: &[Router],
    places: &BTreeMap<ServiceId, Place>,
) {
    let all = || routers.iter().flat_map(Router::virtual_addresses);
    for server in services {
        let serves = |found: &&VirtualAddress| {
            let address = found.cidr.address;
            is_source(found) && server.ids().any(|id| id.address() == Some(address))
        };
        if server.real_servers.iter().any(answers_itself)
            && let Some(found) = all().find(serves)
            && let Some(at) = places.get(&server.id)
        {
            let message = format!(
                "checks may come from {}, which the real servers have themselves: they would answer nobody",
                found.cidr
            );
            let hint = "write the virtual address as a /128, or with `preferred_lft 0`";
            reader.sink.warning(*at, message).hint(hint);
        }
    }
}

/// Whether the kernel may take it for connections that have no source yet.
fn is_source(found: &VirtualAddress) -> bool {
    let usual = AddressOptions::default();
    let options = found.options.as_deref().unwrap_or(&usual);
    found.cidr.address.is_ipv6() && options.preferred(found.cidr) != Some(0)
}

fn answers_itself(real: &RealServer) -> bool {
    let has_own = matches!(real.dest.forwarding, Forwarding::Dr | Forwarding::Tun(_));
    has_own
        && real.asks().any(|check| {
            let source = check.how.bind.as_ref().and_then(|bind| bind.address);
            check.target.address.is_ipv6() && source.is_none() && check.how.path.is_none()
        })
}
