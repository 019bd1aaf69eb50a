//! What the director wants of the kernel, what it reads from it, and the operations between the two.

use core::fmt;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::filter::Filter;
use crate::ipvs::{
    Dest, DestId, Service, ServiceId, SyncDaemon, SyncRole, Table, Tallies, Timeouts,
};
use crate::net::{AddressOptions, Cidr, IfName, Ifindex, Mac};
pub use crate::routing::{MAIN, Metrics, NextHop, Route, RouteKind, Rule, RuleAction};

/// A network interface as the kernel reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number.
    pub ifindex: Ifindex,
    /// The kernel's name.
    pub name: IfName,
    /// Hardware address; all zero where there is none.
    pub mac: Mac,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// IFF_UP: set to up by an administrator.
    pub up: bool,
    /// IFF_LOWER_UP: the carrier is there.
    pub carrier: bool,
    /// IFF_LOOPBACK.
    pub loopback: bool,
    /// What it is made of, if it is a macvlan device.
    pub macvlan: Option<Macvlan>,
}

/// A device with a hardware address of its own on another link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Macvlan {
    /// The link that its packets come and go by.
    pub base: Ifindex,
    /// Whether it carries the director's mark.
    pub ours: bool,
}

/// The device of a virtual router's hardware address, as it should be. It is up exactly while its router is Active: who
/// is not must not take a packet to that address, and the switch must not see it there (RFC 9568 section 6.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vmac {
    /// The link that it is made on.
    pub base: Ifindex,
    /// The virtual hardware address.
    pub mac: Mac,
    /// Whether it is to be up.
    pub up: bool,
}

impl Vmac {
    /// Whether a link of its name is this device, whoever made it.
    #[must_use]
    pub fn is(&self, link: &Link) -> bool {
        link.mac == self.mac
            && link
                .macvlan
                .is_some_and(|macvlan| macvlan.base == self.base)
    }
}

/// An address on an interface, as the kernel reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressId {
    /// The interface.
    pub ifindex: Ifindex,
    /// The address with its prefix.
    pub cidr: Cidr,
}

/// The node's kernel state as last read or acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// Interfaces by number.
    pub links: BTreeMap<Ifindex, Link>,
    /// Devices of virtual hardware addresses that have been made, and whose links are not reported yet.
    pub made: BTreeSet<IfName>,
    /// Addresses; the flag says that the director put it there (IFA_PROTO is ours).
    pub addresses: BTreeMap<AddressId, bool>,
    /// How the director put its addresses there, of those that it has put there since its start; none for the usual
    /// way. What one before it found good stays as it is.
    pub options: BTreeMap<AddressId, Option<Arc<AddressOptions>>>,
    /// The director's own routes (RTA protocol is ours).
    pub routes: BTreeSet<Route>,
    /// The director's own rules (FRA_PROTOCOL is ours).
    pub rules: BTreeSet<Rule>,
    /// The director's part of the packet filter; none while what is there is not what the director put there.
    pub filter: Option<Arc<Filter>>,
    /// The IPVS table.
    pub table: Table,
    /// What the kernel counted of its dests.
    pub counters: Tallies,
    /// The running synchronisation daemons.
    pub sync: BTreeMap<SyncRole, SyncDaemon>,
    /// IPVS timeouts.
    pub timeouts: Timeouts,
    /// What was there before the director set others; 0 where it has set none.
    pub replaced: Timeouts,
}

