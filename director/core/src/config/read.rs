//! Statements to values: the verdict of the keyword table, and the kinds of values that keywords take (`values`).
//!
//! What is wrong is reported where it is found; a reader that answers `None` has said why.

mod values;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::diagnostic::{Place, Sink};
use super::keywords::{self, Block, Braces, Keyword, Mark};
use super::notices::Notice;
use super::tls::Ssl;
use super::tree::{Statement, Statements, Word};
use super::{CheckSettings, Terms};
use crate::check::Owner;
use crate::net::{IfName, Name};
use crate::pattern::{Options, Pattern};
use crate::vrrp::Weight;
pub(super) use values::decimal;

/// Reads the statements of both files into the same list of problems.
pub(super) struct Reader<'r, 'a> {
    pub(super) sink: &'r mut Sink<'a>,
    /// Keywords of the table that have had their warning.
    told: Vec<bool>,
    /// Options that have had their warning.
    told_options: Vec<&'static str>,
    /// The block whose statements are being read.
    block: Block,
    /// What the block `SSL` says, for all checks.
    pub(super) ssl: Ssl,
    /// Programs that are run when something changes.
    pub(super) notices: Vec<Notice>,
    /// Each failed attempt of a check is logged, where it says nothing else (`checker_log_all_failures`).
    pub(super) log_all: bool,
    /// Files of `track_file` by name, with their weights.
    pub(super) files: BTreeMap<Name, (String, Weight)>,
    /// Whom programs run as, when nothing else is said (`script_user`).
    pub(super) owner: Owner,
    /// Devices of virtual hardware addresses, by name.
    pub(super) devices: BTreeMap<IfName, Place>,
    /// Rules that had no priority of their own.
    unordered: u32,
    /// Expressions met so far: many checks have the same one, and share it.
    patterns: BTreeMap<(String, Options), Pattern>,
    /// What the last checks do: most others do the same, and share it.
    settings: VecDeque<Arc<CheckSettings>>,
    /// What holds for the last real servers, likewise.
    terms: VecDeque<Arc<Terms>>,
}

/// How many different checks are remembered: more than one real server has.
const SETTINGS_MAX: usize = 8;

/// One of the last values, if it is the same as this one; else a new one, which is the first of them now.
fn shared<T: PartialEq>(last: &mut VecDeque<Arc<T>>, value: T) -> Arc<T> {
    if let Some(same) = last.iter().find(|known| ***known == value) {
        return Arc::clone(same);
    }
    let new = Arc::new(value);
    last.truncate(SETTINGS_MAX - 1);
    last.push_front(Arc::clone(&new));
    new
}

impl<'r, 'a> Reader<'r, 'a> {
    pub(super) fn new(sink: &'r mut Sink<'a>) -> Self {
        let told = vec![false; keywords::keywords().len()];
        Self {
            sink,
            told,
            told_options: Vec::new(),
            block: Block::Keepalived,
            ssl: Ssl::default(),
            notices: Vec::new(),
            log_all: false,
            files: BTreeMap::new(),
            owner: Owner::NOBODY,
            devices: BTreeMap::new(),
            unordered: 0,
            patterns: BTreeMap::new(),
            settings: VecDeque::new(),
            terms: VecDeque::new(),
        }
    }

    /// An expression, compiled once.
    pub(super) fn pattern(&mut self, text: String, options: Options) -> Result<Pattern, String> {
        let pattern = match self.patterns.entry((text, options)) {
            Entry::Occupied(had) => had.into_mut(),
            Entry::Vacant(room) => {
                let (text, options) = room.key();
                let pattern = Pattern::new(text, *options)?;
                room.insert(pattern)
            }
        };
        Ok(pattern.clone())
    }

    /// What a check does: the same value as another one's that does the same, if it was read not long before.
    pub(super) fn shared(&mut self, settings: CheckSettings) -> Arc<CheckSettings> {
        shared(&mut self.settings, settings)
    }

    /// What holds for a real server: the same value as for one that was read not long before, if it is the same.
    pub(super) fn shared_terms(&mut self, terms: Terms) -> Arc<Terms> {
        shared(&mut self.terms, terms)
    }

    /// The priority of a rule that has none of its own: the first, or the next lower one.
    pub(super) const fn next_priority(&mut self, first: u32) -> u32 {
        let next = first.saturating_sub(self.unordered);
        self.unordered += 1;
        next
    }

