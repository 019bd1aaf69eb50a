//! Bounds of the lab, each with its reason.
use std::time::Duration;

/// Largest Ethernet frame that is carried: QEMU hands over segmented frames only, 1514 bytes and a VLAN tag, but a
/// guest may set a larger MTU.
pub const FRAME_BYTES_MAX: usize = 16 * 1024;
/// Frames that wait for a slow machine; at 1500 bytes each this is 6 MiB a port. More are dropped, as a switch does.
pub const PORT_QUEUE_MAX: usize = 4096;
/// Frames that wait for their delay, over all ports.
pub const DELAYED_FRAMES_MAX: usize = 65_536;
/// Addresses that the switch knows; a lab has a dozen machines.
pub const LEARNED_ADDRESSES_MAX: usize = 4096;
/// Frames that wait in one tap for its owner.
pub const TAP_QUEUE_MAX: usize = 65_536;
/// Frames read from one port before the others have their turn.
pub const FRAMES_PER_TURN_MAX: usize = 64;
/// Bytes of one capture file, after which the capture ends: a lab left alone over night must not fill the disk.
pub const CAPTURE_BYTES_MAX: u64 = 1 << 30;
/// A datagram socket has no event for "the receiver has room again", so a full one is tried again this often.
pub const RETRY_PERIOD: Duration = Duration::from_millis(1);

/// Console text that is kept for `expect`; the log file has all of it.
pub const CONSOLE_BYTES_MAX: usize = 1 << 20;
/// Lines of console text shown in an error.
pub const CONSOLE_TAIL_LINES: usize = 25;
/// One answer of QEMU or of a guest's agent.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

/// QEMU has opened its sockets by then, even on a busy machine.
pub const QEMU_START_MAX: Duration = Duration::from_secs(30);
/// QEMU answers its control socket by then.
pub const QMP_ANSWER_MAX: Duration = Duration::from_secs(20);
/// A machine has come up by then: about 5 s of CPU under emulation, of which two cores may be shared by seven.
pub const BOOT_MAX: Duration = Duration::from_secs(180);
/// A guest's agent answers a plain question by then.
pub const AGENT_ANSWER_MAX: Duration = Duration::from_secs(60);
