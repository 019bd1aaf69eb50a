//! VRRP adverts: version 2 (RFC 3768 section 5.1, with the PASS authentication of RFC 2338 section 5.3.6) and
//! version 3 (RFC 9568 section 5.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! |Version|Type 1 | Virtual Rtr ID|   Priority    |  Addr Count   |
//! +-------+-------+---------------+---------------+---------------+
//! |   Auth Type   |  Interval, s  |           Checksum            |  version 2
//! +-------+-------+---------------+                               +
//! | Rsvd  |   Interval, 10 ms     |           Checksum            |  version 3
//! +-------+-----------------------+-------------------------------+
//! |                IPv4 (4 bytes) or IPv6 (16) Addresses ...      |
//! +---------------------------------------------------------------+
//! |                 Authentication Data, 8 bytes                  |  version 2 over IPv4, always present
//! |                                                               |
//! +---------------------------------------------------------------+
//! ```
//!
//! The checksum of version 3 comes in two forms over IPv4. RFC 9568 section 5.2.8 has the message alone, as Cisco and
//! Juniper do; keepalived and FRR add a pseudo header. Both are accepted and told apart. Over IPv6 there is always a
//! pseudo header (RFC 8200 section 8.1). Version 2 over IPv6 is nobody's standard, but keepalived speaks it: without
//! authentication data, and with the pseudo header.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::Sum;
use super::ipv4::{HEADER_BYTES as IP_HEADER_BYTES, PROTOCOL_VRRP};
use super::trailer::{self, Sequence, Trailer};
use crate::net::Family;

/// The multicast group of VRRP over IPv4 (RFC 9568 section 5.1.1.2).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// The multicast group of VRRP over IPv6 (RFC 9568 section 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// The time to live, or hop limit, of every advert (RFC 9568 sections 5.1.1.3 and 5.1.2.3).
pub const TTL: u8 = 255;

/// The type of service of our adverts: internetwork control, as keepalived sends it.
pub const TOS: u8 = 0xc0;

/// The longest interval that version 3 can say: 12 bits of 10 ms.
pub const INTERVAL_CS_MAX: u16 = 0x0fff;

/// Bytes before the addresses.
const HEADER_BYTES: usize = 8;

/// Bytes of authentication data in version 2.
const AUTH_BYTES: usize = 8;

/// Where the checksum is.
const CHECKSUM_AT: usize = 6;

/// What a message with a correct checksum sums up to.
const VALID: u16 = 0xffff;

/// Type 1, the only one.
const TYPE_ADVERT: u8 = 1;

/// The shortest payload of an Ethernet frame; shorter packets arrive with padding.
const ETHERNET_PAYLOAD_MIN: usize = 46;

/// Protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 3768.
    V2,
    /// RFC 9568.
    V3,
}

/// What differs between the versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Version 2.
    V2 {
        /// Advertisement interval in seconds.
        interval_s: u8,
        /// Authentication.
        auth: Auth,
    },
    /// Version 3.
    V3 {
        /// Maximum advertisement interval in units of 10 ms, at most [`INTERVAL_CS_MAX`].
        interval_cs: u16,
        /// Whether the checksum covers a pseudo header of the IP addresses; over IPv6 it always does.
        pseudo_header: bool,
    },
}

/// Authentication of version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Type 0: none.
    None,
    /// Type 1: a password in the clear, padded with zeros.
    Pass([u8; AUTH_BYTES]),
    /// Another type; 2 was the authentication header.
    Other(u8),
}

/// An advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// Virtual router identifier.
    pub vrid: u8,
    /// Priority; 0 gives up, 255 owns the addresses.
    pub priority: u8,
    /// The version and what only it has.
    pub form: Form,
    /// Virtual addresses, at most 255.
    pub addresses: Addresses<'a>,
}

/// The addresses of an advert as they are on the wire: all of the family that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses<'a> {
    /// Over IPv4.
    V4(&'a [[u8; 4]]),
    /// Over IPv6.
    V6(&'a [[u8; 16]]),
}

/// What proves who sent an advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The trailer.
    pub trailer: Trailer,
    /// The advert before it, which it covers.
    pub advert: &'a [u8],
}

