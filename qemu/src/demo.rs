//! The demonstration: a director pair's day in ten steps, told as it happens and measured.
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use director_core::status::Status;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::argv::Accelerator;
use crate::lab::{Lab, LabError};
use crate::measure::{self, Handover, Takeover};
use crate::report::{Report, duration, median, megabytes};
use crate::roles::router;
use crate::{topology, vm};

const PAIR: [&str; 2] = ["d1", "d2"];
/// The real server that is stopped.
const STOPPED: (&str, Ipv4Addr) = ("s4", Ipv4Addr::new(10, 77, 0, 22));
const REQUESTS: u32 = 200;
/// What the product promises; see the README.
const BINARY_MAX: u64 = 4_000_000;
const INITRD_MAX: u64 = 9_000_000;
const INITRD_VM_MAX: u64 = 3_500_000;
const RSS_MAX_KIB: u64 = 4096;
const BOOT_WORK_MAX: Duration = Duration::from_secs(1);
const TAKEOVER_SLACK: Duration = Duration::from_millis(100);
const HANDOVER_GAP_MAX: Duration = Duration::from_millis(50);
/// A single run may be late by chance, on an emulated machine by what the host gives its time to; the promises above
/// are of medians on a quiet host.
const SINGLE_RUN_SLACK: Duration = Duration::from_millis(200);
const EMULATED_SLACK: Duration = Duration::from_secs(2);

/// Runs the whole story; whether every step held. With `keep` the lab goes on until Ctrl-C. Errors: a step could not be
/// done at all.
pub fn run(keep: bool) -> Result<bool, LabError> {
    let mut story = Story::begin()?;
    story.boot()?;
    story.who_is_active()?;
    story.spread("200 requests to the virtual address")?;
    story.server_fails()?;
    story.power_cut()?;
    story.handover()?;
    story.footprint()?;
    println!("\n{}", story.report);
    let held = story.report.held();
    let verdict = if held {
        "Every step held."
    } else {
        "Not every step held."
    };
    println!("{verdict} It took {}.", duration(story.began.elapsed()));
    println!("Consoles and captures: {}", story.lab.logs().display());
    if keep {
        leave_running(&story.lab)?;
    }
    Ok(held)
}

/// Cuts the power of the Active director and hands over, `runs` times each, and prints the medians; whether they are
/// what is promised.
pub fn measure(runs: u32) -> Result<bool, LabError> {
    let mut story = Story::begin()?;
    story.boot()?;
    let (mut takeovers, mut handovers) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        story.say(format!("run {run} of {runs}"));
        takeovers.push(story.one_power_cut()?);
        handovers.push(story.one_handover()?);
    }
    let late = takeovers
        .iter()
        .map(|run| run.announced_after.saturating_sub(run.active_down))
        .collect();
    let late = median(late);
    let bound = format!("<= {}", duration(TAKEOVER_SLACK));
    story.report.must(
        "takeover: announced after Active_Down + (median)",
        duration(late),
        bound,
        late <= TAKEOVER_SLACK,
    );
    let gaps = median(
        takeovers
            .iter()
            .map(|run| Duration::from_micros(run.probe.longest_gap_us))
            .collect(),
    );
    story
        .report
        .note("takeover: longest gap of a client (median)", duration(gaps));
    let gaps = median(
        handovers
            .iter()
            .map(|run| Duration::from_micros(run.probe.longest_gap_us))
            .collect(),
    );
    let bound = format!("<= {}", duration(HANDOVER_GAP_MAX));
    story.report.must(
        "handover: longest gap of a client (median)",
        duration(gaps),
        bound,
        gaps <= HANDOVER_GAP_MAX,
    );
    let gaps = median(handovers.iter().map(|run| run.forwarding_gap).collect());
    story
        .report
        .note("handover: nobody forwarded for (median)", duration(gaps));
    println!("\n{}", story.report);
    Ok(story.report.held())
}

struct Story {
    lab: Lab,
    report: Report,
    began: Instant,
    /// How late a single run may be.
    slack: Duration,
}

impl Story {
    fn begin() -> Result<Self, LabError> {
        let began = Instant::now();
        let (how, slack) = match vm::best_accelerator() {
            Accelerator::Kvm => ("with KVM", SINGLE_RUN_SLACK),
            Accelerator::Tcg => (
                "emulated, since this machine has no usable KVM",
                EMULATED_SLACK,
            ),
        };
        println!("Two directors, two real servers and a client in QEMU, {how}.\n");
        let lab = Lab::prepare(&topology::pair(), |line| println!("           {line}"))?;
        let mut story = Self {
            lab,
            report: Report::default(),
            began,
            slack,
        };
        story.sizes();
        Ok(story)
    }

    /// A line of the story, with the time since it began.
    fn say(&self, line: impl Display) {
        println!("[{:6.1} s] {line}", self.began.elapsed().as_secs_f64());
    }

