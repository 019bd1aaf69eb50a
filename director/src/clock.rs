//! The clock: microseconds since boot, suspend included, which no administrator can set.

use director_core::time::Instant;
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_clock_runs_forward() {
        let first = super::now();
        assert!(first > director_core::time::Instant::ZERO);
        assert!(super::now() >= first);
    }
}
