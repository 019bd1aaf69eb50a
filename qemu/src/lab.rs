//! A running lab: machines on a switch, and the verbs of a scenario.
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use image::{Report, Workspace};

use crate::argv::Paths;
use crate::console::ConsoleError;
use crate::images::{Images, ImagesError};
use crate::roles::{Client, Director, Frr, Peer, Server, Workbench};
use crate::setup::{self, SetupError};
use crate::switch::{PortPlan, Switch};
use crate::topology::{Node, Role, Topology};
use crate::vm::{self, Vm, VmError};

/// The switch's generators for lost frames start from here, so that a lab loses the same frames again.
const SEED: u64 = 0x6b65_656c;

/// A lab. Everything ends when it is dropped, and also when this process dies without dropping it.
pub struct Lab {
    // In the order in which they must end.
    vms: Vec<Vm>,
    switch: Switch,
    images: Images,
    logs: PathBuf,
    _sockets: SocketFolder,
    _lock: LabLock,
}

/// Why a lab, or a part of it, did not do what was asked.
#[derive(Debug)]
pub enum LabError {
    /// Something that this machine must have is missing.
    Setup(SetupError),
    /// What the machines boot can't be made.
    Image(ImagesError),
    /// A machine.
    Vm(VmError),
    /// A file, folder or socket of the lab.
    Io {
        /// Which one.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The topology has no node of that name and role.
    NoSuchNode(String),
    /// What was waited for did not come about.
    TimedOut {
        /// What.
        what: String,
        /// The last status that was seen instead, or how it went.
        last: String,
    },
}

impl Lab {
    /// Makes the images, starts the switch, switches every machine on and waits until all are up.
    pub fn start(topology: &Topology) -> Result<Self, LabError> {
        let lab = Self::prepare(topology, image::to_stderr)?;
        lab.power_on_all()?;
        lab.wait_until_up()?;
        Ok(lab)
    }

    /// Everything but switching the machines on. One lab at a time runs on a machine: others wait here.
    pub fn prepare(topology: &Topology, report: Report) -> Result<Self, LabError> {
        let workspace = Workspace::new();
        // Before the set-up: two tests that install packages at once would find apt locked.
        let lock = LabLock::take(&workspace.target, report)?;
        setup::ensure(report)?;
        let images = Images::made_for(topology, &workspace, report)?;
        let mut sockets = SocketFolder::create()?;
        let logs = workspace.target.join("lab").join(&topology.name);
        image::folder::empty(&logs).map_err(ImagesError::from)?;
        sockets.announce(&workspace.target.join("lab/current"))?;
        let paths = |node: &Node| Paths::new(&sockets.path, &logs, &node.name);
        let captures = topology
            .segments()
            .into_iter()
            .map(|name| (name.to_owned(), logs.join(format!("{name}.pcap"))));
        let plans = topology
            .nodes
            .iter()
            .flat_map(|node| port_plans(node, &paths(node)))
            .collect();
        let captures: BTreeMap<String, PathBuf> = captures.collect();
        let switch = Switch::start(plans, &captures, SEED).map_err(at(&sockets.path))?;
        let accelerator = vm::best_accelerator();
        let mut vms = Vec::new();
        for node in &topology.nodes {
            let boot = images.boot(node, &paths(node))?;
            vms.push(Vm::new(node.clone(), boot, paths(node), accelerator));
        }
        Ok(Self {
            vms,
            switch,
            images,
            logs,
            _sockets: sockets,
            _lock: lock,
        })
    }

    /// Switches every machine on that is off.
    pub fn power_on_all(&self) -> Result<(), LabError> {
        for vm in self.vms.iter().filter(|vm| !vm.is_on()) {
            vm.power_on()?;
        }
        Ok(())
    }

    /// Waits until every machine has booted.
    pub fn wait_until_up(&self) -> Result<(), LabError> {
        for vm in &self.vms {
            vm.wait_until_up()?;
        }
        Ok(())
    }

    /// The machine of that name.
    pub fn vm(&self, name: &str) -> Result<&Vm, LabError> {
        self.vms
            .iter()
            .find(|vm| vm.node().name == name)
            .ok_or_else(|| LabError::NoSuchNode(name.to_owned()))
    }

    /// All machines, in the order of the topology.
    pub fn vms(&self) -> &[Vm] {
        &self.vms
    }

    /// The director of that name.
    pub fn director(&self, name: &str) -> Result<Director<'_>, LabError> {
        self.with_role(name, |role| matches!(role, Role::Director { .. }))
            .map(Director)
    }

