//! Keys from the bytes that terminals send for them: VT100 to xterm on a serial line, and the Linux console.

use super::limits::ESCAPE_MAX;

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A printable ASCII character, or a byte of a longer UTF-8 one.
    Char(u8),
    /// Return.
    Enter,
    /// Tab.
    Tab,
    /// Delete to the left.
    Backspace,
    /// Delete under the cursor (Del).
    Delete,
    /// Arrow left, ^B.
    Left,
    /// Arrow right, ^F.
    Right,
    /// Arrow up, ^P.
    Up,
    /// Arrow down, ^N.
    Down,
    /// Home, ^A.
    Home,
    /// End, ^E.
    End,
    /// ^K: delete to the end.
    KillToEnd,
    /// ^U: delete to the beginning.
    KillToStart,
    /// ^W: delete the word to the left.
    KillWord,
    /// ^C.
    Interrupt,
    /// ^D: delete under the cursor, or the end of the input on an empty line.
    EndOfInput,
    /// ^L: clear the screen.
    Clear,
}

/// The reader's place in an escape sequence.
#[derive(Debug, Default)]
pub(super) struct Keys {
    state: State,
    /// The first number of a CSI sequence.
    number: u8,
    /// Bytes of the sequence so far.
    length: usize,
    /// The last byte was a carriage return: a line feed behind it is the same key.
    after_return: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    /// ESC.
    Escape,
    /// ESC [ with its parameters.
    Csi,
    /// One more byte, whatever it is: ESC O (cursor keys in application mode), ESC [ [ (function keys).
    Final,
    /// The same, but the byte is of no interest.
    Ignore,
}

impl Keys {
    /// Takes one byte; the key that it completes, if any.
    pub(super) fn push(&mut self, byte: u8) -> Option<Key> {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        match self.state {
            State::Plain if after_return && byte == b'\n' => None,
            State::Plain => self.plain(byte),
            State::Escape => {
                self.state = match byte {
                    b'[' => State::Csi,
                    b'O' => State::Final,
                    0x1b => State::Escape,
                    // Alt and a key: none is in use.
                    _ => State::Plain,
                };
                (self.number, self.length) = (0, 0);
                None
            }
            State::Csi => self.csi(byte),
            State::Final => {
                self.state = State::Plain;
                cursor_key(byte)
            }
            State::Ignore => {
                self.state = State::Plain;
                None
            }
        }
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x03 => Key::Interrupt,
            0x04 => Key::EndOfInput,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x08 | 0x7f => Key::Backspace,
            b'\t' => Key::Tab,
            b'\r' | b'\n' => Key::Enter,
            0x0b => Key::KillToEnd,
            0x0c => Key::Clear,
            0x0e => Key::Down,
            0x10 => Key::Up,
            0x15 => Key::KillToStart,
            0x17 => Key::KillWord,
            0x1b => {
                self.state = State::Escape;
                return None;
            }
            0x20..=0x7e | 0x80.. => Key::Char(byte),
            _ => return None,
        })
    }

    fn csi(&mut self, byte: u8) -> Option<Key> {
        self.length += 1;
        match byte {
            b'[' if self.length == 1 => {
                self.state = State::Ignore;
                None
            }
            b'0'..=b'9' if self.length <= 3 => {
                self.number = self.number.saturating_mul(10).saturating_add(byte - b'0');
                None
            }
            0x20..=0x3f if self.length <= ESCAPE_MAX => None,
            b'~' => {
                self.state = State::Plain;
                match self.number {
                    1 | 7 => Some(Key::Home),
                    3 => Some(Key::Delete),
                    4 | 8 => Some(Key::End),
                    _ => None,
                }
            }
            _ => {
                self.state = State::Plain;
                cursor_key(byte)
            }
        }
    }
}

fn cursor_key(byte: u8) -> Option<Key> {
    Some(match byte {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'F' => Key::End,
        b'H' => Key::Home,
        b'M' => Key::Enter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|&byte| keys.push(byte)).collect()
    }

    #[test]
    fn terminals_send_their_keys_in_many_ways() {
        for (bytes, expected) in [
            (
                b"a~\xc3\xa9".as_slice(),
                vec![
                    Key::Char(b'a'),
                    Key::Char(b'~'),
                    Key::Char(0xc3),
                    Key::Char(0xa9),
                ],
            ),
            (b"\r", vec![Key::Enter]),
            (b"\n", vec![Key::Enter]),
            (b"\r\n", vec![Key::Enter]),
            (b"\r\n\r\n", vec![Key::Enter, Key::Enter]),
            (b"\n\n", vec![Key::Enter, Key::Enter]),
            (
                b"\x1b[A\x1b[B\x1b[C\x1b[D",
                vec![Key::Up, Key::Down, Key::Right, Key::Left],
            ),
            (
                b"\x1bOA\x1bOB\x1bOC\x1bOD",
                vec![Key::Up, Key::Down, Key::Right, Key::Left],
            ),
            (
                b"\x1b[H\x1b[F\x1bOH\x1bOF",
                vec![Key::Home, Key::End, Key::Home, Key::End],
            ),
            (
                b"\x1b[1~\x1b[4~\x1b[7~\x1b[8~",
                vec![Key::Home, Key::End, Key::Home, Key::End],
            ),
            (
                b"\x1b[3~\x7f\x08",
                vec![Key::Delete, Key::Backspace, Key::Backspace],
            ),
            (
                b"\x01\x05\x0b\x15\x17",
                vec![
                    Key::Home,
                    Key::End,
                    Key::KillToEnd,
                    Key::KillToStart,
                    Key::KillWord,
                ],
            ),
            (
                b"\x03\x04\x0c\t",
                vec![Key::Interrupt, Key::EndOfInput, Key::Clear, Key::Tab],
            ),
            (b"\x1b[1;5Dx", vec![Key::Left, Key::Char(b'x')]),
        ] {
            assert_eq!(keys(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn unknown_sequences_are_swallowed_whole() {
        for bytes in [
            b"\x1b[15~".as_slice(),
            b"\x1b[[A",
            b"\x1b[200~",
            b"\x1bx",
            b"\x1b[?62;1c",
            b"\x00",
            b"\x1bOP",
        ] {
            assert_eq!(keys(bytes), [], "{bytes:?}");
            assert_eq!(
                keys(&[bytes, b"q"].concat()),
                [Key::Char(b'q')],
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_sequence_without_end_is_given_up() {
        let noise = [b"\x1b[".as_slice(), &[b';'; 100], b"q"].concat();
        assert_eq!(keys(&noise).last(), Some(&Key::Char(b'q')));
    }
}
