//! Debian's keepalived on this host, to be asked and measured: nothing is installed.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Error, Report, Workspace};

use crate::packages::{PackageError, Packages};

/// The package, unpacked with its libraries.
pub struct Keepalived {
    packages: Packages,
}

impl Keepalived {
    /// Downloads and unpacks it into `target/lab-cache`, unless it is there.
    ///
    /// # Errors
    /// Those of apt and dpkg.
    pub fn unpacked(workspace: &Workspace, report: Report) -> Result<Self, PackageError> {
        let cache = workspace.target.join("lab-cache");
        fs::create_dir_all(&cache).map_err(Error::io(&cache))?;
        let packages = Packages::unpacked(&cache.join("keepalived"), &["keepalived"], report)?;
        Ok(Self { packages })
    }

    /// Its sample configurations, in order.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn samples(&self) -> Result<Vec<PathBuf>, PackageError> {
        let folder = self.packages.file("usr/share/doc/keepalived/samples");
        let entries = fs::read_dir(&folder).map_err(Error::io(&folder))?;
        let paths = entries.flatten().map(|entry| entry.path());
        let is_conf = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("keepalived.conf.")
        };
        let mut samples: Vec<PathBuf> = paths.filter(is_conf).collect();
        samples.sort();
        Ok(samples)
    }

    /// The source of its manual page keepalived.conf(5), in roff.
    ///
    /// # Errors
    /// When it can't be unpacked.
    pub fn manual(&self) -> Result<String, PackageError> {
        let page = self
            .packages
            .file("usr/share/man/man5/keepalived.conf.5.gz");
        let unpacked = Command::new("gzip").arg("-dc").arg(&page).output();
        let unpacked = unpacked.map_err(Error::io(&page))?;
        Ok(String::from_utf8_lossy(&unpacked.stdout).into_owned())
    }

    /// What says whether it takes a configuration (`keepalived -t`), to be run.
    #[must_use]
    pub fn check(&self, configuration: &Path) -> Command {
        let mut command = self.packages.command("usr/sbin/keepalived");
        command.args(["-t", "-f"]).arg(configuration);
        command
    }
}
