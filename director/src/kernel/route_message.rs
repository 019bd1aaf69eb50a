//! rtnetlink's messages as values of the core, and back.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::num::NonZeroU8;

use director_core::kernel::{AddressId, Link, Macvlan, NextHop, Route, RouteKind};
use director_core::net::{AddressOptions, Cidr, IfName, Ifindex, Mac};
use netlink_packet_core::{DefaultNla, Nla};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{LinkMacVlan, LinkUnspec};

use super::PROTOCOL;
use super::vmac::Before;

/// The metric that the kernel gives an IPv6 route without one (IP6_RT_PRIO_USER, net/ip6_route.h).
const IPV6_METRIC: u32 = 1024;

/// Asks for all links.
pub(super) fn all_links() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(LinkMessage::default())
}

/// Asks for all addresses.
pub(super) fn all_addresses() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetAddress(AddressMessage::default())
}

/// Asks for our routes of the family of an address.
pub(super) fn our_routes(family: IpAddr) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(family);
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    RouteNetlinkMessage::GetRoute(message)
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
    // A virtual address of IPv6 is not to be the source of the node's own connections.
    let is_virtual = is_v6 && id.cidr == Cidr::host(id.cidr.address);
    if let Some(preferred) = options.preferred_s.or_else(|| is_virtual.then_some(0)) {
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

/// A link, out of RTM_NEWLINK; none for what a bridge says of its ports.
pub(super) fn link(message: &RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else {
        return None;
    };
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let flags = message.header.flags;
    let (mut name, mut mac, mut mtu) = (None, Mac::default(), 0);
    let (mut base, mut is_macvlan) = (None, false);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = text.parse().ok(),
            LinkAttribute::Address(bytes) => {
                mac = <[u8; 6]>::try_from(bytes.as_slice()).map_or(mac, Mac);
            }
            LinkAttribute::Mtu(bytes) => mtu = *bytes,
            LinkAttribute::Link(index) => base = Some(Ifindex(*index)),
            LinkAttribute::LinkInfo(infos) => {
                is_macvlan = infos.contains(&LinkInfo::Kind(InfoKind::MacVlan));
            }
            _ => {}
        }
    }
    Some(Link {
        ifindex: Ifindex(message.header.index),
        name: name?,
        mac,
        mtu,
        up: flags.contains(LinkFlags::Up),
        // Not IFF_RUNNING as well: the kernel may take a second to set it (net/core/link_watch.c), in which a link that
        // had its carrier when it was set up passes packets already. A carrier that comes later precedes its queue by
        // less than a millisecond, and nothing is sent that early but an owner's first advert.
        carrier: flags.contains(LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        macvlan: base.filter(|_| is_macvlan).map(|base| Macvlan {
            base,
            ours: before(&message.attributes).is_some(),
        }),
    })
}

/// The base of a device of a virtual hardware address, and what was set there before, if a director made it.
pub(super) fn marked(message: &RouteNetlinkMessage) -> Option<(Ifindex, Before)> {
    let base = link(message)?.macvlan?.base;
    match message {
        RouteNetlinkMessage::NewLink(message) => Some((base, before(&message.attributes)?)),
        _ => None,
    }
}

fn before(attributes: &[LinkAttribute]) -> Option<Before> {
    attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfAlias(alias) => Before::of_alias(alias),
        _ => None,
    })
}

/// The message that makes the device of a virtual hardware address.
///
/// In VEPA mode: whatever the mode, no device hears what the node itself sends, but in private mode a frame from the
/// hardware address of a device that is up would reach that device alone, and a node that is Active would be deaf to
/// the adverts of a rival, which come from there.
pub(super) fn vmac_of(name: &IfName, base: Ifindex, mac: Mac) -> LinkMessage {
    LinkMacVlan::new(name.as_str(), base.0, MacVlanMode::Vepa)
        .address(mac.0.to_vec())
        .build()
}

/// The message that gives a device its alias.
pub(super) fn alias_of(name: &IfName, alias: String) -> LinkMessage {
    LinkUnspec::new_with_name(name.as_str())
        .append_extra_attribute(LinkAttribute::IfAlias(alias))
        .build()
}

/// The number of a link that is gone, out of RTM_DELLINK; none for a port that left its bridge.
pub(super) fn link_gone(message: &RouteNetlinkMessage) -> Option<Ifindex> {
    match message {
        RouteNetlinkMessage::DelLink(message)
            if message.header.interface_family == AddressFamily::Unspec =>
        {
            Some(Ifindex(message.header.index))
        }
        _ => None,
    }
}

/// An address, and whether it carries our mark, out of RTM_NEWADDR or RTM_DELADDR. One that the kernel itself made and
/// still looks for on other nodes is not there yet: nothing can be sent from it.
pub(super) fn address(message: &RouteNetlinkMessage) -> Option<(AddressId, bool)> {
    let (RouteNetlinkMessage::NewAddress(message) | RouteNetlinkMessage::DelAddress(message)) =
        message
    else {
        return None;
    };
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
    let cidr = Cidr {
        address: local.or(address)?,
        prefix: message.header.prefix_len,
    };
    Some((
        AddressId {
            ifindex: Ifindex(message.header.index),
            cidr,
        },
        ours,
    ))
}

/// The other end of one of our addresses on a point-to-point link, out of RTM_NEWADDR.
pub(super) fn peer(message: &RouteNetlinkMessage) -> Option<(AddressId, IpAddr)> {
    let (id, _) = address(message).filter(|(_, ours)| *ours)?;
    let RouteNetlinkMessage::NewAddress(message) = message else {
        return None;
    };
    let peer = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Address(peer) if *peer != id.cidr.address => Some(*peer),
            _ => None,
        });
    peer.map(|peer| (id, peer))
}

/// One of our routes, out of RTM_NEWROUTE; none for anybody else's.
pub(super) fn route(message: &RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(message) = message else {
        return None;
    };
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
    use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
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
            let message =
                RouteNetlinkMessage::NewAddress(address_of(&id, &AddressOptions::default()));
            assert_eq!(address(&there_and_back(message)), Some((id, true)));
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
            let message = RouteNetlinkMessage::NewRoute(route_of(&wished));
            assert_eq!(route(&there_and_back(message)), Some(wished));
        }
        let mut foreign = route_of(&default);
        foreign.header.protocol = RouteProtocol::Static;
        assert_eq!(route(&RouteNetlinkMessage::NewRoute(foreign)), None);
    }

    proptest! {
        #[test]
        fn hostile_messages_never_panic(
            kind in prop::sample::select(vec![16u16, 17, 20, 21, 24]),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let length = u32::try_from(bytes.len() + 16).unwrap();
            let mut message = [&length.to_ne_bytes()[..], &kind.to_ne_bytes()[..], &[0; 10][..]].concat();
            message.extend(bytes);
            if let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&message)
                && let NetlinkPayload::InnerMessage(message) = message.payload
            {
                let _ = (link(&message), link_gone(&message), address(&message), route(&message));
            }
        }
    }

    fn there_and_back(message: RouteNetlinkMessage) -> RouteNetlinkMessage {
        let mut message = NetlinkMessage::from(message);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        match NetlinkMessage::deserialize(&bytes).unwrap().payload {
            NetlinkPayload::InnerMessage(message) => message,
            payload => panic!("{payload:?}"),
        }
    }
}
