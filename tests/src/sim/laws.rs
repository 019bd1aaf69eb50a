//! What must hold, whatever goes wrong.

use core::fmt;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use director_core::config::{Router, VirtualAddress};
use director_core::director::Reason;
use director_core::ipvs::{ServiceId, Table};
use director_core::kernel::{Op, OpError};
use director_core::net::{Cidr, Family};
use director_core::time::{Duration, Instant};
use director_core::{diff, limits};

use super::kernel::is_gone_already;
use super::network::Network;
use super::node::Node;
use super::routing;
use super::setup;
use super::{groups, locals};

/// The wire, the wake-up and a look at the sockets.
const TOLERANCE: Duration = Duration::from_millis(5);

/// So long two nodes may be Active while one is taking over from the other.
const CHANGEOVER: Duration = Duration::from_millis(20);

/// Refusals of one operation within ten seconds. Between two of a row lie 0.1, 0.2, 0.4 .. 6.4 s, which makes nine; but
/// when the wish goes and comes again, the row begins again.
const REFUSALS_MAX: usize = 40;

/// A law is broken: which, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which node the clients believe to have an address: the one that announced it last; none where nobody can tell.
pub type Neighbours = BTreeMap<IpAddr, Option<usize>>;

/// The memory that the laws need.
#[derive(Debug)]
pub struct Laws {
    /// Which nodes could be Active when that was last looked at, by IPv4 and by IPv6.
    able: Vec<[bool; 2]>,
    /// Virtual routers of each node that lacked a device then.
    lacking: Vec<Vec<u8>>,
    /// When it changed last, or something else that justifies another Active.
    disturbed_at: Instant,
    /// Virtual routers that have not exactly one Active, since when.
    odd: BTreeMap<u8, Instant>,
    /// When a node that is Active last sent an advert, or became Active, or was excused.
    adverts: BTreeMap<(usize, u8), Instant>,
    /// Who was Active at the last step, by virtual router.
    active: BTreeSet<(u8, usize)>,
    /// Operations that the kernel refused since they last went well.
    refused: Vec<Vec<(Op, Instant)>>,
}

