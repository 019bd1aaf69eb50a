//! What is wrong with a configuration, where, and how it is shown.
//!
//! The file is hostile and the report goes to a terminal: control characters are escaped, long words and lines are
//! cut, and the number of reports is bounded.

mod excerpt;

use core::fmt::{self, Write as _};
use core::ops::Deref;
use std::borrow::Cow;
use std::rc::Rc;

use serde::Serialize;

use super::Source;
use crate::limits;
pub(crate) use excerpt::safe;
use excerpt::{QUOTED_COLUMNS, between, characters, excerpt, tail};
pub(super) use excerpt::{hides, quote};

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

/// What a configuration needs beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// A file that can be run.
    Program,
    /// A file that can be read.
    File,
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
    pub(super) source: u16,
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

/// The bytes of a source: given, or read on the way.
#[derive(Clone, Debug)]
pub(super) enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Shared(Rc<[u8]>),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// One file with its name.
#[derive(Debug)]
struct Named<'a> {
    name: Cow<'a, str>,
    bytes: Bytes<'a>,
}

/// Collects the problems of one parse, at most [`limits::DIAGNOSTICS_MAX`].
#[derive(Debug)]
pub(super) struct Sink<'a> {
    sources: Vec<Named<'a>>,
    /// Offsets of the lines of each source; made when first asked for, since a good file needs none.
    line_starts: Vec<Vec<u32>>,
    errors: Vec<Raw>,
    warnings: Vec<Raw>,
    /// What keepalived would run on with is no error: see [`Self::complain`].
    pub(super) lenient: bool,
    /// Files that must be there, with what is wrong when one is not.
    needs: Vec<(Needed, String, Raw)>,
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
        let named = |source: Source<'a>| Named {
            name: Cow::Borrowed(source.name),
            bytes: Bytes::Borrowed(source.bytes),
        };
        Self {
            line_starts: vec![Vec::new(); sources.len()],
            sources: sources.into_iter().map(named).collect(),
            errors: Vec::new(),
            warnings: Vec::new(),
            lenient: false,
            needs: Vec::new(),
        }
    }

    /// Notes a file that must be there, and what stands in for it.
    pub(super) fn need(&mut self, at: Place, what: Needed, path: &str, instead: Option<&str>) {
        if self.needs.len() < limits::NEEDS_MAX {
            let name = match what {
                Needed::Program => "program",
                Needed::File => "file",
            };
            let message = format!("the {name} {}", quote(path.as_bytes()));
            let hint = instead.map(str::to_owned);
            self.needs
                .push((what, path.to_owned(), Raw { at, message, hint }));
        }
    }

    /// Adds a file that was read on the way, and gives its index; none when there are too many, or too much of them.
    pub(super) fn add(&mut self, name: String, bytes: Vec<u8>) -> Option<u16> {
        let total: usize = self.sources.iter().map(|source| source.bytes.len()).sum();
        if self.sources.len() >= limits::CONFIG_FILES_MAX
            || total + bytes.len() > limits::CONFIG_BYTES_MAX
        {
            return None;
        }
        let index = u16::try_from(self.sources.len()).ok()?;
        self.sources.push(Named {
            name: Cow::Owned(name),
            bytes: Bytes::Shared(bytes.into()),
        });
        self.line_starts.push(Vec::new());
        Some(index)
    }

    /// The source of that name, if it was added.
    pub(super) fn find(&self, name: &str) -> Option<u16> {
        let index = self
            .sources
            .iter()
            .position(|source| matches!(source.bytes, Bytes::Shared(_)) && source.name == name);
        index.and_then(|index| u16::try_from(index).ok())
    }

    /// The bytes of a source.
    pub(super) fn bytes(&self, source: u16) -> Bytes<'a> {
        let source = self.sources.get(usize::from(source));
        source.map_or(Bytes::Borrowed(b""), |source| source.bytes.clone())
    }

    /// The name of a source.
    pub(super) fn name(&self, source: u16) -> &str {
        let source = self.sources.get(usize::from(source));
        source.map_or("", |source| &source.name)
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

    /// Reports what keepalived complains about, leaves out and runs on without: an error, and where the operator asked
    /// for leniency a warning.
    pub(super) fn complain(&mut self, at: Place, message: impl Into<String>) -> Report<'_> {
        if self.lenient {
            self.warning(at, format!("{}; it is left out", message.into()))
        } else {
            self.error(at, message)
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

    /// The line of a place in words, as said at another place: with the file's name when that is another one.
    pub(super) fn line(&mut self, at: Place, said_at: Place) -> String {
        let line = self.line_start(at).0;
        if at.source == said_at.source {
            format!("line {line}")
        } else {
            let name = self.name(at.source);
            let name = tail(&safe(name.as_bytes()), QUOTED_COLUMNS);
            format!("line {line} of {name}")
        }
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
            let newlines = (1..)
                .zip(text.bytes.iter())
                .filter(|(_, byte)| **byte == b'\n');
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
    pub(super) fn needs(&mut self) -> Vec<(Needed, String, Diagnostic)> {
        let mut last = BEGIN;
        let mut needs = core::mem::take(&mut self.needs);
        needs.sort_by_key(|(_, _, raw)| raw.at);
        needs
            .into_iter()
            .filter_map(|(what, path, raw)| {
                let problem = self.locate(Severity::Error, raw, &mut last)?;
                Some((what, path, problem))
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
        let column = counted + characters(between(&source.bytes, from, raw.at.offset));
        *last = (raw.at, column);
        let (source_line, caret) = excerpt(&source.bytes, start, raw.at.offset);
        Some(Diagnostic {
            severity,
            file: source.name.clone().into_owned(),
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
