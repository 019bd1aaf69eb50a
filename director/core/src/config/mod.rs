//! The configuration as a value that can't be wrong, and the way from text to it.
//!
//! Two files make it: `keepalived.conf` as keepalived reads it, and `router.conf`, which holds in the same grammar
//! what a distribution would have configured. Everything is resolved here: defaults are filled in, references
//! checked, bounds held. The rest of the core takes [`Config`] as it is.
//!
//! The way: files -> one text (`expand`) -> tokens (`lex`) -> statements (`tree`) -> values, block by block (`global`,
//! `instance`, `group`, `service`, `check`, `node`), all driven by the one table of [`keywords`] -> what must be unique
//! (`parse`). All problems are found in one pass; see [`Diagnostic`].
//!
//! # router.conf
//!
//! A statement is a keyword and its words up to the end of the line or a brace; `#` and `!` begin a comment; `"..."`
//! is one word.
//!
//! ```text
//! config lenient                       # unknown words of keepalived.conf are left out, with a warning
//! system {                             # at most once
//!     hostname NAME                    # host name; up to the first dot, it is the id of `@id` lines
//!     console {
//!         secret TEXT                  # asked for before a console changes anything; 1 to 128 bytes
//!     }
//!     log_level error|warning|info     # what matters less is not logged on the node; info
//!     syslog {                         # one for each machine that is sent the log, RFC 5424
//!         server ADDRESS[:PORT]        # port 514
//!         protocol udp|tcp             # udp; tcp counts octets (RFC 6587)
//!         level error|warning|info     # what matters less is not sent; info
//!     }
//! }
//! interface NAME {                     # one for each; NAME is what both files call it
//!     match {
//!         mac XX:XX:XX:XX:XX:XX        # the link with this address, whatever the kernel calls it
//!     }
//!     address ADDRESS/PREFIX           # as often as needed
//!     mtu BYTES                        # 68 to 65535
//! }
//! metrics {
//!     listen ADDRESS:PORT              # HTTP, GET /metrics, for Prometheus
//! }
//! route DESTINATION|default {          # `via` or `dev` or both; DESTINATION is ADDRESS[/PREFIX]
//!     via ADDRESS
//!     dev INTERFACE
//!     source ADDRESS
//!     metric NUMBER
//! }
//! route default via ADDRESS dev INTERFACE    # the same on one line
//! ```
//!
//! # Differences from keepalived
//!
//! - `rise N` and `fall N` of a check, a real server or a service: successes in a row that bring a server back,
//!   failures in a row that take it out (`fall N` is `retry N-1`).
//! - Programs are run without a shell and never as root; they are files beside keepalived.conf, or paths.
//! - `drain_timeout S` of a service: a real server that a reload takes out keeps its connections so long, at weight 0.
//! - `data_path [on|off|ADDRESS]` of a check or a service: it goes by the virtual address.
//! - `slow_start S` of a service or a real server: when it comes back its weight grows over so many seconds.
//! - `ha_suspend` does nothing where a virtual router tracks the pool: both nodes must know it.
//! - `global_defs` holds for all instances, also for those above it.
//! - A file that `include` names outright must be there. `include` may stand on an `@id` line and have variables in its
//!   name. `${_RANDOM ..}` draws the same numbers at each reading of a node. `${_HASH}` and `${_BANG}` never begin a
//!   comment.
//! - `warmup` is 1 s by default (or `delay_loop`, if shorter), not `delay_loop`: the first check is to be fast.
//! - Where keepalived complains, guesses and runs on, there is an error; where the guess is harmless, a warning that
//!   says what holds.

mod addresses;
mod authentication;
mod block;
mod check;
mod diagnostic;
mod expand;
mod forwarding;
mod fullnat;
mod garp_group;
mod global;
mod group;
mod hmac;
mod instance;
pub mod keywords;
mod lex;
mod monitoring;
mod node;
mod notices;
mod outside;
mod parse;
mod pool;
mod probe;
mod program;
mod read;
mod real;
mod routing;
mod script;
mod service;
mod statics;
mod strings;
mod sync_group;
mod text;
mod tls;
mod track;
mod track_file;
mod tracked;
mod tree;
mod unicast;
mod vmac;
mod watches;

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use diagnostic::safe;
pub use diagnostic::{Diagnostic, Needed, SHOWN_COLUMNS, Severity};
pub use garp_group::GarpGroup;
pub use monitoring::{Fifo, FifoScope, Level, Syslog, Transport};
pub use notices::{Notice, Subject, Turn};
pub use outside::{Nothing, Outside, Reading};
pub use parse::{Parsed, Source, parse, parse_with};
pub use real::{RealServer, Terms};
pub use routing::Route;
pub use statics::Statics;
pub use tracked::{InitFile, LinkDelay, PoolChoice, Tracked, Tracker, Watch};

