//! A line that is typed: editing, history, and what the terminal must be sent to show it.
//!
//! The editor knows what stands on the screen and sends the difference, so that a key costs a byte or two on a slow
//! line. It uses what every terminal understands: backspace, carriage return, `ESC [ n D` and `ESC [ K`.

use std::collections::VecDeque;

use super::keys::Key;
use super::limits::{COLUMNS, HISTORY_MAX, LINE_MAX};

/// What a key led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing beyond the line itself.
    Edited,
    /// The line is complete; the editor is empty again and the cursor at the beginning of the next line.
    Line(Vec<u8>),
    /// Tab: something to complete.
    Complete,
    /// ^C; the line has been thrown away.
    Interrupt,
    /// ^D on an empty line.
    End,
}

/// The line being typed.
#[derive(Debug, Default)]
pub(super) struct Editor {
    prompt: String,
    /// Secrets are neither shown nor remembered; they may hold any character, a command only ASCII.
    secret: bool,
    line: Vec<u8>,
    cursor: usize,
    /// First byte of the line that is shown, where it is longer than the screen.
    view: usize,
    history: VecDeque<Vec<u8>>,
    /// Position in the history while the arrows go through it, and the line that was left for that.
    recalled: Option<usize>,
    draft: Vec<u8>,
    /// What stands behind the prompt on the screen, and where the terminal's cursor is in it.
    drawn: Vec<u8>,
    column: usize,
}

impl Editor {
    /// Begins an empty line with this prompt and shows it.
    pub(super) fn begin(&mut self, prompt: &str, secret: bool, out: &mut Vec<u8>) {
        self.prompt = prompt.to_owned();
        self.secret = secret;
        self.forget();
        self.show(out);
    }

