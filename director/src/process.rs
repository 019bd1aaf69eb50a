//! The process itself: its priority, memory and limits, its figures, and its beat for PID 1.

use core::fmt;
use core::ops::Range;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use director_core::status::ProcessStatus;
use director_core::time::{Duration, Instant};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::unistd::{getpid, gettid};

use crate::limits;

/// Environment variable that names, by its number, the pipe into which the loop writes a byte about every second.
pub const HEARTBEAT: &str = "KEELSON_HEARTBEAT_FD";

/// Takes the file descriptors that the process may need, and its memory in small pages alone; before its first thread
/// starts. What is not permitted is logged and left out.
pub(crate) fn begin() {
    // A huge page is 2 MB, taken for the first byte that is used of it, and one may be found for any thread's stack.
    let small = prctl::set_thp_disable(true);
    note("small pages alone", small.map_err(Into::into));
    note("more file descriptors", raise_files());
    note("room for file descriptors", grow_files());
}

/// Makes the process ready for its work; what is not permitted is logged once and left out.
pub(crate) fn prepare() {
    note("locked memory", lock_memory());
    note("priority", take_priority());
}

fn note(what: &str, result: io::Result<()>) {
    if let Err(error) = result {
        log::info!("going on without {what}: {error}");
    }
}

fn raise_files() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < limits::FILES_MAX {
        setrlimit(
            Resource::RLIMIT_NOFILE,
            limits::FILES_MAX,
            hard.max(limits::FILES_MAX),
        )?;
    }
    Ok(())
}

/// Lets the kernel make room for all of them at once. Where threads share the table it waits each time it doubles it
/// until no processor looks at the old one (`expand_fdtable` in fs/file.c), which took 40 to 200 ms of a turn.
fn grow_files() -> io::Result<()> {
    let highest = i32::try_from(limits::FILES_MAX - 1).unwrap_or(i32::MAX);
    // What stands there is closed at once; the table does not shrink.
    let made = fcntl(io::stderr(), FcntlArg::F_DUPFD_CLOEXEC(highest))?;
    // SAFETY: the kernel has just made it, for nobody else.
    drop(unsafe { OwnedFd::from_raw_fd(made) });
    Ok(())
}

/// Gives back what only the start or a reading of the configuration needed: pages of this thread's stack, and of the
/// program itself. Those of the program that the loop uses come again, from the file's pages in memory.
pub(crate) fn shrink() {
    note("a smaller stack", shrink_stack());
    note("less of the program", release_program());
}

/// A parser of command lines makes much of the stack, the loop a tenth of that.
#[inline(never)] // its own frame is the lowest
fn shrink_stack() -> io::Result<()> {
    const PAGE: usize = 4096;
    const USED: usize = 2 * PAGE; // by this call and what it calls
    const BELOW: usize = 256 * 1024; // less than the gap that the kernel keeps free below the first stack
    if gettid() != getpid() {
        return Ok(());
    }
    let here = 0u8;
    let top = (&raw const here).addr().saturating_sub(USED) / PAGE * PAGE;
    // SAFETY: below the frames in use there is nothing of ours; what is not mapped stays so.
    match unsafe { forget(top.saturating_sub(BELOW)..top) } {
        Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => Ok(()), // it had not grown that far
        done => done,
    }
}

fn release_program() -> io::Result<()> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let range = |line: &str| {
        let (from, to) = line.split_once(' ')?.0.split_once('-')?;
        let bound = |digits| usize::from_str_radix(digits, 16).ok();
        Some(bound(from)?..bound(to)?)
    };
    let (code, constant) = (release_program as *const (), HEARTBEAT.as_ptr());
    for part in [code.addr(), constant.addr()] {
        let found = maps
            .lines()
            .filter_map(range)
            .find(|range| range.contains(&part));
        if let Some(part) = found {
            // SAFETY: nobody writes to code and constants, nor does the linker: the file says what is there.
            unsafe { forget(part)? };
        }
    }
    Ok(())
}

/// Lets the kernel forget pages, also of locked memory, which is locked again when it is used again.
///
/// # Safety
/// Nothing that they hold may be missed, but what a file says.
unsafe fn forget(pages: Range<usize>) -> io::Result<()> {
    const MADV_DONTNEED_LOCKED: i32 = 24; // asm-generic/mman-common.h, Linux 5.18 and later
    let from = ptr::without_provenance_mut(pages.start);
    // SAFETY: the caller's promise.
    let done = unsafe { libc::madvise(from, pages.len(), MADV_DONTNEED_LOCKED) };
    if done == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // An older kernel does not know how: the pages stay.
        error if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        error => Err(error),
    }
}

/// Keeps every page that is once used in memory, so that an advert never waits for a disk. With MCL_ONFAULT the
/// pages that are never used stay out: the resident memory is what it was.
fn lock_memory() -> io::Result<()> {
    // MCL_ONFAULT of asm-generic/mman.h, Linux 4.4 and later.
    const ON_FAULT: MlockAllFlags = MlockAllFlags::from_bits_retain(4);
    // Without this, a limit would later make an allocation fail instead of this call.
    setrlimit(
        Resource::RLIMIT_MEMLOCK,
        libc::RLIM_INFINITY,
        libc::RLIM_INFINITY,
    )?;
    Ok(mlockall(
        MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | ON_FAULT,
    )?)
}

