//! Checks that go the way that clients go: to the virtual address, and on by IPVS (`data_path`).
//!
//! Each real server that is asked so has a private service of the kernel that leads to it alone, by a firewall mark
//! that only the sockets of its checks have. IPVS looks for a mark before it looks for an address, also in what the
//! node itself sends, so that such a check never meets the service of the clients: no counter of theirs, no schedule,
//! and nobody else's connection.
//!
//! - The marks are numbered in the order of the dests, so that both nodes of a pair, and the director after this one,
//!   come to the same; a dest that stays keeps its mark.
//! - A check that came before its private service, or after somebody had removed that, would be scheduled like a
//!   client and tell of another server. So it connects only while the kernel has the service as it should be, for all
//!   that the last reading tells.
//! - The source is the node's own address beside the virtual address: what the kernel would choose is the virtual
//!   address itself, on the node that holds it. By NAT the answer then needs the real server's gateway, as the
//!   clients' do; but that is the node that holds the virtual address. Another node asks from beside the real server,
//!   so that the death of the gateway does not fail all checks of the node that is about to become it.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Director;
use crate::check::{self, Action, Ask, Barrier, Bind};
use crate::config::{Config, RealServer, Router, VirtualAddress, VirtualServer};
use crate::ipvs::{Dest, DestId, Forwarding, Pool, Service, ServiceId, Table};
use crate::limits;
use crate::net::{Family, IfName, Ifindex};
use crate::plan;

/// To where a private service leads: the family of the virtual address, the dest, and how it is reached.
type Target = (Family, DestId, Forwarding);

/// The private services.
#[derive(Debug, Default)]
pub(super) struct DataPaths {
    marks: BTreeMap<Target, u32>,
    targets: BTreeMap<u32, Target>,
    /// Addresses that come and go, and on which interface, by its configured name, a virtual router puts them.
    homes: BTreeMap<IpAddr, Option<IfName>>,
    /// Where addresses are, virtual ones and those of real servers; forgotten when an address or a link changes.
    sites: BTreeMap<IpAddr, Site>,
}

/// Where an address is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Site {
    /// On this node, now.
    held: bool,
    /// The node's own address beside it, and the kernel's name of the interface.
    own: Option<(IpAddr, IfName)>,
}

impl DataPaths {
    /// Has one private service for each dest that a check of these services leads to; returns those that may be other
    /// than they were.
    pub(super) fn configure(
        &mut self,
        config: &Config,
        servers: &[Arc<VirtualServer>],
    ) -> Vec<ServiceId> {
        let reals = servers.iter().flat_map(|server| &server.real_servers);
        let targets = reals
            .flat_map(RealServer::asks)
            .filter_map(|ask| target(&ask));
        let wanted: BTreeMap<Target, Option<u32>> = targets
            .map(|target| (target, self.marks.get(&target).copied()))
            .collect();
        self.sites.clear();
        self.homes.clear();
        if !wanted.is_empty() {
            let ids = servers.iter().flat_map(|server| server.ids());
            self.homes
                .extend(ids.filter_map(|id| Some((id.address()?, None))));
            let quorums = servers
                .iter()
                .filter_map(|server| server.quorum_address.as_deref());
            let virtuals = config.routers.iter().flat_map(Router::virtual_addresses);
            let homes = quorums.chain(&config.local_addresses).chain(virtuals);
            let home = |known: &VirtualAddress| (known.cidr.address, Some(known.interface.clone()));
            self.homes.extend(homes.map(home));
        }
        self.assign(wanted)
    }

    /// Takes over the marks that an earlier director gave, where its private services lead to the same dests.
    pub(super) fn adopt(&mut self, table: &Table) -> Vec<ServiceId> {
        let mut wanted: BTreeMap<Target, Option<u32>> =
            self.marks.keys().map(|target| (*target, None)).collect();
        for (id, pool) in &table.0 {
            let ServiceId::Fwmark { family, mark } = *id else {
                continue;
            };
            if limits::PATH_MARKS.contains(&mark)
                && let Some((dest, to)) = only(pool)
                && let Some(known) = wanted.get_mut(&(family, *dest, to.forwarding))
            {
                *known = Some(mark);
            }
        }
        self.assign(wanted)
    }

