//! Neighbour discovery over Ethernet (RFC 4861 section 4.4): the unsolicited neighbour advertisement that announces an
//! IPv6 virtual address. It is read and written with its IPv6 header.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+---------------+---------------------------------------+
//! |   Type 136    |    Code 0     |           Checksum            |
//! +-+-+-+---------+---------------+-------------------------------+
//! |R|S|O|                     Reserved                            |
//! +-+-+-+---------------------------------------------------------+
//! |                 Target Address, 16 bytes                      |
//! +---------------+---------------+-------------------------------+
//! |  Option 2     | Length 1 (x8) |                               |
//! +---------------+---------------+                               +
//! |                 Link-Layer Address of the Target              |
//! +---------------------------------------------------------------+
//! ```

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

use super::checksum::Sum;
use super::ipv6::{self, HEADER_BYTES};
use crate::net::Mac;

/// Ethernet type of IPv6 (linux/if_ether.h `ETH_P_IPV6`).
pub const ETHERTYPE: u16 = 0x86dd;

/// Bytes of an announcement, IPv6 header included, without the Ethernet header.
pub const BYTES: usize = HEADER_BYTES + MESSAGE_BYTES as usize;

/// The multicast group of all nodes of a link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The Ethernet address of [`ALL_NODES`] (RFC 2464 section 7).
pub const ALL_NODES_MAC: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);

/// Bytes of the ICMPv6 message with its option.
const MESSAGE_BYTES: u8 = 32;

/// ICMPv6, as a next header.
const NEXT_HEADER: u8 = 58;

/// What has come through a router is not believed (RFC 4861 section 7.1.2).
const HOP_LIMIT: u8 = 255;

/// The type of a neighbour advertisement.
const TYPE: u8 = 136;

/// The target link-layer address option, of one unit of 8 bytes.
const OPTION: [u8; 2] = [2, 1];

/// The flags of the first byte behind the checksum.
mod flag {
    pub(super) const ROUTER: u8 = 0x80;
    pub(super) const SOLICITED: u8 = 0x40;
    pub(super) const OVERRIDE: u8 = 0x20;
}

/// A neighbour advertisement to all nodes, unsolicited, which overrides what they know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The address announced; also the source of the packet.
    pub target: Ipv6Addr,
    /// The hardware address that it has now.
    pub mac: Mac,
    /// The sender forwards packets (R).
    pub router: bool,
}

/// Why bytes are not such a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fewer than [`BYTES`].
    Truncated,
    /// Not an IPv6 packet of ICMPv6 to all nodes with hop limit 255.
    Header,
    /// Not an unsolicited, overriding neighbour advertisement of its sender with one link-layer address.
    Format,
    /// The checksum is wrong.
    Checksum,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated neighbour advertisement",
            Self::Header => "not ICMPv6 to all nodes of the link",
            Self::Format => "not an unsolicited neighbour advertisement",
            Self::Checksum => "wrong ICMPv6 checksum",
        })
    }
}

impl Repr {
    /// Reads a packet as [`Repr::emit`] writes it; padding behind it is ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let (header, message) = ipv6::Repr::parse(bytes).map_err(|error| match error {
            ipv6::Error::Truncated => Error::Truncated,
            ipv6::Error::Version => Error::Header,
        })?;
        if header != ip_header(header.source) {
            return Err(Error::Header);
        }
        let [kind, code, _, _, flags, _, _, _, body @ ..] = message else {
            return Err(Error::Truncated);
        };
        let Some((target, option)) = body.split_first_chunk::<16>() else {
            return Err(Error::Truncated);
        };
        let [o0, o1, a, b, c, d, e, f] = option else {
            return Err(Error::Truncated);
        };
        let is_unsolicited = flags & flag::SOLICITED == 0 && flags & flag::OVERRIDE != 0;
        let target = Ipv6Addr::from(*target);
        let is_own = target == header.source;
        if [*kind, *code] != [TYPE, 0] || !is_unsolicited || [*o0, *o1] != OPTION || !is_own {
            return Err(Error::Format);
        }
        if pseudo_header(target).plus(message).folded() != 0xffff {
            return Err(Error::Checksum);
        }
        Ok(Self {
            target,
            mac: Mac([*a, *b, *c, *d, *e, *f]),
            router: flags & flag::ROUTER != 0,
        })
    }

    /// The packet's bytes, without the Ethernet header; to be sent to [`ALL_NODES_MAC`].
    #[must_use]
    pub fn emit(&self) -> [u8; BYTES] {
        let router = if self.router { flag::ROUTER } else { 0 };
        let head = [TYPE, 0];
        let flags = [flag::OVERRIDE | router, 0, 0, 0];
        let target = self.target.octets();
        let checksum = pseudo_header(self.target)
            .plus(&head)
            .plus(&flags)
            .plus(&target)
            .plus(&OPTION)
            .plus(&self.mac.0)
            .checksum()
            .to_be_bytes();
        let parts: [&[u8]; 7] = [
            &ip_header(self.target).emit(u16::from(MESSAGE_BYTES)),
            &head,
            &checksum,
            &flags,
            &target,
            &OPTION,
            &self.mac.0,
        ];
        let mut bytes = [0; BYTES];
        for (to, from) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }
}

