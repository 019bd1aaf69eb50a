//! The answers to the requests at the control socket.

use director_core::config::Watch;
use director_core::director::{Command, Input, Part};
use director_core::event::Level;
use director_core::ipvs::WEIGHT_MAX;
use director_core::net::Name;
use director_core::overrides::Wish;
use director_core::status::Status;

use crate::files::{Loaded, without_secrets};
use crate::process::Work;
use crate::proto::{File, Reply, Request, Tagged};
use crate::reading::{Asker, Errand};
use crate::run::Shell;
use crate::token::Key;
use crate::{clock, kernel, limits, process};

/// What has to be done before there is a reply.
enum Later {
    /// Files are to be read.
    Read(Errand),
    /// A status is to be made.
    Tell,
}

/// Who is told a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// A client, with the tag of its request.
    Client(u32, u32),
    /// A reader of the metrics.
    Scrape(u32),
}

impl Shell {
    /// Answers a client's request, now or when the files have been read.
    pub(crate) fn answer(&mut self, client: u32, request: Tagged<Request>) {
        let Tagged { tag, body } = request;
        let authorized = self.core.config().node.secret.is_none() || self.ctl.is_authorized(client);
        let body = if body.changes() && !authorized {
            Reply::Denied {
                wait_s: self.secret_wait_s(),
            }
        } else {
            match self.reply_to(client, body, authorized) {
                Ok(reply) => reply,
                Err(Later::Read(errand)) => {
                    return self.begin_reading(Some((client, tag)), errand);
                }
                Err(Later::Tell) => return self.begin_telling(Listener::Client(client, tag)),
            }
        };
        self.reply(client, tag, body);
    }

    fn reply(&mut self, client: u32, tag: u32, body: Reply) {
        self.ctl.reply(client, self.now, &Tagged { tag, body });
    }

    /// The reply, or what has to be done before there is one.
    fn reply_to(
        &mut self,
        client: u32,
        request: Request,
        authorized: bool,
    ) -> Result<Reply, Later> {
        Ok(match request {
            Request::Access => Reply::Access {
                secret: self.core.config().node.secret.is_some(),
                authorized,
            },
            Request::Authorize { secret } => self.authorize(client, &secret),
            Request::Leave => {
                self.ctl.set_authorized(client, false);
                Reply::Done("access given up".to_string())
            }
            Request::Status => return Err(Later::Tell),
            Request::Log { lines, from } => {
                let mut log = self.core.log(usize::try_from(lines).unwrap_or(usize::MAX));
                log.retain(|line| line.sequence >= from);
                Reply::Log(log)
            }
            Request::ConfigShow { file } => self.show(file, authorized),
            Request::ConfigCheck => return Err(Later::Read(Errand::Check)),
            Request::Plan => return Err(Later::Read(Errand::Plan)),
            Request::ConfigPut { file, text } => return Err(Later::Read(Errand::Put(file, text))),
            Request::Reload => return Err(Later::Read(Errand::Reload)),
            Request::Handover { router } => self.hand_over(router),
            Request::Dest {
                service,
                dest,
                wish,
            } => self.set_dest(&service, &dest, wish),
            Request::LogLevel { level } => {
                self.monitoring.set_level(level);
                Reply::Done(format!("the log of the node is of {level}, and above"))
            }
            Request::Track { file, number } => match self.track_file(&file) {
                Some((name, path)) => return Err(Later::Read(Errand::Track(name, path, number))),
                None => Reply::Error(format!("there is no track_file {file}")),
            },
        })
    }

    /// Has the files read; [`Self::end_reading`] goes on.
    pub(crate) fn begin_reading(&mut self, asker: Asker, errand: Errand) {
        self.readings.want(asker, errand);
        self.readings.begin(&self.files, self.core.config());
    }

