//! What is wrong with a configuration, where, and how it is shown.
//!
//! The file is hostile and the report goes to a terminal: control characters are escaped, long words and lines are
//! cut, and the number of reports is bounded.

use core::fmt::{self, Write as _};

use serde::Serialize;

use super::Source;
use crate::limits;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is taken; the message says what holds.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One problem of a configuration.
///
/// `Display` prints `FILE:LINE:COLUMN: error: MESSAGE`, the source line with a caret below, and `hint: ..` where there
/// is one; no newline at the end. All texts are safe for a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The source's name.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong, or what holds instead.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line, cut to [`SHOWN_COLUMNS`] around the place.
    pub source_line: String,
    /// Characters of `source_line` before the place.
    #[serde(skip)]
    caret: usize,
}

/// Columns of a source line that are shown; the rest is cut on both sides.
pub const SHOWN_COLUMNS: usize = 96;

/// Columns shown before the place when the line is cut.
const SHOWN_BEFORE: usize = 60;

/// Columns of a name that is quoted in a message.
const QUOTED_COLUMNS: usize = 40;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            file,
            line,
            column,
            message,
            ..
        } = self;
        write!(f, "{file}:{line}:{column}: {severity}: {message}")?;
        write!(f, "\n  {}\n  ", self.source_line)?;
        for character in self.source_line.chars().take(self.caret) {
            f.write_char(if character == '\t' { '\t' } else { ' ' })?;
        }
        f.write_char('^')?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A byte of one of the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Index of the source.
    pub(super) source: u8,
    /// Offset in its bytes.
    pub(super) offset: u32,
}

/// One problem before its line and column are known.
#[derive(Debug)]
struct Raw {
    at: Place,
    message: String,
    hint: Option<String>,
}

/// Collects the problems of one parse, at most [`limits::DIAGNOSTICS_MAX`].
#[derive(Debug)]
pub(super) struct Sink<'a> {
    sources: Vec<Source<'a>>,
    /// Offsets of the lines of each source; made when first asked for, since a good file needs none.
    line_starts: Vec<Vec<u32>>,
    errors: Vec<Raw>,
    warnings: Vec<Raw>,
    /// Files that must be there, with what is wrong when one is not.
    needs: Vec<(String, Raw)>,
}

/// A problem just reported, so that a hint can be added.
pub(super) struct Report<'s>(Option<&'s mut Raw>);

impl Report<'_> {
    /// Adds what to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) {
        if let Some(raw) = self.0 {
            raw.hint = Some(hint.into());
        }
    }
}

impl<'a> Sink<'a> {
    pub(super) fn new(sources: Vec<Source<'a>>) -> Self {
        Self {
            line_starts: vec![Vec::new(); sources.len()],
            sources,
            errors: Vec::new(),
            warnings: Vec::new(),
            needs: Vec::new(),
        }
    }

    /// Notes a program that must be there, and what stands in for it.
    pub(super) fn need(&mut self, at: Place, path: &str, instead: Option<&str>) {
        if self.needs.len() < limits::NEEDS_MAX {
            let message = format!("the program {}", quote(path.as_bytes()));
            let hint = instead.map(str::to_owned);
            self.needs
                .push((path.to_owned(), Raw { at, message, hint }));
        }
    }