    /// The real server of that name.
    pub fn server(&self, name: &str) -> Result<Server<'_>, LabError> {
        self.with_role(name, |role| matches!(role, Role::Server { .. }))
            .map(Server)
    }

    /// The peer of that name.
    pub fn peer(&self, name: &str) -> Result<Peer<'_>, LabError> {
        self.with_role(name, |role| matches!(role, Role::Peer { .. }))
            .map(Peer)
    }

    /// The peer of that name, if it runs FRR.
    pub fn frr(&self, name: &str) -> Result<Frr<'_>, LabError> {
        self.with_role(name, |role| matches!(role, Role::Frr { .. }))
            .map(Frr)
    }

    /// The workbench of that name.
    pub fn workbench(&self, name: &str) -> Result<Workbench<'_>, LabError> {
        self.with_role(name, |role| matches!(role, Role::Workbench { .. }))
            .map(Workbench)
    }

    /// The client.
    pub fn client(&self) -> Result<Client<'_>, LabError> {
        self.with_role("client", |role| matches!(role, Role::Client { .. }))
            .map(Client)
    }

    /// The switch that all machines are plugged into.
    pub fn switch(&self) -> &Switch {
        &self.switch
    }

    /// What was built for this lab.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// Where consoles are logged and segments captured: `NODE.console.log`, `SEGMENT.pcap`.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    fn with_role(&self, name: &str, fits: impl Fn(&Role) -> bool) -> Result<&Vm, LabError> {
        self.vm(name)
            .ok()
            .filter(|vm| fits(&vm.node().role))
            .ok_or_else(|| LabError::NoSuchNode(name.to_owned()))
    }
}

fn port_plans(node: &Node, paths: &Paths) -> Vec<PortPlan> {
    let plan = |(index, port): (usize, &crate::topology::Port)| PortPlan {
        node: node.name.clone(),
        segment: port.segment.clone(),
        switch_path: paths.port_switch(index),
        machine_path: paths.port_machine(index),
    };
    node.ports.iter().enumerate().map(plan).collect()
}

/// Held while a lab runs: two of them on one machine would spoil each other's timing.
struct LabLock(#[expect(dead_code, reason = "closing the file ends the lock")] File);

impl LabLock {
    fn take(target: &Path, report: Report) -> Result<Self, LabError> {
        fs::create_dir_all(target).map_err(at(target))?;
        let path = target.join("lab.lock");
        let file = File::create(&path).map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                report("another lab is running; waiting for its end ...");
                file.lock().map_err(at(&path))?;
            }
            Err(TryLockError::Error(source)) => return Err(LabError::Io { path, source }),
        }
        Ok(Self(file))
    }
}

/// The folder of the sockets, in the temporary folder since socket paths must be short.
struct SocketFolder {
    path: PathBuf,
    announced: Option<PathBuf>,
}

const FOLDER_PREFIX: &str = "keelson-lab-";
/// Leaves room in the 107 bytes of a socket's path (sun_path in unix(7)) for the lab's folder and the longest name.
const TEMP_FOLDER_CHARS_MAX: usize = 60;

impl SocketFolder {
    fn create() -> Result<Self, LabError> {
        let mut parent = std::env::temp_dir();
        if parent.as_os_str().len() > TEMP_FOLDER_CHARS_MAX {
            parent = PathBuf::from("/tmp");
        }
        remove_stale_folders(&parent);
        let path = parent.join(format!("{FOLDER_PREFIX}{}", std::process::id()));
        image::folder::empty(&path).map_err(ImagesError::from)?;
        Ok(Self {
            path,
            announced: None,
        })
    }

    /// Writes down where the sockets are, for `cargo lab attach`.
    fn announce(&mut self, file: &Path) -> Result<(), LabError> {
        self.announced = Some(file.to_owned());
        fs::write(file, self.path.to_string_lossy().as_bytes()).map_err(at(file))
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        // A folder that stays is removed by the next lab.
        let _ = fs::remove_dir_all(&self.path);
        if let Some(file) = &self.announced {
            let _ = fs::remove_file(file);
        }
    }
}

/// Removes the folders of labs whose process is gone. What can't be removed belongs to somebody else.
fn remove_stale_folders(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(FOLDER_PREFIX))
            .and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> LabError + '_ {
    |source| LabError::Io {
        path: path.to_owned(),
        source,
    }
}

impl From<SetupError> for LabError {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

impl From<ImagesError> for LabError {
    fn from(error: ImagesError) -> Self {
        Self::Image(error)
    }
}

impl From<VmError> for LabError {
    fn from(error: VmError) -> Self {
        Self::Vm(error)
    }
}

impl From<ConsoleError> for LabError {
    fn from(error: ConsoleError) -> Self {
        Self::Vm(error.into())
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) => error.fmt(f),
            Self::Image(error) => error.fmt(f),
            Self::Vm(error) => error.fmt(f),
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::NoSuchNode(name) => write!(f, "{name}: the lab has no such node in that role"),
            Self::TimedOut { what, last } => write!(
                f,
                "waited in vain for {what}; the last that was seen: {last}"
            ),
        }
    }
}

impl std::error::Error for LabError {}
