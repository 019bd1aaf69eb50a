//! One machine: a QEMU process, its control socket, its console and, in a guest, its agent.
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use lab_agent::{Reply, Request};
use serde_json::{Value, json};

use crate::argv::{self, Accelerator, Boot, Paths};
use crate::console::{Console, ConsoleError};
use crate::guest::{Agent, GuestError};
use crate::limits::{BOOT_MAX, QEMU_START_MAX};
use crate::process;
use crate::qmp::{Qmp, QmpError};
use crate::topology::{Node, Role};

/// A machine of a lab, on or off.
pub struct Vm {
    node: Node,
    boot: Boot,
    paths: Paths,
    accelerator: Accelerator,
    console: Console,
    power: Mutex<Option<Running>>,
}

/// What there is while the power is on.
struct Running {
    child: Child,
    qmp: Qmp,
    agent: Option<Agent>,
}

/// Why a machine did not do what was asked.
#[derive(Debug)]
pub enum VmError {
    /// QEMU could not be started, or ended at once.
    Start {
        /// Which machine.
        node: String,
        /// What was said.
        why: String,
    },
    /// It is off.
    Off {
        /// Which machine.
        node: String,
    },
    /// It is on and should have gone off by itself.
    StillOn {
        /// Which machine.
        node: String,
        /// The last lines of its console.
        tail: String,
    },
    /// The control socket.
    Qmp {
        /// Which machine.
        node: String,
        /// What went wrong.
        source: QmpError,
    },
    /// The console.
    Console(ConsoleError),
    /// The agent.
    Guest(GuestError),
}

impl Vm {
    /// A machine that is off.
    pub fn new(node: Node, boot: Boot, paths: Paths, accelerator: Accelerator) -> Self {
        let console = Console::new(&node.name, &paths.console(), &node.hostname);
        Self {
            node,
            boot,
            paths,
            accelerator,
            console,
            power: Mutex::default(),
        }
    }

    /// Its part in the topology.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Where its sockets and logs are.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Its serial console.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Whether the power is on.
    pub fn is_on(&self) -> bool {
        self.power()
            .as_mut()
            .is_some_and(|running| matches!(running.child.try_wait(), Ok(None)))
    }

    /// Switches it on and opens its console; it has not booted yet at the return. The moment just before the kernel's
    /// first instruction.
    pub fn power_on(&self) -> Result<Instant, VmError> {
        self.power_on_with("")
    }

