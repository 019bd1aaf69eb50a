//! The orderly stop: hand over, let go of everything, and end.

use super::Director;
use crate::event::Event;
use crate::limits;
use crate::time::Instant;

/// An orderly stop under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) until: Instant,
    /// All virtual routers have let go.
    released: bool,
    pub(super) done: bool,
}

impl Director {
    /// Begins it, unless it has begun.
    pub(super) fn begin_stop(&mut self) {
        if self.stop.is_some() {
            return;
        }
        self.note(Event::Stopping);
        self.routers.stop(self.now);
        self.stop = Some(Stop {
            until: self.now + limits::STOP_MAX,
            released: false,
            done: false,
        });
        self.dirty = true;
    }

    /// Ends it when nothing is left to do, or when it has taken too long.
    pub(super) fn end_stop(&mut self, released: bool) {
        let Some(stop) = self.stop.as_mut().filter(|stop| !stop.done) else {
            return;
        };
        if released && !core::mem::replace(&mut stop.released, released) {
            // Whatever stall ate up the time: what is to go is to be asked for.
            stop.until = stop.until.max(self.now + limits::STOP_REMOVAL_MIN);
        }
        let finished = released && self.reconciler.is_converged();
        if !finished && self.now < stop.until {
            return;
        }
        stop.done = true;
        let operations = u32::try_from(self.reconciler.pending()).unwrap_or(u32::MAX);
        if operations > 0 {
            self.note(Event::StopIncomplete { operations });
        }
    }
}
