//! Every bound of the core, with its reason. Reaching one is a clear error, never growth.

use crate::time::Duration;

/// IFNAMSIZ (linux/if.h) less the terminating NUL.
pub const IFNAME_MAX: usize = 15;

/// Names of virtual routers and groups: longer ones do not fit a status line of 80 columns.
pub const NAME_MAX: usize = 63;

/// Virtual routers of one node: 255 VRIDs on each of four interfaces.
pub const ROUTERS_MAX: usize = 1020;

/// Addresses carried in one advert: the count is one byte (RFC 9568 section 5.2.5).
pub const ADVERT_ADDRESSES_MAX: usize = 255;

/// The longest advert we send: what an Ethernet frame holds behind an IPv6 header. Over IPv4 255 addresses fit in any
/// case.
pub const ADVERT_BYTES_MAX: usize = 1500 - 40;

/// Gratuitous ARP frames that one virtual router sends back to back when no pacing is configured. Switches police
/// ARP in bursts: hundreds of frames at once, as 255 addresses make, are partly thrown away.
pub const ANNOUNCE_BATCH: usize = 16;

/// Pause between two such batches: 8000 frames a second, so that the last of 255 addresses is announced after 30 ms.
pub const ANNOUNCE_PAUSE: Duration = Duration::from_millis(2);

/// Pause between two rounds over all addresses when no pacing is configured: what lost the first frame must not lose
/// the others too, and the first round of hundreds of virtual routers goes before the second of any.
pub const ANNOUNCE_ROUND_PAUSE: Duration = Duration::from_millis(100);

/// Least time between two adverts of one router, the smallest interval of VRRPv3: a peer that floods us with
/// adverts of priority 0 can't make us answer each.
pub const ADVERT_GAP_MIN: Duration = Duration::from_millis(10);

/// What a planned handover waits beyond the worst skew of a successor: the repeated priority-0 adverts take up to
/// 100 ms, the rest is for a successor that is scheduled late.
pub const RESIGN_MARGIN: Duration = Duration::from_millis(200);

/// Repetitions of the priority-0 advert in a planned handover: one loss must not cost a whole Active_Down.
pub const RESIGN_REPEATS: u8 = 2;

/// Longest time between them. They come early, for a repetition restarts the successor's skew.
pub const RESIGN_REPEAT_PAUSE: Duration = Duration::from_millis(50);

/// Events that one virtual router keeps until they are read; they are read after each input.
pub const ROUTER_EVENTS_MAX: usize = 8;

/// Keys of one `auth_hmac`: the one in use, the one before and the one to come, and room for a slow roll-out.
pub const HMAC_KEYS_MAX: usize = 16;

/// Senders of signed adverts that one virtual router remembers: as many as it may have unicast peers.
pub const HMAC_SENDERS_MAX: usize = UNICAST_PEERS_MAX;

/// Unicast peers of one virtual router: each gets every advert, and a group of directors has two or three nodes.
pub const UNICAST_PEERS_MAX: usize = 64;

/// Next hops of one route: as many links as a node has towards one network, and some more.
pub const NEXT_HOPS_MAX: usize = 8;

/// Static routes of one node, or rules; more are the work of a routing protocol.
pub const ROUTES_MAX: usize = 4096;

/// Services of one node; ten times the largest configuration reported by keepalived's users.
pub const SERVICES_MAX: usize = 20_000;

/// Dests of all services together.
pub const DESTS_MAX: usize = 200_000;

/// Words of operators, and real servers of one service that drain after a reload; the former are written by hand, and
/// all outlive the director in a small file.
pub const OVERRIDES_MAX: usize = 1024;

/// Configuration text, all files together: ten thousand services with ten real servers each are 10 MB.
pub const CONFIG_BYTES_MAX: usize = 64 << 20;

/// Files of one configuration: keepalived.conf, router.conf, a file for each of several hundred services that the
/// first includes, and the programs that it runs.
pub const CONFIG_FILES_MAX: usize = 1000;

/// Bytes of such a file's name, with its folders.
pub const CONFIG_NAME_MAX: usize = 128;

