//! Debian's kernel package, downloaded and unpacked by an ordinary user.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::{self, Cache};
use crate::modules::Modules;
use crate::progress::{Report, step};
use crate::workspace::Workspace;
use crate::{Error, debian, folder, vmlinux};

/// The package that always depends on the newest kernel. (The cloud flavour lacks the drivers of real machines.)
const META_PACKAGE: &str = "linux-image-amd64";
/// Its time changes with every `apt-get update` that brings something.
const APT_LISTS: &str = "/var/lib/apt/lists";

/// An unpacked kernel package.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The package, such as `linux-image-6.1.0-56-amd64`.
    pub package: String,
    /// Its version, such as `6.1.192-2`.
    pub version: String,
    /// What `uname -r` will say, such as `6.1.0-56-amd64`.
    pub release: String,
    dir: PathBuf,
}

impl Kernel {
    /// The newest kernel that apt knows of, unpacked into the cache of `workspace`; without a usable package list the
    /// one that was unpacked last.
    pub fn unpacked(workspace: &Workspace, report: Report) -> Result<Self, Error> {
        Self::from_cache(&Cache::open(workspace.cache())?, report)
    }

    pub(crate) fn from_cache(cache: &Cache, report: Report) -> Result<Self, Error> {
        let current = cache.dir.join("kernel");
        let (package, version) = match newest(cache) {
            Ok(newest) => newest,
            Err(error) => return Self::at(&current)?.ok_or(error),
        };
        match Self::at(&current)? {
            Some(kernel) if kernel.package == package && kernel.version == version => Ok(kernel),
            _ => {
                let name = format!("{package}={version}");
                folder::replace(&current, |work| {
                    let packages = work.join("packages");
                    step(report, &format!("download {name}"), || {
                        download(&packages, &name)
                    })?;
                    step(report, &format!("unpack {name}"), || {
                        unpack(&packages, work, &package, &version)
                    })?;
                    cache::write(
                        &work.join("package"),
                        format!("{package} {version}\n").as_bytes(),
                    )
                })?;
                Self::at(&current)?.ok_or_else(|| Error::Kernel(format!("{name} did not unpack")))
            }
        }
    }

    /// The kernel as the package has it, for boot loaders.
    pub fn vmlinuz(&self) -> PathBuf {
        self.dir.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// The kernel taken out of `vmlinuz`, for virtual machines.
    pub fn vmlinux(&self) -> PathBuf {
        self.dir.join("vmlinux")
    }

    /// The modules of the package.
    pub fn modules(&self) -> Result<Modules, Error> {
        Modules::open(
            &self.dir.join("lib/modules").join(&self.release),
            &self.dir.join("modules.json"),
        )
    }

    fn at(dir: &Path) -> Result<Option<Self>, Error> {
        let stamp = dir.join("package");
        if !stamp.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&stamp).map_err(Error::io(&stamp))?;
        let Some((package, version)) = text.trim_end().split_once(' ') else {
            return Ok(None);
        };
        let Some(release) = package.strip_prefix("linux-image-") else {
            return Ok(None);
        };
        let (package, version, release) =
            (package.to_owned(), version.to_owned(), release.to_owned());
        Ok(Some(Self {
            package,
            version,
            release,
            dir: dir.to_owned(),
        }))
    }
}

/// Package and version of the newest kernel in apt's lists. Asking apt takes most of a second, so its answer is kept
/// until the lists change.
fn newest(cache: &Cache) -> Result<(String, String), Error> {
    let lists = fs::metadata(APT_LISTS).and_then(|lists| lists.modified());
    let answer = cache.file("newest-kernel", &format!("{lists:?}"), || {
        debian::ask(&["show", "--no-all-versions", META_PACKAGE]).map(String::into_bytes)
    })?;
    let text = fs::read_to_string(&answer).map_err(Error::io(&answer))?;
    let depends = text.lines().find_map(|line| line.strip_prefix("Depends: "));
    depends.and_then(exact_dependency).ok_or_else(|| {
        Error::Kernel(format!(
            "apt knows no {META_PACKAGE} that depends on one kernel: run apt-get update"
        ))
    })
}

/// `linux-image-6.1.0-56-amd64 (= 6.1.192-2)` as package and version.
fn exact_dependency(depends: &str) -> Option<(String, String)> {
    let (package, version) = depends.split(',').next()?.trim().split_once(" (= ")?;
    Some((package.to_owned(), version.strip_suffix(')')?.to_owned()))
}

fn download(folder: &Path, name: &str) -> Result<(), Error> {
    debian::download(&[name], folder).map_err(|error| match error {
        // An archive keeps only the newest version, so an old list leads to what is no longer there.
        Error::Program { .. } => Error::Kernel(format!(
            "{error}\nIf it is gone from the archive: apt-get update"
        )),
        other => other,
    })
}

fn unpack(packages: &Path, dir: &Path, package: &str, version: &str) -> Result<(), Error> {
    if debian::unpack(packages, dir)? == 0 {
        return Err(Error::Kernel(format!(
            "apt-get download left no .deb of {package} {version}"
        )));
    }
    let release = package.strip_prefix("linux-image-").unwrap_or(package);
    let vmlinuz = dir.join(format!("boot/vmlinuz-{release}"));
    let packed = fs::read(&vmlinuz).map_err(Error::io(&vmlinuz))?;
    cache::write(&dir.join("vmlinux"), &vmlinux::extract(&packed)?)?;
    Modules::scan(
        &dir.join("lib/modules").join(release),
        &dir.join("modules.json"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meta_package_names_one_kernel() {
        let expected = (
            "linux-image-6.1.0-56-amd64".to_owned(),
            "6.1.192-2".to_owned(),
        );
        assert_eq!(
            exact_dependency("linux-image-6.1.0-56-amd64 (= 6.1.192-2)"),
            Some(expected)
        );
        assert_eq!(exact_dependency("linux-image-6.1.0-56-amd64"), None);
    }
}
