//! Regular expressions over a text that is never held as a whole: whether some match begins in a range of it.
//!
//! The syntax is that of the crate `regex`, without Unicode: bytes are matched. The expression becomes the automaton of
//! Thompson's construction, which is stepped through by each byte as it passes, so that the memory is that of the
//! automaton's states, and the time is bounded by them for each byte (Thompson, 1968). Only whether there is a match is
//! asked, so greed and captures mean nothing here.
//!
//! As in PCRE, `$` holds before a line feed at the text's end too, unless [`Options::dollar_endonly`] is set.

use core::fmt;
use core::ops::RangeInclusive;
use std::sync::Arc;

use regex_automata::nfa::thompson::{self, NFA, State, WhichCaptures};
use regex_automata::util::look::{Look, LookMatcher};
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;
use regex_syntax::hir::{Hir, HirKind, Look as HirLook, Repetition};

use crate::limits;

/// How an expression is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Options {
    /// Letters match both cases.
    pub caseless: bool,
    /// `.` matches a line feed too.
    pub dotall: bool,
    /// `^` and `$` hold at each line.
    pub multiline: bool,
    /// Blanks and comments in the expression mean nothing.
    pub extended: bool,
    /// `$` holds at the very end alone.
    pub dollar_endonly: bool,
}

/// An expression, ready to be used. Clones share it.
#[derive(Clone)]
pub struct Pattern(Arc<Compiled>);

struct Compiled {
    text: String,
    options: Options,
    automaton: NFA,
    /// Bytes with which a match can begin; all of them, when it can be empty or depends on what is around.
    first: [bool; 256],
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// In words, when it is none, has what this engine lacks (look-around, back references), or is larger than
    /// [`limits::REGEX_BYTES_MAX`].
    pub fn new(text: &str, options: Options) -> Result<Self, String> {
        let syntax = syntax::Config::new()
            .unicode(false)
            .utf8(false)
            .case_insensitive(options.caseless)
            .dot_matches_new_line(options.dotall)
            .multi_line(options.multiline)
            .ignore_whitespace(options.extended);
        let parsed = syntax::parse_with(text, &syntax).map_err(|error| reason(&error))?;
        let parsed = if options.dollar_endonly {
            parsed
        } else {
            before_last_line_feed(&parsed)
        };
        let config = thompson::Config::new()
            .utf8(false)
            .nfa_size_limit(Some(limits::REGEX_BYTES_MAX))
            .which_captures(WhichCaptures::None);
        let built = NFA::compiler().configure(config).build_from_hir(&parsed);
        let automaton = built.map_err(|error| match error.size_limit() {
            Some(limit) => format!("it is too large: more than {limit} bytes"),
            None => error.to_string(),
        })?;
        let looks = automaton.look_set_any();
        if looks.contains(Look::WordStartAscii) || looks.contains(Look::WordEndAscii) {
            return Err("`\\<` and `\\>` are other things to PCRE: use `\\b`".to_string());
        }
        Ok(Self(Arc::new(Compiled {
            text: text.to_string(),
            options,
            first: first_bytes(&automaton),
            automaton,
        })))
    }
}

/// What a match can begin with.
fn first_bytes(automaton: &NFA) -> [bool; 256] {
    let mut first = [false; 256];
    let mut states = Set::new(automaton.states().len());
    states.insert(automaton.start_anchored());
    let mut at = 0;
    while let Some(id) = states.get(at) {
        at += 1;
        let state = automaton.state(id);
        if matches!(state, State::Match { .. } | State::Look { .. }) {
            return [true; 256];
        }
        follow(state, &mut states);
        for (byte, first) in (0..=u8::MAX).zip(&mut first) {
            *first |= next(state, byte).is_some();
        }
    }
    first
}

/// `$` at the end of the text also holds before a line feed that is its last byte.
fn before_last_line_feed(hir: &Hir) -> Hir {
    let all = |hirs: &[Hir]| hirs.iter().map(before_last_line_feed).collect();
    match hir.kind() {
        HirKind::Look(HirLook::End) => {
            let end = || Hir::look(HirLook::End);
            let line_feed = Hir::literal([b'\n']);
            Hir::alternation(vec![end(), Hir::concat(vec![line_feed, end()])])
        }
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(before_last_line_feed(&repetition.sub)),
            ..repetition.clone()
        }),
        // What a group is called means nothing.
        HirKind::Capture(capture) => before_last_line_feed(&capture.sub),
        HirKind::Concat(hirs) => Hir::concat(all(hirs)),
        HirKind::Alternation(hirs) => Hir::alternation(all(hirs)),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
    }
}

/// The last line of the parser's message: it draws the expression above it.
fn reason(error: &regex_syntax::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_string()
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.0.text, self.0.options) == (&other.0.text, other.0.options)
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.0.text, self.0.options)
    }
}

