//! Numbers of the generic netlink family IPVS (linux/ip_vs.h).

#![allow(
    missing_docs,
    reason = "the names are the kernel's, without IPVS_CMD_, IPVS_CMD_ATTR_ and the like"
)]

use neli::neli_enum;

/// The family's name.
pub(super) const FAMILY: &str = "IPVS";
/// The family's version.
pub(super) const VERSION: u8 = 1;
/// IP_VS_CONN_F_MASQ: NAT.
pub(super) const FORWARD_NAT: u32 = 0;
/// IP_VS_CONN_F_TUNNEL.
pub(super) const FORWARD_TUN: u32 = 2;
/// IP_VS_CONN_F_DROUTE.
pub(super) const FORWARD_DR: u32 = 3;
/// IP_VS_CONN_F_FWD_MASK.
pub(super) const FORWARD_MASK: u32 = 7;
/// IP_VS_CONN_F_TUNNEL_TYPE_IPIP.
pub(super) const TUNNEL_IPIP: u8 = 0;
/// IP_VS_CONN_F_TUNNEL_TYPE_GUE.
pub(super) const TUNNEL_GUE: u8 = 1;
/// IP_VS_CONN_F_TUNNEL_TYPE_GRE.
pub(super) const TUNNEL_GRE: u8 = 2;
/// IP_VS_TUNNEL_ENCAP_FLAG_CSUM.
pub(super) const TUNNEL_CSUM: u16 = 1;
/// IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM.
pub(super) const TUNNEL_REMCSUM: u16 = 2;
/// The only persistence engine that the kernel has.
pub(super) const ENGINE_SIP: &str = "sip";
/// IP_VS_STATE_MASTER.
pub(super) const STATE_MASTER: u32 = 1;
/// IP_VS_STATE_BACKUP.
pub(super) const STATE_BACKUP: u32 = 2;

/// Commands.
#[neli_enum(serialized_type = "u8")]
pub(super) enum Command {
    NewService = 1,
    SetService = 2,
    DelService = 3,
    GetService = 4,
    NewDest = 5,
    SetDest = 6,
    DelDest = 7,
    GetDest = 8,
    NewDaemon = 9,
    DelDaemon = 10,
    GetDaemon = 11,
    SetConfig = 12,
    GetConfig = 13,
}

/// Attributes of a message.
#[neli_enum(serialized_type = "u16")]
pub(super) enum Top {
    Service = 1,
    Dest = 2,
    Daemon = 3,
    TimeoutTcp = 4,
    TimeoutTcpFin = 5,
    TimeoutUdp = 6,
}

/// Attributes of a service.
#[neli_enum(serialized_type = "u16")]
pub(super) enum OfService {
    Family = 1,
    Protocol = 2,
    Address = 3,
    Port = 4,
    Fwmark = 5,
    Scheduler = 6,
    Flags = 7,
    Timeout = 8,
    Netmask = 9,
    Engine = 11,
}

/// Attributes of a dest.
#[neli_enum(serialized_type = "u16")]
pub(super) enum OfDest {
    Address = 1,
    Port = 2,
    Forwarding = 3,
    Weight = 4,
    Upper = 5,
    Lower = 6,
    Active = 7,
    Inactive = 8,
    Persistent = 9,
    Family = 11,
    Stats64 = 12,
    TunnelType = 13,
    TunnelPort = 14,
    TunnelFlags = 15,
}

/// Attributes of a synchronisation daemon.
#[neli_enum(serialized_type = "u16")]
pub(super) enum OfDaemon {
    State = 1,
    Interface = 2,
    Id = 3,
    Maxlen = 4,
    Group = 5,
    Group6 = 6,
    Port = 7,
    Ttl = 8,
}

/// Counters within [`OfDest::Stats64`], each of 64 bits.
#[neli_enum(serialized_type = "u16")]
pub(super) enum OfStats {
    Connections = 1,
    PacketsIn = 2,
    PacketsOut = 3,
    BytesIn = 4,
    BytesOut = 5,
}
