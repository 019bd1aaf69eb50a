//! Every bound of PID 1, with its reason.

use std::time::Duration;

use director_core::record;

/// Children in the table: the director, the device loader and a console for each terminal that the kernel prints to.
pub const UNITS_MAX: usize = 2 + CONSOLES_MAX;

/// Consoles: the kernel itself knows at most eight (`MAX_CMDLINECONSOLES`).
pub const CONSOLES_MAX: usize = 8;

/// Power buttons (input devices with a power key) that are listened to.
pub const BUTTONS_MAX: usize = 8;

/// Ends of the director after which the node is not sane. Fewer would let one bad burst (a full table, one wrong
/// packet) reboot it; more would leave the addresses of a director that cannot run with this node.
pub const DIRECTOR_FAILURES_MAX: usize = 5;

/// Window in which the ends of the director are counted.
pub const DIRECTOR_FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// Longest silence of a director whose loop has turned before. It gives a sign about once a second, so five in a row
/// are missing; a director that is late by more has lost its virtual addresses to the peer at any usual advert
/// interval.
pub const BEAT_WITHIN: Duration = Duration::from_secs(5);

/// Longest time from the start of the director to its first sign: it reads its configuration and the kernel's tables.
pub const FIRST_BEAT_WITHIN: Duration = Duration::from_secs(20);

/// The hardware watchdog is fed while the last sign is younger than this: more than [`BEAT_WITHIN`], so that a restart
/// is tried before the reset.
pub const FEED_AFTER_BEAT: Duration = Duration::from_secs(10);

/// Time in which a killed process must be gone, unless it hangs in the kernel.
pub const KILLED_GONE_WITHIN: Duration = Duration::from_secs(5);

/// Time for the director to hand its virtual routers over and remove its addresses.
pub const DIRECTOR_STOPS_WITHIN: Duration = Duration::from_secs(10);

/// Time for the other children, which have nothing to hand over.
pub const OTHERS_STOP_WITHIN: Duration = Duration::from_secs(1);

/// A child that ran this long has lasted: its next pause is the shortest again.
pub const LASTED: Duration = Duration::from_secs(10);

/// Shortest and longest pause before a console or the device loader is started again.
pub const PAUSE_MIN: Duration = Duration::from_millis(250);
/// See [`PAUSE_MIN`].
pub const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The loop turns at least this often: it feeds the watchdog and must notice a standstill of the machine.
pub const TURN: Duration = Duration::from_secs(1);

/// A turn that comes later than this means that the whole machine stood still.
pub const STANDSTILL: Duration = Duration::from_secs(3);

/// Longest wait for the drivers of network cards before the director is started without them. A driver whose probe
/// hangs must not keep the node down.
pub const DRIVERS_WITHIN: Duration = Duration::from_secs(15);

/// Time after which the hardware watchdog resets a machine that does not feed it. Drivers may round it.
pub const WATCHDOG_TIMEOUT_S: i32 = 30;

/// How often the hardware watchdog is fed: twice in any timeout that hardware rounds [`WATCHDOG_TIMEOUT_S`] to.
pub const FEED_EVERY: Duration = Duration::from_secs(5);

/// How long a fatal message stays on the console before the machine reboots.
pub const FATAL_PAUSE: Duration = Duration::from_secs(5);

/// Bytes of a configuration record.
pub const RECORD_BYTES_MAX: usize = record::HEADER_LEN + record::MAX_PAYLOAD_LEN;

const _: () = assert!(BEAT_WITHIN.as_secs() < FEED_AFTER_BEAT.as_secs());
const _: () = assert!(FEED_AFTER_BEAT.as_secs() < WATCHDOG_TIMEOUT_S as u64);
const _: () =
    assert!(TURN.as_secs() < STANDSTILL.as_secs() && STANDSTILL.as_secs() < BEAT_WITHIN.as_secs());
const _: () = assert!(2 * FEED_EVERY.as_secs() < WATCHDOG_TIMEOUT_S as u64);
