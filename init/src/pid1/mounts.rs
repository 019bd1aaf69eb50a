//! Mounts the filesystems of the table.

use std::{fs, io};

use nix::{errno::Errno, mount::mount};

use super::stages::{Mount, Need};

/// A mount that the node cannot do without failed.
#[derive(Debug)]
pub(super) struct MountError {
    target: &'static str,
    cause: io::Error,
}

/// Mounts all of `table`; gives back how many of it are there and a line for each that the node does without.
///
/// # Errors
/// The first mount that must be and cannot.
pub(super) fn mount_all(table: &[Mount]) -> Result<(usize, Vec<String>), MountError> {
    let (mut mounted, mut missing) = (0, Vec::new());
    for line in table {
        match mount_one(line) {
            Ok(()) => mounted += 1,
            Err(cause) if line.need == Need::May => {
                missing.push(format!("no {}: {cause}", line.target));
            }
            Err(cause) => {
                return Err(MountError {
                    target: line.target,
                    cause,
                });
            }
        }
    }
    Ok((mounted, missing))
}

fn mount_one(line: &Mount) -> io::Result<()> {
    fs::create_dir_all(line.target)?;
    match mount(
        Some(line.kind),
        line.target,
        Some(line.kind),
        line.flags,
        Some(line.options),
    ) {
        // Somebody did it before, an initramfs that started this one: as good.
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

impl std::fmt::Display for MountError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot mount {}: {}", self.target, self.cause)
    }
}

impl std::error::Error for MountError {}
