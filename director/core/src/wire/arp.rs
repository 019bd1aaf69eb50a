//! ARP over Ethernet for IPv4 (RFC 826): the gratuitous request that announces a virtual address.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |       Hardware Type (1)       |    Protocol Type (0x0800)     |
//! +---------------+---------------+-------------------------------+
//! |  HW Length 6  | Proto Length 4|           Operation           |
//! +---------------+---------------+-------------------------------+
//! |                    Sender Hardware Address                    |
//! +                               +-------------------------------+
//! |                               |     Sender Protocol Address   |
//! +-------------------------------+-------------------------------+
//! |       (continued)             |    Target Hardware Address    |
//! +-------------------------------+                               +
//! |                                                               |
//! +---------------------------------------------------------------+
//! |                    Target Protocol Address                    |
//! +---------------------------------------------------------------+
//! ```

use core::fmt;
use core::net::Ipv4Addr;

use crate::net::Mac;

/// Ethernet type of ARP (linux/if_ether.h `ETH_P_ARP`).
pub const ETHERTYPE: u16 = 0x0806;

/// Bytes of an ARP packet, without the Ethernet header.
pub const BYTES: usize = 28;

/// Ethernet, IPv4, and the lengths of their addresses.
const PREFIX: [u8; 6] = [0x00, 0x01, 0x08, 0x00, 6, 4];

/// What a packet wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has it.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Request or reply.
    pub operation: Operation,
    /// Hardware address of the sender.
    pub sender_mac: Mac,
    /// Address of the sender.
    pub sender: Ipv4Addr,
    /// Hardware address of the target.
    pub target_mac: Mac,
    /// Address asked for.
    pub target: Ipv4Addr,
}

/// Why bytes are not such a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fewer than [`BYTES`].
    Truncated,
    /// Not Ethernet and IPv4.
    Format,
    /// Neither request nor reply.
    Operation,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated ARP packet",
            Self::Format => "not ARP of Ethernet and IPv4",
            Self::Operation => "neither ARP request nor reply",
        })
    }
}

impl Repr {
    /// The announcement of a virtual address: a request for the sender's own address, to be sent to
    /// [`Mac::BROADCAST`].
    ///
    /// The target hardware address is all ones, as keepalived sends it, and not zero as in RFC 5227: what updates
    /// its cache for the one does so for the other, and peers of both kinds then send the same frames.
    #[must_use]
    pub const fn gratuitous(mac: Mac, address: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Request,
            sender_mac: mac,
            sender: address,
            target_mac: Mac::BROADCAST,
            target: address,
        }
    }

    /// Reads a packet; padding behind it is ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let Some((packet, _)) = bytes.split_first_chunk::<BYTES>() else {
            return Err(Error::Truncated);
        };
        let [h0, h1, p0, p1, hl, pl, op0, op1, rest @ ..] = *packet;
        if [h0, h1, p0, p1, hl, pl] != PREFIX {
            return Err(Error::Format);
        }
        let operation = match u16::from_be_bytes([op0, op1]) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(Error::Operation),
        };
        let [
            a,
            b,
            c,
            d,
            e,
            f,
            s0,
            s1,
            s2,
            s3,
            g,
            h,
            i,
            j,
            k,
            l,
            t0,
            t1,
            t2,
            t3,
        ] = rest;
        Ok(Self {
            operation,
            sender_mac: Mac([a, b, c, d, e, f]),
            sender: Ipv4Addr::new(s0, s1, s2, s3),
            target_mac: Mac([g, h, i, j, k, l]),
            target: Ipv4Addr::new(t0, t1, t2, t3),
        })
    }

    /// The packet's bytes, without the Ethernet header.
    #[must_use]
    pub fn emit(&self) -> [u8; BYTES] {
        let operation: u16 = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        let parts: [&[u8]; 6] = [
            &PREFIX,
            &operation.to_be_bytes(),
            &self.sender_mac.0,
            &self.sender.octets(),
            &self.target_mac.0,
            &self.target.octets(),
        ];
        let mut bytes = [0; BYTES];
        for (to, from) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: Mac = Mac([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    const ANNOUNCEMENT: [u8; BYTES] = [
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // Ethernet, IPv4, request
        0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 192, 0, 2, 10, // sender
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 192, 0, 2, 10, // target
    ];

    #[test]
    fn an_announcement_has_these_bytes() {
        assert_eq!(Repr::gratuitous(MAC, ADDRESS).emit(), ANNOUNCEMENT);
    }

    #[test]
    fn an_announcement_is_read_back_also_with_padding() {
        let expected = Repr::gratuitous(MAC, ADDRESS);
        assert_eq!(Repr::parse(&ANNOUNCEMENT), Ok(expected));
        let mut padded = ANNOUNCEMENT.to_vec();
        padded.resize(46, 0);
        assert_eq!(Repr::parse(&padded), Ok(expected));
    }

    #[test]
    fn each_kind_of_broken_packet_is_named() {
        let cases: [(usize, u8, Error); 4] = [
            (1, 6, Error::Format),
            (2, 0x86, Error::Format),
            (5, 16, Error::Format),
            (7, 3, Error::Operation),
        ];
        for (at, value, error) in cases {
            let mut packet = ANNOUNCEMENT;
            packet[at] = value;
            assert_eq!(Repr::parse(&packet), Err(error), "byte {at} = {value}");
        }
        assert_eq!(Repr::parse(&ANNOUNCEMENT[..27]), Err(Error::Truncated));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_is_read_is_emitted_again(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            valid_prefix in any::<bool>(),
            operation in 0u8..4,
        ) {
            let mut bytes = bytes;
            if valid_prefix && bytes.len() >= 8 {
                bytes[..6].copy_from_slice(&PREFIX);
                bytes[6..8].copy_from_slice(&[0, operation]);
            }
            if let Ok(repr) = Repr::parse(&bytes) {
                prop_assert_eq!(&repr.emit()[..], &bytes[..BYTES]);
            }
        }
    }
}