/// Files that include each other, one within the other: more is a circle that links hide.
pub const INCLUDE_DEPTH_MAX: usize = 16;

/// Variables and repetitions, one within the other. Each level is a few frames of the stack.
pub const EXPANSION_DEPTH_MAX: usize = 32;

/// Bytes that replaced variables and repeated lines may have together, each counted with a few dozen more: a short file
/// whose variables double each other must not keep the director busy for seconds.
pub const EXPANSION_WORK_MAX: usize = CONFIG_BYTES_MAX;

/// Local addresses of one service by FULLNAT: each has 28,000 connections to one port of a real server.
pub const LOCALS_MAX: usize = 64;

/// Diagnostics kept of one parse; a file that is no configuration at all must not fill the memory.
pub const DIAGNOSTICS_MAX: usize = 1000;

/// Machines that are sent the log: each has a queue of its own.
pub const SYSLOG_RECEIVERS_MAX: usize = 4;

/// Events kept for `log`; about 100 KB.
pub const EVENTS_MAX: usize = 512;

/// Virtual routers of a node that advertise at the same moment: to wake for more groups costs more than it spares a
/// successor, who takes over so many at a time.
pub const ROUTERS_PER_PHASE: usize = 64;

/// Active_Down_Timers that are judged between two looks at the sockets: so many takeovers are some milliseconds of work
/// on a slow machine.
pub const TAKEOVERS_PER_SLICE: usize = 16;

/// Kernel operations handed out between two looks at the sockets: some milliseconds of kernel work on a slow machine,
/// so that a large change can't delay an advert.
pub const OPS_PER_SLICE: usize = 64;

/// Services and dests compared between two looks at the sockets: comparing one that is as it should be costs a
/// thousandth of an operation.
pub const COMPARES_PER_SLICE: usize = 4096;

/// Dests planned between two looks at the sockets, as whole pools: planning one costs a hundredth of an operation.
pub const PLANS_PER_SLICE: usize = 1024;

/// Services and dests that a status tells of between two looks at the sockets.
pub const TOLD_PER_SLICE: usize = 256;

/// First retry of a failed kernel operation; doubled up to [`OP_BACKOFF_MAX`].
pub const OP_BACKOFF_MIN: Duration = Duration::from_millis(100);

/// Slowest retry of a failed kernel operation.
pub const OP_BACKOFF_MAX: Duration = Duration::from_secs(10);

/// How often the kernel's tables are read again to find foreign edits.
pub const AUDIT_INTERVAL: Duration = Duration::from_secs(1);

/// A reading counts for twice the time of the one before it at most, so much, and a millisecond for each operation
/// since: what a stall of the director adds is not its cost.
pub const AUDIT_GROWTH: Duration = Duration::from_millis(100);

/// No table is read again before its last operation is so long ago: a takeover of hundreds of virtual routers takes
/// about that.
pub const AUDIT_QUIET: Duration = Duration::from_millis(100);

/// How long checks wait at the start for the node's own links and addresses, and for its table: autonegotiation and a
/// switch's spanning tree in its fast form take seconds, and a check that fails for them would take every server out at
/// boot.
pub const CHECKS_HOLD_MAX: Duration = Duration::from_secs(10);

/// Longest orderly stop: the largest handover wait (a successor's skew of up to an advert interval of 1 s) and the
/// removal of a large table; PID 1 waits longer than this.
pub const STOP_MAX: Duration = Duration::from_secs(8);

/// So long the removal of everything may take at least, at the end of a stop that a stall made late.
pub const STOP_REMOVAL_MIN: Duration = Duration::from_secs(1);

/// Checks of one node: as many as dests. The index of a check is a `u32`.
pub const CHECKS_MAX: usize = DESTS_MAX;

/// Scripts, probes and files of one node, for virtual routers that track them: four for each of 255.
pub const WATCHES_MAX: usize = 1020;

/// How often a tracked file is read: whoever turns a switch sees it act before asking whether it does.
pub const FILE_INTERVAL: Duration = Duration::from_millis(250);

/// Longest reading of a file: one on a disk that does not answer is given up, and read again.
pub const FILE_TIMEOUT: Duration = Duration::from_secs(5);

