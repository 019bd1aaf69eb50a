//! Links as rtnetlink's messages, and back.

use director_core::kernel::{Link, Macvlan};
use director_core::net::{IfName, Ifindex, Mac};
use libc::{
    IFLA_ADDRESS, IFLA_IFALIAS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINKINFO, IFLA_MTU,
};
use netlink_packet_core::{DecodeError, NlasIterator, Parseable, parse_string, parse_u32};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkHeader, LinkMessage, MacVlanMode};
use rtnetlink::{LinkMacVlan, LinkUnspec};

use super::rtnl_message::RtnlMessage;
use super::vmac::Before;

/// Bytes of a `struct ifinfomsg`, which stands before the attributes (linux/rtnetlink.h).
const HEADER: usize = 16;

/// Asks for all links.
pub(super) fn all_links() -> RtnlMessage {
    RtnlMessage::new(libc::RTM_GETLINK, &LinkMessage::default())
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

/// A link as the kernel reports it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FoundLink {
    pub(super) link: Link,
    /// What its mark says, if a director made it.
    before: Option<Before>,
}

impl FoundLink {
    /// The base of a device of a virtual hardware address, and what was set there before, if a director made it.
    pub(super) fn marked(&self) -> Option<(Ifindex, Before)> {
        Some((self.link.macvlan?.base, self.before?))
    }
}

/// A link, out of RTM_NEWLINK; none for what a bridge says of its ports.
pub(super) fn link(message: &RtnlMessage) -> Option<FoundLink> {
    let content = content(message, libc::RTM_NEWLINK)?;
    let flags = content.header.flags;
    let before = content.before;
    let link = Link {
        ifindex: Ifindex(content.header.index),
        name: content.name?,
        mac: content.mac,
        mtu: content.mtu,
        up: flags.contains(LinkFlags::Up),
        // Not IFF_RUNNING as well: the kernel may take a second to set it (net/core/link_watch.c), in which a link that
        // had its carrier when it was set up passes packets already. A carrier that comes later precedes its queue by
        // less than a millisecond, and nothing is sent that early but an owner's first advert.
        carrier: flags.contains(LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        macvlan: content
            .base
            .filter(|_| content.is_macvlan)
            .map(|base| Macvlan {
                base,
                ours: before.is_some(),
            }),
    };
    Some(FoundLink { link, before })
}

/// The number of a link that is gone, out of RTM_DELLINK; none for a port that left its bridge.
pub(super) fn link_gone(message: &RtnlMessage) -> Option<Ifindex> {
    let content = content(message, libc::RTM_DELLINK)?;
    Some(Ifindex(content.header.index))
}

fn content(message: &RtnlMessage, kind: u16) -> Option<Content> {
    let content: Content = (message.kind == kind).then(|| message.content())??;
    (content.header.interface_family == AddressFamily::Unspec).then_some(content)
}

/// What is looked at of a link. The kernel says much more, and much that depends on the kind of the link.
#[derive(Default)]
struct Content {
    header: LinkHeader,
    name: Option<IfName>,
    mac: Mac,
    mtu: u32,
    /// The link that it is on.
    base: Option<Ifindex>,
    is_macvlan: bool,
    before: Option<Before>,
}

impl Parseable<[u8]> for Content {
    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut link = Self {
            header: LinkHeader::parse(bytes)?,
            ..Self::default()
        };
        for attribute in NlasIterator::new(bytes.get(HEADER..).unwrap_or_default()) {
            let attribute = attribute?;
            let value = attribute.value();
            match attribute.kind() {
                IFLA_IFNAME => link.name = parse_string(value)?.parse().ok(),
                // Other kinds of links have addresses of other lengths.
                IFLA_ADDRESS => link.mac = value.try_into().map_or(link.mac, Mac),
                IFLA_MTU => link.mtu = parse_u32(value)?,
                IFLA_LINK => link.base = Some(Ifindex(parse_u32(value)?)),
                IFLA_LINKINFO => link.is_macvlan = is_macvlan(value)?,
                // Anybody may have written anything there.
                IFLA_IFALIAS => {
                    link.before = parse_string(value)
                        .ok()
                        .as_deref()
                        .and_then(Before::of_alias);
                }
                _ => {}
            }
        }
        Ok(link)
    }
}

