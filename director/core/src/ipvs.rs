//! The IPVS table as sorted values: what a service and a dest are (linux/ip_vs.h, generic netlink family `IPVS`).

mod pool;

use core::fmt;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use self::pool::{ActualDest, Counters, Dests, Pool, Table, Tallies};
use crate::net::{Family, IfName, ParseError};

/// Transport protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// IPPROTO_TCP.
    Tcp,
    /// IPPROTO_UDP.
    Udp,
    /// IPPROTO_SCTP.
    Sctp,
}

impl Protocol {
    /// The IANA protocol number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The protocol of an IANA number, of those IPVS balances by address.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            132 => Some(Self::Sctp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// Weights as the kernel takes them: a positive `int`.
pub const WEIGHT_MAX: u32 = i32::MAX as u32;

/// What identifies a service to the kernel: AF+PROTOCOL+ADDR+PORT or AF+FWMARK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ServiceId {
    /// By virtual address.
    Address {
        /// Protocol.
        protocol: Protocol,
        /// Virtual address.
        address: IpAddr,
        /// Port, 0 for all ports of a persistent service.
        port: u16,
    },
    /// By firewall mark.
    Fwmark {
        /// Family of the packets that carry the mark.
        family: Family,
        /// The mark, never 0.
        mark: u32,
    },
}

impl ServiceId {
    /// Family of the service's packets.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(*address),
            Self::Fwmark { family, .. } => *family,
        }
    }
}

impl ServiceId {
    /// Its virtual address; none for a firewall mark.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address { address, .. } => Some(*address),
            Self::Fwmark { .. } => None,
        }
    }

    /// Its port; 0 for a firewall mark.
    #[must_use]
    pub const fn port(&self) -> u16 {
        match self {
            Self::Address { port, .. } => *port,
            Self::Fwmark { .. } => 0,
        }
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address {
                protocol,
                address: IpAddr::V4(address),
                port,
            } => {
                write!(f, "{protocol} {address}:{port}")
            }
            Self::Address {
                protocol,
                address: IpAddr::V6(address),
                port,
            } => {
                write!(f, "{protocol} [{address}]:{port}")
            }
            Self::Fwmark { family, mark } => write!(f, "FWM {mark} {family}"),
        }
    }
}

/// A scheduler's kernel name: at most 15 bytes (IP_VS_SCHEDNAME_MAXLEN).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scheduler(heapless::String<15>);

impl Scheduler {
    /// Schedulers of the kernel, as keepalived names them.
    pub const KNOWN: [&'static str; 14] = [
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq",
        "twos",
    ];

    /// The kernel's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::str::FromStr for Scheduler {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        heapless::String::try_from(text)
            .map(Self)
            .map_err(|_| ParseError("a scheduler's name has at most 15 bytes"))
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// IP_VS_SVC_F_PERSISTENT: later connections of a client go to the same dest.
pub const FLAG_PERSISTENT: u32 = 0x1;
/// IP_VS_SVC_F_ONEPACKET: each UDP packet is scheduled by itself.
pub const FLAG_ONE_PACKET: u32 = 0x4;
/// IP_VS_SVC_F_SCHED1: fallback, for sh and mh.
pub const FLAG_SCHED1: u32 = 0x8;
/// IP_VS_SVC_F_SCHED2: port in the hash, for sh and mh.
pub const FLAG_SCHED2: u32 = 0x10;
/// IP_VS_SVC_F_SCHED3.
pub const FLAG_SCHED3: u32 = 0x20;
/// The flags a configuration decides; HASHED (0x2) is the kernel's own and never compared.
pub const FLAGS_OURS: u32 =
    FLAG_PERSISTENT | FLAG_ONE_PACKET | FLAG_SCHED1 | FLAG_SCHED2 | FLAG_SCHED3;

/// A service without its identity: what NEW_SERVICE and SET_SERVICE carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Scheduler.
    pub scheduler: Scheduler,
    /// `FLAG_*` bits, only those of [`FLAGS_OURS`].
    pub flags: u32,
    /// Persistence timeout in seconds; 0 without persistence.
    pub timeout_s: u32,
    /// Persistence granularity as a prefix length: 32 or 128 for single clients.
    pub granularity: u8,
    /// Persistence engine `sip` (PE_NAME): a client is told by the Call-ID of SIP instead of its address.
    pub sip: bool,
}

/// How packets reach a dest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Forwarding {
    /// VS/NAT, IP_VS_CONN_F_MASQ = 0.
    Nat,
    /// VS/TUN, IP_VS_CONN_F_TUNNEL = 2.
    Tun(Tunnel),
    /// VS/DR, IP_VS_CONN_F_DROUTE = 3.
    Dr,
}