pub use crate::check::{
    Ask as Check, Kind as CheckKind, ServerCheck, Settings as CheckSettings, Url,
};
use crate::ipvs::{Dest, DestId, Forwarding, Service, ServiceId, SyncWire, Timeouts};
use crate::net::{AddressOptions, Cidr, Family, IfName, Mac, Name};
use crate::routing::Rule;
use crate::time::Duration;
pub use crate::vrrp::{GarpSettings as Garp, Hmac, Key, Mode, Unicast, UnicastPeer, Weight};
pub use crate::wire::vrrp::Version;

/// All that one node does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What router.conf says of this machine.
    pub node: Node,
    /// Virtual routers, in the order of the file; names are unique, and so are (interface, family, VRID).
    pub routers: Vec<Router>,
    /// Sync groups, in the order of the file; names are unique, and a router is a member of one at most.
    pub groups: Vec<SyncGroup>,
    /// Interfaces whose announcements are paced together.
    pub garp_groups: Vec<GarpGroup>,
    /// What is looked at for virtual routers that track it; each thing once.
    pub watches: Vec<Watch>,
    /// Links whose changes are waited out; each interface once.
    pub link_delays: Vec<LinkDelay>,
    /// Services, in the order of the file; identities are unique. One that a reload leaves as it was is the same
    /// object as before ([`Config::share`]).
    pub services: Vec<Arc<VirtualServer>>,
    /// The kernel's connection synchronisation (`lvs_sync_daemon`).
    pub sync_daemon: Option<SyncDaemon>,
    /// FIFOs that get a line for each change, in the order of the file.
    pub fifos: Vec<Fifo>,
    /// Programs that are run when something changes.
    pub notices: Vec<Notice>,
    /// What the node holds beside its virtual routers.
    pub statics: Statics,
    /// Local addresses of FULLNAT services whose own addresses belong to no virtual router: they are always there.
    pub local_addresses: Vec<VirtualAddress>,
    /// IPVS timeouts for established TCP, TCP after FIN, and UDP, in seconds; 0 keeps the kernel's (`lvs_timeouts`).
    pub timeouts: Timeouts,
}

impl Config {
    /// Takes from `old` the services that are the same, so that the running director sees at a glance which are not.
    pub fn share(&mut self, old: &Self) {
        let old: BTreeMap<ServiceId, &Arc<VirtualServer>> = old
            .services
            .iter()
            .map(|server| (server.id, server))
            .collect();
        for server in &mut self.services {
            if let Some(same) = old.get(&server.id).filter(|had| ***had == *server) {
                *server = Arc::clone(same);
            }
        }
    }
}

/// This machine: router.conf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `config lenient`: unknown words of keepalived.conf are left out, with a warning, as keepalived does.
    pub lenient: bool,
    /// Host name; also the identity that `@id` lines of keepalived.conf are compared with, up to the first dot.
    pub hostname: Option<String>,
    /// What the console asks for before it changes anything.
    pub secret: Option<String>,
    /// Lines that matter less are not logged on the node.
    pub log_level: Option<Level>,
    /// Machines that are sent the log.
    pub syslog: Vec<Syslog>,
    /// Where the metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Interfaces.
    pub interfaces: Vec<Interface>,
    /// Static routes.
    pub routes: Vec<Route>,
}

/// One interface of router.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The name by which both files speak of it.
    pub name: IfName,
    /// When given, the link with this hardware address is meant, whatever the kernel calls it.
    pub mac: Option<Mac>,
    /// Its own addresses.
    pub addresses: Vec<Cidr>,
    /// MTU in bytes, 68..=65535; none leaves it alone.
    pub mtu: Option<u32>,
}

/// `lvs_sync_daemon`: which role runs follows the virtual router, or both run when none is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemon {
    /// Interface, by its configured name.
    pub interface: IfName,
    /// The virtual router whose state decides the role.
    pub router: Option<Name>,
    /// Synchronisation identifier (default: the VRID, or 0).
    pub id: u8,
    /// How it speaks.
    pub wire: SyncWire,
}