    /// Draws prompt and line where the cursor is, which must be the beginning of an empty line.
    pub(super) fn show(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prompt.as_bytes());
        self.drawn.clear();
        self.column = 0;
        self.draw(out);
    }

    /// Takes prompt and line off the screen, so that something else can be written in their place.
    pub(super) fn hide(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\x1b[K");
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: Key, out: &mut Vec<u8>) -> Outcome {
        match key {
            Key::Enter => return self.enter(out),
            Key::Tab if !self.secret => return Outcome::Complete,
            Key::Tab => {}
            Key::Interrupt => {
                self.forget();
                out.extend_from_slice(b"\r\n");
                return Outcome::Interrupt;
            }
            Key::EndOfInput if self.line.is_empty() => return Outcome::End,
            Key::Clear => {
                out.extend_from_slice(b"\x1b[H\x1b[2J");
                self.show(out);
            }
            Key::Char(byte) => self.insert(&[byte], out),
            Key::Backspace => self.delete(self.character_start(), self.cursor),
            Key::Delete | Key::EndOfInput => {
                self.delete(self.cursor, self.line.len().min(self.cursor + 1));
            }
            Key::KillToEnd => self.delete(self.cursor, self.line.len()),
            Key::KillToStart => self.delete(0, self.cursor),
            Key::KillWord => self.delete(self.word_start(), self.cursor),
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = self.line.len().min(self.cursor + 1),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.line.len(),
            Key::Up => self.recall(true),
            Key::Down => self.recall(false),
        }
        self.draw(out);
        Outcome::Edited
    }

    /// The line up to the cursor: what is to be completed.
    pub(super) fn before_cursor(&self) -> &[u8] {
        self.line.get(..self.cursor).unwrap_or_default()
    }

    /// Inserts text at the cursor, as if typed.
    pub(super) fn complete(&mut self, text: &str, out: &mut Vec<u8>) {
        self.insert(text.as_bytes(), out);
        self.draw(out);
    }

    fn enter(&mut self, out: &mut Vec<u8>) -> Outcome {
        self.cursor = self.line.len();
        self.draw(out);
        out.extend_from_slice(b"\r\n");
        let line = self.forget();
        if !self.secret && !line.is_empty() && self.history.back() != Some(&line) {
            if self.history.len() == HISTORY_MAX {
                self.history.pop_front();
            }
            self.history.push_back(line.clone());
        }
        Outcome::Line(line)
    }

    /// Empties the line; what it was.
    fn forget(&mut self) -> Vec<u8> {
        (self.cursor, self.view, self.recalled) = (0, 0, None);
        std::mem::take(&mut self.line)
    }

    fn insert(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let allowed = self.secret || bytes.is_ascii();
        if !allowed || self.line.len() + bytes.len() > LINE_MAX {
            out.push(7);
            return;
        }
        self.line
            .splice(self.cursor..self.cursor, bytes.iter().copied());
        self.cursor += bytes.len();
    }

    fn delete(&mut self, from: usize, to: usize) {
        self.line.drain(from..to);
        self.cursor = from;
    }

    /// Where the character to the left of the cursor begins; in a secret it may have several bytes.
    fn character_start(&self) -> usize {
        self.before_cursor()
            .iter()
            .rposition(|byte| byte & 0xc0 != 0x80)
            .unwrap_or(0)
    }

    /// Where the word to the left of the cursor begins.
    fn word_start(&self) -> usize {
        let before = self.before_cursor();
        let end = before
            .iter()
            .rposition(|&byte| byte != b' ')
            .map_or(0, |last| last + 1);
        before
            .iter()
            .take(end)
            .rposition(|&byte| byte == b' ')
            .map_or(0, |blank| blank + 1)
    }

    fn recall(&mut self, older: bool) {
        if self.secret {
            return;
        }
        let newest = self.history.len();
        let from = self.recalled.unwrap_or(newest);
        let to = if older {
            from.saturating_sub(1)
        } else {
            newest.min(from + 1)
        };
        if self.recalled.is_none() && to < newest {
            self.draft = std::mem::take(&mut self.line);
        } else if to == from {
            return;
        }
        self.recalled = (to < newest).then_some(to);
        self.line = match self.history.get(to) {
            Some(line) => line.clone(),
            None => std::mem::take(&mut self.draft),
        };
        self.cursor = self.line.len();
    }

    /// Brings the screen from what stands there to what should.
    fn draw(&mut self, out: &mut Vec<u8>) {
        let room = COLUMNS.saturating_sub(self.prompt.len()).max(8);
        if self.cursor < self.view {
            self.view = self.cursor.saturating_sub(room / 2);
        } else if self.cursor - self.view > room {
            self.view = self.cursor - room / 2;
        }
        let (shown, column) = if self.secret {
            (&[][..], 0)
        } else {
            let end = self.line.len().min(self.view + room);
            (
                self.line.get(self.view..end).unwrap_or_default(),
                self.cursor - self.view,
            )
        };
        let same = shown
            .iter()
            .zip(&self.drawn)
            .take_while(|(new, old)| new == old)
            .count();
        if same < shown.len() || same < self.drawn.len() {
            step(&self.drawn, &mut self.column, same, out);
            out.extend(shown.iter().skip(same));
            self.column = shown.len();
            if self.drawn.len() > shown.len() {
                out.extend_from_slice(b"\x1b[K");
            }
            self.drawn.clear();
            self.drawn.extend_from_slice(shown);
        }
        step(&self.drawn, &mut self.column, column, out);
    }
}

