//! When something is due.

use std::collections::BTreeMap;

use crate::limits;
use crate::time::Instant;

/// The next moments of checks, on the grid on which they begin: a node may have two hundred thousand, of which many
/// share a moment.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeMap<u64, Vec<u32>>);

impl Timers {
    /// The moment of a check is another one, if it has one.
    pub(super) fn change(&mut self, index: u32, from: Option<Instant>, to: Option<Instant>) {
        let (from, to) = (from.map(on_grid), to.map(on_grid));
        if from == to {
            return;
        }
        if let Some(at) = to {
            self.0.entry(at).or_default().push(index);
        }
        if let Some(at) = from {
            self.remove(at, index);
        }
    }

    fn remove(&mut self, at: u64, index: u32) {
        let Some(all) = self.0.get_mut(&at) else {
            return;
        };
        if let Some(place) = all.iter().position(|other| *other == index) {
            all.swap_remove(place);
        }
        if all.is_empty() {
            self.0.remove(&at);
        }
    }

    /// One of those that are due first, if their moment has come.
    pub(super) fn due(&self, now: Instant) -> Option<u32> {
        let (at, all) = self.0.first_key_value()?;
        let index = all.last().copied();
        index.filter(|_| *at <= now.micros())
    }

    /// The first moment, on the grid.
    pub(super) fn first(&self) -> Option<Instant> {
        let (at, _) = self.0.first_key_value()?;
        Some(Instant::from_micros(*at))
    }
}

/// The place of a moment on the grid, not before it.
fn on_grid(at: Instant) -> u64 {
    let grid = u64::try_from(limits::CHECK_GRID.as_micros()).unwrap_or(1);
    at.micros().next_multiple_of(grid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_one_moment_are_due_together_and_none_before() {
        let at = Instant::from_micros;
        let mut timers = Timers::default();
        for (moment, index) in [(20_001, 1), (30_000, 2), (30_001, 3), (12, 4)] {
            timers.change(index, None, Some(at(moment)));
        }
        timers.change(4, Some(at(12)), None);
        assert_eq!(timers.first(), Some(at(30_000)));
        assert_eq!(timers.due(at(29_999)), None);
        for index in [2, 1] {
            assert_eq!(timers.due(at(30_000)), Some(index));
            timers.change(index, Some(at(25_000)), Some(at(31_000)));
        }
        assert_eq!(timers.due(at(30_000)), None);
        assert_eq!(timers.first(), Some(at(40_000)));
    }
}
