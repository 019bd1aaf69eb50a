//! Every bound of the shell, with its reason.

use std::time::Duration;

/// Adverts read of one interface in one turn. A flood of them must not keep the timers from being judged; a thousand
/// virtual routers that advertise at once are read in four turns.
pub const ADVERTS_PER_TURN: usize = 256;

/// While adverts of many virtual routers come in a row, the loop waits so long for more of them: to wake for each costs
/// more than to read it. A tenth of the shortest interval.
pub const ADVERTS_GATHER: Duration = Duration::from_millis(1);

/// Reads of one check or client in one turn; the rest is read in the next turn.
pub const READS_PER_TURN: usize = 4;

/// Bytes of one read. Adverts, and answers to checks, are shorter than a page most of the time.
pub const READ_BYTES: usize = 16 << 10;

/// A turn that has lasted this long leaves the rest of its work to the next one, so that an advert is never late by
/// much more.
pub const TURN_MAX: Duration = Duration::from_millis(10);

/// A loop that has worked for so long without a rest, its sleeps counted [`WORK_PER_REST`] times, is no longer
/// real-time until it has rested. Before such a loop the kernel's own threads never come to run: not those that take
/// packets off the network when there are many (ksoftirqd), clients' among them. And in the last 50 ms of each second
/// (sched_rt_runtime_us) it would not run itself, whatever arrives.
pub const URGENT_MAX: Duration = Duration::from_millis(8);

/// So much work for each rest: the kernel allows 19.
pub const WORK_PER_REST: u32 = 16;

/// While it is not real-time: three quarters of a processor that one other thread wants too (sched(7)).
pub const NICE: i32 = -5;

/// Sources that are served between two looks at the clock, which is a system call on machines without a steady counter
/// in the processor. Serving one takes some ten microseconds. A late turn serves so many all the same: more than it has
/// begun checks, or those would be heard ever later.
pub const SERVED_PER_LOOK: usize = 24;

const _: () = assert!(SERVED_PER_LOOK > director_core::limits::CHECK_STARTS_PER_SLICE);

/// What the core wants done between two such looks: sending an advert takes as long.
pub const OUTPUTS_PER_LOOK: usize = 16;

/// Events that go to the log between two such looks: each is a line for the kernel, and a change of all virtual routers
/// brings one for each.
pub const EVENTS_PER_LOOK: usize = 8;

/// What a reading of the IPVS table may take of one turn.
pub const TABLE_SLICE_MAX: Duration = Duration::from_millis(4);

/// The table is read when no operation has changed it for so long: twice a turn full of operations.
pub const TABLE_QUIET: Duration = Duration::from_millis(20);

/// Readiness events of one poll; more are delivered by the next one.
pub const EVENTS_PER_POLL: usize = 256;

/// A batch for nftables: twenty thousand services by FULLNAT take 36 bytes each. The kernel takes a message only while
/// it fits the socket's send buffer.
pub const FILTER_BATCH_BYTES: usize = 2 << 20;

/// Pause before a kernel table that could not be read is read again, and before a missing family is looked for.
pub const KERNEL_RETRY: Duration = Duration::from_secs(1);

/// Programs at the control socket: the consoles, and some operators' commands.
pub const CLIENTS_MAX: usize = 16;

/// A client that takes nothing of a reply for so long is dropped: a serial line of 9600 baud moves a byte in a
/// millisecond, and the socket's buffer is read by the console ahead of the line.
pub const CLIENT_STALL_MAX: Duration = Duration::from_secs(30);

/// How long no secret is looked at after a wrong one: 28,800 guesses a day.
pub const SECRET_PAUSE: Duration = Duration::from_secs(3);

/// Counters older than this are read anew before a status is given.
pub const COUNTERS_AGE_MAX: Duration = Duration::from_millis(200);

/// Services up to which that is done: some milliseconds of reading.
pub const COUNTERS_SERVICES_MAX: usize = 32;

/// Connections for the metrics: a pair of Prometheus servers, and a person.
pub const SCRAPES_MAX: usize = 4;

/// Longest scrape, from the connection to the last byte: Prometheus gives up after 10 s unless it is told otherwise.
pub const SCRAPE_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes of a request for the metrics; Prometheus sends about 200.
pub const SCRAPE_REQUEST_MAX: usize = 4 << 10;

