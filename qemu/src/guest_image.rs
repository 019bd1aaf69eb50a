//! The guests' initrds, out of Debian's packages: busybox, nginx and the lab's agent for every role; keepalived and
//! ipvsadm too for a peer; FRR for a peer of that kind. And what a director may get beside the product: busybox, the
//! agent and ipvsadm.
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use image::cpio::Tree;
use image::{Kernel, Workspace};

use crate::images::ImagesError;
use crate::packages::Packages;
use crate::topology::{Node, Role};

/// The kernel's command line for guests.
pub const CMDLINE: &str = "console=ttyS0 quiet panic=10 rdinit=/sbin/init";

const PACKAGES: &[&str] = &[
    "busybox-static",
    "nginx",
    "keepalived",
    "ipvsadm",
    "iproute2",
];
const SERVER_PROGRAMS: &[&str] = &["usr/sbin/nginx", "bin/ip"];
const PEER_PROGRAMS: &[&str] = &[
    "usr/sbin/nginx",
    "usr/sbin/keepalived",
    "sbin/ipvsadm",
    "bin/ip",
];
const SERVER_MODULES: &[&str] = &["virtio_pci", "virtio_net", "virtio_rng"];
/// What only real servers behind a tunnel ask for.
const TUNNEL_MODULES: &[&str] = &["fou", "ip6_gre", "ip6_tunnel", "ip_gre", "ipip", "sit"];
const BESIDE_PROGRAMS: &[&str] = &["sbin/ipvsadm", "bin/ip"];
const PEER_MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_net",
    "virtio_rng",
    "ip_vs",
    "ip_vs_rr",
    "ip_vs_wrr",
    "ip_vs_wlc",
    "ip_vs_sh",
    "macvlan",
];
const FRR_PACKAGES: &[&str] = &["busybox-static", "nginx", "iproute2", "frr"];
const FRR_PROGRAMS: &[&str] = &[
    "usr/sbin/nginx",
    "bin/ip",
    "usr/lib/frr/zebra",
    "usr/lib/frr/vrrpd",
];
const FRR_MODULES: &[&str] = &["virtio_pci", "virtio_net", "virtio_rng", "macvlan"];
/// Programs for the guests are linked statically with the host's own C library: the guests need not have it, and no
/// second target is.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";

/// The initrds that the guests boot.
#[derive(Clone, Debug)]
pub struct GuestImages {
    /// For servers and clients.
    pub plain: PathBuf,
    /// For peers: three times as large.
    pub peer: PathBuf,
    /// For peers with FRR, where there are any.
    pub frr: Option<PathBuf>,
    /// What a director with an agent has beside the product: `/lab/beside` starts the agent and becomes the product.
    pub beside: PathBuf,
}

impl GuestImages {
    /// Makes the initrds in `target/lab-cache`, or takes those that are there when nothing has changed that they are
    /// made of. `report` gets a line when something takes long.
    pub fn made(
        workspace: &Workspace,
        kernel: &Kernel,
        with_frr: bool,
        report: image::Report,
    ) -> Result<Self, ImagesError> {
        let cache = workspace.target.join("lab-cache");
        fs::create_dir_all(&cache).map_err(image::Error::io(&cache))?;
        let agent = program("lab-agent", workspace, report)?;
        let packages = Packages::unpacked(&cache.join("packages"), PACKAGES, report)?;
        let frr = if with_frr {
            let folder = cache.join("frr-packages");
            let recipe = Recipe {
                kernel,
                packages: &Packages::unpacked(&folder, FRR_PACKAGES, report)?,
                agent: &agent,
            };
            Some(recipe.initrd(&cache.join("frr.initrd"), FRR_PROGRAMS, FRR_MODULES)?)
        } else {
            None
        };
        let recipe = Recipe {
            kernel,
            packages: &packages,
            agent: &agent,
        };
        Ok(Self {
            plain: recipe.initrd(&cache.join("guest.initrd"), SERVER_PROGRAMS, SERVER_MODULES)?,
            peer: recipe.initrd(&cache.join("peer.initrd"), PEER_PROGRAMS, PEER_MODULES)?,
            frr,
            beside: written(&recipe.beside()?, &cache.join("beside.initrd"))?,
        })
    }