    /// Reports what makes the configuration unusable.
    pub(super) fn error(&mut self, at: Place, message: impl Into<String>) -> Report<'_> {
        // The last one says that there are more; whoever reads the file stops when `full`.
        match self.errors.len() + 1 {
            n if n < limits::DIAGNOSTICS_MAX => push(&mut self.errors, at, message.into()),
            limits::DIAGNOSTICS_MAX => {
                let text = "too many errors: reading stops here";
                push(&mut self.errors, at, text.to_owned());
                Report(None)
            }
            _ => Report(None),
        }
    }

    /// Reports what is taken although it looks wrong.
    pub(super) fn warning(&mut self, at: Place, message: impl Into<String>) -> Report<'_> {
        if self.warnings.len() >= limits::DIAGNOSTICS_MAX {
            return Report(None);
        }
        push(&mut self.warnings, at, message.into())
    }

    /// No further error is kept.
    pub(super) fn is_full(&self) -> bool {
        self.errors.len() >= limits::DIAGNOSTICS_MAX
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Line of a place, from 1.
    pub(super) fn line(&mut self, at: Place) -> u32 {
        self.line_start(at).0
    }

    /// Line of a place, from 1, and the offset of its first byte.
    fn line_start(&mut self, at: Place) -> (u32, u32) {
        let source = usize::from(at.source);
        let (Some(starts), Some(text)) =
            (self.line_starts.get_mut(source), self.sources.get(source))
        else {
            return (1, 0);
        };
        if starts.is_empty() {
            starts.push(0);
            let newlines = (1..).zip(text.bytes).filter(|(_, byte)| **byte == b'\n');
            starts.extend(newlines.map(|(after, _): (u32, _)| after));
        }
        let line = starts.partition_point(|start| *start <= at.offset);
        let start = line.checked_sub(1).and_then(|index| starts.get(index));
        (
            u32::try_from(line).unwrap_or(u32::MAX),
            start.copied().unwrap_or(0),
        )
    }

    /// All problems in the order of their places, each once; errors go before warnings when there are too many.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        let mut all: Vec<(Severity, Raw)> = Vec::new();
        let errors = core::mem::take(&mut self.errors);
        let warnings = core::mem::take(&mut self.warnings);
        all.extend(errors.into_iter().map(|raw| (Severity::Error, raw)));
        all.extend(warnings.into_iter().map(|raw| (Severity::Warning, raw)));
        all.truncate(limits::DIAGNOSTICS_MAX);
        all.sort_by(|(a_severity, a), (b_severity, b)| {
            (a.at, a_severity, &a.message).cmp(&(b.at, b_severity, &b.message))
        });
        all.dedup_by(|(_, later), (_, first)| {
            later.at == first.at && later.message == first.message
        });

        // Columns are counted on from the last place of the same line: a file may be one line of 60 MB.
        let mut last = BEGIN;
        let diagnostics = all.into_iter();
        diagnostics
            .filter_map(|(severity, raw)| self.locate(severity, raw, &mut last))
            .collect()
    }

    /// What must be there; each with the error that its absence is, which still lacks the reason.
    pub(super) fn needs(&mut self) -> Vec<(String, Diagnostic)> {
        let mut last = BEGIN;
        let mut needs = core::mem::take(&mut self.needs);
        needs.sort_by_key(|(_, raw)| raw.at);
        needs
            .into_iter()
            .filter_map(|(path, raw)| {
                let problem = self.locate(Severity::Error, raw, &mut last)?;
                Some((path, problem))
            })
            .collect()
    }

    /// Finds line and column of a problem; `last` is where the one before was, and its column.
    fn locate(
        &mut self,
        severity: Severity,
        raw: Raw,
        last: &mut (Place, u32),
    ) -> Option<Diagnostic> {
        let (line, start) = self.line_start(raw.at);
        let (from, counted) = if last.0.source == raw.at.source && last.0.offset >= start {
            (last.0.offset, last.1)
        } else {
            (start, 1)
        };
        let source = self.sources.get(usize::from(raw.at.source))?;
        let column = counted + characters(between(source.bytes, from, raw.at.offset));
        *last = (raw.at, column);
        let (source_line, caret) = excerpt(source.bytes, start, raw.at.offset);
        Some(Diagnostic {
            severity,
            file: source.name.to_owned(),
            line,
            column,
            message: raw.message,
            hint: raw.hint,
            source_line,
            caret,
        })
    }
}

/// Before the first problem of a list.
const BEGIN: (Place, u32) = (
    Place {
        source: 0,
        offset: 0,
    },
    1,
);

fn push(list: &mut Vec<Raw>, at: Place, message: String) -> Report<'_> {
    list.push(Raw {
        at,
        message,
        hint: None,
    });
    Report(list.last_mut())
}

/// The bytes from `from` up to `to`, cut to what there is.
fn between(bytes: &[u8], from: u32, to: u32) -> &[u8] {
    let to = usize::try_from(to).unwrap_or(usize::MAX).min(bytes.len());
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(to);
    bytes.get(from..to).unwrap_or_default()
}

