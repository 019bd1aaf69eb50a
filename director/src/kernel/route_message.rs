//! Addresses and routes as rtnetlink's messages, and back.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::num::NonZeroU8;

use director_core::kernel::{AddressId, NextHop, Route, RouteKind};
use director_core::net::{AddressOptions, Cidr, Ifindex};
use netlink_packet_core::{DefaultNla, Nla};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RouteProtocol, RouteScope, RouteType,
};

use super::PROTOCOL;
use super::rtnl_message::RtnlMessage;

/// The metric that the kernel gives an IPv6 route without one (IP6_RT_PRIO_USER, net/ip6_route.h).
const IPV6_METRIC: u32 = 1024;

/// Asks for all addresses.
pub(super) fn all_addresses() -> RtnlMessage {
    RtnlMessage::new(libc::RTM_GETADDR, &AddressMessage::default())
}

/// Asks for our routes of the family of an address.
pub(super) fn our_routes(family: IpAddr) -> RtnlMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(family);
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    RtnlMessage::new(libc::RTM_GETROUTE, &message)
}

/// The message that adds an address. The kernel makes it a secondary one by itself when the interface has a network of
/// that prefix, and adds the prefix route otherwise, as with `ip address add`.
pub(super) fn address_of(id: &AddressId, options: &AddressOptions) -> AddressMessage {
    let mut message = bare_address(id, options.peer);
    let header = &mut message.header;
    header.scope = AddressScope::from(options.scope);
    let attributes = &mut message.attributes;
    attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
    let broadcast = broadcast(id.cidr, options.broadcast);
    attributes.extend(broadcast.map(AddressAttribute::Broadcast));
    let label = options.label.as_ref();
    attributes.extend(label.map(|label| AddressAttribute::Label(label.to_string())));
    let is_v6 = id.cidr.address.is_ipv6();
    // An address must serve at once; that no two nodes have it is the work of the election, or of whoever wrote the
    // configuration, as it is over IPv4.
    let flags = [
        (is_v6 && !options.looks_for_duplicates, AddressFlags::Nodad),
        (options.no_prefix_route, AddressFlags::Noprefixroute),
        (options.home, AddressFlags::Homeaddress),
        (options.manages_temporary, AddressFlags::Managetempaddr),
    ];
    let flags = flags.into_iter().filter(|(is, _)| *is);
    let flags: AddressFlags = flags.map(|(_, flag)| flag).collect();
    if !flags.is_empty() {
        attributes.push(AddressAttribute::Flags(flags));
    }
    if let Some(preferred) = options.preferred(id.cidr) {
        let mut lifetime = CacheInfo::default();
        lifetime.ifa_preferred = preferred;
        lifetime.ifa_valid = u32::MAX;
        attributes.push(AddressAttribute::CacheInfo(lifetime));
    }
    message
}

/// The broadcast address of an address, if it has one.
fn broadcast(of: Cidr, given: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
    let IpAddr::V4(own) = of.address else {
        return None;
    };
    match given {
        Some(Ipv4Addr::UNSPECIFIED) => None,
        Some(given) => Some(given),
        None if of.prefix < 31 => Some(Ipv4Addr::from(u32::from(own) | u32::MAX >> of.prefix)),
        None => None,
    }
}

/// The message that removes an address.
pub(super) fn removed_address(id: &AddressId, peer: Option<IpAddr>) -> AddressMessage {
    bare_address(id, peer)
}

fn bare_address(id: &AddressId, peer: Option<IpAddr>) -> AddressMessage {
    let mut message = AddressMessage::default();
    let address = id.cidr.address;
    message.header.family = family_of(address);
    message.header.index = id.ifindex.0;
    message.header.prefix_len = id.cidr.prefix;
    // IFA_ADDRESS is the other end of the link, where there is one.
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(peer.unwrap_or(address)),
    ];
    message
}

