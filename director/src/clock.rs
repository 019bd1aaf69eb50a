//! The clock: microseconds since boot, suspend included, which no administrator can set.

use std::time::{SystemTime, UNIX_EPOCH};

use director_core::time::{Duration, Instant};
use nix::time::{ClockId, clock_gettime};

/// The present moment by `CLOCK_BOOTTIME`.
#[must_use]
pub fn now() -> Instant {
    // Every kernel since 2.6.39 has this clock, and reading it needs no permission.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Instant::ZERO, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let micros = u64::try_from(time.tv_nsec()).unwrap_or(0) / 1000;
        Instant::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros))
    })
}

/// Follows the wall clock, which an administrator or another program can set.
#[derive(Debug, Default)]
pub struct WallClock {
    looked_at: Option<Instant>,
    /// Microseconds since 1970 at boot, as far as it was told.
    told: Option<i64>,
}

impl WallClock {
    /// What it shows, in microseconds since 1970, when it is not where it was to be expected. It is looked at once a
    /// second.
    pub fn moved(&mut self, now: Instant) -> Option<u64> {
        if self.looked_at.is_some_and(|at| now < at + LOOK) {
            return None;
        }
        self.looked_at = Some(now);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let micros = i64::try_from(since.as_micros()).ok()?;
        let at_boot = micros.saturating_sub_unsigned(now.micros());
        let expected = self
            .told
            .is_some_and(|told| told.abs_diff(at_boot) < TOLERANCE_US);
        if expected {
            return None;
        }
        self.told = Some(at_boot);
        u64::try_from(micros).ok()
    }
}

/// Between two looks at the wall clock.
const LOOK: Duration = Duration::from_secs(1);
/// How far it may drift unsaid. The time of a signed advert counts by the second.
const TOLERANCE_US: u64 = 50_000;

#[cfg(test)]
mod tests {
    #[test]
    fn a_wall_clock_is_told_once_and_then_only_when_it_was_set() {
        use director_core::time::Duration;
        let now = super::now();
        let mut wall = super::WallClock::default();
        assert!(wall.moved(now).is_some());
        assert_eq!(wall.moved(now + Duration::from_millis(10)), None);
        // To the eye it is the boot clock that has moved, which is the same.
        assert!(wall.moved(now + Duration::from_secs(60)).is_some());
        assert_eq!(wall.moved(now + Duration::from_millis(60_010)), None);
    }

    #[test]
    fn the_clock_runs_forward() {
        let first = super::now();
        assert!(first > director_core::time::Instant::ZERO);
        assert!(super::now() >= first);
    }
}