fn take_priority() -> io::Result<()> {
    // SAFETY: it takes numbers alone; 0 is this thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, limits::NICE) } < 0 {
        return Err(io::Error::last_os_error());
    }
    schedule(true)
}

/// Makes this thread a real-time one, or an ordinary one.
fn schedule(urgent: bool) -> io::Result<()> {
    let mut parameter = zeroed();
    let policy = if urgent {
        parameter.sched_priority = limits::PRIORITY;
        libc::SCHED_FIFO
    } else {
        libc::SCHED_OTHER
    };
    // By its number, because musl's own sched_setscheduler does nothing but fail.
    // SAFETY: the kernel reads one sched_param, which outlives the call; 0 is this thread.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            policy,
            &raw const parameter,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Makes this thread an ordinary one: it must never go before the loop, and what it starts inherits that.
pub(crate) fn give_up_priority() {
    if let Err(error) = schedule(false) {
        log::warn!("priority of a thread: {error}");
    }
}

/// musl's structure has more fields than glibc's; all of them are numbers.
fn zeroed() -> libc::sched_param {
    // SAFETY: a sched_param is made of integers, for which zero is a value.
    unsafe { core::mem::zeroed() }
}

/// Sets the host name, when one is configured and it is another.
pub(crate) fn name_node(name: Option<&str>) {
    if let Some(name) = name.filter(|name| node_name() != *name)
        && let Err(error) = nix::unistd::sethostname(name)
    {
        log::warn!("host name {name}: {error}");
    }
}

/// The host name.
pub(crate) fn node_name() -> String {
    nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// What a turn of the loop does, beside the timers that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Adverts are heard.
    Adverts,
    /// A table of the kernel's is read.
    Reading,
    /// A reading is compared with what was known.
    Comparing,
    /// Links or addresses have changed.
    Network,
    /// Addresses and routes are added and removed.
    Addresses,
    /// The IPVS table is changed.
    Table,
    /// The packet filter is changed.
    Filter,
    /// A configuration is taken up.
    Configuration,
    /// Checks begin and end.
    Checks,
    /// Somebody is answered.
    Answers,
}

impl Work {
    const ALL: [Self; 10] = [
        Self::Adverts,
        Self::Reading,
        Self::Comparing,
        Self::Network,
        Self::Addresses,
        Self::Table,
        Self::Filter,
        Self::Configuration,
        Self::Checks,
        Self::Answers,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Adverts => "adverts",
            Self::Reading => "reading",
            Self::Comparing => "comparing",
            Self::Network => "network",
            Self::Addresses => "addresses",
            Self::Table => "table",
            Self::Filter => "filter",
            Self::Configuration => "configuration",
            Self::Checks => "checks",
            Self::Answers => "answers",
        }
    }
}

/// The kinds of work that one turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Done(u16);

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timers")?;
        let mut done = Work::ALL
            .into_iter()
            .filter(|work| self.0 & 1 << *work as u16 != 0);
        done.try_for_each(|work| write!(f, ", {}", work.name()))
    }
}

/// The figures of the process, and its beat.
#[derive(Debug)]
pub(crate) struct Process {
    turn_max: Duration,
    /// What that turn did.
    turn_max_did: Done,
    /// What this turn does.
    does: Done,
    turns: u64,
    /// How late a virtual router's timer was judged, at most.
    late_max: Duration,
    beat: Option<std::fs::File>,
    beat_at: Instant,
    urgency: Urgency,
}

/// Whether the loop is a real-time one.
#[derive(Debug, Default)]
struct Urgency {
    /// Work without rest; see [`limits::URGENT_MAX`].
    busy: Duration,
    gave_way: bool,
}

impl Urgency {
    /// True when that is to change.
    fn note_work(&mut self, time: Duration) -> bool {
        self.busy = (self.busy + time).min(limits::URGENT_MAX);
        let is_long = self.busy == limits::URGENT_MAX;
        is_long && !core::mem::replace(&mut self.gave_way, true)
    }

    /// True when that is to change.
    fn note_sleep(&mut self, time: Duration) -> bool {
        self.busy = self.busy.saturating_sub(time * limits::WORK_PER_REST);
        let has_rested = self.busy.is_zero();
        has_rested && core::mem::take(&mut self.gave_way)
    }
}

impl Process {
    /// Takes up the pipe that the environment names, if it names one.
    #[must_use]
    pub(crate) fn new() -> Self {
        let number = std::env::var(HEARTBEAT)
            .ok()
            .and_then(|text| text.parse().ok());
        Self {
            turn_max: Duration::ZERO,
            turn_max_did: Done::default(),
            does: Done::default(),
            turns: 0,
            late_max: Duration::ZERO,
            beat: number.and_then(open_pipe),
            beat_at: Instant::ZERO,
            urgency: Urgency::default(),
        }
    }

