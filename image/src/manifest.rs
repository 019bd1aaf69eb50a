//! `manifest.json`: what an image is made of.

use serde::{Deserialize, Serialize};

/// What an image is made of and how to boot it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of Keelson.
    pub version: String,
    /// Debian package of the kernel.
    pub kernel_package: String,
    /// Version of that package.
    pub kernel_version: String,
    /// What `uname -r` says.
    pub kernel_release: String,
    /// Compiler of the binary and where it came from.
    pub compiler: String,
    /// Kernel command line to boot with.
    pub cmdline: String,
    /// The files, sorted by name.
    pub members: Vec<Member>,
}

/// One file of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// File name in the image's folder; the binary `keelson` is within the initrds.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// What it is, in words.
    pub about: String,
}

impl Manifest {
    /// The member `name`.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}
