//! What virtual routers depend on besides each other: the values of `track_..` and of what stands behind them.

use core::net::IpAddr;

use super::{Check, CheckKind, Config, Router, VirtualServer};
use crate::ipvs::ServiceId;
use crate::net::{IfName, Name};
use crate::time::Duration;
use crate::vrrp::Weight;

/// Something that a virtual router tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// What.
    pub of: Tracked,
    /// How much it counts.
    pub weight: Weight,
}

/// What can be tracked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tracked {
    /// An interface, by its configured name: it serves, or does not (`track_interface`).
    Interface(IfName),
    /// A program of the operator's succeeds (`vrrp_script`).
    Script(Name),
    /// A probe succeeds (`track_probe`).
    Probe(Name),
    /// The number in a file (`track_file`).
    File(Name),
    /// Pools have their quorum (`track_pool`).
    Pool(PoolChoice),
}

/// Which pools.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolChoice {
    /// Those of all services.
    All,
    /// Those of services at this address and port, whatever the protocol.
    Address(IpAddr, u16),
    /// That of a firewall mark.
    Mark(u32),
    /// That of the service of a `virtual_server_group`.
    Group(Name),
}

impl PoolChoice {
    /// Whether the pool of this service is one of them.
    #[must_use]
    pub fn has(&self, server: &VirtualServer) -> bool {
        let is = |id: ServiceId| match (self, id) {
            (Self::Address(at, on), ServiceId::Address { address, port, .. }) => {
                (*at, *on) == (address, port)
            }
            (Self::Mark(of), ServiceId::Fwmark { mark, .. }) => *of == mark,
            _ => false,
        };
        match self {
            Self::All => true,
            Self::Group(name) => server.group.as_deref() == Some(name),
            Self::Address(..) | Self::Mark(_) => server.ids().any(is),
        }
    }
}

impl Config {
    /// Whether the checks of a service run only while the node has an address of it (`ha_suspend`). Those of a pool
    /// that a virtual router tracks do not: who looks at a pool only while it is Active can't know by it who should be,
    /// and two nodes would pass a bad pool to each other for ever.
    #[must_use]
    pub fn may_rest(&self, server: &VirtualServer) -> bool {
        server.ha_suspend && tracks(&self.routers, server).is_none()
    }
}

/// The first virtual router that tracks the pool of this service.
pub(super) fn tracks<'r>(routers: &'r [Router], server: &VirtualServer) -> Option<&'r Router> {
    let has =
        |tracker: &Tracker| matches!(&tracker.of, Tracked::Pool(choice) if choice.has(server));
    let mut routers = routers.iter();
    routers.find(|router| router.trackers.iter().any(has))
}

impl core::fmt::Display for Tracked {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Interface(name) => write!(f, "interface {name}"),
            Self::Script(name) => write!(f, "script {name}"),
            Self::Probe(name) => write!(f, "probe {name}"),
            Self::File(name) => write!(f, "file {name}"),
            Self::Pool(PoolChoice::All) => f.write_str("pool of all services"),
            Self::Pool(PoolChoice::Address(address, port)) => {
                write!(f, "pool {}", core::net::SocketAddr::new(*address, *port))
            }
            Self::Pool(PoolChoice::Mark(mark)) => write!(f, "pool fwmark {mark}"),
            Self::Pool(PoolChoice::Group(name)) => write!(f, "pool group {name}"),
        }
    }
}

/// Something that is looked at again and again for the routers that track it: a `vrrp_script`, or a `track_probe` or a
/// `track_file` outside the virtual routers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// What it is to those that track it.
    pub of: Tracked,
    /// What is done, and how often.
    pub check: Check,
    /// The weight where a router that tracks it says none.
    pub weight: Weight,
    /// Down until it has run (`init_fail`).
    pub init_fail: bool,
    /// What a file is to hold at first.
    pub init_file: Option<InitFile>,
}

impl Watch {
    /// The name and the path of a file.
    #[must_use]
    pub fn file(&self) -> Option<(&Name, &str)> {
        match (&self.of, &self.check.how.kind) {
            (Tracked::File(name), CheckKind::File(file)) => Some((name, &file.path)),
            _ => None,
        }
    }
}

/// `init_file`: what is written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitFile {
    /// The number.
    pub value: i64,
    /// At each start of the director, also where there is a file already.
    pub overwrite: bool,
}

/// How long an interface must have lost its link, or have it again, before its virtual routers take notice
/// (`interface_up_down_delays`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkDelay {
    /// Interface, by its configured name.
    pub interface: IfName,
    /// At most this long; less where adverts would be missed before.
    pub down: Duration,
    /// This long.
    pub up: Duration,
}
