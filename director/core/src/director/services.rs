//! The services of a node: their checks, the health these make, and the pools that follow from it.

use std::collections::BTreeMap;

use crate::check::{self, Checks, Health};
use crate::config::{RealServer, VirtualServer};
use crate::event::{CheckKey, Event};
use crate::ipvs::{ActualDest, Dest, DestId, Table};
use crate::pool::{self, Quorum};
use crate::time::Instant;

/// All services with their checks.
#[derive(Debug)]
pub(super) struct Services {
    servers: Vec<VirtualServer>,
    states: Vec<State>,
    pools: Vec<BTreeMap<DestId, Dest>>,
    pub(super) checks: Checks<CheckKey>,
}

/// What is known of one service.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) quorum: Quorum,
    /// Of each real server: whether it is up, and since when.
    pub(super) reals: Vec<(Health, Instant)>,
}

impl Services {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            servers: Vec::new(),
            states: Vec::new(),
            pools: Vec::new(),
            checks: Checks::new(seed),
        }
    }

    /// Makes these the services of the node. What stays keeps its health, its quorum and its running checks.
    pub(super) fn configure(&mut self, now: Instant, servers: &[VirtualServer]) {
        let before = core::mem::take(&mut self.servers)
            .into_iter()
            .zip(core::mem::take(&mut self.states));
        let mut before: BTreeMap<_, _> = before
            .map(|(server, state)| (server.id, (server, state)))
            .collect();
        self.servers = servers.to_vec();
        self.checks.set(now, servers.iter().flat_map(checks));
        for server in servers {
            let healths: Vec<Health> = server
                .real_servers
                .iter()
                .map(|real| self.health(server, real))
                .collect();
            let old = before.remove(&server.id);
            let since = |real: &RealServer, health: Health| {
                let (had, state) = old.as_ref()?;
                let index = had
                    .real_servers
                    .iter()
                    .position(|other| other.id == real.id)?;
                state
                    .reals
                    .get(index)
                    .filter(|(was, _)| *was == health)
                    .map(|(_, since)| *since)
            };
            let reals = server.real_servers.iter().zip(&healths);
            let reals = reals
                .map(|(real, health)| (*health, since(real, *health).unwrap_or(now)))
                .collect();
            let up = |index: usize| healths.get(index) == Some(&Health::Up);
            let mut quorum = old
                .as_ref()
                .map_or_else(|| Quorum::new(server, up), |(_, state)| state.quorum);
            quorum.judge(server, up);
            self.states.push(State { quorum, reals });
        }
        self.pools = servers
            .iter()
            .zip(&self.states)
            .map(|(server, state)| state.dests(server))
            .collect();
    }

    /// After a restart the kernel's table tells which real servers were in when the director died: nobody who was
    /// taken out comes back, and nobody who had proved itself is taken out, before its first check.
    pub(super) fn adopt(&mut self, now: Instant, table: &Table<ActualDest>) {
        let known = |server: &VirtualServer, real: &RealServer| {
            let pool = table.0.get(&server.id)?;
            let id = real.id.within(&server.id, real.dest.forwarding);
            let served = pool.dests.get(&id).is_some_and(|had| had.dest.weight > 0);
            // A configured weight of 0 tells nothing.
            (real.dest.weight > 0).then_some(if served { Health::Up } else { Health::Down })
        };
        let of_server = |server: &VirtualServer| -> Vec<(CheckKey, Health)> {
            let of_real = |real| {
                let health = known(server, real);
                keys(server, real).filter_map(move |key| health.map(|health| (key, health)))
            };
            server.real_servers.iter().flat_map(of_real).collect()
        };
        let known: Vec<_> = self.servers.iter().flat_map(of_server).collect();
        for (key, health) in known {
            self.checks.assume(now, &key, health);
            self.follow(now, &key);
        }
    }

    /// Follows a check that changed its mind: the real server's health, the quorum, the pool.
    pub(super) fn follow(&mut self, now: Instant, key: &CheckKey) -> Option<Event> {
        let index = self
            .servers
            .iter()
            .position(|server| server.id == key.service)?;
        let server = self.servers.get(index)?;
        let place = server
            .real_servers
            .iter()
            .position(|real| real.id == key.dest)?;
        let health = self.health(server, server.real_servers.get(place)?);
        let state = self.states.get_mut(index)?;
        let real = state.reals.get_mut(place)?;
        if real.0 != health {
            *real = (health, now);
        }
        let reals = &state.reals;
        let up = |index: usize| {
            reals
                .get(index)
                .is_some_and(|(health, _)| *health == Health::Up)
        };
        let turned = state.quorum.judge(server, up);
        let weight = pool::weight(server, up);
        *self.pools.get_mut(index)? = state.dests(server);
        turned.then(|| Event::Quorum {
            service: server.id,
            held: state.quorum.held(),
            weight,
            quorum: server.quorum,
        })
    }

    /// The services with what is known of them, in the order of the configuration.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&VirtualServer, &State)> {
        self.servers.iter().zip(&self.states)
    }

    /// The dests each service should have, in the order of the configuration.
    pub(super) fn pools(&self) -> &[BTreeMap<DestId, Dest>] {
        &self.pools
    }

    /// Up when none of its checks says otherwise.
    fn health(&self, server: &VirtualServer, real: &RealServer) -> Health {
        let down = keys(server, real).any(|key| self.checks.health(&key) == Some(Health::Down));
        if down { Health::Down } else { Health::Up }
    }
}

impl State {
    fn dests(&self, server: &VirtualServer) -> BTreeMap<DestId, Dest> {
        let up = |index: usize| {
            self.reals
                .get(index)
                .is_some_and(|(health, _)| *health == Health::Up)
        };
        pool::dests(server, self.quorum, up)
    }
}

/// The keys of a real server's checks.
pub(super) fn keys(server: &VirtualServer, real: &RealServer) -> impl Iterator<Item = CheckKey> {
    let (service, dest) = (server.id, real.id);
    // A real server has far fewer checks than fit the number; the configuration holds the bound.
    (0..=u16::MAX)
        .zip(&real.checks)
        .map(move |(ordinal, _)| CheckKey {
            service,
            dest,
            ordinal,
        })
}

fn checks(server: &VirtualServer) -> impl Iterator<Item = (CheckKey, check::Settings, Health)> {
    server.real_servers.iter().flat_map(|real| {
        let initially = if real.alpha { Health::Down } else { Health::Up };
        keys(server, real)
            .zip(&real.checks)
            .map(move |(key, settings)| (key, settings.clone(), initially))
    })
}
