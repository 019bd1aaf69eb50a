//! A file to the text that is read: what it includes is put in, variables are replaced, lines are repeated, and those
//! that are for other nodes are left out.
//!
//! All of this goes by lines and knows nothing of statements, as in keepalived. A line is looked at once: `@id`, then a
//! definition, a variable that stands for lines, a repetition or an `include`; any other line has its variables
//! replaced and becomes part of the text. The work that few lines can make is bounded: see
//! [`limits::EXPANSION_WORK_MAX`].

mod glob;
mod include;
mod repeat;
mod variables;

use std::collections::BTreeMap;
use std::rc::Rc;

use super::diagnostic::{Bytes, Place, Sink};
use super::outside::Outside;
use super::text::{Origin, Text};
use include::Checks;
use variables::{Line, Value, definition};

/// The text of a source of `sink`. `identity` is what `@id` is compared with.
pub(super) fn expand<'a>(
    sink: &mut Sink<'a>,
    source: u16,
    identity: Option<&[u8]>,
    outside: &dyn Outside,
) -> Text<'a> {
    let bytes = sink.bytes(source);
    if let Bytes::Borrowed(bytes) = bytes
        && is_plain(bytes)
    {
        return Text::plain(source, bytes);
    }
    let path = sink.name(source).to_owned();
    let mut expander = Expander {
        sink,
        outside,
        identity,
        variables: BTreeMap::new(),
        replacing: Vec::new(),
        frames: vec![Frame {
            path,
            checks: Checks::default(),
        }],
        text: Text::empty(),
        work: 0,
        depth: 0,
        drawn: 0,
        is_done: false,
        told_identity: false,
    };
    expander.run(&mut Lines::file(source, &bytes));
    expander.text
}

/// Whether a file is its own text.
fn is_plain(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut begins = true;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' => begins = true,
            b'$' => return false,
            _ if !begins || byte.is_ascii_whitespace() => {}
            b'@' | b'~' => return false,
            b'i' if bytes
                .get(at..)
                .is_some_and(|rest| rest.starts_with(b"include")) =>
            {
                return false;
            }
            _ => begins = false,
        }
    }
    true
}

/// A file that is being read.
struct Frame {
    path: String,
    checks: Checks,
}

struct Expander<'x, 'a, 'o> {
    sink: &'x mut Sink<'a>,
    outside: &'o dyn Outside,
    identity: Option<&'x [u8]>,
    variables: BTreeMap<Vec<u8>, Rc<Value>>,
    /// Variables whose values are being read, outermost first.
    replacing: Vec<Vec<u8>>,
    /// Files that are being read, outermost first.
    frames: Vec<Frame>,
    text: Text<'a>,
    work: usize,
    depth: usize,
    /// Random numbers drawn so far.
    drawn: u64,
    /// Nothing more is read.
    is_done: bool,
    told_identity: bool,
}

/// Lines still to be read.
enum Lines<'l> {
    None,
    File { rest: &'l [u8], origin: Origin },
    Body { lines: &'l [Line], next: usize },
}

impl<'l> Lines<'l> {
    /// All lines of a file.
    fn file(source: u16, bytes: &'l [u8]) -> Self {
        let origin = Origin::From(Place { source, offset: 0 });
        match bytes.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => Self::File {
                rest,
                origin: origin.after(3),
            },
            None => Self::File {
                rest: bytes,
                origin,
            },
        }
    }

    fn next(&mut self) -> Option<(&'l [u8], Origin)> {
        match self {
            Self::None => None,
            Self::File { rest: [], .. } => None,
            Self::File { rest, origin } => {
                let length = rest
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .unwrap_or(rest.len());
                let line = rest.get(..length).unwrap_or(rest);
                let from = *origin;
                *origin = origin.after(length + 1);
                *rest = rest.get(length + 1..).unwrap_or_default();
                Some((line, from))
            }
            Self::Body { lines, next } => {
                let line = lines.get(*next)?;
                *next += 1;
                Some((&line.bytes, line.origin))
            }
        }
    }
}

