//! All checks of a node.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;

use super::index::{Places, hash};
use super::keys::{Resting, Sharers};
use super::line::{Line, line_of};
use super::said::Said;
use super::schedule::{Change, Check, first_within};
use super::timers::Timers;
use super::{Action, Ask, Event, Health, Id, Io, Kind, Random, Status};
use crate::limits;
use crate::time::{Duration, Instant};

/// All checks of a node, each known by a key of the caller. Idle checks cost nothing but memory: the next moments lie
/// in an ordered set. At most [`limits::PROBES_OPEN_MAX`] sockets are open and [`limits::PROGRAMS_MAX`] programs run;
/// further checks wait in line.
///
/// After each `handle_` and [`Checks::set`], drain [`Checks::poll_action`] and [`Checks::poll_event`], then sleep
/// until [`Checks::next_timeout`]. Late, early and repeated calls are harmless.
#[derive(Debug)]
pub struct Checks<K> {
    /// The slab; indices stay with a check for its life.
    slots: Vec<Option<Slot<K>>>,
    free: Vec<u32>,
    /// The last one of all slots.
    generation: u32,
    /// All slots by what they ask.
    asked: Places,
    /// All slots by whom they serve first.
    keys: Places,
    sharers: Sharers<K>,
    resting: Resting<K>,
    said: Said,
    /// Moments of all slots that have one.
    timers: Timers,
    /// Checks that need a socket, and those that need a program or a file.
    lines: [Line; 2],
    /// Attempts that may still begin in this slice.
    starts_left: usize,
    /// Checks that may have an action.
    ready: VecDeque<u32>,
    /// Sockets that removed checks left open.
    orphans: VecDeque<Id>,
    /// At most one for each check and call.
    events: VecDeque<Event<K>>,
    random: Random,
}

#[derive(Debug)]
struct Slot<K> {
    /// Of the connection under way, or of the last one: no other has it, of this slot's earlier checks either.
    generation: u32,
    /// Whom it serves first.
    first: K,
    /// What `timers` holds of it is what it has for its next moment between two steps.
    check: Check,
}

