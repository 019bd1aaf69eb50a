//! The image builder: kernel and modules out of Debian's package, the `keelson` binary, and the
//! files of `rootfs/` become what a machine boots.
//!
//! ```text
//! linux-image-*.deb --> kernel --> vmlinuz, vmlinux        (vmlinux boots by PVH, without decompression)
//!                         |
//! rootfs/modules/*.set -> modules: closure, index --+
//! cargo build (musl) ---> binary: checked ELF ------+--> initrd, initrd-vm, manifest.json
//! rootfs/* -----------------------------------------+
//!
//! keepalived.conf, router.conf --> overlay: the segment appended to an initrd
//! ```
//!
//! Nothing here needs root, a loop device or the running kernel's modules, and the same inputs give the same
//! bytes. What was made is kept in `target/image-cache` under a key of its inputs, so that a second build only
//! copies.

#![forbid(unsafe_code)]

pub mod cpio;
pub mod debian;
pub mod folder;
pub mod modules;
pub mod process;

mod binary;
mod build;
mod cache;
mod compression;
mod error;
mod initrd;
mod inspect;
mod kernel;
mod manifest;
mod overlay;
mod progress;
mod toolchain;
mod vmlinux;
mod workspace;

pub use binary::{Binary, compile, keelson};
pub use build::{Options, Set, build};
pub use compression::Compression;
pub use error::Error;
pub use inspect::inspect;
pub use kernel::Kernel;
pub use manifest::{Manifest, Member};
pub use overlay::{Configuration, FurtherFile, overlay};
pub use progress::{Report, silent, to_stderr};
pub use toolchain::required_debian_packages;
pub use workspace::Workspace;