/// Why bytes are not an advert: one counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Neither version 2 nor 3.
    Version,
    /// Shorter or longer than the address count says.
    Length,
    /// Not type 1.
    Type,
    /// The checksum is wrong in every accepted form.
    Checksum,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "neither VRRP version 2 nor 3",
            Self::Length => "wrong length of a VRRP packet",
            Self::Type => "not a VRRP advert",
            Self::Checksum => "wrong VRRP checksum",
        })
    }
}

/// The VRID of a payload, to find the virtual router that it is for; the rest may still be wrong.
#[must_use]
pub fn vrid(payload: &[u8]) -> Option<u8> {
    payload.get(1).copied()
}

impl Version {
    /// Bytes of an advert with `count` addresses of a family.
    #[must_use]
    pub const fn advert_bytes(self, family: Family, count: usize) -> usize {
        let auth = match (self, family) {
            (Self::V2, Family::V4) => AUTH_BYTES,
            _ => 0,
        };
        HEADER_BYTES + address_bytes(family) * count + auth
    }
}

/// Bytes of one address.
const fn address_bytes(family: Family) -> usize {
    match family {
        Family::V4 => 4,
        Family::V6 => 16,
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2 => "2",
            Self::V3 => "3",
        })
    }
}

impl<'a> Repr<'a> {
    /// The version.
    #[must_use]
    pub const fn version(&self) -> Version {
        match self.form {
            Form::V2 { .. } => Version::V2,
            Form::V3 { .. } => Version::V3,
        }
    }

    /// Reads what follows the IP header; the addresses of that header, both of one family, enter the checksum.
    ///
    /// The length must be that of the address count. Bytes behind it are ignored when the IP packet is no longer
    /// than the shortest Ethernet frame allows: then they are padding that a sender counted. Over IPv6 no advert is
    /// that short.
    pub fn parse(payload: &'a [u8], source: IpAddr, destination: IpAddr) -> Result<Self, Error> {
        match Self::parse_signed(payload, source, destination)? {
            (repr, None) => Ok(repr),
            (_, Some(_)) => Err(Error::Length),
        }
    }