/// Header lines of such a request.
pub const SCRAPE_HEADERS_MAX: usize = 32;

/// Pieces of an answer that are made in one turn for one connection: less than a millisecond of work.
pub const SCRAPE_PIECES_PER_TURN: usize = 2;

/// Lines that wait for a machine that is sent the log: about 200 KB, an hour of an unquiet pair.
pub const SYSLOG_LINES_MAX: usize = 1000;

/// First pause before a machine is tried again that does not take the log; doubled up to [`SYSLOG_BACKOFF_MAX`].
pub const SYSLOG_BACKOFF_MIN: Duration = Duration::from_secs(1);

/// Slowest such retry.
pub const SYSLOG_BACKOFF_MAX: Duration = Duration::from_secs(60);

/// A connection on which nothing is acknowledged for so long is given up.
pub const SYSLOG_STALL_MAX: Duration = Duration::from_secs(30);

/// Lines of the log that are written in one [`LOG_PERIOD`]: all that a person could read of it later, and a fraction of
/// what the kernel's ring holds.
pub const LOG_BURST: u32 = 500;

/// See [`LOG_BURST`].
pub const LOG_PERIOD: Duration = Duration::from_secs(10);

/// Recoveries of connections that wait for one that is under way. There is one for each takeover, and a later one finds
/// little to do.
pub const RECOVERIES_MAX: usize = 4;

/// Connections of one exchange with connection tracking: their answers fit a socket's smallest buffer.
pub const RECOVERY_BATCH: usize = 64;

/// Lines of the kernel's table of connections that are read: a million connections take 1.3 GB of the kernel's memory.
pub const RECOVERY_LINES_MAX: usize = 1 << 20;

/// Connections that are tried again when the kernel refused them: a megabyte.
pub const RECOVERY_REFUSED_MAX: usize = 8192;

/// How often that is done, and after what pause: a lack of memory may pass.
pub const RECOVERY_RETRIES: usize = 3;

/// See [`RECOVERY_RETRIES`].
pub const RECOVERY_PAUSE: Duration = Duration::from_secs(1);

/// Between two beats for PID 1.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// File descriptors: the checks' sockets, and enough for everything else.
pub const FILES_MAX: u64 = director_core::limits::PROBES_OPEN_MAX as u64 + 1024;

/// Real-time priority (1..=99): above ordinary programs, below the kernel's own interrupt threads at 50.
pub const PRIORITY: i32 = 40;

/// Programs that run, those that were told to end included; the core lets fewer run, so that one that takes its time
/// to end keeps nobody out.
pub const PROGRAMS_MAX: usize = 2 * director_core::limits::PROGRAMS_MAX;

/// Reads of what a program has written in one go, of 4 KiB each: all that a pipe holds.
pub const OUTPUT_READS: usize = 16;

/// What is kept of what a program has written: enough for its first line.
pub const OUTPUT_MAX: usize = 1024;

/// How long a program that was told to end (SIGTERM) may take.
pub const PROGRAM_KILL_AFTER: Duration = Duration::from_secs(2);

/// Changes whose programs wait for those before them: each of 255 virtual routers goes to and fro twice.
pub const NOTICES_MAX: usize = 1020;

/// Programs for notifications that run at once.
pub const NOTICES_AT_ONCE: usize = 16;

/// Longest time of a program for a notification: it may write a mail, and not wait for ever.
pub const NOTICE_WITHIN: Duration = Duration::from_secs(60);

/// The same at the director's end, for all that is still to be told. PID 1 waits ten seconds for all of it.
pub const NOTICES_STOP_WITHIN: Duration = Duration::from_secs(3);

/// What the thread that starts programs and reads files has to do at once: all programs, and files with them.
pub const ORDERS_MAX: usize = PROGRAMS_MAX + 64;

/// Orders for the thread that holds the TLS sessions, each of at most one read: what it is behind, in the worst case.
pub const TLS_ORDERS_MAX: usize = 512;

/// TLS sessions: one for each check that runs.
pub const TLS_SESSIONS_MAX: usize = director_core::limits::PROBES_OPEN_MAX;

/// TLS configurations: one for each set of certificate files; beyond that, files are read again.
pub const TLS_CONFIGS_MAX: usize = 64;