/// The message that adds or removes a route.
pub(super) fn route_of(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(route.destination.address);
    message.header.destination_prefix_length = route.destination.prefix;
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    message.header.kind = match route.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Prohibit => RouteType::Prohibit,
        RouteKind::Throw => RouteType::Throw,
    };
    message.header.scope = RouteScope::from(route.scope);
    if route.onlink {
        message.header.flags |= RouteFlags::Onlink;
    }
    let attributes = &mut message.attributes;
    if route.destination.prefix > 0 {
        attributes.push(RouteAttribute::Destination(route_address(
            route.destination.address,
        )));
    }
    attributes.extend(
        route
            .via
            .map(|via| RouteAttribute::Gateway(route_address(via))),
    );
    attributes.extend(route.ifindex.map(|link| RouteAttribute::Oif(link.0)));
    attributes.extend(
        route
            .source
            .map(|source| RouteAttribute::PrefSource(route_address(source))),
    );
    if route.metric > 0 {
        attributes.push(RouteAttribute::Priority(route.metric));
    }
    let hops: Vec<RouteNextHop> = route.hops.iter().map(hop_of).collect();
    if !hops.is_empty() {
        attributes.push(RouteAttribute::MultiPath(hops));
    }
    let metrics: Vec<RouteMetric> = route.metrics.iter().map(metric_of).collect();
    if !metrics.is_empty() {
        attributes.push(RouteAttribute::Metrics(metrics));
    }
    // The header has eight bits for it.
    attributes.push(RouteAttribute::Table(route.table));
    message
}

fn hop_of(hop: &NextHop) -> RouteNextHop {
    let mut message = RouteNextHop::default();
    // The kernel adds one.
    message.hops = hop.weight.get() - 1;
    message.interface_index = hop.ifindex.map_or(0, |link| link.0);
    if hop.onlink {
        message.flags |= RouteNextHopFlags::Onlink;
    }
    let via = hop
        .via
        .map(|via| RouteAttribute::Gateway(route_address(via)));
    message.attributes.extend(via);
    message
}

fn hop(message: &RouteNextHop) -> NextHop {
    let via = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Gateway(via) => ip_address(via),
            _ => None,
        });
    NextHop {
        via,
        ifindex: Some(Ifindex(message.interface_index)).filter(|link| link.0 != 0),
        weight: NonZeroU8::MIN.saturating_add(message.hops),
        onlink: message.flags.contains(RouteNextHopFlags::Onlink),
    }
}

fn metric_of((number, value): (u8, u32)) -> RouteMetric {
    RouteMetric::Other(DefaultNla::new(number.into(), value.to_ne_bytes().into()))
}

/// None for what is no number: the name of a congestion control.
fn metric(message: &RouteMetric) -> Option<(u8, u32)> {
    let mut value = [0; 4];
    if message.value_len() != value.len() {
        return None;
    }
    message.emit_value(&mut value);
    Some((message.kind().try_into().ok()?, u32::from_ne_bytes(value)))
}

/// An address as the kernel reports it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FoundAddress {
    pub(super) id: AddressId,
    /// Whether it carries our mark.
    pub(super) ours: bool,
    /// The other end of a point-to-point link.
    pub(super) peer: Option<IpAddr>,
}

/// An address, out of RTM_NEWADDR or RTM_DELADDR. One that the kernel itself made and still looks for on other nodes is
/// not there yet: nothing can be sent from it.
pub(super) fn address(message: &RtnlMessage) -> Option<FoundAddress> {
    if ![libc::RTM_NEWADDR, libc::RTM_DELADDR].contains(&message.kind) {
        return None;
    }
    let message: AddressMessage = message.content()?;
    let (mut local, mut address, mut ours, mut tentative) = (None, None, false, false);
    for attribute in &message.attributes {
        match attribute {
            // On a point-to-point link IFA_ADDRESS is the other end, and IFA_LOCAL is ours.
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL,
            AddressAttribute::Flags(flags) => tentative = flags.contains(AddressFlags::Tentative),
            _ => {}
        }
    }
    if tentative && !ours {
        return None;
    }
    let own = local.or(address)?;
    Some(FoundAddress {
        id: AddressId {
            ifindex: Ifindex(message.header.index),
            cidr: Cidr {
                address: own,
                prefix: message.header.prefix_len,
            },
        },
        ours,
        peer: address.filter(|peer| *peer != own),
    })
}

