//! How far a turn has come, and what it leaves to the next one.

use director_core::time::Instant;

use crate::{clock, limits};

/// The measure of the turns.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When this turn began.
    pub(crate) began: Instant,
    /// The end of the turn before: where reading a clock is a system call, each one less counts.
    pub(crate) ended: Instant,
    /// The core may want more than this turn had time for.
    pub(crate) owes: bool,
}

impl Pace {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            began: now,
            ended: now,
            owes: false,
        }
    }

    /// Whether the rest is to be left to the next turn.
    pub(crate) fn is_late(&self) -> bool {
        clock::now().since(self.began) >= limits::TURN_MAX
    }
}