/// One virtual router: `vrrp_instance`, with the defaults of `global_defs` filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// Name.
    pub name: Name,
    /// Interface, by its configured name.
    pub interface: IfName,
    /// Virtual router identifier, 1..=255.
    pub vrid: u8,
    /// Protocol version.
    pub version: Version,
    /// Priority, 1..=255; 255 owns the addresses.
    pub priority: u8,
    /// Takes packets to its virtual addresses itself, and does not only pass them on (`accept`, `no_accept`).
    pub accept: bool,
    /// `state MASTER`: nopreempt and preempt_delay do not apply.
    pub state_master: bool,
    /// Advertisement interval: whole seconds in v2, multiples of 10 ms up to 40.95 s in v3.
    pub advert_interval: Duration,
    /// Whether a router of lower priority is preempted.
    pub preempt: bool,
    /// How long a router of lower priority is heard before it is preempted.
    pub preempt_delay: Duration,
    /// PASS authentication data, v2 only, padded with zeros.
    pub pass: Option<[u8; 8]>,
    /// Adverts are signed (`auth_hmac`).
    pub hmac: Option<Hmac>,
    /// Virtual addresses that the adverts carry, all of one family.
    pub addresses: Vec<VirtualAddress>,
    /// Virtual addresses of either family that the adverts do not carry (`virtual_ipaddress_excluded`), and
    /// local addresses of FULLNAT services (`local_address`).
    pub excluded: Vec<VirtualAddress>,
    /// Which of them are local ones.
    pub locals: Vec<IpAddr>,
    /// Routes that are there while it is Active (`virtual_routes`).
    pub routes: Vec<Route>,
    /// Rules of the routing policy that are there while it is Active (`virtual_rules`).
    pub rules: Vec<Rule>,
    /// Devices with the router's own hardware address, at most one on each interface; its virtual addresses there are
    /// on them (`use_vmac`, `use_vmac_addr`).
    pub vmacs: Vec<Vmac>,
    /// The hardware address that the adverts come from, if it is not the interface's own.
    pub advert_mac: Option<Mac>,
    /// Source address of the adverts instead of the interface's own (`mcast_src_ip`).
    pub source: Option<IpAddr>,
    /// Fault while the interface does not have that address (`track_src_ip`).
    pub track_source: bool,
    /// Multicast group (`mcast_dst_ip`, `vrrp_mcast_group4`, `vrrp_mcast_group6`), 224.0.0.18 or ff02::12; its
    /// family is the router's.
    pub group: IpAddr,
    /// Adverts go to these peers instead of the group (`unicast_peer`).
    pub unicast: Option<Unicast>,
    /// An owner does not listen to adverts (`owner_ignore_adverts`).
    pub owner_ignores_adverts: bool,
    /// Active and woken so late that the others have taken over: steps back (`timer_expired_backup`).
    pub timer_expired_backup: bool,
    /// Adverts missed before a takeover (`down_timer_adverts`), 3.
    pub down_adverts: u8,
    /// Send v3 adverts with a checksum without the IPv4 pseudo header (`v3_checksum_as_v2`).
    pub checksum_as_v2: bool,
    /// Active and hearing a lower priority: stay silent instead of sending an advert at once.
    pub lower_prio_no_advert: bool,
    /// Active and hearing a higher priority: send one advert before stepping back. On unless the file says otherwise
    /// (keepalived: off): after a split the one that stays learns from it that it must announce itself.
    pub higher_prio_send_advert: bool,
    /// Do not go to Fault when the interface loses its link (`dont_track_primary`).
    pub ignore_link: bool,
    /// What else its state and its priority depend on, its sync group's included; each thing once.
    pub trackers: Vec<Tracker>,
    /// Hold everything for this long after the start (`vrrp_startup_delay`).
    pub startup_delay: Duration,
    /// Hold everything until the machine has run for this long (`vrrp_delay_after_boot`).
    pub delay_after_boot: Duration,
    /// Announcements.
    pub garp: Garp,
    /// On interfaces that no advert comes from, all addresses are announced again and again (`garp_extra_if all`), and
    /// not only the first one of each.
    pub garp_extra_all: bool,
}

/// One `vrrp_sync_group`: virtual routers that are Active together, or none of them is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// Name.
    pub name: Name,
    /// Names of its virtual routers.
    pub members: Vec<Name>,
}

/// One virtual address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualAddress {
    /// The address with its prefix.
    pub cidr: Cidr,
    /// Where it is put (`dev`), by its configured name: the router's interface unless the file says otherwise.
    pub interface: IfName,
    /// How it is put there; none for the usual way.
    pub options: Option<Arc<AddressOptions>>,
}

/// The device of a virtual router's hardware address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vmac {
    /// The interface that it is made on, by its configured name.
    pub base: IfName,
    /// Its name; no two devices have the same.
    pub name: IfName,
    /// The virtual hardware address.
    pub mac: Mac,
}

