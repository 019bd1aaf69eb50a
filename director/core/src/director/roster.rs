//! The virtual routers in a row, with a note for each whether anything may be due: an advert of one of many costs the
//! look at one.

use core::ops::{Deref, DerefMut};

use super::routers::Slot;
use crate::limits;
use crate::time::{Instant, earliest};

/// The routers. Whoever takes hold of one to change it wakes it; it rests again when it has nothing to send.
#[derive(Debug, Default)]
pub(super) struct Roster {
    slots: Vec<Slot>,
    notes: Vec<Note>,
}

/// What is known of a router without looking at it.
#[derive(Clone, Copy, Debug)]
enum Note {
    /// Anything may be due.
    Awake,
    /// Nothing before this moment.
    Rests(Option<Instant>),
}

impl Roster {
    /// A router of that place, woken.
    pub(super) fn wake(&mut self, index: usize) -> Option<&mut Slot> {
        if let Some(note) = self.notes.get_mut(index) {
            *note = Note::Awake;
        }
        self.slots.get_mut(index)
    }

    /// Judges the timers: every Active router's, and a slice of the others', those that are due the longest.
    pub(super) fn judge_timers(&mut self, now: Instant) {
        self.wake_due(now);
        let mut others = Vec::new(); // without a takeover it stays empty and allocates nothing
        let mut next = self.next_awake(0);
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
            next = self.next_awake(index + 1);
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
        for note in &mut self.notes {
            if matches!(note, Note::Rests(Some(at)) if *at <= now) {
                *note = Note::Awake;
            }
        }
    }

    /// The next one that is awake, from that place on.
    pub(super) fn next_awake(&self, from: usize) -> Option<usize> {
        let mut rest = self.notes.iter().skip(from);
        let found = rest.position(|note| matches!(note, Note::Awake))?;
        Some(from + found)
    }

    /// The first one that is awake and of that kind.
    pub(super) fn first_awake(&self, is: impl Fn(&Slot) -> bool) -> Option<usize> {
        let mut all = self.slots.iter().zip(&self.notes);
        all.position(|(slot, note)| matches!(note, Note::Awake) && is(slot))
    }

    /// One has nothing to send: it rests until its moment.
    pub(super) fn rest(&mut self, index: usize) {
        if let Some((slot, note)) = self.slots.get(index).zip(self.notes.get_mut(index)) {
            *note = Note::Rests(slot.machine.next_timeout());
        }
    }

    /// The first moment of all.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let moment = |(slot, note): (&Slot, &Note)| match note {
            Note::Awake => slot.machine.next_timeout(),
            Note::Rests(at) => *at,
        };
        let all = self.slots.iter().zip(&self.notes);
        all.map(moment).fold(None, earliest)
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> Vec<Slot> {
        self.notes.clear();
        core::mem::take(&mut self.slots)
    }

    pub(super) fn push(&mut self, slot: Slot) {
        self.slots.push(slot);
        self.notes.push(Note::Awake);
    }

    /// Keeps those that `keeps` says.
    pub(super) fn retain(&mut self, keeps: impl Fn(&Slot) -> bool) {
        if !self.slots.iter().all(&keeps) {
            self.slots.retain(keeps);
            self.notes.clear();
            self.notes.resize(self.slots.len(), Note::Awake);
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
        self.notes.fill(Note::Awake);
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
