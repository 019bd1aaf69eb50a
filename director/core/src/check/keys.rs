//! Who is served by one check, and who of them wants it to rest.

use std::collections::{BTreeMap, BTreeSet};

/// Who is served by a check. Most often it is one; room for more is only taken when there are more.
#[derive(Debug)]
pub(super) struct Keys<K> {
    pub(super) first: K,
    pub(super) more: Vec<K>,
}

impl<K: Ord> Keys<K> {
    pub(super) const fn len(&self) -> usize {
        1 + self.more.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &K> {
        core::iter::once(&self.first).chain(&self.more)
    }

    /// Takes one out, unless it is the only one.
    pub(super) fn remove(&mut self, key: &K) {
        if self.first == *key {
            if let Some(next) = self.more.pop() {
                self.first = next;
            }
        } else {
            self.more.retain(|other| other != key);
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
