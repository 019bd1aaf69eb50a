//! What is to be known about an import, with its place.

use core::fmt;

use crate::config::safe;
use crate::limits;

/// What a note says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something of the file has no counterpart in the new ones.
    Lost,
    /// The new files say something that the old one leaves open, or differently.
    Assumed,
}

/// One thing to be known about an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// What the text says.
    pub kind: Kind,
    /// In words, safe for a terminal.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            kind,
            text,
        } = self;
        let kind = match kind {
            Kind::Lost => "not carried over",
            Kind::Assumed => "assumed",
        };
        write!(f, "{file}:{line}: {kind}: {text}")
    }
}

/// The notes of one file, at most [`limits::DIAGNOSTICS_MAX`].
#[derive(Debug)]
pub(super) struct Notes {
    file: String,
    list: Vec<Note>,
}

impl Notes {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            list: Vec::new(),
        }
    }

    pub(super) fn lost(&mut self, line: u32, text: impl Into<String>) {
        self.push(line, Kind::Lost, text.into());
    }

    pub(super) fn assumed(&mut self, line: u32, text: impl Into<String>) {
        self.push(line, Kind::Assumed, text.into());
    }

    fn push(&mut self, line: u32, kind: Kind, text: String) {
        let text = match self.list.len() + 1 {
            n if n < limits::DIAGNOSTICS_MAX => safe(text.as_bytes()),
            limits::DIAGNOSTICS_MAX => "and more: this file is no configuration".to_owned(),
            _ => return,
        };
        let file = self.file.clone();
        self.list.push(Note {
            file,
            line,
            kind,
            text,
        });
    }

    /// All of them in the order of the file, each once: what holds for all servers of a service is met at each.
    pub(super) fn finish(mut self) -> Vec<Note> {
        self.list.sort_by_key(|note| note.line);
        self.list.dedup();
        self.list
    }
}