/// One of our routes, out of RTM_NEWROUTE; none for anybody else's.
pub(super) fn route(message: &RtnlMessage) -> Option<Route> {
    if message.kind != libc::RTM_NEWROUTE {
        return None;
    }
    let message: RouteMessage = message.content()?;
    let header = &message.header;
    if header.protocol != RouteProtocol::Other(PROTOCOL) {
        return None;
    }
    let any = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let destination = Cidr {
        address: any,
        prefix: header.destination_prefix_length,
    };
    let mut route = Route {
        kind: match header.kind {
            RouteType::Unicast => RouteKind::Unicast,
            RouteType::BlackHole => RouteKind::Blackhole,
            RouteType::Unreachable => RouteKind::Unreachable,
            RouteType::Prohibit => RouteKind::Prohibit,
            RouteType::Throw => RouteKind::Throw,
            _ => return None,
        },
        table: header.table.into(),
        scope: header.scope.into(),
        onlink: header.flags.contains(RouteFlags::Onlink),
        ..Route::to(destination)
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => route.destination.address = ip_address(to)?,
            RouteAttribute::Gateway(via) => route.via = ip_address(via),
            RouteAttribute::Oif(link) => route.ifindex = Some(Ifindex(*link)),
            RouteAttribute::PrefSource(source) => route.source = ip_address(source),
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::MultiPath(hops) => route.hops = hops.iter().map(hop).collect(),
            RouteAttribute::Metrics(metrics) => {
                for (number, value) in metrics.iter().filter_map(metric) {
                    route.metrics.set(number, value);
                }
            }
            _ => {}
        }
    }
    Some(route)
}

/// Whether the kernel reports `found` for the route that was asked for as `asked`.
pub(super) fn is_answered_by(asked: &Route, found: &Route) -> bool {
    // Of thousands of routes hardly any needs the rest.
    if asked.destination != found.destination {
        return false;
    }
    let mut hops = asked.hops.clone();
    for (hop, found) in hops.iter_mut().zip(&found.hops) {
        hop.ifindex = hop.ifindex.or(found.ifindex);
    }
    let decided = Route {
        hops,
        ifindex: asked.ifindex.or(found.ifindex),
        metric: match asked.metric {
            0 if asked.destination.address.is_ipv6() => IPV6_METRIC,
            metric => metric,
        },
        ..asked.clone()
    };
    decided == *found
}

pub(super) fn family_of(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

fn ip_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written_and_known_for_ours() {
        for cidr in [
            "192.0.2.1/24",
            "192.0.2.100/32",
            "2001:db8::1/64",
            "2001:db8::100/128",
        ] {
            let id = AddressId {
                ifindex: Ifindex(3),
                cidr: cidr.parse().unwrap(),
            };
            for peer in [None, Some(other(id.cidr.address))] {
                let options = AddressOptions {
                    peer,
                    ..AddressOptions::default()
                };
                let message = RtnlMessage::new(libc::RTM_NEWADDR, &address_of(&id, &options));
                let ours = true;
                assert_eq!(address(&message), Some(FoundAddress { id, ours, peer }));
            }
        }
    }

    #[test]
    fn a_route_is_read_as_it_was_written_and_a_foreign_one_is_not_read() {
        let default = Route {
            via: Some("192.0.2.254".parse().unwrap()),
            ifindex: Some(Ifindex(3)),
            source: Some("192.0.2.1".parse().unwrap()),
            metric: 5,
            onlink: true,
            ..Route::to("0.0.0.0/0".parse().unwrap())
        };
        let direct = Route {
            ifindex: Some(Ifindex(3)),
            table: 1000,
            scope: 253,
            ..Route::to("2001:db8::/32".parse().unwrap())
        };
        let dropped = Route {
            kind: RouteKind::Prohibit,
            table: 7,
            ..Route::to("198.51.100.0/24".parse().unwrap())
        };
        let mut several = Route::to("203.0.113.0/24".parse().unwrap());
        several.metrics.lock(2);
        several.metrics.set(2, 1400);
        several.metrics.set(15, 1);
        several.hops.extend([1, 2].map(|last| NextHop {
            via: Some([192, 0, 2, last].into()),
            ifindex: Some(Ifindex(3)),
            weight: NonZeroU8::new(last).unwrap(),
            onlink: last == 2,
        }));
        for wished in [default.clone(), direct, dropped, several] {
            let message = RtnlMessage::new(libc::RTM_NEWROUTE, &route_of(&wished));
            assert_eq!(route(&message), Some(wished));
        }
        let mut foreign = route_of(&default);
        foreign.header.protocol = RouteProtocol::Static;
        let message = RtnlMessage::new(libc::RTM_NEWROUTE, &foreign);
        assert_eq!(route(&message), None);
    }

    fn other(address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(_) => [198, 51, 100, 1].into(),
            IpAddr::V6(_) => [0x2001, 0xdb8, 1, 0, 0, 0, 0, 1].into(),
        }
    }

    proptest! {
        #[test]
        fn hostile_messages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = address(&RtnlMessage { kind: libc::RTM_NEWADDR, content: bytes.clone() });
            let _ = route(&RtnlMessage { kind: libc::RTM_NEWROUTE, content: bytes.clone() });
        }
    }
}
