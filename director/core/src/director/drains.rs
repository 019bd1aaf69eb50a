//! What holds against the configuration and what takes its time: an operator's words, drains, slow starts.

use std::collections::BTreeSet;

use super::Director;
use super::services::{Services, State};
use super::standings::Standing;
use crate::config::{RealServer, VirtualServer};
use crate::event::Event;
use crate::ipvs::{Dest, DestId, Forwarding, ServiceId};
use crate::kernel::Actual;
use crate::limits;
use crate::net::Name;
use crate::overrides::{Change, Kind, Leaving, Override, Saved, Wish, Word};
use crate::pool::Ramp;
use crate::time::{Instant, earliest};

impl Director {
    /// The one dest that an operator means by two words, such as `10.0.0.100:80` or `tcp/10.0.0.100:80` or the name
    /// of a group, and `10.0.0.11` or `10.0.0.11:80`.
    ///
    /// # Errors
    /// In words, when there is none, or more than one.
    pub fn find_dest(&self, service: &str, dest: &str) -> Result<(ServiceId, DestId), String> {
        let servers = self.services.servers.iter();
        let servers: Vec<_> = servers.filter(|server| is_meant(server, service)).collect();
        let server = match servers[..] {
            [server] => server,
            [] => return Err(format!("there is no service {service}")),
            _ => {
                return Err(format!(
                    "several services are {service}: name protocol and port"
                ));
            }
        };
        let ids = server.real_servers.iter().map(|real| real.id);
        let ids: Vec<_> = ids
            .filter(|id| id.to_string() == dest || id.address.to_string() == dest)
            .collect();
        match ids[..] {
            [id] => Ok((server.id, id)),
            [] => Err(format!("{service} has no real server {dest}")),
            _ => Err(format!(
                "{service} has several real servers {dest}: name the port"
            )),
        }
    }

    /// Operators' words and drains: what the next director is to be given by [`super::Input::Restore`].
    #[must_use]
    pub fn saved(&self) -> Vec<Saved> {
        self.services.saved()
    }

    /// A number that is another one whenever [`Director::saved`] is.
    #[must_use]
    pub const fn saved_number(&self) -> u64 {
        self.services.generation
    }

    /// Goes on with what takes its time; `was_read` says that the IPVS table has just been read.
    pub(super) fn advance_drains(&mut self, was_read: bool) {
        let actual = was_read.then(|| self.reconciler.actual());
        let (moved, events) = self.services.advance(self.now, actual);
        if moved {
            self.moved(events);
        }
    }

    /// Dests are to be other than before.
    pub(super) fn moved(&mut self, events: Vec<Event>) {
        self.dirty = true;
        for event in events {
            self.note(event);
        }
    }
}

/// Whether a word names a service.
fn is_meant(server: &VirtualServer, word: &str) -> bool {
    let is_id = |id: ServiceId| match id {
        ServiceId::Address {
            protocol,
            address,
            port,
        } => {
            let (prefix, rest) = word.split_once('/').unwrap_or(("", word));
            let is_protocol =
                prefix.is_empty() || prefix.eq_ignore_ascii_case(&protocol.to_string());
            let endpoint = DestId { address, port }.to_string();
            is_protocol && (rest == endpoint || rest == address.to_string())
        }
        ServiceId::Fwmark { mark, .. } => word.strip_prefix("fwm/") == Some(&mark.to_string()),
    };
    let group = server.group.as_deref().map(Name::as_str);
    group == Some(word) || server.ids().any(is_id)
}

impl Services {
    /// Takes an operator's wish for one dest. Ignored when there is no such dest, or too many words are in force.
    pub(super) fn wish(
        &mut self,
        now: Instant,
        (service, dest): (&ServiceId, &DestId),
        wish: Wish,
    ) -> Vec<Event> {
        let Some((index, place)) = self.find_ids(service, dest) else {
            return Vec::new();
        };
        let word = Override::new(now, wish);
        let is_full = self.saved().len() >= limits::OVERRIDES_MAX;
        let server = self.servers.get(index);
        let configured = server.and_then(|server| server.real_servers.get(place));
        let slow_start = configured.is_some_and(|real| !real.slow_start.is_zero());
        let Some(state) = self.states.get_mut(index) else {
            return Vec::new();
        };
        let Some(real) = state.reals.get_mut(place) else {
            return Vec::new();
        };
        if word.is_some() && real.word().is_none() && is_full {
            return Vec::new();
        }
        let was_out = real.is_kept_out();
        real.set_word(word);
        if was_out && !real.is_kept_out() && slow_start {
            real.set_ramp(Some(Ramp::new(now)));
        }
        let change = word.map_or(Change::Enabled, Change::Given);
        let mut events = vec![Event::Dest(*service, *dest, change)];
        self.changed(index);
        events.extend(self.rejudge(now, index));
        events
    }

