//! Requests to the family IPVS as bytes.

use core::net::IpAddr;

use director_core::ipvs::{
    Checksum, Dest, DestId, Forwarding, Service, ServiceId, SyncDaemon, SyncRole, SyncWire,
    Timeouts, Tunnel,
};
use director_core::kernel::Op;
use director_core::net::Family;
use neli::consts::genl::{CtrlAttr, CtrlCmd};

use super::abi::{self, Command, OfDaemon, OfDest, OfService, Top};
use crate::kernel::message::{ACK, Attributes, DUMP, Head, Requests};

/// Where requests are written to, one behind the other: several make one batch.
#[derive(Debug)]
pub(super) struct Writer {
    /// The family's number, as the kernel gave it.
    family: u16,
    requests: Requests,
}

impl Writer {
    /// An empty batch for the family of this number.
    #[must_use]
    pub(super) fn new(family: u16) -> Self {
        Self {
            family,
            requests: Requests::default(),
        }
    }

    /// Empties it.
    pub(super) fn clear(&mut self) {
        self.requests.bytes.clear();
    }

    /// The bytes so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.requests.bytes
    }

    /// CTRL_CMD_GETFAMILY: asks for the number of the family.
    pub(super) fn resolve(&mut self, sequence: u32) {
        let head = Head {
            kind: libc::GENL_ID_CTRL as u16,
            flags: ACK,
            sequence,
            header: [CtrlCmd::Getfamily.into(), 2, 0, 0],
        };
        self.requests.add(head, |control| {
            control.text(CtrlAttr::FamilyName.into(), abi::FAMILY);
        });
    }

    /// One operation; the kernel answers it when it refuses it, and otherwise if it is `acknowledged`. Operations of
    /// rtnetlink write nothing.
    pub(super) fn operation(&mut self, sequence: u32, op: &Op, acknowledged: bool) {
        let flags = if acknowledged { ACK } else { 0 };
        let mut request = |command, attributes: &dyn Fn(&mut Attributes<'_>)| {
            self.request(sequence, flags, command, attributes);
        };
        match op {
            Op::NewService(id, to) => request(Command::NewService, &|all| service(all, id, to)),
            Op::SetService(id, to) => request(Command::SetService, &|all| service(all, id, to)),
            Op::DelService(id) => request(Command::DelService, &|all| name(all, id)),
            Op::NewDest(id, at, to) => request(Command::NewDest, &|all| {
                name(all, id);
                dest(all, at, to);
            }),
            Op::SetDest(id, at, to) => request(Command::SetDest, &|all| {
                name(all, id);
                dest(all, at, to);
            }),
            Op::DelDest(id, at) => request(Command::DelDest, &|all| {
                name(all, id);
                all.nest(Top::Dest.into(), |dest| dest_id(dest, at));
            }),
            Op::SetTimeouts(to) => request(Command::SetConfig, &|all| timeouts(all, to)),
            Op::StartSync(role, daemon) => request(Command::NewDaemon, &|all| {
                all.nest(Top::Daemon.into(), |sync| sync_daemon(sync, *role, daemon));
            }),
            Op::StopSync(role) => request(Command::DelDaemon, &|all| {
                all.nest(Top::Daemon.into(), |sync| {
                    sync.native(OfDaemon::State.into(), sync_state(*role));
                });
            }),
            _ => {}
        }
    }

    /// A dump of all services.
    pub(super) fn dump_services(&mut self, sequence: u32) {
        self.request(sequence, DUMP, Command::GetService, |_| {});
    }

    /// A dump of the dests of one service.
    pub(super) fn dump_dests(&mut self, sequence: u32, id: &ServiceId) {
        self.request(sequence, DUMP, Command::GetDest, |all| name(all, id));
    }

    /// A dump of the running synchronisation daemons.
    pub(super) fn dump_daemons(&mut self, sequence: u32) {
        self.request(sequence, DUMP, Command::GetDaemon, |_| {});
    }

    /// The question for the timeouts.
    pub(super) fn get_timeouts(&mut self, sequence: u32) {
        self.request(sequence, ACK, Command::GetConfig, |_| {});
    }

    fn request(
        &mut self,
        sequence: u32,
        flags: u16,
        command: Command,
        attributes: impl Fn(&mut Attributes<'_>),
    ) {
        let head = Head {
            kind: self.family,
            flags,
            sequence,
            header: [command.into(), abi::VERSION, 0, 0],
        };
        self.requests.add(head, attributes);
    }
}