/// Sockets that all checks together have open; half of the descriptors that the kernel lets a process have
/// (INR_OPEN_MAX, 4096). Further checks wait their turn, the longest waiting first.
pub const PROBES_OPEN_MAX: usize = 2048;

/// Programs of the operator's that run at once; further ones wait their turn, the longest waiting first. Each is a
/// process: more of them would take the processor from the director.
pub const PROGRAMS_MAX: usize = 32;

/// Programs and other files that a configuration names: one for each check of the largest pools that use them.
pub const NEEDS_MAX: usize = 10_000;

/// Arguments of such a program.
pub const PROGRAM_ARGUMENTS_MAX: usize = 64;

/// Shortest interval and timeout of a check: anything faster is load, not a check.
pub const CHECK_STEP_MIN: Duration = Duration::from_millis(10);

/// Checks that are due within so long of each other are begun together: with thousands of them the loop then wakes a
/// hundred times a second and not for each. It is less than the scheduler of a busy machine makes them late.
pub const CHECK_GRID: Duration = Duration::from_millis(10);

/// Attempts begun between two looks at the sockets: some milliseconds of the kernel's work on a slow machine, so that
/// thousands of checks at the start can't delay an advert.
pub const CHECK_STARTS_PER_SLICE: usize = 12;

/// The first run of a check starts within this time: a dead server must not take traffic for a whole warmup. Where more
/// than [`CHECK_FIRST_RATE`] begin at once, they take as long as that makes it.
pub const CHECK_FIRST_WITHIN: Duration = Duration::from_secs(1);

/// First runs in a second: as a burst, ten thousand SYNs are partly lost on their way, and servers that are well would
/// be taken out. It is what a slow machine can do beside its other work.
pub const CHECK_FIRST_RATE: u64 = 1000;

/// A deadline that is judged later than this was slept through by our own loop. It is also what an attempt is given at
/// least when the server is heard after the deadline: enough for a round trip on a local network.
pub const CHECK_GRACE: Duration = Duration::from_millis(100);

/// Pause after an attempt that our own node could not make (no descriptor, no memory, no port).
pub const CHECK_LOCAL_PAUSE: Duration = Duration::from_secs(1);

/// One reply of a mail server, of all its lines: RFC 5321 section 4.5.3.1.5 allows 512 bytes a line.
pub const SMTP_REPLY_MAX: usize = 8 << 10;

/// What a UDP check sends, and what it compares of an answer: a datagram that no router cuts.
pub const UDP_PAYLOAD_MAX: usize = 1232;

/// Text of a file that holds a number: its digits, a sign and blanks.
pub const FILE_NUMBER_MAX: usize = 64;

/// Of what a program that failed has said: a line of a terminal, beside what it is about.
pub const SAID_MAX: usize = 100;

/// Head of an HTTP response: what common servers and proxies allow.
pub const HTTP_HEAD_MAX: usize = 8 << 10;

/// Header lines of an HTTP response.
pub const HTTP_HEADERS_MAX: usize = 128;

/// An expression after its compilation: some thousand characters, or a word repeated a hundred times. For each byte of
/// a body each of its states may be looked at.
pub const REGEX_BYTES_MAX: usize = 64 << 10;

/// Body of an HTTP response. It is not kept; but a page to check is no download.
pub const HTTP_BODY_MAX: u64 = 16 << 20;

/// Firewall marks of the services that lead checks by way of a virtual address to one real server each (`data_path`):
/// more than there are checks. Nobody else may use them while there is such a check.
pub const PATH_MARKS: core::ops::RangeInclusive<u32> = 0x4b00_0000..=0x4bff_ffff;

const _: () = assert!(CHECKS_MAX < u32::MAX as usize);
const _: () = assert!(CONFIG_BYTES_MAX < i32::MAX as usize);
const _: () = assert!(CONFIG_NAME_MAX <= u8::MAX as usize);
const _: () = assert!(OP_BACKOFF_MIN.as_micros() < OP_BACKOFF_MAX.as_micros());
const _: () = assert!(8 + 4 * ADVERT_ADDRESSES_MAX + 8 + 28 <= ADVERT_BYTES_MAX);