    fn sizes(&mut self) {
        let Some(product) = &self.lab.images().product else {
            return;
        };
        for (name, what, most) in [
            (
                "keelson",
                "the binary: PID 1, director and console",
                BINARY_MAX,
            ),
            ("initrd", "initrd for real machines", INITRD_MAX),
            ("initrd-vm", "initrd for virtual machines", INITRD_VM_MAX),
        ] {
            let size = product
                .manifest
                .member(name)
                .map_or(0, |member| member.size);
            let held = size > 0 && size < most;
            self.report.must(
                what,
                megabytes(size),
                format!("< {:.1} MB", most as f64 / 1e6),
                held,
            );
        }
        self.say(format!(
            "built: keelson on Debian's kernel {}",
            product.manifest.kernel_release
        ));
    }

    fn boot(&mut self) -> Result<(), LabError> {
        let [first, _] = PAIR;
        self.say("power on: director1, alone for now");
        let boot = measure::boot(&self.lab, first)?;
        let (kernel, advert) = (duration(boot.kernel), duration(boot.first_advert));
        self.say(format!(
            "it is Active: kernel {kernel}, then {advert} from PID 1 to the first advert"
        ));
        self.report
            .note("power on to PID 1 (the kernel's boot)", kernel);
        let held = boot.work() <= BOOT_WORK_MAX + self.slack;
        let bound = format!("<= {}", duration(BOOT_WORK_MAX + self.slack));
        let what = format!(
            "PID 1 to the first advert, without Active_Down ({})",
            duration(boot.active_down)
        );
        self.report.must(&what, duration(boot.work()), bound, held);
        self.lab.vm(first)?.power_cut();
        self.say("power on: both directors from one keepalived.conf, server3, server4, client");
        self.lab.power_on_all()?;
        self.lab.wait_until_up()?;
        self.say("all five are up");
        Ok(())
    }

    fn who_is_active(&mut self) -> Result<(), LabError> {
        let (active, _) = measure::settled(&self.lab, PAIR)?;
        for name in PAIR {
            let status = self.lab.director(name)?.status()?;
            self.say(state_line(&status));
        }
        self.lab.director(active)?.wait_until(
            "both real servers are in",
            Duration::from_secs(60),
            |status| {
                status
                    .services
                    .iter()
                    .flat_map(|service| &service.dests)
                    .all(|dest| dest.kernel_weight > Some(0))
            },
        )?;
        self.say(format!(
            "what the console of {} shows:",
            self.hostname(active)
        ));
        let screen = self.lab.director(active)?.command("status")?;
        // A line of the kernel's log may come in between; it begins with its moment in brackets.
        screen
            .lines()
            .filter(|line| !line.starts_with('['))
            .for_each(|line| println!("           | {line}"));
        Ok(())
    }

    fn spread(&mut self, what: &str) -> Result<(), LabError> {
        let load = self.lab.client()?.load(measure::service(), REQUESTS)?;
        let shares: Vec<String> = load
            .answers
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let shares = shares.join(", ");
        self.say(format!("{what}: {shares}, {} failed", load.failed()));
        let held = load.failed() == 0 && load.answers.len() == 2;
        self.report
            .must(what, shares, "both servers, none failed", held);
        Ok(())
    }

    fn server_fails(&mut self) -> Result<(), LabError> {
        let (active, _) = measure::active_and_backup(&self.lab, PAIR)?;
        let (server, address) = STOPPED;
        self.say("server4's nginx is stopped");
        let out = measure::take_out(&self.lab, active, server, address, REQUESTS)?;
        self.say(format!(
            "it was taken out after {}; then 200 requests, {} failed",
            duration(out.after),
            out.load.failed()
        ));
        self.report
            .note("stopped server taken out after", duration(out.after));
        let held = out.load.failed() == 0 && out.load.answered() == REQUESTS;
        self.report
            .must("requests lost once it is out", out.load.failed(), "0", held);
        let back = measure::take_in(&self.lab, active, server, address)?;
        self.say(format!(
            "it is started again and was taken in after {}",
            duration(back)
        ));
        self.spread("200 requests with server4 back")
    }

    fn power_cut(&mut self) -> Result<(), LabError> {
        let run = self.one_power_cut()?;
        let late = run.announced_after.saturating_sub(run.active_down);
        let what = format!(
            "power cut: last advert to announcement (Active_Down {})",
            duration(run.active_down)
        );
        let bound = duration(run.active_down + self.slack);
        self.report.must(
            &what,
            duration(run.announced_after),
            format!("<= {bound}"),
            late <= self.slack,
        );
        self.report
            .note("power cut: longest gap that a client saw", gap(&run.probe));
        Ok(())
    }

