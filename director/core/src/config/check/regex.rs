//! The words of `url` about its `regex`.

use core::ops::RangeInclusive;

use crate::check::Regex;
use crate::config::diagnostic::Place;
use crate::config::read::Reader;
use crate::config::tree::Statement;
use crate::pattern::Options;

/// What has been said so far.
#[derive(Debug, Default)]
pub(super) struct Words {
    text: Option<(Place, String)>,
    unwanted: bool,
    options: Options,
    min: Option<u32>,
    max: Option<u32>,
    /// A keyword that means nothing without `regex`.
    alone: Option<Place>,
}

/// Options of PCRE that change nothing: they are about captures, greed and speed, or state what holds anyway.
const WITHOUT_EFFECT: [&[u8]; 12] = [
    b"alt_verbnames",
    b"auto_callout",
    b"dupnames",
    b"never_backslash_c",
    b"never_ucp",
    b"never_utf",
    b"no_auto_capture",
    b"no_auto_possess",
    b"no_dotstar_anchor",
    b"no_start_optimize",
    b"ungreedy",
    b"use_offset_limit",
];

impl Words {
    /// Reads one of the keywords.
    pub(super) fn read(
        &mut self,
        reader: &mut Reader<'_, '_>,
        word: &str,
        statement: Statement<'_>,
    ) {
        let at = statement.keyword().at;
        if word != "regex" {
            self.alone.get_or_insert(at);
        }
        match word {
            "regex" => self.text = text(reader, statement),
            "regex_no_match" => self.unwanted = reader.flag(statement).unwrap_or_default(),
            "regex_options" => self.options(reader, statement),
            "regex_min_offset" => self.min = reader.number(statement, 0..=u32::MAX),
            _ => self.max = reader.number(statement, 0..=u32::MAX),
        }
    }

    fn options(&mut self, reader: &mut Reader<'_, '_>, statement: Statement<'_>) {
        for word in statement.arguments() {
            match word.bytes {
                b"caseless" => self.options.caseless = true,
                b"dotall" => self.options.dotall = true,
                b"multiline" => self.options.multiline = true,
                b"extended" => self.options.extended = true,
                b"dollar_endonly" => self.options.dollar_endonly = true,
                option if WITHOUT_EFFECT.contains(&option) => {}
                _ => reader.wrong(
                    word,
                    "not an option that this engine has: caseless, dotall, multiline, extended, dollar_endonly",
                ),
            }
        }
    }

    /// What they mean together.
    pub(super) fn finish(self, reader: &mut Reader<'_, '_>) -> Option<Box<Regex>> {
        let Some((at, text)) = self.text else {
            if let Some(at) = self.alone {
                reader.sink.error(at, "it means nothing without `regex`");
            }
            return None;
        };
        let begins: RangeInclusive<u64> =
            self.min.map_or(0, u64::from)..=self.max.map_or(u64::MAX, u64::from);
        if begins.is_empty() {
            let message = "`regex_max_offset` is below `regex_min_offset`";
            reader.sink.error(at, message);
        }
        match reader.pattern(text, self.options) {
            Ok(pattern) => Some(Box::new(Regex {
                pattern,
                wanted: !self.unwanted,
                begins,
            })),
            Err(reason) => {
                let message = format!("this engine can't take the regex: {reason}");
                reader.sink.error(at, message);
                None
            }
        }
    }
}

/// The expression: one string, read as a shell would.
fn text(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<(Place, String)> {
    let at = statement.place(statement.raw().1);
    let mut strings = reader.strings(statement)?.into_iter();
    let first = strings.next().unwrap_or_default();
    if strings.next().is_some() {
        let hint = "put an expression with blanks in quotes";
        let message = "more than one word after `regex`";
        reader.sink.error(at, message).hint(hint);
        return None;
    }
    match String::from_utf8(first) {
        Ok(text) => Some((at, text)),
        Err(_) => {
            let hint = "write `\\\\xHH` for a byte";
            reader.sink.error(at, "not UTF-8 text").hint(hint);
            None
        }
    }
}
