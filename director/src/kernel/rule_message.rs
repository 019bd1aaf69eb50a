//! Rules of the routing policy as rtnetlink's messages, and back.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use director_core::kernel::{Rule, RuleAction};
use director_core::net::{Cidr, Family};
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{
    self, RuleAttribute, RuleFlags, RuleMessage, RulePortRange, RuleUidRange,
};
use netlink_packet_route::{AddressFamily, IpProtocol};

use super::PROTOCOL;
use super::rtnl_message::RtnlMessage;

/// Asks for all rules of a family.
pub(super) fn all_rules(family: Family) -> RtnlMessage {
    let mut message = RuleMessage::default();
    message.header.family = family_of(family);
    RtnlMessage::new(libc::RTM_GETRULE, &message)
}

/// The message that adds or removes a rule.
pub(super) fn rule_of(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family_of(rule.family);
    message.header.dst_len = rule.to.map_or(0, |to| to.prefix);
    message.header.src_len = rule.from.map_or(0, |from| from.prefix);
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Protocol(RouteProtocol::Other(PROTOCOL)));
    attributes.push(RuleAttribute::Priority(rule.priority));
    // The kernel takes no address for a prefix of no bits.
    let given = |prefix: Option<Cidr>| prefix.filter(|prefix| prefix.prefix > 0);
    attributes.extend(given(rule.to).map(|to| RuleAttribute::Destination(to.address)));
    attributes.extend(given(rule.from).map(|from| RuleAttribute::Source(from.address)));
    let name = |name: &director_core::net::IfName| name.to_string();
    attributes.extend(rule.iif.as_ref().map(|of| RuleAttribute::Iifname(name(of))));
    attributes.extend(rule.oif.as_ref().map(|of| RuleAttribute::Oifname(name(of))));
    if let Some((mark, mask)) = rule.mark {
        attributes.push(RuleAttribute::FwMark(mark));
        attributes.push(RuleAttribute::FwMask(mask));
    }
    message.header.tos = rule.tos;
    if rule.invert {
        message.header.flags |= RuleFlags::Invert;
    }
    let protocol = rule
        .protocol
        .map(|number| IpProtocol::from(i32::from(number)));
    attributes.extend(protocol.map(RuleAttribute::IpProtocol));
    let ports = |(start, end)| RulePortRange { start, end };
    attributes.extend(
        rule.from_ports
            .map(ports)
            .map(RuleAttribute::SourcePortRange),
    );
    attributes.extend(
        rule.to_ports
            .map(ports)
            .map(RuleAttribute::DestinationPortRange),
    );
    let users = |(start, end)| RuleAttribute::UidRange(RuleUidRange { start, end });
    attributes.extend(rule.users.map(users));
    attributes.extend(rule.suppress_prefix.map(RuleAttribute::SuppressPrefixLen));
    attributes.extend(rule.suppress_group.map(RuleAttribute::SuppressIfGroup));
    message.header.action = match rule.action {
        RuleAction::Table(table) => {
            attributes.push(RuleAttribute::Table(table));
            rule::RuleAction::ToTable
        }
        RuleAction::Goto(priority) => {
            attributes.push(RuleAttribute::Goto(priority));
            rule::RuleAction::Goto
        }
        RuleAction::Nop => rule::RuleAction::Nop,
        RuleAction::Blackhole => rule::RuleAction::Blackhole,
        RuleAction::Unreachable => rule::RuleAction::Unreachable,
        RuleAction::Prohibit => rule::RuleAction::Prohibit,
    };
    message
}

