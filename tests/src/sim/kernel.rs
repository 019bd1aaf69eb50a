//! A kernel that answers as Linux does, refuses now and then, and is edited by others.

use std::sync::Arc;

use director_core::director::Part;
use director_core::ipvs::{Counters, Dest, Dests, Pool, Service, ServiceId, Tallies, Timeouts};
use director_core::kernel::{Actual, AddressId, KernelEvent, Link, Op, OpError, Snapshot};
use director_core::net::{Cidr, Ifindex, Mac};
use director_core::time::Duration;

use super::random::Random;
use super::{routing, vmac};

/// ENODEV, ENETUNREACH, EINVAL, ENOBUFS (errno.h).
pub(super) const NO_DEVICE: OpError = OpError::NO_DEVICE;
const UNREACHABLE: OpError = OpError(101);
const INVALID: OpError = OpError(22);
const NO_BUFFERS: OpError = OpError(105);

/// The kernel's own IPVS timeouts.
const TIMEOUTS: Timeouts = [900, 120, 300];

/// Connections of a dest that takes some.
const CONNECTIONS: u32 = 3;

/// The state of one node's kernel, and how it behaves at the moment.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The truth.
    pub state: Actual,
    /// Whether the cable is plugged in at both ends.
    pub cable: bool,
    /// How operations are refused.
    pub refusal: Option<Refusal>,
    /// Time for one operation or reading.
    pub cost: Duration,
    /// Number of the one real interface; it changes when the device comes anew.
    pub ifindex: Ifindex,
    mac: Mac,
    /// Devices of virtual hardware addresses that were made: no number is given twice.
    pub(super) devices: u32,
    pub(super) notices: Vec<KernelEvent>,
}

/// How a kernel refuses.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// Of a hundred operations, so many.
    pub percent: usize,
    /// With this error.
    pub error: OpError,
    /// The operation is done all the same: only its answer was lost.
    pub done: bool,
}

/// What somebody else does to the kernel.
#[derive(Clone, Copy, Debug)]
pub enum Edit {
    /// `ip address flush`.
    FlushAddresses,
    /// `ip route flush proto 75` and the same of rules.
    FlushRoutes,
    /// `ip address add` of a virtual address.
    AddAddress(Cidr),
    /// `ipvsadm -C`.
    ClearTable,
    /// Deletes the first dest of each service.
    DeleteDests,
    /// Sets other weights.
    ChangeWeights,
    /// Adds a service that nobody configured.
    ForeignService,
    /// Changes the scheduler of each service.
    ChangeSchedulers,
    /// `ipvsadm --stop-daemon`.
    StopSync,
    /// `ipvsadm --set`.
    ChangeTimeouts,
    /// `nft flush ruleset`.
    FlushFilter,
    /// A rule added to the director's table.
    ChangeFilter,
    /// `ip link delete` of the devices of virtual hardware addresses.
    DeleteDevices,
}

impl Kernel {
    /// A kernel after boot: an interface that is down.
    #[must_use]
    pub fn booted(node: usize) -> Self {
        let mut kernel = Self {
            state: Actual {
                filter: Some(Arc::default()),
                timeouts: TIMEOUTS,
                ..Actual::default()
            },
            cable: true,
            refusal: None,
            cost: Duration::from_micros(50),
            ifindex: Ifindex(2),
            mac: Mac([0x52, 0x54, 0, 0, 0, node as u8]),
            devices: 0,
            notices: Vec::new(),
        };
        let lo = kernel.link(Ifindex(1), "lo", true);
        kernel.state.links.insert(Ifindex(1), lo);
        kernel.device_comes(kernel.ifindex);
        kernel.notices.clear();
        kernel
    }

    fn link(&self, ifindex: Ifindex, name: &str, up: bool) -> Link {
        Link {
            ifindex,
            name: name.parse().expect("a short name"),
            mac: self.mac,
            mtu: 1500,
            up,
            carrier: up,
            loopback: name == "lo",
            macvlan: None,
        }
    }

    /// What happened since the last call, as its listeners hear it.
    pub fn take_notices(&mut self) -> Vec<KernelEvent> {
        std::mem::take(&mut self.notices)
    }

    /// Whether the interface is up and has a link.
    #[must_use]
    pub fn has_link(&self) -> bool {
        let link = self.state.links.get(&self.ifindex);
        link.is_some_and(|link| link.up && link.carrier)
    }

