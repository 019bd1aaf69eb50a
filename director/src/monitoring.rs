//! What leaves the node for monitoring: the log to other machines, the metrics to whoever asks, events to a FIFO.

use director_core::config::{Config, Level};
use director_core::event::Event;
use director_core::status::OutletStatus;
use director_core::time::{Instant, earliest};
use mio::Registry;

use crate::answer::Listener;
use crate::fact::Fact;
use crate::fifo::Fifos;
use crate::run::Shell;
use crate::scrape::{Scrapes, Wish};
use crate::syslog::Receiver;
use crate::throttle::{Throttle, Verdict};
use crate::token::Key;

/// All ways out.
#[derive(Debug)]
pub(crate) struct Monitoring {
    pub(crate) scrapes: Scrapes,
    syslog: Vec<Receiver>,
    fifos: Fifos,
    throttle: Throttle,
    /// Lines that matter less are not logged on the node.
    level: Level,
    /// The same by an operator's word, whatever the configuration says.
    told: Option<Level>,
}

impl Monitoring {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            scrapes: Scrapes::default(),
            syslog: Vec::new(),
            fifos: Fifos::default(),
            throttle: Throttle::new(now),
            level: Level::Info,
            told: None,
        }
    }

    /// Takes up a configuration; receivers that stay keep what they have not sent.
    pub(crate) fn configure(&mut self, registry: &Registry, now: Instant, config: &Config) {
        let node = &config.node;
        self.level = self.told.or(node.log_level).unwrap_or(Level::Info);
        if let Err(error) = self.scrapes.configure(registry, node.metrics) {
            log::error!("metrics are not served: {error}");
        }
        let mut former = core::mem::take(&mut self.syslog);
        for wanted in &node.syslog {
            let kept = former
                .iter()
                .position(|receiver| receiver.config() == wanted);
            let receiver = kept.map(|index| former.swap_remove(index));
            self.syslog
                .push(receiver.unwrap_or_else(|| Receiver::new(wanted.clone(), now)));
        }
        self.fifos.configure(config);
    }

    /// Logs only what matters so much on the node, until the director ends.
    pub(crate) const fn set_level(&mut self, level: Level) {
        self.told = Some(level);
        self.level = level;
    }

    /// What has become of the lines that were to leave the node.
    pub(crate) fn outlets(&self) -> Vec<OutletStatus> {
        let syslog = self.syslog.iter().map(Receiver::status);
        syslog.chain(self.fifos.status()).collect()
    }

    /// Tells everybody what happened; `fact` is what of it has a line in the FIFOs.
    pub(crate) fn tell(
        &mut self,
        registry: &Registry,
        now: Instant,
        event: &Event,
        fact: Option<&Fact>,
    ) {
        if let Some(fact) = fact {
            self.fifos.tell(fact);
        }
        let level = event.level();
        match self.throttle.judge(now) {
            Verdict::LeftOut => {}
            Verdict::Pass => self.log(registry, now, level, &event.to_string()),
        }
    }

    /// Does what its time has come for.
    pub(crate) fn handle_timeout(&mut self, registry: &Registry, now: Instant) {
        self.scrapes.drop_late(now);
        if let Some(count) = self.throttle.summary(now) {
            let text =
                format!("{count} lines were left out: they came faster than a log can be read");
            self.log(registry, now, Level::Warning, &text);
        }
        let due = |receiver: &Receiver| receiver.next_timeout().is_some_and(|at| at <= now);
        for number in 0..self.syslog.len() {
            if self.syslog.get(number).is_some_and(due) {
                self.go_on_with_syslog(registry, now, number);
            }
        }
    }

    /// When [`Monitoring::handle_timeout`] is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let receivers = self.syslog.iter().map(Receiver::next_timeout);
        let others = [self.scrapes.next_timeout(), self.throttle.next_timeout()];
        receivers.chain(others).fold(None, earliest)
    }

    fn log(&mut self, registry: &Registry, now: Instant, level: Level, text: &str) {
        if level <= self.level {
            let level = match level {
                Level::Error => log::Level::Error,
                Level::Warning => log::Level::Warn,
                Level::Info => log::Level::Info,
            };
            log::log!(target: "director", level, "{text}");
        }
        for number in 0..self.syslog.len() {
            if let Some(receiver) = self.syslog.get_mut(number) {
                receiver.push(level, text);
            }
            self.go_on_with_syslog(registry, now, number);
        }
    }

    fn go_on_with_syslog(&mut self, registry: &Registry, now: Instant, number: usize) {
        let token = Key::Syslog(u32::try_from(number).unwrap_or(u32::MAX)).token();
        if let Some(receiver) = self.syslog.get_mut(number) {
            receiver.progress(now, registry, token);
        }
    }
}

impl Shell {
    /// Takes up what the configuration in force says of monitoring.
    pub(crate) fn configure_monitoring(&mut self) {
        let registry = self.poll.registry();
        let config = self.core.config();
        self.monitoring.configure(registry, self.now, config);
        self.facts.configure(config);
        self.notices.configure(config);
    }

    /// Serves one of the sockets; true when there may be more.
    pub(crate) fn serve_monitoring(&mut self, key: Key) -> bool {
        let registry = self.poll.registry();
        match key {
            Key::Scrapes => self.monitoring.scrapes.accept(registry, self.now),
            Key::Scrape(number) => return self.serve_scrape(number),
            Key::Syslog(number) => {
                let number = usize::try_from(number).unwrap_or(usize::MAX);
                self.monitoring
                    .go_on_with_syslog(registry, self.now, number);
            }
            _ => {}
        }
        false
    }

    fn serve_scrape(&mut self, number: u32) -> bool {
        let to = Listener::Scrape(number);
        if self.is_told(|told| *told == to) {
            return false;
        }
        let mut buffer = core::mem::take(&mut self.buffer);
        let wish = self.monitoring.scrapes.serve(number, &mut buffer);
        self.buffer = buffer;
        if wish == Wish::Metrics {
            self.begin_telling(to);
        }
        wish == Wish::More
    }
}