/// The kernel state that the configuration and the present states ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Interfaces that are to be up, with their MTU if it is set.
    pub links: BTreeMap<Ifindex, Option<u32>>,
    /// Devices of virtual hardware addresses, by name.
    pub vmacs: BTreeMap<IfName, Vmac>,
    /// Addresses: of interfaces and of virtual routers that are Active.
    pub addresses: BTreeSet<AddressId>,
    /// How some of them are put there, where that is not the usual way.
    pub options: BTreeMap<AddressId, Arc<AddressOptions>>,
    /// Virtual addresses that this node must not hold now, whoever put them there.
    pub withheld: BTreeSet<IpAddr>,
    /// Routes.
    pub routes: BTreeSet<Route>,
    /// Rules of the routing policy.
    pub rules: BTreeSet<Rule>,
    /// The director's part of the packet filter.
    pub filter: Arc<Filter>,
    /// The IPVS table.
    pub table: Table,
    /// Synchronisation daemons.
    pub sync: BTreeMap<SyncRole, SyncDaemon>,
    /// IPVS timeouts; 0 for those that are no matter of the director's.
    pub timeouts: Timeouts,
}

/// One operation on the kernel; the shell answers each with a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Set an interface up.
    LinkUp(Ifindex),
    /// Set an interface down.
    LinkDown(Ifindex),
    /// Make the device of a virtual hardware address, marked as the director's; it is down at first.
    AddVmac {
        /// Its name.
        name: IfName,
        /// The link that it is made on.
        base: Ifindex,
        /// The virtual hardware address.
        mac: Mac,
    },
    /// Remove such a device, and all addresses on it.
    DelVmac(Ifindex),
    /// Set an interface's MTU in bytes.
    LinkMtu(Ifindex, u32),
    /// Add an address, marked as the director's, in the usual way or in another one.
    AddAddress(AddressId, Option<Arc<AddressOptions>>),
    /// Remove an address.
    DelAddress(AddressId),
    /// Add a route, marked as the director's.
    AddRoute(Route),
    /// Remove a route.
    DelRoute(Route),
    /// Add a rule, marked as the director's.
    AddRule(Rule),
    /// Remove a rule.
    DelRule(Rule),
    /// Put this in the place of the director's part of the packet filter, at once and whole.
    SetFilter(Arc<Filter>),
    /// Set the IPVS timeouts that are not 0.
    SetTimeouts(Timeouts),
    /// Start a synchronisation daemon.
    StartSync(SyncRole, SyncDaemon),
    /// Stop the synchronisation daemon of a role.
    StopSync(SyncRole),
    /// Add a service.
    NewService(ServiceId, Service),
    /// Change a service; its dests and connections stay.
    SetService(ServiceId, Service),
    /// Delete a service with its pool.
    DelService(ServiceId),
    /// Add a dest.
    NewDest(ServiceId, DestId, Dest),
    /// Change a dest; its connections stay.
    SetDest(ServiceId, DestId, Dest),
    /// Delete a dest.
    DelDest(ServiceId, DestId),
}

impl Op {
    /// The part of the kernel's state that it changes.
    #[must_use]
    pub const fn part(&self) -> Part {
        match self {
            Self::LinkUp(_)
            | Self::LinkDown(_)
            | Self::AddVmac { .. }
            | Self::DelVmac(_)
            | Self::LinkMtu(..)
            | Self::AddAddress(..)
            | Self::DelAddress(_)
            | Self::AddRoute(_)
            | Self::DelRoute(_)
            | Self::AddRule(_)
            | Self::DelRule(_) => Part::Network,
            Self::SetFilter(_) => Part::Filter,
            _ => Part::Ipvs,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkUp(link) => write!(f, "set link {} up", link.0),
            Self::LinkDown(link) => write!(f, "set link {} down", link.0),
            Self::AddVmac { name, base, mac } => {
                write!(f, "add device {name} with {mac} on link {}", base.0)
            }
            Self::DelVmac(link) => write!(f, "delete device {}", link.0),
            Self::LinkMtu(link, mtu) => write!(f, "set link {} mtu {mtu}", link.0),
            Self::AddAddress(id, _) => {
                write!(f, "add address {} on link {}", id.cidr, id.ifindex.0)
            }
            Self::DelAddress(id) => {
                write!(f, "delete address {} on link {}", id.cidr, id.ifindex.0)
            }
            Self::AddRoute(route) => write!(f, "add route {route}"),
            Self::DelRoute(route) => write!(f, "delete route {route}"),
            Self::AddRule(rule) => write!(f, "add rule {rule}"),
            Self::DelRule(rule) => write!(f, "delete rule {rule}"),
            Self::SetFilter(filter) => write!(f, "set filter: {filter}"),
            Self::SetTimeouts([tcp, fin, udp]) => {
                write!(f, "set timeouts tcp {tcp} tcpfin {fin} udp {udp}")
            }
            Self::StartSync(role, daemon) => write!(f, "start sync {role} on {}", daemon.interface),
            Self::StopSync(role) => write!(f, "stop sync {role}"),
            Self::NewService(id, service) => write!(f, "add service {id} {}", service.scheduler),
            Self::SetService(id, service) => write!(f, "set service {id} {}", service.scheduler),
            Self::DelService(id) => write!(f, "delete service {id}"),
            Self::NewDest(id, dest, to) => {
                write!(f, "add dest {dest} of {id} weight {}", to.weight)
            }
            Self::SetDest(id, dest, to) => {
                write!(f, "set dest {dest} of {id} weight {}", to.weight)
            }
            Self::DelDest(id, dest) => write!(f, "delete dest {dest} of {id}"),
        }
    }
}

