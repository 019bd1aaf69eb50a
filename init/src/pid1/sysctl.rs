//! Kernel settings: written, read back, and reported when the kernel did not take them.

use std::{fs, io, path::Path};

use super::stages::{Need, Sysctl};

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

/// Writes only what differs: the kernel refuses some settings that its command line has fixed, though they are as asked.
fn set(root: &Path, sysctl: &Sysctl) -> Result<(), Refusal> {
    let path = root.join(sysctl.key);
    if holds(&path, sysctl.value)?.is_none() {
        return Ok(());
    }
    // The newline lets an empty value through, for the kernel takes no notice of a write of nothing.
    fs::write(&path, format!("{}\n", sysctl.value))?;
    holds(&path, sysctl.value)?.map_or(Ok(()), |other| Err(Refusal::Reads(other)))
}

/// `None` when the file reads as the value, word by word; else what it reads.
fn holds(path: &Path, value: &str) -> io::Result<Option<String>> {
    let text = fs::read_to_string(path)?;
    let same = text.split_whitespace().eq(value.split_whitespace());
    Ok((!same).then(|| text.trim().to_owned()))
}

impl From<io::Error> for Refusal {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

#[cfg(test)]
mod tests {
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
        fs::write(root.join("two"), "3 50").unwrap();
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
