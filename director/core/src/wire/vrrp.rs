//! VRRP adverts for IPv4: version 2 (RFC 3768 section 5.1, with the PASS authentication of RFC 2338 section 5.3.6) and version 3
//! (RFC 9568 section 5.1).
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
//! |                       IPv4 Addresses ...                      |
//! +---------------------------------------------------------------+
//! |                 Authentication Data, 8 bytes                  |  version 2 only, always present
//! |                                                               |
//! +---------------------------------------------------------------+
//! ```
//!
//! The checksum of version 3 comes in two forms. RFC 9568 section 5.2.8 has the message alone for IPv4, as Cisco and
//! Juniper do; keepalived and FRR add a pseudo header. Both are accepted and told apart.

use core::fmt;
use core::net::Ipv4Addr;

use super::checksum::Sum;
use super::ipv4::{HEADER_BYTES as IP_HEADER_BYTES, PROTOCOL_VRRP};

/// The multicast group of VRRP over IPv4 (RFC 9568 section 5.1.1.2).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// The time to live of every advert (RFC 9568 section 5.1.1.3).
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
        /// Whether the checksum covers a pseudo header of the IPv4 addresses.
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
    pub addresses: &'a [[u8; 4]],
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
    /// Bytes of an advert with `count` addresses.
    #[must_use]
    pub const fn advert_bytes(self, count: usize) -> usize {
        let auth = match self {
            Self::V2 => AUTH_BYTES,
            Self::V3 => 0,
        };
        HEADER_BYTES + 4 * count + auth
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

    /// Reads what follows the IP header; the addresses of that header enter the checksum of version 3.
    ///
    /// The length must be that of the address count. Bytes behind it are ignored when the IP packet is no longer
    /// than the shortest Ethernet frame allows: then they are padding that a sender counted.
    pub fn parse(
        payload: &'a [u8],
        source: Ipv4Addr,
        destination: Ipv4Addr,
    ) -> Result<Self, Error> {
        let Some((header, body)) = payload.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Error::Length);
        };
        let [version_type, vrid, priority, count, byte4, byte5, _, _] = *header;
        let version = match version_type >> 4 {
            2 => Version::V2,
            3 => Version::V3,
            _ => return Err(Error::Version),
        };
        let length = version.advert_bytes(usize::from(count));
        let padded = IP_HEADER_BYTES + payload.len() <= ETHERNET_PAYLOAD_MIN;
        let message = payload.get(..length).ok_or(Error::Length)?;
        if payload.len() > length && !padded {
            return Err(Error::Length);
        }
        if version_type & 0x0f != TYPE_ADVERT {
            return Err(Error::Type);
        }
        let Some((addresses, rest)) = body.split_at_checked(4 * usize::from(count)) else {
            return Err(Error::Length);
        };
        let sum = Sum::new().add(message);
        let form = match version {
            Version::V2 if sum.folded() != VALID => return Err(Error::Checksum),
            Version::V2 => Form::V2 {
                interval_s: byte5,
                auth: Auth::read(byte4, rest),
            },
            Version::V3 => Form::V3 {
                interval_cs: u16::from_be_bytes([byte4 & 0x0f, byte5]),
                pseudo_header: match sum.folded() {
                    VALID => false,
                    _ if add_pseudo_header(sum, source, destination, length).folded() == VALID => {
                        true
                    }
                    _ => return Err(Error::Checksum),
                },
            },
        };
        let (addresses, _) = addresses.as_chunks();
        Ok(Self {
            vrid,
            priority,
            form,
            addresses,
        })
    }

    /// Writes the advert into `message`, whose old content is lost; allocates only when it has to grow.
    ///
    /// Addresses beyond 255 are left away, an interval beyond [`INTERVAL_CS_MAX`] is cut to it.
    pub fn emit(&self, source: Ipv4Addr, destination: Ipv4Addr, message: &mut Vec<u8>) {
        let count = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        let addresses = self.addresses.iter().take(usize::from(count));
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
        message.extend(addresses.flatten());
        if let Form::V2 { auth, .. } = self.form {
            message.extend(auth.data());
        }
        let mut sum = Sum::new().add(message);
        if let Form::V3 {
            pseudo_header: true,
            ..
        } = self.form
        {
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

/// Adds the pseudo header of RFC 5798 section 5.2.8 as keepalived and FRR read it for IPv4: addresses, zero, protocol, length.
fn add_pseudo_header(sum: Sum, source: Ipv4Addr, destination: Ipv4Addr, length: usize) -> Sum {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    sum.add(&source.octets())
        .add(&destination.octets())
        .add(&[0, PROTOCOL_VRRP])
        .add(&length.to_be_bytes())
}