/// Why the kernel refused an operation: a positive errno (errno.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpError(pub i32);

impl OpError {
    /// EEXIST: it was there already.
    pub const EXISTS: Self = Self(17);
    /// ENOENT: it was not there.
    pub const NOT_THERE: Self = Self(2);
    /// EADDRNOTAVAIL: the address was not there.
    pub const NO_ADDRESS: Self = Self(99);
    /// ENODEV: the interface was not there.
    pub const NO_DEVICE: Self = Self(19);
    /// ESRCH: the service or daemon was not there.
    pub const NO_SERVICE: Self = Self(3);
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "errno {}", self.0)
    }
}

/// What the kernel told us unasked, over rtnetlink's multicast groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelEvent {
    /// A link appeared or changed.
    Link(Link),
    /// A link is gone, and its addresses with it.
    LinkGone(Ifindex),
    /// An address appeared; the flag says that it carries our mark.
    Address(AddressId, bool),
    /// An address is gone.
    AddressGone(AddressId),
    /// Notifications were lost (ENOBUFS): everything must be read again.
    Overrun,
}

/// One part of the kernel's state, read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// Interfaces, addresses, routes and rules.
    Network {
        /// All links.
        links: Vec<Link>,
        /// All addresses, with the flag that says it is ours.
        addresses: Vec<(AddressId, bool)>,
        /// The director's own routes.
        routes: Vec<Route>,
        /// The director's own rules.
        rules: Vec<Rule>,
    },
    /// The director's part of the packet filter: what it put there last, or none when that is not what is there.
    Filter(Option<Arc<Filter>>),
    /// The IPVS table, its synchronisation daemons, its timeouts.
    Ipvs {
        /// All services with their dests.
        table: Table,
        /// What was counted of the dests.
        counters: Tallies,
        /// Running daemons.
        sync: BTreeMap<SyncRole, SyncDaemon>,
        /// Timeouts.
        timeouts: Timeouts,
    },
}

impl Snapshot {
    /// Which part it is.
    #[must_use]
    pub const fn part(&self) -> Part {
        match self {
            Self::Network { .. } => Part::Network,
            Self::Filter(_) => Part::Filter,
            Self::Ipvs { .. } => Part::Ipvs,
        }
    }
}

/// A part of the kernel's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Interfaces, addresses, routes, rules.
    Network,
    /// The director's part of the packet filter.
    Filter,
    /// Services, dests, synchronisation daemons, timeouts.
    Ipvs,
}

impl Part {
    /// All of them, in the order in which they are changed.
    pub const ALL: [Self; 3] = [Self::Network, Self::Filter, Self::Ipvs];
}

/// The number of an operation; answers of an earlier incarnation are dropped by comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId(pub u64);