    /// Notes for how long the loop has slept.
    pub(crate) fn note_sleep(&mut self, time: Duration) {
        // What is not permitted was said at the start.
        if self.urgency.note_sleep(time) {
            let _ = schedule(true);
        }
    }

    /// Notes what this turn does.
    pub(crate) const fn note(&mut self, work: Work) {
        self.does.0 |= 1 << work as u16;
    }

    /// Notes the end of a turn that began at `started`, and beats when it is time.
    pub(crate) fn end_turn(&mut self, started: Instant, now: Instant) {
        self.turns += 1;
        let did = core::mem::take(&mut self.does);
        if now.since(started) > self.turn_max {
            self.turn_max = now.since(started);
            self.turn_max_did = did;
        }
        if self.urgency.note_work(now.since(started)) {
            let _ = schedule(false); // see above
        }
        if now >= self.beat_at
            && let Some(pipe) = &mut self.beat
        {
            // A full pipe holds beats enough, and an end that is closed has nobody to hear.
            let _ = pipe.write(&[0]);
            self.beat_at = now + limits::HEARTBEAT;
        }
    }

    /// Notes that a virtual router's timer was judged so late.
    pub(crate) fn note_lateness(&mut self, late: Duration) {
        self.late_max = self.late_max.max(late);
    }

    /// How the loop fared, in words.
    pub(crate) fn figures(&self) -> impl fmt::Display {
        format!(
            "{} turns, the longest {} us ({}), adverts at most {} us late",
            self.turns,
            self.turn_max.as_micros(),
            self.turn_max_did,
            self.late_max.as_micros()
        )
    }

    /// When to beat next; none without a listener.
    #[must_use]
    pub(crate) fn next_beat(&self) -> Option<Instant> {
        self.beat.as_ref().map(|_| self.beat_at)
    }

    /// The figures.
    #[must_use]
    pub(crate) fn status(&self) -> ProcessStatus {
        ProcessStatus {
            pid: std::process::id(),
            cpu_us: processor_time(),
            rss_kib: fs::read_to_string("/proc/self/status")
                .ok()
                .as_deref()
                .and_then(resident)
                .unwrap_or(0),
            turn_max_us: u64::try_from(self.turn_max.as_micros()).unwrap_or(u64::MAX),
            turns: self.turns,
        }
    }
}

fn open_pipe(number: RawFd) -> Option<std::fs::File> {
    // SAFETY: the descriptor is only borrowed to ask whether it is open.
    let borrowed = (number > 2).then(|| unsafe { BorrowedFd::borrow_raw(number) })?;
    let flags = fcntl(borrowed, FcntlArg::F_GETFL).ok()?;
    fcntl(
        borrowed,
        FcntlArg::F_SETFL(OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK),
    )
    .ok()?;
    // SAFETY: it is open, and whoever set the variable made it for us alone.
    Some(unsafe { OwnedFd::from_raw_fd(number) }.into())
}

fn processor_time() -> u64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return 0;
    };
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000
            + u64::try_from(time.tv_usec()).unwrap_or(0)
    };
    micros(usage.user_time()) + micros(usage.system_time())
}

/// `VmRSS` of /proc/self/status, in KiB.
fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A number that differs between nodes and starts: std seeds its hash tables from the kernel's entropy.
pub(crate) fn seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_memory_is_read_from_proc() {
        assert_eq!(
            resident("Name:\tx\nVmRSS:\t    1234 kB\nVmData: 1 kB\n"),
            Some(1234)
        );
        assert_eq!(resident(""), None);
        assert!(Process::new().status().rss_kib > 0);
    }

    #[test]
    fn a_loop_that_works_for_long_gives_way_until_it_has_rested() {
        let mut urgency = Urgency::default();
        let ms = Duration::from_millis;
        assert!(!urgency.note_work(ms(7)));
        let quarter = Duration::from_micros(250);
        assert!(!urgency.note_sleep(quarter), "3 are left");
        assert!(!urgency.note_work(ms(4)));
        assert!(urgency.note_work(ms(1)));
        assert!(!urgency.note_work(ms(1000)), "it is said once");
        assert!(!urgency.note_sleep(Duration::ZERO));
        assert!(urgency.note_sleep(ms(1)));
        assert!(!urgency.note_sleep(ms(1)));
        assert!(!urgency.note_work(ms(7)) && urgency.note_work(ms(1)));
    }

    #[test]
    fn the_longest_turn_is_kept_with_what_it_did() {
        let mut process = Process::new();
        process.note(Work::Table);
        process.note(Work::Adverts);
        process.end_turn(Instant::from_millis(10), Instant::from_millis(13));
        process.note(Work::Checks);
        process.end_turn(Instant::from_millis(20), Instant::from_millis(21));
        assert_eq!(
            (process.status().turns, process.status().turn_max_us),
            (2, 3000)
        );
        assert_eq!(
            process.figures().to_string(),
            "2 turns, the longest 3000 us (timers, adverts, table), adverts at most 0 us late"
        );
    }
}