    /// Those that have no mark get the lowest ones that are free.
    fn assign(&mut self, wanted: BTreeMap<Target, Option<u32>>) -> Vec<ServiceId> {
        let old = core::mem::take(&mut self.marks);
        self.targets = wanted
            .iter()
            .filter_map(|(target, mark)| Some(((*mark)?, *target)))
            .collect();
        let mut free = limits::PATH_MARKS;
        for (target, mark) in wanted {
            let mut fresh = || free.find(|mark| !self.targets.contains_key(mark));
            // There are more marks than checks.
            let Some(mark) = mark.or_else(&mut fresh) else {
                continue;
            };
            self.targets.insert(mark, target);
            self.marks.insert(target, mark);
        }
        let turned = |(target, mark): (&Target, &u32), other: &BTreeMap<Target, u32>| {
            (other.get(target) != Some(mark)).then(|| service_id(target, *mark))
        };
        let gone = old.iter().filter_map(|entry| turned(entry, &self.marks));
        let come = self.marks.iter().filter_map(|entry| turned(entry, &old));
        gone.chain(come).collect()
    }

    /// The private service of this identity, as the kernel is to have it.
    pub(super) fn pool(&self, id: &ServiceId) -> Option<Arc<Pool>> {
        let ServiceId::Fwmark { family, mark } = *id else {
            return None;
        };
        let (of, dest, forwarding) = *self.targets.get(&mark)?;
        if of != family {
            return None;
        }
        let to = Dest {
            forwarding,
            weight: 1,
            upper: 0,
            lower: 0,
        };
        let service = Service {
            scheduler: "rr".parse().ok()?,
            flags: 0,
            timeout_s: 0,
            granularity: family.bits(),
            sip: false,
        };
        Some(Pool::new(service, [(dest, to)].into_iter().collect()))
    }

    /// Addresses or links are other than before.
    pub(super) fn forget_sites(&mut self) {
        self.sites.clear();
    }

    /// The mark of a private service that the kernel has as it should be.
    fn mark(&self, target: &Target, table: &Table) -> Option<u32> {
        let mark = *self.marks.get(target)?;
        let had = table.0.get(&service_id(target, mark))?;
        let (dest, to) = only(had)?;
        let (_, wanted, forwarding) = *target;
        let leads = *dest == wanted && to.forwarding == forwarding && to.weight > 0;
        leads.then_some(mark)
    }
}

/// Where a service leads, if that is to one dest alone.
fn only(pool: &Pool) -> Option<(&DestId, &Dest)> {
    let mut dests = pool.dests.iter();
    let first = dests.next()?;
    dests.next().is_none().then_some(first)
}

const fn service_id((family, ..): &Target, mark: u32) -> ServiceId {
    ServiceId::Fwmark {
        family: *family,
        mark,
    }
}

/// To where the private service of a check leads, if it has one.
fn target(ask: &Ask) -> Option<Target> {
    let path = ask.how.path.as_ref()?;
    let dest = DestId {
        address: ask.target.address,
        port: ask.target.port,
    };
    Some((Family::of(path.address.ip()), dest, path.forwarding))
}

impl Director {
    /// The next thing to do for a check of a service. One whose way is not open is told so, and waits.
    pub(super) fn poll_service_check(&mut self) -> Option<(check::Id, Action)> {
        loop {
            let (id, action) = self.services.checks.poll_action(self.now)?;
            match self.by_data_path(id, action) {
                Ok(action) => return Some((id, action)),
                Err(barrier) => {
                    let io = check::Io::Barred(barrier);
                    self.services.checks.handle_io(self.now, id, io);
                }
            }
        }
    }

