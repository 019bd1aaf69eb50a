//! `notify_fifo`: a line for each change, to a FIFO, in keepalived's formats.
//!
//! The FIFO is opened for reading too, as keepalived does it: a reader may come and go without a signal or an error,
//! and what is written before it comes waits in the pipe. A line that does not fit is lost and counted; it never waits.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use director_core::config::{Config, Fifo, FifoScope};
use director_core::status::OutletStatus;
use nix::sys::stat::Mode;

use crate::fact::Fact;

/// The FIFOs.
#[derive(Debug, Default)]
pub(crate) struct Fifos {
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    config: Fifo,
    file: Option<File>,
    /// Lines lost since the last one that was written.
    missed: u64,
    /// All that were.
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
    }

    pub(crate) fn status(&self) -> impl Iterator<Item = OutletStatus> {
        self.open.iter().map(|open| OutletStatus {
            kind: "fifo".to_string(),
            to: open.config.path.clone(),
            waiting: 0,
            lost: open.lost,
        })
    }

    /// Writes what happened to those whom it concerns.
    pub(crate) fn tell(&mut self, fact: &Fact) {
        for open in &mut self.open {
            if open.config.scope == FifoScope::All || open.config.scope == fact.scope() {
                open.write(&format!("{fact}\n"));
            }
        }
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
            missed: 0,
            lost: 0,
        }
    }

    /// A line is shorter than PIPE_BUF, so that it is written whole or not at all.
    fn write(&mut self, line: &str) {
        let written = self.file.as_mut().map(|file| file.write(line.as_bytes()));
        match written {
            Some(Ok(_)) if self.missed > 0 => {
                log::warn!(
                    "{}: {} lines were lost: nobody read them",
                    self.config.path,
                    self.missed
                );
                self.missed = 0;
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => {
                self.missed += 1;
                self.lost += 1;
            }
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use director_core::check::{self, Health};
    use director_core::config::{Source, parse};
    use director_core::event::{CheckKey, Event};
    use director_core::ipvs::{DestId, Protocol, ServiceId};
    use director_core::time::Duration;
    use director_core::vrrp::{self, Cause, StateName};

    use super::*;
    use crate::fact::Facts;

    #[test]
    fn each_fifo_gets_its_lines_in_keepaliveds_words_and_lost_ones_are_counted() {
        let folder = std::env::temp_dir().join(format!("keelson-fifo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let place = |name: &str| folder.join(name).display().to_string();
        let (all, vrrp) = (place("all"), place("vrrp"));
        let text = format!(
            "global_defs {{\nnotify_fifo {all}\nvrrp_notify_fifo {vrrp}\n}}\n\
             vrrp_instance web {{\ninterface eth0\nvirtual_router_id 7\npriority 150\n\
             virtual_ipaddress {{\n10.0.0.100\n}}\n}}\n"
        );
        let source = Source {
            name: "keepalived.conf",
            bytes: text.as_bytes(),
        };
        let config = parse(Some(source), None).config.unwrap();
        let mut fifos = Fifos::default();
        fifos.configure(&config);
        let mut facts = Facts::default();
        let service = ServiceId::Address {
            protocol: Protocol::Tcp,
            address: [10, 0, 0, 100].into(),
            port: 80,
        };
        for event in [
            became(StateName::Active),
            check_event(service, Health::Down),
            check_event(service, Health::Up),
            Event::Group {
                group: "both".parse().unwrap(),
                old: StateName::Active,
                new: StateName::Fault,
                lasted: Duration::ZERO,
            },
            Event::Quorum {
                service,
                held: false,
                weight: 0,
                quorum: 1,
                lasted: Duration::ZERO,
            },
            Event::Overrun,
        ] {
            if let Some(fact) = facts.of(&event, &config) {
                fifos.tell(&fact);
            }
        }
        let mut read = |index: usize| {
            let mut bytes = [0; 4096];
            let file = fifos.open[index].file.as_mut().unwrap();
            let length = file.read(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        let instance = "INSTANCE \"web\" MASTER 150\n";
        let group = "GROUP \"both\" FAULT 0\n";
        let expected = format!(
            "{instance}RS [10.0.0.21]:tcp:80 [10.0.0.100]:tcp:80 DOWN\n\
             RS [10.0.0.21]:tcp:80 [10.0.0.100]:tcp:80 UP\n{group}VS [10.0.0.100]:tcp:80 DOWN\n"
        );
        assert_eq!((read(0), read(1)), (expected, format!("{instance}{group}")));
        // Nobody reads: the pipe is full after a while, and nothing waits.
        while fifos.open[1].lost < 3 {
            fifos.tell(&facts.of(&became(StateName::Backup), &config).unwrap());
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    fn became(new: StateName) -> Event {
        let event = vrrp::Event::StateChanged {
            old: StateName::Initialize,
            new,
            cause: Cause::Owner,
            lasted: Duration::ZERO,
        };
        Event::Vrrp {
            router: "web".parse().unwrap(),
            event,
        }
    }

    fn check_event(service: ServiceId, new: Health) -> Event {
        let old = match new {
            Health::Up => Health::Down,
            Health::Down => Health::Up,
        };
        let dest = DestId {
            address: [10, 0, 0, 21].into(),
            port: 80,
        };
        Event::Check(check::Event {
            key: CheckKey {
                service,
                dest,
                ordinal: 0,
            },
            kind: "TCP",
            target: ([10, 0, 0, 21], 80).into(),
            path: None,
            old,
            new,
            cause: None,
            value: None,
            lasted: Duration::ZERO,
            took: Duration::ZERO,
        })
    }
}
