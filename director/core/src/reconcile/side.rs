//! What the reconciler keeps of each part of the kernel's state.

use std::collections::VecDeque;

use super::pauses::Pauses;
use crate::kernel::Op;
use crate::time::{Duration, Instant};

/// One part of the kernel's state. The parts do not wait for each other: a long reading of a large IPVS table must
/// not hold up an address.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    /// Read at least once; before that nothing of it may be changed.
    pub(super) known: bool,
    pub(super) reading: bool,
    /// Next reading; none before the first has been asked for.
    pub(super) read_at: Option<Instant>,
    /// How long the last one took, stalls left out; and the operations acknowledged before it.
    pub(super) took: Duration,
    pub(super) applied: u64,
    /// Operations not handed out yet.
    pub(super) queue: VecDeque<Op>,
    /// The queue no longer leads from actual to desired. Of the IPVS part [`super::Work`] says it for each service.
    pub(super) stale: bool,
    /// Operations not answered yet.
    pub(super) in_flight: usize,
    /// What was refused.
    pub(super) pauses: Pauses,
}

impl Side {
    /// Whether the kernel owes an answer: then that is the next thing to happen.
    pub(super) const fn waits(&self) -> bool {
        self.reading || self.in_flight > 0
    }

    /// Whether actual and desired state may differ by more than the queue.
    pub(super) fn differs(&self) -> bool {
        self.stale || !self.pauses.is_empty()
    }
}
