//! `include FILE` and its stricter forms, and `include_check`, which makes the plain form as strict.

use super::{Expander, Frame, Lines, glob};
use crate::config::diagnostic::{Place, quote};
use crate::config::strings::without_comment;
use crate::config::text::Origin;
use crate::limits;

/// What must be there of what an `include` names. A file that is named outright always must.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checks {
    /// An empty match is not even worth a warning.
    readable: bool,
    matched: bool,
    wildcard: bool,
    brace: bool,
}

impl Checks {
    const ALL: Self = Self {
        readable: true,
        matched: true,
        wildcard: true,
        brace: true,
    };
}

/// What a line's first word includes by, if it does.
fn form(word: &[u8], inherited: Checks) -> Option<Checks> {
    Some(match word {
        b"include" => inherited,
        b"includer" => Checks {
            readable: true,
            ..inherited
        },
        b"includem" => Checks {
            matched: true,
            ..inherited
        },
        b"includew" => Checks {
            wildcard: true,
            ..inherited
        },
        b"includeb" => Checks {
            brace: true,
            ..inherited
        },
        b"includea" => Checks::ALL,
        _ => return None,
    })
}

impl Expander<'_, '_, '_> {
    /// Reads what a line includes. False when it is no such line.
    pub(super) fn include(&mut self, line: &[u8], origin: Origin) -> bool {
        let length = line
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(line.len());
        let (word, rest) = line.split_at(length);
        if word == b"include_check" {
            self.include_check(without_comment(rest), origin.after(length));
            return false; // it is a keyword, too, and has its place
        }
        let inherited = self
            .frames
            .last()
            .map(|frame| frame.checks)
            .unwrap_or_default();
        let Some(checks) = form(word, inherited) else {
            return false;
        };
        let at = origin.place(0);
        let blanks = rest.len() - rest.trim_ascii_start().len();
        let name = without_comment(rest).trim_ascii();
        let name = self.replaced_apart(name, origin.after(length + blanks));
        let name = String::from_utf8_lossy(&name).replace('"', "");
        if name.is_empty() {
            self.error(at, format!("{} needs the name of a file", quote(word)));
            return true;
        }
        let at = origin.place(length + blanks);
        let pattern = join(self.folder(), &name);
        let patterns = glob::braces(&pattern);
        let is_braced = patterns.len() > 1;
        for pattern in patterns {
            self.include_all(&pattern, checks, is_braced, at);
        }
        true
    }

    fn include_all(&mut self, pattern: &str, checks: Checks, is_braced: bool, at: Place) {
        let is_wild = glob::is_wild(pattern);
        let paths = glob::paths(pattern, self.outside);
        if paths.is_empty() {
            let message = format!("{} names no file that is there", quote(pattern.as_bytes()));
            if checks.matched || checks.wildcard && is_wild || checks.brace && is_braced {
                self.error(at, message);
            } else if !checks.readable {
                let hint = "`includer` may name nothing, `includea` must name something";
                self.sink.warning(at, message).hint(hint);
            }
        }
        for path in paths {
            if self.is_done {
                break;
            }
            self.include_file(path, at);
        }
    }

    fn include_file(&mut self, path: String, at: Place) {
        if self.frames.iter().any(|frame| frame.path == path) {
            self.error(at, format!("{} includes itself", quote(path.as_bytes())));
            return;
        }
        if self.frames.len() > limits::INCLUDE_DEPTH_MAX {
            self.error(at, "files include each other too deep");
            return;
        }
        // A file that is included again is the same, and so are its mistakes.
        let Some(source) = self.sink.find(&path).or_else(|| self.read(&path, at)) else {
            return;
        };
        let bytes = self.sink.bytes(source);
        if !self.spend(bytes.len(), at) {
            return;
        }
        self.frames.push(Frame {
            path,
            checks: Checks::default(),
        });
        self.run(&mut Lines::file(source, &bytes));
        self.frames.pop();
    }

    fn read(&mut self, path: &str, at: Place) -> Option<u16> {
        match self.outside.read(path) {
            Ok(bytes) => {
                let source = self.sink.add(path.to_owned(), bytes);
                if source.is_none() {
                    let message = "more files, or longer ones, than a configuration may have";
                    self.error(at, message);
                    self.is_done = true;
                }
                source
            }
            Err(why) => {
                let name = quote(path.as_bytes());
                let message = format!("{name} can't be read: {why}");
                self.sink.complain(at, message);
                None
            }
        }
    }

    /// `include_check [+|-][readable|match|wildcard_match|brace_match] ..`: for the rest of this file.
    fn include_check(&mut self, words: &[u8], origin: Origin) {
        let text = String::from_utf8_lossy(words).into_owned();
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let mut words = text.split_whitespace().peekable();
        let replaces = words
            .peek()
            .is_none_or(|word| !word.starts_with(['+', '-']));
        let checks = &mut frame.checks;
        if replaces {
            *checks = if words.peek().is_some() {
                Checks::default()
            } else {
                Checks::ALL
            };
        }
        for word in words {
            let is_on = !word.starts_with('-');
            match word.trim_start_matches(['+', '-']) {
                "readable" => checks.readable = is_on,
                "match" => checks.matched = is_on,
                "wildcard_match" => checks.wildcard = is_on,
                "brace_match" => checks.brace = is_on,
                _ => {
                    let message = format!(
                        "{} is not one of readable, match, wildcard_match, brace_match",
                        quote(word.as_bytes())
                    );
                    self.sink.error(origin.place(0), message);
                    return;
                }
            }
        }
    }

    /// The folder of the file that is being read.
    pub(super) fn folder(&self) -> &str {
        let path = self.frames.last().map_or("", |frame| frame.path.as_str());
        match path.rsplit_once('/') {
            Some(("", _)) => "/",
            Some((folder, _)) => folder,
            None => ".",
        }
    }
}

/// A path as seen from a folder.
fn join(folder: &str, path: &str) -> String {
    match folder {
        _ if path.starts_with('/') => path.to_owned(),
        "." => path.to_owned(),
        "/" => format!("/{path}"),
        folder => format!("{folder}/{path}"),
    }
}
