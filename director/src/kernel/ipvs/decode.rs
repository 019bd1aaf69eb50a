//! Answers of the family IPVS as values. What is unknown, cut short or out of range is left out, never guessed.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use director_core::ipvs::{
    ActualDest, Checksum, Counters, Dest, DestId, FLAGS_OURS, Forwarding, Protocol, Scheduler,
    Service, ServiceId, SyncDaemon, SyncRole, SyncWire, Timeouts, Tunnel,
};
use director_core::net::{Family, IfName};
use neli::consts::genl::CtrlAttr;

use super::abi::{self, OfDaemon, OfDest, OfService, OfStats, Top};
use crate::kernel::netlink::{attributes, native_u16, native_u32, native_u64};

/// Bytes of a `struct genlmsghdr`, which stands before the attributes.
const GENERIC_HEADER: usize = 4;

/// The number of the family, out of the answer to CTRL_CMD_GETFAMILY.
#[must_use]
pub(super) fn family_number(payload: &[u8]) -> Option<u16> {
    let wanted = u16::from(CtrlAttr::FamilyId);
    attributes(payload.get(GENERIC_HEADER..)?)
        .find(|(kind, _)| *kind == wanted)
        .and_then(|(_, value)| native_u16(value))
}

/// One service of a dump.
#[must_use]
pub(super) fn service(payload: &[u8]) -> Option<(ServiceId, Service)> {
    let mut fields = ServiceFields::default();
    for (kind, value) in nested(payload, Top::Service)? {
        fields.take(OfService::from(kind), value);
    }
    fields.finish()
}

/// The attributes of a service as they come.
#[derive(Default)]
struct ServiceFields<'a> {
    family: Option<Family>,
    protocol: Option<Protocol>,
    address: Option<&'a [u8]>,
    port: u16,
    mark: Option<u32>,
    scheduler: Option<Scheduler>,
    flags: u32,
    timeout_s: u32,
    netmask: Option<u32>,
    sip: bool,
}

impl<'a> ServiceFields<'a> {
    fn take(&mut self, kind: OfService, value: &'a [u8]) {
        match kind {
            OfService::Family => self.family = family(value),
            OfService::Protocol => {
                let number = native_u16(value).and_then(|number| u8::try_from(number).ok());
                self.protocol = number.and_then(Protocol::from_number);
            }
            OfService::Address => self.address = Some(value),
            OfService::Port => self.port = port(value),
            OfService::Fwmark => self.mark = native_u32(value),
            OfService::Scheduler => {
                self.scheduler = text(value).and_then(|name| Scheduler::from_str(name).ok());
            }
            OfService::Flags => self.flags = native_u32(value).unwrap_or(0) & FLAGS_OURS,
            OfService::Timeout => self.timeout_s = native_u32(value).unwrap_or(0),
            OfService::Netmask => self.netmask = native_u32(value),
            OfService::Engine => self.sip = text(value) == Some(abi::ENGINE_SIP),
            OfService::UnrecognizedConst(_) => {}
        }
    }

    fn finish(self) -> Option<(ServiceId, Service)> {
        let family = self.family?;
        let id = match self.mark {
            Some(mark) => ServiceId::Fwmark { family, mark },
            None => ServiceId::Address {
                protocol: self.protocol?,
                address: address(family, self.address?)?,
                port: self.port,
            },
        };
        let granularity = match (family, self.netmask) {
            (Family::V4, Some(mask)) => u32::from_be(mask).leading_ones(),
            (Family::V6, Some(prefix)) => prefix,
            (Family::V4, None) => 32,
            (Family::V6, None) => 128,
        };
        let service = Service {
            scheduler: self.scheduler?,
            flags: self.flags,
            timeout_s: self.timeout_s,
            granularity: u8::try_from(granularity).ok()?,
            sip: self.sip,
        };
        Some((id, service))
    }
}

/// One dest of a dump of a service of this family.
#[must_use]
pub(super) fn dest(payload: &[u8], of: Family) -> Option<(DestId, ActualDest)> {
    let (mut address_family, mut bytes, mut number) = (of, None, 0);
    let mut dest = Dest {
        forwarding: Forwarding::Nat,
        weight: 0,
        upper: 0,
        lower: 0,
    };
    let mut counters = Counters::default();
    let mut tunnel = (0, 0, 0);
    let mut method = 0;
    for (kind, value) in nested(payload, Top::Dest)? {
        let count = native_u32(value).unwrap_or(0);
        match OfDest::from(kind) {
            OfDest::Family => address_family = family(value)?,
            OfDest::Address => bytes = Some(value),
            OfDest::Port => number = port(value),
            OfDest::Forwarding => method = count,
            OfDest::TunnelType => tunnel.0 = value.first().copied().unwrap_or(0),
            OfDest::TunnelPort => tunnel.1 = port(value),
            OfDest::TunnelFlags => tunnel.2 = native_u16(value).unwrap_or(0),
            OfDest::Weight => dest.weight = count,
            OfDest::Upper => dest.upper = count,
            OfDest::Lower => dest.lower = count,
            OfDest::Active => counters.active = count,
            OfDest::Inactive => counters.inactive = count,
            OfDest::Persistent => counters.persistent = count,
            OfDest::Stats64 => add_stats(&mut counters, value),
            OfDest::UnrecognizedConst(_) => {}
        }
    }
    dest.forwarding = forwarding(method, tunnel);
    let id = DestId {
        address: address(address_family, bytes?)?,
        port: number,
    };
    Some((id, ActualDest { dest, counters }))
}

