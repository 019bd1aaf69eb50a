//! Measurements on a running lab: what the demonstration tells and the promises are held to.
//!
//! What happens on the wire is timed by the switch, on the host's clock. What a client sees is timed in the client's
//! guest, on its own. The two are never mixed: an emulated machine's clock drifts.
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use director_core::status::{RouterStatus, Status};
use lab_agent::{LoadReport, ProbeReport, StreamPlan, StreamReport};

use crate::lab::{Lab, LabError};
use crate::limits::BOOT_MAX;
use crate::roles::router;
use crate::topology::VIRTUAL_ADDRESS;

/// The service of the pair.
pub const SERVICE: (Ipv4Addr, u16) = (VIRTUAL_ADDRESS, 80);
/// Between two requests of a probe, which is how finely a gap is seen: for what lasts milliseconds.
const FINE_PERIOD: Duration = Duration::from_millis(10);
/// For what lasts seconds, or while a machine boots: on an emulated machine each request costs some milliseconds.
const COARSE_PERIOD: Duration = Duration::from_millis(40);
/// Shorter than a lost SYN's first repetition, so that each request stands for its own moment.
const PROBE_TIMEOUT: Duration = Duration::from_millis(900);
/// Quiet time that a probe sees before and after what is measured.
const PROBE_MARGIN: Duration = Duration::from_secs(2);
/// Whatever is waited for on the wire or in a status has come by then, or never will.
const EVENT_MAX: Duration = Duration::from_secs(60);

/// How one director took over from another that lost its power.
#[derive(Clone, Debug)]
pub struct Takeover {
    /// From the last advert of the old Active to the first announcement of the new one.
    pub announced_after: Duration,
    /// From the power cut to the first announcement.
    pub announced_after_cut: Duration,
    /// What the configuration asks the Backup to wait for after the last advert (RFC 9568 6.1).
    pub active_down: Duration,
    /// What a client saw.
    pub probe: ProbeReport,
}

/// How one director handed over to the other on command.
#[derive(Clone, Debug)]
pub struct Handover {
    /// From the leaving director's priority 0 to the first announcement of the other.
    pub announced_after: Duration,
    /// From the last packet of the service that the leaving director passed on to the first of the other one. What a
    /// client sees is this, how finely it looks, and how busy the host is.
    pub forwarding_gap: Duration,
    /// What a client saw.
    pub probe: ProbeReport,
    /// How connections fared that were open all the time.
    pub streams: StreamReport,
}

/// How long a failed server's requests were lost.
#[derive(Clone, Debug)]
pub struct TakenOut {
    /// From the server's stop to the director's word that its dest is out.
    pub after: Duration,
    /// Requests sent from then on.
    pub load: LoadReport,
}

/// The service's socket address.
pub fn service() -> SocketAddr {
    SocketAddr::from(SERVICE)
}

/// How long a Backup of this configuration waits after the last advert: Active_Down_Interval = 3 x interval + skew,
/// with skew = (256 - priority) / 256 of a second (RFC 3768 6.1) or of the interval (RFC 9568 6.1).
pub fn active_down(router: &RouterStatus) -> Duration {
    let interval = Duration::from_millis(router.advert_interval_ms.into());
    active_down_interval(router.version, router.priority, interval)
}

fn active_down_interval(version: u8, priority: u8, interval: Duration) -> Duration {
    let skewed = if version == 2 {
        Duration::from_secs(1)
    } else {
        interval
    };
    3 * interval + skewed * (256 - u32::from(priority)) / 256
}

/// How long a director took that was switched on alone.
#[derive(Clone, Debug)]
pub struct Boot {
    /// From the kernel's first instruction to PID 1.
    pub kernel: Duration,
    /// From the start of PID 1 to the first advert.
    pub first_advert: Duration,
    /// What the configuration asks it to wait for before it may become Active; the rest of `first_advert` is work.
    pub active_down: Duration,
}

impl Boot {
    /// What was no waiting.
    pub fn work(&self) -> Duration {
        self.first_advert.saturating_sub(self.active_down)
    }
}

