//! Finds the devices that were there before anybody listened.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Depth of the device tree below /sys/devices; a USB device behind several hubs lies at about 20.
const DEPTH_MAX: usize = 40;
/// Bytes of a modalias; the kernel formats them into a page.
const MODALIAS_BYTES_MAX: u64 = 4096;

/// Calls `found` with the modalias of every device in /sys.
pub(super) fn walk(mut found: impl FnMut(&str)) {
    descend(&mut PathBuf::from("/sys/devices"), DEPTH_MAX, &mut found);
}

fn descend(directory: &mut PathBuf, depth: usize, found: &mut impl FnMut(&str)) {
    let Ok(entries) = fs::read_dir(&directory) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let name = entry.file_name();
        if kind.is_file() && name == "modalias" {
            if let Some(modalias) = read(&entry.path()) {
                found(modalias.trim());
            }
        } else if kind.is_dir() && depth > 0 && !is_barren(name.as_encoded_bytes()) {
            directory.push(name);
            descend(directory, depth - 1, found);
            directory.pop();
        }
    }
}

/// Directories that hold no devices and are many.
fn is_barren(name: &[u8]) -> bool {
    matches!(
        name,
        b"power" | b"queues" | b"statistics" | b"msi_irqs" | b"cache" | b"topology" | b"trace"
    )
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(MODALIAS_BYTES_MAX)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}
