//! Requests to the family IPVS as bytes.

use core::fmt;
use core::net::IpAddr;
use std::io::Cursor;

use director_core::ipvs::{
    Checksum, Dest, DestId, Forwarding, Service, ServiceId, SyncDaemon, SyncRole, SyncWire,
    Timeouts, Tunnel,
};
use director_core::kernel::Op;
use director_core::net::Family;
use neli::consts::genl::{Cmd, CtrlAttr, CtrlCmd, NlAttrType};
use neli::consts::nl::NlmF;
use neli::genl::{AttrTypeBuilder, GenlmsghdrBuilder, Nlattr, NlattrBuilder};
use neli::nl::{NlPayload, NlmsghdrBuilder};
use neli::types::{Buffer, GenlBuffer};
use neli::{Size, ToBytes};

use super::abi::{self, Command, OfDaemon, OfDest, OfService, Top};

/// neli could not write a message; with the fixed fields used here it never happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EncodeError;

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a netlink message could not be written")
    }
}

type Attributes<T> = Vec<Nlattr<T, Buffer>>;
type Encoded<T> = Result<T, EncodeError>;

/// Where requests are written to, one behind the other: several make one batch.
#[derive(Debug)]
pub(super) struct Writer {
    /// The family's number, as the kernel gave it.
    pub(super) family: u16,
    /// The bytes so far.
    pub(super) bytes: Cursor<Vec<u8>>,
}

impl Writer {
    /// An empty batch for the family of this number.
    #[must_use]
    pub(super) fn new(family: u16) -> Self {
        Self {
            family,
            bytes: Cursor::new(Vec::new()),
        }
    }

    /// CTRL_CMD_GETFAMILY: asks for the number of the family.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub(super) fn resolve(&mut self, sequence: u32) -> Encoded<()> {
        let name = vec![attribute(CtrlAttr::FamilyName, abi::FAMILY)?];
        let control = libc::GENL_ID_CTRL as u16;
        self.message(
            control,
            NlmF::REQUEST | NlmF::ACK,
            sequence,
            CtrlCmd::Getfamily,
            2,
            name,
        )
    }

    /// One operation, to be acknowledged. Operations of rtnetlink write nothing.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub(super) fn operation(&mut self, sequence: u32, op: &Op) -> Encoded<()> {
        let (command, attributes) = match op {
            Op::NewService(id, service) => (Command::NewService, vec![whole_service(id, service)?]),
            Op::SetService(id, service) => (Command::SetService, vec![whole_service(id, service)?]),
            Op::DelService(id) => (Command::DelService, vec![service(id)?]),
            Op::NewDest(id, dest, to) => {
                (Command::NewDest, vec![service(id)?, whole_dest(dest, to)?])
            }
            Op::SetDest(id, dest, to) => {
                (Command::SetDest, vec![service(id)?, whole_dest(dest, to)?])
            }
            Op::DelDest(id, dest) => (
                Command::DelDest,
                vec![service(id)?, nest(Top::Dest, dest_id(dest)?)?],
            ),
            Op::SetTimeouts(timeouts) => (Command::SetConfig, whole_timeouts(timeouts)?),
            Op::StartSync(role, daemon) => (Command::NewDaemon, vec![sync_daemon(*role, daemon)?]),
            Op::StopSync(role) => {
                let state = attribute(OfDaemon::State, sync_state(*role))?;
                (Command::DelDaemon, vec![nest(Top::Daemon, vec![state])?])
            }
            _ => return Ok(()),
        };
        self.request(sequence, NlmF::ACK, command, attributes)
    }

    /// A dump of all services.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub(super) fn dump_services(&mut self, sequence: u32) -> Encoded<()> {
        self.request(sequence, NlmF::DUMP, Command::GetService, Vec::new())
    }

    /// A dump of the dests of one service.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub(super) fn dump_dests(&mut self, sequence: u32, id: &ServiceId) -> Encoded<()> {
        self.request(sequence, NlmF::DUMP, Command::GetDest, vec![service(id)?])
    }

    /// A dump of the running synchronisation daemons.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub(super) fn dump_daemons(&mut self, sequence: u32) -> Encoded<()> {
        self.request(sequence, NlmF::DUMP, Command::GetDaemon, Vec::new())
    }

    /// The question for the timeouts.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub(super) fn get_timeouts(&mut self, sequence: u32) -> Encoded<()> {
        self.request(sequence, NlmF::ACK, Command::GetConfig, Vec::new())
    }

    fn request(
        &mut self,
        sequence: u32,
        flags: NlmF,
        command: Command,
        attributes: Attributes<Top>,
    ) -> Encoded<()> {
        self.message(
            self.family,
            NlmF::REQUEST | flags,
            sequence,
            command,
            abi::VERSION,
            attributes,
        )
    }

    fn message<C: Cmd, T: NlAttrType>(
        &mut self,
        kind: u16,
        flags: NlmF,
        sequence: u32,
        command: C,
        version: u8,
        attributes: Attributes<T>,
    ) -> Encoded<()> {
        let generic = GenlmsghdrBuilder::default()
            .cmd(command)
            .version(version)
            .attrs(attributes.into_iter().collect::<GenlBuffer<_, _>>())
            .build()
            .map_err(|_| EncodeError)?;
        NlmsghdrBuilder::default()
            .nl_type(kind)
            .nl_flags(flags)
            .nl_seq(sequence)
            .nl_payload(NlPayload::Payload(generic))
            .build()
            .map_err(|_| EncodeError)?
            .to_bytes(&mut self.bytes)
            .map_err(|_| EncodeError)
    }
}