    /// Does an operation, or refuses it.
    pub fn apply(&mut self, op: &Op, random: &mut Random) -> Result<(), OpError> {
        if let Some(refusal) = self.refusal
            && random.chance(refusal.percent)
        {
            if refusal.done {
                self.operate(op)?;
            }
            // No kernel says that something is gone which is there.
            let lies = is_gone_already(op, refusal.error);
            return Err(if lies { NO_BUFFERS } else { refusal.error });
        }
        self.operate(op)
    }

    /// A director that starts does not know what the one before it put into the packet filter.
    pub fn forget_filter(&mut self) {
        self.state.filter = self.state.filter.take().filter(|filter| filter.is_empty());
    }

    /// Reads one part whole. From one reading to the next a dest without weight loses a connection.
    #[must_use]
    pub fn read(&mut self, part: Part) -> Snapshot {
        if part == Part::Ipvs {
            for (id, pool) in &self.state.table.0 {
                for (dest, _) in pool.dests.iter().filter(|(_, to)| to.weight == 0) {
                    let mut counters = *self.state.counters.get(id, dest);
                    counters.active = counters.active.saturating_sub(1);
                    self.state.counters.set(*id, *dest, counters);
                }
            }
        }
        match part {
            Part::Network => Snapshot::Network {
                links: self.state.links.values().cloned().collect(),
                addresses: self
                    .state
                    .addresses
                    .iter()
                    .map(|(id, ours)| (*id, *ours))
                    .collect(),
                routes: self.state.routes.iter().cloned().collect(),
                rules: self.state.rules.iter().cloned().collect(),
            },
            Part::Filter => Snapshot::Filter(self.state.filter.clone()),
            Part::Ipvs => Snapshot::Ipvs {
                table: self.state.table.clone(),
                counters: self.state.counters.clone(),
                sync: self.state.sync.clone(),
                timeouts: self.state.timeouts,
            },
        }
    }

    /// Sets the interface up or down, as `ip link set` does; routes over it go with it.
    pub fn set_up(&mut self, up: bool) {
        let carrier = up && self.cable;
        let Some(link) = self.state.links.get_mut(&self.ifindex) else {
            return;
        };
        (link.up, link.carrier) = (up, carrier);
        self.notices.push(KernelEvent::Link(link.clone()));
        if !up {
            let ifindex = self.ifindex;
            self.state
                .routes
                .retain(|route| route.ifindex.is_some_and(|other| other != ifindex));
        }
    }

    /// Plugs the cable in or out.
    pub fn plug(&mut self, cable: bool) {
        self.cable = cable;
        if let Some(link) = self.state.links.get_mut(&self.ifindex) {
            link.carrier = link.up && cable;
            self.notices.push(KernelEvent::Link(link.clone()));
        }
    }

    /// The device goes away, with its addresses and routes.
    pub fn device_goes(&mut self) {
        vmac::delete(self);
        let ifindex = self.ifindex;
        self.state.links.remove(&ifindex);
        self.state.addresses.retain(|id, _| id.ifindex != ifindex);
        self.state.routes.clear();
        self.notices.push(KernelEvent::LinkGone(ifindex));
    }

    /// The device comes, under this number, down as a new one is.
    pub fn device_comes(&mut self, ifindex: Ifindex) {
        self.ifindex = ifindex;
        let link = self.link(ifindex, "eth0", false);
        self.notices.push(KernelEvent::Link(link.clone()));
        self.state.links.insert(ifindex, link);
    }

