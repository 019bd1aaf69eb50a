//! What programs that failed have said.

use std::collections::BTreeMap;

use crate::limits;

/// The first words of the programs whose last run failed, by the slot of their check: most checks are none, and pay
/// nothing for it.
#[derive(Debug, Default)]
pub(super) struct Said {
    last: BTreeMap<u32, String>,
    /// Of the run that is about to end.
    coming: Option<(u32, String)>,
}

impl Said {
    /// Takes what a program has written; its end follows.
    pub(super) fn hear(&mut self, index: u32, output: &[u8]) {
        self.coming = Some((index, first_line(output)));
    }

    /// A run has come to its end.
    pub(super) fn end(&mut self, index: u32, failed: bool) {
        let coming = self.coming.take();
        let words = coming.filter(|(of, words)| *of == index && failed && !words.is_empty());
        match words {
            Some((_, words)) => drop(self.last.insert(index, words)),
            None => self.forget(index),
        }
    }

    pub(super) fn forget(&mut self, index: u32) {
        self.last.remove(&index);
    }

    pub(super) fn of(&self, index: u32) -> &str {
        self.last.get(&index).map_or("", String::as_str)
    }
}

/// The first line with something in it, as far as it is short and can be shown anywhere.
fn first_line(output: &[u8]) -> String {
    let mut lines = output.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    let shown = line.iter().take(limits::SAID_MAX).map(|byte| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '?',
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_kept_short_and_harmless() {
        for (output, line) in [
            (&b""[..], ""),
            (b"\n \r\n down: no route\r\nmore\n", "down: no route"),
            (b"\x1b[31mred \xc3\xa4\x07", "?[31mred ???"),
        ] {
            assert_eq!(first_line(output), line);
        }
        assert_eq!(first_line(&[b'x'; 1000]).len(), limits::SAID_MAX);
    }

    #[test]
    fn what_was_said_is_of_the_last_run_that_failed() {
        let mut said = Said::default();
        said.hear(1, b"no");
        said.end(2, true);
        assert_eq!([said.of(1), said.of(2)], ["", ""], "another one's end");
        said.hear(1, b"no");
        said.end(1, true);
        assert_eq!(said.of(1), "no");
        said.hear(1, b"fine");
        said.end(1, false);
        assert_eq!(said.of(1), "");
    }
}