/// The identity of a service.
fn service(id: &ServiceId) -> Encoded<Nlattr<Top, Buffer>> {
    nest(Top::Service, service_id(id)?)
}

/// A service with all that NEW_SERVICE and SET_SERVICE demand.
fn whole_service(id: &ServiceId, service: &Service) -> Encoded<Nlattr<Top, Buffer>> {
    // struct ip_vs_flags: the flags, and a mask of those that count.
    let flags = [service.flags.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat();
    let mut attributes = service_id(id)?;
    attributes.push(attribute(OfService::Scheduler, service.scheduler.as_str())?);
    attributes.push(attribute(OfService::Flags, Buffer::from(flags))?);
    attributes.push(attribute(OfService::Timeout, service.timeout_s)?);
    attributes.push(attribute(
        OfService::Netmask,
        netmask(id.family(), service.granularity),
    )?);
    // Without the attribute the kernel takes an engine away.
    if service.sip {
        attributes.push(attribute(OfService::Engine, abi::ENGINE_SIP)?);
    }
    nest(Top::Service, attributes)
}

/// For IPv4 the mask in network order, for IPv6 the length of the prefix.
fn netmask(family: Family, granularity: u8) -> u32 {
    match family {
        Family::V4 => u32::MAX
            .checked_shl(32_u32.saturating_sub(granularity.into()))
            .unwrap_or(0)
            .to_be(),
        Family::V6 => granularity.into(),
    }
}

fn service_id(id: &ServiceId) -> Encoded<Attributes<OfService>> {
    let mut attributes = vec![attribute(OfService::Family, family(id.family()))?];
    match id {
        ServiceId::Address {
            protocol,
            address,
            port,
        } => {
            attributes.push(attribute(
                OfService::Protocol,
                u16::from(protocol.number()),
            )?);
            attributes.push(attribute(
                OfService::Address,
                Buffer::from(address_bytes(*address).to_vec()),
            )?);
            attributes.push(attribute(OfService::Port, port.to_be())?);
        }
        ServiceId::Fwmark { mark, .. } => attributes.push(attribute(OfService::Fwmark, *mark)?),
    }
    Ok(attributes)
}

/// A dest with all that NEW_DEST and SET_DEST demand.
fn whole_dest(id: &DestId, dest: &Dest) -> Encoded<Nlattr<Top, Buffer>> {
    let forwarding = match dest.forwarding {
        Forwarding::Nat => abi::FORWARD_NAT,
        Forwarding::Tun(_) => abi::FORWARD_TUN,
        Forwarding::Dr => abi::FORWARD_DR,
    };
    let mut attributes = dest_id(id)?;
    attributes.push(attribute(OfDest::Forwarding, forwarding)?);
    attributes.push(attribute(OfDest::Weight, dest.weight)?);
    attributes.push(attribute(OfDest::Upper, dest.upper)?);
    attributes.push(attribute(OfDest::Lower, dest.lower)?);
    if let Forwarding::Tun(tunnel) = dest.forwarding {
        let (kind, port, checksum) = match tunnel {
            Tunnel::Ipip => (abi::TUNNEL_IPIP, 0, Checksum::None),
            Tunnel::Gue { port, checksum } => (abi::TUNNEL_GUE, port, checksum),
            Tunnel::Gre { checksum } => (abi::TUNNEL_GRE, 0, checksum),
        };
        let flags = match checksum {
            Checksum::None => 0,
            Checksum::Full => abi::TUNNEL_CSUM,
            Checksum::Remote => abi::TUNNEL_REMCSUM,
        };
        attributes.push(attribute(OfDest::TunnelType, kind)?);
        attributes.push(attribute(OfDest::TunnelPort, port.to_be())?);
        attributes.push(attribute(OfDest::TunnelFlags, flags)?);
    }
    nest(Top::Dest, attributes)
}

fn dest_id(id: &DestId) -> Encoded<Attributes<OfDest>> {
    Ok(vec![
        attribute(OfDest::Family, family(Family::of(id.address)))?,
        attribute(
            OfDest::Address,
            Buffer::from(address_bytes(id.address).to_vec()),
        )?,
        attribute(OfDest::Port, id.port.to_be())?,
    ])
}

/// Those that are 0 the kernel leaves as they are.
fn whole_timeouts([tcp, fin, udp]: &Timeouts) -> Encoded<Attributes<Top>> {
    Ok(vec![
        attribute(Top::TimeoutTcp, *tcp)?,
        attribute(Top::TimeoutTcpFin, *fin)?,
        attribute(Top::TimeoutUdp, *udp)?,
    ])
}

fn sync_daemon(role: SyncRole, daemon: &SyncDaemon) -> Encoded<Nlattr<Top, Buffer>> {
    let SyncWire {
        maxlen,
        group,
        port,
        ttl,
    } = daemon.wire;
    let group = match group {
        IpAddr::V4(group) => attribute(OfDaemon::Group, Buffer::from(group.octets().to_vec()))?,
        IpAddr::V6(group) => attribute(OfDaemon::Group6, Buffer::from(group.octets().to_vec()))?,
    };
    let attributes = vec![
        attribute(OfDaemon::State, sync_state(role))?,
        attribute(OfDaemon::Interface, daemon.interface.as_str())?,
        attribute(OfDaemon::Id, u32::from(daemon.id))?,
        attribute(OfDaemon::Maxlen, maxlen)?,
        group,
        // In the order of this machine's bytes, unlike all other ports.
        attribute(OfDaemon::Port, port)?,
        attribute(OfDaemon::Ttl, ttl)?,
    ];
    nest(Top::Daemon, attributes)
}

const fn sync_state(role: SyncRole) -> u32 {
    match role {
        SyncRole::Master => abi::STATE_MASTER,
        SyncRole::Backup => abi::STATE_BACKUP,
    }
}

const fn family(family: Family) -> u16 {
    match family {
        Family::V4 => libc::AF_INET as u16,
        Family::V6 => libc::AF_INET6 as u16,
    }
}

/// `union nf_inet_addr`: an IPv4 address stands in the first four bytes.
fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
    }
}

fn nest<T: NlAttrType, U: NlAttrType>(
    kind: T,
    attributes: Attributes<U>,
) -> Encoded<Nlattr<T, Buffer>> {
    attributes
        .iter()
        .try_fold(attribute(kind, Buffer::new())?, |outer, inner| {
            outer.nest(inner).map_err(|_| EncodeError)
        })
}

fn attribute<T: NlAttrType, P: Size + ToBytes>(kind: T, payload: P) -> Encoded<Nlattr<T, Buffer>> {
    let kind = AttrTypeBuilder::default()
        .nla_type(kind)
        .build()
        .map_err(|_| EncodeError)?;
    NlattrBuilder::default()
        .nla_type(kind)
        .nla_payload(payload)
        .build()
        .map_err(|_| EncodeError)
}
