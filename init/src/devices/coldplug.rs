//! Finds the devices that were there before anybody listened.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

/// Classes whose devices have a modalias but sit on no bus.
const CLASSES: &[&str] = &["input", "dmi"];
/// Bytes of a modalias; the kernel formats them into a page.
const MODALIAS_BYTES_MAX: u64 = 4096;

/// Calls `found` with the modalias of every device in /sys. The lists of the buses hold the same devices as the tree
/// below /sys/devices, which takes six times as long to walk.
pub(super) fn walk(mut found: impl FnMut(&str)) {
    let buses = fs::read_dir("/sys/bus").into_iter().flatten().flatten();
    let lists = buses.map(|bus| bus.path().join("devices"));
    let classes = CLASSES
        .iter()
        .map(|class| Path::new("/sys/class").join(class));
    for list in lists.chain(classes) {
        for device in fs::read_dir(list).into_iter().flatten().flatten() {
            if let Some(modalias) = read(&device.path().join("modalias")) {
                found(modalias.trim());
            }
        }
    }
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
