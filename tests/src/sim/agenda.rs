//! What is planned to happen, in the order of time, and of planning within a moment.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use director_core::time::Instant;

/// The things that are planned. They lie still, and their moments are put in order: a thing is large, and thousands are
/// planned for each second.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    /// When, which in the order of planning, and in which place.
    moments: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    places: Vec<Option<T>>,
    free: Vec<usize>,
    serial: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self {
            moments: BinaryHeap::new(),
            places: Vec::new(),
            free: Vec::new(),
            serial: 0,
        }
    }
}

impl<T> Agenda<T> {
    /// Plans something.
    pub(super) fn insert(&mut self, at: Instant, thing: T) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(thing);
        self.serial += 1;
        self.moments.push(Reverse((at, self.serial, place)));
    }

    /// When the first thing happens.
    pub(super) fn first(&self) -> Option<Instant> {
        let Reverse((at, ..)) = self.moments.peek()?;
        Some(*at)
    }

    /// Takes the first thing out.
    pub(super) fn pop(&mut self) -> Option<T> {
        let Reverse((.., place)) = self.moments.pop()?;
        self.free.push(place);
        self.places[place].take()
    }
}