    /// Lets somebody else change something.
    pub fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::FlushAddresses => {
                for id in std::mem::take(&mut self.state.addresses).into_keys() {
                    self.notices.push(KernelEvent::AddressGone(id));
                }
            }
            Edit::FlushRoutes => {
                self.state.routes.clear();
                self.state.rules.clear();
            }
            Edit::AddAddress(cidr) => {
                let id = AddressId {
                    ifindex: self.ifindex,
                    cidr,
                };
                if self.state.links.contains_key(&id.ifindex) {
                    self.state.addresses.entry(id).or_insert(false);
                    self.notices.push(KernelEvent::Address(id, false));
                }
            }
            Edit::ClearTable => {
                self.state.table.0.clear();
                self.state.counters = Tallies::default();
            }
            Edit::DeleteDests => {
                let first = |pool: &Pool| Some(*pool.dests.iter().next()?.0);
                let pools = self.state.table.0.iter();
                let firsts = pools.filter_map(|(id, pool)| Some((*id, first(pool)?)));
                for (id, dest) in firsts.collect::<Vec<_>>() {
                    let gone = self.operate_dest(&Op::DelDest(id, dest));
                    gone.expect("it was found");
                }
            }
            Edit::ChangeWeights => self.pools(|pool| {
                let raised = pool.dests.iter().map(|(dest, to)| {
                    let weight = to.weight + 7;
                    (*dest, Dest { weight, ..*to })
                });
                pool.dests = raised.collect();
            }),
            Edit::ForeignService => {
                let id = ServiceId::Fwmark {
                    family: director_core::net::Family::V4,
                    mark: 77,
                };
                let pool = pool(&service("sh"));
                self.state.table.0.insert(id, pool);
            }
            Edit::ChangeSchedulers => self.pools(|pool| pool.service = service("lc")),
            Edit::StopSync => self.state.sync.clear(),
            Edit::ChangeTimeouts => self.state.timeouts = [1, 2, 3],
            Edit::FlushFilter => self.state.filter = Some(Arc::default()),
            Edit::ChangeFilter => self.state.filter = None,
            Edit::DeleteDevices => vmac::delete(self),
        }
    }

    fn pools(&mut self, change: impl FnMut(&mut Pool)) {
        let pools = self.state.table.0.values_mut();
        pools.map(Arc::make_mut).for_each(change);
    }

    fn operate(&mut self, op: &Op) -> Result<(), OpError> {
        match op {
            Op::LinkUp(ifindex) if *ifindex != self.ifindex => vmac::operate(self, op),
            Op::LinkDown(_) | Op::AddVmac { .. } | Op::DelVmac(_) => vmac::operate(self, op),
            Op::LinkUp(_) | Op::LinkMtu(..) => self.operate_link(op),
            Op::AddAddress(..) | Op::DelAddress(_) => self.operate_address(op),
            Op::AddRoute(_) | Op::DelRoute(_) => self.operate_route(op),
            Op::AddRule(_) | Op::DelRule(_) => routing::operate(&mut self.state, op),
            Op::SetFilter(filter) => {
                self.state.filter = Some(Arc::clone(filter));
                Ok(())
            }
            Op::SetTimeouts(set) => {
                let all = self.state.timeouts.iter_mut().zip(set);
                all.filter(|(_, set)| **set != 0)
                    .for_each(|(is, set)| *is = *set);
                Ok(())
            }
            Op::StartSync(..) | Op::StopSync(_) => self.operate_sync(op),
            Op::NewService(..) | Op::SetService(..) | Op::DelService(_) => self.operate_service(op),
            Op::NewDest(..) | Op::SetDest(..) | Op::DelDest(..) => self.operate_dest(op),
        }
    }

    fn operate_dest(&mut self, op: &Op) -> Result<(), OpError> {
        match op {
            Op::NewDest(id, dest, to) | Op::SetDest(id, dest, to) => {
                let dests = &mut self.pool(id)?.dests;
                match (op, dests.get(dest).is_some()) {
                    (Op::NewDest(..), true) => return Err(OpError::EXISTS),
                    (Op::SetDest(..), false) => return Err(OpError::NOT_THERE),
                    _ => dests.set(*dest, *to),
                }
                // Whoever takes connections has some.
                let mut counters = *self.state.counters.get(id, dest);
                if to.weight > 0 {
                    counters.active = CONNECTIONS;
                }
                self.state.counters.set(*id, *dest, counters);
                Ok(())
            }
            Op::DelDest(id, dest) => {
                let was_there = self.pool(id)?.dests.remove(dest);
                self.state.counters.set(*id, *dest, Counters::default());
                was_there.then_some(()).ok_or(OpError::NOT_THERE)
            }
            _ => Err(INVALID),
        }
    }

    fn operate_link(&mut self, op: &Op) -> Result<(), OpError> {
        let (ifindex, mtu) = match op {
            Op::LinkMtu(ifindex, mtu) => (*ifindex, Some(*mtu)),
            Op::LinkUp(ifindex) => (*ifindex, None),
            _ => return Err(INVALID),
        };
        let link = self.state.links.get_mut(&ifindex).ok_or(NO_DEVICE)?;
        match mtu {
            Some(mtu) => {
                link.mtu = mtu;
                self.notices.push(KernelEvent::Link(link.clone()));
            }
            None => self.set_up(true),
        }
        Ok(())
    }

    fn operate_address(&mut self, op: &Op) -> Result<(), OpError> {
        match op {
            Op::AddAddress(id, _) => {
                if !self.state.links.contains_key(&id.ifindex) {
                    return Err(NO_DEVICE);
                }
                if self.state.addresses.contains_key(id) {
                    return Err(OpError::EXISTS);
                }
                self.state.addresses.insert(*id, true);
                self.notices.push(KernelEvent::Address(*id, true));
            }
            Op::DelAddress(id) => {
                self.state.addresses.remove(id).ok_or(OpError::NO_ADDRESS)?;
                self.notices.push(KernelEvent::AddressGone(*id));
            }
            _ => return Err(INVALID),
        }
        Ok(())
    }

    fn operate_route(&mut self, op: &Op) -> Result<(), OpError> {
        match op {
            Op::AddRoute(route) => {
                let up = self
                    .state
                    .links
                    .get(&self.ifindex)
                    .is_some_and(|link| link.up);
                if !up {
                    return Err(UNREACHABLE);
                }
                self.state
                    .routes
                    .insert(route.clone())
                    .then_some(())
                    .ok_or(OpError::EXISTS)
            }
            Op::DelRoute(route) => self
                .state
                .routes
                .remove(route)
                .then_some(())
                .ok_or(OpError::NO_SERVICE),
            _ => Err(INVALID),
        }
    }

    fn operate_sync(&mut self, op: &Op) -> Result<(), OpError> {
        match op {
            Op::StartSync(role, daemon) => {
                let running = self.state.sync.contains_key(role);
                if running {
                    return Err(OpError::EXISTS);
                }
                let up = self
                    .state
                    .links
                    .get(&self.ifindex)
                    .is_some_and(|link| link.up);
                up.then_some(()).ok_or(UNREACHABLE)?;
                self.state.sync.insert(*role, daemon.clone());
                Ok(())
            }
            Op::StopSync(role) => self
                .state
                .sync
                .remove(role)
                .map(drop)
                .ok_or(OpError::NO_SERVICE),
            _ => Err(INVALID),
        }
    }

    fn operate_service(&mut self, op: &Op) -> Result<(), OpError> {
        match op {
            Op::NewService(id, service) => {
                if self.state.table.0.contains_key(id) {
                    return Err(OpError::EXISTS);
                }
                self.state.table.0.insert(*id, pool(service));
            }
            Op::SetService(id, service) => self.pool(id)?.service = service.clone(),
            Op::DelService(id) => {
                self.state.table.0.remove(id).ok_or(OpError::NO_SERVICE)?;
                self.state.counters.forget(*id);
            }
            _ => return Err(INVALID),
        }
        Ok(())
    }

    fn pool(&mut self, id: &ServiceId) -> Result<&mut Pool, OpError> {
        let pool = self.state.table.0.get_mut(id);
        pool.map(Arc::make_mut).ok_or(OpError::NO_SERVICE)
    }
}

/// Whether this answer to a removal says that there was nothing to remove.
#[must_use]
pub fn is_gone_already(op: &Op, error: OpError) -> bool {
    let gone = [
        OpError::NOT_THERE,
        OpError::NO_ADDRESS,
        OpError::NO_DEVICE,
        OpError::NO_SERVICE,
    ];
    let removal = matches!(
        op,
        Op::DelVmac(_)
            | Op::DelAddress(_)
            | Op::DelRoute(_)
            | Op::DelRule(_)
            | Op::StopSync(_)
            | Op::DelService(_)
            | Op::DelDest(..)
    );
    removal && gone.contains(&error)
}

fn pool(service: &Service) -> Arc<Pool> {
    Pool::new(service.clone(), Dests::default())
}

fn service(scheduler: &str) -> Service {
    Service {
        scheduler: scheduler.parse().expect("a short name"),
        flags: 0,
        timeout_s: 0,
        granularity: 32,
        sip: false,
    }
}
