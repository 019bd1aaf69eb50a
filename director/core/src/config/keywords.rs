//! Every keyword of both files, and what becomes of it: the one table that the reading of blocks is driven by.

mod table;

use std::sync::LazyLock;

pub use super::block::Block;

/// What becomes of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Does what keepalived does with it.
    Acts,
    /// An error for now.
    NotYet,
    /// Accepted with one warning; the text says what holds instead.
    Accepted(&'static str),
    /// An error for good; the text is the reason.
    Refused(&'static str),
    /// Keepalived itself ignores it and complains; one warning says what holds.
    Dead(&'static str),
}

/// One keyword in one block.
#[derive(Clone, Copy, Debug)]
pub struct Keyword {
    /// Where it may stand.
    pub block: Block,
    /// The word.
    pub word: &'static str,
    /// The word whose other name it is; else itself.
    pub canonical: &'static str,
    /// What becomes of it.
    pub mark: Mark,
    /// `{ .. }` follows: never, always, or as one likes.
    pub braces: Braces,
    /// May be given more than once in one block.
    pub repeats: bool,
    /// The block it opens, of those that are looked at.
    pub opens: Option<Block>,
}

/// Whether a keyword opens a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Braces {
    /// Never.
    No,
    /// Always.
    Yes,
    /// Both forms exist.
    Either,
}

/// All keywords, sorted by block and word.
#[must_use]
pub fn keywords() -> &'static [Keyword] {
    &TABLE
}

/// A keyword's index in [`keywords`], if the block has it.
pub(super) fn find(block: Block, word: &[u8]) -> Option<usize> {
    let first = usize::from(*FIRSTS.get(block as usize)?);
    let behind = usize::from(*FIRSTS.get(block as usize + 1)?);
    let found = TABLE
        .get(first..behind)?
        .binary_search_by(|keyword| keyword.word.as_bytes().cmp(word));
    Some(first + found.ok()?)
}

/// The keyword's value must not be shown to whoever reads a log or a console. `key` of `SSL` is a path only, but a line
/// alone does not say which it is.
pub(super) fn is_secret(word: &[u8]) -> bool {
    matches!(word, b"auth_pass" | b"secret" | b"key")
}

/// The word of a block that a misspelt one probably means.
pub(super) fn near_miss(block: Block, word: &str) -> Option<&'static str> {
    let words = TABLE.iter().filter(|keyword| keyword.block == block);
    nearest(word, words.map(|keyword| keyword.word))
}

/// The candidate that a misspelt word probably means.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    let allowed = match word.len() {
        0..=3 => 1,
        4..=63 => 2,
        _ => return None,
    };
    let close = candidates.filter_map(|candidate| {
        let lengths = candidate.len().abs_diff(word.len());
        let edits = if lengths > allowed {
            lengths
        } else {
            distance(word, candidate)
        };
        (edits <= allowed && edits < candidate.len()).then_some((edits, candidate))
    });
    close.min().map(|(_, candidate)| candidate)
}

/// Edits from one word to the other: one letter put in, left out, changed, or two neighbours exchanged; case is free.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<u8> = to.bytes().map(|byte| byte.to_ascii_lowercase()).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut last = None;
    for (i, byte) in from
        .bytes()
        .map(|byte| byte.to_ascii_lowercase())
        .enumerate()
    {
        let mut next = vec![i + 1];
        for (j, other) in to.iter().enumerate() {
            let at =
                |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut cost = at(&row, j) + usize::from(byte != *other);
            cost = cost.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let other_before = j.checked_sub(1).and_then(|index| to.get(index));
            if last == Some(*other) && other_before == Some(&byte) {
                cost = cost.min(at(&before, j.wrapping_sub(1)) + 1);
            }
            next.push(cost);
        }
        before = core::mem::replace(&mut row, next);
        last = Some(byte);
    }
    row.last().copied().unwrap_or_default()
}

static TABLE: LazyLock<Vec<Keyword>> = LazyLock::new(|| {
    let rows = table::TEXT.iter().flat_map(|(block, mark, words)| {
        words
            .split_ascii_whitespace()
            .map(|word| keyword(*block, *mark, word))
    });
    let mut table: Vec<Keyword> = rows.collect();
    table.sort_unstable_by_key(|keyword| (keyword.block, keyword.word));
    table.shrink_to_fit();
    table
});

/// Where the keywords of each block begin in the table, and where those of the last one end: most of a long text is
/// looking for keywords, and this spares it half of the comparisons.
static FIRSTS: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let first = |block: &Block| TABLE.partition_point(|keyword| keyword.block < *block);
    let firsts = Block::ALL.iter().map(first).chain([TABLE.len()]);
    firsts
        .map(|first| u16::try_from(first).unwrap_or(u16::MAX))
        .collect()
});

/// Reads one word of [`table::TEXT`].
fn keyword(block: Block, mark: Mark, text: &'static str) -> Keyword {
    let (text, repeats) = text
        .strip_suffix('*')
        .map_or((text, false), |text| (text, true));
    let (text, braces) = match (text.strip_suffix("{}"), text.strip_suffix("{?}")) {
        (Some(text), _) => (text, Braces::Yes),
        (_, Some(text)) => (text, Braces::Either),
        _ => (text, Braces::No),
    };
    let (word, canonical) = text.split_once('=').unwrap_or((text, text));
    let opens = (mark == Mark::Acts && braces != Braces::No).then(|| block.opened_by(canonical));
    let opens = opens.flatten();
    Keyword {
        block,
        word,
        canonical,
        mark,
        braces,
        repeats,
        opens,
    }
}
