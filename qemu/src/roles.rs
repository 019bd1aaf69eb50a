//! Machines by what they are for: what one asks a director, a real server, a client and a peer.
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use director_core::status::{RouterStatus, Status};
use lab_agent::{
    LoadPlan, LoadReport, ProbePlan, ProbeReport, Reply, Request, StreamPlan, StreamReport,
    TalkPlan, TalkReport,
};
use lab_gauge::{Figures, Plan};

use crate::GuestError;
use crate::console::ConsoleError;
use crate::lab::LabError;
use crate::vm::{Vm, VmError};

/// A console command of a director is answered by then, on a busy machine.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// Between two looks at a director's status: each costs it some milliseconds on an emulated processor.
const STATUS_PERIOD: Duration = Duration::from_millis(200);

/// A director. What is not here is asked of its [`Vm`]: power, console, cables.
#[derive(Clone, Copy)]
pub struct Director<'a>(pub(crate) &'a Vm);

impl<'a> Director<'a> {
    /// The machine.
    pub fn vm(self) -> &'a Vm {
        self.0
    }

    /// Runs a console command and returns what it prints.
    pub fn command(self, command: &str) -> Result<String, LabError> {
        Ok(self.0.console().command(command, COMMAND_MAX)?)
    }

    /// Runs a console command that answers one line of JSON.
    pub fn json(self, command: &str) -> Result<serde_json::Value, LabError> {
        Ok(self.0.console().json(command, COMMAND_MAX)?)
    }

    /// Everything that it says of itself.
    pub fn status(self) -> Result<Status, LabError> {
        let value = self.json("status json")?;
        let (node, command) = (self.0.node().name.clone(), "status json".to_owned());
        serde_json::from_value(value.clone()).map_err(|error| {
            let answer = format!("{error}: {value}");
            ConsoleError::NotJson {
                node,
                command,
                answer,
            }
            .into()
        })
    }

    /// Looks at its status until `holds` does; the status that it holds for.
    pub fn wait_until(
        self,
        what: &str,
        timeout: Duration,
        holds: impl Fn(&Status) -> bool,
    ) -> Result<Status, LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            let status = self.status()?;
            if holds(&status) {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                let (what, node) = (what.to_owned(), &self.0.node().name);
                return Err(LabError::TimedOut {
                    what: format!("{node}: {what}"),
                    last: format!("{status:?}"),
                });
            }
            std::thread::sleep(STATUS_PERIOD);
        }
    }

    /// Runs a shell command beside the product, where the node has an agent.
    pub fn shell(self, command: &str) -> Result<String, LabError> {
        Ok(self.0.shell(command)?)
    }

    /// Waits until all its virtual routers are in `state`.
    pub fn wait_for_state(self, state: &str, timeout: Duration) -> Result<Status, LabError> {
        self.wait_until(state, timeout, |status| {
            !status.routers.is_empty() && status.routers.iter().all(|router| router.state == state)
        })
    }
}

/// The first virtual router of a status, which in most labs is the only one.
pub fn router(status: &Status) -> Option<&RouterStatus> {
    status.routers.first()
}

/// A real server.
#[derive(Clone, Copy)]
pub struct Server<'a>(pub(crate) &'a Vm);

impl<'a> Server<'a> {
    /// The machine.
    pub fn vm(self) -> &'a Vm {
        self.0
    }

    /// Stops nginx: its port refuses connections from then on, those that are open are closed.
    pub fn stop_http(self) -> Result<(), LabError> {
        // The pid file goes when the master process has ended.
        self.0.shell(
            "kill $(cat /run/nginx.pid); while [ -e /run/nginx.pid ]; do usleep 10000; done",
        )?;
        Ok(())
    }

    /// The same machine where it is somebody's client.
    pub fn as_client(self) -> Client<'a> {
        Client(self.0)
    }

    /// Serves talks on a port of TCP and UDP, for good.
    pub fn serve_talks(self, port: u16) -> Result<(), LabError> {
        let request = Request::ServeTalks { port };
        self.0.request(request, Duration::ZERO)?;
        Ok(())
    }

    /// Speaks on the talks that wait for it; on how many.
    pub fn speak(self) -> Result<u32, LabError> {
        match self.0.request(Request::SpeakTalks, Duration::ZERO)? {
            Reply::Spoken(count) => Ok(count),
            other => Err(self.0.unexpected(&other).into()),
        }
    }

    /// Starts nginx again.
    pub fn start_http(self) -> Result<(), LabError> {
        self.0.shell("nginx")?;
        Ok(())
    }

    /// Runs a shell command.
    pub fn shell(self, command: &str) -> Result<String, LabError> {
        Ok(self.0.shell(command)?)
    }
}

