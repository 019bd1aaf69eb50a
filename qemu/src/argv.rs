//! A machine as QEMU's command line. Pure: the same node gives the same words.
use std::path::{Path, PathBuf};

use crate::topology::{Node, Role};

/// How the machine's processor is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The host's own, through /dev/kvm.
    Kvm,
    /// Emulated.
    Tcg,
}

/// What a machine boots.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The kernel as an ELF file, which QEMU enters by PVH: no firmware, no decompression.
    pub vmlinux: PathBuf,
    /// The first file system, the node's own part appended.
    pub initrd: PathBuf,
    /// The kernel's command line.
    pub cmdline: String,
}

/// Where a machine's sockets and logs are. Socket paths have at most 107 bytes (sun_path in unix(7)).
#[derive(Clone, Debug)]
pub struct Paths {
    sockets: PathBuf,
    logs: PathBuf,
    node: String,
}

impl Paths {
    /// The paths of a node: sockets in a short-named folder, logs where they stay.
    pub fn new(sockets: &Path, logs: &Path, node: &str) -> Self {
        Self {
            sockets: sockets.to_owned(),
            logs: logs.to_owned(),
            node: node.to_owned(),
        }
    }

    /// The serial console's socket; whoever connects first has the line.
    pub fn console(&self) -> PathBuf {
        self.socket("console")
    }

    /// The second serial port's socket, for the guest's agent.
    pub fn agent(&self) -> PathBuf {
        self.socket("agent")
    }

    /// QEMU's control socket.
    pub fn qmp(&self) -> PathBuf {
        self.socket("qmp")
    }

    /// Where QEMU receives the frames of a port.
    pub fn port_machine(&self, index: usize) -> PathBuf {
        self.socket(&format!("{index}.vm"))
    }

    /// Where QEMU sends the frames of a port.
    pub fn port_switch(&self, index: usize) -> PathBuf {
        self.socket(&format!("{index}.sw"))
    }

    /// The node's own initrd.
    pub fn initrd(&self) -> PathBuf {
        self.socket("initrd")
    }

    /// All that the console ever printed. QEMU writes a byte twice now and then when nobody reads the line fast enough;
    /// the line itself has it once.
    pub fn console_log(&self) -> PathBuf {
        self.logs.join(format!("{}.console.log", self.node))
    }

    /// What QEMU itself complains of.
    pub fn qemu_log(&self) -> PathBuf {
        self.logs.join(format!("{}.qemu.log", self.node))
    }

    fn socket(&self, what: &str) -> PathBuf {
        self.sockets.join(format!("{}.{what}", self.node))
    }
}

/// The words behind `qemu-system-x86_64` for a node.
pub fn arguments(node: &Node, boot: &Boot, paths: &Paths, accelerator: Accelerator) -> Vec<String> {
    let mut words = Words::default();
    words.add("-name", &node.name);
    words.add("-machine", "q35");
    match accelerator {
        Accelerator::Kvm => words.add("-accel", "kvm").add("-cpu", "host"),
        // One thread: several only help several processors, and this machine has one.
        Accelerator::Tcg => words.add("-accel", "tcg,thread=single").add("-cpu", "max"),
    };
    words
        .add("-smp", "1")
        .add("-m", &node.memory_mib.to_string());
    words
        .flag("-nodefaults")
        .flag("-no-user-config")
        .add("-display", "none");
    words
        .add("-kernel", &text(&boot.vmlinux))
        .add("-initrd", &text(&boot.initrd))
        .add("-append", &cmdline(boot, accelerator));
    words.add(
        "-qmp",
        &format!("unix:{},server=on,wait=off", text(&paths.qmp())),
    );
    let (console, log) = (text(&paths.console()), text(&paths.console_log()));
    let chardev =
        format!("socket,id=console,path={console},server=on,wait=off,logfile={log},logappend=on");
    words
        .add("-chardev", &chardev)
        .add("-serial", "chardev:console");
    words.add("-device", "virtio-rng-pci");
    if matches!(node.role, Role::Director { .. }) {
        // A hardware watchdog as real machines have it; it resets the machine.
        words
            .add("-device", "i6300esb")
            .add("-action", "watchdog=reset");
    } else {
        words.flag("-no-reboot");
    }
    if node.has_agent() {
        let agent = text(&paths.agent());
        words.add(
            "-chardev",
            &format!("socket,id=agent,path={agent},server=on,wait=off"),
        );
        words.add("-serial", "chardev:agent");
    }
    for (index, port) in node.ports.iter().enumerate() {
        let (machine, switch) = (
            text(&paths.port_machine(index)),
            text(&paths.port_switch(index)),
        );
        let ends =
            format!("local.type=unix,local.path={machine},remote.type=unix,remote.path={switch}");
        words.add("-netdev", &format!("dgram,id=net{index},{ends}"));
        // No boot ROM: nothing boots from the network.
        let device = format!(
            "virtio-net-pci,id=nic{index},netdev=net{index},mac={},romfile=",
            port.mac
        );
        words.add("-device", &device);
    }
    words.0
}

/// The kernel's command line. At boot the kernel counts timer interrupts for a moment and panics when there are too few
/// ("IO-APIC + timer doesn't work"), which on an emulated machine says only that the host was busy.
fn cmdline(boot: &Boot, accelerator: Accelerator) -> String {
    match accelerator {
        Accelerator::Kvm => boot.cmdline.clone(),
        Accelerator::Tcg => format!("{} no_timer_check", boot.cmdline),
    }
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn add(&mut self, option: &str, value: &str) -> &mut Self {
        self.0.extend([option.to_owned(), value.to_owned()]);
        self
    }

    fn flag(&mut self, option: &str) -> &mut Self {
        self.0.push(option.to_owned());
        self
    }
}

/// In option values a comma is written twice (qemu(1)).
fn text(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology;

    fn words_of(name: &str) -> String {
        let boot = Boot {
            vmlinux: "/v".into(),
            initrd: "/i".into(),
            cmdline: "console=ttyS0 quiet".into(),
        };
        let paths = Paths::new(Path::new("/tmp/lab"), Path::new("/logs"), name);
        let pair = topology::pair();
        arguments(pair.node(name).unwrap(), &boot, &paths, Accelerator::Tcg).join(" ")
    }

    #[test]
    fn a_port_is_a_pair_of_sockets_and_a_device_with_its_address() {
        let words = words_of("d2");
        let netdev = "-netdev dgram,id=net0,local.type=unix,local.path=/tmp/lab/d2.0.vm,\
                      remote.type=unix,remote.path=/tmp/lab/d2.0.sw";
        assert!(words.contains(netdev), "{words}");
        assert!(
            words.contains("-device virtio-net-pci,id=nic0,netdev=net0,mac=52:54:00:4d:00:0c"),
            "{words}"
        );
    }

    #[test]
    fn a_director_has_a_watchdog_and_a_guest_has_an_agent() {
        assert!(words_of("d1").contains("i6300esb") && !words_of("d1").contains("agent"));
        assert!(words_of("s3").contains("chardev:agent") && !words_of("s3").contains("i6300esb"));
    }
}