    /// The same, with a trailer behind it where there is one ([`super::trailer`]). Over IPv6 both checksums are
    /// accepted, the one that covers the trailer and the one that does not.
    pub fn parse_signed(
        payload: &'a [u8],
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<(Self, Option<Signed<'a>>), Error> {
        let family = Family::of(source);
        let Some((header, body)) = payload.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Error::Length);
        };
        let [version_type, vrid, priority, count, byte4, byte5, _, _] = *header;
        let version = match version_type >> 4 {
            2 => Version::V2,
            3 => Version::V3,
            _ => return Err(Error::Version),
        };
        let length = version.advert_bytes(family, usize::from(count));
        let padded =
            family == Family::V4 && IP_HEADER_BYTES + payload.len() <= ETHERNET_PAYLOAD_MIN;
        let (message, behind) = payload.split_at_checked(length).ok_or(Error::Length)?;
        let trailer = Trailer::read(behind);
        if !behind.is_empty() && !padded && trailer.is_none() {
            return Err(Error::Length);
        }
        if version_type & 0x0f != TYPE_ADVERT {
            return Err(Error::Type);
        }
        let addresses = address_bytes(family) * usize::from(count);
        let Some((addresses, rest)) = body.split_at_checked(addresses) else {
            return Err(Error::Length);
        };
        let sum = Sum::new().plus(message);
        let plain = sum.folded() == VALID;
        let covered = |bytes: &[u8]| {
            let sum = Sum::new().plus(bytes);
            add_pseudo_header(sum, source, destination, bytes.len()).folded() == VALID
        };
        let pseudo =
            covered(message) || family == Family::V6 && trailer.is_some() && covered(payload);
        let pseudo_header = match (version, family) {
            (Version::V2, Family::V4) if plain => false,
            (Version::V3, Family::V4) if plain || pseudo => !plain,
            (_, Family::V6) if pseudo => true,
            _ => return Err(Error::Checksum),
        };
        let form = match version {
            Version::V2 => Form::V2 {
                interval_s: byte5,
                auth: Auth::read(byte4, rest),
            },
            Version::V3 => Form::V3 {
                interval_cs: u16::from_be_bytes([byte4 & 0x0f, byte5]),
                pseudo_header,
            },
        };
        let signed = trailer.map(|trailer| Signed {
            trailer,
            advert: message,
        });
        let addresses = Addresses::read(family, addresses);
        let repr = Self {
            vrid,
            priority,
            form,
            addresses,
        };
        Ok((repr, signed))
    }

    /// Writes the advert into `message`, with a trailer made with the key of this number.
    pub fn emit_signed(
        &self,
        source: IpAddr,
        destination: IpAddr,
        key: (u8, &[u8]),
        at: Sequence,
        message: &mut Vec<u8>,
    ) {
        self.emit(source, destination, message);
        trailer::append(message, source, key, at);
        if self.addresses.family() == Family::V6 {
            self.sum_up(source, destination, message);
        }
    }

    /// Writes the advert into `message`, whose old content is lost; allocates only when it has to grow.
    ///
    /// Addresses beyond 255 are left away, an interval beyond [`INTERVAL_CS_MAX`] is cut to it.
    pub fn emit(&self, source: IpAddr, destination: IpAddr, message: &mut Vec<u8>) {
        let family = self.addresses.family();
        let count = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        let addresses = self.addresses.bytes();
        let (version, [byte4, byte5]) = match self.form {
            Form::V2 { interval_s, auth } => (2, [auth.number(), interval_s]),
            Form::V3 { interval_cs, .. } => (3, interval_cs.min(INTERVAL_CS_MAX).to_be_bytes()),
        };
        let version_type = version << 4 | TYPE_ADVERT;
        message.clear();
        message.extend([
            version_type,
            self.vrid,
            self.priority,
            count,
            byte4,
            byte5,
            0,
            0,
        ]);
        message.extend(
            addresses
                .iter()
                .take(address_bytes(family) * usize::from(count)),
        );
        if let (Form::V2 { auth, .. }, Family::V4) = (self.form, family) {
            message.extend(auth.data());
        }
        self.sum_up(source, destination, message);
    }

    /// Writes the checksum of all that there is.
    fn sum_up(&self, source: IpAddr, destination: IpAddr, message: &mut [u8]) {
        let family = self.addresses.family();
        let checksum = CHECKSUM_AT..CHECKSUM_AT + 2;
        message
            .get_mut(checksum)
            .into_iter()
            .for_each(|bytes| bytes.fill(0));
        let mut sum = Sum::new().plus(message);
        let has_pseudo_header = match (self.form, family) {
            (_, Family::V6) => true,
            (Form::V2 { .. }, Family::V4) => false,
            (Form::V3 { pseudo_header, .. }, Family::V4) => pseudo_header,
        };
        if has_pseudo_header {
            sum = add_pseudo_header(sum, source, destination, message.len());
        }
        for (to, from) in message
            .iter_mut()
            .skip(CHECKSUM_AT)
            .zip(sum.checksum().to_be_bytes())
        {
            *to = from;
        }
    }
}

impl<'a> Addresses<'a> {
    /// Takes bytes for addresses; a rest that is no whole address is left away.
    fn read(family: Family, bytes: &'a [u8]) -> Self {
        match family {
            Family::V4 => Self::V4(bytes.as_chunks().0),
            Family::V6 => Self::V6(bytes.as_chunks().0),
        }
    }

    /// The family of all of them, also of none.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::V4(_) => Family::V4,
            Self::V6(_) => Family::V6,
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::V4(list) => list.len(),
            Self::V6(list) => list.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether both have the same addresses, in any order; each is free of duplicates.
    #[must_use]
    pub fn same(&self, other: &Addresses<'_>) -> bool {
        fn same<T: PartialEq>(one: &[T], other: &[T]) -> bool {
            one == other || one.len() == other.len() && one.iter().all(|item| other.contains(item))
        }
        match (self, other) {
            (Self::V4(one), Addresses::V4(other)) => same(one, other),
            (Self::V6(one), Addresses::V6(other)) => same(one, other),
            _ => false,
        }
    }

