//! Which places of the slab have something, by a hash of it: eight bytes for each, where a tree of the things
//! themselves would hold them twice.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Places by hash. An open table with linear probing, at most three quarters full.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// None, or as many as a power of two.
    cells: Vec<Cell>,
    used: usize,
}

/// One cell. A place is below [`crate::limits::CHECKS_MAX`], so that [`FREE`] is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    hash: u32,
    place: u32,
}

const FREE: Cell = Cell {
    hash: 0,
    place: u32::MAX,
};

/// The hash of something, the same in each run: the keys are the operator's, and nobody's to choose against us.
pub(super) fn hash(of: &impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish() as u32 // the lower half is as good as the whole
}

impl Index {
    /// The first place of this hash that `is` the one.
    pub(super) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let cell = self.cells.get(self.search(hash, is))?;
        (*cell != FREE).then_some(cell.place)
    }

    /// Notes a place. One that is there already is there twice then.
    pub(super) fn insert(&mut self, hash: u32, place: u32) {
        if 4 * (self.used + 1) > 3 * self.cells.len() {
            self.grow();
        }
        let free = self.search(hash, |_| false);
        if let Some(cell) = self.cells.get_mut(free) {
            *cell = Cell { hash, place };
            self.used += 1;
        }
    }

    /// Forgets a place, once. What lies behind it moves up, so that a search never meets a gap.
    pub(super) fn remove(&mut self, hash: u32, place: u32) {
        let mut gap = self.search(hash, |other| other == place);
        if self.cells.get(gap).is_none_or(|cell| *cell == FREE) {
            return;
        }
        self.used -= 1;
        let mut at = gap;
        loop {
            at = self.next(at);
            let Some(cell) = self.cells.get(at).copied().filter(|cell| *cell != FREE) else {
                break;
            };
            // How far each is from where its search begins.
            let far = |from: usize| from.wrapping_sub(cell.hash as usize) & self.mask();
            if far(gap) < far(at) {
                self.put(gap, cell);
                gap = at;
            }
        }
        self.put(gap, FREE);
    }

    /// Where a hash is, or the free cell where its search ends; beyond the end while there are no cells.
    fn search(&self, hash: u32, is: impl Fn(u32) -> bool) -> usize {
        let mut at = hash as usize & self.mask();
        // Ends: a quarter of the cells is free.
        while let Some(cell) = self.cells.get(at) {
            if *cell == FREE || (cell.hash == hash && is(cell.place)) {
                break;
            }
            at = self.next(at);
        }
        at
    }

    const fn mask(&self) -> usize {
        self.cells.len().wrapping_sub(1)
    }

    const fn next(&self, at: usize) -> usize {
        at.wrapping_add(1) & self.mask()
    }

    fn put(&mut self, at: usize, cell: Cell) {
        if let Some(place) = self.cells.get_mut(at) {
            *place = cell;
        }
    }

    fn grow(&mut self) {
        let cells = vec![FREE; (2 * self.cells.len()).max(4)];
        let old = core::mem::replace(&mut self.cells, cells);
        self.used = 0;
        for cell in old.into_iter().filter(|cell| *cell != FREE) {
            self.insert(cell.hash, cell.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_holds_what_a_set_would(steps in prop::collection::vec((any::<bool>(), 0_u32..8, 0_u32..40), 0..400)) {
            let (mut index, mut set) = (Index::default(), BTreeSet::new());
            for (comes, hash, place) in steps {
                // Few hashes, all at the end of the table: they crowd, and go round.
                let hash = u32::MAX - hash / 2;
                if !comes {
                    index.remove(hash, place);
                    set.remove(&(hash, place));
                } else if set.insert((hash, place)) {
                    index.insert(hash, place);
                }
                for hash in u32::MAX - 4..=u32::MAX {
                    for place in 0..40 {
                        let found = index.find(hash, |other| other == place);
                        prop_assert_eq!(found.is_some(), set.contains(&(hash, place)));
                    }
                }
            }
            prop_assert_eq!(index.used, set.len());
        }
    }
}
