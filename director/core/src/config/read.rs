//! Statements to values: the verdict of the keyword table, and the kinds of values that keywords take.
//!
//! What is wrong is reported where it is found; a reader that answers `None` has said why.

use core::ops::RangeInclusive;
use core::str::FromStr;
use std::borrow::Cow;

use super::diagnostic::{Place, Sink, hides, quote};
use super::keywords::{self, Block, Braces, Keyword, Mark};
use super::tree::{Statement, Statements, Word};
use crate::net::ParseError;
use crate::time::Duration;

/// Reads the statements of both files into the same list of problems.
pub(super) struct Reader<'r, 'a> {
    pub(super) sink: &'r mut Sink<'a>,
    /// Keywords of the table that have had their warning.
    told: Vec<bool>,
    /// Options that have had their warning.
    told_options: Vec<&'static str>,
    /// The block whose statements are being read.
    block: Block,
}

impl<'r, 'a> Reader<'r, 'a> {
    pub(super) fn new(sink: &'r mut Sink<'a>) -> Self {
        let told = vec![false; keywords::keywords().len()];
        Self {
            sink,
            told,
            told_options: Vec::new(),
            block: Block::Keepalived,
        }
    }

    /// Goes through the statements of a block and hands those that act to `act`, with the keyword's canonical name.
    /// All others get the verdict of the table here.
    pub(super) fn each<'t>(
        &mut self,
        block: Block,
        statements: Statements<'t>,
        mut act: impl FnMut(&mut Self, &'static str, Statement<'t>),
    ) {
        let outer = core::mem::replace(&mut self.block, block);
        let mut seen: Vec<(&'static str, Statement<'t>)> = Vec::new();
        for statement in statements {
            if self.sink.is_full() {
                break;
            }
            let Some((index, keyword)) = statement.entry() else {
                self.unknown(statement);
                continue;
            };
            if !self.verdict(index, keyword, statement) || !self.braces(keyword, statement) {
                continue;
            }
            if !keyword.repeats {
                match seen.iter().find(|(word, _)| *word == keyword.canonical) {
                    Some((_, first)) => {
                        self.again(*first, statement);
                        continue;
                    }
                    None => seen.push((keyword.canonical, statement)),
                }
            }
            act(self, keyword.canonical, statement);
            self.block = block;
        }
        self.block = outer;
    }

    /// Whether a keyword acts; says what becomes of it when it does not.
    fn verdict(&mut self, index: usize, keyword: &Keyword, statement: Statement<'_>) -> bool {
        let at = statement.keyword().at;
        let word = keyword.word;
        match keyword.mark {
            Mark::Acts => return true,
            Mark::NotYet => {
                self.sink
                    .error(at, format!("`{word}` is not yet supported"));
            }
            Mark::Refused(reason) => {
                self.sink
                    .error(at, format!("`{word}` is refused: {reason}"));
            }
            Mark::Accepted(instead) => {
                if self.first_time(index) {
                    self.sink
                        .warning(at, format!("`{word}` has no effect: {instead}"));
                }
            }
            Mark::Dead(instead) => {
                if self.first_time(index) {
                    self.sink
                        .warning(at, format!("keepalived ignores `{word}`: {instead}"));
                }
            }
        }
        false
    }

    fn first_time(&mut self, index: usize) -> bool {
        self.told
            .get_mut(index)
            .is_some_and(|told| !core::mem::replace(told, true))
    }

    /// Whether it is the first time that an option needs its warning.
    pub(super) fn once(&mut self, option: &'static str) -> bool {
        let first = !self.told_options.contains(&option);
        if first {
            self.told_options.push(option);
        }
        first
    }

    fn unknown(&mut self, statement: Statement<'_>) {
        if statement.is_anonymous() {
            return; // the tree has said so
        }
        let word = statement.keyword();
        if word.bytes.contains(&b'$') && self.variable(word) {
            return;
        }
        let place = match self.block {
            block if block.is_outermost() => "outside all blocks".to_owned(),
            block => format!("in `{}`", block.word()),
        };
        let text = String::from_utf8_lossy(word.bytes);
        let comment = word.bytes.starts_with(b"//").then(|| COMMENTS.to_owned());
        let hint = comment
            .or_else(|| {
                let near = keywords::near_miss(self.block, &text)?;
                Some(format!("did you mean `{near}`?"))
            })
            .or_else(|| belongs(self.block, word.bytes));
        let report = self.sink.error(
            word.at,
            format!("unknown keyword {} {place}", word.quoted()),
        );
        if let Some(hint) = hint {
            report.hint(hint);
        }
    }

    fn braces(&mut self, keyword: &Keyword, statement: Statement<'_>) -> bool {
        let at = statement.keyword().at;
        let word = keyword.word;
        match (keyword.braces, statement.has_block()) {
            (Braces::Yes, false) => {
                self.sink
                    .error(at, format!("`{word}` needs a block: `{word} .. {{`"));
                false
            }
            (Braces::No, true) => {
                let report = self.sink.error(at, format!("`{word}` has no block"));
                let block = keyword.block;
                if statement
                    .arguments()
                    .any(|word| keywords::find(block, word.bytes).is_some())
                {
                    report.hint(ONE_LINE);
                }
                false
            }
            _ => true,
        }
    }

    /// A keyword that can only be given once was given before: harmless when it says the same.
    fn again(&mut self, first: Statement<'_>, statement: Statement<'_>) {
        let line = self.sink.line(first.keyword().at);
        let word = statement.keyword();
        let name = word.quoted();
        let same = first
            .arguments()
            .map(|word| word.bytes)
            .eq(statement.arguments().map(|word| word.bytes));
        if same && !statement.has_block() {
            self.sink.warning(
                word.at,
                format!("{name} is given twice, first on line {line}"),
            );
        } else {
            self.sink
                .error(word.at, format!("{name} contradicts line {line}"));
        }
    }

    /// Reports a word that is not what it should be. A variable in it is the reason, and said instead.
    pub(super) fn wrong(&mut self, word: Word<'_>, what: impl core::fmt::Display) {
        if word.bytes.contains(&b'$') && self.variable(word) {
            return;
        }
        self.sink
            .error(word.at, format!("{}: {what}", word.quoted()));
    }

    /// Whether the word has a variable in it; says so.
    fn variable(&mut self, word: Word<'_>) -> bool {
        let mut names = word.bytes.split(|byte| *byte == b'$').skip(1);
        let is_variable = names.any(|name| {
            let name = name.strip_prefix(b"{").unwrap_or(name);
            name.first()
                .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        });
        if is_variable {
            self.sink.error(
                word.at,
                format!("{}: variables are not yet supported", word.quoted()),
            );
        }
        is_variable
    }

    /// The keyword's value: the first word after it. Further words are reported.
    pub(super) fn value<'t>(&mut self, statement: Statement<'t>) -> Option<Word<'t>> {
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
    pub(super) fn no_more<'t>(&mut self, mut arguments: impl Iterator<Item = Word<'t>>) {
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
    pub(super) fn text<'t>(&mut self, statement: Statement<'t>) -> Option<Cow<'t, str>> {
        let word = self.value(statement)?;
        self.utf8(word)
    }

    /// A word as text.
    pub(super) fn utf8<'t>(&mut self, word: Word<'t>) -> Option<Cow<'t, str>> {
        let text = word.text();
        if text.is_none() {
            self.wrong(word, "not UTF-8 text");
        }
        text
    }

    /// A value of a type that can be read from text.
    pub(super) fn parse<T: FromStr<Err = ParseError>>(
        &mut self,
        statement: Statement<'_>,
    ) -> Option<T> {
        let word = self.value(statement)?;
        self.parse_word(word)
    }

    /// A word of a type that can be read from text.
    pub(super) fn parse_word<T: FromStr<Err = ParseError>>(&mut self, word: Word<'_>) -> Option<T> {
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
    pub(super) fn number(
        &mut self,
        statement: Statement<'_>,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let word = self.value(statement)?;
        let name = statement.keyword();
        self.number_word(word, name.bytes, range)
    }

    /// A word that is a decimal number in a range; `name` is what it is the number of.
    pub(super) fn number_word(
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
    pub(super) fn timer(
        &mut self,
        statement: Statement<'_>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let word = self.value(statement)?;
        let name = statement.keyword().quoted();
        let Some((value, exact)) = seconds(word.bytes) else {
            self.wrong(
                word,
                format!("{name} is a time in seconds, such as 5 or 0.5"),
            );
            return None;
        };
        if !range.contains(&value) {
            let (low, high) = (range.start().as_secs_f64(), range.end().as_secs_f64());
            self.wrong(
                word,
                format!("{name} is a time from {low} to {high} seconds"),
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
    pub(super) fn flag(&mut self, statement: Statement<'_>) -> Option<bool> {
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
    pub(super) fn bare(&mut self, statement: Statement<'_>) {
        if let Some(word) = statement.arguments().next() {
            let name = statement.keyword().quoted();
            let message = format!("{name} takes no value: it is on, whatever follows");
            self.sink.warning(word.at, message);
        }
    }

    /// Reports that something was already there.
    pub(super) fn twice(&mut self, at: Place, what: &str, first: Place) {
        let line = self.sink.line(first);
        self.sink
            .error(at, format!("{what} is already there on line {line}"));
    }
}

/// What helps when something looks like a comment and is none.
pub(super) const COMMENTS: &str = "a comment begins with `#` or `!`";

/// What helps when a statement begins in the middle of a line.
const ONE_LINE: &str = "begin a new line: a statement ends with its line";

/// Where a keyword that is unknown in one block belongs.
fn belongs(block: Block, word: &[u8]) -> Option<String> {
    let same_file = |other: Block| (other < Block::RouterConf) == (block < Block::RouterConf);
    let homes = Block::ALL.into_iter().filter(|home| same_file(*home));
    let mut homes = homes.filter(|home| {
        let keyword = keywords::find(*home, word).and_then(|index| keywords::keywords().get(index));
        keyword.is_some_and(|keyword| !matches!(keyword.mark, Mark::Dead(_)))
    });
    let home = homes.next()?;
    Some(if home.is_outermost() {
        "it stands outside all blocks".to_owned()
    } else {
        format!("it belongs in `{}`", home.word())
    })
}

/// A decimal number without sign.
pub(super) fn decimal(bytes: &[u8]) -> Option<u64> {
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
