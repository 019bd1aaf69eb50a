//! Statements and their words, as the readers of blocks see them.

use std::borrow::Cow;

use super::{Node, Tree, to_usize};
use crate::config::diagnostic::{Place, quote};
use crate::config::keywords::{Keyword, keywords};
use crate::config::strings::without_comment;

/// One word with its place.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Word<'t> {
    /// As written, without quotes.
    pub(in crate::config) bytes: &'t [u8],
    /// Its first byte.
    pub(in crate::config) at: Place,
    pub(super) escaped: bool,
}

impl<'t> Word<'t> {
    /// The word without the backslashes of `\#` and `\!`.
    pub(in crate::config) fn unescaped(&self) -> Cow<'t, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.bytes);
        }
        let next = self.bytes.iter().skip(1).map(Some).chain([None]);
        let kept = self.bytes.iter().zip(next);
        let kept =
            kept.filter(|(byte, next)| **byte != b'\\' || !matches!(next, Some(b'#' | b'!')));
        Cow::Owned(kept.map(|(byte, _)| *byte).collect())
    }

    /// The same as text; none when it is not UTF-8.
    pub(in crate::config) fn text(&self) -> Option<Cow<'t, str>> {
        match self.unescaped() {
            Cow::Borrowed(bytes) => core::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        }
    }

    /// In backquotes, for a message.
    pub(in crate::config) fn quoted(&self) -> String {
        quote(self.bytes)
    }
}

/// One statement of a tree.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Statement<'t> {
    pub(super) tree: &'t Tree<'t>,
    pub(super) index: usize,
    pub(super) node: Node,
}

impl<'t> Statement<'t> {
    /// The keyword; the opening brace when there is none.
    pub(in crate::config) fn keyword(&self) -> Word<'t> {
        self.tree.word(to_usize(self.node.first))
    }

    /// A block without a keyword.
    pub(in crate::config) fn is_anonymous(&self) -> bool {
        self.node.words == 0
    }

    /// The keyword's entry, when it belongs into the block that it stands in.
    pub(in crate::config) fn entry(&self) -> Option<(usize, &'static Keyword)> {
        let index = usize::from(self.node.keyword.checked_sub(1)?);
        Some((index, keywords().get(index)?))
    }

    /// The words after the keyword.
    pub(in crate::config) fn arguments(&self) -> impl Iterator<Item = Word<'t>> + use<'t> {
        let tree = self.tree;
        let first = to_usize(self.node.first);
        (first + 1..first + to_usize(self.node.words)).map(move |index| tree.word(index))
    }

    /// The text from the first argument to the end of the statement, as written, and its offset for [`Self::place`].
    pub(in crate::config) fn raw(&self) -> (&'t [u8], usize) {
        let (first, words) = (to_usize(self.node.first) + 1, to_usize(self.node.words));
        let token = |index: usize| self.tree.tokens.get(index).map(|token| to_usize(token.at));
        let bytes = self.tree.text.bytes();
        let from = token(first).unwrap_or(bytes.len());
        // The token of a quoted word begins behind its quote.
        let is_quoted = words > 1 && from > 0 && bytes.get(from - 1) == Some(&b'"');
        let from = from - usize::from(is_quoted);
        let to = token(first - 1 + words).unwrap_or(bytes.len());
        let text = without_comment(bytes.get(from..to).unwrap_or_default());
        (text.trim_ascii_end(), from)
    }

    /// Where a byte of the text stands.
    pub(in crate::config) fn place(&self, offset: usize) -> Place {
        self.tree.text.place(offset)
    }

    /// All words.
    pub(in crate::config) fn words(&self) -> impl Iterator<Item = Word<'t>> + use<'t> {
        core::iter::once(self.keyword()).chain(self.arguments())
    }

    /// Has `{ .. }`.
    pub(in crate::config) fn has_block(&self) -> bool {
        self.node.block
    }

    /// The statements of its block.
    pub(in crate::config) fn children(&self) -> Statements<'t> {
        Statements {
            tree: self.tree,
            next: self.index + 1,
            end: to_usize(self.node.end),
        }
    }

    /// The file ends before the block does: it is not known what it lacks.
    pub(in crate::config) fn is_cut(&self) -> bool {
        self.node.cut
    }

    /// The block is whole and has no such keyword.
    pub(in crate::config) fn lacks(&self, canonical: &str) -> bool {
        let mut entries = self.children().filter_map(|child| child.entry());
        !self.is_cut() && !entries.any(|(_, keyword)| keyword.canonical == canonical)
    }

    /// Its words in backquotes, for a message.
    pub(in crate::config) fn title(&self) -> String {
        let mut title = Vec::new();
        for word in self.words() {
            if !title.is_empty() {
                title.push(b' ');
            }
            title.extend_from_slice(word.bytes.get(..200).unwrap_or(word.bytes));
            if title.len() > 200 {
                break;
            }
        }
        quote(&title)
    }
}

/// Statements of one block.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Statements<'t> {
    pub(super) tree: &'t Tree<'t>,
    pub(super) next: usize,
    pub(super) end: usize,
}

impl<'t> Iterator for Statements<'t> {
    type Item = Statement<'t>;

    fn next(&mut self) -> Option<Statement<'t>> {
        if self.next >= self.end {
            return None;
        }
        let index = self.next;
        let node = *self.tree.nodes.get(index)?;
        self.next = to_usize(node.end).max(index + 1);
        Some(Statement {
            tree: self.tree,
            index,
            node,
        })
    }
}