/// Whether an IFLA_LINKINFO is that of a macvlan.
fn is_macvlan(infos: &[u8]) -> Result<bool, DecodeError> {
    for info in NlasIterator::new(infos) {
        let info = info?;
        if info.kind() == IFLA_INFO_KIND {
            return Ok(parse_string(info.value())? == "macvlan");
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable;
    use netlink_packet_route::link::{InfoData, InfoKind, InfoVlan, LinkInfo};
    use proptest::prelude::*;

    use super::*;

    fn reported(message: &LinkMessage) -> RtnlMessage {
        RtnlMessage::new(libc::RTM_NEWLINK, message)
    }

    /// An interface as netlink-packet-route writes it, among attributes that nobody looks at.
    fn card() -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 3;
        message.header.flags = LinkFlags::Up | LinkFlags::LowerUp;
        message.attributes = vec![
            LinkAttribute::IfName("lan0".into()),
            LinkAttribute::TxQueueLen(1000),
            LinkAttribute::Mtu(1500),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 7]),
            LinkAttribute::Qdisc("fq_codel".into()),
        ];
        message
    }

    #[test]
    fn an_interface_is_read_as_it_was_written() {
        let found = link(&reported(&card())).unwrap();
        let wished = Link {
            ifindex: Ifindex(3),
            name: "lan0".parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, 7]),
            mtu: 1500,
            up: true,
            carrier: true,
            loopback: false,
            macvlan: None,
        };
        assert_eq!(found.link, wished);
        assert_eq!(found.marked(), None);
    }

    #[test]
    fn a_device_is_ours_by_its_mark() {
        let mac = Mac([0, 0, 0x5e, 0, 1, 7]);
        let mut message = vmac_of(&"vmac7".parse().unwrap(), Ifindex(3), mac);
        let found = link(&reported(&message)).unwrap();
        let (base, ours) = (Ifindex(3), false);
        assert_eq!(found.link.macvlan, Some(Macvlan { base, ours }));
        assert_eq!((found.link.mac, found.marked()), (mac, None));
        let before = Before::of_alias("keelson-vmac arp_ignore=0").unwrap();
        let alias = LinkAttribute::IfAlias(before.to_string());
        message.attributes.push(alias.clone());
        assert_eq!(
            link(&reported(&message)).unwrap().marked(),
            Some((base, before))
        );
        // A mark on what is no macvlan says nothing.
        let mut card = card();
        card.attributes.push(alias);
        assert_eq!(link(&reported(&card)).unwrap().marked(), None);
        card.attributes.push(LinkAttribute::Link(2));
        card.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Vlan),
            LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(7)])),
        ]));
        assert_eq!(link(&reported(&card)).unwrap().link.macvlan, None);
    }

    #[test]
    fn an_alias_that_is_no_text_takes_no_link_away() {
        let mut message = reported(&card());
        message.content.extend([6, 0, 20, 0, 0xff, 0xfe, 0, 0]);
        assert_eq!(link(&message), link(&reported(&card())));
    }

    #[test]
    fn a_bridge_speaks_of_its_ports_without_being_heard() {
        let mut message = card();
        let gone = RtnlMessage::new(libc::RTM_DELLINK, &message);
        assert_eq!(link_gone(&gone), Some(Ifindex(3)));
        assert_eq!(link(&gone), None);
        message.header.interface_family = AddressFamily::Bridge;
        assert_eq!(link(&reported(&message)), None);
        let gone = RtnlMessage::new(libc::RTM_DELLINK, &message);
        assert_eq!(link_gone(&gone), None);
    }

    #[test]
    fn a_message_that_was_cut_short_is_not_half_read() {
        let whole = reported(&card());
        let ends: Vec<usize> = card()
            .attributes
            .iter()
            .scan(HEADER, |end, attribute| {
                *end += attribute.buffer_len();
                Some(*end)
            })
            .collect();
        for length in 0..whole.content.len() {
            let mut cut = whole.clone();
            cut.content.truncate(length);
            // The padding of an attribute is none of it.
            let is_complete = ends.iter().any(|end| (end - 3..=*end).contains(&length));
            assert!(is_complete || link(&cut).is_none(), "{length}");
        }
    }

    /// A link out of what netlink-packet-route reads.
    fn second_opinion(message: &LinkMessage) -> Option<Link> {
        let mut link = Link {
            ifindex: Ifindex(message.header.index),
            name: "none".parse().unwrap(),
            mac: Mac::default(),
            mtu: 0,
            up: true,
            carrier: true,
            loopback: false,
            macvlan: None,
        };
        let (mut name, mut base, mut is_macvlan, mut ours) = (None, None, false, false);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(text) => name = text.parse().ok(),
                LinkAttribute::Address(bytes) => {
                    link.mac = bytes.as_slice().try_into().map_or(link.mac, Mac);
                }
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Link(index) => base = Some(Ifindex(*index)),
                LinkAttribute::LinkInfo(infos) => {
                    is_macvlan = infos.contains(&LinkInfo::Kind(InfoKind::MacVlan));
                }
                LinkAttribute::IfAlias(alias) => ours = Before::of_alias(alias).is_some(),
                _ => {}
            }
        }
        link.name = name?;
        link.macvlan = base
            .filter(|_| is_macvlan)
            .map(|base| Macvlan { base, ours });
        Some(link)
    }

    /// Mostly attributes as the kernel writes them.
    fn attribute() -> impl Strategy<Value = (u16, Vec<u8>)> {
        let bytes = |length| prop::collection::vec(any::<u8>(), length);
        prop_oneof![
            (Just(IFLA_IFNAME), Just(b"lan1\0".to_vec())),
            (Just(IFLA_ADDRESS), bytes(0..8)),
            (Just(IFLA_MTU), bytes(4..5)),
            (Just(IFLA_LINK), bytes(4..5)),
            (Just(IFLA_IFALIAS), Just(b"keelson-vmac\0".to_vec())),
            (Just(IFLA_LINKINFO), Just(b"\x0b\0\x01\0macvlan\0".to_vec())),
            (Just(IFLA_LINKINFO), Just(b"\x08\0\x01\0vlan".to_vec())),
            (0..64_u16, bytes(0..12)),
        ]
    }

    proptest! {
        #[test]
        fn the_same_is_read_as_by_the_whole_parser(
            attributes in prop::collection::vec(attribute(), 0..8),
        ) {
            let mut message = reported(&card());
            for (kind, value) in attributes {
                let length = u16::try_from(value.len() + 4).unwrap();
                message.content.extend(length.to_ne_bytes());
                message.content.extend(kind.to_ne_bytes());
                message.content.extend(&value);
                message.content.resize(message.content.len().next_multiple_of(4), 0);
            }
            // It reads more, so it fails where we do not.
            if let Ok(read) = LinkMessage::parse(&message.content) {
                prop_assert_eq!(link(&message).map(|found| found.link), second_opinion(&read));
            }
        }

        #[test]
        fn hostile_messages_never_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
            for kind in [libc::RTM_NEWLINK, libc::RTM_DELLINK] {
                let message = RtnlMessage { kind, content: content.clone() };
                let _ = (link(&message), link_gone(&message));
            }
        }
    }
}
