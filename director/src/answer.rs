//! The answers to the requests at the control socket.

use director_core::director::{Command, Input, Part};
use director_core::event::Level;
use director_core::status::Status;

use crate::files::without_secrets;
use crate::proto::{Checked, File, Reply, Request, Tagged};
use crate::run::Shell;
use crate::{clock, limits, process};

impl Shell {
    /// Answers a client's request.
    pub(crate) fn answer(&mut self, client: u32, request: Tagged<Request>) {
        let body = self.reply_to(client, request.body);
        self.ctl.reply(
            client,
            self.now,
            &Tagged {
                tag: request.tag,
                body,
            },
        );
    }

    fn reply_to(&mut self, client: u32, request: Request) -> Reply {
        let authorized = self.core.config().node.secret.is_none() || self.ctl.is_authorized(client);
        if request.changes() && !authorized {
            return Reply::Denied {
                wait_s: self.secret_wait_s(),
            };
        }
        match request {
            Request::Access => Reply::Access {
                secret: self.core.config().node.secret.is_some(),
                authorized,
            },
            Request::Authorize { secret } => self.authorize(client, &secret),
            Request::Leave => {
                self.ctl.set_authorized(client, false);
                Reply::Done("access given up".to_string())
            }
            Request::Status => Reply::Status(Box::new(self.status())),
            Request::Log { lines, from } => {
                let mut log = self.core.log(usize::try_from(lines).unwrap_or(usize::MAX));
                log.retain(|line| line.sequence >= from);
                Reply::Log(log)
            }
            Request::ConfigShow { file } => self.show(file, authorized),
            Request::ConfigCheck => Reply::Checked(self.files.load().checked()),
            Request::ConfigPut { file, text } => self.put(file, &text),
            Request::Reload => Reply::Checked(self.reload()),
            Request::Handover { router } => self.hand_over(router),
        }
    }

    fn authorize(&mut self, client: u32, shown: &str) -> Reply {
        let Some(secret) = &self.core.config().node.secret else {
            return Reply::Done("no secret is set".to_string());
        };
        if self.secret_wait_s() > 0 {
            return Reply::Denied {
                wait_s: self.secret_wait_s(),
            };
        }
        if !is_same(secret.as_bytes(), shown.as_bytes()) {
            log::warn!("a wrong secret was shown at the control socket");
            self.secret_at = self.now + limits::SECRET_PAUSE;
            return Reply::Denied {
                wait_s: self.secret_wait_s(),
            };
        }
        self.ctl.set_authorized(client, true);
        Reply::Done("access granted".to_string())
    }

    fn secret_wait_s(&self) -> u32 {
        let left = self.secret_at.since(self.now);
        u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
    }

    fn show(&self, file: File, authorized: bool) -> Reply {
        match self.files.read(file) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                Reply::Text(if authorized {
                    text.into_owned()
                } else {
                    without_secrets(&text)
                })
            }
            Err(error) => Reply::Error(format!("{file}: {error}")),
        }
    }

    fn put(&self, file: File, text: &str) -> Reply {
        let loaded = self.files.check(file, text);
        if !loaded.is_refused()
            && let Err(error) = self.files.replace(file, text)
        {
            return Reply::Error(format!("{file}: {error}"));
        }
        Reply::Checked(loaded.checked())
    }

    fn hand_over(&mut self, router: Option<String>) -> Reply {
        let name = match router.as_deref().map(str::parse).transpose() {
            Ok(name) => name,
            Err(error) => return Reply::Error(format!("virtual router: {error}")),
        };
        if let Some(name) = &name
            && !self
                .core
                .config()
                .routers
                .iter()
                .any(|router| router.name == *name)
        {
            return Reply::Error(format!("there is no virtual router {name}"));
        }
        self.feed(Input::Command(Command::Handover(name)));
        Reply::Done("handing over".to_string())
    }

    /// Reads the files again, and takes them when they have no errors.
    pub(crate) fn reload(&mut self) -> Checked {
        self.loaded = self.files.load();
        self.loaded.log();
        match self.loaded.take_config() {
            Some(config) => {
                process::name_node(config.node.hostname.as_deref());
                self.kernel.set_timeouts(config.timeouts);
                self.feed(Input::Config(Box::new(config)));
            }
            None => {
                let text = "the new configuration is refused, the one before stays in force";
                self.feed(Input::Note(Level::Error, text.to_string()));
            }
        }
        self.loaded.checked()
    }

    /// The status with counters of now, and the figures of the process.
    fn status(&mut self) -> Status {
        self.refresh_counters();
        let checked = self.loaded.checked();
        let mut status = self.core.status();
        status.now_us = clock::now().micros();
        status.config.errors = checked.errors;
        status.config.warnings = checked.warnings;
        status.process = self.process.status();
        if status.node.is_empty() {
            status.node = process::node_name();
        }
        status
    }

    /// Reads a small IPVS table at once when the last reading is no longer fresh.
    fn refresh_counters(&mut self) {
        let services = self.core.config().services.len();
        let fresh = |at| clock::now().since(at) < limits::COUNTERS_AGE_MAX;
        if services == 0
            || services > limits::COUNTERS_SERVICES_MAX
            || self.kernel.table_read_last().is_some_and(fresh)
        {
            return;
        }
        self.kernel.begin_read(Part::Ipvs);
        // A slice is enough for so few; if not, the next turn goes on.
        self.read_kernel();
    }
}

/// Compares in a time that does not depend on where the difference is.
fn is_same(secret: &[u8], shown: &[u8]) -> bool {
    let differ = secret
        .iter()
        .zip(shown)
        .fold(0, |differ, (a, b)| differ | (a ^ b));
    secret.len() == shown.len() && differ == 0
}
