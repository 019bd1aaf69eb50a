//! What passes a switch, and as much of its content as the lab asks about.
//!
//! This reads the wire on its own account, not with the director's parsers: the lab is to notice when those and the
//! director's writers are wrong in the same way.
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_ARP: u16 = 0x0806;
const IP_PROTOCOL_VRRP: u8 = 112;
const IPV6_HEADER_BYTES: usize = 40;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Broadcast and multicast addresses have the lowest bit of their first byte set.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One frame as it entered a segment.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When the switch read it, by the host's monotonic clock.
    pub at: Instant,
    /// The node that sent it.
    pub node: Arc<str>,
    /// The segment it was sent on.
    pub segment: Arc<str>,
    /// All of it, from the destination address on.
    pub bytes: Arc<[u8]>,
}

/// A VRRP advert, of either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert {
    /// 2 or 3.
    pub version: u8,
    /// Virtual router id.
    pub vrid: u8,
    /// 0 says that the sender gives up, 255 that it owns the addresses.
    pub priority: u8,
    /// How often it promises to come.
    pub interval: Duration,
    /// IP source address.
    pub source: IpAddr,
    /// The first virtual address it names.
    pub first_address: Option<IpAddr>,
}

impl Frame {
    /// Who is to have it.
    pub fn destination(&self) -> Option<Mac> {
        array_at(&self.bytes, 0).map(Mac)
    }

    /// Who sent it, by its own account.
    pub fn source(&self) -> Option<Mac> {
        array_at(&self.bytes, 6).map(Mac)
    }

    /// The address that a gratuitous ARP (request or reply whose sender and target address are one, RFC 5227 3)
    /// announces, and the Ethernet address that it announces it for.
    pub fn arp_announcement(&self) -> Option<(Ipv4Addr, Mac)> {
        let arp = self.payload_of(ETHERTYPE_ARP)?;
        let sender: [u8; 4] = array_at(arp, 14)?;
        let target: [u8; 4] = array_at(arp, 24)?;
        let mac = array_at(arp, 8).map(Mac)?;
        (sender == target).then(|| (Ipv4Addr::from(sender), mac))
    }

    /// Where the IPv4 packet in it goes, if it is one.
    pub fn ipv4_destination(&self) -> Option<Ipv4Addr> {
        array_at::<4>(self.payload_of(ETHERTYPE_IPV4)?, 16).map(Ipv4Addr::from)
    }

    /// The VRRP advert in it, if it is one. Nothing is verified but the lengths.
    pub fn advert(&self) -> Option<Advert> {
        let (source, vrrp) = self.vrrp_over_ipv4().or_else(|| self.vrrp_over_ipv6())?;
        let first = *vrrp.first()?;
        if first & 0x0f != 1 {
            return None;
        }
        let version = first >> 4;
        let interval = match u16::from_be_bytes(array_at(vrrp, 4)?) {
            seconds if version == 2 => Duration::from_secs(u64::from(seconds & 0xff)),
            centiseconds => Duration::from_millis(u64::from(centiseconds & 0xfff) * 10),
        };
        Some(Advert {
            version,
            interval,
            vrid: *vrrp.get(1)?,
            priority: *vrrp.get(2)?,
            source,
            first_address: match source {
                IpAddr::V4(_) => array_at::<4>(vrrp, 8).map(IpAddr::from),
                IpAddr::V6(_) => array_at::<16>(vrrp, 8).map(IpAddr::from),
            }
            .filter(|_| vrrp.get(3).is_some_and(|n| *n > 0)),
        })
    }

    fn vrrp_over_ipv4(&self) -> Option<(IpAddr, &[u8])> {
        let packet = self.payload_of(ETHERTYPE_IPV4)?;
        let vrrp = packet.get(usize::from(packet.first()? & 0x0f) * 4..)?;
        let source = Ipv4Addr::from(array_at::<4>(packet, 12)?);
        (*packet.get(9)? == IP_PROTOCOL_VRRP).then_some((source.into(), vrrp))
    }

    fn vrrp_over_ipv6(&self) -> Option<(IpAddr, &[u8])> {
        let packet = self.payload_of(ETHERTYPE_IPV6)?;
        let vrrp = packet.get(IPV6_HEADER_BYTES..)?;
        let source = Ipv6Addr::from(array_at::<16>(packet, 8)?);
        (*packet.get(6)? == IP_PROTOCOL_VRRP).then_some((source.into(), vrrp))
    }

    fn payload_of(&self, ethertype: u16) -> Option<&[u8]> {
        (u16::from_be_bytes(array_at(&self.bytes, 12)?) == ethertype)
            .then(|| self.bytes.get(14..))?
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> Frame {
        Frame {
            at: Instant::now(),
            node: "d1".into(),
            segment: "lan".into(),
            bytes: bytes.into(),
        }
    }

    const ANNOUNCEMENT: &[u8] = &[
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0, 0, 1, 8, 6, // Ethernet
        0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0, 0, 1, 10, 77, 0, 100, 0, 0, 0, 0, 0, 0, 10, 77,
        0, 100,
    ];

    const ADVERT: &[u8] = &[
        1, 0, 0x5e, 0, 0, 0x12, 0x52, 0x54, 0, 0, 0, 1, 8, 0, // Ethernet
        0x45, 0xc0, 0, 32, 0, 0, 0, 0, 255, 112, 0, 0, 10, 77, 0, 11, 224, 0, 0, 18, // IPv4
        0x31, 51, 100, 1, 0, 100, 0, 0, 10, 77, 0, 100, // VRRP
    ];

    #[test]
    fn a_gratuitous_arp_announces_its_address() {
        let mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
        assert_eq!(
            frame(ANNOUNCEMENT).arp_announcement(),
            Some((Ipv4Addr::new(10, 77, 0, 100), mac))
        );
        let mut question = ANNOUNCEMENT.to_vec();
        question[41] = 50;
        assert_eq!(frame(&question).arp_announcement(), None);
    }

    #[test]
    fn an_advert_is_read_and_a_short_one_is_not() {
        let advert = frame(ADVERT).advert().unwrap();
        assert_eq!((advert.version, advert.vrid, advert.priority), (3, 51, 100));
        assert_eq!(advert.source, IpAddr::from([10, 77, 0, 11]));
        let group = Ipv4Addr::new(224, 0, 0, 18);
        assert_eq!(frame(ADVERT).ipv4_destination(), Some(group));
        assert_eq!(advert.first_address, Some(IpAddr::from([10, 77, 0, 100])));
        for length in 0..36 {
            assert_eq!(frame(&ADVERT[..length]).advert(), None, "{length} bytes");
        }
    }
}