/// One passage of a text.
#[derive(Debug)]
pub struct Search {
    pattern: Pattern,
    /// Where a match may begin: bytes from the text's start.
    range: RangeInclusive<u64>,
    /// Bytes that have passed.
    passed: u64,
    /// The last of them.
    before: Option<u8>,
    /// Where the matches that have begun stand, before what needs no byte is followed.
    here: Set,
    /// Room for what follows.
    there: Set,
    found: bool,
}

impl Search {
    /// Before the first byte.
    #[must_use]
    pub fn new(pattern: &Pattern, range: RangeInclusive<u64>) -> Self {
        let states = pattern.0.automaton.states().len();
        Self {
            pattern: pattern.clone(),
            range,
            passed: 0,
            before: None,
            here: Set::new(states),
            there: Set::new(states),
            found: false,
        }
    }

    /// The next bytes of the text.
    pub fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.found {
                return;
            }
            self.step(Some(*byte));
            self.before = Some(*byte);
            self.passed += 1;
        }
    }

    /// The text has ended: whether there was a match.
    #[must_use]
    pub fn finish(mut self) -> bool {
        if !self.found {
            self.step(None);
        }
        self.found
    }

    /// Follows what needs no byte, between the byte before and the one after, and then the one after.
    fn step(&mut self, after: Option<u8>) {
        let can_begin = after.is_none_or(|byte| {
            let first = self.pattern.0.first.get(usize::from(byte));
            first.copied().unwrap_or(true)
        });
        if can_begin && self.range.contains(&self.passed) {
            self.here.insert(self.pattern.0.automaton.start_anchored());
        }
        if self.here.list.is_empty() {
            return;
        }
        // What holds here depends on no more than the two bytes around.
        let both = [self.before.unwrap_or_default(), after.unwrap_or_default()];
        let between = usize::from(self.before.is_some());
        let around = both.get(1 - between..1 + usize::from(after.is_some()));
        let around = around.unwrap_or_default();
        let looks = LookMatcher::new();
        let mut at = 0;
        while let Some(id) = self.here.get(at) {
            at += 1;
            match self.pattern.0.automaton.state(id) {
                State::Match { .. } => {
                    self.found = true;
                    return;
                }
                State::Look { look, next } if looks.matches(*look, around, between) => {
                    self.here.insert(*next);
                }
                state => {
                    follow(state, &mut self.here);
                    if let Some(next) = after.and_then(|byte| next(state, byte)) {
                        self.there.insert(next);
                    }
                }
            }
        }
        self.here.clear();
        core::mem::swap(&mut self.here, &mut self.there);
    }
}

/// Adds what a state leads to without a byte and without a condition.
fn follow(state: &State, to: &mut Set) {
    match state {
        State::Union { alternates } => alternates.iter().for_each(|id| to.insert(*id)),
        State::BinaryUnion { alt1, alt2 } => {
            to.insert(*alt1);
            to.insert(*alt2);
        }
        State::Capture { next, .. } => to.insert(*next),
        State::ByteRange { .. }
        | State::Sparse(_)
        | State::Dense(_)
        | State::Look { .. }
        | State::Fail
        | State::Match { .. } => {}
    }
}

/// Where a state leads by this byte.
fn next(state: &State, byte: u8) -> Option<StateID> {
    match state {
        State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
        State::Sparse(transitions) => transitions.matches_byte(byte),
        State::Dense(transitions) => transitions.matches_byte(byte),
        _ => None,
    }
}

/// States in the order in which they came, each once.
#[derive(Debug)]
struct Set {
    list: Vec<StateID>,
    has: Vec<bool>,
}

impl Set {
    fn new(states: usize) -> Self {
        Self {
            list: Vec::new(),
            has: vec![false; states],
        }
    }

    fn insert(&mut self, id: StateID) {
        if let Some(has) = self.has.get_mut(id.as_usize())
            && !core::mem::replace(has, true)
        {
            self.list.push(id);
        }
    }

    fn get(&self, at: usize) -> Option<StateID> {
        self.list.get(at).copied()
    }

