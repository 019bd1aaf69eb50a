//! Who is served by one check, and who of them wants it to rest.

use std::collections::{BTreeMap, BTreeSet};

/// Who is served by a check. Most often it is one; room for more is only taken when there are more.
#[derive(Debug)]
pub(super) struct Keys<K> {
    pub(super) first: K,
    more: Option<Box<More<K>>>,
}

#[derive(Debug)]
struct More<K>(Vec<K>);

impl<K: Ord> Keys<K> {
    pub(super) const fn new(first: K) -> Self {
        Self { first, more: None }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &K> {
        let more = self.more.iter().flat_map(|more| &more.0);
        core::iter::once(&self.first).chain(more)
    }

    pub(super) fn len(&self) -> usize {
        1 + self.more.as_ref().map_or(0, |more| more.0.len())
    }

    pub(super) const fn is_one(&self) -> bool {
        self.more.is_none()
    }

    pub(super) fn push(&mut self, key: K) {
        let more = self.more.get_or_insert_with(|| Box::new(More(Vec::new())));
        more.0.push(key);
    }

    /// Takes one out, unless it is the only one.
    pub(super) fn remove(&mut self, key: &K) {
        let Some(more) = &mut self.more else {
            return;
        };
        if self.first == *key {
            if let Some(next) = more.0.pop() {
                self.first = next;
            }
        } else {
            more.0.retain(|other| other != key);
        }
        if more.0.is_empty() {
            self.more = None;
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
