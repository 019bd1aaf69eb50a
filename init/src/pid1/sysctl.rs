//! Kernel settings: written, read back, and reported when the kernel did not take them.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use super::stages::{Need, Sysctl};

/// Bytes of a value; none of ours is nearly as long.
const VALUE_BYTES_MAX: usize = 256;

/// What became of a table of settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Settings that hold the value asked for.
    pub held: usize,
    /// Settings that this kernel does not have and the node can do without.
    pub absent: usize,
    /// One line for each that does not hold.
    pub refused: Vec<String>,
}

/// Applies a table to the tree at `root` (`/proc/sys` on the node).
pub(super) fn apply(root: &Path, table: &[Sysctl]) -> Report {
    let mut report = Report::default();
    for sysctl in table {
        match set(root, sysctl) {
            Ok(()) => report.held += 1,
            Err(Refusal::Io(cause))
                if cause.kind() == io::ErrorKind::NotFound && sysctl.need == Need::May =>
            {
                report.absent += 1;
            }
            Err(Refusal::Io(cause)) => report.refused.push(format!(
                "{} = {}: {cause} ({})",
                sysctl.key, sysctl.value, sysctl.why
            )),
            Err(Refusal::Reads(value)) => {
                report.refused.push(format!(
                    "{} = {}, but reads {value} ({})",
                    sysctl.key, sysctl.value, sysctl.why
                ));
            }
        }
    }
    report
}

enum Refusal {
    Io(io::Error),
    Reads(String),
}

/// Writes only what differs: the kernel refuses some settings that its command line has fixed, though they are as
/// asked.
fn set(root: &Path, sysctl: &Sysctl) -> Result<(), Refusal> {
    let file = File::options()
        .read(true)
        .write(true)
        .open(root.join(sysctl.key))?;
    if same(&read(&file)?, sysctl.value) {
        return Ok(());
    }
    // The newline lets an empty value through, for the kernel takes no notice of a write of nothing.
    file.write_all_at(format!("{}\n", sysctl.value).as_bytes(), 0)?;
    let value = read(&file)?;
    if same(&value, sysctl.value) {
        Ok(())
    } else {
        Err(Refusal::Reads(value.trim().to_owned()))
    }
}

fn read(file: &File) -> io::Result<String> {
    let mut bytes = [0; VALUE_BYTES_MAX];
    let length = file.read_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned())
}

/// The kernel separates with tabs what is written with spaces.
fn same(value: &str, asked: &str) -> bool {
    value.split_whitespace().eq(asked.split_whitespace())
}

impl From<io::Error> for Refusal {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sysctl(key: &'static str, value: &'static str, need: Need) -> Sysctl {
        Sysctl {
            key,
            value,
            need,
            why: "test",
        }
    }

    #[test]
    fn settings_are_written_and_those_that_are_absent_or_refused_are_told_apart() {
        let root = std::env::temp_dir().join(format!("keelson-sysctl-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("two"), "3\t50\n").unwrap();
        fs::write(root.join("empty"), "/sbin/modprobe").unwrap();
        let _ = std::os::unix::fs::symlink("/dev/null", root.join("deaf"));

        let report = apply(
            &root,
            &[
                sysctl("two", "2 50", Need::Must),
                sysctl("gone", "1", Need::May),
                sysctl("needed", "1", Need::Must),
                sysctl("deaf", "1", Need::May),
            ],
        );

        assert_eq!(fs::read_to_string(root.join("two")).unwrap().trim(), "2 50");
        assert_eq!((report.held, report.absent), (1, 1));
        assert!(
            report.refused[0].starts_with("needed = 1: No such file"),
            "{report:?}"
        );
        assert_eq!(report.refused[1], "deaf = 1, but reads  (test)");
        fs::remove_dir_all(&root).unwrap();
    }
}
