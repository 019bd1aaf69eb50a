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

fn set(root: &Path, sysctl: &Sysctl) -> Result<(), Refusal> {
    let path = root.join(sysctl.key);
    // The write must not create the file where /proc/sys is a plain directory (a test); the newline lets an empty value
    // through, for the kernel takes no notice of a write of nothing.
    let mut file = fs::File::options()
        .write(true)
        .open(&path)
        .map_err(Refusal::Io)?;
    io::Write::write_all(&mut file, format!("{}\n", sysctl.value).as_bytes())
        .map_err(Refusal::Io)?;
    let value = fs::read_to_string(&path).map_err(Refusal::Io)?;
    if value.split_whitespace().eq(sysctl.value.split_whitespace()) {
        Ok(())
    } else {
        Err(Refusal::Reads(value.trim().to_owned()))
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