impl Expander<'_, '_, '_> {
    fn run(&mut self, lines: &mut Lines<'_>) {
        while !self.is_done && !self.sink.is_full() {
            let Some((line, origin)) = lines.next() else {
                break;
            };
            if matches!(lines, Lines::Body { .. }) && !self.spend(line.len(), origin.place(0)) {
                break;
            }
            self.line(line, origin, lines);
        }
    }

    /// One line; `lines` are those after it.
    fn line(&mut self, line: &[u8], origin: Origin, lines: &mut Lines<'_>) {
        let mut from = blanks(line, 0);
        let condition = match line.get(from..).unwrap_or_default() {
            [b'@', rest @ ..] => {
                let length = rest
                    .iter()
                    .position(u8::is_ascii_whitespace)
                    .unwrap_or(rest.len());
                Some((rest.get(..length).unwrap_or(rest).to_vec(), length + 1))
            }
            rest @ [b'$', ..] => self
                .condition_in(rest)
                .map(|(id, length)| (id.get(1..).unwrap_or_default().to_vec(), length)),
            _ => None,
        };
        let mut start = 0;
        if let Some((id, length)) = condition {
            let holds = self.holds(&id, origin.place(from));
            from = blanks(line, from + length);
            start = from;
            if !holds {
                skip_definition(line.get(from..).unwrap_or_default(), lines);
                return;
            }
        }
        let (rest, after) = (line.get(from..).unwrap_or_default(), origin.after(from));
        match rest.first() {
            Some(b'$') => {
                if let Some((name, length)) = definition(rest) {
                    let value = rest.get(length..).unwrap_or_default();
                    self.define(name, value, after.after(length), lines);
                    return;
                }
                if self.stands_for_lines(rest, after) {
                    return;
                }
            }
            Some(b'~') if repeat::is_repeat(rest) => return self.repeat(rest, after),
            Some(b'i') if rest.starts_with(b"include") && self.include(rest, after) => return,
            _ => {}
        }
        let rest = line.get(start..).unwrap_or_default();
        self.statement(rest, origin.after(start));
    }

    /// A line that becomes part of the text.
    fn statement(&mut self, line: &[u8], origin: Origin) {
        if line.contains(&b'$') {
            let meant = super::strings::without_comment(line);
            self.replaced(meant, origin, &mut false);
            let comment = line.get(meant.len()..).unwrap_or_default();
            self.text.push(comment, origin.after(meant.len()));
        } else {
            self.text.push(line, origin);
        }
        self.text.push(b"\n", origin.after(line.len()));
    }

    /// Whether `@id` or `@^id` is for this node.
    fn holds(&mut self, word: &[u8], at: Place) -> bool {
        let (id, negated) = match word {
            [b'^', id @ ..] => (id, true),
            id => (id, false),
        };
        if id.is_empty() {
            self.error(at, "`@` needs the name of a node directly after it");
            return false;
        }
        match self.identity {
            Some(identity) => (id == identity) != negated,
            None => {
                self.unknown_identity(at);
                false
            }
        }
    }

    fn unknown_identity(&mut self, at: Place) {
        if !core::mem::replace(&mut self.told_identity, true) {
            let message = "lines for single nodes (`@id`) need to know which node this is";
            let hint = "give router.conf with `hostname` in `system`: its name up to the first dot is the id";
            self.sink.error(at, message).hint(hint);
        }
    }

    fn error(&mut self, at: Place, message: impl Into<String>) {
        self.sink.error(at, message);
    }
}

/// Where the next letter of a line is.
fn blanks(line: &[u8], from: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    from + rest.len() - rest.trim_ascii_start().len()
}

/// Passes over the lines that a definition goes on in, when it is for another node.
fn skip_definition(line: &[u8], lines: &mut Lines<'_>) {
    let mut text = line;
    let goes_on = |text| {
        super::strings::without_comment(text)
            .trim_ascii_end()
            .ends_with(b"\\")
    };
    while definition(line).is_some() && goes_on(text) {
        let Some((next, _)) = lines.next() else { break };
        text = next;
    }
}