    const fn bytes(&self) -> &'a [u8] {
        match self {
            Self::V4(list) => list.as_flattened(),
            Self::V6(list) => list.as_flattened(),
        }
    }
}

impl Auth {
    /// Reads the type and the 8 bytes behind the addresses.
    fn read(number: u8, data: &[u8]) -> Self {
        match (number, data.first_chunk()) {
            (0, _) => Self::None,
            (1, Some(password)) => Self::Pass(*password),
            (other, _) => Self::Other(other),
        }
    }

    /// The authentication type (RFC 2338 section 5.3.6).
    const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Pass(_) => 1,
            Self::Other(number) => number,
        }
    }

    /// The authentication data; zero where the type has none.
    const fn data(self) -> [u8; AUTH_BYTES] {
        match self {
            Self::Pass(password) => password,
            Self::None | Self::Other(_) => [0; AUTH_BYTES],
        }
    }
}

/// Adds the pseudo header of RFC 8200 section 8.1: both addresses, length, protocol. RFC 5798 section 5.2.8 has the
/// same for IPv4, as keepalived and FRR read it. The sum does not depend on the order or the width of the fields.
fn add_pseudo_header(sum: Sum, source: IpAddr, destination: IpAddr, length: usize) -> Sum {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    sum.plus_address(source)
        .plus_address(destination)
        .plus(&[0, PROTOCOL_VRRP])
        .plus(&length.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const GROUP: IpAddr = IpAddr::V4(super::GROUP);
    const ADDRESSES: [[u8; 4]; 2] = [[192, 0, 2, 10], [192, 0, 2, 11]];

    // V2, V2_PASS and V3_PSEUDO are what keepalived 2.2.7 sends with this configuration.
    const V2: [u8; 24] = [
        0x21, 51, 150, 2, 0, 1, 0xc4, 0xb2, // header
        192, 0, 2, 10, 192, 0, 2, 11, // addresses
        0, 0, 0, 0, 0, 0, 0, 0, // no authentication
    ];
    const V2_PASS: [u8; 24] = [
        0x21, 51, 150, 2, 1, 1, 0x87, 0x66, // header
        192, 0, 2, 10, 192, 0, 2, 11, // addresses
        b's', b'e', b'c', b'r', b'e', b't', 0, 0, // password
    ];
    const V3: [u8; 16] = [
        0x31, 51, 150, 2, 0, 100, 0xb4, 0x4f, // header, checksum without pseudo header
        192, 0, 2, 10, 192, 0, 2, 11, // addresses
    ];
    const V3_PSEUDO: [u8; 16] = [
        0x31, 51, 150, 2, 0, 100, 0x11, 0xbb, // header, checksum with pseudo header
        192, 0, 2, 10, 192, 0, 2, 11, // addresses
    ];

    fn samples() -> [(&'static [u8], Repr<'static>); 4] {
        let repr = |form| Repr {
            vrid: 51,
            priority: 150,
            form,
            addresses: Addresses::V4(&ADDRESSES),
        };
        let v2 = |auth| Form::V2 {
            interval_s: 1,
            auth,
        };
        let v3 = |pseudo_header| Form::V3 {
            interval_cs: 100,
            pseudo_header,
        };
        [
            (&V2, repr(v2(Auth::None))),
            (&V2_PASS, repr(v2(Auth::Pass(*b"secret\0\0")))),
            (&V3, repr(v3(false))),
            (&V3_PSEUDO, repr(v3(true))),
        ]
    }

    #[test]
    fn static_bytes_are_read() {
        for (bytes, repr) in samples() {
            assert_eq!(Repr::parse(bytes, SOURCE, GROUP), Ok(repr));
            assert_eq!(vrid(bytes), Some(51));
        }
    }

    #[test]
    fn static_bytes_are_written() {
        let mut message = vec![1, 2, 3];
        for (bytes, repr) in samples() {
            repr.emit(SOURCE, GROUP, &mut message);
            assert_eq!(message, bytes, "{repr:?}");
            assert_eq!(message.len(), repr.version().advert_bytes(Family::V4, 2));
        }
    }

    #[test]
    fn an_advert_over_ipv6_has_these_bytes() {
        let link_local = IpAddr::from([0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe12, 0x3456]);
        let addresses =
            ["fe80::100", "2001:db8::100"].map(|text| text.parse::<Ipv6Addr>().unwrap().octets());
        let repr = Repr {
            vrid: 51,
            priority: 150,
            form: Form::V3 {
                interval_cs: 100,
                pseudo_header: true,
            },
            addresses: Addresses::V6(&addresses),
        };
        let mut message = Vec::new();
        repr.emit(link_local, GROUP_V6.into(), &mut message);
        assert_eq!(message[..6], [0x31, 51, 150, 2, 0, 100]);
        assert_eq!(message[8..], *addresses.as_flattened());
        assert_eq!(Repr::parse(&message, link_local, GROUP_V6.into()), Ok(repr));
        // Over IPv6 a checksum of the message alone is none, and nothing is taken for padding.
        let mut alone = message.clone();
        alone[6..8].fill(0);
        let sum = Sum::new().plus(&alone).checksum().to_be_bytes();
        alone[6..8].copy_from_slice(&sum);
        let read = |bytes: &[u8]| Repr::parse(bytes, link_local, GROUP_V6.into()).err();
        assert_eq!(read(&alone), Some(Error::Checksum));
        message.push(0);
        assert_eq!(read(&message), Some(Error::Length));
    }

    #[test]
    fn each_kind_of_broken_packet_is_named() {
        let cases: [(usize, u8, Error); 8] = [
            (0, 0x11, Error::Version),
            (0, 0x41, Error::Version),
            (0, 0x22, Error::Type),
            (0, 0x20, Error::Type),
            (3, 3, Error::Length),
            (3, 0, Error::Length),
            (2, 151, Error::Checksum),
            (6, 0, Error::Checksum),
        ];
        for (at, value, error) in cases {
            let mut packet = V2_PASS.to_vec();
            packet[at] = value;
            // Longer than the shortest frame, so that nothing passes as padding.
            let padding = if error == Error::Length { 3 } else { 0 };
            packet.extend(vec![0; padding]);
            assert_eq!(
                Repr::parse(&packet, SOURCE, GROUP),
                Err(error),
                "byte {at} = {value}"
            );
        }
        for length in 0..V2.len() {
            let cut = Repr::parse(&V2[..length], SOURCE, GROUP);
            assert_eq!(cut, Err(Error::Length), "{length} bytes");
        }
    }

    #[test]
    fn a_checksum_of_v3_is_wrong_when_it_fits_neither_form() {
        let mut packet = V3_PSEUDO;
        packet[7] ^= 1;
        assert_eq!(Repr::parse(&packet, SOURCE, GROUP), Err(Error::Checksum));
        // Right for another source only.
        let other = IpAddr::from([192, 0, 2, 9]);
        assert_eq!(Repr::parse(&V3_PSEUDO, other, GROUP), Err(Error::Checksum));
    }

    #[test]
    fn padding_is_accepted_up_to_the_shortest_ethernet_frame() {
        for (bytes, repr) in samples() {
            let mut padded = bytes.to_vec();
            padded.resize(26, 0xee);
            assert_eq!(Repr::parse(&padded, SOURCE, GROUP), Ok(repr));
            padded.push(0);
            assert_eq!(Repr::parse(&padded, SOURCE, GROUP), Err(Error::Length));
        }
    }

    #[test]
    fn reserved_bits_and_other_authentication_types_are_read_for_what_they_are() {
        let repr = Repr {
            vrid: 1,
            priority: 0,
            form: Form::V2 {
                interval_s: 255,
                auth: Auth::Other(2),
            },
            addresses: Addresses::V4(&[]),
        };
        let mut message = Vec::new();
        repr.emit(SOURCE, GROUP, &mut message);
        assert_eq!(message[4..6], [2, 255]);
        assert_eq!(Repr::parse(&message, SOURCE, GROUP), Ok(repr));

        let mut reserved = V3;
        reserved[4] = 0xa0;
        reserved[6] = 0x14; // 0xa000 less
        let read = Repr::parse(&reserved, SOURCE, GROUP).unwrap();
        assert!(matches!(
            read.form,
            Form::V3 {
                interval_cs: 100,
                ..
            }
        ));
    }

    #[test]
    fn too_long_an_interval_is_cut_and_not_wrapped() {
        let repr = Repr {
            vrid: 1,
            priority: 1,
            form: Form::V3 {
                interval_cs: 0x1001,
                pseudo_header: false,
            },
            addresses: Addresses::V4(&[]),
        };
        let mut message = Vec::new();
        repr.emit(SOURCE, GROUP, &mut message);
        assert_eq!(message[4..6], [0x0f, 0xff]);
    }

    fn any_form() -> impl Strategy<Value = Form> {
        let auth = prop_oneof![
            Just(Auth::None),
            any::<[u8; 8]>().prop_map(Auth::Pass),
            (2..=255u8).prop_map(Auth::Other),
        ];
        prop_oneof![
            (any::<u8>(), auth).prop_map(|(interval_s, auth)| Form::V2 { interval_s, auth }),
            (0..=INTERVAL_CS_MAX, any::<bool>()).prop_map(|(interval_cs, pseudo_header)| {
                Form::V3 {
                    interval_cs,
                    pseudo_header,
                }
            }),
        ]
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), first in 0..4u8) {
            let mut bytes = bytes;
            if let Some(byte) = bytes.first_mut() {
                *byte = [0x21, 0x31, *byte, *byte][usize::from(first)];
            }
            let _ = Repr::parse(&bytes, SOURCE, GROUP);
            let _ = Repr::parse(&bytes, IpAddr::from([1; 16]), IpAddr::V6(GROUP_V6));
        }

        #[test]
        fn what_is_written_is_read_back(
            vrid in any::<u8>(),
            priority in any::<u8>(),
            form in any_form(),
            addresses in proptest::collection::vec(any::<[u8; 4]>(), 0..=255),
            source in any::<[u8; 4]>(),
        ) {
            let repr = Repr { vrid, priority, form, addresses: Addresses::V4(&addresses) };
            let mut message = Vec::new();
            repr.emit(source.into(), GROUP, &mut message);
            prop_assert_eq!(Repr::parse(&message, source.into(), GROUP), Ok(repr));
        }

        #[test]
        fn what_is_written_over_ipv6_is_read_back(
            priority in any::<u8>(),
            version2 in any::<bool>(),
            addresses in proptest::collection::vec(any::<[u8; 16]>(), 0..=255),
            source in any::<[u8; 16]>(),
        ) {
            let form = if version2 {
                Form::V2 { interval_s: 1, auth: Auth::None }
            } else {
                Form::V3 { interval_cs: 100, pseudo_header: true }
            };
            let repr = Repr { vrid: 51, priority, form, addresses: Addresses::V6(&addresses) };
            let (source, group) = (IpAddr::from(source), IpAddr::V6(GROUP_V6));
            let mut message = Vec::new();
            repr.emit(source, group, &mut message);
            prop_assert_eq!(message.len(), repr.version().advert_bytes(Family::V6, addresses.len()));
            prop_assert_eq!(Repr::parse(&message, source, group), Ok(repr));
        }

        #[test]
        fn a_flipped_bit_is_never_taken_for_the_same_advert(bit in 0..128usize) {
            let mut packet = V3_PSEUDO;
            packet[bit / 8] ^= 1 << (bit % 8);
            let read = Repr::parse(&packet, SOURCE, GROUP);
            prop_assert!(read.is_err(), "{read:?}");
        }
    }
}