/// Characters of UTF-8 text; in other text, bytes that do not look like the tail of one.
fn characters(bytes: &[u8]) -> u32 {
    let heads = bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    u32::try_from(heads).unwrap_or(u32::MAX)
}

/// The line that begins at `start`, cut around `offset`, and the number of its characters before `offset`.
fn excerpt(bytes: &[u8], start: u32, offset: u32) -> (String, usize) {
    // Four bytes a character at most, so that this much is always enough to fill the window.
    const REACH: u32 = 4 * SHOWN_COLUMNS as u32;
    let from = start.max(offset.saturating_sub(REACH));
    let rest = between(bytes, offset, offset.saturating_add(REACH));
    let rest = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    let end = offset.saturating_add(u32::try_from(rest.len()).unwrap_or(u32::MAX));
    let looked_at = start.max(from.saturating_sub(REACH));
    let secret = secret(between(bytes, looked_at, end)).map(|at| looked_at.saturating_add(at));
    let shown = |from, to| match secret {
        Some(secret) => {
            let secret = secret.clamp(from, to);
            safe(between(bytes, from, secret)) + &masked(between(bytes, secret, to))
        }
        None => safe(between(bytes, from, to)),
    };

    let mut line = tail(&shown(from, offset), SHOWN_BEFORE);
    let caret = line.chars().count();
    let room = SHOWN_COLUMNS.saturating_sub(width(&line));
    line.push_str(&head(&shown(offset, end), room));
    (line.trim_end().to_owned(), caret)
}

/// Where the value of a keyword begins that must not be shown: whoever reads the console has not logged in.
fn secret(line: &[u8]) -> Option<u32> {
    let mut begins = 0;
    for word in
        line.split_inclusive(|byte| byte.is_ascii_whitespace() || matches!(byte, b'{' | b'}'))
    {
        begins += word.len();
        if super::keywords::is_secret(word.trim_ascii_end()) {
            return u32::try_from(begins).ok();
        }
    }
    None
}

/// A star for each character that is no blank.
fn masked(bytes: &[u8]) -> String {
    let star = |character: char| {
        if character.is_whitespace() {
            character
        } else {
            '*'
        }
    };
    safe(bytes).chars().map(star).collect()
}

/// Columns on a terminal, a tab counted as the most that it can take.
fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(character: char) -> usize {
    if character == '\t' { 8 } else { 1 }
}

/// The first characters of a text, `…` at the end when it was cut.
fn head(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let mut left = limit.saturating_sub(1);
    let kept = text.chars().take_while(|character| {
        let fits = columns(*character) <= left;
        left = left.saturating_sub(columns(*character));
        fits
    });
    let mut kept: String = kept.collect();
    kept.push('…');
    kept
}

/// The last characters of a text, `…` at the beginning when it was cut.
fn tail(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let mut left = limit.saturating_sub(1);
    let kept = text.char_indices().rev().take_while(|(_, character)| {
        let fits = columns(*character) <= left;
        left = left.saturating_sub(columns(*character));
        fits
    });
    let from = kept.last().map_or(text.len(), |(index, _)| index);
    format!("…{}", text.get(from..).unwrap_or_default())
}

/// Text that a terminal shows as it is: tabs stay, whatever could act on the terminal or hide is escaped, and bytes
/// that are not UTF-8 become U+FFFD.
pub(crate) fn safe(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        if character == '\t' || !hides(character) {
            text.push(character);
        } else {
            text.extend(character.escape_default());
        }
    }
    text
}

/// Control characters, blanks that look like others, and marks that change the direction of writing.
pub(super) fn hides(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{a0}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        )
        || matches!(character, '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}')
        || matches!(character, '\u{3000}' | '\u{e0000}'..='\u{e0fff}')
}

/// A name out of the file, in backquotes, safe for a terminal and cut.
pub(super) fn quote(bytes: &[u8]) -> String {
    let reach = bytes.get(..4 * QUOTED_COLUMNS).unwrap_or(bytes);
    format!(
        "`{}`",
        head(&safe(reach).replace('\t', "\\t"), QUOTED_COLUMNS)
    )
}
