//! SMTP as a check speaks it (RFC 5321): the replies of a server, in whatever pieces they come.

use crate::limits;

/// Reads one reply after the other: lines of a code and a text; all but the last have `-` behind the code.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    received: usize,
}

/// Not an SMTP reply, or one without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSmtp;

impl Reader {
    /// Takes bytes; the code of the reply once it is whole. What follows it in the same bytes is left out: a server
    /// speaks only when it is spoken to.
    ///
    /// # Errors
    /// When a line does not begin with a code, or there is no end of it within [`limits::SMTP_REPLY_MAX`].
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<u16>, NotSmtp> {
        for byte in bytes {
            self.received += 1;
            if self.received > limits::SMTP_REPLY_MAX {
                return Err(NotSmtp);
            }
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = core::mem::take(&mut self.line);
            let (code, more) = code(&line).ok_or(NotSmtp)?;
            if !more {
                self.received = 0;
                return Ok(Some(code));
            }
        }
        // What can't become a reply any more is not waited for.
        match self.line.iter().take(3).all(u8::is_ascii_digit) {
            true => Ok(None),
            false => Err(NotSmtp),
        }
    }
}

/// The code of a line, and whether further lines follow.
fn code(line: &[u8]) -> Option<(u16, bool)> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = core::str::from_utf8(digits).ok()?.parse().ok()?;
    match rest.first() {
        Some(b'-') => Some((code, true)),
        None | Some(b' ' | b'\r') => Some((code, false)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_in_any_pieces() {
        let text = b"250-mail.example.net\r\n250-SIZE 1000\r\n250 HELP\r\n";
        for cut in 0..text.len() - 1 {
            let mut reader = Reader::default();
            assert_eq!(reader.read(&text[..cut]), Ok(None), "{cut}");
            assert_eq!(reader.read(&text[cut..]), Ok(Some(250)), "{cut}");
            assert_eq!(reader.read(b"221\r\n"), Ok(Some(221)));
        }
    }

    #[test]
    fn what_is_no_reply_is_said_at_once() {
        for text in ["HTTP/1.1 200 OK\r\n", "2x", "25\n", "2500 a\n", "\n"] {
            assert_eq!(
                Reader::default().read(text.as_bytes()),
                Err(NotSmtp),
                "{text}"
            );
        }
        let endless = [b"220-x\r\n".as_slice(); limits::SMTP_REPLY_MAX].concat();
        assert_eq!(Reader::default().read(&endless), Err(NotSmtp));
    }
}
