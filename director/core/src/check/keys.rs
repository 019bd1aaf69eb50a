//! Who shares a check with others, and who wants it to rest.

use std::collections::{BTreeMap, BTreeSet};

/// Who else is served by a check, by its slot: most serve one alone, and pay nothing for it.
#[derive(Debug)]
pub(super) struct Sharers<K>(BTreeMap<u32, Vec<K>>);

impl<K> Default for Sharers<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Sharers<K> {
    pub(super) fn of(&self, index: u32) -> &[K] {
        self.0.get(&index).map_or(&[], Vec::as_slice)
    }

    pub(super) fn push(&mut self, index: u32, key: K) {
        self.0.entry(index).or_default().push(key);
    }

    /// Takes one out of those whom a check serves, of whom `first` is the first; false when it is the only one.
    pub(super) fn remove(&mut self, index: u32, first: &mut K, key: &K) -> bool {
        let Some(others) = self.0.get_mut(&index) else {
            return false;
        };
        if *first != *key {
            others.retain(|other| other != key);
        } else if let Some(next) = others.pop() {
            *first = next;
        }
        if others.is_empty() {
            self.0.remove(&index);
        }
        true
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
