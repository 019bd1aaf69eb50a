//! What the lab tests share: a lab that can be looked into after a failure, and the verbs that their stories need
//! beyond those of the lab library.
//!
//! Each test has a lab of its own, named after its story: `target/lab/NAME` holds what every console said and what
//! passed every segment, and stays until the same test runs again.

pub mod conf;
pub mod opinion;
pub mod peer;
pub mod wire;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use director_core::status::{LogLine, ServiceStatus, Status};
use lab_agent::{ProbeReport, StreamPlan, StreamReport};
use qemu::lab::{Lab, LabError};
use qemu::roles::Director;
use qemu::topology::{Role, Topology};
use qemu::vm::Vm;
use serde_json::{Value, json};

/// Whatever a story waits for has come by then on a busy machine without KVM, or never will.
pub const WAIT: Duration = Duration::from_secs(60);
/// A machine has booted by then.
pub const BOOT: Duration = Duration::from_secs(120);
/// How late an event may be on the wire, and how early it may seem to be: two busy cores emulate five machines.
pub const SLACK: Duration = Duration::from_secs(2);
/// Between two looks at something that can only be looked at.
const LOOK: Duration = Duration::from_millis(200);
/// A request every so often is how finely a gap is seen.
const PROBE_PERIOD: Duration = Duration::from_millis(20);
/// Shorter than the first repetition of a lost SYN, so that each request stands for its own moment.
const PROBE_TIMEOUT: Duration = Duration::from_millis(900);
/// Quiet time that a probe sees before and after.
const PROBE_MARGIN: Duration = Duration::from_secs(1);

/// Tells a story on a lab of its own, made but not switched on. When it ends badly the message says where the lab's
/// consoles and captures are.
///
/// # Panics
/// When the lab can't be made, or the story fails.
pub fn tell(name: &str, mut topology: Topology, story: impl FnOnce(&Lab) -> Result<(), LabError>) {
    topology.name = name.to_owned();
    let lab = match Lab::prepare(&topology, image::to_stderr) {
        Ok(lab) => lab,
        Err(error) => panic!("the lab can't be made: {error}"),
    };
    let began = Instant::now();
    let witness = Witness(&lab);
    if let Err(error) = story(&lab) {
        panic!("{error}");
    }
    drop(witness);
    println!("{name} took {:.1} s", began.elapsed().as_secs_f64());
}

/// Switches all machines on and waits until they have booted.
///
/// # Errors
/// A machine that does not come up.
pub fn boot(lab: &Lab) -> Result<(), LabError> {
    lab.power_on_all()?;
    lab.wait_until_up()
}

/// Looks again and again until there is something to be seen.
///
/// # Errors
/// [`LabError::TimedOut`], or what `look` says.
pub fn wait_for<T>(
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>, LabError>,
) -> Result<T, LabError> {
    let deadline = Instant::now() + WAIT;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            let (what, last) = (what.to_owned(), "nothing".to_owned());
            return Err(LabError::TimedOut { what, last });
        }
        thread::sleep(LOOK);
    }
}

/// Does something while a client asks 50 times a second; what the client saw.
///
/// # Errors
/// The client's, and those of `deed`.
pub fn under_probe<T>(
    lab: &Lab,
    deed: impl FnOnce() -> Result<T, LabError>,
) -> Result<(T, ProbeReport), LabError> {
    let client = lab.client()?;
    client.start_probe(qemu::measure::service(), PROBE_PERIOD, PROBE_TIMEOUT)?;
    thread::sleep(PROBE_MARGIN);
    let done = deed()?;
    thread::sleep(PROBE_MARGIN);
    Ok((done, client.stop_probe()?))
}

/// Opens connections through the virtual address that are used ten times a second each.
///
/// # Errors
/// The client's.
///
/// # Panics
/// When not all of them can be opened.
pub fn open_streams(lab: &Lab) -> Result<StreamReport, LabError> {
    let opened = lab.client()?.open_streams(StreamPlan {
        target: qemu::measure::service(),
        streams: 16,
        period_ms: 100,
        timeout_ms: 20_000,
    })?;
    assert_eq!(opened.alive, opened.wanted, "{opened:?}");
    Ok(opened)
}

/// The longest time that a probe saw no answer.
pub fn longest_gap(probe: &ProbeReport) -> Duration {
    Duration::from_micros(probe.longest_gap_us)
}

/// Waits until every dest of a director takes new connections.
///
/// # Errors
/// Those of asking for the status, and [`LabError::TimedOut`].
pub fn wait_until_all_serve(director: Director<'_>) -> Result<Status, LabError> {
    director.wait_until("all real servers are in", WAIT, |status| {
        !status.services.is_empty()
            && dests(&status.services).all(|(up, weight)| up && weight > Some(0))
    })
}

fn dests(services: &[ServiceStatus]) -> impl Iterator<Item = (bool, Option<u32>)> + '_ {
    services
        .iter()
        .flat_map(|service| &service.dests)
        .map(|dest| (dest.state == "up", dest.kernel_weight))
}

/// The last events of a director.
///
/// # Errors
/// Those of asking, or an answer that is no log.
pub fn events(director: Director<'_>) -> Result<Vec<LogLine>, LabError> {
    let answer = director.json("log 200 json")?;
    let lines = answer.get("log").cloned().unwrap_or_default();
    serde_json::from_value(lines).map_err(|error| LabError::TimedOut {
        what: "a log as it is documented".to_owned(),
        last: format!("{error}: {answer}"),
    })
}

/// Whether one of the events says this.
pub fn says(events: &[LogLine], text: &str) -> bool {
    events.iter().any(|line| line.text.contains(text))
}

/// Presses keys of a machine's keyboard together, by their names in QEMU.
///
/// # Errors
/// QEMU's.
pub fn press(vm: &Vm, keys: &[&str]) -> Result<(), LabError> {
    let keys: Vec<Value> = keys
        .iter()
        .map(|key| json!({ "type": "qcode", "data": key }))
        .collect();
    Ok(vm.execute("send-key", json!({ "keys": keys }))?)
}

/// All that a machine's console ever said, without carriage returns.
///
/// # Panics
/// When the log can't be read.
pub fn console_log(vm: &Vm) -> String {
    match fs::read(vm.paths().console_log()) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).replace('\r', ""),
        Err(error) => panic!("{}: {error}", vm.paths().console_log().display()),
    }
}

/// The first line of the product's own on a machine's console, where a quiet one shows errors only.
///
/// # Panics
/// When the log can't be read.
pub fn complaint(vm: &Vm) -> Option<String> {
    let ours = ["keelson[", "devices[", "director["];
    let said = console_log(vm);
    let mut lines = said.lines();
    let found = lines.find(|line| ours.iter().any(|name| line.contains(name)));
    found.map(str::to_owned)
}

/// Says where everything is when the story ends in a panic.
struct Witness<'a>(&'a Lab);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        for vm in self.0.vms() {
            if vm.is_on() && matches!(vm.node().role, Role::Director { .. }) {
                // Only so that it stands in the console's log; a console that hangs has been told of already.
                let _ = vm.console().command("log 200", Duration::from_secs(5));
            }
        }
        let logs = self.0.logs().display();
        eprintln!(
            "what the consoles said and what passed the wire: {logs}/*.console.log, {logs}/*.pcap"
        );
    }
}