    /// The initrd for a guest of this role.
    pub fn for_role(&self, role: &Role) -> &Path {
        match role {
            Role::Peer { .. } | Role::Workbench { .. } => &self.peer,
            Role::Frr { .. } => self.frr.as_ref().unwrap_or(&self.plain),
            _ => &self.plain,
        }
    }
}

/// The node's own part, appended to its initrd: what it is to do, and its files.
pub fn node_segment(node: &Node, tools: &Tools) -> Vec<u8> {
    let mut tree = Tree::new();
    tree.file("lab/node", 0o755, node.guest_script());
    match &node.role {
        Role::Peer { keepalived } => {
            tree.file("etc/keepalived/keepalived.conf", 0o644, keepalived.as_str());
        }
        Role::Frr { vrrpd, .. } => {
            tree.file("etc/frr/vrrpd.conf", 0o644, vrrpd.as_str());
        }
        Role::Workbench { files } => {
            tree.file("usr/sbin/keelson", 0o755, tools.keelson.as_slice());
            tree.file("lab/gauge", 0o755, tools.gauge.as_slice());
            for (path, content) in files {
                tree.file(path, 0o644, content.as_str());
            }
        }
        _ => {}
    }
    tree.archive()
}

/// Programs of this workspace that a workbench has.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    /// The product.
    pub keelson: Vec<u8>,
    /// `lab-gauge`.
    pub gauge: Vec<u8>,
}

impl Tools {
    /// Compiles what is not up to date.
    pub fn made(workspace: &Workspace, report: image::Report) -> Result<Self, ImagesError> {
        Ok(Self {
            keelson: image::keelson(workspace, report)?.bytes,
            gauge: program("lab-gauge", workspace, report)?,
        })
    }
}

struct Recipe<'a> {
    kernel: &'a Kernel,
    packages: &'a Packages,
    agent: &'a [u8],
}