impl<K: Ord + Hash + Clone> Checks<K> {
    /// No checks yet. `seed` spreads their starts.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            generation: 0,
            asked: Places::default(),
            keys: Places::default(),
            sharers: Sharers::default(),
            resting: Resting::default(),
            said: Said::default(),
            timers: Timers::default(),
            lines: [
                Line::new(limits::PROBES_OPEN_MAX),
                Line::new(limits::PROGRAMS_MAX),
            ],
            starts_left: 0,
            ready: VecDeque::new(),
            orphans: VecDeque::new(),
            events: VecDeque::new(),
            random: Random(seed),
        }
    }

    /// Makes these the checks of the node. A check of the same key that asks the same of the same target keeps its
    /// history, its attempt under way included. One that asks something else begins anew, but from the health it
    /// had: a reload brings nobody back who has not earned it. A check that is new begins with the health beside its
    /// settings. Checks beyond [`limits::CHECKS_MAX`] are left out, and so is a second one of the same key.
    ///
    /// Checks whose settings are alike in everything are one check: one attempt serves all their keys, and each has its
    /// own events. One that comes later takes over what is known.
    pub fn set(&mut self, now: Instant, wanted: impl IntoIterator<Item = (K, Ask, Health)>) {
        let slots = 0..self.slots.len() as u32; // fits, as below
        let all: Vec<K> = slots
            .flat_map(|index| self.served(index))
            .cloned()
            .collect();
        self.replace(now, all, wanted);
    }

    /// The same for a part of the checks: these take the place of those with the keys `of`, the others stay as they
    /// are.
    pub fn replace(
        &mut self,
        now: Instant,
        of: impl IntoIterator<Item = K>,
        wanted: impl IntoIterator<Item = (K, Ask, Health)>,
    ) {
        let old = of.into_iter().filter_map(|key| {
            let index = self.find(&key)?;
            Some((key, index))
        });
        let mut old: BTreeMap<K, u32> = old.collect();
        let mut fresh = Vec::new();
        for (key, ask, initially) in wanted {
            let is_full = self.len() - old.len() + fresh.len() >= limits::CHECKS_MAX;
            if is_full {
                continue;
            }
            match old.remove(&key) {
                Some(index) if self.adopt(now, index, &ask) => {}
                Some(index) => {
                    let health = self.check(index).map(Check::health);
                    self.leave(now, index, &key);
                    fresh.push((key, ask, health.unwrap_or(initially)));
                }
                None => fresh.push((key, ask, initially)),
            }
        }
        for (key, index) in old {
            self.leave(now, index, &key);
        }
        let lives = |index: &u32| slot_in(&self.slots, *index).is_some();
        for line in &mut self.lines {
            line.due.retain(lives);
        }
        self.ready.retain(lives);
        // Not a place more: a slab that grows by itself would keep room for as many again.
        let more = fresh.len().saturating_sub(self.free.len());
        self.slots.reserve_exact(more);
        let within = first_within(fresh.len());
        for (key, ask, health) in fresh {
            if self.find(&key).is_none() {
                self.join(now, within, key, ask, health);
            }
        }
    }

    /// Says what is known from elsewhere about a server: its place in the pool that an earlier director left in the
    /// kernel. Only a check that has not run yet believes it; no event tells of it. True when its health is another one
    /// now.
    pub fn assume(&mut self, now: Instant, key: &K, health: Health) -> bool {
        let Some(index) = self.find(key) else {
            return false;
        };
        let other = self.check(index).filter(|check| !check.agrees(health));
        let Some(ask) = other.map(|check| check.ask().clone()) else {
            return false;
        };
        match self.sharers.of(index) {
            // The others may know otherwise.
            [_, ..] => {
                let rested = self.resting.set(index, key, false);
                self.leave(now, index, key);
                self.join(now, first_within(1), key.clone(), ask, health);
                self.suspend(now, key, rested);
            }
            [] => self.step(index, |check| {
                check.assume(now, health);
                None
            }),
        }
        true
    }

    /// Lets a check rest, with what it has said so far, or go on; one that serves others too rests when they do.
    pub fn suspend(&mut self, now: Instant, key: &K, suspended: bool) {
        if let Some(index) = self.find(key) {
            self.resting.set(index, key, suspended);
            self.rest(now, index);
        }
    }

    fn rest(&mut self, now: Instant, index: u32) {
        let resting = self.resting.of(index);
        let all = self.served(index).count() == resting;
        self.step(index, |check| {
            check.suspend(now, all);
            None
        });
    }

    /// What came of the socket of `id`. What is heard of an old connection is dropped. Whether there are events now.
    pub fn handle_io(&mut self, now: Instant, id: Id, io: Io<'_>) -> bool {
        let slot = self.slot(id.index);
        if slot.is_none_or(|slot| slot.generation != id.generation) {
            return false;
        }
        let kind = self.check(id.index).map(|check| &check.ask().how.kind);
        match (kind, io) {
            (Some(Kind::Exec(_)), Io::Received(output)) => self.said.hear(id.index, output),
            _ => self.step(id.index, |check| check.handle_io(now, io)),
        }
        !self.events.is_empty()
    }

    /// Begins what is due and ends what has run out of time. The shell hands over what waits in the sockets first.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.starts_left = limits::CHECK_STARTS_PER_SLICE;
        // Ends: each step moves the check's moment beyond `now`, or takes it away.
        while let Some(index) = self.timers.due(now) {
            self.step(index, |check| check.handle_timeout(now));
        }
    }

    /// The next thing to do with a socket. The time of an attempt counts from here.
    pub fn poll_action(&mut self, now: Instant) -> Option<(Id, Action)> {
        if let Some(id) = self.orphans.pop_front() {
            return Some((id, Action::Close));
        }
        loop {
            let Some(index) = self.ready.front().copied() else {
                if !self.start_next() {
                    return None;
                }
                continue;
            };
            let mut action = None;
            self.step(index, |check| {
                action = check.poll_action(now);
                None
            });
            if self.check(index).is_none_or(|check| !check.has_action()) {
                self.ready.pop_front();
            }
            if let (Some(action), Some(Some(slot))) = (action, self.slots.get_mut(index as usize)) {
                if !matches!(action, Action::Send { .. } | Action::Close) {
                    slot.generation = next(&mut self.generation);
                }
                let generation = slot.generation;
                return Some((Id { index, generation }, action));
            }
        }
    }

    /// The next change of health.
    pub fn poll_event(&mut self) -> Option<Event<K>> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do; never, while this is none, and at once, while it is past.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.starts_left == 0 && self.lines.iter().any(Line::is_ready) {
            return Some(Instant::ZERO);
        }
        self.timers.first()
    }

    /// Whether the server passes this check; none for an unknown key.
    #[must_use]
    pub fn health(&self, key: &K) -> Option<Health> {
        Some(self.get(key)?.health())
    }

    /// What one check does and knows.
    #[must_use]
    pub fn status(&self, key: &K) -> Option<(&Ask, Status)> {
        let check = self.get(key)?;
        Some((check.ask(), check.status()))
    }

    /// What the check of a connection asks.
    pub(crate) fn asked_by(&self, id: Id) -> Option<&Ask> {
        self.check(id.index).map(Check::ask)
    }

    /// Its health, and the number of its last success if it tells one.
    pub(crate) fn verdict(&self, key: &K) -> Option<(&Ask, Health, Option<i64>)> {
        let check = self.get(key)?;
        Some((check.ask(), check.health(), check.value()))
    }

    /// What its program said at its last run, when that failed: a line, or nothing.
    #[must_use]
    pub fn said(&self, key: &K) -> &str {
        self.find(key).map_or("", |index| self.said.of(index))
    }

    /// How many keys its check serves, itself among them; 0 for an unknown key.
    #[must_use]
    pub fn sharers(&self, key: &K) -> usize {
        let index = self.find(key);
        index.map_or(0, |index| self.served(index).count())
    }

    /// How many checks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len() + self.sharers.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot(&self, index: u32) -> Option<&Slot<K>> {
        slot_in(&self.slots, index)
    }

    fn check(&self, index: u32) -> Option<&Check> {
        self.slot(index).map(|slot| &slot.check)
    }

    fn get(&self, key: &K) -> Option<&Check> {
        self.check(self.find(key)?)
    }

    /// Whom the check of a slot serves.
    fn served(&self, index: u32) -> impl Iterator<Item = &K> {
        let first = self.slot(index).map(|slot| &slot.first);
        first.into_iter().chain(self.sharers.of(index))
    }

    /// The place of a key.
    fn find(&self, key: &K) -> Option<u32> {
        let is = |index| self.slot(index).is_some_and(|slot| slot.first == *key);
        let first = self.keys.find(hash(key), is);
        first.or_else(|| self.sharers.place(key))
    }

    /// Notes whom a slot serves first.
    fn remember(&mut self, key: &K, index: u32) {
        let first = |place| slot_in(&self.slots, place).map_or(0, |slot| hash(&slot.first)); // each has one
        self.keys.insert(hash(key), index, first);
    }

    /// Lets the longest waiting check begin, if there is a place for it.
    fn start_next(&mut self) -> bool {
        if self.starts_left == 0 {
            return false;
        }
        let Some(index) = self.lines.iter_mut().find_map(Line::next) else {
            return false;
        };
        let token = self.random.next();
        self.starts_left -= 1;
        self.step(index, |check| {
            check.start(token);
            None
        });
        true
    }

    /// Does something with a check and brings all that is known about it outside up to date.
    fn step(&mut self, index: u32, act: impl FnOnce(&mut Check) -> Option<Change>) {
        let Some(Some(Slot { first, check, .. })) = self.slots.get_mut(index as usize) else {
            return;
        };
        let (was_due, was_running, had_action) =
            (check.is_due(), check.is_running(), check.has_action());
        let had_timer = check.next_timeout();
        if let Some(change) = act(check) {
            let ask = check.ask();
            let keys = core::iter::once(&*first).chain(self.sharers.of(index));
            let events = keys.map(|key| Event::of(key.clone(), ask, change));
            self.events.extend(events);
        }
        if let Some(line) = self.lines.get_mut(line_of(&check.ask().how)) {
            if check.is_due() && !was_due {
                line.due.push_back(index);
            }
            match (was_running, check.is_running()) {
                (false, true) => line.running += 1,
                (true, false) => {
                    line.running -= 1;
                    self.said.end(index, check.has_failed());
                }
                (true, true) | (false, false) => {}
            }
        }
        if check.has_action() && !had_action {
            self.ready.push_back(index);
        }
        self.timers.change(index, had_timer, check.next_timeout());
    }

    /// Lets a running check take new settings, if it asks the same of the same target.
    fn adopt(&mut self, now: Instant, index: u32, ask: &Ask) -> bool {
        let Some(check) = self.check(index) else {
            return false;
        };
        let old = check.ask();
        if old == ask {
            return true;
        }
        let what = |ask: &Ask| (ask.target, ask.how.path.clone());
        let same = what(old) == what(ask)
            && (&old.how.kind, &old.how.bind) == (&ask.how.kind, &ask.how.bind);
        if !same || !self.sharers.of(index).is_empty() {
            return false;
        }
        let mut random = self.random;
        self.step(index, |check| {
            check.retime(now, ask.clone(), &mut random);
            None
        });
        self.random = random;
        true
    }

    /// Lets a key be served by the check that asks the same, if there is one that knows its server or thinks of it as
    /// it does; else by a new one.
    fn join(&mut self, now: Instant, within: Duration, key: K, ask: Ask, health: Health) {
        let found = self.asked.find(hash(&ask), |index| {
            let check = self.check(index);
            check.is_some_and(|check| *check.ask() == ask && check.agrees(health))
        });
        let Some(index) = found else {
            return self.insert(now, within, key, ask, health);
        };
        self.sharers.push(index, key);
        self.rest(now, index);
    }

    /// A key is no longer served by this check; without any it ends.
    fn leave(&mut self, now: Instant, index: u32, key: &K) {
        self.resting.set(index, key, false);
        if self.slot(index).is_some_and(|slot| slot.first != *key) {
            self.sharers.remove(index, key);
            return self.rest(now, index);
        }
        self.keys.remove(hash(key), index);
        let next = self.sharers.pop(index);
        let slot = self.slots.get_mut(index as usize).and_then(Option::as_mut);
        let Some((next, slot)) = next.zip(slot) else {
            return self.remove(index);
        };
        slot.first = next.clone();
        self.remember(&next, index);
        self.rest(now, index);
    }

    /// A new check; its first run begins within a time.
    fn insert(&mut self, now: Instant, within: Duration, key: K, ask: Ask, health: Health) {
        let number = hash(&ask);
        let check = Check::new(now, within, (ask, health), &mut self.random);
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // Fits: the slab is never longer than `CHECKS_MAX`.
            (self.slots.len() - 1) as u32
        });
        let ask = |place| slot_in(&self.slots, place).map_or(0, |slot| hash(slot.check.ask())); // each has one
        self.asked.insert(number, index, ask);
        self.remember(&key, index);
        self.timers.change(index, None, check.next_timeout());
        if let Some(slot) = self.slots.get_mut(index as usize) {
            *slot = Some(Slot {
                generation: next(&mut self.generation),
                first: key,
                check,
            });
        }
    }

    fn remove(&mut self, index: u32) {
        let slot = self.slots.get_mut(index as usize).and_then(Option::take);
        if let Some(Slot {
            generation, check, ..
        }) = slot
        {
            self.free.push(index);
            self.said.forget(index);
            self.asked.remove(hash(check.ask()), index);
            self.timers.change(index, check.next_timeout(), None);
            if check.is_open() {
                self.orphans.push_back(Id { index, generation });
            }
            let line = self.lines.get_mut(line_of(&check.ask().how));
            if let Some(line) = line.filter(|_| check.is_running()) {
                line.running -= 1;
            }
        }
    }
}

fn slot_in<K>(slots: &[Option<Slot<K>>], index: u32) -> Option<&Slot<K>> {
    slots.get(index as usize)?.as_ref()
}

const fn next(generation: &mut u32) -> u32 {
    *generation = generation.wrapping_add(1);
    *generation
}
