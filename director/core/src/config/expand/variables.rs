//! `$NAME=value`, `$NAME`, `${NAME}`, and the variables that are always there.
//!
//! A value is replaced where it is used, not where it is given, and so are the variables in it.

use std::rc::Rc;

use super::repeat::is_name;
use super::{Expander, Lines};
use crate::config::diagnostic::{Place, quote};
use crate::config::strings::without_comment;
use crate::config::text::Origin;
use crate::limits;

/// One line of a value.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    pub(super) origin: Origin,
}

/// What a variable stands for.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) lines: Vec<Line>,
    /// It was given over several lines, and so stands for lines.
    several: bool,
}

impl Value {
    pub(super) fn single(line: Line) -> Self {
        Self {
            lines: vec![line],
            several: false,
        }
    }
}

/// A variable in a text.
pub(super) struct Reference<'t> {
    name: &'t [u8],
    /// What stands behind the name in the braces.
    arguments: &'t [u8],
    length: usize,
    /// `$NAME`, and more letters behind it.
    loose: bool,
}

/// `$NAME=`: the name, and the length up to the value.
pub(super) fn definition(line: &[u8]) -> Option<(&[u8], usize)> {
    let rest = line.strip_prefix(b"$")?;
    let length = rest.iter().position(|byte| *byte == b'=')?;
    let name = rest.get(..length).filter(|name| is_name(name))?;
    Some((name, length + 2))
}

/// The variable at the beginning of a text.
pub(super) fn reference(text: &[u8]) -> Option<Reference<'_>> {
    let rest = text.strip_prefix(b"$")?;
    if let Some(inner) = rest.strip_prefix(b"{") {
        let end = inner.iter().position(|byte| *byte == b'}')?;
        let inner = inner.get(..end)?;
        let blank = inner
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(end);
        let (name, arguments) = inner.split_at(blank);
        return is_name(name).then_some(Reference {
            name,
            arguments,
            length: end + 3,
            loose: false,
        });
    }
    let length = rest
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    let name = rest.get(..length).filter(|name| is_name(name))?;
    let next = rest.get(length).copied();
    let ends = next.is_none_or(|next| next.is_ascii_whitespace() || matches!(next, b',' | b')'));
    Some(Reference {
        name,
        arguments: b"",
        length: length + 1,
        loose: !ends,
    })
}

