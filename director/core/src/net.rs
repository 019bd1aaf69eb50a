//! Names for the things of a network, so that an index is never taken for a VRID.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits;

/// The kernel's number of a link (`ifindex`, linux/if_link.h); never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ifindex(pub u32);

/// A 48-bit hardware address.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The hardware address of a virtual router: RFC 9568 section 7.3.
    #[must_use]
    pub const fn of_router(family: Family, vrid: u8) -> Self {
        let of_family = match family {
            Family::V4 => 1,
            Family::V6 => 2,
        };
        Self([0, 0, 0x5e, 0, of_family, vrid])
    }

    /// The hardware address of a multicast group: RFC 1112 section 6.4, RFC 2464 section 7.
    #[must_use]
    pub const fn of_group(group: IpAddr) -> Self {
        match group {
            IpAddr::V4(group) => {
                let [_, b, c, d] = group.octets();
                Self([1, 0, 0x5e, b & 0x7f, c, d])
            }
            IpAddr::V6(group) => {
                let [.., a, b, c, d] = group.octets();
                Self([0x33, 0x33, a, b, c, d])
            }
        }
    }

    /// Whether a device can have it: it is of one device alone, and not empty.
    #[must_use]
    pub const fn is_of_a_device(self) -> bool {
        let Self([first, b, c, d, e, f]) = self;
        first & 1 == 0 && (first | b | c | d | e | f) != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An address and a port: two thirds of the room that `SocketAddr` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Address.
    pub address: IpAddr,
    /// Port; 0 where there is none.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(Endpoint { address, port }: Endpoint) -> Self {
        Self::new(address, port)
    }
}

impl From<SocketAddr> for Endpoint {
    /// Without the scope of a link-local address, which is a matter of the interface.
    fn from(address: SocketAddr) -> Self {
        Self {
            address: address.ip(),
            port: address.port(),
        }
    }
}

/// Why a text is not what it should be: a short reason for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError(pub &'static str);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl FromStr for Mac {
    type Err = ParseError;

    /// Six pairs of hexadecimal digits with colons between.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        const WRONG: ParseError =
            ParseError("not a MAC address (six hexadecimal pairs with colons)");
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(WRONG)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| WRONG)?;
        }
        if parts.next().is_some() {
            Err(WRONG)
        } else {
            Ok(Self(bytes))
        }
    }
}

/// An interface name: at most 15 bytes, no blank, no slash (IFNAMSIZ, linux/if.h).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IfName(heapless::String<{ limits::IFNAME_MAX }>);

