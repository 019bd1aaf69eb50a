//! What happened, for the log.

use super::Director;
use crate::event::Event;
use crate::limits;
use crate::status::LogLine;

impl Director {
    /// Whether [`Director::poll_event`] has something.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next event for the log.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The last `lines` events, oldest first.
    #[must_use]
    pub fn log(&self, lines: usize) -> Vec<LogLine> {
        self.ring.last(lines)
    }

    /// Keeps an event for `log` and offers it to the shell, which may be slow: the ring keeps what it misses.
    pub(super) fn note(&mut self, event: Event) {
        self.ring.push(self.now, event.clone());
        if self.events.len() < limits::EVENTS_MAX {
            self.events.push_back(event);
        }
    }
}
