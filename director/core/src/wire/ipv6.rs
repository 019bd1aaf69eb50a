//! The IPv6 header (RFC 8200 section 3), for what is sent with a header of our own.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+---------------+---------------------------------------+
//! |Version| Traffic Class |              Flow Label               |
//! +-------+---------------+-------+---------------+---------------+
//! |         Payload Length        |  Next Header  |   Hop Limit   |
//! +-------------------------------+---------------+---------------+
//! |                 Source Address, 16 bytes                      |
//! |                 Destination Address, 16 bytes                 |
//! +---------------------------------------------------------------+
//! ```

use core::fmt;
use core::net::Ipv6Addr;

/// Bytes of the header; what follows it may be extension headers, which nobody here sends.
pub const HEADER_BYTES: usize = 40;

/// The fields that matter to us; the flow label is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// Traffic class.
    pub traffic_class: u8,
    /// Protocol of the payload.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
}

/// Why bytes are not an IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fewer bytes than the header or the payload length say.
    Truncated,
    /// Not version 6.
    Version,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated IPv6 packet",
            Self::Version => "not IPv6",
        })
    }
}

impl Repr {
    /// Reads a header and returns it with the payload, cut to the payload length.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let Some((header, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Error::Truncated);
        };
        let [v, t, _, _, l0, l1, next_header, hop_limit, addresses @ ..] = *header;
        let (addresses, _) = addresses.as_chunks::<16>();
        let [source, destination] = *addresses else {
            return Err(Error::Truncated);
        };
        if v >> 4 != 6 {
            return Err(Error::Version);
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let repr = Self {
            source: source.into(),
            destination: destination.into(),
            traffic_class: v << 4 | t >> 4,
            next_header,
            hop_limit,
        };
        Ok((repr, payload.get(..length).ok_or(Error::Truncated)?))
    }

    /// The header of a payload of `length` bytes.
    #[must_use]
    pub fn emit(&self, length: u16) -> [u8; HEADER_BYTES] {
        let class = self.traffic_class;
        let [l0, l1] = length.to_be_bytes();
        let first = [
            0x60 | class >> 4,
            class << 4,
            0,
            0,
            l0,
            l1,
            self.next_header,
            self.hop_limit,
        ];
        let parts: [&[u8]; 3] = [&first, &self.source.octets(), &self.destination.octets()];
        let mut bytes = [0; HEADER_BYTES];
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

    const HEADER: [u8; HEADER_BYTES] = [
        0x6c, 0, 0, 0, 0, 24, 112, 255, // traffic class 0xc0, 24 bytes of VRRP, hop limit 255
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // source
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, // destination
    ];
    const REPR: Repr = Repr {
        source: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        destination: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12),
        traffic_class: 0xc0,
        next_header: 112,
        hop_limit: 255,
    };

    #[test]
    fn a_header_is_written_and_read() {
        assert_eq!(REPR.emit(24), HEADER);
        let mut packet = HEADER.to_vec();
        assert_eq!(Repr::parse(&packet), Err(Error::Truncated));
        packet.resize(HEADER_BYTES + 30, 7);
        assert_eq!(Repr::parse(&packet), Ok((REPR, &[7; 24][..])));
        packet[0] = 0x4c;
        assert_eq!(Repr::parse(&packet), Err(Error::Version));
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
