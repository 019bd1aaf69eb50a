//! DNS as a check speaks it (RFC 1035): one question, and whether an answer came.
//!
//! ```text
//!  0  id, u16                      6  answers, u16        12  the question: labels, each with its length before it,
//!  2  QR 1, opcode 4, AA, TC, RD   8  authorities, u16        0 at the end; then type, u16, and class, u16
//!  3  RA, Z 3, rcode 4            10  additional, u16
//!  4  questions, u16
//! ```

use core::fmt;

/// Length of the header.
const HEADER_LEN: usize = 12;
/// The longest name (RFC 1035 section 2.3.4), with all lengths and the root.
const NAME_MAX: usize = 255;
/// The longest label.
const LABEL_MAX: usize = 63;
/// QR in the third byte: it is an answer.
const ANSWER: u8 = 0x80;
/// RD in the third byte: ask others when you don't know.
const RECURSE: u8 = 0x01;
/// The class of the Internet.
const CLASS_IN: u16 = 1;

/// What a name server is asked: type by its number, and a name in wire format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Type (RFC 1035 section 3.2.2 and later ones), by [`number`].
    pub kind: u16,
    /// Labels with their lengths, the root at the end.
    name: Vec<u8>,
}

/// The number of a type that a check may ask for.
#[must_use]
pub fn number(kind: &str) -> Option<u16> {
    Some(match kind {
        "A" => 1,
        "NS" => 2,
        "CNAME" => 5,
        "SOA" => 6,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        "RRSIG" => 46,
        "DNSKEY" => 48,
        _ => return None,
    })
}

impl Question {
    /// A question about a name as people write it; `.` is the root. None when it is no name.
    #[must_use]
    pub fn new(kind: u16, name: &str) -> Option<Self> {
        let mut bytes = Vec::new();
        let labels = name.strip_suffix('.').unwrap_or(name);
        for label in labels.split('.').filter(|_| !labels.is_empty()) {
            let length = u8::try_from(label.len()).ok()?;
            if label.is_empty() || label.len() > LABEL_MAX || !label.is_ascii() {
                return None;
            }
            bytes.push(length);
            bytes.extend(label.bytes());
        }
        bytes.push(0);
        (bytes.len() <= NAME_MAX && !name.is_empty()).then_some(Self { kind, name: bytes })
    }

    /// The question as a packet.
    #[must_use]
    pub fn emit(&self, id: u16) -> Vec<u8> {
        let mut packet = Vec::with_capacity(HEADER_LEN + self.name.len() + 4);
        packet.extend(id.to_be_bytes());
        packet.extend([RECURSE, 0]);
        packet.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        packet.extend(&self.name);
        packet.extend(self.kind.to_be_bytes());
        packet.extend(CLASS_IN.to_be_bytes());
        packet
    }
}

/// The code of an answer (RFC 1035 section 4.1.1): 0 is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u8);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            code => return write!(f, "code {code}"),
        })
    }
}

/// Reads the answer to the question `id`; none when it is not that: a late one, or no DNS at all.
#[must_use]
pub fn answer(packet: &[u8], id: u16) -> Option<Code> {
    let header: &[u8; HEADER_LEN] = packet.first_chunk()?;
    let [high, low, flags, code, ..] = *header;
    (u16::from_be_bytes([high, low]) == id && flags & ANSWER != 0).then_some(Code(code & 0x0f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_packet() {
        let question = Question::new(number("MX").unwrap(), "example.net.").unwrap();
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03net\0\0\x0f\0\x01";
        assert_eq!(question.emit(0x1234), expected);
        let root = Question::new(6, ".").unwrap();
        assert_eq!(root.emit(0)[HEADER_LEN..], *b"\0\0\x06\0\x01");
    }

    #[test]
    fn what_is_no_name_is_none() {
        let long = "a".repeat(64);
        let many = "abcdefg.".repeat(32);
        for name in ["", "a..b", "..", "ä", &long, &many] {
            assert_eq!(Question::new(1, name), None, "{name}");
        }
        assert!(Question::new(1, &"a".repeat(63)).is_some());
    }

    #[test]
    fn an_answer_has_the_id_and_the_code() {
        let packet = |id: u8, flags, code| [0, id, flags, code, 0, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(answer(&packet(7, 0x81, 0x80), 7), Some(Code(0)));
        assert_eq!(answer(&packet(7, 0x81, 0x82), 7), Some(Code(2)));
        assert_eq!(answer(&packet(8, 0x81, 0x80), 7), None, "another id");
        assert_eq!(answer(&packet(7, 0x01, 0x80), 7), None, "a question");
        assert_eq!(answer(&packet(7, 0x81, 0x80)[..11], 7), None, "cut");
        assert_eq!(Code(2).to_string(), "SERVFAIL");
        assert_eq!(Code(9).to_string(), "code 9");
    }
}