impl IfName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() || text == "." || text == ".." {
            return Err(ParseError("not an interface name"));
        }
        if text
            .bytes()
            .any(|byte| byte == b'/' || byte.is_ascii_whitespace() || byte == 0)
        {
            return Err(ParseError("an interface name has no blank and no slash"));
        }
        heapless::String::try_from(text)
            .map(Self)
            .map_err(|_| ParseError("an interface name has at most 15 bytes"))
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A name given by the operator (virtual router, group): at most [`limits::NAME_MAX`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Name(heapless::String<{ limits::NAME_MAX }>);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError("an empty name"));
        }
        heapless::String::try_from(text)
            .map(Self)
            .map_err(|_| ParseError("a name has at most 63 bytes"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An address with the length of its network prefix, as on an interface: `192.0.2.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cidr {
    /// The address itself, host bits included.
    pub address: IpAddr,
    /// Bits of network prefix: 0..=32 or 0..=128.
    pub prefix: u8,
}

impl Cidr {
    /// The address alone: /32 or /128.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self {
            address,
            prefix: if address.is_ipv4() { 32 } else { 128 },
        }
    }
}

impl FromStr for Cidr {
    type Err = ParseError;

    /// `ADDRESS[/PREFIX]`; without a prefix the address alone, as keepalived reads it.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| ParseError("not an IP address"))?;
        let mut cidr = Self::host(address);
        if let Some(prefix) = prefix {
            let bits: u8 = prefix
                .parse()
                .map_err(|_| ParseError("not a prefix length"))?;
            if bits > cidr.prefix {
                return Err(ParseError("a prefix longer than the address"));
            }
            cidr.prefix = bits;
        }
        Ok(cidr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// How an address is put on an interface, where that is not the usual way (linux/if_addr.h).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressOptions {
    /// The other end of a point-to-point link (IFA_ADDRESS); the prefix is then that of the other end.
    pub peer: Option<IpAddr>,
    /// Of IPv4: the broadcast address (IFA_BROADCAST), 0.0.0.0 for none; usually the last one of the network.
    pub broadcast: Option<Ipv4Addr>,
    /// Of IPv4: RT_SCOPE_.. (linux/rtnetlink.h), 0 for global.
    pub scope: u8,
    /// Of IPv4: what old tools call the interface with it (IFA_LABEL).
    pub label: Option<IfName>,
    /// IFA_F_NOPREFIXROUTE: it brings no route to its network.
    pub no_prefix_route: bool,
    /// Of IPv6, IFA_F_HOMEADDRESS: the home address of a mobile node (RFC 6275).
    pub home: bool,
    /// Of IPv6, IFA_F_MANAGETEMPADDR: a template of temporary addresses (RFC 8981); its network is a /64.
    pub manages_temporary: bool,
    /// Of IPv6: the kernel looks first whether another node has it, and it serves only after that.
    pub looks_for_duplicates: bool,
    /// How many seconds it may be the source of new connections, as somebody said it; [`AddressOptions::FOREVER`] for
    /// ever. What holds is [`AddressOptions::preferred`].
    pub preferred_s: Option<u32>,
}

impl AddressOptions {
    /// INFINITY_LIFE_TIME (net/addrconf.h).
    pub const FOREVER: u32 = u32::MAX;

    /// For how many seconds the address may be the source of new connections; none where nobody says it, for ever. A
    /// virtual address of IPv6, which has no network, may not be at all unless somebody does.
    #[must_use]
    pub fn preferred(&self, of: Cidr) -> Option<u32> {
        let is_virtual = of.address.is_ipv6() && of == Cidr::host(of.address);
        self.preferred_s.or_else(|| is_virtual.then_some(0))
    }
}

/// Address family, as a word for status and identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Bits of an address.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cidr_without_prefix_is_a_host() {
        assert_eq!(
            "192.0.2.1".parse::<Cidr>().unwrap().to_string(),
            "192.0.2.1/32"
        );
        assert_eq!("192.0.2.1/24".parse::<Cidr>().unwrap().prefix, 24);
        assert!("192.0.2.1/33".parse::<Cidr>().is_err());
        assert_eq!("2001:db8::1".parse::<Cidr>().unwrap().prefix, 128);
    }

    #[test]
    fn a_mac_is_six_pairs() {
        assert_eq!(
            "52:54:00:12:34:5F".parse::<Mac>().unwrap().to_string(),
            "52:54:00:12:34:5f"
        );
        for wrong in [
            "52:54:00:12:34",
            "52:54:00:12:34:56:78",
            "5:54:00:12:34:56",
            "zz:54:00:12:34:56",
            "",
        ] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_hardware_addresses_of_routers_and_groups_are_those_of_the_rfcs() {
        let router = |family| Mac::of_router(family, 51).to_string();
        assert_eq!(router(Family::V4), "00:00:5e:00:01:33");
        assert_eq!(router(Family::V6), "00:00:5e:00:02:33");
        let group = |text: &str| Mac::of_group(text.parse().unwrap()).to_string();
        assert_eq!(group("224.0.0.18"), "01:00:5e:00:00:12");
        assert_eq!(group("239.129.2.3"), "01:00:5e:01:02:03");
        assert_eq!(group("ff02::12"), "33:33:00:00:00:12");
    }

    #[test]
    fn an_interface_name_obeys_the_kernel() {
        assert!("eth0".parse::<IfName>().is_ok());
        for wrong in ["", ".", "..", "a/b", "a b", "sixteen-bytes-xx"] {
            assert!(wrong.parse::<IfName>().is_err(), "{wrong}");
        }
    }
}