/// One of our rules, out of RTM_NEWRULE; none for anybody else's.
pub(super) fn rule(message: &RtnlMessage) -> Option<Rule> {
    if message.kind != libc::RTM_NEWRULE {
        return None;
    }
    let message: RuleMessage = message.content()?;
    let header = &message.header;
    let (family, any) = match header.family {
        AddressFamily::Inet => (Family::V4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        AddressFamily::Inet6 => (Family::V6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        _ => return None,
    };
    let (mut ours, mut table, mut goto) = (false, u32::from(header.table), 0);
    let (mut from, mut to, mut mark, mut mask) = (any, any, 0, 0);
    let mut rule = Rule::of(family, RuleAction::Blackhole);
    rule.tos = header.tos;
    rule.invert = header.flags.contains(RuleFlags::Invert);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL,
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Destination(address) => to = *address,
            RuleAttribute::Source(address) => from = *address,
            RuleAttribute::Iifname(name) => rule.iif = name.parse().ok(),
            RuleAttribute::Oifname(name) => rule.oif = name.parse().ok(),
            RuleAttribute::FwMark(number) => mark = *number,
            RuleAttribute::FwMask(number) => mask = *number,
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Goto(priority) => goto = *priority,
            RuleAttribute::IpProtocol(number) => {
                rule.protocol = u8::try_from(i32::from(*number)).ok();
            }
            RuleAttribute::SourcePortRange(ports) => {
                rule.from_ports = Some((ports.start, ports.end));
            }
            RuleAttribute::DestinationPortRange(ports) => {
                rule.to_ports = Some((ports.start, ports.end));
            }
            RuleAttribute::UidRange(users) => rule.users = Some((users.start, users.end)),
            // The kernel reports -1 where nothing is suppressed.
            RuleAttribute::SuppressPrefixLen(length) => {
                rule.suppress_prefix = Some(*length).filter(|length| *length != u32::MAX);
            }
            RuleAttribute::SuppressIfGroup(group) => {
                rule.suppress_group = Some(*group).filter(|group| *group != u32::MAX);
            }
            _ => {}
        }
    }
    let prefix = |address, prefix| (prefix > 0).then_some(Cidr { address, prefix });
    (rule.from, rule.to) = (prefix(from, header.src_len), prefix(to, header.dst_len));
    rule.mark = (mask > 0).then_some((mark, mask));
    rule.action = match header.action {
        rule::RuleAction::ToTable => RuleAction::Table(table),
        rule::RuleAction::Goto => RuleAction::Goto(goto),
        rule::RuleAction::Nop => RuleAction::Nop,
        rule::RuleAction::Blackhole => RuleAction::Blackhole,
        rule::RuleAction::Unreachable => RuleAction::Unreachable,
        rule::RuleAction::Prohibit => RuleAction::Prohibit,
        _ => return None,
    };
    ours.then_some(rule)
}

const fn family_of(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rule_is_read_as_it_was_written_and_a_foreign_one_is_not_read() {
        let wished = Rule {
            priority: 100,
            from: Some("192.0.2.0/24".parse().unwrap()),
            iif: Some("lan0".parse().unwrap()),
            mark: Some((7, 0xff)),
            ..Rule::of(Family::V4, RuleAction::Table(1000))
        };
        let v6 = Rule {
            family: Family::V6,
            from: None,
            to: Some("2001:db8::/32".parse().unwrap()),
            iif: None,
            action: RuleAction::Prohibit,
            ..wished.clone()
        };
        let special = Rule {
            priority: 102,
            invert: true,
            tos: 0x10,
            protocol: Some(6),
            from_ports: Some((1024, 65534)),
            to_ports: Some((80, 80)),
            users: Some((100, 200)),
            suppress_prefix: Some(0),
            suppress_group: Some(7),
            ..Rule::of(Family::V4, RuleAction::Goto(200))
        };
        for wished in [wished.clone(), v6, special] {
            let message = RtnlMessage::new(libc::RTM_NEWRULE, &rule_of(&wished));
            assert_eq!(rule(&message), Some(wished));
        }
        let mut foreign = rule_of(&wished);
        foreign.attributes.remove(0);
        let message = RtnlMessage::new(libc::RTM_NEWRULE, &foreign);
        assert_eq!(rule(&message), None);
    }

    proptest! {
        #[test]
        fn hostile_messages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = rule(&RtnlMessage { kind: libc::RTM_NEWRULE, content: bytes.clone() });
        }
    }
}