impl Laws {
    /// The laws of a world of so many nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self {
            able: vec![[false; 2]; nodes],
            lacking: vec![Vec::new(); nodes],
            disturbed_at: Instant::ZERO,
            odd: BTreeMap::new(),
            adverts: BTreeMap::new(),
            active: BTreeSet::new(),
            refused: vec![Vec::new(); nodes],
        }
    }

    /// An operator did something that may move Active.
    pub fn disturb(&mut self, now: Instant) {
        self.disturbed_at = now;
        self.odd.clear();
    }

    /// A new director knows nothing of what an earlier one was refused.
    pub fn started(&mut self, index: usize) {
        self.refused[index].clear();
    }

    /// After each step.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn check(
        &mut self,
        now: Instant,
        nodes: &mut [Node],
        network: &mut Network,
        neighbours: &mut Neighbours,
    ) -> Result<(), Violation> {
        self.excuse(nodes, network, neighbours);
        let mut disturbed = !network.is_whole(now);
        for (index, node) in nodes.iter_mut().enumerate() {
            let lacking = node.routers().filter(|router| node.lacks_device(router));
            let lacking: Vec<u8> = lacking.map(|router| router.vrid).collect();
            // One whose device is being made anew has no place for its addresses, and leaves all the same.
            let leaves = |vrid| self.active.contains(&(vrid, index)) || lacking.contains(&vrid);
            node.handing_over.retain(|vrid| leaves(*vrid));
            disturbed |= self.lacking[index] != lacking;
            self.lacking[index] = lacking;
            let able = [Family::V4, Family::V6].map(|family| node.is_able(family));
            disturbed |= node.deaf || self.able[index] != able;
            self.able[index] = able;
        }
        if disturbed {
            self.disturb(now);
        }
        self.one_active(now, nodes)?;
        self.adverts_in_time(now, nodes)
    }

    /// Forgets whom the clients believe in where nobody can know that they must be told: a node was Active beside
    /// another one, and could not make itself heard before it ceased, or was not configured to do so. Only
    /// `garp_master_refresh` helps there.
    fn excuse(&mut self, nodes: &[Node], network: &mut Network, neighbours: &mut Neighbours) {
        let active = nodes.iter().enumerate().flat_map(|(index, node)| {
            let own = node.routers().filter(|router| node.is_active(router));
            own.map(move |router| (router.vrid, index))
        });
        let active: BTreeSet<(u8, usize)> = active.collect();
        for (vrid, from) in self.active.difference(&active) {
            let node = &nodes[*from];
            let silent =
                router_of(node, *vrid).is_some_and(|router| !router.higher_prio_send_advert);
            let speaks = node.director.is_some() && node.kernel.has_link() && !silent;
            for (_, to) in active.iter().filter(|(other, _)| other == vrid) {
                if !speaks || !network.path(*from, *to).is_whole() {
                    let routers = nodes[*to].routers().filter(|router| router.vrid == *vrid);
                    let cidrs = routers.flat_map(Router::virtual_addresses);
                    neighbours.extend(cidrs.map(|cidr| (cidr.cidr.address, None)));
                }
            }
        }
        self.active = active;
    }

    /// Exactly one of the nodes that could be is Active, once everything has been whole for long enough.
    fn one_active(&mut self, now: Instant, nodes: &[Node]) -> Result<(), Violation> {
        if !groups::agree(nodes) {
            // A member that one node ties to others, and another node does not have or not so, may be nowhere.
            self.odd.clear();
            return Ok(());
        }
        let calm = now.since(self.disturbed_at);
        for (vrid, bound) in routers(nodes) {
            if calm < bound {
                self.odd.remove(&vrid);
                continue;
            }
            let able = |(index, node)| {
                let is_able = router_of(node, vrid).is_some_and(|of| node.is_able_as(of));
                is_able.then_some(index)
            };
            let (mut candidates, mut active) = (0, 0);
            for index in nodes.iter().enumerate().filter_map(able) {
                candidates += 1;
                active += usize::from(self.active.contains(&(vrid, index)));
            }
            if candidates == 0 || active == 1 {
                self.odd.remove(&vrid);
                continue;
            }
            let since = *self.odd.entry(vrid).or_insert(now);
            if now.since(since) > CHANGEOVER {
                return Err(Violation(format!(
                    "vrid {vrid}: {active} Active since {since}"
                )));
            }
        }
        Ok(())
    }

    /// Who is Active says so in time.
    fn adverts_in_time(&mut self, now: Instant, nodes: &[Node]) -> Result<(), Violation> {
        for (index, node) in nodes.iter().enumerate() {
            for router in node.routers() {
                let key = (index, router.vrid);
                let family = usize::from(router.family() == Family::V6);
                let is_able =
                    self.able[index][family] && !self.lacking[index].contains(&router.vrid);
                if !self.active.contains(&(router.vrid, index)) || !is_able {
                    self.adverts.remove(&key);
                    continue;
                }
                let last = *self.adverts.entry(key).or_insert(now);
                if now.since(last) > router.advert_interval + TOLERANCE {
                    let silent = now.since(last);
                    return Err(Violation(format!(
                        "{index}: Active in vrid {} and silent for {silent:?}",
                        router.vrid
                    )));
                }
            }
        }
        Ok(())
    }

    /// A node sends an advert.
    ///
    /// # Errors
    /// When it comes from another address than the node's own.
    pub fn advertised(
        &mut self,
        now: Instant,
        index: usize,
        nodes: &mut [Node],
        source: IpAddr,
        payload: &[u8],
    ) -> Result<(), Violation> {
        if !setup::own_addresses(index).contains(&source) {
            return Err(Violation(format!("{index}: advert from {source}")));
        }
        if let [_, vrid, priority, ..] = payload {
            self.adverts.insert((index, *vrid), now);
            // A handover that found no successor is over.
            if *priority > 0 {
                nodes[index].handing_over.remove(vrid);
            }
        }
        Ok(())
    }

    /// A node announces an address.
    ///
    /// # Errors
    /// When it has not decided to hold it.
    pub fn announced(
        &self,
        index: usize,
        nodes: &[Node],
        address: IpAddr,
    ) -> Result<(), Violation> {
        let Some(director) = &nodes[index].director else {
            return Ok(());
        };
        let mut held = director.reconciler().desired().addresses.iter();
        if held.any(|id| id.cidr.address == address) {
            Ok(())
        } else {
            Err(Violation(format!(
                "{index}: announces {address} without holding it"
            )))
        }
    }

    /// A node asks its kernel for something. Says whether the pool that it touches is to have servers.
    ///
    /// # Errors
    /// When the same was refused a moment ago, or too often.
    pub fn asked(
        &mut self,
        now: Instant,
        index: usize,
        nodes: &[Node],
        op: &Op,
    ) -> Result<bool, Violation> {
        let times: Vec<Instant> = self.refused[index]
            .iter()
            .filter(|(other, at)| other == op && now.since(*at) < Duration::from_secs(10))
            .map(|(_, at)| *at)
            .collect();
        let early = times
            .last()
            .is_some_and(|at| now.since(*at) < limits::OP_BACKOFF_MIN);
        if early || times.len() > REFUSALS_MAX {
            return Err(Violation(format!(
                "{index}: \"{op}\" again, refused at {times:?}"
            )));
        }
        let table = nodes[index]
            .director
            .as_ref()
            .map(|of| &of.reconciler().desired().table);
        let pool = table.zip(service(op));
        Ok(pool.is_some_and(|(table, id)| serves(table, &id)))
    }

    /// The kernel has done or refused something; `must_serve` says that the pool it touches had servers, and was to
    /// have some.
    ///
    /// # Errors
    /// When a pool is empty now that could have servers.
    pub fn operated(
        &mut self,
        now: Instant,
        index: usize,
        nodes: &mut [Node],
        op: &Op,
        must_serve: bool,
        result: Result<(), OpError>,
    ) -> Result<(), Violation> {
        match result {
            // What goes well with a route tells of all that is asked for in its place.
            Ok(()) => self.refused[index].retain(|(other, _)| {
                other != op && (route(op).is_none() || route(other) != route(op))
            }),
            Err(error) if is_gone_already(op, error) => {}
            Err(_) => {
                self.refused[index].push((op.clone(), now));
                nodes[index].meddled_at = now;
            }
        }
        let node = &nodes[index];
        let Some(id) = service(op) else {
            return Ok(());
        };
        // What others did is found at the next reading, which comes later where readings take long.
        let unread = node.table_read_at <= node.meddled_at;
        let meddled = unread || now.since(node.meddled_at) < limits::AUDIT_INTERVAL * 2;
        let serves_now = serves(&node.kernel.state.table, &id);
        if must_serve && !serves_now && !meddled {
            return Err(Violation(format!(
                "{index}: \"{op}\" empties a pool that has servers"
            )));
        }
        Ok(())
    }

    /// A node was woken by its own timer.
    ///
    /// # Errors
    /// When it wants to be woken for the same again, in the past.
    pub fn woken(&mut self, now: Instant, index: usize, nodes: &[Node]) -> Result<(), Violation> {
        let director = nodes[index].director.as_ref();
        match director.and_then(director_core::director::Director::next_timeout) {
            // The next slice of operations, or of checks that begin, follows at once.
            Some((_, Reason::Kernel) | (Instant::ZERO, Reason::Check)) | None => Ok(()),
            // A priority that changes moves the timer of a Backup router, perhaps to this very moment.
            Some((at, _)) if at >= now => Ok(()),
            Some((at, reason)) => Err(Violation(format!(
                "{index}: {reason:?} due at {at} was done"
            ))),
        }
    }

    /// A director ends by itself.
    ///
    /// # Errors
    /// When it leaves its virtual addresses behind.
    pub fn exits(&mut self, now: Instant, index: usize, nodes: &[Node]) -> Result<(), Violation> {
        let node = &nodes[index];
        if now.since(node.meddled_at) < limits::AUDIT_INTERVAL * 2 {
            return Ok(());
        }
        let refused = node.kernel.refusal.is_some() || node.kernel.cost > TOLERANCE;
        for router in node.routers() {
            for VirtualAddress { cidr, .. } in &router.addresses {
                if node.answers(*cidr) && !refused {
                    return Err(Violation(format!("{index}: ends and leaves {cidr} behind")));
                }
            }
        }
        Ok(())
    }

    /// When nothing has gone wrong for so long that everything must be as it should.
    ///
    /// # Errors
    /// When something is not.
    pub fn rest(&self, nodes: &[Node], neighbours: &Neighbours) -> Result<(), Violation> {
        for (index, node) in nodes.iter().enumerate() {
            let broken = |what: String| Err(Violation(format!("{index} at rest: {what}")));
            let Some(director) = &node.director else {
                return broken("not running".to_string());
            };
            let (desired, truth) = (director.reconciler().desired(), &node.kernel.state);
            if !director.reconciler().is_converged() {
                return broken("not converged".to_string());
            }
            let mut left = diff::network(desired, truth);
            left.extend(diff::filter(desired, truth));
            left.extend(diff::ipvs(desired, truth));
            if let Some(op) = left.first() {
                return broken(format!("{op} is left to do"));
            }
            if !locals::translates(director.config(), truth.filter.as_deref()) {
                return broken("services by FULLNAT are not translated".to_string());
            }
            for router in node.routers() {
                for VirtualAddress { cidr, .. } in router.virtual_addresses() {
                    if node.answers(*cidr) != node.is_active(router) {
                        return broken(format!("{cidr} is in the wrong place"));
                    }
                    let last = neighbours.get(&cidr.address);
                    let right = matches!(last, Some(None)) || last == Some(&Some(index));
                    if node.is_active(router) && !right {
                        return broken(format!("clients believe {cidr} to be at {last:?}"));
                    }
                }
            }
        }
        groups::together(nodes)?;
        groups::weighted(nodes)?;
        routing::follow(nodes)?;
        for (vrid, _) in routers(nodes) {
            let of = |node: &&Node| {
                let mut own = node.routers();
                own.any(|router| router.vrid == vrid && node.is_active(router))
            };
            let active = nodes.iter().filter(of).count();
            if active > 1 || active == 0 && groups::agree(nodes) {
                return Err(Violation(format!(
                    "at rest: {active} Active in vrid {vrid}"
                )));
            }
        }
        Ok(())
    }
}

