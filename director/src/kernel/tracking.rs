//! Connection tracking as FULLNAT needs it: settings that cost every packet something, and so are made only when a
//! service asks for them.

use std::fs;
use std::io;
use std::path::Path;

use director_core::kernel::OpError;

/// Where the settings are.
const ROOT: &str = "/proc/sys/net";

/// IPVS marks its packets as untracked unless this is set, and then no rule of translation sees them. A connection
/// keeps what held when it began.
const TRACKED: &str = "ipv4/vs/conntrack";

/// Settings of connection tracking, each with its reason.
const SETTINGS: [(&str, &str); 3] = [
    // As IPVS forgets a silent connection (the kernel: five days).
    ("netfilter/nf_conntrack_tcp_timeout_established", "900"),
    // A connection that was taken over is picked up in its middle,
    ("netfilter/nf_conntrack_tcp_loose", "1"),
    // and its window is not known then.
    ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
];

/// Most tracked connections, and the buckets they are found in.
const MOST: &str = "netfilter/nf_conntrack_max";
const BUCKETS: &str = "netfilter/nf_conntrack_buckets";

/// Bytes of memory for each connection that may be tracked: the entry takes about 320, its IPVS connection as many,
/// and a quarter of the memory may be theirs.
const MEMORY_SHARE: u64 = 4 * 640;

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

/// Has them tracked no longer.
pub(super) fn end() {
    // Without IPVS there is nothing to set.
    let _ = set(TRACKED, "0");
}

/// Sets a number, unless it is higher already.
fn raise(key: &str, number: u64) {
    let value = fs::read_to_string(Path::new(ROOT).join(key));
    let value = value.ok().and_then(|text| text.trim().parse::<u64>().ok());
    if value.is_none_or(|value| value < number) {
        wish(key, &number.to_string());
    }
}

fn wish(key: &str, value: &str) {
    if let Err(error) = set(key, value) {
        log::warn!("setting net/{key} = {value}: {error}");
    }
}

fn set(key: &str, value: &str) -> io::Result<()> {
    fs::write(Path::new(ROOT).join(key), value)
}

/// MemTotal of /proc/meminfo, in bytes.
fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}