impl Recipe<'_> {
    fn initrd(
        &self,
        path: &Path,
        programs: &[&str],
        modules: &[&str],
    ) -> Result<PathBuf, ImagesError> {
        written(&self.tree(programs, modules)?, path)
    }

    fn beside(&self) -> Result<Tree, ImagesError> {
        let mut tree = Tree::new();
        self.put_busybox(&mut tree)?;
        self.put_programs(&mut tree, BESIDE_PROGRAMS)?;
        tree.file("lab/agent", 0o755, self.agent);
        tree.file("lab/agent-line", 0o755, include_str!("../guest/agent-line"));
        tree.file("lab/beside", 0o755, include_str!("../guest/beside"));
        Ok(tree)
    }

    fn tree(&self, programs: &[&str], modules: &[&str]) -> Result<Tree, ImagesError> {
        let mut tree = Tree::new();
        for folder in [
            "dev", "proc", "sys", "tmp", "run", "root", "sbin", "usr/sbin", "var/log", "var/lib",
        ] {
            tree.directory(folder);
        }
        self.put_busybox(&mut tree)?;
        tree.insert(
            "sbin/init",
            0o777,
            image::cpio::Kind::Symlink("/bin/busybox".to_owned()),
        );
        self.put_programs(&mut tree, programs)?;
        self.put_modules(&mut tree, "order", modules)?;
        for module in TUNNEL_MODULES {
            self.put_modules(&mut tree, &format!("{module}.order"), &[module])?;
        }
        tree.file("lab/agent", 0o755, self.agent);
        tree.file("lab/agent-line", 0o755, include_str!("../guest/agent-line"));
        tree.file("lab/start", 0o755, include_str!("../guest/start"));
        tree.file("etc/inittab", 0o644, include_str!("../guest/inittab"));
        tree.file("etc/profile", 0o644, include_str!("../guest/profile"));
        tree.file(
            "etc/nginx/nginx.conf.in",
            0o644,
            include_str!("../guest/nginx.conf"),
        );
        // FRR drops its rights and wants its users by name.
        let users = "root::0:0:root:/root:/bin/sh\nfrr:x:100:100::/:/bin/false\n";
        tree.file("etc/passwd", 0o644, users);
        tree.file(
            "etc/group",
            0o644,
            "root:x:0:\nfrr:x:100:\nfrrvty:x:101:frr\n",
        );
        Ok(tree)
    }

    fn put_busybox(&self, tree: &mut Tree) -> Result<(), ImagesError> {
        let busybox = self.packages.file("bin/busybox");
        tree.file(
            "bin/busybox",
            0o755,
            fs::read(&busybox).map_err(image::Error::io(&busybox))?,
        );
        let list = Command::new(&busybox)
            .arg("--list")
            .stdin(Stdio::null())
            .output()
            .map_err(image::Error::io(&busybox))?;
        for applet in String::from_utf8_lossy(&list.stdout)
            .lines()
            .filter(|applet| *applet != "busybox")
        {
            tree.insert(
                &format!("bin/{applet}"),
                0o777,
                image::cpio::Kind::Symlink("/bin/busybox".to_owned()),
            );
        }
        Ok(())
    }

    fn put_programs(&self, tree: &mut Tree, programs: &[&str]) -> Result<(), ImagesError> {
        for (target, from) in self.packages.programs(programs)? {
            let bytes = fs::read(&from).map_err(image::Error::io(&from))?;
            tree.file(&target, 0o755, bytes);
        }
        Ok(())
    }

    /// The modules with what they need, and a list in the order to load them in.
    fn put_modules(&self, tree: &mut Tree, list: &str, names: &[&str]) -> Result<(), ImagesError> {
        let modules = self.kernel.modules()?;
        let mut order = String::new();
        for module in modules.closure(names).map_err(image::Error::from)? {
            tree.file(
                &format!("lib/modules/{}.ko", module.name),
                0o644,
                modules.bytes(module)?,
            );
            order.push_str(&format!("{}.ko\n", module.name));
        }
        tree.file(&format!("lib/modules/{list}"), 0o644, order);
        Ok(())
    }
}

/// Writes the archive unless it is there already. Not compressed: emulated processors unpack slowly, and the host's
/// page cache has it once for all guests.
fn written(tree: &Tree, path: &Path) -> Result<PathBuf, ImagesError> {
    let archive = tree.archive();
    if fs::read(path).is_ok_and(|present| present == archive) {
        return Ok(path.to_owned());
    }
    let unfinished = path.with_extension("new");
    fs::write(&unfinished, archive).map_err(image::Error::io(&unfinished))?;
    fs::rename(&unfinished, path).map_err(image::Error::io(path))?;
    Ok(path.to_owned())
}

/// Compiles a program for the guests if it is not up to date.
fn program(
    name: &str,
    workspace: &Workspace,
    report: image::Report,
) -> Result<Vec<u8>, ImagesError> {
    let path = workspace
        .target
        .join(GUEST_TARGET)
        .join("release")
        .join(name);
    if !path.exists() {
        report(&format!("compile {name} for the guests ..."));
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    let what = ["--package", name];
    image::compile(&mut cargo, &what, GUEST_TARGET, workspace).map_err(ImagesError::Program)?;
    Ok(fs::read(&path).map_err(image::Error::io(&path))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology;

    #[test]
    fn a_guests_own_part_has_its_script_and_a_peers_its_configuration() {
        let interop = topology::interop("", "vrrp_instance web { }\n");
        let paths = |name| {
            let segment = node_segment(interop.node(name).unwrap(), &Tools::default());
            let (entries, _) = image::cpio::read(&segment).unwrap();
            entries
                .iter()
                .map(|entry| entry.path.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(paths("s3"), ["lab", "lab/node"]);
        assert!(paths("p2").contains(&"etc/keepalived/keepalived.conf".to_owned()));
    }
}
