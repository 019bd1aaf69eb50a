//! What is in the initrd.

use crate::cpio::Tree;
use crate::modules::{self, ModuleSet};
use crate::workspace::Workspace;
use crate::{Error, Kernel};

/// Where PID 1 mounts file systems. (The kernel's own archive brings /dev/console.)
const MOUNT_POINTS: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

/// The file tree of an initrd, and how many modules are in it.
pub(crate) struct Contents {
    pub(crate) tree: Tree,
    pub(crate) modules: usize,
}

/// Puts together the binary, the files of `rootfs/etc`, and the modules of `set` with their index.
pub(crate) fn contents(
    workspace: &Workspace,
    kernel: &Kernel,
    set: &str,
    binary: &[u8],
) -> Result<Contents, Error> {
    let mut tree = Tree::new();
    for path in MOUNT_POINTS {
        tree.directory(path);
    }
    tree.file("init", 0o755, binary);
    let etc = workspace.rootfs().join("etc");
    tree.host_directory("etc", &etc).map_err(Error::io(&etc))?;
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
    tree.file(
        "lib/modules/index",
        0o644,
        modules::index(&package, &closure, &names(&set.at_boot))?,
    );
    Ok(Contents {
        tree,
        modules: closure.len(),
    })
}

fn names(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
