//! Every bound of the console, with its reason: what comes down a serial line is nobody's promise.

use std::time::Duration;

/// A command line; the longest useful one names a virtual router (63 bytes).
pub const LINE_MAX: usize = 256;

/// Lines that the arrow keys bring back.
pub const HISTORY_MAX: usize = 50;

/// Columns that are written to. The last of 80 stays free: terminals differ in what they do behind it.
pub const COLUMNS: usize = 79;

/// Parameter bytes of an escape sequence before it is taken for noise; real ones have at most five.
pub const ESCAPE_MAX: usize = 16;

/// Keys typed while a command runs, kept for the next prompt.
pub const TYPED_AHEAD_MAX: usize = 4096;

/// Text that waits for a slow line: 90 s at 115200 baud. What comes while so much waits is dropped, and said so.
pub const TEXT_QUEUED_MAX: usize = 1 << 20;

/// A configuration text given with `config load`: as long as a request may be, less its envelope.
pub const PASTE_MAX: usize = director::frame::REQUEST_MAX - 64;

/// Questions from a program on the line that wait for their answers; `keelson status` asks one at a time.
pub const FORWARDED_MAX: usize = 8;

/// Bytes read from one descriptor before the others get their turn.
pub const READ_CHUNK: usize = 4096;

/// Reads of one descriptor before the others get their turn.
pub const READS_PER_TURN: usize = 16;

/// How long the director may take to answer. It answers in milliseconds; a reload of a large file takes seconds.
pub const ANSWER: Duration = Duration::from_secs(10);

/// A frame on whose line nothing more comes is given up after this time: at 1200 baud, 240 bytes.
pub const FRAME_PAUSE: Duration = Duration::from_secs(2);

/// A program on the line that asks nothing more for this long has gone, and its authorization goes with it.
pub const FORWARD_IDLE: Duration = Duration::from_secs(5);

/// A person who types nothing for this long is logged out.
pub const LOGIN_IDLE: Duration = Duration::from_secs(600);

/// Events that `log follow` shows at once when it begins, or when many came.
pub const LOG_FOLLOWED: u32 = 20;

/// How often `log follow` asks for new events.
pub const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
