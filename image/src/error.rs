//! What can go wrong in a build, each with what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::cpio::ReadError;
use crate::modules::ModuleError;
use crate::vmlinux::VmlinuxError;

/// Why an image, an overlay or an inspection failed.
#[derive(Debug)]
pub enum Error {
    /// A file or folder could not be read or written.
    Io {
        /// Which one.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A program of the host is not there.
    Missing {
        /// Its name.
        program: String,
        /// The Debian packages to install.
        packages: &'static [&'static str],
    },
    /// A program of the host failed.
    Program {
        /// The command line.
        command: String,
        /// The end of what it printed, or how it ended.
        said: String,
    },
    /// Debian's kernel package is not as expected.
    Kernel(String),
    /// The kernel could not be taken out of vmlinuz.
    Vmlinuz(VmlinuxError),
    /// A module of a set is missing, or a set is malformed.
    Modules(ModuleError),
    /// The binary is not the static program that the image needs.
    Binary(String),
    /// A configuration that does not parse (the text lists every error) or does not fit.
    Configuration(String),
    /// A file to be inspected is no initrd and no overlay.
    Archive(ReadError),
}

impl Error {
    /// For `map_err` on an operation on `path`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Missing { program, packages } => {
                write!(
                    f,
                    "{program} is not installed: apt-get install {}",
                    packages.join(" ")
                )
            }
            Self::Program { command, said } => write!(f, "{command}: {said}"),
            Self::Kernel(why) => write!(f, "kernel package: {why}"),
            Self::Vmlinuz(why) => write!(f, "vmlinuz: {why}"),
            Self::Modules(why) => write!(f, "modules: {why}"),
            Self::Binary(why) => write!(f, "keelson binary: {why}"),
            Self::Configuration(why) => write!(f, "{why}"),
            Self::Archive(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<ModuleError> for Error {
    fn from(error: ModuleError) -> Self {
        Self::Modules(error)
    }
}

impl From<VmlinuxError> for Error {
    fn from(error: VmlinuxError) -> Self {
        Self::Vmlinuz(error)
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Self::Archive(error)
    }
}