/// A machine with Debian's keepalived.
#[derive(Clone, Copy)]
pub struct Peer<'a>(pub(crate) &'a Vm);

impl<'a> Peer<'a> {
    /// The machine.
    pub fn vm(self) -> &'a Vm {
        self.0
    }

    /// Runs a shell command.
    pub fn shell(self, command: &str) -> Result<String, LabError> {
        Ok(self.0.shell(command)?)
    }

    /// What keepalived has logged so far.
    pub fn log(self) -> Result<String, LabError> {
        self.shell("cat /var/log/keepalived.log")
    }

    /// The kernel's IPVS table.
    pub fn ipvsadm(self) -> Result<String, LabError> {
        self.shell("ipvsadm -Ln")
    }

    /// Starts keepalived anew with this configuration.
    pub fn restart_keepalived(self, configuration: &str) -> Result<(), LabError> {
        let stop = "killall keepalived 2>/dev/null; while pidof keepalived >/dev/null; do usleep 20000; done";
        let write =
            format!("cat > /etc/keepalived/keepalived.conf <<'end'\n{configuration}\nend\n");
        let start =
            "keepalived --dont-fork --log-console --log-detail > /var/log/keepalived.log 2>&1 &";
        self.shell(&format!("{stop}\n{write}{start}"))?;
        Ok(())
    }

    /// Stops keepalived, orderly: it sends priority 0.
    pub fn stop_keepalived(self) -> Result<(), LabError> {
        self.shell("killall keepalived; while pidof keepalived >/dev/null; do usleep 20000; done")?;
        Ok(())
    }
}

/// A machine with Debian's FRR.
#[derive(Clone, Copy)]
pub struct Frr<'a>(pub(crate) &'a Vm);

impl Frr<'_> {
    /// What vrrpd has logged so far.
    pub fn log(self) -> Result<String, LabError> {
        Ok(self.0.shell("cat /var/log/vrrpd.log")?)
    }

    /// Stops vrrpd, orderly: it sends priority 0.
    pub fn stop(self) -> Result<(), LabError> {
        self.0
            .shell("killall vrrpd; while pidof vrrpd > /dev/null; do usleep 20000; done")?;
        Ok(())
    }

    /// Starts vrrpd with this configuration and an empty log.
    pub fn start(self, configuration: &str) -> Result<(), LabError> {
        let write = format!("cat > /etc/frr/vrrpd.conf <<'end'\n{configuration}\nend\n");
        let start = "rm -f /var/log/vrrpd.log; /usr/lib/frr/vrrpd --daemon --config_file /etc/frr/vrrpd.conf \
                     --log file:/var/log/vrrpd.log --log-level debugging";
        self.0.shell(&format!("{write}{start}"))?;
        Ok(())
    }
}

/// A machine with the product's binary, keepalived and ipvsadm as plain programs.
#[derive(Clone, Copy)]
pub struct Workbench<'a>(pub(crate) &'a Vm);

impl<'a> Workbench<'a> {
    /// The machine.
    pub fn vm(self) -> &'a Vm {
        self.0
    }

    /// Runs a shell command.
    pub fn shell(self, command: &str) -> Result<String, LabError> {
        Ok(self.0.shell(command)?)
    }

    /// Loads IPVS anew: a table that is only emptied keeps its dests for two minutes in a list, in which each new dest
    /// is looked for first (`ip_vs_trash_get_dest()`, net/netfilter/ipvs/ip_vs_ctl.c), so that a program would pay for
    /// the one before it.
    pub fn empty_table(self) -> Result<String, LabError> {
        self.shell(
            "ipvsadm -C && rmmod $(grep -o '^ip_vs_[a-z]*' /proc/modules) ip_vs && \
             grep ip_vs /lib/modules/order | while read -r module; do insmod \"/lib/modules/$module\" || exit 1; done",
        )
    }

    /// Measures something inside the machine; `patience` is for what the plan itself takes.
    pub fn gauge(self, plan: &Plan, patience: Duration) -> Result<Figures, LabError> {
        let plan = serde_json::to_string(plan).unwrap_or_default();
        let command = format!("/lab/gauge '{plan}'");
        let failed = |status, output| {
            let (node, command) = (self.0.node().name.clone(), command.clone());
            VmError::from(GuestError::Failed {
                node,
                command,
                status,
                output,
            })
        };
        let request = Request::Shell {
            command: command.clone(),
        };
        match self.0.request(request, patience)? {
            Reply::Shell { status: 0, output } => serde_json::from_str(&output)
                .map_err(|error| failed(0, format!("{error}: {output}")).into()),
            Reply::Shell { status, output } => Err(failed(status, output).into()),
            other => Err(self.0.unexpected(&other).into()),
        }
    }
}

