//! What the words about intervals and preemption mean together.

use super::Draft;
use crate::config::Version;
use crate::config::global::Global;
use crate::config::read::Reader;
use crate::time::Duration;

/// The advertisement interval of version 3 has 12 bits of hundredths (RFC 9568 section 5.2.7).
const V3_INTERVAL_MAX: Duration = Duration::from_millis(40_950);

impl Draft<'_> {
    /// The interval is one that its version has.
    pub(super) fn settle_interval(&self, reader: &mut Reader<'_, '_>, global: &Global) {
        let Some((interval, word)) = self.advert_interval else {
            return;
        };
        match self.version(global) {
            Version::V2 if interval.subsec_micros() != 0 || interval.is_zero() => {
                let message = format!(
                    "{}: version 2 has whole seconds from 1 to 255",
                    word.quoted()
                );
                let hint = "`version 3`, on all nodes, has intervals from 0.01 to 40.95 seconds";
                reader.sink.error(word.at, message).hint(hint);
            }
            Version::V3 if interval.as_micros() % 10_000 != 0 || interval > V3_INTERVAL_MAX => {
                reader.wrong(word, "version 3 has hundredths of a second up to 40.95");
            }
            _ => {}
        }
    }

    /// Who preempts whom, and when.
    pub(super) fn settle_preemption(&mut self, reader: &mut Reader<'_, '_>) {
        if let (Some(preempt), Some(nopreempt)) = (self.preempt, self.nopreempt) {
            let (first, second) = (preempt.min(nopreempt), preempt.max(nopreempt));
            let line = reader.sink.line(first, second);
            let word = if preempt > nopreempt {
                "preempt"
            } else {
                "nopreempt"
            };
            let message = format!("`{word}` contradicts {line}");
            reader.sink.error(second, message);
        }
        let because = match (self.state_master, self.priority) {
            (Some(_), _) => Some("with `state MASTER`"),
            (_, Some(255)) => Some("with priority 255"),
            _ => None,
        };
        if let Some(at) = self.expires
            && (self.nopreempt.is_none() || because.is_some())
        {
            let message = "`timer_expired_backup` has no effect without `nopreempt`";
            reader.sink.warning(at, message);
            self.expires = None;
        }
        if let Some(because) = because {
            if let Some(at) = self.nopreempt.take() {
                reader
                    .sink
                    .warning(at, format!("`nopreempt` has no effect {because}"));
            }
            if let Some((_, at)) = self.preempt_delay.take() {
                reader
                    .sink
                    .warning(at, format!("`preempt_delay` has no effect {because}"));
            }
        } else if self.nopreempt.is_some()
            && let Some((_, at)) = self.preempt_delay.take()
        {
            reader
                .sink
                .warning(at, "`preempt_delay` has no effect with `nopreempt`");
        }
    }
}
