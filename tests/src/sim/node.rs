//! One machine: a kernel, and most of the time a director.

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use director_core::check;
use director_core::config::{Config, Router, VirtualServer};
use director_core::director::{Command, Director, OpId, Part, Reason};
use director_core::kernel::{KernelEvent, Op};
use director_core::net::{Cidr, IfName, Ifindex};
use director_core::overrides::Saved;
use director_core::time::{Duration, Instant};
use director_core::tracking::Recovery;

use super::kernel::Kernel;
use super::reals::Heard;

/// Something that reaches a node's director, or its shell on the way to the kernel.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A VRRP packet on an interface.
    Packet(Ifindex, Packet),
    /// Something from the socket of a check.
    Heard(check::Id, Heard),
    /// The shell comes to do an operation; when it was asked for, its pool was to have servers.
    Execute(OpId, Op, bool),
    /// The shell comes to read a part.
    Read(Part),
    /// Connections that came with local addresses are tracked.
    Recovered(Recovery),
    /// A notification of the kernel.
    Notice(KernelEvent),
    /// An operator's wish.
    Command(Command),
    /// SIGHUP: the next configuration.
    Reload,
}

/// A VRRP packet under way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Time to live.
    pub ttl: u8,
    /// What follows the IP header.
    pub payload: Arc<[u8]>,
}

/// One machine.
#[derive(Debug)]
pub struct Node {
    /// What its reloads bring in turn.
    pub configs: Vec<Config>,
    /// Which of them is in the file.
    pub file: usize,
    /// The director, while it runs.
    pub director: Option<Director>,
    /// Which run of the director it is; what belongs to an earlier one is dropped.
    pub incarnation: u32,
    /// The kernel.
    pub kernel: Kernel,
    /// The director's loop stands still.
    pub stalled: bool,
    /// What waits for the end of the stall.
    pub inbox: Vec<Arrival>,
    /// Open sockets of checks.
    pub sockets: BTreeMap<check::Id, (SocketAddr, check::Transport)>,
    /// Groups that are listened to.
    pub joined: BTreeSet<(Ifindex, IpAddr)>,
    /// When the kernel has done what it was asked so far.
    pub kernel_free_at: Instant,
    /// The kernel's notifications are lost.
    pub deaf: bool,
    /// How late the shell's timer wakes it.
    pub lateness: Duration,
    /// Virtual routers in which a handover was asked for, and which are still Active.
    pub handing_over: BTreeSet<u8>,
    /// An orderly stop was asked for.
    pub stopping: bool,
    /// What the last director left for the next one.
    pub saved: Vec<Saved>,
    /// What stands in its file that virtual routers track.
    pub switch: i64,
    /// When somebody else last changed the kernel's state, or the kernel last refused.
    pub meddled_at: Instant,
    /// When its director last read the IPVS table.
    pub table_read_at: Instant,
}

impl Node {
    /// A machine that has booted, without a director.
    #[must_use]
    pub fn new(index: usize, configs: Vec<Config>, lateness: Duration) -> Self {
        Self {
            configs,
            file: 0,
            director: None,
            incarnation: 0,
            kernel: Kernel::booted(index),
            stalled: false,
            inbox: Vec::new(),
            sockets: BTreeMap::new(),
            joined: BTreeSet::new(),
            kernel_free_at: Instant::ZERO,
            deaf: false,
            lateness,
            handing_over: BTreeSet::new(),
            stopping: false,
            saved: Vec::new(),
            switch: 0,
            meddled_at: Instant::ZERO,
            table_read_at: Instant::ZERO,
        }
    }

    /// Ends the director's process, whatever it was doing. The kernel keeps what it holds.
    pub fn kill(&mut self) {
        if let Some(director) = self.director.take() {
            self.saved = director.saved();
        }
        self.incarnation += 1;
        self.stalled = false;
        self.handing_over.clear();
        self.stopping = false;
        self.inbox.clear();
        self.sockets.clear();
        self.joined.clear();
    }

    /// When its director wants to be woken, and why; never while it stands still.
    #[must_use]
    pub fn next_timeout(&self) -> Option<(Instant, Reason)> {
        let director = self.director.as_ref().filter(|_| !self.stalled)?;
        director.next_timeout()
    }

    /// The virtual routers of the configuration in force.
    pub fn routers(&self) -> impl Iterator<Item = &Router> {
        self.director
            .iter()
            .flat_map(|director| &director.config().routers)
    }

    /// Whether its director has decided to hold this address.
    #[must_use]
    pub fn claims(&self, cidr: Cidr) -> bool {
        let director = self.director.as_ref();
        director.is_some_and(|director| {
            let mut claimed = director.reconciler().desired().addresses.iter();
            claimed.any(|id| is_it(id.cidr, cidr))
        })
    }

    /// Whether its director is Active in this virtual router, leaving included.
    #[must_use]
    pub fn is_active(&self, router: &Router) -> bool {
        router
            .addresses
            .first()
            .is_some_and(|address| self.claims(address.cidr))
    }

    /// Whether the checks of a service rest, as the node has none of its addresses (`ha_suspend`): what they said
    /// stays.
    #[must_use]
    pub fn rests(&self, server: &VirtualServer) -> bool {
        let held = &self.kernel.state.addresses;
        let mut own = server.ids().filter_map(|id| id.address());
        let director = self.director.as_ref();
        let may_rest = director.is_some_and(|director| director.config().may_rest(server));
        may_rest && !own.any(|own| held.keys().any(|id| id.cidr.address == own))
    }

    /// Whether its kernel has this address on an interface with a link.
    #[must_use]
    pub fn answers(&self, cidr: Cidr) -> bool {
        let mut held = self.kernel.state.addresses.keys();
        self.kernel.has_link() && held.any(|id| is_it(id.cidr, cidr))
    }

    /// Whether a device of a virtual hardware address is gone, and its kernel may refuse to make it again; or the
    /// director has not heard yet that it is there.
    #[must_use]
    pub fn lacks_device(&self, router: &Router) -> bool {
        if router.vmacs.is_empty() {
            return false;
        }
        let known = self.director.iter().map(|of| of.reconciler().actual());
        let mut all = core::iter::once(&self.kernel.state).chain(known);
        all.any(|state| {
            let has = |name: &IfName| state.links.values().any(|link| link.name == *name);
            !router.vmacs.iter().all(|vmac| has(&vmac.name))
        })
    }

    /// Whether it could be Active in virtual routers of IPv4 and of IPv6, but for what it gives up: the director runs,
    /// is not asked to leave, and its interface serves.
    pub(super) fn is_well(&self) -> [bool; 2] {
        let willing = self.director.is_some() && !self.stalled && !self.stopping;
        let mut well = [willing; 2];
        for own in &self.configs[0].node.interfaces[0].addresses {
            let of_family = &mut well[usize::from(own.address.is_ipv6())];
            *of_family = *of_family && self.answers(*own);
        }
        well
    }
}

/// Whether it is that address: on a device of a virtual hardware address a link-local one brings the network of its
/// link.
fn is_it(held: Cidr, cidr: Cidr) -> bool {
    held.address == cidr.address && (held.prefix == cidr.prefix || held.prefix == 64)
}
