//! What is in an initrd: two segments, each a cpio archive of its own, one behind the other.
//!
//! The modules are most of it and change with the kernel package only; the system is small and changes with every
//! build of the binary. Apart, the one comes out of the cache while the other is packed in a second.

use crate::cpio::Tree;
use crate::modules::{self, ModuleSet};
use crate::workspace::Workspace;
use crate::{Error, Kernel};

/// Where PID 1 mounts file systems. (The kernel's own archive brings /dev/console.)
const MOUNT_POINTS: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

/// The binary and the files of `rootfs/etc`.
pub(crate) fn system(workspace: &Workspace, binary: &[u8]) -> Result<Tree, Error> {
    let mut tree = Tree::new();
    for path in MOUNT_POINTS {
        tree.directory(path);
    }
    tree.file("init", 0o755, binary);
    let etc = workspace.rootfs().join("etc");
    tree.host_directory("etc", &etc).map_err(Error::io(&etc))?;
    Ok(tree)
}

/// The modules of a set with their index, and how many they are.
pub(crate) fn modules(
    workspace: &Workspace,
    kernel: &Kernel,
    set: &str,
) -> Result<(Tree, usize), Error> {
    let mut tree = Tree::new();
    let set = ModuleSet::read(&workspace.rootfs().join("modules"), set)?;
    let package = kernel.modules()?;
    let closure = package.closure(&names(&set.modules))?;
    for module in &closure {
        tree.file(
            &format!("lib/modules/{}", module.path),
            0o644,
            package.bytes(module)?,
        );
    }
    let index = modules::index(&package, &closure, &names(&set.at_boot))?;
    tree.file("lib/modules/index", 0o644, index);
    Ok((tree, closure.len()))
}

fn names(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
