//! Who waits in line for a place.

use std::collections::VecDeque;

use super::{Kind, Settings};

/// Checks that need a place of which there is a bounded number.
#[derive(Debug)]
pub(super) struct Line {
    /// Due checks in the order in which they became due.
    pub(super) due: VecDeque<u32>,
    /// Checks with an attempt under way.
    pub(super) running: usize,
    /// Places.
    max: usize,
}

impl Line {
    pub(super) const fn new(max: usize) -> Self {
        Self {
            due: VecDeque::new(),
            running: 0,
            max,
        }
    }

    /// Whether one waits, and there is a place for it.
    pub(super) fn is_ready(&self) -> bool {
        self.running < self.max && !self.due.is_empty()
    }

    /// The next one in turn, if there is a place.
    pub(super) fn next(&mut self) -> Option<u32> {
        if self.running < self.max {
            self.due.pop_front()
        } else {
            None
        }
    }
}

/// Which of the two lines is a check's: that for sockets, or that for programs and files.
pub(super) const fn line_of(settings: &Settings) -> usize {
    matches!(settings.kind, Kind::Exec(_) | Kind::File(_)) as usize
}