/// What a packet is wrapped in on its way to a dest (IP_VS_CONN_F_TUNNEL_TYPE_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tunnel {
    /// IP in IP, of either family in either: type 0.
    Ipip,
    /// Generic UDP encapsulation: type 1.
    Gue {
        /// Destination port, never 0.
        port: u16,
        /// Checksum.
        checksum: Checksum,
    },
    /// Generic routing encapsulation: type 2.
    Gre {
        /// Checksum, never [`Checksum::Remote`].
        checksum: Checksum,
    },
}

/// Checksum of a tunnel's own header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Checksum {
    /// None.
    None,
    /// IP_VS_TUNNEL_ENCAP_FLAG_CSUM = 1.
    Full,
    /// IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM = 2: offloaded to the other end.
    Remote,
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, checksum) = match self {
            Self::Ipip => return f.write_str("ipip"),
            Self::Gue { port, checksum } => {
                write!(f, "gue port {port}")?;
                ("", checksum)
            }
            Self::Gre { checksum } => ("gre", checksum),
        };
        f.write_str(name)?;
        f.write_str(match checksum {
            Checksum::None => "",
            Checksum::Full => " csum",
            Checksum::Remote => " remcsum",
        })
    }
}

impl Forwarding {
    /// What packets are wrapped in, in words; empty for nothing.
    #[must_use]
    pub fn tunnel(&self) -> String {
        match self {
            Self::Tun(tunnel) => tunnel.to_string(),
            Self::Nat | Self::Dr => String::new(),
        }
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nat => "NAT",
            Self::Tun(_) => "TUN",
            Self::Dr => "DR",
        })
    }
}

/// What identifies a dest within its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DestId {
    /// Address of the real server.
    pub address: IpAddr,
    /// Port on the real server; 0 with fwmark services in DR and TUN.
    pub port: u16,
}

impl DestId {
    /// The identity that a dest has in one service: only NAT rewrites the port of a packet, and it keeps that too
    /// where the dest names none.
    #[must_use]
    pub const fn within(self, service: &ServiceId, forwarding: Forwarding) -> Self {
        match forwarding {
            Forwarding::Nat if self.port != 0 => self,
            _ => Self {
                address: self.address,
                port: service.port(),
            },
        }
    }
}

impl fmt::Display for DestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// A dest without its identity: what NEW_DEST and SET_DEST carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dest {
    /// Forwarding method.
    pub forwarding: Forwarding,
    /// Weight; 0 takes no new connections.
    pub weight: u32,
    /// Upper connection threshold; 0 for none.
    pub upper: u32,
    /// Lower connection threshold; 0 for the kernel's default.
    pub lower: u32,
}

/// Direction of the kernel's connection synchronisation (IP_VS_STATE_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SyncRole {
    /// Sends its connections: the Active node.
    Master,
    /// Receives connections: the Backup node.
    Backup,
}

impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

/// One of the kernel's two synchronisation daemons, as NEW_DAEMON takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemon {
    /// Kernel name of the interface it sends and receives on.
    pub interface: IfName,
    /// Synchronisation identifier, 0..=255; nodes of one pair share it.
    pub id: u8,
    /// How it speaks.
    pub wire: SyncWire,
}

/// How synchronisation daemons speak to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncWire {
    /// Longest datagram in bytes, 1..=65507: a sender collects connections until it is full, or for two seconds; a
    /// receiver takes no longer one.
    pub maxlen: u16,
    /// Multicast group.
    pub group: IpAddr,
    /// UDP port, never 0.
    pub port: u16,
    /// Time to live, or hop limit; never 0.
    pub ttl: u8,
}

impl SyncWire {
    /// What fits an Ethernet frame: the kernel's `maxlen` where none is given, and what each receiver takes at least.
    pub const FRAME: u16 = 1472;
}

/// The kernel's values (net/netfilter/ipvs/ip_vs_sync.c, start_sync_thread).
impl Default for SyncWire {
    fn default() -> Self {
        Self {
            maxlen: Self::FRAME,
            group: IpAddr::V4(core::net::Ipv4Addr::new(224, 0, 0, 81)),
            port: 8848,
            ttl: 1,
        }
    }
}

/// Timeouts of established TCP, TCP after FIN, and UDP, in seconds (IPVS_CMD_ATTR_TIMEOUT_*).
pub type Timeouts = [u32; 3];
