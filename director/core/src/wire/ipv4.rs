//! The IPv4 header (RFC 791), as far as a raw socket's reader needs it.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+-------------------------------+
//! |Version|  IHL  |      TOS      |          Total Length         |
//! +-------+-------+---------------+-----+-------------------------+
//! |         Identification        |Flags|     Fragment Offset     |
//! +---------------+---------------+-----+-------------------------+
//! |      TTL      |    Protocol   |        Header Checksum        |
//! +---------------+---------------+-------------------------------+
//! |                         Source Address                        |
//! +---------------------------------------------------------------+
//! |                      Destination Address                      |
//! +---------------------------------------------------------------+
//! |                        Options (IHL > 5)                      |
//! +---------------------------------------------------------------+
//! ```
//!
//! The kernel has verified the header checksum and put fragments together before a raw socket sees the packet.

use core::fmt;
use core::net::Ipv4Addr;

use super::checksum::Sum;

/// IP protocol number of VRRP.
pub const PROTOCOL_VRRP: u8 = 112;

/// Flag DF, in the seventh byte.
const DONT_FRAGMENT: u8 = 0x40;

/// Bytes of a header without options.
pub const HEADER_BYTES: usize = 20;

/// The fields that matter to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// It must not be cut into fragments on its way, and needs no identification then (RFC 6864 section 4.1).
    pub dont_fragment: bool,
}

/// Why bytes are not an IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fewer bytes than the header or the total length say.
    Truncated,
    /// Not version 4.
    Version,
    /// IHL below 5, or a total length below the header's.
    HeaderLength,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated IPv4 packet",
            Self::Version => "not IPv4",
            Self::HeaderLength => "wrong IPv4 header length",
        })
    }
}

impl Repr {
    /// The header before a payload of so many bytes. A raw socket fills in length and checksum anew, and an
    /// identification where there is none (raw(7)); a packet socket does not.
    #[must_use]
    pub fn emit(&self, tos: u8, payload_bytes: u16) -> [u8; HEADER_BYTES] {
        let total = payload_bytes.saturating_add(HEADER_BYTES as u16);
        let [total_hi, total_lo] = total.to_be_bytes();
        let [s0, s1, s2, s3] = self.source.octets();
        let [d0, d1, d2, d3] = self.destination.octets();
        let mut header = [
            0x45,
            tos,
            total_hi,
            total_lo,
            0,
            0,
            if self.dont_fragment { DONT_FRAGMENT } else { 0 },
            0,
            self.ttl,
            self.protocol,
            0,
            0,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
        ];
        let [hi, lo] = (!Sum::new().plus(&header).folded()).to_be_bytes();
        (header[10], header[11]) = (hi, lo);
        header
    }

    /// Reads a header and returns it with the payload, cut to the total length: padding behind it is left away.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Error::Truncated);
        };
        let [
            version_ihl,
            _,
            total_hi,
            total_lo,
            _,
            _,
            flags,
            _,
            ttl,
            protocol,
            _,
            _,
            rest @ ..,
        ] = *header;
        let [s0, s1, s2, s3, d0, d1, d2, d3] = rest;
        if version_ihl >> 4 != 4 {
            return Err(Error::Version);
        }
        let header_length = usize::from(version_ihl & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([total_hi, total_lo]));
        if header_length < HEADER_BYTES || total < header_length {
            return Err(Error::HeaderLength);
        }
        let payload = bytes.get(header_length..total).ok_or(Error::Truncated)?;
        let repr = Self {
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
            ttl,
            protocol,
            dont_fragment: flags & DONT_FRAGMENT != 0,
        };
        Ok((repr, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACKET: [u8; 26] = [
        0x45, 0xc0, 0x00, 0x18, 0x12, 0x34, 0x00, 0x00, 0xff, 0x70, 0x00, 0x00, // fixed part
        192, 0, 2, 1, 224, 0, 0, 18, // addresses
        1, 2, 3, 4, // payload
        0, 0, // Ethernet padding
    ];

    #[test]
    fn a_header_is_written_with_its_length_and_its_checksum() {
        let repr = Repr {
            source: Ipv4Addr::new(192, 0, 2, 1),
            destination: Ipv4Addr::new(224, 0, 0, 18),
            ttl: 255,
            protocol: PROTOCOL_VRRP,
            dont_fragment: false,
        };
        let whole = Repr {
            dont_fragment: true,
            ..repr
        };
        for (repr, flags) in [(repr, 0), (whole, 0x40)] {
            let header = repr.emit(0xc0, 4);
            let fixed = [0x45, 0xc0, 0, 24, 0, 0, flags, 0, 255, 112];
            assert_eq!(header[..10], fixed);
            assert_eq!(header[12..], [192, 0, 2, 1, 224, 0, 0, 18]);
            assert_eq!(Sum::new().plus(&header).folded(), 0xffff);
            let packet = [&header[..], &[1, 2, 3, 4]].concat();
            assert_eq!(Repr::parse(&packet), Ok((repr, &[1, 2, 3, 4][..])));
        }
    }

    #[test]
    fn a_header_is_read_and_padding_cut_off() {
        let (repr, payload) = Repr::parse(&PACKET).unwrap();
        assert_eq!(
            repr,
            Repr {
                source: Ipv4Addr::new(192, 0, 2, 1),
                destination: Ipv4Addr::new(224, 0, 0, 18),
                ttl: 255,
                protocol: PROTOCOL_VRRP,
                dont_fragment: false,
            }
        );
        assert_eq!(payload, [1, 2, 3, 4]);
    }

    #[test]
    fn options_are_skipped() {
        let mut packet = PACKET.to_vec();
        packet[0] = 0x46;
        let (_, payload) = Repr::parse(&packet).unwrap();
        assert_eq!(payload, []);
    }

    #[test]
    fn each_kind_of_broken_header_is_named() {
        let cases: [(usize, u8, Error); 5] = [
            (0, 0x65, Error::Version),
            (0, 0x44, Error::HeaderLength),
            (0, 0x47, Error::HeaderLength),
            (3, 19, Error::HeaderLength),
            (3, 27, Error::Truncated),
        ];
        for (at, value, error) in cases {
            let mut packet = PACKET;
            packet[at] = value;
            assert_eq!(Repr::parse(&packet), Err(error), "byte {at} = {value}");
        }
        assert_eq!(Repr::parse(&PACKET[..19]), Err(Error::Truncated));
        assert_eq!(Repr::parse(&[]), Err(Error::Truncated));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok((_, payload)) = Repr::parse(&bytes) {
                prop_assert!(payload.len() <= bytes.len() - HEADER_BYTES);
            }
        }
    }
}