/// Switches on a director that no other one hears, and waits for its first advert. The kernel's log stays on its
/// console, between the lines of whoever talks to it, until it is switched on again.
pub fn boot(lab: &Lab, name: &str) -> Result<Boot, LabError> {
    let adverts = lab.switch().adverts_of(name);
    let vm = lab.vm(name)?;
    // The kernel names the moment when it starts PID 1, but a quiet one keeps it to itself.
    let on = vm.power_on_with("loglevel=7")?;
    let console = vm.console();
    let pid1 = console.expect("Run /init as init process", BOOT_MAX)?.at;
    let frame = adverts
        .next(BOOT_MAX)
        .ok_or_else(|| missing(name, "advert"))?;
    let advert = frame.advert().ok_or_else(|| missing(name, "advert"))?;
    vm.wait_until_up()?;
    Ok(Boot {
        kernel: pid1 - on,
        first_advert: frame.at - pid1,
        active_down: active_down_interval(advert.version, advert.priority, advert.interval),
    })
}

/// Cuts the power of the Active director and watches the other one take over. The cut machine stays off.
pub fn power_cut(lab: &Lab, active: &str, backup: &str) -> Result<Takeover, LabError> {
    let status = lab.director(backup)?.status()?;
    let active_down = router(&status)
        .map(active_down)
        .ok_or_else(|| missing(backup, "virtual router"))?;
    let adverts = lab.switch().adverts_of(active);
    let announcements = lab.switch().announcements_of(backup, VIRTUAL_ADDRESS);
    let probe = Probe::start(lab, COARSE_PERIOD)?;
    let cut = lab.vm(active)?.power_cut();
    let announced = announcements
        .next(EVENT_MAX)
        .ok_or_else(|| missing(backup, "announcement"))?
        .at;
    let last_advert = adverts
        .drain()
        .last()
        .map(|frame| frame.at)
        .ok_or_else(|| missing(active, "advert"))?;
    let probe = probe.stop()?;
    lab.director(backup)?.wait_for_state("Active", EVENT_MAX)?;
    Ok(Takeover {
        announced_after: announced - last_advert,
        announced_after_cut: announced - cut,
        active_down,
        probe,
    })
}

/// Switches a director on again and waits until the pair has settled; what a client saw of it.
pub fn comes_back(lab: &Lab, name: &str, pair: [&str; 2]) -> Result<ProbeReport, LabError> {
    let probe = Probe::start(lab, COARSE_PERIOD)?;
    let vm = lab.vm(name)?;
    vm.power_on()?;
    vm.wait_until_up()?;
    settled(lab, pair)?;
    probe.stop()
}

/// Asks the Active director on its console to hand over, while requests and open connections go on.
pub fn handover(lab: &Lab, active: &str, backup: &str) -> Result<Handover, LabError> {
    let from = active.to_owned();
    let goodbyes = lab.switch().tap(move |frame| {
        *frame.node == *from && frame.advert().is_some_and(|advert| advert.priority == 0)
    });
    let announcements = lab.switch().announcements_of(backup, VIRTUAL_ADDRESS);
    let to_service = |name: &str| {
        let name = name.to_owned();
        lab.switch().tap(move |frame| {
            *frame.node == *name && frame.ipv4_destination() == Some(VIRTUAL_ADDRESS)
        })
    };
    let (left, taken_up) = (to_service(active), to_service(backup));
    let streams = StreamPlan {
        target: service(),
        streams: 16,
        period_ms: 100,
        timeout_ms: 20_000,
    };
    let opened = lab.client()?.open_streams(streams)?;
    if opened.alive != opened.wanted {
        return Err(missing("client", &format!("open streams: {opened:?}")));
    }
    let probe = Probe::start(lab, FINE_PERIOD)?;
    lab.director(active)?.command("handover")?;
    let goodbye = goodbyes
        .next(EVENT_MAX)
        .ok_or_else(|| missing(active, "advert with priority 0"))?
        .at;
    let announced = announcements
        .next(EVENT_MAX)
        .ok_or_else(|| missing(backup, "announcement"))?
        .at;
    let probe = probe.stop()?;
    let last = left
        .drain()
        .last()
        .map(|frame| frame.at)
        .ok_or_else(|| missing(active, "forwarded packet"))?;
    let first = taken_up
        .next(EVENT_MAX)
        .ok_or_else(|| missing(backup, "forwarded packet"))?
        .at;
    let streams = lab.client()?.close_streams()?;
    lab.director(backup)?.wait_for_state("Active", EVENT_MAX)?;
    Ok(Handover {
        announced_after: announced - goodbye,
        forwarding_gap: first.saturating_duration_since(last),
        probe,
        streams,
    })
}

