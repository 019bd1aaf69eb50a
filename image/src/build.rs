//! The build: an image folder out of its parts.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::{self, Cache};
use crate::compression::Compression;
use crate::manifest::{Manifest, Member};
use crate::progress::{Report, step, to_stderr};
use crate::workspace::Workspace;
use crate::{Error, Kernel, binary, initrd};

/// The last console is where the kernel's and PID 1's messages go. The kernel waits for ever after a panic unless told
/// otherwise, and drops most of what PID 1 logs unless devkmsg is on.
const CMDLINE: &str =
    "console=tty0 console=ttyS0,115200n8 panic=10 oops=panic printk.devkmsg=on quiet";
/// In the key of whatever is cached, to be raised when the builder makes something else of the same inputs.
const RECIPE: u32 = 3;

/// What to build.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder for the image; made when it is not there.
    pub out: PathBuf,
    /// Which initrds.
    pub sets: Vec<Set>,
    /// How they are packed.
    pub compression: Compression,
    /// Pack the initrds again although the cache has them, to see that the same bytes come out.
    pub fresh: bool,
    /// Where progress goes.
    pub report: Report,
    /// The checkout.
    pub workspace: Workspace,
}

/// A module set of `rootfs/modules`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// The drivers of real and of virtual machines: `initrd`.
    Metal,
    /// The drivers of virtual machines: `initrd-vm`.
    Vm,
}

impl Default for Options {
    /// The shipping build of both sets into `target/image`, with progress on the standard error stream.
    fn default() -> Self {
        let workspace = Workspace::new();
        let out = workspace.target.join("image");
        let sets = vec![Set::Metal, Set::Vm];
        Self {
            out,
            sets,
            compression: Compression::SHIPPING,
            fresh: false,
            report: to_stderr,
            workspace,
        }
    }
}

impl Set {
    /// The name of its file in `rootfs/modules`, without `.set`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metal => "metal",
            Self::Vm => "vm",
        }
    }

    /// The initrd's file name in the image folder.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Metal => "initrd",
            Self::Vm => "initrd-vm",
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Writes `vmlinuz`, `vmlinux`, the initrds and `manifest.json` into the folder that `options` names. What is up to
/// date is taken from the cache.
pub fn build(options: &Options) -> Result<Manifest, Error> {
    let Options {
        out,
        workspace,
        report,
        ..
    } = options;
    let binary = binary::keelson(workspace, *report)?;
    let cache = Cache::open(workspace.cache())?;
    let kernel = Kernel::from_cache(&cache, *report)?;
    fs::create_dir_all(out).map_err(Error::io(out))?;
    let mut members = vec![
        put(
            out,
            "vmlinuz",
            &read(&kernel.vmlinuz())?,
            "the kernel for boot loaders",
        )?,
        put(
            out,
            "vmlinux",
            &read(&kernel.vmlinux())?,
            "the kernel for virtual machines (PVH)",
        )?,
        member(
            "keelson",
            &binary.bytes,
            "the binary, /init of the initrds: static-pie, stripped",
        ),
    ];
    let system = pack(
        options,
        &cache,
        "system",
        &initrd::system(workspace, &binary.bytes)?.archive(),
    )?;
    for set in &options.sets {
        let (tree, count) = initrd::modules(workspace, &kernel, set.name())?;
        let modules = pack(options, &cache, &format!("modules-{set}"), &tree.archive())?;
        let about = format!(
            "the {set} set: system and {count} modules, {}",
            options.compression
        );
        members.push(put(
            out,
            set.file_name(),
            &[modules, system.clone()].concat(),
            &about,
        )?);
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel_package: kernel.package,
        kernel_version: kernel.version,
        kernel_release: kernel.release,
        compiler: binary.compiler,
        cmdline: CMDLINE.to_owned(),
        members,
    };
    let mut text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| Error::Kernel(error.to_string()))?;
    text.push('\n');
    cache::write(&out.join("manifest.json"), text.as_bytes())?;
    Ok(manifest)
}

/// The segment `name` packed, from the cache when it has this very archive.
fn pack(options: &Options, cache: &Cache, name: &str, archive: &[u8]) -> Result<Vec<u8>, Error> {
    let compression = options.compression;
    let key = format!("recipe {RECIPE} {}", cache::sha256(archive));
    let file = format!("{name}-{compression}");
    if options.fresh {
        cache.forget(&file)?;
    }
    let packed = cache.file(&file, &key, || {
        let what = format!("pack {name} as {compression}, {} bytes", archive.len());
        step(options.report, &what, || {
            compression
                .apply(archive)
                .map_err(Error::io(Path::new(&file)))
        })
    })?;
    read(&packed)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::io(path))
}

fn put(out: &Path, name: &str, bytes: &[u8], about: &str) -> Result<Member, Error> {
    cache::write(&out.join(name), bytes)?;
    Ok(member(name, bytes, about))
}

fn member(name: &str, bytes: &[u8], about: &str) -> Member {
    Member {
        name: name.to_owned(),
        size: bytes.len() as u64,
        sha256: cache::sha256(bytes),
        about: about.to_owned(),
    }
}