/// Moves the terminal's cursor within `drawn`: to the left by the shortest sequence, to the right by writing again.
fn step(drawn: &[u8], column: &mut usize, to: usize, out: &mut Vec<u8>) {
    match *column {
        from if from > to && from - to > 4 => {
            out.extend_from_slice(format!("\x1b[{}D", from - to).as_bytes());
        }
        from if from > to => out.extend(std::iter::repeat_n(8, from - to)),
        from => out.extend_from_slice(drawn.get(from..to).unwrap_or_default()),
    }
    *column = to;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::keys::Keys;
    use super::*;

    /// As much of a terminal as the editor uses.
    #[derive(Default)]
    struct Screen {
        line: Vec<u8>,
        column: usize,
    }

    impl Screen {
        fn write(&mut self, bytes: &[u8]) {
            let mut bytes = bytes.iter().copied();
            while let Some(byte) = bytes.next() {
                match byte {
                    b'\r' => self.column = 0,
                    b'\n' => self.line.clear(),
                    7 => {}
                    8 => self.column -= 1,
                    0x1b => {
                        assert_eq!(bytes.next(), Some(b'['));
                        let sequence: Vec<u8> =
                            bytes.by_ref().take_while(u8::is_ascii_digit).collect();
                        // take_while has taken the final byte, too: D after a number, K, H or J without.
                        match std::str::from_utf8(&sequence).unwrap().parse::<usize>() {
                            Ok(2) if self.column == 0 => self.line.clear(),
                            Ok(count) => self.column -= count,
                            Err(_) => self.line.truncate(self.column),
                        }
                    }
                    byte => {
                        self.line.resize(self.line.len().max(self.column + 1), b' ');
                        self.line[self.column] = byte;
                        self.column += 1;
                        assert!(self.column < 80, "nothing is written to the last column");
                    }
                }
            }
        }
    }

    struct Typist {
        editor: Editor,
        keys: Keys,
        screen: Screen,
        sent: usize,
        outcomes: Vec<Outcome>,
    }

    fn typist(secret: bool) -> Typist {
        let mut typist = Typist {
            editor: Editor::default(),
            keys: Keys::default(),
            screen: Screen::default(),
            sent: 0,
            outcomes: Vec::new(),
        };
        typist.prompt(secret);
        typist
    }

    impl Typist {
        fn prompt(&mut self, secret: bool) {
            let mut out = Vec::new();
            self.editor.begin("n1> ", secret, &mut out);
            self.screen.write(&out);
        }

        fn types(&mut self, bytes: &[u8]) -> &mut Self {
            for &byte in bytes {
                let Some(key) = self.keys.push(byte) else {
                    continue;
                };
                let mut out = Vec::new();
                let outcome = self.editor.key(key, &mut out);
                self.sent += out.len();
                if key == Key::Clear {
                    self.screen = Screen::default();
                    out.drain(..b"\x1b[H\x1b[2J".len());
                }
                self.screen.write(&out);
                match outcome {
                    Outcome::Edited => {}
                    ended @ (Outcome::Line(_) | Outcome::Interrupt) => {
                        self.outcomes.push(ended);
                        self.prompt(false);
                    }
                    outcome => self.outcomes.push(outcome),
                }
            }
            self
        }

        fn line(&self) -> (&str, usize) {
            (
                std::str::from_utf8(&self.editor.line).unwrap(),
                self.editor.cursor,
            )
        }
    }

    #[test]
    fn keys_edit_the_line() {
        for (bytes, line, cursor) in [
            (b"status".as_slice(), "status", 6),
            (b"stats\x1b[Du", "statsu".replace("su", "us").as_str(), 5),
            (b"bc\x01a", "abc", 1),
            (b"abc\x01\x05d", "abcd", 4),
            (b"abc\x1b[H\x1b[3~", "bc", 0),
            (b"abc\x7f\x08", "a", 1),
            (b"\x7f\x7f", "", 0),
            (b"abc\x1b[D\x0b", "ab", 2),
            (b"abc\x1b[D\x15", "c", 0),
            (b"config show  router  \x17", "config show  ", 13),
            (b"config show\x17\x17\x17", "", 0),
            (b"one two\x1b[D\x17", "one o", 4),
            (b"a\x04b\x02\x04", "a", 1),
            (b"\xc3\xa9", "", 0),
            (b"abc\x0c", "abc", 3),
        ] {
            let mut typist = typist(false);
            typist.types(bytes);
            assert_eq!(typist.line(), (line, cursor), "{bytes:?}");
        }
    }

    #[test]
    fn arrows_walk_through_the_history_and_back_to_the_draft() {
        let mut typist = typist(false);
        typist.types(b"one\rtwo\rtwo\rthr");
        for (key, line) in [
            (b"\x1b[A", "two"),
            (b"\x1b[A", "one"),
            (b"\x1b[A", "one"),
            (b"\x1b[B", "two"),
            (b"\x1b[B", "thr"),
            (b"\x1b[B", "thr"),
        ] {
            assert_eq!(typist.types(key).line().0, line);
        }
        typist.types(b"\x1b[A\x1b[A!\r\x1b[A");
        assert_eq!(typist.line().0, "one!");
        assert_eq!(
            typist.outcomes.last(),
            Some(&Outcome::Line(b"one!".to_vec()))
        );
    }

    #[test]
    fn the_history_and_the_line_are_bounded() {
        let mut typist = typist(false);
        for number in 0..HISTORY_MAX * 2 {
            typist.types(format!("{number}\r").as_bytes());
        }
        assert_eq!(typist.editor.history.len(), HISTORY_MAX);
        typist.types(&[b'x'; LINE_MAX * 2]);
        assert_eq!(typist.editor.line.len(), LINE_MAX);
    }

    #[test]
    fn a_secret_is_neither_shown_nor_remembered() {
        let mut typist = typist(true);
        typist.types("pässe\x7f".as_bytes());
        assert_eq!(typist.screen.line, b"n1> ");
        typist.types("\x7f\x7f\x7f".as_bytes());
        assert_eq!(typist.line().0, "p");
        typist.types(b"\r\x1b[A");
        assert_eq!(typist.outcomes, [Outcome::Line(b"p".to_vec())]);
        assert_eq!(typist.line().0, "");
    }

    #[test]
    fn a_key_at_the_end_costs_one_byte_on_the_line() {
        let mut typist = typist(false);
        typist.types(b"config show router");
        assert_eq!(typist.sent, 18);
        typist.sent = 0;
        typist.types(b"\x1b[D\x1b[D");
        assert_eq!(typist.sent, 2);
    }

    #[test]
    fn interrupt_clears_and_end_of_input_needs_an_empty_line() {
        let mut typist = typist(false);
        typist.types(b"abc\x03\x04\t");
        assert_eq!(
            typist.outcomes,
            [Outcome::Interrupt, Outcome::End, Outcome::Complete]
        );
    }

    const KEYS: &[&[u8]] = &[
        b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[3~", b"\x01", b"\x05", b"\x0b", b"\x15",
        b"\x17", b"\x7f", b"\r", b"\x03",
    ];

    proptest! {
        #[test]
        fn the_screen_shows_the_line_whatever_is_typed(
            pieces in proptest::collection::vec(
                prop_oneof![
                    "[a-z ]{1,40}".prop_map(String::into_bytes),
                    prop::sample::select(KEYS).prop_map(<[u8]>::to_vec),
                ],
                0..60,
            ),
        ) {
            let mut typist = typist(false);
            for piece in pieces {
                typist.types(&piece);
                let editor = &typist.editor;
                let shown = &editor.line[editor.view..editor.line.len().min(editor.view + COLUMNS - 4)];
                prop_assert_eq!(&typist.screen.line[..], [b"n1> ", shown].concat());
                prop_assert_eq!(typist.screen.column, 4 + editor.cursor - editor.view);
            }
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let mut editor = Editor::default();
            let mut keys = Keys::default();
            let mut out = Vec::new();
            editor.begin("n1> ", false, &mut out);
            for byte in bytes {
                if let Some(key) = keys.push(byte) {
                    editor.key(key, &mut out);
                }
            }
        }
    }
}
