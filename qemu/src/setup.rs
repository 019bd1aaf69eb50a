//! What this machine must have: Debian packages, installed when there is the right to do so.
use std::fmt;
use std::process::{Command, Stdio};

use image::Report;

/// What the lab itself runs. Beyond it only what every Debian has: apt, dpkg and util-linux (setpriv).
const PACKAGES: &[&str] = &["qemu-system-x86"];

/// Why the set-up is not complete.
#[derive(Debug)]
pub enum SetupError {
    /// Packages are missing, and this user may not install them.
    NoRight {
        /// The one command that installs them.
        command: String,
    },
    /// apt failed.
    Apt(image::Error),
}

/// The packages that are needed here and not installed.
pub fn missing_packages() -> Vec<String> {
    let wanted = PACKAGES.iter().chain(image::required_debian_packages());
    wanted
        .filter(|package| !is_installed(package))
        .map(|package| (*package).to_owned())
        .collect()
}

/// Sees to it that everything is there. Installs what is missing as root or by `sudo -n`; the package list is fetched
/// only when there is something to install or no list at all. Does nothing, quickly, when all is there.
pub fn ensure(report: Report) -> Result<(), SetupError> {
    let missing = missing_packages();
    let lists = has_package_lists();
    if missing.is_empty() && lists {
        return Ok(());
    }
    let prefix: &[&str] = if is_root() {
        &[]
    } else if can_sudo() {
        &["sudo", "-n"]
    } else {
        return Err(SetupError::NoRight {
            command: command_for(&missing),
        });
    };
    report("fetch Debian's package list ...");
    run(prefix, &["apt-get", "update", "-qq"])?;
    if !missing.is_empty() {
        report(&format!("install {} ...", missing.join(" ")));
        let mut install = vec![
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "install",
            "-qq",
            "--yes",
        ];
        install.push("--no-install-recommends");
        install.extend(missing.iter().map(String::as_str));
        run(prefix, &install)?;
    }
    Ok(())
}

/// The one command that a person with the right can run.
fn command_for(missing: &[String]) -> String {
    let install = format!(
        "apt-get install --yes --no-install-recommends {}",
        missing.join(" ")
    );
    let update = "apt-get update";
    if missing.is_empty() {
        format!("sudo {update}")
    } else {
        format!("sudo sh -c '{update} && {install}'")
    }
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stdin(Stdio::null());
    query
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

/// Whether apt has ever fetched its lists; the kernel and the guests' programs are downloaded by them.
fn has_package_lists() -> bool {
    let mut policy = Command::new("apt-cache");
    policy
        .args(["show", "--no-all-versions", "linux-image-amd64"])
        .stdin(Stdio::null());
    policy.output().is_ok_and(|output| output.status.success())
}

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

fn can_sudo() -> bool {
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success())
}

fn run(prefix: &[&str], words: &[&str]) -> Result<(), SetupError> {
    let mut line = prefix.iter().chain(words);
    let Some(program) = line.next() else {
        return Ok(());
    };
    image::process::output(Command::new(program).args(line), &["apt"])
        .map(drop)
        .map_err(SetupError::Apt)
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRight { command } => {
                write!(
                    f,
                    "Debian packages are missing and this user may not install them. Run this once:\n\n    {command}\n"
                )
            }
            Self::Apt(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SetupError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_a_person_names_every_missing_package() {
        let command = command_for(&["qemu-system-x86".to_owned(), "musl-dev".to_owned()]);
        let expected = "sudo sh -c 'apt-get update && apt-get install --yes --no-install-recommends \
                        qemu-system-x86 musl-dev'";
        assert_eq!(command, expected);
        assert_eq!(command_for(&[]), "sudo apt-get update");
    }

    #[test]
    fn what_every_debian_has_is_installed_and_what_nobody_packs_is_not() {
        assert!(is_installed("dpkg"));
        assert!(!is_installed("no-such-package-anywhere"));
    }
}