    /// Lets a check that goes by the virtual address connect there.
    fn by_data_path(&mut self, id: check::Id, mut action: Action) -> Result<Action, Barrier> {
        let Action::Connect {
            target: to, bind, ..
        } = &mut action
        else {
            return Ok(action);
        };
        let ask = self.services.checks.asked_by(id);
        let Some((path, target)) =
            ask.and_then(|ask| Some((**ask.how.path.as_ref()?, target(ask)?)))
        else {
            return Ok(action);
        };
        let address = path.address.ip();
        let held = self.site(address).held;
        if path.only_where_held && !held {
            return Ok(action);
        }
        let table = &self.reconciler.actual().table;
        let mark = self.services.paths.mark(&target, table);
        let mark = mark.ok_or(Barrier::NoService)?;
        let is_nat = path.forwarding == Forwarding::Nat;
        let beside = if is_nat && !held { to.ip() } else { address };
        let own = self.site(beside).own;
        let (asked, own) = (bind.as_ref().and_then(|bind| bind.address), own.as_ref());
        let source = asked.or_else(|| own.map(|(address, _)| *address));
        let name = own.map(|(_, name)| name.clone());
        *to = path.address;
        *bind = Some(Box::new(Bind {
            address: Some(source.ok_or(Barrier::NoSource)?),
            mark,
            reset: true,
            from_own: name.filter(|_| address.is_ipv4() && !is_nat),
            ..Bind::default()
        }));
        Ok(action)
    }

    /// By which virtual address and port a check goes now; none for straight.
    pub(super) fn way(&self, ask: &Ask) -> Option<core::net::SocketAddr> {
        let path = ask.how.path.as_ref()?;
        let address = path.address.ip();
        let mut addresses = self.reconciler.actual().addresses.keys();
        let is_open = !path.only_where_held || addresses.any(|id| id.cidr.address == address);
        is_open.then_some(path.address)
    }

    fn site(&mut self, address: IpAddr) -> Site {
        if let Some(site) = self.services.paths.sites.get(&address) {
            return site.clone();
        }
        let site = self.find_site(address);
        let sites = &mut self.services.paths.sites;
        sites.insert(address, site.clone());
        site
    }

    /// Where an address is. An own address is one that does not come and go.
    fn find_site(&self, address: IpAddr) -> Site {
        let actual = self.reconciler.actual();
        let mut addresses = actual.addresses.keys();
        let held = addresses.find(|id| id.cidr.address == address);
        // Where another node holds it, this one would have it on the same interface.
        let elsewhere = || {
            let interface = self.services.paths.homes.get(&address)?.as_ref()?;
            let link = plan::link(&self.config, &actual.links, interface)?;
            Some(link.ifindex)
        };
        let beside = held.map(|id| id.ifindex).or_else(elsewhere);
        // The device of a virtual hardware address has no own address; the link that it is on has.
        let base = |ifindex: Ifindex| {
            let link = actual.links.get(&ifindex)?;
            Some(link.macvlan.map_or(ifindex, |macvlan| macvlan.base))
        };
        let beside = beside.and_then(base);
        // Of several the nearest one: its network is that of the clients' side.
        let homes = &self.services.paths.homes;
        let own = actual.addresses.keys().filter_map(|id| {
            let link = actual.links.get(&id.ifindex)?;
            let own = id.cidr.address;
            let speaks = is_like(own, address) && !link.loopback && !homes.contains_key(&own);
            let near = (beside == Some(id.ifindex), common_bits(own, address));
            speaks.then_some((near, own, &link.name))
        });
        let own = own.max_by_key(|(near, ..)| *near);
        Site {
            held: held.is_some(),
            own: own.map(|(_, own, name)| (own, name.clone())),
        }
    }
}

/// Whether an address can speak to another one beyond its link.
fn is_like(own: IpAddr, other: IpAddr) -> bool {
    let is_local = matches!(own, IpAddr::V6(own) if own.is_unicast_link_local());
    Family::of(own) == Family::of(other) && !is_local
}

/// How many bits two addresses of one family begin with alike.
const fn common_bits(one: IpAddr, other: IpAddr) -> u32 {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        _ => 0,
    }
}
