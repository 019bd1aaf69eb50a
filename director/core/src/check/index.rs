//! Which places of the slab have something, by a hash of it: five bytes for each, where a tree of the things
//! themselves would hold them twice.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Places by the hash of the one thing that each has, which the place tells.
#[derive(Debug, Default)]
pub(super) struct Places(HashTable<u32>);

impl Places {
    /// A place of this hash that `is` the one.
    pub(super) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.0.find(spread(hash), |place| is(*place)).copied()
    }

    /// Notes a place; `hash_of` tells those of the others.
    pub(super) fn insert(&mut self, hash: u32, place: u32, hash_of: impl Fn(u32) -> u32) {
        let again = |place: &u32| spread(hash_of(*place));
        self.0.insert_unique(spread(hash), place, again);
    }

    /// Forgets a place.
    pub(super) fn remove(&mut self, hash: u32, place: u32) {
        if let Ok(found) = self.0.find_entry(spread(hash), |other| *other == place) {
            found.remove();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The hash of something, the same in each run: the keys are the operator's, and nobody's to choose against us.
pub(super) fn hash(of: &impl Hash) -> u32 {
    FixedState::default().hash_one(of) as u32 // the lower half is as good as the whole
}

/// The table looks at both ends of a hash.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_one_hash_are_told_apart() {
        let mut places = Places::default();
        let hash_of = |place| place / 50;
        for place in 0..100 {
            places.insert(hash_of(place), place, hash_of);
        }
        places.remove(0, 49);
        places.remove(1, 50);
        assert_eq!(places.len(), 98);
        let find = |hash, wanted| places.find(hash, |place| place == wanted);
        assert_eq!((find(0, 48), find(0, 49)), (Some(48), None));
        assert_eq!((find(1, 51), find(1, 50)), (Some(51), None));
        assert_eq!(find(2, 0), None);
    }
}