    /// Takes what a director before this one left. What does not fit its service is forgotten, and what has none waits
    /// for the next configuration.
    pub(super) fn restore(&mut self, now: Instant, saved: &[Saved]) {
        let mut restored = BTreeSet::new();
        for entry in saved.iter().take(limits::OVERRIDES_MAX) {
            let Saved {
                service,
                dest,
                word,
            } = entry;
            let index = self.servers.iter().position(|server| server.id == *service);
            let Some(state) = index.and_then(|index| self.states.get_mut(index)) else {
                self.waiting.push(*entry);
                continue;
            };
            let place = index
                .and_then(|index| self.servers.get(index))
                .and_then(|server| {
                    let mut reals = server.real_servers.iter();
                    reals.position(|real| real.id == *dest)
                });
            match (word, place.and_then(|place| state.reals.get_mut(place))) {
                // The clock of another boot would say nothing.
                (Word::Override(word), Some(real)) if word.since <= now => {
                    real.set_word(Some(*word));
                }
                (Word::Leaving(leaving), None) if leaving.since <= now => {
                    state.leaving.insert(*dest, *leaving);
                }
                _ => continue,
            }
            restored.extend(index);
        }
        for index in restored {
            self.rejudge(now, index);
            self.wake_at = Some(now);
        }
    }

    /// All that outlives this director.
    pub(super) fn saved(&self) -> Vec<Saved> {
        let of = |(server, state): (&VirtualServer, &State)| {
            let service = server.id;
            let reals = server.real_servers.iter().zip(&state.reals);
            let words = reals.filter_map(|(real, stands)| Some((real.id, stands.word()?)));
            let words = words.map(|(dest, word)| (dest, Word::Override(word)));
            let leaving = state.leaving.iter();
            let leaving = leaving.map(|(dest, leaving)| (*dest, Word::Leaving(*leaving)));
            let entry = |(dest, word)| Saved {
                service,
                dest,
                word,
            };
            words.chain(leaving).map(entry).collect::<Vec<_>>()
        };
        let known = self.iter().flat_map(of);
        known.chain(self.waiting.iter().copied()).collect()
    }

    /// Ends drains whose time is over and goes on with slow starts. A reading of the table, where there is one, tells
    /// which drains have no connection left.
    ///
    /// Says whether a dest is to be other than before.
    fn advance(&mut self, now: Instant, actual: Option<&Actual>) -> (bool, Vec<Event>) {
        let (mut any, mut events) = (false, Vec::new());
        if actual.is_none() && self.wake_at.is_none_or(|at| at > now) {
            return (any, events);
        }
        self.wake_at = None;
        for index in 0..self.states.len() {
            let (Some(server), Some(state)) = (self.servers.get(index), self.states.get_mut(index))
            else {
                continue;
            };
            if !state.is_moving() {
                continue;
            }
            let before = events.len();
            let moved = state.advance(now, server, actual, &mut events);
            self.wake_at = earliest(self.wake_at, state.next(server));
            if events.len() > before {
                self.changed(index);
            }
            if moved {
                any = true;
                events.extend(self.rejudge(now, index));
            }
        }
        (any, events)
    }

    /// Notes that what outlives the director is other than before, and when a service wants to be looked at.
    fn changed(&mut self, index: usize) {
        self.generation += 1;
        if let (Some(server), Some(state)) = (self.servers.get(index), self.states.get(index)) {
            self.wake_at = earliest(self.wake_at, state.next(server));
        }
    }

    fn find_ids(&self, service: &ServiceId, dest: &DestId) -> Option<(usize, usize)> {
        let index = *self.places.get(service)?;
        let mut reals = self.servers.get(index)?.real_servers.iter();
        Some((index, reals.position(|real| real.id == *dest)?))
    }
}

impl State {
    /// Has a drain or a slow start.
    fn is_moving(&self) -> bool {
        let mut reals = self.reals.iter();
        !self.leaving.is_empty() || reals.any(|real| real.ramp().is_some() || real.is_draining())
    }

