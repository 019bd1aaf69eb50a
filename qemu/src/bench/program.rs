//! The programs that are compared, as they run on a workbench.
use std::time::Duration;

use lab_gauge::{Figures, Plan, Until};

use crate::lab::LabError;
use crate::roles::Workbench;

/// The file that the program reads; what it is to read is copied there.
const LIVE: &str = "/bench/live.conf";
/// What each program prints.
const LOG: &str = "/bench/log";
/// Signals, by number (signal(7)).
pub(super) const HUP: i32 = 1;
pub(super) const KILL: i32 = 9;
pub(super) const TERM: i32 = 15;
/// Whatever a program does is done by then: keepalived takes half a minute for a reload with many checks.
const PATIENCE: Duration = Duration::from_secs(180);

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// Debian's.
    Keepalived,
    /// Ours.
    Keelson,
}

impl Program {
    pub(super) const BOTH: [Self; 2] = [Self::Keepalived, Self::Keelson];

    /// The beginning of its processes' names.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
            Self::Keelson => "keelson",
        }
    }

    fn command(self) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Keepalived => &["/usr/sbin/keepalived", "--dont-fork", "--use-file", LIVE],
            Self::Keelson => &[
                "/usr/sbin/keelson",
                "director",
                "--keepalived",
                LIVE,
                "--router",
                "/bench/none",
                "--socket",
                "/bench/socket",
            ],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}

/// A running one.
pub(super) struct Running<'a> {
    bench: Workbench<'a>,
    pub(super) program: Program,
    pid: i32,
    /// From the start to the moment that was waited for.
    pub(super) started_us: u64,
}

impl<'a> Running<'a> {
    /// Starts it with the configuration of that name.
    pub(super) fn start(
        bench: Workbench<'a>,
        program: Program,
        conf: &str,
        until: Until,
    ) -> Result<Self, LabError> {
        bench.shell(&format!("cp /bench/{conf} {LIVE}"))?;
        let figures = gauge(
            bench,
            Plan::Start {
                program: program.command(),
                log: LOG.to_owned(),
                until,
                limit_ms: limit_ms(),
            },
        )?;
        Ok(Self {
            bench,
            program,
            pid: figures.pid,
            started_us: figures.elapsed_us,
        })
    }

    /// Lets it take another configuration.
    pub(super) fn reload(&self, conf: &str, until: Until) -> Result<u64, LabError> {
        self.bench.shell(&format!("cp /bench/{conf} {LIVE}"))?;
        self.signal(HUP, until)
    }

    /// Lines that it has said, with these words.
    pub(super) fn said(&self, words: &str) -> Result<String, LabError> {
        self.bench.shell(&format!("grep '{words}' {LOG} || true"))
    }

    /// Ends it in an orderly way; how long that took, and what it said at the end.
    pub(super) fn stop(self) -> Result<(u64, String), LabError> {
        let took = self.signal(TERM, Until::Gone)?;
        Ok((took, self.bench.shell(&format!("tail -n 1 {LOG}"))?))
    }

    /// What it uses of the processor, and its memory.
    pub(super) fn watch(&self, period: Duration) -> Result<Figures, LabError> {
        let plan = Plan::Watch {
            name: self.program.name().to_owned(),
            for_ms: period.as_millis() as u64,
        };
        gauge(self.bench, plan)
    }

    fn signal(&self, signal: i32, until: Until) -> Result<u64, LabError> {
        let plan = Plan::Signal {
            pid: self.pid,
            signal,
            until,
            limit_ms: limit_ms(),
        };
        Ok(gauge(self.bench, plan)?.elapsed_us)
    }
}

/// Measures, with patience.
pub(super) fn gauge(bench: Workbench<'_>, plan: Plan) -> Result<Figures, LabError> {
    bench.gauge(&plan, PATIENCE)
}

const fn limit_ms() -> u64 {
    PATIENCE.as_millis() as u64
}
