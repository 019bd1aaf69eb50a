//! The services of a node: their checks, the health these make, and the pools that follow from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::data_path::DataPaths;
use super::presence::suspend;
use super::seats::{Numbers, Seat, seats};
use super::standings::{Standing, place_of};
use crate::check::{self, Checks, Health};
use crate::config::{Config, RealServer, VirtualServer};
use crate::event::Event;
use crate::ipvs::{Dest, DestId, Pool, ServiceId, WEIGHT_MAX};
use crate::overrides::{Leaving, Saved};
use crate::plan;
use crate::pool::{self, Place, Quorum};
use crate::time::Instant;

/// All services with their checks.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) servers: Vec<Arc<VirtualServer>>,
    pub(super) states: Vec<State>,
    /// Where a service of the kernel stands in both.
    pub(super) places: BTreeMap<ServiceId, usize>,
    /// Services with an address that follows their quorum, and services whose checks wait for an address.
    pub(super) on_quorum: Vec<usize>,
    pub(super) suspending: Vec<usize>,
    /// Services whose pool may be other than it was.
    pub(super) turned: BTreeSet<ServiceId>,
    pub(super) checks: Checks<Seat>,
    /// Where a service stands, by its number; and the next number.
    pub(super) numbers: BTreeMap<u32, usize>,
    next_number: u32,
    pub(super) paths: DataPaths,
    /// Words of a director before this one for services that there are not: the next configuration may have them, when
    /// that of the start was refused.
    pub(super) waiting: Vec<Saved>,
    /// When a drain ends or a slow start goes on, at the earliest.
    pub(super) wake_at: Option<Instant>,
    /// The next service to be looked at, while the first reading of the table is not believed yet.
    pub(super) adopting: Option<usize>,
    /// A service won or lost its quorum: who tracks it is to be told.
    pub(super) quorum_turned: bool,
    /// Raised whenever what outlives the director changes.
    pub(super) generation: u64,
}

/// A service before a configuration, with what is known of it.
pub(super) type Had = (Arc<VirtualServer>, State);

/// What is known of one service.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// By which its checks know it.
    pub(super) number: u32,
    pub(super) quorum: Quorum,
    /// Since when it is as it is.
    pub(super) quorum_since: Instant,
    /// Whether its checks wait for an address of the service (`ha_suspend`); none before that was looked at.
    pub(super) suspended: Option<bool>,
    /// Of each real server.
    pub(super) reals: Vec<Standing>,
    /// Real servers that the configuration no longer has.
    pub(super) leaving: BTreeMap<DestId, Leaving>,
}

