//! Text to tokens: blanks, comments, quotes, braces.
//!
//! The rules are keepalived's. A statement ends with its line. `#` and `!` begin a comment anywhere but inside `"..."`,
//! and `\#` and `\!` are the characters themselves. `"..."` is one word without escapes and begins a new one wherever
//! it stands. Braces need no blanks around them. There is no limit on the length of a line, and text need not be UTF-8.

use super::diagnostic::{Place, Sink};
use super::text::Text;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word, or the inside of quotes.
    Word,
    /// `{`
    Open,
    /// `}`
    Close,
    /// The end of a line that has tokens.
    End,
}

/// One token: a range of the text. 12 bytes, for there may be millions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) at: u32,
    pub(super) len: u32,
    pub(super) kind: Kind,
    /// Holds `\#` or `\!`, to be read without the backslash.
    pub(super) escaped: bool,
}

/// The tokens of a text.
pub(super) fn lex(text: &Text<'_>, sink: &mut Sink<'_>) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        bytes: text.bytes(),
        position: 0,
        tokens: Vec::new(),
        sink,
    };
    if lexer.bytes.starts_with(b"\xef\xbb\xbf") {
        lexer.position = 3; // a byte order mark
    }
    while lexer.position < lexer.bytes.len() && !lexer.sink.is_full() {
        lexer.line();
    }
    lexer.end();
    // They stay while the configuration is read, which is the largest moment of a director's life.
    lexer.tokens.shrink_to_fit();
    lexer.tokens
}

struct Lexer<'l, 'a> {
    text: &'l Text<'l>,
    bytes: &'l [u8],
    position: usize,
    tokens: Vec<Token>,
    sink: &'l mut Sink<'a>,
}

const NO_BREAK_SPACE: [u8; 2] = [0xc2, 0xa0];

/// Bytes that are no mere letters of a word: most are, and are passed over by this table.
static SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let bytes = b" \t\r\n\x0b\x0c\"{}#!\0\\$\xc2";
    let mut at = 0;
    while at < bytes.len() {
        special[bytes[at] as usize] = true;
        at += 1;
    }
    special
};

impl<'l> Lexer<'l, '_> {
    /// One line, and those that it continues.
    fn line(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.position += 1;
                    if self.continues() {
                        continue;
                    }
                    break;
                }
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {
                    self.pass(|byte| matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c));
                }
                b'#' | b'!' => self.comment(),
                b'"' => self.quoted(),
                b'{' => self.brace(Kind::Open),
                b'}' => self.brace(Kind::Close),
                0 => self.nul(),
                _ => self.word(),
            }
        }
        self.end();
    }

    /// The last word was `\`: keepalived does not continue lines, the word would be another one. Said once, and
    /// read as it was meant, so that the next line is no second error.
    fn continues(&mut self) -> bool {
        let Some(last) = self.tokens.last_mut() else {
            return false;
        };
        let end = to_usize(last.at + last.len);
        let is_last = self.bytes.get(end..self.position);
        let is_last = is_last.is_some_and(|rest| rest.iter().all(u8::is_ascii_whitespace));
        let is_backslash = last.len > 0 && self.bytes.get(end - 1) == Some(&b'\\');
        if last.kind != Kind::Word || !is_last || !is_backslash {
            return false;
        }
        last.len -= 1;
        let at = last.at + last.len;
        if last.len == 0 {
            self.tokens.pop();
        }
        let at = self.place(to_usize(at));
        let message = "a line is not continued by `\\`: keepalived reads it as part of the word";
        self.sink
            .error(at, message)
            .hint("write the statement on one line");
        true
    }

    fn comment(&mut self) {
        let glued = self.tokens.last().is_some_and(|last| {
            last.kind == Kind::Word
                && to_usize(last.at + last.len) == self.position
                && self.bytes.get(self.position.wrapping_sub(1)) != Some(&b'"')
        });
        if glued {
            let sign = char::from(self.peek().unwrap_or(b'#'));
            let at = self.place(self.position);
            let message = format!("`{sign}` begins a comment here, in the middle of a word");
            let hint = format!(
                "write `\\{sign}` or put the word in quotes; before a comment, write a blank"
            );
            self.sink.warning(at, message).hint(hint);
        }
        self.position += self.line_rest().len();
    }

    fn quoted(&mut self) {
        let open = self.position;
        let rest = self.bytes.get(open + 1..).unwrap_or_default();
        let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\n'));
        let length = stop.unwrap_or(rest.len());
        if stop.is_none_or(|stop| rest.get(stop) == Some(&b'\n')) {
            self.sink
                .error(self.place(open), "the quote is not closed on this line");
            self.position = open + 1 + length;
        } else {
            self.position = open + 1 + length + 1;
        }
        self.push(open + 1, length, Kind::Word, false);
    }

    fn brace(&mut self, kind: Kind) {
        self.push(self.position, 1, kind, false);
        self.position += 1;
    }

    fn nul(&mut self) {
        let line = self.line_rest().len();
        self.sink.error(
            self.place(self.position),
            "a NUL byte in the text; the rest of the line is left out",
        );
        self.position += line;
    }

    fn word(&mut self) {
        let start = self.position;
        let mut escaped = false;
        loop {
            self.pass(|byte| !SPECIAL.get(usize::from(byte)).is_some_and(|is| *is));
            let Some(byte) = self.peek() else { break };
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c | b'"' | b'{' | b'}' | b'#' | b'!'
                | 0 => break,
                b'\\' if matches!(self.bytes.get(self.position + 1), Some(b'#' | b'!')) => {
                    escaped = true;
                    self.position += 2;
                }
                b'$' => self.position += self.reference(),
                0xc2 if self
                    .bytes
                    .get(self.position..)
                    .is_some_and(|rest| rest.starts_with(&NO_BREAK_SPACE)) =>
                {
                    break;
                }
                _ => self.position += 1,
            }
        }
        if self.position > start {
            self.push(start, self.position - start, Kind::Word, escaped);
        } else {
            let message =
                "a no-break space: it looks like a blank, but keepalived takes it for a letter";
            self.sink
                .error(self.place(start), message)
                .hint("write a plain blank");
            self.position += NO_BREAK_SPACE.len();
        }
    }

    /// Length of a `$`, with the braces of `${NAME}`, which belong to the word.
    fn reference(&self) -> usize {
        let rest = self.line_rest();
        if rest.get(1) != Some(&b'{') {
            return 1;
        }
        rest.iter()
            .position(|byte| *byte == b'}')
            .map_or(1, |close| close + 1)
    }

    /// The bytes from here to the end of the line, without newline and carriage return.
    fn line_rest(&self) -> &'l [u8] {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Passes over all bytes that are such.
    fn pass(&mut self, is: impl Fn(u8) -> bool) {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let passed = rest.iter().position(|byte| !is(*byte));
        self.position += passed.unwrap_or(rest.len());
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn place(&self, position: usize) -> Place {
        self.text.place(position)
    }

    fn push(&mut self, at: usize, len: usize, kind: Kind, escaped: bool) {
        let token = Token {
            at: to_u32(at),
            len: to_u32(len),
            kind,
            escaped,
        };
        self.tokens.push(token);
    }

    fn end(&mut self) {
        if self
            .tokens
            .last()
            .is_some_and(|last| last.kind != Kind::End)
        {
            self.push(self.position, 0, Kind::End, false);
        }
    }
}

/// Offsets fit: a text is at most `limits::CONFIG_BYTES_MAX` long.
fn to_u32(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

fn to_usize(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