/// The methods that nobody can configure (LOCALNODE, BYPASS) read as NAT, which is what they come closest to; a pool
/// that wants something else sets it anew.
fn forwarding(method: u32, (kind, port, flags): (u8, u16, u16)) -> Forwarding {
    let checksum = match flags {
        abi::TUNNEL_CSUM => Checksum::Full,
        abi::TUNNEL_REMCSUM => Checksum::Remote,
        _ => Checksum::None,
    };
    match method & abi::FORWARD_MASK {
        abi::FORWARD_TUN => Forwarding::Tun(match kind {
            abi::TUNNEL_GUE => Tunnel::Gue { port, checksum },
            abi::TUNNEL_GRE => Tunnel::Gre { checksum },
            _ => Tunnel::Ipip,
        }),
        abi::FORWARD_DR => Forwarding::Dr,
        _ => Forwarding::Nat,
    }
}

fn add_stats(counters: &mut Counters, bytes: &[u8]) {
    for (kind, value) in attributes(bytes) {
        let count = native_u64(value).unwrap_or(0);
        match OfStats::from(kind) {
            OfStats::Connections => counters.connections = count,
            OfStats::PacketsIn => counters.packets_in = count,
            OfStats::PacketsOut => counters.packets_out = count,
            OfStats::BytesIn => counters.bytes_in = count,
            OfStats::BytesOut => counters.bytes_out = count,
            OfStats::UnrecognizedConst(_) => {}
        }
    }
}

/// One synchronisation daemon of a dump.
#[must_use]
pub(super) fn daemon(payload: &[u8]) -> Option<(SyncRole, SyncDaemon)> {
    let (mut role, mut interface, mut id, mut wire) = (None, None, 0, SyncWire::default());
    for (kind, value) in nested(payload, Top::Daemon)? {
        match OfDaemon::from(kind) {
            OfDaemon::State => {
                role = match native_u32(value)? {
                    abi::STATE_MASTER => Some(SyncRole::Master),
                    abi::STATE_BACKUP => Some(SyncRole::Backup),
                    _ => None,
                };
            }
            OfDaemon::Interface => {
                interface = text(value).and_then(|name| IfName::from_str(name).ok());
            }
            OfDaemon::Id => id = u8::try_from(native_u32(value)?).ok()?,
            OfDaemon::Maxlen => wire.maxlen = native_u16(value)?,
            OfDaemon::Group => wire.group = address(Family::V4, value)?,
            OfDaemon::Group6 => wire.group = address(Family::V6, value)?,
            OfDaemon::Port => wire.port = native_u16(value)?,
            OfDaemon::Ttl => wire.ttl = *value.first()?,
            OfDaemon::UnrecognizedConst(_) => {}
        }
    }
    Some((
        role?,
        SyncDaemon {
            interface: interface?,
            id,
            wire,
        },
    ))
}

/// The timeouts; a kernel that is built without a protocol has none for it.
#[must_use]
pub(super) fn timeouts(payload: &[u8]) -> Option<Timeouts> {
    let [mut tcp, mut fin, mut udp] = Timeouts::default();
    for (kind, value) in attributes(payload.get(GENERIC_HEADER..)?) {
        match Top::from(kind) {
            Top::TimeoutTcp => tcp = native_u32(value)?,
            Top::TimeoutTcpFin => fin = native_u32(value)?,
            Top::TimeoutUdp => udp = native_u32(value)?,
            _ => {}
        }
    }
    Some([tcp, fin, udp])
}

/// The attributes within the first attribute of this type.
fn nested(payload: &[u8], wanted: Top) -> Option<impl Iterator<Item = (u16, &[u8])>> {
    let wanted = u16::from(wanted);
    let (_, value) =
        attributes(payload.get(GENERIC_HEADER..)?).find(|(kind, _)| *kind == wanted)?;
    Some(attributes(value))
}

fn family(value: &[u8]) -> Option<Family> {
    match i32::from(native_u16(value)?) {
        libc::AF_INET => Some(Family::V4),
        libc::AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

fn address(family: Family, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        Family::V4 => bytes
            .first_chunk::<4>()
            .map(|octets| Ipv4Addr::from(*octets).into()),
        Family::V6 => bytes
            .first_chunk::<16>()
            .map(|octets| Ipv6Addr::from(*octets).into()),
    }
}

fn port(value: &[u8]) -> u16 {
    value
        .first_chunk()
        .map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

/// A string up to its NUL.
fn text(value: &[u8]) -> Option<&str> {
    let end = value
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(value.len());
    value
        .get(..end)
        .and_then(|bytes| core::str::from_utf8(bytes).ok())
}
