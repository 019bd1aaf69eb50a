//! What must hold, whatever goes wrong.

use core::fmt;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use director_core::config::{Router, VirtualAddress};
use director_core::director::Reason;
use director_core::ipvs::{ServiceId, Table};
use director_core::kernel::{Op, OpError};
use director_core::net::Cidr;
use director_core::time::{Duration, Instant};
use director_core::{diff, limits};

use super::kernel::is_gone_already;
use super::network::Network;
use super::node::Node;
use super::routing;
use super::setup;
use super::view::{Touched, View};
use super::{groups, locals, view};

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
    /// What was last seen of the nodes.
    view: View,
    /// When a node became able to be Active or ceased to be, or something else happened that justifies another Active.
    disturbed_at: Instant,
    /// Virtual routers that have not exactly one Active, since when.
    odd: BTreeMap<u8, Instant>,
    /// When a node that is Active last sent an advert, or became Active, or was excused.
    adverts: Vec<((usize, u8), Instant)>,
    /// Who of each virtual router was the last to step back with an advert (`higher_prio_send_advert`), and when.
    last_words: BTreeMap<u8, (usize, Instant)>,
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
            view: View::default(),
            disturbed_at: Instant::ZERO,
            odd: BTreeMap::new(),
            adverts: Vec::new(),
            last_words: BTreeMap::new(),
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

    /// After each step, which changed these nodes.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn check(
        &mut self,
        now: Instant,
        touched: Touched,
        nodes: &mut [Node],
        network: &mut Network,
        neighbours: &mut Neighbours,
    ) -> Result<(), Violation> {
        if self.view.look(touched, nodes) {
            self.excuse(nodes, network, neighbours);
        }
        let moved = self.view.look_who_leaves(touched, nodes);
        if moved || !network.is_whole(now) || nodes.iter().any(|node| node.deaf) {
            self.disturb(now);
        }
        self.one_active(now)?;
        self.adverts_in_time(now)
    }

    /// Forgets whom the clients believe in where nobody can know that they must be told: a node was Active beside
    /// another one, and could not make itself heard before it ceased, or was not configured to do so. Only
    /// `garp_master_refresh` helps there.
    fn excuse(&mut self, nodes: &[Node], network: &mut Network, neighbours: &mut Neighbours) {
        let active: BTreeSet<(u8, usize)> = self.view.active().collect();
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
    fn one_active(&mut self, now: Instant) -> Result<(), Violation> {
        if !self.view.agrees {
            // A member that one node ties to others, and another node does not have or not so, may be nowhere.
            self.odd.clear();
            return Ok(());
        }
        let calm = now.since(self.disturbed_at);
        for (vrid, bound) in &self.view.bounds {
            if calm < *bound {
                self.odd.remove(vrid);
                continue;
            }
            let (candidates, active) = self.view.candidates(*vrid);
            if candidates == 0 || active == 1 {
                self.odd.remove(vrid);
                continue;
            }
            let since = *self.odd.entry(*vrid).or_insert(now);
            if now.since(since) > CHANGEOVER {
                return Err(Violation(format!(
                    "vrid {vrid}: {active} Active since {since}"
                )));
            }
        }
        Ok(())
    }

    /// Who is Active says so in time.
    fn adverts_in_time(&mut self, now: Instant) -> Result<(), Violation> {
        for (index, router) in self.view.routers() {
            let key = (index, router.vrid);
            let place = self.adverts.iter().position(|(of, _)| *of == key);
            let Some(place) = place else {
                self.adverts.extend(router.must_speak.then_some((key, now)));
                continue;
            };
            if !router.must_speak {
                self.adverts.swap_remove(place);
                continue;
            }
            let silent = now.since(self.adverts[place].1);
            if silent > router.advert_interval + TOLERANCE {
                return Err(Violation(format!(
                    "{index}: Active in vrid {} and silent for {silent:?}",
                    router.vrid
                )));
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
            let key = (index, *vrid);
            match self.adverts.iter_mut().find(|(of, _)| *of == key) {
                Some((_, last)) => *last = now,
                None => self.adverts.push((key, now)),
            }
            let node = &nodes[index];
            let steps_back = *priority > 0
                && router_of(node, *vrid).is_some_and(|router| !node.is_active(router));
            // The better one's priority may have fallen since its own advert: it takes a last word for a better
            // router's, and none is Active until an Active_Down time has passed.
            if steps_back
                && let Some((other, at)) = self.last_words.insert(*vrid, (index, now))
                && other != index
                && now.since(at) < CHANGEOVER
            {
                self.disturb(now);
            }
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

    /// A node was woken by its own timer, and wants to be woken `next`.
    ///
    /// # Errors
    /// When it wants to be woken for the same again, in the past.
    pub fn woken(
        &self,
        now: Instant,
        index: usize,
        next: Option<(Instant, Reason)>,
    ) -> Result<(), Violation> {
        match next {
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
        for (vrid, _) in view::bounds(nodes) {
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
