//! What the machines boot: the product's image and the guests' initrds, made or taken from their caches.
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use image::{Configuration, Kernel, Manifest, Options, Report, Workspace};

use crate::argv::{Boot, Paths};
use crate::guest_image::{self, GuestImages, Tools};
use crate::packages::PackageError;
use crate::topology::{Node, Role, Topology};

/// Everything that can be booted.
#[derive(Clone, Debug)]
pub struct Images {
    /// The product's image; none for a lab without directors.
    pub product: Option<Product>,
    guests: GuestImages,
    tools: Tools,
    vmlinux: PathBuf,
}

/// The product's image.
#[derive(Clone, Debug)]
pub struct Product {
    /// What it is made of.
    pub manifest: Manifest,
    /// Its folder.
    pub folder: PathBuf,
}

/// Why what the machines boot can't be made.
#[derive(Debug)]
pub enum ImagesError {
    /// The kernel, its modules, or the workspace.
    Image(image::Error),
    /// A director in a lab that was made without one.
    NoProduct,
    /// Debian's packages.
    Packages(PackageError),
    /// A program for the guests does not compile; cargo has said why.
    Program(image::Error),
}

/// A second archive in an initrd starts at a multiple of this, a sector of the disk that the product keeps its
/// configuration on; the kernel asks for 4.
const SEGMENT_ALIGN: usize = 512;

impl Images {
    /// Builds what `topology` needs and is not up to date.
    pub fn made_for(
        topology: &Topology,
        workspace: &Workspace,
        report: Report,
    ) -> Result<Self, ImagesError> {
        let has = |fits: fn(&Role) -> bool| topology.nodes.iter().any(|node| fits(&node.role));
        let product = if has(|role| matches!(role, Role::Director { .. })) {
            Some(Product::built(workspace, report)?)
        } else {
            None
        };
        let tools = if has(|role| matches!(role, Role::Workbench { .. })) {
            Tools::made(workspace, report)?
        } else {
            Tools::default()
        };
        let kernel = Kernel::unpacked(workspace, report)?;
        let with_frr = has(|role| matches!(role, Role::Frr { .. }));
        let guests = GuestImages::made(workspace, &kernel, with_frr, report)?;
        Ok(Self {
            product,
            tools,
            vmlinux: kernel.vmlinux(),
            guests,
        })
    }

    /// Writes a node's own initrd and says how to boot it.
    pub fn boot(&self, node: &Node, paths: &Paths) -> Result<Boot, ImagesError> {
        let (base, segments, cmdline) = match &node.role {
            Role::Director {
                keepalived,
                router,
                files,
                agent,
            } => {
                let some = |text: &str| (!text.is_empty()).then(|| text.as_bytes().to_vec());
                let configuration = Configuration {
                    keepalived: some(keepalived),
                    router: some(router),
                    files: files.clone(),
                };
                let product = self.product.as_ref().ok_or(ImagesError::NoProduct)?;
                let mut cmdline = product.manifest.cmdline.clone();
                let mut segments = Vec::new();
                if *agent {
                    let beside = &self.guests.beside;
                    segments.push(fs::read(beside).map_err(image::Error::io(beside))?);
                    cmdline += " rdinit=/lab/beside";
                }
                segments.push(image::overlay(&configuration)?);
                (product.folder.join("initrd"), segments, cmdline)
            }
            role => {
                let initrd = self.guests.for_role(role).to_owned();
                (
                    initrd,
                    vec![guest_image::node_segment(node, &self.tools)],
                    guest_image::CMDLINE.to_owned(),
                )
            }
        };
        let cmdline = format!("{cmdline} {}", node.cmdline).trim_end().to_owned();
        let initrd = paths.initrd();
        append(&base, &segments, &initrd).map_err(image::Error::io(&initrd))?;
        Ok(Boot {
            vmlinux: self.vmlinux.clone(),
            initrd,
            cmdline,
        })
    }
}

impl Product {
    fn built(workspace: &Workspace, report: Report) -> Result<Self, ImagesError> {
        let options = Options {
            report,
            workspace: workspace.clone(),
            ..Options::default()
        };
        Ok(Self {
            manifest: image::build(&options)?,
            folder: options.out,
        })
    }
}

fn append(base: &Path, segments: &[Vec<u8>], to: &Path) -> io::Result<()> {
    fs::copy(base, to)?;
    let mut file = fs::File::options().append(true).open(to)?;
    for segment in segments {
        let length = file.metadata()?.len() as usize;
        file.write_all(&vec![0; length.next_multiple_of(SEGMENT_ALIGN) - length])?;
        file.write_all(segment)?;
    }
    Ok(())
}

impl From<image::Error> for ImagesError {
    fn from(error: image::Error) -> Self {
        Self::Image(error)
    }
}

impl From<PackageError> for ImagesError {
    fn from(error: PackageError) -> Self {
        Self::Packages(error)
    }
}

impl fmt::Display for ImagesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(error) => error.fmt(f),
            Self::NoProduct => {
                f.write_str("a director was added to a lab that was built without any")
            }
            Self::Packages(error) => error.fmt(f),
            Self::Program(why) => write!(f, "a program for the guests can't be compiled: {why}"),
        }
    }
}

impl std::error::Error for ImagesError {}
