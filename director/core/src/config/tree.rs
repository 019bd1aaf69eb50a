//! Tokens to statements: a keyword, its words, and perhaps a block of statements.
//!
//! The tree is one flat list in the order of the text, each statement with the index after its last descendant, so
//! that neither reading nor dropping it recurses, however deep a hostile file nests. A missing or superfluous `}` is
//! found where the keywords stop to fit, said once, and repaired, so that one mistake is one message.

mod statement;

use super::diagnostic::{Place, Sink, quote};
use super::keywords::{self, Block, Braces, keywords};
use super::lex::{Kind, Token};
use super::text::Text;
pub(super) use statement::{Statement, Statements, Word};

/// The statements of one text.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    text: &'a Text<'a>,
    tokens: Vec<Token>,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Index of the keyword's token.
    first: u32,
    /// Words including the keyword; 0 for a block without a keyword.
    words: u32,
    /// Index after the last descendant.
    end: u32,
    /// Index of the keyword in the table + 1; 0 when it does not belong where it stands.
    keyword: u16,
    block: bool,
    /// The text ends before the block does.
    cut: bool,
}

impl<'a> Tree<'a> {
    /// Builds the tree of a text whose outermost keywords are those of `root`.
    pub(super) fn build(
        text: &'a Text<'a>,
        tokens: Vec<Token>,
        root: Block,
        sink: &mut Sink<'_>,
    ) -> Self {
        let tree = Self {
            text,
            tokens,
            nodes: Vec::new(),
        };
        let count = |kind| {
            tree.tokens
                .iter()
                .filter(|token| token.kind == kind)
                .count()
        };
        let (opens, closes) = (count(Kind::Open), count(Kind::Close));
        let mut builder = Builder {
            tree,
            sink,
            stack: vec![Level {
                node: None,
                block: Some(root),
            }],
            current: None,
            pending: None,
            closed: None,
            missing: opens.saturating_sub(closes),
            extra: closes.saturating_sub(opens),
        };
        for index in 0..builder.tree.tokens.len() {
            builder.token(index);
            if builder.sink.is_full() {
                break;
            }
        }
        builder.end_of_file();
        builder.tree
    }

    /// The outermost statements.
    pub(super) fn statements(&'a self) -> Statements<'a> {
        Statements {
            tree: self,
            next: 0,
            end: self.nodes.len(),
        }
    }

    fn word(&self, token: usize) -> Word<'a> {
        let found = self.tokens.get(token);
        Word {
            bytes: self.bytes(token),
            at: self.text.place(found.map_or(0, |token| to_usize(token.at))),
            escaped: found.is_some_and(|token| token.escaped),
        }
    }

    /// A word's bytes alone: its place takes longer to find.
    fn bytes(&self, token: usize) -> &'a [u8] {
        let token = self.tokens.get(token);
        let (at, len) = token.map_or((0, 0), |token| (to_usize(token.at), to_usize(token.len)));
        self.text.bytes().get(at..at + len).unwrap_or_default()
    }

    fn title(&self, node: usize) -> String {
        let node = self.nodes.get(node).map(|node| Statement {
            tree: self,
            index: 0,
            node: *node,
        });
        node.map_or_else(String::new, |statement| statement.title())
    }

    fn place(&self, node: usize) -> Place {
        let first = self.nodes.get(node).map_or(0, |node| node.first);
        self.word(to_usize(first)).at
    }
}

/// The longest chain of [`Block`]s that open each other, with room.
const LEVELS_MAX: usize = 8;

/// An open block; `block` is none when its words are not looked at.
#[derive(Clone, Copy, Debug)]
struct Level {
    node: Option<usize>,
    block: Option<Block>,
}

struct Builder<'b, 'a, 's> {
    tree: Tree<'a>,
    sink: &'b mut Sink<'s>,
    stack: Vec<Level>,
    /// The statement that words are added to.
    current: Option<usize>,
    /// The statement of the line before, to which a `{` on its own line belongs.
    pending: Option<usize>,
    /// The block closed last, and by which token, until another statement follows.
    closed: Option<(Level, usize)>,
    /// `{` without a `}` in the whole file, not yet accounted for.
    missing: usize,
    /// `}` without a `{` in the whole file, not yet accounted for.
    extra: usize,
}