impl Services {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            servers: Vec::new(),
            states: Vec::new(),
            places: BTreeMap::new(),
            on_quorum: Vec::new(),
            suspending: Vec::new(),
            turned: BTreeSet::new(),
            checks: Checks::new(seed),
            numbers: BTreeMap::new(),
            next_number: 0,
            paths: DataPaths::default(),
            waiting: Vec::new(),
            wake_at: None,
            adopting: None,
            quorum_turned: false,
            generation: 0,
        }
    }

    /// Makes these the services of the node. What stays keeps its health, its quorum and its running checks; a service
    /// that is the same object as before costs nothing.
    pub(super) fn configure(&mut self, now: Instant, config: &Config) -> Vec<Event> {
        let servers = &config.services;
        let mut events = Vec::new();
        let (old, before) = self.take_before(servers);
        // First the checks, all at once: health is what they make it.
        let changed = old.iter().filter(|(_, changes)| *changes);
        let replaced = changed.filter_map(|(had, _)| had.as_ref());
        let replaced = before.iter().chain(replaced);
        let of = replaced.flat_map(|(server, state)| state.all_seats(server));
        let next = &mut self.next_number;
        let numbered = servers.iter().zip(&old).map(|(server, (had, changes))| {
            changes.then(|| Numbers::new(server, had.as_ref(), next))
        });
        let numbered: Vec<Option<Numbers>> = numbered.collect();
        let wanted = servers
            .iter()
            .zip(&numbered)
            .filter_map(|(server, of)| Some((server, of.as_ref()?)));
        let wanted = wanted.flat_map(|(server, numbers)| checks(server, numbers));
        self.checks.replace(now, of, wanted);
        let gone = before.iter().map(|(server, _)| server);
        self.turned.extend(gone.flat_map(|server| server.ids()));
        for ((server, (had, _)), numbers) in servers.iter().zip(old).zip(numbered) {
            let state = match (numbers, had) {
                (None, Some((_, state))) => state,
                (None, None) => continue, // what was not there has numbers
                (Some(numbers), had) => {
                    let old = had.iter().flat_map(|(server, _)| server.ids());
                    self.turned.extend(old.chain(server.ids()));
                    let mut state = self.state(now, server, had.as_ref(), numbers);
                    if let Some((had, before)) = &had {
                        if before.suspended == Some(true) {
                            // Whether they still are to rest is looked at anew.
                            suspend(&mut self.checks, now, (server, &state), false);
                        }
                        events.extend(state.leave(now, server, had, before));
                    }
                    state
                }
            };
            self.servers.push(Arc::clone(server));
            self.states.push(state);
        }
        for (server, state) in before {
            events.extend(self.retire(now, &server, &state));
        }
        let numbers = self.states.iter().map(|state| state.number);
        self.numbers = numbers.zip(0..).collect();
        let waiting = core::mem::take(&mut self.waiting);
        self.restore(now, &waiting);
        self.waiting.clear();
        self.index(now, config);
        self.turned
            .extend(self.paths.configure(config, &self.servers));
        self.generation += 1;
        self.wake_at = Some(now);
        // They may be other ones, or in another order.
        self.adopting = self.adopting.map(|_| 0);
        events
    }

    /// What there is of each of these services, and whether it changes; and those that are none of them. The places
    /// are those of these from now on.
    fn take_before(
        &mut self,
        servers: &[Arc<VirtualServer>],
    ) -> (Vec<(Option<Had>, bool)>, Vec<Had>) {
        let before = core::mem::take(&mut self.servers).into_iter();
        let states = core::mem::take(&mut self.states);
        let mut before: Vec<Option<Had>> = before.zip(states).map(Some).collect();
        let mut is_moved = false;
        let mut old = Vec::with_capacity(servers.len());
        for (server, place) in servers.iter().zip(0..) {
            let is_it = |at: &usize| {
                let had = before.get(*at).and_then(Option::as_ref);
                had.is_some_and(|(had, _)| had.id == server.id)
            };
            // Most often it is where it was.
            let elsewhere = || self.places.get(&server.id).copied().filter(is_it);
            let at = Some(place).filter(is_it).or_else(elsewhere);
            let had = at.and_then(|at| before.get_mut(at)?.take());
            let same = had.as_ref().filter(|(had, _)| Arc::ptr_eq(had, server));
            let changes = same.is_none();
            let has_ids = |(had, _): &Had| !changes || had.ids().eq(server.ids());
            is_moved |= at != Some(place) || !had.as_ref().is_some_and(has_ids);
            old.push((had, changes));
        }
        let mut gone: Vec<Had> = before.into_iter().flatten().collect();
        gone.sort_by_key(|(server, _)| server.id);
        if is_moved || !gone.is_empty() {
            let places = servers.iter().zip(0..);
            self.places = places
                .flat_map(|(server, place)| server.ids().map(move |id| (id, place)))
                .collect();
        }
        (old, gone)
    }

    /// A service that the configuration no longer has goes on without real servers while there are some that leave.
    fn retire(&mut self, now: Instant, had: &VirtualServer, before: &State) -> Vec<Event> {
        let mut ids = had.ids().filter(|id| !self.places.contains_key(id));
        let Some(id) = ids.next() else {
            return Vec::new();
        };
        let server = VirtualServer {
            group: None,
            id,
            others: ids.collect(),
            real_servers: Vec::new(),
            sorry: None,
            ..had.clone()
        };
        let mut state = State {
            number: before.number,
            quorum: Quorum::new(&server, |_| Place::Out),
            quorum_since: now,
            suspended: None,
            reals: Vec::new(),
            leaving: BTreeMap::new(),
        };
        let events = state.leave(now, &server, had, before);
        if !state.leaving.is_empty() {
            let place = self.servers.len();
            self.places.extend(server.ids().map(|id| (id, place)));
            self.servers.push(Arc::new(server));
            self.states.push(state);
        }
        events
    }

    /// What is known of a service that is new or other than it was.
    fn state(
        &self,
        now: Instant,
        server: &VirtualServer,
        old: Option<&Had>,
        numbers: Numbers,
    ) -> State {
        let stands = |(real, (number, place)): (&RealServer, (u32, Option<usize>))| {
            let is = self.judge(real, seats(numbers.service, number, real));
            let was = old.and_then(|(_, state)| state.reals.get(place?));
            Standing::new(now, number, is, was)
        };
        let reals = server.real_servers.iter().zip(numbers.reals);
        let reals: Vec<Standing> = reals.map(stands).collect();
        let (quorum, quorum_since) = match old {
            Some((_, state)) => (state.quorum, state.quorum_since),
            None => (Quorum::new(server, place_of(&reals)), now),
        };
        let mut state = State {
            number: numbers.service,
            quorum,
            quorum_since,
            suspended: None,
            reals,
            leaving: BTreeMap::new(),
        };
        state.hold(server);
        if state.quorum.judge(server, place_of(&state.reals)) {
            state.quorum_since = now;
        }
        state
    }

    /// Follows a check that changed its mind: the real server's health, the quorum, the pool.
    pub(super) fn follow(&mut self, now: Instant, seat: &Seat) -> Option<Event> {
        let (index, place) = self.find_seat(seat)?;
        self.restand(now, index, place);
        self.rejudge(now, index)
    }

    /// Where a real server stands now, by its checks. The service is to be judged anew then.
    pub(super) fn restand(&mut self, now: Instant, index: usize, place: usize) -> Option<()> {
        let server = self.servers.get(index)?;
        let configured = server.real_servers.get(place)?;
        let seats = self.states.get(index)?.seats(server, place);
        let is = self.judge(configured, seats);
        let real = self.states.get_mut(index)?.reals.get_mut(place)?;
        real.turn(now, is, !configured.slow_start.is_zero());
        if real.ramp().is_some() {
            self.wake_at = Some(now);
        }
        Some(())
    }

    /// Judges a service anew in which a real server stands otherwise than before: the quorum, the pool.
    pub(super) fn rejudge(&mut self, now: Instant, index: usize) -> Option<Event> {
        let server = self.servers.get(index)?;
        let state = self.states.get_mut(index)?;
        state.hold(server);
        let place_of = place_of(&state.reals);
        let turned = state.quorum.judge(server, &place_of);
        let weight = pool::weight(server, &place_of);
        self.turned.extend(server.ids());
        self.quorum_turned |= turned;
        turned.then(|| Event::Quorum {
            service: server.id,
            held: state.quorum.held(),
            weight,
            quorum: server.quorum,
            lasted: now.since(core::mem::replace(&mut state.quorum_since, now)),
        })
    }

    /// The services with what is known of them, in the order of the configuration; those that it no longer has last.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&VirtualServer, &State)> {
        let servers = self.servers.iter().map(|server| &**server);
        servers
            .zip(&self.states)
            .filter(|(server, state)| !state.is_over(server))
    }

    /// Whether the next turn goes on with something.
    pub(super) fn has_work(&self) -> bool {
        self.has_turned() || self.is_adopting()
    }

    /// Whether the pool of a service may be other than it was.
    pub(super) fn has_turned(&self) -> bool {
        !self.turned.is_empty()
    }

    /// No pool is to be planned any more.
    pub(super) fn forget_turned(&mut self) {
        self.turned.clear();
    }

    /// The next service whose pool may be other than it was, with what it should be now.
    pub(super) fn poll_pool(&mut self) -> Option<(ServiceId, Option<Arc<Pool>>)> {
        let id = self.turned.pop_first()?;
        let place = self.places.get(&id).copied();
        let found = place.and_then(|place| self.servers.get(place).zip(self.states.get(place)));
        let found = found.filter(|(server, state)| !state.is_over(server));
        let pool = found.map(|(server, state)| plan::pool(server, &id, &state.dests(server)));
        Some((id, pool.or_else(|| self.paths.pool(&id))))
    }

    /// Up when none of its checks says otherwise; and the weight that its checks make of the configured one.
    fn judge(&self, real: &RealServer, seats: impl Iterator<Item = Seat>) -> (Health, u32) {
        let mut health = Health::Up;
        let (mut weight, mut added) = (i64::from(real.dest.weight), 0_i64);
        for (ask, is, value) in seats.filter_map(|seat| self.checks.verdict(&seat)) {
            if is == Health::Down {
                health = Health::Down;
            }
            match (&ask.how.kind, value) {
                (check::Kind::File(_), Some(value)) => added = added.saturating_add(value),
                (_, Some(value)) => weight = value,
                (_, None) => {}
            }
        }
        let weight = weight.saturating_add(added).clamp(0, i64::from(WEIGHT_MAX));
        (health, u32::try_from(weight).unwrap_or(0))
    }
}

