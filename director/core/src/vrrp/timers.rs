//! The formulas of the timers.

use crate::time::{Duration, Instant};
use crate::wire::vrrp::Version;

/// Skew_Time: the lower the priority, the later the takeover.
///
/// Version 2: (256 - priority) / 256 s, whatever the interval (RFC 3768 section 6.1). Version 3: that fraction of
/// `active_interval`, which is Active_Adver_Interval (RFC 9568 section 6.1).
#[must_use]
pub(super) fn skew(version: Version, priority: u8, active_interval: Duration) -> Duration {
    let whole = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => active_interval,
    };
    whole * (256 - u32::from(priority)) / 256
}

/// Active_Down_Interval: `down_adverts` (3 in the RFCs) missed adverts and the skew.
#[must_use]
pub(super) fn active_down(
    version: Version,
    priority: u8,
    active_interval: Duration,
    down_adverts: u8,
) -> Duration {
    active_interval * u32::from(down_adverts) + skew(version, priority, active_interval)
}

/// When an advert is due after one of that moment: an interval later or, with a phase, at the last moment within the
/// interval that is `phase` behind a whole number of intervals since boot. Never later than Adver_Timer of 6.4.3.
#[must_use]
pub(super) fn next_advert(sent: Instant, interval: Duration, phase: Option<Duration>) -> Instant {
    let latest = sent + interval;
    let past = phase.and_then(|phase| {
        let period = u64::try_from(interval.as_micros()).ok()?;
        (latest - phase).micros().checked_rem(period)
    });
    latest - Duration::from_micros(past.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adverts_with_a_phase_are_never_further_apart_than_an_interval() {
        let interval = Duration::from_millis(100);
        for (sent_ms, phase_ms, next_ms) in [
            (1000, None, 1100),
            (1000, Some(0), 1100),
            (1001, Some(0), 1100),
            (1099, Some(0), 1100),
            (1000, Some(25), 1025),
            (1025, Some(25), 1125),
            (1026, Some(25), 1125),
            (1124, Some(25), 1125),
        ] {
            let phase = phase_ms.map(Duration::from_millis);
            let next = next_advert(Instant::from_millis(sent_ms), interval, phase);
            assert_eq!(
                next,
                Instant::from_millis(next_ms),
                "{sent_ms} {phase_ms:?}"
            );
        }
    }

    #[test]
    fn the_formulas_of_both_versions() {
        // version, priority, interval in ms, skew and Active_Down in microseconds
        let cases = [
            (Version::V2, 100, 1000, 609_375, 3_609_375),
            (Version::V2, 100, 5000, 609_375, 15_609_375),
            (Version::V2, 254, 1000, 7_812, 3_007_812),
            (Version::V2, 1, 1000, 996_093, 3_996_093),
            (Version::V3, 100, 1000, 609_375, 3_609_375),
            (Version::V3, 100, 10, 6_093, 36_093),
            (Version::V3, 254, 40_950, 319_921, 123_169_921),
            (Version::V3, 1, 40_950, 40_790_039, 163_640_039),
            (Version::V3, 255, 1000, 3_906, 3_003_906),
        ];
        for (version, priority, interval_ms, skew_us, down_us) in cases {
            let interval = Duration::from_millis(interval_ms);
            let skew = skew(version, priority, interval);
            let down = active_down(version, priority, interval, 3);
            let case = (version, priority, interval_ms);
            assert_eq!(
                (skew.as_micros(), down.as_micros()),
                (skew_us, down_us),
                "{case:?}"
            );
        }
    }

    #[test]
    fn the_number_of_missed_adverts_can_be_changed() {
        let down = active_down(Version::V3, 128, Duration::from_secs(1), 10);
        assert_eq!(down, Duration::from_millis(10_500));
    }
}