    /// The same, with words added to the kernel's command line for this time.
    pub fn power_on_with(&self, words: &str) -> Result<Instant, VmError> {
        let mut power = self.power();
        if let Some(mut running) = power.take() {
            running.kill();
        }
        for stale in self.sockets() {
            // Left by a QEMU that was killed; it would refuse to bind.
            let _ = fs::remove_file(stale);
        }
        let started = Instant::now();
        let mut child = self.spawn(words)?;
        let connected = self.connect(&mut child);
        match connected {
            Ok((qmp, agent)) => *power = Some(Running { child, qmp, agent }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        }
        Ok(started)
    }

    /// Waits until it has booted: until its agent answers, and a director's console shows the prompt.
    pub fn wait_until_up(&self) -> Result<(), VmError> {
        if matches!(self.node.role, Role::Director { .. }) {
            self.console.wait_for_prompt(BOOT_MAX)?;
        }
        self.with_running(|running| match &mut running.agent {
            Some(agent) => Ok(agent.wait_until_there(BOOT_MAX)?),
            None => Ok(()),
        })
    }

    /// Cuts the power: the process is killed, and with it the machine, between two instructions.
    pub fn power_cut(&self) -> Instant {
        let running = self.power().take();
        let at = Instant::now();
        if let Some(mut running) = running {
            running.kill();
        }
        self.console.release();
        at
    }

    /// Stops its processor and its clock, as a host does that hangs; the line to it stays up.
    pub fn freeze(&self) -> Result<(), VmError> {
        self.execute("stop", json!({}))
    }

    /// Ends [`Vm::freeze`].
    pub fn thaw(&self) -> Result<(), VmError> {
        self.execute("cont", json!({}))
    }

    /// Pulls out or plugs in the cable of a port; the machine sees its carrier go or come.
    pub fn set_link(&self, port: usize, up: bool) -> Result<(), VmError> {
        self.execute(
            "set_link",
            json!({ "name": format!("nic{port}"), "up": up }),
        )
    }

    /// Presses the power button; see [`Vm::wait_until_off`].
    pub fn press_power_button(&self) -> Result<(), VmError> {
        self.execute("system_powerdown", json!({}))
    }

    /// Presses the reset button.
    pub fn reset(&self) -> Result<(), VmError> {
        self.execute("system_reset", json!({}))
    }

    /// Runs any command of QEMU's control socket.
    pub fn execute(&self, command: &str, arguments: Value) -> Result<(), VmError> {
        self.with_running(|running| Ok(running.qmp.execute(command, arguments).map(drop)))?
            .map_err(|source| VmError::Qmp {
                node: self.node.name.clone(),
                source,
            })
    }

    /// Waits until it has switched itself off.
    pub fn wait_until_off(&self, timeout: Duration) -> Result<(), VmError> {
        let deadline = Instant::now() + timeout;
        while self.is_on() {
            if Instant::now() >= deadline {
                return Err(VmError::StillOn {
                    node: self.node.name.clone(),
                    tail: self.console.tail(),
                });
            }
            // The end of a process that must stay killable can be had by asking only.
            thread::sleep(Duration::from_millis(20));
        }
        self.power_cut();
        Ok(())
    }

    /// Asks the guest's agent; `patience` is for what the request itself takes.
    pub fn request(&self, request: Request, patience: Duration) -> Result<Reply, VmError> {
        self.with_running(|running| match &mut running.agent {
            Some(agent) => Ok(agent.request(request, patience)?),
            None => Err(GuestError::Refused {
                node: self.node.name.clone(),
                why: "no agent runs here".into(),
            }
            .into()),
        })
    }

    /// Runs a command in a guest's shell; its output, unless it fails.
    pub fn shell(&self, command: &str) -> Result<String, VmError> {
        match self.request(
            Request::Shell {
                command: command.to_owned(),
            },
            Duration::ZERO,
        )? {
            Reply::Shell { status: 0, output } => Ok(output),
            Reply::Shell { status, output } => {
                let (node, command) = (self.node.name.clone(), command.to_owned());
                Err(GuestError::Failed {
                    node,
                    command,
                    status,
                    output,
                }
                .into())
            }
            other => Err(self.unexpected(&other)),
        }
    }

    /// An answer of another kind than the request asks for.
    pub(crate) fn unexpected(&self, reply: &Reply) -> VmError {
        GuestError::Refused {
            node: self.node.name.clone(),
            why: format!("unexpected answer {reply:?}"),
        }
        .into()
    }

    fn with_running<T>(
        &self,
        work: impl FnOnce(&mut Running) -> Result<T, VmError>,
    ) -> Result<T, VmError> {
        match self.power().as_mut() {
            Some(running) => work(running),
            None => Err(VmError::Off {
                node: self.node.name.clone(),
            }),
        }
    }

    fn power(&self) -> MutexGuard<'_, Option<Running>> {
        self.power
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn sockets(&self) -> Vec<std::path::PathBuf> {
        let ports = (0..self.node.ports.len()).map(|index| self.paths.port_machine(index));
        ports
            .chain([self.paths.console(), self.paths.agent(), self.paths.qmp()])
            .collect()
    }

    fn spawn(&self, words: &str) -> Result<Child, VmError> {
        let failed = |source: io::Error| self.start_error(&format!("qemu-system-x86_64: {source}"));
        let log = File::create(self.paths.qemu_log()).map_err(failed)?;
        let mut command = process::bound("qemu-system-x86_64");
        let mut boot = self.boot.clone();
        boot.cmdline = format!("{} {words}", boot.cmdline).trim_end().to_owned();
        command.args(argv::arguments(
            &self.node,
            &boot,
            &self.paths,
            self.accelerator,
        ));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        process::spawn(command).map_err(failed)
    }

    fn connect(&self, child: &mut Child) -> Result<(Qmp, Option<Agent>), VmError> {
        let deadline = Instant::now() + QEMU_START_MAX;
        // QEMU opens its sockets in the order of its command line's kinds, and the monitor last of all.
        let qmp = loop {
            match Qmp::connect(&self.paths.qmp()) {
                Ok(qmp) => break qmp,
                Err(error) => {
                    let ended = !matches!(child.try_wait(), Ok(None));
                    if ended || Instant::now() >= deadline {
                        let said = fs::read_to_string(self.paths.qemu_log()).unwrap_or_default();
                        return Err(self.start_error(&format!("{error}; QEMU said: {said}")));
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            }
        };
        self.console.release();
        // What the machine said in an earlier life is not to be taken for news.
        self.console.skip();
        self.console.open()?;
        let agent = if self.node.has_agent() {
            Some(Agent::connect(&self.node.name, &self.paths.agent())?)
        } else {
            None
        };
        Ok((qmp, agent))
    }

    fn start_error(&self, why: &str) -> VmError {
        VmError::Start {
            node: self.node.name.clone(),
            why: why.to_owned(),
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.power_cut();
    }
}

impl Running {
    fn kill(&mut self) {
        // It may have ended already; then there is only its exit status to fetch.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// KVM where it works: the processor has it, and the device can be opened. (The device alone proves nothing.)
pub fn best_accelerator() -> Accelerator {
    let has_flag = fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| {
        text.lines()
            .filter(|line| line.starts_with("flags"))
            .any(|line| {
                line.split_whitespace()
                    .any(|flag| flag == "vmx" || flag == "svm")
            })
    });
    let opens = || {
        File::options()
            .read(true)
            .write(true)
            .open(Path::new("/dev/kvm"))
            .is_ok()
    };
    if has_flag && opens() {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    }
}

impl From<ConsoleError> for VmError {
    fn from(error: ConsoleError) -> Self {
        Self::Console(error)
    }
}

impl From<GuestError> for VmError {
    fn from(error: GuestError) -> Self {
        Self::Guest(error)
    }
}

impl fmt::Display for VmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { node, why } => write!(f, "{node}: can't be switched on: {why}"),
            Self::Off { node } => write!(f, "{node}: is off"),
            Self::StillOn { node, tail } => write!(
                f,
                "{node}: has not gone off; its console's last lines:\n{tail}"
            ),
            Self::Qmp { node, source } => write!(f, "{node}: {source}"),
            Self::Console(error) => error.fmt(f),
            Self::Guest(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for VmError {}