    /// Says whether a dest is to be other than before.
    fn advance(
        &mut self,
        now: Instant,
        server: &VirtualServer,
        actual: Option<&Actual>,
        events: &mut Vec<Event>,
    ) -> bool {
        let before = events.len();
        let mut moved = false;
        let left = |dest, forwarding| connections(server, dest, forwarding, actual);
        let mut tell = |dest, left: Option<u64>| {
            events.push(Event::Dest(
                server.id,
                dest,
                Change::Drained(left.unwrap_or(0)),
            ));
        };
        for (real, stands) in server.real_servers.iter().zip(&mut self.reals) {
            if let Some(ramp) = stands.ramp() {
                let next = ramp.at(now, real.slow_start);
                moved |= next != Some(ramp);
                stands.set_ramp(next);
            }
            let Some(Override {
                since,
                kind: Kind::Drains(until),
            }) = stands.word()
            else {
                continue;
            };
            let left = left(real.id, real.dest.forwarding);
            if left == Some(0) || until.is_some_and(|until| until <= now) {
                let kind = Kind::Drained;
                stands.set_word(Some(Override { since, kind }));
                tell(real.id, left);
            }
        }
        self.leaving.retain(|dest, leaving| {
            let left = left(*dest, leaving.dest.forwarding);
            let goes = left == Some(0) || leaving.until <= now;
            if goes {
                tell(*dest, left);
            }
            !goes
        });
        moved || events.len() > before
    }

    /// When a drain ends or a slow start goes on.
    fn next(&self, server: &VirtualServer) -> Option<Instant> {
        let of_real = |(real, stands): (&RealServer, &Standing)| {
            let drained = match stands.word_kind() {
                Some(Kind::Drains(until)) => until,
                _ => None,
            };
            earliest(
                drained,
                stands.ramp().map(|ramp| ramp.next(real.slow_start)),
            )
        };
        let reals = server.real_servers.iter().zip(&self.reals).map(of_real);
        let leaving = self.leaving.values().map(|leaving| Some(leaving.until));
        reals.chain(leaving).fold(None, earliest)
    }

    /// Real servers that a reload has taken out go on as leaving, where the service gives them time.
    pub(super) fn leave(
        &mut self,
        now: Instant,
        server: &VirtualServer,
        had: &VirtualServer,
        before: &Self,
    ) -> Vec<Event> {
        if before.leaving.is_empty() && server.drain_timeout.is_zero() {
            return Vec::new();
        }
        let reals = server.real_servers.iter().map(|real| real.id);
        let stay: BTreeSet<DestId> = reals
            .chain(server.sorry.iter().map(|sorry| sorry.0))
            .collect();
        let stays = |dest: &DestId| stay.contains(dest);
        let old = before.leaving.iter().filter(|(dest, _)| !stays(dest));
        self.leaving = old.map(|(dest, leaving)| (*dest, *leaving)).collect();
        let mut events = Vec::new();
        if server.drain_timeout.is_zero() {
            return events;
        }
        let reals = had.real_servers.iter().zip(&before.reals);
        for (real, stands) in reals.filter(|(real, _)| !stays(&real.id)) {
            if stands.is_kept_out() || self.leaving.len() >= limits::OVERRIDES_MAX {
                continue;
            }
            let leaving = Leaving {
                dest: Dest {
                    weight: 0,
                    ..real.dest
                },
                since: now,
                until: now + server.drain_timeout,
            };
            self.leaving.insert(real.id, leaving);
            events.push(Event::Dest(
                server.id,
                real.id,
                Change::Leaves(server.drain_timeout),
            ));
        }
        events
    }
}

/// Connections that the kernel has of a dest in all services of a pool; none where that can't be told: nothing was
/// read, or a member's dest still takes new ones.
fn connections(
    server: &VirtualServer,
    dest: DestId,
    forwarding: Forwarding,
    actual: Option<&Actual>,
) -> Option<u64> {
    let actual = actual?;
    server.ids().try_fold(0_u64, |sum, id| {
        let dest = dest.within(&id, forwarding);
        let pool = actual.table.0.get(&id);
        let Some(had) = pool.and_then(|pool| pool.dests.get(&dest)) else {
            return Some(sum);
        };
        let counters = actual.counters.get(&id, &dest);
        let here = u64::from(counters.active) + u64::from(counters.inactive);
        (had.weight == 0).then(|| sum.saturating_add(here))
    })
}
