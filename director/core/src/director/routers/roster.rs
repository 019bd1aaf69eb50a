//! The virtual routers in a row, and which of them may have something to send or to tell: an advert of one of many
//! costs the look at one.

use core::ops::{Deref, DerefMut};

use super::Slot;
use crate::limits;
use crate::time::{Instant, earliest};

/// The routers. Whoever takes hold of one to change it wakes it; it rests again when it has nothing to send or to tell.
#[derive(Debug, Default)]
pub(super) struct Roster {
    slots: Vec<Slot>,
    /// Those that may have something to send.
    awake: Places,
    /// Those of them that may have an advert to send.
    advertise: Places,
    /// Those that may have something to tell.
    tells: Places,
    /// Until when each of the others has nothing to do.
    rests: Vec<Option<Instant>>,
}

/// Places, a bit for each: to find one among hundreds is to look at a few words.
#[derive(Debug, Default)]
struct Places(Vec<u64>);

impl Places {
    fn set(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    fn clear(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }

    /// So many places, all of them set.
    fn fill(&mut self, count: usize) {
        self.0.clear();
        self.0.resize(count / 64, u64::MAX);
        self.0.push((1 << (count % 64)) - 1);
    }

    fn has(&self, index: usize) -> bool {
        let word = self.0.get(index / 64);
        word.is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// The first one, from that place on.
    fn next(&self, from: usize) -> Option<usize> {
        let mut at = from / 64;
        let mut word = self.0.get(at)? & (u64::MAX << (from % 64));
        while word == 0 {
            at += 1;
            word = *self.0.get(at)?;
        }
        Some(at * 64 + word.trailing_zeros() as usize)
    }
}

impl Roster {
    /// A router of that place, woken.
    pub(super) fn wake(&mut self, index: usize) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(index)?;
        for places in [&mut self.awake, &mut self.advertise, &mut self.tells] {
            places.set(index);
        }
        Some(slot)
    }

    /// Judges the timers: every Active router's, and a slice of the others', those that are due the longest.
    pub(super) fn judge_timers(&mut self, now: Instant) {
        self.wake_due(now);
        let mut others = Vec::new(); // without a takeover it stays empty and allocates nothing
        let mut next = self.awake.next(0);
        while let Some(index) = next {
            if let Some(slot) = self.wake(index)
                && let Some(due) = slot.machine.next_timeout().filter(|at| *at <= now)
            {
                if slot.machine.wants_addresses() {
                    slot.machine.handle_timeout(now);
                } else {
                    others.push((due, index));
                }
            }
            next = self.awake.next(index + 1);
        }
        others.sort_unstable();
        for (ahead, (_, index)) in others.into_iter().enumerate() {
            match self.wake(index) {
                Some(slot) if ahead < limits::TAKEOVERS_PER_SLICE => {
                    slot.machine.handle_timeout(now);
                }
                Some(slot) => slot.machine.wait_turn(now),
                None => {}
            }
        }
    }

    /// Wakes those whose moment has come.
    fn wake_due(&mut self, now: Instant) {
        for (index, rests) in self.rests.iter().enumerate() {
            if rests.is_some_and(|until| until <= now) {
                self.awake.set(index);
            }
        }
    }

    /// A router that has an advert to send.
    pub(super) fn first_advertiser(&mut self) -> Option<&mut Slot> {
        let advertises = |slot: &Slot| slot.place.is_some() && slot.machine.wants_advert();
        loop {
            let index = self.advertise.next(0)?;
            if self.slots.get(index).is_some_and(advertises) {
                return self.slots.get_mut(index);
            }
            self.advertise.clear(index);
        }
    }

    /// What the first one that is awake sends; those before it have nothing to send, and rest until their moment.
    pub(super) fn first_sent<T>(&mut self, send: impl Fn(&mut Slot) -> Option<T>) -> Option<T> {
        loop {
            let index = self.awake.next(0)?;
            let slot = self.slots.get_mut(index)?;
            let sent = send(slot);
            if sent.is_some() {
                return sent;
            }
            *self.rests.get_mut(index)? = slot.machine.next_timeout();
            self.awake.clear(index);
        }
    }

    /// What the first one tells that has something to tell.
    pub(super) fn first_told<T>(&mut self, tell: impl Fn(&mut Slot) -> Option<T>) -> Option<T> {
        while let Some(index) = self.tells.next(0) {
            let told = self.slots.get_mut(index).and_then(&tell);
            if told.is_some() {
                self.wake(index); // what it tells may have given it something to send
                return told;
            }
            self.tells.clear(index);
        }
        None
    }

    /// The first moment of all.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let moment = |(index, rests): (usize, &Option<Instant>)| match self.slots.get(index) {
            Some(slot) if self.awake.has(index) => slot.machine.next_timeout(),
            _ => *rests,
        };
        let all = self.rests.iter().enumerate();
        all.map(moment).fold(None, earliest)
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> Vec<Slot> {
        let slots = core::mem::take(&mut self.slots);
        self.wake_all();
        slots
    }

    pub(super) fn push(&mut self, slot: Slot) {
        self.slots.push(slot);
        self.wake_all();
    }

    /// Keeps those that `keeps` says.
    pub(super) fn retain(&mut self, keeps: impl Fn(&Slot) -> bool) {
        if !self.slots.iter().all(&keeps) {
            self.slots.retain(keeps);
            self.wake_all();
        }
    }

    fn wake_all(&mut self) {
        self.rests.resize(self.slots.len(), None);
        for places in [&mut self.awake, &mut self.advertise, &mut self.tells] {
            places.fill(self.slots.len());
        }
    }
}

impl Deref for Roster {
    type Target = [Slot];

    fn deref(&self) -> &[Slot] {
        &self.slots
    }
}

impl DerefMut for Roster {
    /// Wakes all.
    fn deref_mut(&mut self) -> &mut [Slot] {
        self.wake_all();
        &mut self.slots
    }
}

impl<'a> IntoIterator for &'a Roster {
    type Item = &'a Slot;
    type IntoIter = core::slice::Iter<'a, Slot>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Roster {
    type Item = &'a mut Slot;
    type IntoIter = core::slice::IterMut<'a, Slot>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn places_are_found_in_their_order_across_words() {
        for count in [0, 1, 63, 64, 65, 128, 255] {
            let mut places = Places::default();
            places.fill(count);
            let mut found = Vec::new();
            while let Some(place) = places.next(0) {
                found.push(place);
                places.clear(place);
            }
            assert!(found.into_iter().eq(0..count), "of {count}");
            places.set(count); // no such place
            assert_eq!(places.next(0).filter(|place| *place < count), None);
        }
        let mut places = Places::default();
        places.fill(255);
        (0..255).for_each(|place| places.clear(place));
        for place in [0, 63, 64, 200] {
            places.set(place);
        }
        let from = [0, 1, 64, 65, 201].map(|from| places.next(from));
        assert_eq!(from, [Some(0), Some(63), Some(64), Some(200), None]);
        assert!(places.has(63) && !places.has(62));
    }
}
