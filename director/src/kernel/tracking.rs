//! Connection tracking as FULLNAT needs it: settings that cost every packet something, and so are made only when a
//! service asks for them.

use std::fs;

use director_core::ipvs::Timeouts;
use director_core::kernel::OpError;
use director_core::status::TrackingStatus;

use super::sysctl::{number, set, wish};

/// IPVS marks its packets as untracked unless this is set, and then no rule of translation sees them. A connection
/// keeps what held when it began.
const TRACKED: &str = "ipv4/vs/conntrack";

/// Settings of connection tracking, each with its reason.
const SETTINGS: [(&str, &str); 2] = [
    // A connection that was taken over is picked up in its middle,
    ("netfilter/nf_conntrack_tcp_loose", "1"),
    // and its window is not known then.
    ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
];

/// When a silent connection is forgotten, by TCP and UDP, which the kernel does after five days and two minutes; and
/// when IPVS does, in seconds, unless it is told otherwise.
const TIMEOUTS: [(&str, u32); 2] = [
    ("netfilter/nf_conntrack_tcp_timeout_established", 900),
    ("netfilter/nf_conntrack_udp_timeout_stream", 300),
];

/// Most tracked connections, and the buckets they are found in.
const MOST: &str = "netfilter/nf_conntrack_max";
const BUCKETS: &str = "netfilter/nf_conntrack_buckets";

/// Bytes of memory for each connection that may be tracked: the entry takes about 320, its IPVS connection as many,
/// and a quarter of the memory may be theirs.
const MEMORY_SHARE: u64 = 4 * 640;

/// How many are tracked now, and the counters of each processor.
const COUNT: &str = "netfilter/nf_conntrack_count";
const COUNTERS: &str = "/proc/self/net/stat/nf_conntrack";

/// Has connections tracked from now on. Settings of less consequence that the kernel does not take are logged.
///
/// # Errors
/// The errno, when IPVS does not let its connections be tracked.
pub(super) fn begin() -> Result<(), OpError> {
    for (key, value) in SETTINGS {
        wish(key, value);
    }
    if let Some(most) = memory_bytes().map(|bytes| bytes / MEMORY_SHARE) {
        raise(BUCKETS, most / 2);
        raise(MOST, most);
    }
    set(TRACKED, "1").map_err(|error| OpError(error.raw_os_error().unwrap_or(libc::EIO)))
}

/// Has silent connections tracked for as long as IPVS knows them: no longer, for others are tracked too, and no
/// shorter, for it may be the server's turn.
pub(super) fn follow([tcp, _, udp]: Timeouts) {
    for ((key, usual), told) in TIMEOUTS.into_iter().zip([tcp, udp]) {
        let timeout = if told == 0 { usual } else { told };
        wish(key, &timeout.to_string());
    }
}

/// Has them tracked no longer.
pub(super) fn end() {
    // Without IPVS there is nothing to set.
    let _ = set(TRACKED, "0");
}

/// Fills in the kernel's figures; what can't be read stays 0.
pub(crate) fn measure(status: &mut TrackingStatus) {
    status.tracked = number(COUNT).unwrap_or_default();
    status.tracked_max = number(MOST).unwrap_or_default();
    let counters = fs::read_to_string(COUNTERS).unwrap_or_default();
    status.refused = sum(&counters, "insert_failed");
    status.dropped = sum(&counters, "drop");
}

/// The sum of one column of net/stat/nf_conntrack, which has a line of names and one of hexadecimal numbers for each
/// processor.
fn sum(counters: &str, name: &str) -> u64 {
    let mut lines = counters.lines();
    let mut names = lines.next().unwrap_or_default().split_ascii_whitespace();
    let Some(column) = names.position(|found| found == name) else {
        return 0;
    };
    let number = |line: &str| {
        let word = line.split_ascii_whitespace().nth(column)?;
        u64::from_str_radix(word, 16).ok()
    };
    lines.filter_map(number).fold(0, u64::saturating_add)
}

/// Sets a number, unless it is higher already.
fn raise(key: &str, number: u64) {
    if self::number(key).is_none_or(|value: u64| value < number) {
        wish(key, &number.to_string());
    }
}

/// MemTotal of /proc/meminfo, in bytes.
fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_all_processors_are_summed_up() {
        let counters = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop
00000002  00000000 00000000 00000000 00000000 00000000 00000000 00000002 00000000 0000000a 00000000
00000002  00000000 00000000 00000000 00000000 00000000 00000000 00000002 00000000 00000001 000000ff
";
        assert_eq!(sum(counters, "insert_failed"), 11);
        assert_eq!(sum(counters, "drop"), 255);
        assert_eq!(sum(counters, "no such column"), 0);
        assert_eq!(sum("", "drop"), 0);
    }
}
