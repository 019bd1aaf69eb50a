//! The formulas of the timers.

use crate::time::Duration;
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
