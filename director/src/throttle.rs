//! A bound on lines of the log: a thousand servers that fail at once must not push everything else out of it.

use director_core::time::Instant;

use crate::limits::{LOG_BURST, LOG_PERIOD};

/// Lets [`LOG_BURST`] lines pass in each [`LOG_PERIOD`] and counts the others.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// When the next period begins.
    until: Instant,
    passed: u32,
    left_out: u64,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is written.
    Pass,
    /// It is only counted.
    LeftOut,
}

impl Throttle {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            until: now,
            passed: 0,
            left_out: 0,
        }
    }

    /// Judges one line.
    pub(crate) fn judge(&mut self, now: Instant) -> Verdict {
        // With lines left out, the period ends with their summary.
        if now >= self.until && self.left_out == 0 {
            self.until = now + LOG_PERIOD;
            self.passed = 0;
        }
        if self.passed < LOG_BURST {
            self.passed += 1;
            return Verdict::Pass;
        }
        self.left_out += 1;
        Verdict::LeftOut
    }

    /// How many lines were left out, once their period is over.
    pub(crate) fn summary(&mut self, now: Instant) -> Option<u64> {
        if self.left_out == 0 || now < self.until {
            return None;
        }
        self.until = now + LOG_PERIOD;
        self.passed = 0;
        Some(core::mem::take(&mut self.left_out))
    }

    /// When a summary is due.
    pub(crate) const fn next_timeout(&self) -> Option<Instant> {
        if self.left_out > 0 {
            Some(self.until)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_burst_are_counted_and_told_once() {
        let start = Instant::from_millis(1000);
        let mut throttle = Throttle::new(start);
        let judged: Vec<Verdict> = (0..LOG_BURST + 7).map(|_| throttle.judge(start)).collect();
        assert_eq!(
            judged
                .iter()
                .filter(|verdict| **verdict == Verdict::Pass)
                .count(),
            LOG_BURST as usize
        );
        assert_eq!(throttle.summary(start), None);
        let end = throttle.next_timeout().unwrap();
        assert_eq!(end, start + LOG_PERIOD);
        assert_eq!(
            throttle.judge(end),
            Verdict::LeftOut,
            "the summary goes first"
        );
        assert_eq!(throttle.summary(end), Some(8));
        assert_eq!(
            (throttle.summary(end), throttle.next_timeout()),
            (None, None)
        );
        assert_eq!(throttle.judge(end), Verdict::Pass);
    }
}