/// Stops a real server's nginx and waits until `director` has taken it out; then sends `requests`.
pub fn take_out(
    lab: &Lab,
    director: &str,
    server: &str,
    address: Ipv4Addr,
    requests: u32,
) -> Result<TakenOut, LabError> {
    lab.server(server)?.stop_http()?;
    let stopped = Instant::now();
    let address = address.to_string();
    lab.director(director)?
        .wait_until(&format!("{server} is out"), EVENT_MAX, |status| {
            dest_weights(status, &address).all(|weight| weight == 0)
        })?;
    let after = stopped.elapsed();
    let load = lab.client()?.load(service(), requests)?;
    Ok(TakenOut { after, load })
}

/// Starts a real server's nginx again and waits until `director` has taken it in.
pub fn take_in(
    lab: &Lab,
    director: &str,
    server: &str,
    address: Ipv4Addr,
) -> Result<Duration, LabError> {
    lab.server(server)?.start_http()?;
    let started = Instant::now();
    let address = address.to_string();
    lab.director(director)?
        .wait_until(&format!("{server} is in"), EVENT_MAX, |status| {
            dest_weights(status, &address).all(|weight| weight > 0)
        })?;
    Ok(started.elapsed())
}

/// The weights that a real server's dests have in the kernel, 0 for those that are not there.
fn dest_weights<'a>(status: &'a Status, address: &'a str) -> impl Iterator<Item = u32> + 'a {
    let dests = status.services.iter().flat_map(|service| &service.dests);
    dests
        .filter(move |dest| dest.address == address)
        .map(|dest| dest.kernel_weight.unwrap_or(0))
}

/// The director that is Active, and the other: asked of both.
pub fn active_and_backup<'a>(
    lab: &Lab,
    pair: [&'a str; 2],
) -> Result<(&'a str, &'a str), LabError> {
    let deadline = Instant::now() + EVENT_MAX;
    loop {
        let mut states = Vec::new();
        for name in pair {
            let status = lab.director(name)?.status()?;
            states.push(
                router(&status)
                    .map(|router| router.state.clone())
                    .unwrap_or_default(),
            );
        }
        let [first, second] = pair;
        match states
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["Active", "Backup"] => return Ok((first, second)),
            ["Backup", "Active"] => return Ok((second, first)),
            _ if Instant::now() >= deadline => {
                let last = format!("{first} {}, {second} {}", states.concat(), states.len());
                return Err(LabError::TimedOut {
                    what: "one Active and one Backup".to_owned(),
                    last,
                });
            }
            _ => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// Waits until the director with the higher priority is Active and the other Backup, as it is some seconds after either
/// has booted; their names in that order.
pub fn settled<'a>(lab: &Lab, pair: [&'a str; 2]) -> Result<(&'a str, &'a str), LabError> {
    let [first, second] = pair;
    let priority = |name| -> Result<u8, LabError> {
        let status = lab.director(name)?.status()?;
        router(&status)
            .map(|router| router.priority)
            .ok_or_else(|| missing(name, "virtual router"))
    };
    let (high, low) = if priority(first)? > priority(second)? {
        (first, second)
    } else {
        (second, first)
    };
    lab.director(high)?.wait_for_state("Active", EVENT_MAX)?;
    lab.director(low)?.wait_for_state("Backup", EVENT_MAX)?;
    Ok((high, low))
}

/// A probe with its margins.
struct Probe<'a> {
    lab: &'a Lab,
}

impl<'a> Probe<'a> {
    fn start(lab: &'a Lab, period: Duration) -> Result<Self, LabError> {
        lab.client()?
            .start_probe(service(), period, PROBE_TIMEOUT)?;
        std::thread::sleep(PROBE_MARGIN);
        Ok(Self { lab })
    }

    fn stop(self) -> Result<ProbeReport, LabError> {
        std::thread::sleep(PROBE_MARGIN);
        self.lab.client()?.stop_probe()
    }
}

fn missing(node: &str, what: &str) -> LabError {
    LabError::TimedOut {
        what: format!("{node}: {what}"),
        last: "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_down_follows_the_version() {
        let mut router = RouterStatus {
            version: 2,
            priority: 100,
            advert_interval_ms: 1000,
            ..RouterStatus::default()
        };
        assert_eq!(active_down(&router), Duration::from_micros(3_609_375));
        router.advert_interval_ms = 200;
        assert_eq!(active_down(&router), Duration::from_micros(1_209_375));
        router.version = 3;
        assert_eq!(active_down(&router), Duration::from_micros(721_875));
    }
}