    fn clear(&mut self) {
        for id in self.list.drain(..) {
            if let Some(has) = self.has.get_mut(id.as_usize()) {
                *has = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYWHERE: RangeInclusive<u64> = 0..=u64::MAX;

    /// The same in one piece and byte by byte.
    fn matches(pattern: &str, options: Options, range: &RangeInclusive<u64>, text: &[u8]) -> bool {
        let pattern = Pattern::new(pattern, options).unwrap();
        let whole = {
            let mut search = Search::new(&pattern, range.clone());
            search.take(text);
            search.finish()
        };
        let mut search = Search::new(&pattern, range.clone());
        text.chunks(1).for_each(|piece| search.take(piece));
        assert_eq!(search.finish(), whole, "{pattern:?}");
        whole
    }

    #[test]
    fn an_expression_is_found_wherever_the_pieces_are_cut() {
        let page = b"<html>\nstatus: OK, 17 of 20\n\xff\xe9nd</html>\n";
        for (pattern, expected) in [
            ("OK", true),
            ("ok", false),
            (r"status:\s+(OK|fine)", true),
            (r"\d+ of \d{2}$", false),
            (r"(?m)\d+ of \d{2}$", true),
            ("^status", false),
            ("(?m)^status", true),
            ("^<html>", true),
            ("</html>$", true),
            (r"</html>\n$", true),
            (r"\bof\b", true),
            (r"\bo\b", false),
            (r"(?-u:\xff\xe9)nd", true),
            ("", true),
            ("a*$", true),
            ("[^<]*>.*<", false),
            ("(?s)html.*html", true),
            ("OK|nothing|(?:x|y)+z", true),
        ] {
            let found = matches(pattern, Options::default(), &EVERYWHERE, page);
            assert_eq!(found, expected, "{pattern}");
        }
    }

    #[test]
    fn options_are_those_of_pcre() {
        let plain = Options::default();
        let cases = [
            ("ok$", plain, "OK\n", false),
            ("OK$", plain, "OK\n", true),
            ("OK$", plain, "OK\n\n", false),
            (
                "ok",
                Options {
                    caseless: true,
                    ..plain
                },
                "OK",
                true,
            ),
            ("a.b", plain, "a\nb", false),
            (
                "a.b",
                Options {
                    dotall: true,
                    ..plain
                },
                "a\nb",
                true,
            ),
            (
                "^b",
                Options {
                    multiline: true,
                    ..plain
                },
                "a\nb",
                true,
            ),
            (
                "a b # c",
                Options {
                    extended: true,
                    ..plain
                },
                "ab",
                true,
            ),
            (
                "OK$",
                Options {
                    dollar_endonly: true,
                    ..plain
                },
                "OK\n",
                false,
            ),
            (
                "OK$",
                Options {
                    dollar_endonly: true,
                    ..plain
                },
                "OK",
                true,
            ),
        ];
        for (pattern, options, text, expected) in cases {
            let found = matches(pattern, options, &EVERYWHERE, text.as_bytes());
            assert_eq!(found, expected, "{pattern} {options:?}");
        }
    }

    #[test]
    fn a_match_begins_in_its_range_and_may_end_behind_it() {
        for (pattern, range, expected) in [
            ("abc", 0..=0, true),
            ("abc", 1..=5, false),
            ("abc", 1..=6, true),
            ("abc", 6..=6, true),
            ("abc", 7..=u64::MAX, false),
            ("^", 1..=9, false),
            (r"\Bc", 2..=2, true),
        ] {
            let found = matches(pattern, Options::default(), &range, b"abc.. abc");
            assert_eq!(found, expected, "{pattern} {range:?}");
        }
    }

    #[test]
    fn what_the_engine_lacks_is_said() {
        for (pattern, reason) in [
            (
                "a(?=b)",
                "look-around, including look-ahead and look-behind, is not supported",
            ),
            (r"(a)\1", "backreferences are not supported"),
            ("a(b", "unclosed group"),
            (
                "(?:a{1000}){1000}",
                "it is too large: more than 65536 bytes",
            ),
            (
                r"\<a",
                "`\\<` and `\\>` are other things to PCRE: use `\\b`",
            ),
            (r"\p{L}", "Unicode not allowed here"),
        ] {
            let error = Pattern::new(pattern, Options::default()).unwrap_err();
            assert_eq!(error, reason, "{pattern}");
        }
    }

    proptest::proptest! {
        /// The crate's own engine says the same.
        #[test]
        fn it_finds_what_the_crate_finds(
            pattern in r"\^?([a-c.]|\[ab\]|\(a\|bc\)|\\b|\\B)[*+?]?([a-c.]|\(b\|ca?\)){0,3}\$?",
            text in "[a-c \n]{0,12}",
        ) {
            let whole = regex_automata::nfa::thompson::pikevm::PikeVM::builder()
                .syntax(syntax::Config::new().unicode(false).utf8(false))
                .thompson(thompson::Config::new().utf8(false))
                .build(&pattern)
                .unwrap();
            let expected = whole.is_match(&mut whole.create_cache(), text.as_bytes());
            let options = Options { dollar_endonly: true, ..Options::default() };
            proptest::prop_assert_eq!(matches(&pattern, options, &EVERYWHERE, text.as_bytes()), expected);
        }
    }
}