impl Expander<'_, '_, '_> {
    pub(super) fn set(&mut self, name: Vec<u8>, value: Value) {
        self.variables.insert(name, Rc::new(value));
    }

    /// Takes a value, and the lines that it goes on in: each but the last ends in `\`.
    pub(super) fn define(
        &mut self,
        name: &[u8],
        value: &[u8],
        origin: Origin,
        lines: &mut Lines<'_>,
    ) {
        let (mut text, mut from) = (value, origin);
        let mut all = Vec::new();
        let several = loop {
            let meant = without_comment(text).trim_ascii_end();
            let goes_on = meant.strip_suffix(b"\\");
            let kept = goes_on.unwrap_or(meant);
            let blanks = kept.len() - kept.trim_ascii_start().len();
            let bytes = kept.trim_ascii().to_vec();
            if !bytes.is_empty() {
                all.push(Line {
                    bytes,
                    origin: from.after(blanks),
                });
            }
            let next = goes_on.and_then(|_| lines.next());
            let Some((line, place)) = next else {
                break goes_on.is_some() || text.as_ptr() != value.as_ptr();
            };
            (text, from) = (line, place);
        };
        self.set(
            name.to_vec(),
            Value {
                lines: all,
                several,
            },
        );
    }

    /// A line that is nothing but a variable: its lines are read in its place. False when it is not such a line.
    pub(super) fn stands_for_lines(&mut self, line: &[u8], origin: Origin) -> bool {
        let text = without_comment(line).trim_ascii_end();
        let Some(reference) = reference(text).filter(|found| found.length == text.len()) else {
            return false;
        };
        let Some(value) = self.variables.get(reference.name).cloned() else {
            return false;
        };
        let at = origin.place(0);
        if self.enter(reference.name, at) {
            let lines = if value.several {
                value.lines.clone()
            } else {
                let lines = value.lines.iter();
                let here = |line: &Line| Line {
                    bytes: line.bytes.clone(),
                    origin: Origin::For(at),
                };
                lines.map(here).collect()
            };
            self.run(&mut Lines::Body {
                lines: &lines,
                next: 0,
            });
            self.leave();
        }
        true
    }

    /// The value of a variable at the beginning of a line, when that is a condition for the rest of it (`@id`), and how
    /// much of the line it takes.
    pub(super) fn condition_in(&self, line: &[u8]) -> Option<(Vec<u8>, usize)> {
        let reference = reference(line).filter(|found| !found.loose)?;
        let value = self.variables.get(reference.name)?;
        let [only] = value.lines.as_slice() else {
            return None;
        };
        let is_condition =
            only.bytes.starts_with(b"@") && !only.bytes.iter().any(u8::is_ascii_whitespace);
        is_condition.then(|| (only.bytes.clone(), reference.length))
    }

    /// A text with its variables replaced, not put into the text that is read.
    pub(super) fn replaced_apart(&mut self, text: &[u8], origin: Origin) -> Vec<u8> {
        let before = core::mem::replace(&mut self.text, crate::config::text::Text::empty());
        self.replaced(text, origin, &mut false);
        core::mem::replace(&mut self.text, before).bytes().to_vec()
    }

    /// Puts a part of a line into the text that is read, its variables replaced. `quoted` says whether a `"` is open.
    pub(super) fn replaced(&mut self, text: &[u8], origin: Origin, quoted: &mut bool) {
        let (mut from, mut at) = (0, 0);
        while let Some(byte) = text.get(at) {
            *quoted ^= *byte == b'"';
            let found = if *byte == b'$' {
                reference(text.get(at..).unwrap_or_default())
            } else {
                None
            };
            let Some(found) = found.filter(|found| self.is_known(found, origin.place(at))) else {
                at += 1;
                continue;
            };
            self.text
                .push(text.get(from..at).unwrap_or_default(), origin.after(from));
            self.replace(&found, origin.place(at), quoted);
            at += found.length;
            from = at;
        }
        self.text
            .push(text.get(from..).unwrap_or_default(), origin.after(from));
    }

    /// Whether there is such a variable. Where keepalived would leave it alone, that is said, and it is read as meant.
    fn is_known(&mut self, found: &Reference<'_>, at: Place) -> bool {
        let is_there = self.variables.contains_key(found.name)
            || matches!(
                found.name,
                b"_PWD" | b"_INSTANCE" | b"_RANDOM" | b"_ENV" | b"_HASH" | b"_BANG"
            );
        if is_there && found.loose {
            let name = String::from_utf8_lossy(found.name);
            let message = format!("`${name}` is not replaced in the middle of a word");
            self.sink
                .error(at, message)
                .hint(format!("write `${{{name}}}`"));
        }
        is_there
    }

    fn replace(&mut self, found: &Reference<'_>, at: Place, quoted: &mut bool) {
        if !self.spend(found.length, at) {
            return;
        }
        let sign = |sign: &str| {
            if *quoted {
                sign.to_owned()
            } else {
                format!("\\{sign}")
            }
        };
        let value = match found.name {
            b"_PWD" => self.folder().to_owned(),
            b"_INSTANCE" => match self.identity {
                Some(identity) => String::from_utf8_lossy(identity).into_owned(),
                None => return self.unknown_identity(at),
            },
            b"_HASH" => sign("#"),
            b"_BANG" => sign("!"),
            b"_RANDOM" => self.random(found.arguments, at),
            b"_ENV" => self.environment(found.arguments, at),
            name => return self.replace_by_value(name, at, quoted),
        };
        self.text.push(value.as_bytes(), Origin::For(at));
    }

    fn replace_by_value(&mut self, name: &[u8], at: Place, quoted: &mut bool) {
        let Some(value) = self.variables.get(name).cloned() else {
            return;
        };
        if value.several {
            let message = format!(
                "{} stands for several lines: it must be alone on its line",
                quote(name)
            );
            self.error(at, message);
            return;
        }
        if self.enter(name, at) {
            for line in &value.lines {
                self.replaced(&line.bytes, Origin::For(at), quoted);
            }
            self.leave();
        }
    }

    /// Begins with the value of a variable; false when that would never end.
    fn enter(&mut self, name: &[u8], at: Place) -> bool {
        if self.replacing.iter().any(|outer| outer == name) {
            self.error(at, format!("the value of {} has itself in it", quote(name)));
            return false;
        }
        if !self.deeper(at) {
            return false;
        }
        self.replacing.push(name.to_vec());
        true
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.replacing.pop();
    }

    /// `${_RANDOM MIN MAX}`: the numbers of a node are always the same, so that a reload changes nothing.
    fn random(&mut self, arguments: &[u8], at: Place) -> String {
        const MAX: u32 = 32_767;
        let text = String::from_utf8_lossy(arguments);
        let numbers: Result<Vec<u32>, _> = text.split_whitespace().map(str::parse).collect();
        let (low, high) = match numbers.as_deref() {
            Ok([]) => (0, MAX),
            Ok([low]) => (*low, MAX),
            Ok([low, high]) => (*low, *high),
            _ => (1, 0),
        };
        if low > high {
            self.error(
                at,
                "`_RANDOM` takes a least and a greatest number, such as `${_RANDOM 0 99}`",
            );
            return String::new();
        }
        // FNV-1a over the node's name and how many were drawn before.
        let seed = self
            .identity
            .unwrap_or_default()
            .iter()
            .copied()
            .chain(self.drawn.to_le_bytes());
        let hash = seed.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.drawn += 1;
        let span = u64::from(high - low) + 1;
        (u64::from(low) + (hash >> 16) % span).to_string()
    }

    fn environment(&mut self, arguments: &[u8], at: Place) -> String {
        let name = String::from_utf8_lossy(arguments.trim_ascii()).into_owned();
        self.outside.variable(&name).unwrap_or_else(|| {
            let message = format!("the environment has no variable {}", quote(name.as_bytes()));
            self.error(at, message);
            String::new()
        })
    }

    /// Takes a share of the work that all replacements and repetitions may make; false when it is used up.
    pub(super) fn spend(&mut self, bytes: usize, at: Place) -> bool {
        if self.is_done {
            return false;
        }
        // A replacement by nothing is work, too.
        self.work += bytes + 32;
        if self.work > limits::EXPANSION_WORK_MAX
            || self.text.bytes().len() > limits::CONFIG_BYTES_MAX
        {
            self.is_done = true;
            self.sink.error(
                at,
                "variables, repetitions and included files make the configuration too long",
            );
        }
        !self.is_done
    }

    /// Goes one level deeper into variables and repetitions; false when it is too deep.
    pub(super) fn deeper(&mut self, at: Place) -> bool {
        if self.depth >= limits::EXPANSION_DEPTH_MAX {
            self.error(at, "variables and repetitions are nested too deep");
            return false;
        }
        self.depth += 1;
        true
    }
}