/// The identity of a service.
fn name(all: &mut Attributes<'_>, id: &ServiceId) {
    all.nest(Top::Service.into(), |service| service_id(service, id));
}

/// A service with all that NEW_SERVICE and SET_SERVICE demand.
fn service(all: &mut Attributes<'_>, id: &ServiceId, to: &Service) {
    all.nest(Top::Service.into(), |service| {
        service_id(service, id);
        service.text(OfService::Scheduler.into(), to.scheduler.as_str());
        // struct ip_vs_flags: the flags, and a mask of those that count.
        let flags = [to.flags.to_ne_bytes(), u32::MAX.to_ne_bytes()];
        service.put(OfService::Flags.into(), flags.as_flattened());
        service.native(OfService::Timeout.into(), to.timeout_s);
        service.native(
            OfService::Netmask.into(),
            netmask(id.family(), to.granularity),
        );
        // Without the attribute the kernel takes an engine away.
        if to.sip {
            service.text(OfService::Engine.into(), abi::ENGINE_SIP);
        }
    });
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

fn service_id(service: &mut Attributes<'_>, id: &ServiceId) {
    service.put(OfService::Family.into(), &family(id.family()).to_ne_bytes());
    match id {
        ServiceId::Address {
            protocol,
            address,
            port,
        } => {
            let protocol = u16::from(protocol.number());
            service.put(OfService::Protocol.into(), &protocol.to_ne_bytes());
            service.put(OfService::Address.into(), &address_bytes(*address));
            service.put(OfService::Port.into(), &port.to_be_bytes());
        }
        ServiceId::Fwmark { mark, .. } => service.native(OfService::Fwmark.into(), *mark),
    }
}

/// A dest with all that NEW_DEST and SET_DEST demand.
fn dest(all: &mut Attributes<'_>, id: &DestId, to: &Dest) {
    let forwarding = match to.forwarding {
        Forwarding::Nat => abi::FORWARD_NAT,
        Forwarding::Tun(_) => abi::FORWARD_TUN,
        Forwarding::Dr => abi::FORWARD_DR,
    };
    all.nest(Top::Dest.into(), |dest| {
        dest_id(dest, id);
        dest.native(OfDest::Forwarding.into(), forwarding);
        dest.native(OfDest::Weight.into(), to.weight);
        dest.native(OfDest::Upper.into(), to.upper);
        dest.native(OfDest::Lower.into(), to.lower);
        if let Forwarding::Tun(to) = to.forwarding {
            tunnel(dest, to);
        }
    });
}

fn tunnel(dest: &mut Attributes<'_>, tunnel: Tunnel) {
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
    dest.put(OfDest::TunnelType.into(), &[kind]);
    dest.put(OfDest::TunnelPort.into(), &port.to_be_bytes());
    dest.put(OfDest::TunnelFlags.into(), &flags.to_ne_bytes());
}

fn dest_id(dest: &mut Attributes<'_>, id: &DestId) {
    let family = family(Family::of(id.address));
    dest.put(OfDest::Family.into(), &family.to_ne_bytes());
    dest.put(OfDest::Address.into(), &address_bytes(id.address));
    dest.put(OfDest::Port.into(), &id.port.to_be_bytes());
}

/// Those that are 0 the kernel leaves as they are.
fn timeouts(all: &mut Attributes<'_>, [tcp, fin, udp]: &Timeouts) {
    all.native(Top::TimeoutTcp.into(), *tcp);
    all.native(Top::TimeoutTcpFin.into(), *fin);
    all.native(Top::TimeoutUdp.into(), *udp);
}

fn sync_daemon(sync: &mut Attributes<'_>, role: SyncRole, daemon: &SyncDaemon) {
    let SyncWire {
        maxlen,
        group,
        port,
        ttl,
    } = daemon.wire;
    sync.native(OfDaemon::State.into(), sync_state(role));
    sync.text(OfDaemon::Interface.into(), daemon.interface.as_str());
    sync.native(OfDaemon::Id.into(), daemon.id.into());
    sync.put(OfDaemon::Maxlen.into(), &maxlen.to_ne_bytes());
    match group {
        IpAddr::V4(group) => sync.put(OfDaemon::Group.into(), &group.octets()),
        IpAddr::V6(group) => sync.put(OfDaemon::Group6.into(), &group.octets()),
    }
    // In the order of this machine's bytes, unlike all other ports.
    sync.put(OfDaemon::Port.into(), &port.to_ne_bytes());
    sync.put(OfDaemon::Ttl.into(), &[ttl]);
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