/// Whether the configuration no longer has a service, and only its real servers that leave are left of it.
pub(super) const fn is_retired(server: &VirtualServer) -> bool {
    server.real_servers.is_empty()
}

impl State {
    /// Whether nothing is left of a service.
    fn is_over(&self, server: &VirtualServer) -> bool {
        is_retired(server) && self.leaving.is_empty()
    }

    /// Finds the failed real servers that stay in: no more may go than `depool_limit` says, and who failed first goes
    /// first. One that was never up, and so was never in, is not held.
    fn hold(&mut self, server: &VirtualServer) {
        let Some(limit) = server.depool_limit else {
            return;
        };
        let most = limit.of(self.reals.len());
        let mut fallen: Vec<&mut Standing> = Vec::new();
        for real in &mut self.reals {
            real.held = false;
            if real.has_fallen() {
                fallen.push(real);
            }
        }
        fallen.sort_by_key(|real| real.since);
        fallen
            .into_iter()
            .skip(most)
            .for_each(|real| real.held = true);
    }

    fn dests(&self, server: &VirtualServer) -> BTreeMap<DestId, Dest> {
        let mut dests = pool::dests(server, self.quorum, place_of(&self.reals));
        for (id, leaving) in &self.leaving {
            dests.entry(*id).or_insert(leaving.dest);
        }
        dests
    }
}

/// The checks of a service, and what is thought of its real servers before these have told.
fn checks(
    server: &VirtualServer,
    numbers: &Numbers,
) -> impl Iterator<Item = (Seat, check::Ask, Health)> {
    let reals = server.real_servers.iter().zip(&numbers.reals);
    reals.flat_map(|(real, (number, _))| {
        let initially = if real.alpha { Health::Down } else { Health::Up };
        seats(numbers.service, *number, real)
            .zip(real.asks())
            .map(move |(seat, ask)| (seat, ask, initially))
    })
}
