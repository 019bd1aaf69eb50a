//! The kinds of values that keywords take.

use core::ops::RangeInclusive;
use core::str::FromStr;
use std::borrow::Cow;

use super::{COMMENTS, ONE_LINE, Reader};
use crate::config::diagnostic::{hides, quote};
use crate::config::keywords;
use crate::config::strings;
use crate::config::tree::{Statement, Word};
use crate::net::ParseError;
use crate::time::Duration;

/// What a keyword that names a program says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Program {
    /// The program and its arguments.
    pub(in crate::config) words: Vec<String>,
    /// Whom it is to be run as.
    pub(in crate::config) user: Option<String>,
    /// The group of that.
    pub(in crate::config) group: Option<String>,
}

impl Reader<'_, '_> {
    /// The keyword's value: the first word after it. Further words are reported.
    pub(in crate::config) fn value<'t>(&mut self, statement: Statement<'t>) -> Option<Word<'t>> {
        let mut arguments = statement.arguments();
        let value = arguments.next();
        if value.is_none() {
            let word = statement.keyword();
            self.sink
                .error(word.at, format!("{} needs a value", word.quoted()));
        }
        if keywords::is_secret(statement.keyword().bytes) {
            self.one_secret(statement, arguments.next());
        } else {
            self.no_more(arguments);
        }
        value
    }

    /// A second word after a secret, which is not quoted in the message: it may well be a part of it.
    fn one_secret(&mut self, statement: Statement<'_>, second: Option<Word<'_>>) {
        let Some(word) = second else { return };
        let name = statement.keyword().quoted();
        if keywords::find(self.block, word.bytes).is_some() {
            self.no_more(core::iter::once(word));
        } else {
            let message = format!("{name} is one word; what follows it is ignored");
            self.sink
                .warning(word.at, message)
                .hint("put a text with blanks in quotes");
        }
    }

    /// Reports the first word that a statement has too many.
    pub(in crate::config) fn no_more<'t>(&mut self, mut arguments: impl Iterator<Item = Word<'t>>) {
        let Some(word) = arguments.next() else { return };
        let name = word.quoted();
        if keywords::find(self.block, word.bytes).is_some() {
            let message =
                format!("{name} is on the line of another statement and would be ignored");
            self.sink.error(word.at, message).hint(ONE_LINE);
        } else {
            let message = format!("{name} is one word too many and ignored");
            let report = self.sink.warning(word.at, message);
            if word.bytes.starts_with(b"//") {
                report.hint(COMMENTS);
            }
        }
    }

    /// A value as text.
    pub(in crate::config) fn text<'t>(&mut self, statement: Statement<'t>) -> Option<Cow<'t, str>> {
        let word = self.value(statement)?;
        self.utf8(word)
    }

    /// A word as text.
    pub(in crate::config) fn utf8<'t>(&mut self, word: Word<'t>) -> Option<Cow<'t, str>> {
        let text = word.text();
        if text.is_none() {
            self.wrong(word, "not UTF-8 text");
        }
        text
    }

    /// The strings after the keyword, at least one, for keywords that read their line as a shell would: see
    /// [`strings::split`].
    pub(in crate::config) fn strings(&mut self, statement: Statement<'_>) -> Option<Vec<Vec<u8>>> {
        let (text, from) = statement.raw();
        match strings::split(text) {
            Ok(strings) if strings.is_empty() => {
                self.value(statement);
                None
            }
            Ok(strings) => Some(strings),
            Err(offset) => {
                let at = statement.place(from + offset);
                self.sink.error(at, "the quote is not closed on this line");
                None
            }
        }
    }

    /// A program with its arguments, which are one string, and the user and the group that it is to be run as.
    pub(in crate::config) fn program(&mut self, statement: Statement<'_>) -> Option<Program> {
        let at = statement.place(statement.raw().1);
        let mut strings = self.strings(statement)?.into_iter();
        let first = strings.next().unwrap_or_default();
        let Ok(words) = strings::split(&first) else {
            let message = "a quote in the program's arguments is not closed";
            self.sink.error(at, message);
            return None;
        };
        let all: Result<Vec<String>, _> = words.into_iter().map(String::from_utf8).collect();
        let mut after = strings.map(String::from_utf8);
        let (Ok(words), Ok(user), Ok(group)) =
            (all, after.next().transpose(), after.next().transpose())
        else {
            self.sink.error(at, "not UTF-8 text");
            return None;
        };
        if words.is_empty() {
            self.sink.error(at, "the name of a program is missing");
            return None;
        }
        if after.next().is_some() {
            let message = "only a user and a group may follow a program; the rest is ignored";
            let hint = "put the program and its arguments in one pair of quotes";
            self.sink.warning(at, message).hint(hint);
        }
        Some(Program { words, user, group })
    }

    /// A value of a type that can be read from text.
    pub(in crate::config) fn parse<T: FromStr<Err = ParseError>>(
        &mut self,
        statement: Statement<'_>,
    ) -> Option<T> {
        let word = self.value(statement)?;
        self.parse_word(word)
    }

    /// A word of a type that can be read from text.
    pub(in crate::config) fn parse_word<T: FromStr<Err = ParseError>>(
        &mut self,
        word: Word<'_>,
    ) -> Option<T> {
        let text = self.utf8(word)?;
        // Names end up in the log and on consoles.
        if text.chars().any(hides) {
            self.wrong(word, "it has characters that can't be seen");
            return None;
        }
        text.parse()
            .map_err(|error: ParseError| self.wrong(word, error))
            .ok()
    }

    /// A decimal number in a range.
    pub(in crate::config) fn number(
        &mut self,
        statement: Statement<'_>,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let word = self.value(statement)?;
        let name = statement.keyword();
        self.number_word(word, name.bytes, range)
    }

    /// A word that is a decimal number in a range; `name` is what it is the number of.
    pub(in crate::config) fn number_word(
        &mut self,
        word: Word<'_>,
        name: &[u8],
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = decimal(word.bytes).and_then(|value| u32::try_from(value).ok());
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            let (low, high) = (range.start(), range.end());
            self.wrong(
                word,
                format!("{} is a number from {low} to {high}", quote(name)),
            );
        }
        value
    }

    /// Seconds with at most six decimals, in a range.
    pub(in crate::config) fn timer(
        &mut self,
        statement: Statement<'_>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let word = self.value(statement)?;
        self.timer_word(word, statement.keyword().bytes, range)
    }

    /// A word that is such a time; `name` is what it is the time of.
    pub(in crate::config) fn timer_word(
        &mut self,
        word: Word<'_>,
        name: &[u8],
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let Some((value, exact)) = seconds(word.bytes) else {
            self.wrong(
                word,
                format!("{} is a time in seconds, such as 5 or 0.5", quote(name)),
            );
            return None;
        };
        if !range.contains(&value) {
            let (low, high) = (range.start().as_secs_f64(), range.end().as_secs_f64());
            self.wrong(
                word,
                format!("{} is a time from {low} to {high} seconds", quote(name)),
            );
            return None;
        }
        if !exact {
            self.sink.warning(
                word.at,
                "a time has at most six decimals; the rest is left out",
            );
        }
        Some(value)
    }

    /// A flag with an optional value; without one it is true.
    pub(in crate::config) fn flag(&mut self, statement: Statement<'_>) -> Option<bool> {
        statement.arguments().next().map_or(Some(true), |_| {
            let word = self.value(statement)?;
            match word.bytes {
                b"on" | b"true" | b"yes" => Some(true),
                b"off" | b"false" | b"no" => Some(false),
                _ => {
                    self.wrong(word, "not one of on, off, true, false, yes, no");
                    None
                }
            }
        })
    }

    /// A flag without a value. Keepalived takes it as set whatever follows, so a value is pointed out.
    pub(in crate::config) fn bare(&mut self, statement: Statement<'_>) {
        if let Some(word) = statement.arguments().next() {
            let name = statement.keyword().quoted();
            let message = format!("{name} takes no value: it is on, whatever follows");
            self.sink.warning(word.at, message);
        }
    }
}

