//! `notify_fifo`: a line for each change, to a FIFO, in keepalived's formats.
//!
//! The FIFO is opened for reading too, as keepalived does it: a reader may come and go without a signal or an error,
//! and what is written before it comes waits in the pipe. A line that does not fit is lost and counted; it never waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use director_core::check::Health;
use director_core::config::{Config, Fifo, FifoScope};
use director_core::event::Event;
use director_core::ipvs::{DestId, Protocol, ServiceId};
use director_core::vrrp::{self, StateName};
use nix::sys::stat::Mode;

/// The FIFOs, and which real servers are down.
#[derive(Debug, Default)]
pub(crate) struct Fifos {
    open: Vec<Open>,
    /// The failed checks of each real server: it is down while there is one.
    down: BTreeMap<(ServiceId, DestId), BTreeSet<u16>>,
}

#[derive(Debug)]
struct Open {
    config: Fifo,
    file: Option<File>,
    /// Lines lost since the last one that was written.
    lost: u64,
}

impl Fifos {
    /// Takes up a configuration; a FIFO that stays is kept open.
    pub(crate) fn configure(&mut self, config: &Config) {
        let mut former = core::mem::take(&mut self.open);
        for wanted in &config.fifos {
            let kept = former
                .iter()
                .position(|open| open.config == *wanted && open.file.is_some());
            let open = kept.map(|index| former.swap_remove(index));
            self.open
                .push(open.unwrap_or_else(|| Open::new(wanted.clone())));
        }
        self.down.retain(|(service, dest), _| {
            let servers = config
                .services
                .iter()
                .filter(|server| server.id == *service);
            servers
                .flat_map(|server| &server.real_servers)
                .any(|real| real.id == *dest)
        });
    }

    /// Writes what happened to those whom it concerns.
    pub(crate) fn tell(&mut self, event: &Event, config: &Config) {
        if self.open.is_empty() {
            return;
        }
        let Some((scope, line)) = self.line(event, config) else {
            return;
        };
        for open in &mut self.open {
            if open.config.scope == FifoScope::All || open.config.scope == scope {
                open.write(&line);
            }
        }
    }

    /// The line for an event, if it has one.
    fn line(&mut self, event: &Event, config: &Config) -> Option<(FifoScope, String)> {
        match event {
            Event::Vrrp { router, event } => {
                let vrrp::Event::StateChanged { new, .. } = event else {
                    return None;
                };
                let configured = config.routers.iter().find(|other| other.name == *router);
                let priority = configured.map_or(0, |router| router.priority);
                let state = match (new, configured) {
                    (_, None) => "DELETED",
                    (StateName::Active, _) => "MASTER",
                    (StateName::Backup, _) => "BACKUP",
                    (StateName::Fault, _) => "FAULT",
                    (StateName::Initialize, _) => "STOP",
                };
                Some((
                    FifoScope::Vrrp,
                    format!("INSTANCE \"{router}\" {state} {priority}\n"),
                ))
            }
            Event::Check(event) => {
                let key = (event.key.service, event.key.dest);
                let failed = self.down.entry(key).or_default();
                let before = failed.len();
                let is_turn = match event.new {
                    Health::Down => failed.insert(event.key.ordinal) && before == 0,
                    Health::Up => {
                        failed.remove(&event.key.ordinal);
                        failed.is_empty()
                    }
                };
                let turn = if event.new == Health::Up {
                    "UP"
                } else {
                    "DOWN"
                };
                let (service, dest) = (service_name(key.0), dest_name(key.0, key.1));
                is_turn.then(|| (FifoScope::Lvs, format!("RS {dest} {service} {turn}\n")))
            }
            Event::Quorum { service, held, .. } => {
                let turn = if *held { "UP" } else { "DOWN" };
                Some((
                    FifoScope::Lvs,
                    format!("VS {} {turn}\n", service_name(*service)),
                ))
            }
            _ => None,
        }
    }
}

/// `[ADDRESS]:tcp:PORT`, or `FWM MARK`.
fn service_name(service: ServiceId) -> String {
    match service {
        ServiceId::Address {
            protocol,
            address,
            port,
        } => format!("[{address}]:{}:{port}", protocol_name(protocol)),
        ServiceId::Fwmark { mark, .. } => format!("FWM {mark}"),
    }
}

fn dest_name(service: ServiceId, dest: DestId) -> String {
    let protocol = match service {
        ServiceId::Address { protocol, .. } => protocol,
        ServiceId::Fwmark { .. } => Protocol::Tcp,
    };
    format!(
        "[{}]:{}:{}",
        dest.address,
        protocol_name(protocol),
        dest.port
    )
}

const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

impl Open {
    fn new(config: Fifo) -> Self {
        let file = open(&config.path);
        if let Err(error) = &file {
            log::error!("{}: {error}: nothing is written there", config.path);
        }
        Self {
            config,
            file: file.ok(),
            lost: 0,
        }
    }

    /// A line is shorter than PIPE_BUF, so that it is written whole or not at all.
    fn write(&mut self, line: &str) {
        let Some(file) = &mut self.file else {
            return;
        };
        match file.write(line.as_bytes()) {
            Ok(_) if self.lost > 0 => {
                log::warn!(
                    "{}: {} lines were lost: nobody read them",
                    self.config.path,
                    self.lost
                );
                self.lost = 0;
            }
            Ok(_) => {}
            Err(_) => self.lost += 1,
        }
    }
}

/// Opens the FIFO, which is made when it is not there.
fn open(path: &str) -> io::Result<File> {
    match nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("it is there and no FIFO"));
    }
    Ok(file)
}