    /// Cuts the Active director's power and brings it back.
    fn one_power_cut(&mut self) -> Result<Takeover, LabError> {
        let (active, backup) = measure::active_and_backup(&self.lab, PAIR)?;
        self.say(format!(
            "the power of {} is cut while a client asks again and again",
            self.hostname(active)
        ));
        let run = measure::power_cut(&self.lab, active, backup)?;
        let (announced, since_cut) = (
            duration(run.announced_after),
            duration(run.announced_after_cut),
        );
        self.say(format!(
            "{} announced itself {since_cut} after the cut, {announced} after the last advert",
            self.hostname(backup)
        ));
        self.say(format!(
            "the client saw no answer for {}; {}",
            gap(&run.probe),
            failures(&run.probe)
        ));
        let back = measure::comes_back(&self.lab, active, PAIR)?;
        let (now_active, _) = measure::settled(&self.lab, PAIR)?;
        self.say(format!(
            "{} is back, Active is {}; of that the client saw a gap of {} at most; {}",
            self.hostname(active),
            self.hostname(now_active),
            gap(&back),
            failures(&back)
        ));
        Ok(run)
    }

    fn handover(&mut self) -> Result<(), LabError> {
        let run = self.one_handover()?;
        let longest = Duration::from_micros(run.probe.longest_gap_us);
        let bound = HANDOVER_GAP_MAX + self.slack;
        self.report.must(
            "planned handover: longest gap that a client saw",
            duration(longest),
            format!("<= {}", duration(bound)),
            longest <= bound,
        );
        let paused = duration(run.forwarding_gap);
        self.report
            .note("planned handover: nobody forwarded for", paused);
        let streams = format!("{} of {}", run.streams.alive, run.streams.wanted);
        let held = run.streams.alive == run.streams.wanted;
        self.report.must(
            "planned handover: open connections that survived",
            streams,
            "all",
            held,
        );
        Ok(())
    }

    fn one_handover(&mut self) -> Result<Handover, LabError> {
        let (active, backup) = measure::active_and_backup(&self.lab, PAIR)?;
        self.say(format!(
            "{} is told on its console to hand over",
            self.hostname(active)
        ));
        let run = measure::handover(&self.lab, active, backup)?;
        self.say(format!(
            "{} announced itself {} after the other's goodbye; for {} of it nobody forwarded",
            self.hostname(backup),
            duration(run.announced_after),
            duration(run.forwarding_gap)
        ));
        self.say(format!(
            "the client saw no answer for {} at most; {}; {} of {} open connections live",
            gap(&run.probe),
            failures(&run.probe),
            run.streams.alive,
            run.streams.wanted
        ));
        run.streams.lost.iter().for_each(|lost| self.say(lost));
        Ok(run)
    }

    fn footprint(&mut self) -> Result<(), LabError> {
        for name in PAIR {
            let status = self.lab.director(name)?.status()?;
            let rss = status.process.rss_kib;
            let what = format!("resident memory of {}", status.node);
            self.report.must(
                &what,
                format!("{rss} KiB"),
                format!("< {RSS_MAX_KIB} KiB"),
                rss > 0 && rss < RSS_MAX_KIB,
            );
        }
        Ok(())
    }

    fn hostname(&self, name: &str) -> String {
        self.lab
            .vm(name)
            .map_or_else(|_| name.to_owned(), |vm| vm.node().hostname.clone())
    }
}

/// How many requests were not answered, and why.
fn failures(probe: &lab_agent::ProbeReport) -> String {
    let kinds: Vec<String> = probe
        .errors
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    if kinds.is_empty() {
        "none failed".to_owned()
    } else {
        format!("failed: {}", kinds.join(", "))
    }
}

fn gap(probe: &lab_agent::ProbeReport) -> String {
    duration(Duration::from_micros(probe.longest_gap_us))
}

fn state_line(status: &Status) -> String {
    match router(status) {
        Some(router) => {
            let since = Duration::from_micros(status.now_us.saturating_sub(router.since_us));
            format!(
                "{}: {} for {}, priority {}",
                status.node,
                router.state,
                duration(since),
                router.priority
            )
        }
        None => format!("{}: no virtual router", status.node),
    }
}

/// Gives the consoles away and waits for Ctrl-C.
fn leave_running(lab: &Lab) -> Result<(), LabError> {
    for vm in lab.vms() {
        vm.console().release();
    }
    println!("\nThe lab is left running until Ctrl-C. In another terminal:\n");
    for vm in lab.vms() {
        let node = vm.node();
        println!("    cargo lab attach {:<8} # {}", node.name, node.hostname);
    }
    println!(
        "\nOn a director type: help, status, routers, services, checks, log, handover, reboot."
    );
    println!(
        "server3, server4 and client have a shell; on the client try: wget -qO- http://10.77.0.100/"
    );
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|source| LabError::Io {
        path: "signals".into(),
        source,
    })?;
    signals.forever().next();
    println!("\nSwitching everything off.");
    Ok(())
}
