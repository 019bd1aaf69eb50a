//! Settings of the kernel's network stack, by their paths below `/proc/sys/net`.

use std::fs;
use std::io;
use std::path::Path;

const ROOT: &str = "/proc/sys/net";

/// A setting that is a number; none where the kernel does not have it.
pub(crate) fn number<N: core::str::FromStr>(key: &str) -> Option<N> {
    let text = fs::read_to_string(Path::new(ROOT).join(key)).ok()?;
    text.trim().parse().ok()
}

/// Makes a setting.
///
/// # Errors
/// When the kernel does not have it, or does not take the value.
pub(crate) fn set(key: &str, value: &str) -> io::Result<()> {
    fs::write(Path::new(ROOT).join(key), value)
}

/// Makes a setting without which the rest works; that the kernel does not take it is logged.
pub(super) fn wish(key: &str, value: &str) {
    if let Err(error) = set(key, value) {
        log::warn!("setting net/{key} = {value}: {error}");
    }
}
