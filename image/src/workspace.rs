//! Where things are in this repository.

use std::env;
use std::path::{Path, PathBuf};

/// The folders of the checkout this program was compiled in.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The repository.
    pub root: PathBuf,
    /// Cargo's folder for what it builds.
    pub target: PathBuf,
}

impl Workspace {
    /// The checkout this program was compiled in; `CARGO_TARGET_DIR` is honoured as cargo does it.
    pub fn new() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        // The package lies directly below the repository's root.
        let root = manifest.parent().unwrap_or(manifest).to_owned();
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |dir| root.join(dir));
        Self { root, target }
    }

    /// Files that go into the image as they are.
    pub fn rootfs(&self) -> PathBuf {
        self.root.join("rootfs")
    }

    /// What builds keep for each other.
    pub fn cache(&self) -> PathBuf {
        self.target.join("image-cache")
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}