impl Builder<'_, '_, '_> {
    fn token(&mut self, index: usize) {
        match self.tree.tokens.get(index).map(|token| token.kind) {
            Some(Kind::Word) => self.word(index),
            Some(Kind::Open) => self.open(index),
            Some(Kind::Close) => self.close(index),
            Some(Kind::End) => {
                if let Some(node) = self.current.take() {
                    self.pending = Some(node);
                }
            }
            None => {}
        }
    }

    fn word(&mut self, index: usize) {
        if let Some(node) = self.current.and_then(|node| self.tree.nodes.get_mut(node)) {
            node.words += 1;
            return;
        }
        self.settle(index);
        self.closed = None;
        self.pending = None;
        self.current = Some(self.push(index, 1));
    }

    fn push(&mut self, token: usize, words: u32) -> usize {
        let word = self.tree.bytes(token);
        let block = self.top().block;
        let keyword = block.and_then(|block| keywords::find(block, word));
        let keyword = keyword.filter(|_| words > 0).map_or(0, |index| index + 1);
        let index = self.tree.nodes.len();
        self.tree.nodes.push(Node {
            first: to_u32(token),
            words,
            end: to_u32(index + 1),
            keyword: u16::try_from(keyword).unwrap_or(0),
            block: false,
            cut: false,
        });
        index
    }

    fn open(&mut self, index: usize) {
        let node = self.current.take().or_else(|| self.pending.take());
        let node = node.unwrap_or_else(|| {
            let at = self.tree.word(index).at;
            self.sink.error(at, "`{` without a keyword before it");
            self.push(index, 0)
        });
        let Some(slot) = self.tree.nodes.get_mut(node) else {
            return;
        };
        slot.block = true;
        let keyword = usize::from(slot.keyword)
            .checked_sub(1)
            .and_then(|at| keywords().get(at));
        let block = keyword.and_then(|keyword| keyword.opens);
        self.stack.push(Level {
            node: Some(node),
            block,
        });
        self.closed = None;
    }

    fn close(&mut self, index: usize) {
        self.current = None;
        self.pending = None;
        match self.pop() {
            Some(level) => self.closed = Some((level, index)),
            None => {
                self.extra = self.extra.saturating_sub(1);
                self.sink.error(
                    self.tree.word(index).at,
                    "`}` without a block that it could close",
                );
            }
        }
    }

    /// Closes the innermost block; none at the outermost level.
    fn pop(&mut self) -> Option<Level> {
        if self.stack.len() <= 1 {
            return None;
        }
        let level = self.stack.pop()?;
        let end = to_u32(self.tree.nodes.len());
        if let Some(node) = level.node.and_then(|node| self.tree.nodes.get_mut(node)) {
            node.end = end;
        }
        Some(level)
    }

    fn top(&self) -> Level {
        // The outermost level is never popped.
        self.stack.last().copied().unwrap_or(Level {
            node: None,
            block: None,
        })
    }

    /// Before a statement: when its keyword does not fit here, but would if a `}` were added or left out, and the
    /// file's braces do not match anyway, then that is the mistake.
    fn settle(&mut self, index: usize) {
        if self.missing == 0 && self.extra == 0 {
            return;
        }
        let word = self.tree.word(index);
        let (bytes, at) = (word.bytes, word.at);
        let fits = |level: &Level| {
            level
                .block
                .is_some_and(|block| keywords::find(block, bytes).is_some())
        };
        if fits(&self.top()) {
            return;
        }
        if self.missing > 0 {
            self.add_closing(bytes, at);
        } else if let Some((level, brace)) = self.closed.filter(|(level, _)| fits(level)) {
            self.extra -= 1;
            let title = level
                .node
                .map_or_else(String::new, |node| self.tree.title(node));
            let message = format!(
                "this `}}` closes {title} too early: {} follows",
                quote(bytes)
            );
            self.sink.error(self.tree.word(brace).at, message);
            self.stack.push(level);
        }
    }

    fn add_closing(&mut self, word: &[u8], at: Place) {
        let known = self.top().block.is_some();
        // Blocks that are looked at are the outermost ones; deeper levels are skipped, so this is a short search.
        let looked_at = self.stack.len().min(LEVELS_MAX);
        let home = self.stack.iter().take(looked_at).rposition(|level| {
            let keyword = level.block.and_then(|block| keywords::find(block, word));
            let keyword = keyword.and_then(|index| keywords().get(index));
            keyword.is_some_and(|keyword| {
                known || keyword.block.is_outermost() && keyword.braces == Braces::Yes
            })
        });
        let Some(home) = home.filter(|home| self.stack.len() - 1 - home <= self.missing) else {
            return;
        };
        let Some(open) = self.stack.get(home + 1).and_then(|level| level.node) else {
            return;
        };
        let title = self.tree.title(open);
        let line = self.sink.line(self.tree.place(open), at);
        let message = format!("a `}}` is missing before this: {title} of {line} is still open");
        self.sink.error(at, message);
        while self.stack.len() > home + 1 && self.pop().is_some() {
            self.missing -= 1;
        }
    }

    fn end_of_file(&mut self) {
        let open = self.top().node.filter(|_| !self.sink.is_full());
        if let Some(node) = open {
            let message = format!("{} is not closed: a `}}` is missing", self.tree.title(node));
            let is_anonymous = self
                .tree
                .nodes
                .get(node)
                .is_some_and(|node| node.words == 0);
            if !is_anonymous {
                self.sink.error(self.tree.place(node), message);
            }
        }
        while let Some(level) = self.pop() {
            if let Some(node) = level.node.and_then(|node| self.tree.nodes.get_mut(node)) {
                node.cut = true;
            }
        }
    }
}

/// Indices fit: there are at most as many tokens as bytes, and `limits::CONFIG_BYTES_MAX` of those.
fn to_u32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn to_usize(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}
