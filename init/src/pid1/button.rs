//! Power buttons: input devices that have a power key.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
};

use nix::libc;

use super::limits;

const CLASS: &str = "/sys/class/input";
/// linux/input-event-codes.h
const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;
/// struct input_event (linux/input.h) of a 64-bit kernel: two longs of time, type, code, value.
const EVENT_BYTES: usize = 24;

/// A device with a power key.
pub(super) struct Button {
    name: String,
    device: File,
}

impl Button {
    /// Opens the power buttons that are not among `known`, up to [`limits::BUTTONS_MAX`] in all.
    pub(super) fn find(known: &[Self]) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(CLASS) else {
            return Vec::new();
        };
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        names
            .filter(|name| {
                name.starts_with("event") && !known.iter().any(|button| button.name == *name)
            })
            .filter(|name| has_power_key(&Path::new(CLASS).join(name)))
            .filter_map(|name| {
                let path = Path::new("/dev/input").join(&name);
                let device = OpenOptions::new()
                    .read(true)
                    .custom_flags(libc::O_NONBLOCK)
                    .open(path)
                    .ok()?;
                Some(Self { name, device })
            })
            .take(limits::BUTTONS_MAX.saturating_sub(known.len()))
            .collect()
    }

    /// Reads what happened; true when the power key was pressed.
    ///
    /// # Errors
    /// The device is gone.
    pub(super) fn was_pressed(&mut self) -> io::Result<bool> {
        let mut pressed = false;
        let mut events = [0; EVENT_BYTES * 16];
        loop {
            match self.device.read(&mut events) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    pressed |= events[..length]
                        .chunks_exact(EVENT_BYTES)
                        .any(is_power_press);
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(pressed),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
    }
}

impl AsRawFd for Button {
    fn as_raw_fd(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}

fn has_power_key(class: &Path) -> bool {
    fs::read_to_string(class.join("device/capabilities/key"))
        .is_ok_and(|keys| has_key(&keys, KEY_POWER))
}

/// True when the bitmap that sysfs prints (hexadecimal words of 64 bits, the highest first) has the key.
fn has_key(bitmap: &str, key: u16) -> bool {
    let word = bitmap.split_whitespace().rev().nth(usize::from(key / 64));
    word.and_then(|word| u64::from_str_radix(word, 16).ok())
        .is_some_and(|word| word >> (key % 64) & 1 == 1)
}

/// True for the event "power key, pressed".
fn is_power_press(event: &[u8]) -> bool {
    let [.., t0, t1, c0, c1, v0, v1, v2, v3] = *event else {
        return false;
    };
    u16::from_ne_bytes([t0, t1]) == EV_KEY
        && u16::from_ne_bytes([c0, c1]) == KEY_POWER
        && i32::from_ne_bytes([v0, v1, v2, v3]) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_key_is_found_in_the_bitmap_of_sysfs() {
        assert!(has_key("10000000000000 0\n", KEY_POWER));
        assert!(has_key(
            "402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe",
            1
        ));
        assert!(!has_key("70000 0 0 0 0", KEY_POWER));
        assert!(!has_key("", KEY_POWER));
        assert!(!has_key("zz 0", KEY_POWER));
    }

    #[test]
    fn only_the_press_of_the_power_key_counts() {
        let event = |kind: u16, code: u16, value: i32| {
            let mut bytes = [0; EVENT_BYTES];
            bytes[16..18].copy_from_slice(&kind.to_ne_bytes());
            bytes[18..20].copy_from_slice(&code.to_ne_bytes());
            bytes[20..].copy_from_slice(&value.to_ne_bytes());
            bytes
        };
        assert!(is_power_press(&event(1, 116, 1)));
        assert!(!is_power_press(&event(1, 116, 0)));
        assert!(!is_power_press(&event(1, 30, 1)));
        assert!(!is_power_press(&event(0, 0, 0)));
        assert!(!is_power_press(&[1]));
    }
}