/// The virtual routers that any node has, with the time after which exactly one is Active: an Active_Down time, once
/// more after a stall of its own, and what the configuration delays. Members of a sync group wait for each other, and
/// begin anew together.
fn routers(nodes: &[Node]) -> Vec<(u8, Duration)> {
    let mut bounds: Vec<(u8, Duration)> = Vec::new();
    for router in nodes.iter().flat_map(Node::routers) {
        let active_down = router.advert_interval * (u32::from(router.down_adverts) + 1);
        let bound = active_down * 2 + router.startup_delay + Duration::from_millis(300);
        match bounds.iter_mut().find(|(vrid, _)| *vrid == router.vrid) {
            Some((_, longest)) => *longest = bound.max(*longest),
            None => bounds.push((router.vrid, bound)),
        }
    }
    let is_grouped = |node: &Node| {
        let mut directors = node.director.iter();
        directors.any(|director| !director.config().groups.is_empty())
    };
    if nodes.iter().any(is_grouped) {
        let all = bounds.iter().map(|(_, bound)| *bound).sum();
        bounds.iter_mut().for_each(|(_, bound)| *bound = all);
    }
    bounds
}

/// A node's virtual router of this identifier.
fn router_of(node: &Node, vrid: u8) -> Option<&Router> {
    node.routers().find(|router| router.vrid == vrid)
}

/// Whether the pool that an operation may empty has servers in the kernel.
#[must_use]
pub fn serves_before(node: &Node, op: &Op) -> bool {
    let table = &node.kernel.state.table;
    service(op).is_some_and(|id| serves(table, &id))
}

fn serves(table: &Table, id: &ServiceId) -> bool {
    let pool = table.0.get(id);
    pool.is_some_and(|pool| pool.dests.iter().any(|(_, to)| to.weight > 0))
}

/// The service whose pool an operation may empty.
const fn service(op: &Op) -> Option<ServiceId> {
    match op {
        Op::SetDest(id, ..) | Op::DelDest(id, _) | Op::DelService(id) => Some(*id),
        _ => None,
    }
}

/// The place in a routing table that an operation is about.
fn route(op: &Op) -> Option<(Cidr, u32, u32)> {
    match op {
        Op::AddRoute(route) | Op::DelRoute(route) => {
            Some((route.destination, route.table, route.metric))
        }
        _ => None,
    }
}