/// The header of an announcement.
const fn ip_header(source: Ipv6Addr) -> ipv6::Repr {
    ipv6::Repr {
        source,
        destination: ALL_NODES,
        traffic_class: 0,
        next_header: NEXT_HEADER,
        hop_limit: HOP_LIMIT,
    }
}

/// The sum over the pseudo header (RFC 8200 section 8.1).
fn pseudo_header(source: Ipv6Addr) -> Sum {
    Sum::new()
        .plus_address(IpAddr::V6(source))
        .plus_address(IpAddr::V6(ALL_NODES))
        .plus(&[0, MESSAGE_BYTES])
        .plus(&[0, NEXT_HEADER])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: Mac = Mac([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
    const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
    const ANNOUNCEMENT: [u8; BYTES] = [
        0x60, 0, 0, 0, 0, 32, 58, 255, // IPv6, 32 bytes of ICMPv6, hop limit 255
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00, // from the address
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // to all nodes
        136, 0, 0x72, 0x71, 0x20, 0, 0, 0, // advertisement, override
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00, // target
        2, 1, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, // its hardware address
    ];

    fn announcement(router: bool) -> Repr {
        Repr {
            target: ADDRESS,
            mac: MAC,
            router,
        }
    }

    #[test]
    fn an_announcement_has_these_bytes() {
        assert_eq!(announcement(false).emit(), ANNOUNCEMENT);
        assert_eq!(announcement(true).emit()[44], 0xa0);
    }

    #[test]
    fn an_announcement_is_read_back_also_with_padding() {
        for router in [false, true] {
            let mut bytes = announcement(router).emit().to_vec();
            assert_eq!(Repr::parse(&bytes), Ok(announcement(router)));
            bytes.extend([1, 2, 3]);
            assert_eq!(Repr::parse(&bytes), Ok(announcement(router)));
        }
    }

    #[test]
    fn each_kind_of_broken_packet_is_named() {
        let cases: [(usize, u8, Error); 12] = [
            (0, 0x40, Error::Header),
            (5, 31, Error::Truncated),
            (5, 33, Error::Truncated),
            (6, 17, Error::Header),
            (7, 64, Error::Header),
            (39, 2, Error::Header),
            (40, 135, Error::Format),
            (41, 1, Error::Format),
            (44, 0x60, Error::Format),
            (44, 0x00, Error::Format),
            (23, 0x01, Error::Format),
            (42, 0x00, Error::Checksum),
        ];
        for (at, value, error) in cases {
            let mut packet = ANNOUNCEMENT;
            packet[at] = value;
            assert_eq!(Repr::parse(&packet), Err(error), "byte {at} = {value}");
        }
        assert_eq!(Repr::parse(&ANNOUNCEMENT[..71]), Err(Error::Truncated));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_is_read_is_emitted_again(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            at in 0..BYTES,
            value in any::<u8>(),
        ) {
            let _ = Repr::parse(&bytes);
            let mut packet = ANNOUNCEMENT;
            packet[at] = value;
            if let Ok(repr) = Repr::parse(&packet) {
                prop_assert_eq!(&repr.emit()[4..], &packet[4..]); // but for the flow label
            }
        }
    }
}
