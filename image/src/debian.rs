//! Debian's packages: asked for, downloaded and unpacked by an ordinary user.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Error, process};

/// Both are part of every Debian.
const APT: &[&str] = &["apt"];
const DPKG: &[&str] = &["dpkg"];

/// What `apt-cache` answers.
pub fn ask(arguments: &[impl AsRef<OsStr>]) -> Result<String, Error> {
    process::output(Command::new("apt-cache").args(arguments), APT)
}

/// Downloads packages, `NAME` or `NAME=VERSION`, into a folder that is made for them.
pub fn download(names: &[impl AsRef<OsStr>], folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    // apt checks each package against the archive's signature. Root would only make it warn that it can't drop root.
    let mut apt = Command::new("apt-get");
    apt.args(["download", "-qq", "-o", "APT::Sandbox::User=root"])
        .args(names)
        .current_dir(folder);
    process::output(&mut apt, APT).map(drop)
}

/// Unpacks all packages of a folder into `root` and removes the folder; says how many there were.
pub fn unpack(folder: &Path, root: &Path) -> Result<usize, Error> {
    let mut count = 0;
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let package = entry.map_err(Error::io(folder))?.path();
        process::output(
            Command::new("dpkg-deb").arg("-x").args([&package, root]),
            DPKG,
        )?;
        count += 1;
    }
    fs::remove_dir_all(folder).map_err(Error::io(folder))?;
    Ok(count)
}