impl Router {
    /// Addresses on interfaces and devices that no advert comes from, the first one of each, or all.
    #[must_use]
    pub fn extra_addresses(&self) -> Vec<IpAddr> {
        let own = self.vmac_on(&self.interface).is_none() || self.advert_mac.is_some();
        let (mut seen, mut extra) = (Vec::new(), Vec::new());
        for VirtualAddress {
            cidr, interface, ..
        } in self.virtual_addresses()
        {
            let is_first = !seen.contains(&interface);
            if is_first {
                seen.push(interface);
            }
            let has_adverts = own && *interface == self.interface;
            if !has_adverts && (is_first || self.garp_extra_all) {
                extra.push(cidr.address);
            }
        }
        extra
    }

    /// Its device on an interface.
    #[must_use]
    pub fn vmac_on(&self, interface: &IfName) -> Option<&Vmac> {
        self.vmacs.iter().find(|vmac| vmac.base == *interface)
    }

    /// The family that it speaks: that of its first virtual address.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.group)
    }

    /// Whether a reload lets it go on, in the state that it has, with these settings: its name is the same, and so is
    /// what it is to its peers.
    #[must_use]
    pub fn goes_on_as(&self, other: &Self) -> bool {
        let place = |router: &Self| (router.vrid, router.version, router.family());
        self.name == other.name && self.interface == other.interface && place(self) == place(other)
    }

    /// All its virtual addresses, those that the adverts do not carry last.
    pub fn virtual_addresses(&self) -> impl Iterator<Item = &VirtualAddress> {
        self.addresses.iter().chain(&self.excluded)
    }
}

/// One `virtual_server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServer {
    /// The `virtual_server_group` it serves, if any.
    pub group: Option<Box<Name>>,
    /// Identity; that of the first member, where it serves a group.
    pub id: ServiceId,
    /// The further members of its group: each is a service of the kernel, all have one pool and one quorum.
    pub others: Vec<ServiceId>,
    /// What the kernel is told of it.
    pub service: Service,
    /// Real servers, in the order of the file; identities are unique.
    pub real_servers: Vec<RealServer>,
    /// Takes over when the quorum is lost.
    pub sorry: Option<Box<(DestId, Dest)>>,
    /// `sorry_server_inhibit`: kept in the pool at weight 0 while it is not needed.
    pub sorry_inhibit: bool,
    /// Sum of weights below which the pool is lost, 1.
    pub quorum: u32,
    /// Margin around the quorum, 0.
    pub hysteresis: u32,
    /// An address that is on the node while the pool has its quorum (`quorum_up`, `quorum_down`).
    pub quorum_address: Option<Box<VirtualAddress>>,
    /// Checks run only while the node has an address of the service; what they said before holds on (`ha_suspend`).
    /// [`Config::may_rest`] says whether that is so.
    pub ha_suspend: bool,
    /// How long a real server that a reload takes out may keep its connections (`drain_timeout`), 0.
    pub drain_timeout: Duration,
    /// How many real servers its checks may take out (`depool_limit`); none for all.
    pub depool_limit: Option<DepoolLimit>,
    /// FULLNAT: the local addresses that the real servers see as clients, sorted, some of each family that it serves.
    /// All its dests are forwarded by NAT then; without any it is no FULLNAT.
    pub locals: Vec<IpAddr>,
}

impl VirtualServer {
    /// The forwarding method in words: FULLNAT is NAT to the kernel's table.
    #[must_use]
    pub fn method(&self, forwarding: Forwarding) -> String {
        if self.locals.is_empty() {
            forwarding.to_string()
        } else {
            "FNAT".to_string()
        }
    }

    /// The kernel's services.
    pub fn ids(&self) -> impl Iterator<Item = ServiceId> {
        core::iter::once(self.id).chain(self.others.iter().copied())
    }

    /// Whether a real server has another address family than a service.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        let family = self.id.family();
        let reals = self.real_servers.iter().map(|real| real.id.address);
        let mut addresses = reals.chain(self.sorry.iter().map(|sorry| sorry.0.address));
        self.others.iter().any(|id| id.family() != family)
            || addresses.any(|address| Family::of(address) != family)
    }

    /// What the kernel is told of a service of this family: where a group has both, each client is persistent alone.
    #[must_use]
    pub fn service(&self, family: Family) -> Service {
        let mut service = self.service.clone();
        if family != self.id.family() {
            service.granularity = family.bits();
        }
        service
    }
}

/// How many real servers of a pool its checks may take out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepoolLimit {
    /// So many.
    Servers(u32),
    /// Of a hundred so many, rounded down.
    Percent(u32),
}

impl DepoolLimit {
    /// How many that are of a pool of so many.
    #[must_use]
    pub fn of(self, servers: usize) -> usize {
        match self {
            Self::Servers(most) => usize::try_from(most).unwrap_or(usize::MAX),
            Self::Percent(most) => servers * usize::try_from(most).unwrap_or(100) / 100,
        }
    }
}