/// A decimal number without sign.
pub(in crate::config) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Seconds with decimals, and whether six decimals were enough to hold them.
fn seconds(bytes: &[u8]) -> Option<(Duration, bool)> {
    let mut parts = bytes.splitn(2, |byte| *byte == b'.');
    let (whole, fraction) = (parts.next()?, parts.next());
    let digits = fraction.unwrap_or_default();
    if whole.is_empty() && digits.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { decimal(whole)? };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        let digit = digits.get(place).map_or(0, |digit| u64::from(digit - b'0'));
        micros = micros * 10 + digit;
    }
    let exact = digits.iter().skip(6).all(|digit| *digit == b'0');
    let whole = whole.checked_mul(1_000_000)?;
    Some((Duration::from_micros(whole.checked_add(micros)?), exact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;
    use crate::config::diagnostic::Sink;
    use crate::config::keywords::Block;
    use crate::config::lex::lex;
    use crate::config::text::Text;
    use crate::config::tree::Tree;

    /// What `program` makes of the first statement, and the first thing that it says.
    fn program(text: &str) -> (Option<Program>, String) {
        let bytes = text.as_bytes();
        let name = "file";
        let mut sink = Sink::new(vec![Source { name, bytes }]);
        let text = Text::plain(0, bytes);
        let tokens = lex(&text, &mut sink);
        let tree = Tree::build(&text, tokens, Block::RealServer, &mut sink);
        let statement = tree.statements().next().unwrap();
        let program = Reader::new(&mut sink).program(statement);
        let said = sink.finish().first().map(ToString::to_string);
        (program, said.unwrap_or_default())
    }

    #[test]
    fn a_program_is_read_with_its_arguments_and_who_runs_it() {
        for (text, words, user, group) in [
            ("notify_up /bin/a", &["/bin/a"][..], None, None),
            (
                r#"notify_up "/bin/a 'b c' d" # e"#,
                &["/bin/a", "b c", "d"],
                None,
                None,
            ),
            (
                r#"notify_up '/bin/a "b}"' root"#,
                &["/bin/a", "b}"],
                Some("root"),
                None,
            ),
            (
                r#"notify_up /bin/"a b" u :g }"#,
                &["/bin/a", "b"],
                Some("u"),
                Some(":g"),
            ),
        ] {
            let expected = Program {
                words: words.iter().map(|word| (*word).to_owned()).collect(),
                user: user.map(str::to_owned),
                group: group.map(str::to_owned),
            };
            assert_eq!(program(text).0, Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_program_is_said_with_its_place() {
        for (text, at) in [
            ("notify_up", "file:1:1: error: `notify_up` needs a value"),
            (
                r#"notify_up "" x"#,
                "file:1:11: error: the name of a program",
            ),
            (
                "notify_up a 'b",
                "file:1:13: error: the quote is not closed",
            ),
            (
                r#"notify_up "a 'b""#,
                "file:1:11: error: a quote in the program's",
            ),
            ("notify_up \"\\xff\"", "file:1:11: error: not UTF-8"),
        ] {
            let (program, said) = program(text);
            assert_eq!(program, None, "{text}");
            assert!(said.starts_with(at), "{text}: {said}");
        }
    }
}