    /// Goes through the statements of a block and hands those that act to `act`, with the keyword's canonical name.
    /// All others get the verdict of the table here.
    pub(super) fn each<'t>(
        &mut self,
        block: Block,
        statements: Statements<'t>,
        mut act: impl FnMut(&mut Self, &'static str, Statement<'t>),
    ) {
        let outer = core::mem::replace(&mut self.block, block);
        let mut seen: Vec<(&'static str, Statement<'t>)> = Vec::new();
        for statement in statements {
            if self.sink.is_full() {
                break;
            }
            let Some((index, keyword)) = statement.entry() else {
                self.unknown(statement);
                continue;
            };
            if !self.verdict(index, keyword, statement) || !self.braces(keyword, statement) {
                continue;
            }
            if !keyword.repeats {
                match seen.iter().find(|(word, _)| *word == keyword.canonical) {
                    Some((_, first)) => {
                        self.again(*first, statement);
                        continue;
                    }
                    None => seen.push((keyword.canonical, statement)),
                }
            }
            act(self, keyword.canonical, statement);
            self.block = block;
        }
        self.block = outer;
    }

    /// Whether a keyword acts; says what becomes of it when it does not.
    fn verdict(&mut self, index: usize, keyword: &Keyword, statement: Statement<'_>) -> bool {
        let at = || statement.keyword().at;
        let word = keyword.word;
        match keyword.mark {
            Mark::Acts => return true,
            Mark::NotYet => {
                self.sink
                    .error(at(), format!("`{word}` is not yet supported"));
            }
            Mark::Refused(reason) => {
                self.sink
                    .error(at(), format!("`{word}` is refused: {reason}"));
            }
            Mark::Accepted(instead) => {
                if self.first_time(index) {
                    self.sink
                        .warning(at(), format!("`{word}` has no effect: {instead}"));
                }
            }
            Mark::Dead(instead) => {
                if self.first_time(index) {
                    self.sink
                        .warning(at(), format!("keepalived ignores `{word}`: {instead}"));
                }
            }
        }
        false
    }

    fn first_time(&mut self, index: usize) -> bool {
        self.told
            .get_mut(index)
            .is_some_and(|told| !core::mem::replace(told, true))
    }

    /// Whether it is the first time that an option needs its warning.
    pub(super) fn once(&mut self, option: &'static str) -> bool {
        let first = !self.told_options.contains(&option);
        if first {
            self.told_options.push(option);
        }
        first
    }

    fn unknown(&mut self, statement: Statement<'_>) {
        if statement.is_anonymous() {
            return; // the tree has said so
        }
        let word = statement.keyword();
        if word.bytes.contains(&b'$') && self.variable(word) {
            return;
        }
        let place = match self.block {
            block if block.is_outermost() => "outside all blocks".to_owned(),
            block => format!("in `{}`", block.word()),
        };
        let text = String::from_utf8_lossy(word.bytes);
        let comment = word.bytes.starts_with(b"//").then(|| COMMENTS.to_owned());
        let hint = comment
            .or_else(|| {
                let near = keywords::near_miss(self.block, &text)?;
                Some(format!("did you mean `{near}`?"))
            })
            .or_else(|| belongs(self.block, word.bytes));
        let message = format!("unknown keyword {} {place}", word.quoted());
        let report = self.sink.complain(word.at, message);
        if let Some(hint) = hint {
            report.hint(hint);
        }
    }

    fn braces(&mut self, keyword: &Keyword, statement: Statement<'_>) -> bool {
        let at = || statement.keyword().at;
        let word = keyword.word;
        match (keyword.braces, statement.has_block()) {
            (Braces::Yes, false) => {
                self.sink
                    .error(at(), format!("`{word}` needs a block: `{word} .. {{`"));
                false
            }
            (Braces::No, true) => {
                let report = self.sink.error(at(), format!("`{word}` has no block"));
                let block = keyword.block;
                if statement
                    .arguments()
                    .any(|word| keywords::find(block, word.bytes).is_some())
                {
                    report.hint(ONE_LINE);
                }
                false
            }
            _ => true,
        }
    }

    /// A keyword that can only be given once was given before: harmless when it says the same.
    fn again(&mut self, first: Statement<'_>, statement: Statement<'_>) {
        let word = statement.keyword();
        let line = self.sink.line(first.keyword().at, word.at);
        let name = word.quoted();
        let same = first
            .arguments()
            .map(|word| word.bytes)
            .eq(statement.arguments().map(|word| word.bytes));
        if same && !statement.has_block() {
            self.sink
                .warning(word.at, format!("{name} is given twice, first on {line}"));
        } else {
            self.sink
                .error(word.at, format!("{name} contradicts {line}"));
        }
    }

    /// Reports a word that is not what it should be. A variable in it is the reason, and said instead.
    pub(super) fn wrong(&mut self, word: Word<'_>, what: impl core::fmt::Display) {
        if word.bytes.contains(&b'$') && self.variable(word) {
            return;
        }
        self.sink
            .error(word.at, format!("{}: {what}", word.quoted()));
    }

    /// Whether the word has a variable in it that is not there, and so was not replaced; says so.
    fn variable(&mut self, word: Word<'_>) -> bool {
        let mut names = word.bytes.split(|byte| *byte == b'$').skip(1);
        let is_variable = names.any(|name| {
            let name = name.strip_prefix(b"{").unwrap_or(name);
            name.first()
                .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        });
        if is_variable {
            self.sink.error(
                word.at,
                format!("{}: there is no such variable", word.quoted()),
            );
        }
        is_variable
    }

    /// Reports that something was already there.
    pub(super) fn twice(&mut self, at: Place, what: &str, first: Place) {
        let line = self.sink.line(first, at);
        self.sink
            .error(at, format!("{what} is already there on {line}"));
    }
}

/// What helps when something looks like a comment and is none.
pub(super) const COMMENTS: &str = "a comment begins with `#` or `!`";

/// What helps when a statement begins in the middle of a line.
const ONE_LINE: &str = "begin a new line: a statement ends with its line";

/// Where a keyword that is unknown in one block belongs.
fn belongs(block: Block, word: &[u8]) -> Option<String> {
    let same_file = |other: Block| (other < Block::RouterConf) == (block < Block::RouterConf);
    let homes = Block::ALL.into_iter().filter(|home| same_file(*home));
    let mut homes = homes.filter(|home| {
        let keyword = keywords::find(*home, word).and_then(|index| keywords::keywords().get(index));
        keyword.is_some_and(|keyword| !matches!(keyword.mark, Mark::Dead(_)))
    });
    let home = homes.next()?;
    Some(if home.is_outermost() {
        "it stands outside all blocks".to_owned()
    } else {
        format!("it belongs in `{}`", home.word())
    })
}