    /// The files have been read: takes them, and says what was found.
    pub(crate) fn end_reading(&mut self) {
        let Some(done) = self.readings.take() else {
            return;
        };
        if let Some(loaded) = done.reload {
            self.take_files(loaded);
        }
        if let Some((client, _)) = done.asker {
            self.ctl.reply_with(client, self.now, done.frame);
            self.ready.insert(Key::Client(client));
        }
        self.readings.begin(&self.files, self.core.config());
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

    /// The name and the path of a `track_file`.
    fn track_file(&self, name: &str) -> Option<(Name, String)> {
        let mut files = self.core.config().watches.iter().filter_map(Watch::file);
        let (name, path) = files.find(|(of, _)| of.as_str() == name)?;
        Some((name.clone(), path.to_owned()))
    }

    fn set_dest(&mut self, service: &str, dest: &str, wish: Wish) -> Reply {
        let (service, dest) = match self.core.find_dest(service, dest) {
            Ok(found) => found,
            Err(error) => return Reply::Error(error),
        };
        if matches!(wish, Wish::Weight(weight) if weight > WEIGHT_MAX) {
            return Reply::Error(format!("a weight is a number up to {WEIGHT_MAX}"));
        }
        let before = self.core.saved_number();
        self.feed(Input::Command(Command::Dest(service, dest, wish)));
        if self.core.saved_number() == before {
            return Reply::Error("too many dests are under an operator's word".to_string());
        }
        let done = match wish {
            Wish::Drain(None) => "drains, until no connection is left",
            Wish::Drain(Some(_)) => "drains, until no connection is left or the time is over",
            Wish::Disable => "is out",
            Wish::Weight(_) => "has this weight",
            Wish::Enable => "is as configured",
        };
        Reply::Done(format!("{dest} of {service} {done}"))
    }

    /// Takes the files as they were read, when they have no errors.
    fn take_files(&mut self, loaded: Loaded) {
        self.loaded = loaded;
        self.loaded.log();
        match self.loaded.take_config() {
            Some(config) => {
                process::name_node(config.node.hostname.as_deref());
                self.feed(Input::Config(Box::new(config)));
                self.configure_monitoring();
            }
            None => {
                let text = "the new configuration is refused, the one before stays in force";
                self.feed(Input::Note(Level::Error, text.to_string()));
            }
        }
    }

    /// Begins a status with counters of now; [`Self::go_on_telling`] ends it.
    pub(crate) fn begin_telling(&mut self, to: Listener) {
        self.refresh_counters();
        let telling = self.core.begin_telling();
        self.tellings.push_back((to, telling));
        // Where one piece is all, the answer is given at once.
        if self.tellings.len() == 1 {
            self.go_on_telling();
        }
    }

    /// Tells one piece of a status to whoever asked first. A long one is put into its frame by the thread.
    pub(crate) fn go_on_telling(&mut self) {
        let Some((to, mut telling)) = self.tellings.pop_front() else {
            return;
        };
        let is_short = telling.is_new();
        self.process.note(Work::Answers);
        let Some(status) = self.core.go_on_telling(&mut telling) else {
            return self.tellings.push_front((to, telling));
        };
        let status = Box::new(self.completed(status));
        match to {
            Listener::Client(client, tag) if is_short => {
                self.reply(client, tag, Reply::Status(status));
                self.ready.insert(Key::Client(client));
            }
            Listener::Client(client, tag) => {
                self.begin_reading(Some((client, tag)), Errand::Tell(status));
            }
            Listener::Scrape(number) => {
                self.monitoring.scrapes.answer(number, *status);
                self.ready.insert(Key::Scrape(number));
            }
        }
    }

    /// Whether a status is being made for somebody.
    pub(crate) fn is_told(&self, is: impl Fn(&Listener) -> bool) -> bool {
        self.tellings.iter().any(|(to, _)| is(to))
    }

    /// A status with what the shell knows, and with the figures of the process.
    fn completed(&self, mut status: Status) -> Status {
        let checked = self.loaded.checked();
        status.now_us = clock::now().micros();
        status.config.errors = checked.errors;
        status.config.warnings = checked.warnings;
        status.process = self.process.status();
        status.outlets = self.monitoring.outlets();
        if let Some(tracking) = &mut status.tracking {
            kernel::tracking::measure(tracking);
        }
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