/// The client.
#[derive(Clone, Copy)]
pub struct Client<'a>(pub(crate) &'a Vm);

impl<'a> Client<'a> {
    /// The machine.
    pub fn vm(self) -> &'a Vm {
        self.0
    }

    /// Sends requests, four at a time, each on a connection of its own, and tells who answered.
    pub fn load(self, target: SocketAddr, requests: u32) -> Result<LoadReport, LabError> {
        let plan = LoadPlan {
            target,
            requests,
            workers: 4,
            timeout_ms: 5000,
        };
        self.load_as(plan)
    }

    /// Sends requests as the plan says.
    pub fn load_as(self, plan: LoadPlan) -> Result<LoadReport, LabError> {
        let longest_ms =
            u64::from(plan.timeout_ms) * u64::from(plan.requests.div_ceil(plan.workers.max(1)));
        match self
            .0
            .request(Request::Load(plan), Duration::from_millis(longest_ms))?
        {
            Reply::Load(report) => Ok(report),
            other => Err(self.0.unexpected(&other).into()),
        }
    }

    /// Waits until `count` requests in a row are answered.
    pub fn wait_until_served(
        self,
        target: SocketAddr,
        count: u32,
        timeout: Duration,
    ) -> Result<(), LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            let load = self.load_as(LoadPlan {
                target,
                requests: count,
                workers: 1,
                timeout_ms: 900,
            })?;
            if load.failed() == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let what = format!("answers from {target}");
                return Err(LabError::TimedOut {
                    what,
                    last: format!("{load:?}"),
                });
            }
            std::thread::sleep(STATUS_PERIOD);
        }
    }

    /// Begins to send a request every `period`, until [`Client::stop_probe`].
    pub fn start_probe(
        self,
        target: SocketAddr,
        period: Duration,
        timeout: Duration,
    ) -> Result<(), LabError> {
        let plan = ProbePlan {
            target,
            period_ms: period.as_millis() as u32,
            timeout_ms: timeout.as_millis() as u32,
        };
        self.0.request(Request::StartProbe(plan), Duration::ZERO)?;
        Ok(())
    }

    /// What the probe has seen so far.
    pub fn probe(self) -> Result<ProbeReport, LabError> {
        self.probe_request(Request::ProbeReport)
    }

    /// Ends the probe.
    pub fn stop_probe(self) -> Result<ProbeReport, LabError> {
        self.probe_request(Request::StopProbe)
    }

    /// Opens connections and keeps them busy, until [`Client::close_streams`].
    pub fn open_streams(self, plan: StreamPlan) -> Result<StreamReport, LabError> {
        let longest_ms = u64::from(plan.timeout_ms) * u64::from(plan.streams);
        self.stream_request(
            Request::OpenStreams(plan),
            Duration::from_millis(longest_ms),
        )
    }

    /// How they fare.
    pub fn streams(self) -> Result<StreamReport, LabError> {
        self.stream_request(Request::StreamsReport, Duration::ZERO)
    }

    /// Closes them and tells how they fared.
    pub fn close_streams(self) -> Result<StreamReport, LabError> {
        self.stream_request(Request::CloseStreams, Duration::from_secs(60))
    }

    /// Opens talks, beside those that are open, and tells how all of them fare.
    pub fn open_talks(self, plan: TalkPlan) -> Result<Vec<TalkReport>, LabError> {
        let patience = Duration::from_millis(plan.timeout_ms.into()) * plan.talks;
        self.talk_request(Request::OpenTalks(plan), patience)
    }

    /// Lets the open talks go on, within `patience`; those of servers first.
    pub fn go_on(self, patience: Duration) -> Result<Vec<TalkReport>, LabError> {
        self.talk_request(Request::GoOnTalks, patience)
    }

    /// Runs a shell command.
    pub fn shell(self, command: &str) -> Result<String, LabError> {
        Ok(self.0.shell(command)?)
    }

    fn talk_request(
        self,
        request: Request,
        patience: Duration,
    ) -> Result<Vec<TalkReport>, LabError> {
        match self.0.request(request, patience)? {
            Reply::Talks(reports) => Ok(reports),
            other => Err(self.0.unexpected(&other).into()),
        }
    }

    fn probe_request(self, request: Request) -> Result<ProbeReport, LabError> {
        match self.0.request(request, Duration::ZERO)? {
            Reply::Probe(report) => Ok(report),
            other => Err(self.0.unexpected(&other).into()),
        }
    }

    fn stream_request(
        self,
        request: Request,
        patience: Duration,
    ) -> Result<StreamReport, LabError> {
        match self.0.request(request, patience)? {
            Reply::Streams(report) => Ok(report),
            other => Err(self.0.unexpected(&other).into()),
        }
    }
}
