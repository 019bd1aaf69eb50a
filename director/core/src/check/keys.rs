//! Who shares a check with others, and who wants it to rest.

use std::collections::{BTreeMap, BTreeSet};

/// Who else is served by a check than the first, by its slot: most serve one alone, and pay nothing for it.
#[derive(Debug)]
pub(super) struct Sharers<K> {
    of: BTreeMap<u32, Vec<K>>,
    /// The same the other way round.
    places: BTreeMap<K, u32>,
}

impl<K> Default for Sharers<K> {
    fn default() -> Self {
        Self {
            of: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Sharers<K> {
    pub(super) fn of(&self, index: u32) -> &[K] {
        self.of.get(&index).map_or(&[], Vec::as_slice)
    }

    /// By which check somebody is served who is not its first.
    pub(super) fn place(&self, key: &K) -> Option<u32> {
        self.places.get(key).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn push(&mut self, index: u32, key: K) {
        self.places.insert(key.clone(), index);
        self.of.entry(index).or_default().push(key);
    }

    /// Takes one of those out whom a check serves, the latest, if there is any.
    pub(super) fn pop(&mut self, index: u32) -> Option<K> {
        let key = self.of.get(&index)?.last()?.clone();
        self.remove(index, &key);
        Some(key)
    }

    /// Takes one out of those whom a check serves.
    pub(super) fn remove(&mut self, index: u32, key: &K) {
        self.places.remove(key);
        if let Some(others) = self.of.get_mut(&index) {
            others.retain(|other| other != key);
            if others.is_empty() {
                self.of.remove(&index);
            }
        }
    }
}

/// Who wants its check to rest, by the check's slot. A check rests while all whom it serves want that.
#[derive(Debug)]
pub(super) struct Resting<K>(BTreeMap<u32, BTreeSet<K>>);

impl<K> Default for Resting<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone> Resting<K> {
    /// Notes what one wants; what it wanted before.
    pub(super) fn set(&mut self, index: u32, key: &K, rests: bool) -> bool {
        if rests {
            let all = self.0.entry(index).or_default();
            return !all.insert(key.clone());
        }
        let Some(all) = self.0.get_mut(&index) else {
            return false;
        };
        let rested = all.remove(key);
        if all.is_empty() {
            self.0.remove(&index);
        }
        rested
    }

    /// How many of those whom a check serves want it to rest.
    pub(super) fn of(&self, index: u32) -> usize {
        self.0.get(&index).map_or(0, BTreeSet::len)
    }
}
