//! `SMTP_CHECK`, `DNS_CHECK`, `UDP_CHECK` and `PING_CHECK`.

use super::{Common, visible};
use crate::check::{Reply, Udp};
use crate::config::CheckKind;
use crate::config::keywords::Block;
use crate::config::read::Reader;
use crate::config::tree::{Statement, Word};
use crate::limits;
use crate::wire::dns;

/// What keepalived says in its greeting.
const HELO_NAME: &str = "smtpchecker.keepalived.org";

pub(super) fn smtp(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    common: &mut Common,
) -> CheckKind {
    let mut helo = None;
    reader.each(
        Block::SmtpCheck,
        block.children(),
        |reader, word, statement| match word {
            "helo_name" => helo = visible(reader, statement, "a host name"),
            _ => common.read(reader, word, statement),
        },
    );
    let helo = helo.unwrap_or_else(|| HELO_NAME.to_owned());
    CheckKind::Smtp { helo }
}

pub(super) fn dns(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    common: &mut Common,
) -> Option<CheckKind> {
    let mut kind = dns::number("SOA");
    let mut name = None;
    reader.each(
        Block::DnsCheck,
        block.children(),
        |reader, word, statement| match word {
            "type" => {
                let word = reader.value(statement);
                kind = word.and_then(|word| query_type(reader, word));
            }
            "name" => name = reader.value(statement),
            _ => common.read(reader, word, statement),
        },
    );
    let text = name.map_or_else(|| Some(".".into()), |word| word.text());
    let question = text.and_then(|text| dns::Question::new(kind?, &text));
    if let (None, Some(_), Some(word)) = (&question, kind, name) {
        reader.wrong(
            word,
            "a name has labels of 1 to 63 ASCII characters, 253 in all",
        );
    }
    Some(CheckKind::Dns(Box::new(question?)))
}

fn query_type(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<u16> {
    let text = word.text().unwrap_or_default().to_ascii_uppercase();
    let number = dns::number(&text);
    if number.is_none() {
        let what = "not one of A, NS, CNAME, SOA, MX, TXT, AAAA, RRSIG, DNSKEY";
        reader.wrong(word, what);
    }
    number
}

pub(super) fn ping(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    common: &mut Common,
) -> CheckKind {
    reader.each(
        Block::PingCheck,
        block.children(),
        |reader, word, statement| common.read(reader, word, statement),
    );
    CheckKind::Ping
}

pub(super) fn udp(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    common: &mut Common,
) -> CheckKind {
    let mut payload = Vec::new();
    let mut pattern = None;
    let mut length = (0, 255);
    let most = u32::try_from(limits::UDP_PAYLOAD_MAX).unwrap_or(u32::MAX);
    reader.each(
        Block::UdpCheck,
        block.children(),
        |reader, word, statement| match word {
            "payload" => {
                let bytes = hex(reader, statement).unwrap_or_default();
                payload = bytes.into_iter().map(|(value, _)| value).collect();
            }
            "require_reply" if statement.arguments().next().is_none() => {
                pattern = Some(Vec::new());
            }
            "require_reply" => pattern = hex(reader, statement),
            "min_reply_length" => length.0 = reader.number(statement, 0..=most).unwrap_or(0),
            "max_reply_length" => length.1 = reader.number(statement, 0..=most).unwrap_or(most),
            _ => common.read(reader, word, statement),
        },
    );
    if length.0 > length.1 {
        let message = "`min_reply_length` is above `max_reply_length`: no reply fits";
        reader.sink.error(block.keyword().at, message);
    }
    let reply = pattern.map(|pattern| Reply {
        pattern,
        length: (length.0 as usize, length.1 as usize),
    });
    CheckKind::Udp(Box::new(Udp { payload, reply }))
}

/// Hexadecimal digits in any groups; in a pattern, `x` is a digit that may be any. Values with their masks.
fn hex(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<Vec<(u8, u8)>> {
    let is_pattern = statement.keyword().bytes == b"require_reply";
    let Some(first) = statement.arguments().next() else {
        reader.value(statement);
        return None;
    };
    let mut digits = Vec::new();
    for word in statement.arguments() {
        for byte in word.bytes.iter().filter(|byte| **byte != b' ') {
            digits.push(match char::from(*byte).to_digit(16) {
                Some(digit) => (u8::try_from(digit).unwrap_or(0), 0xf),
                None if is_pattern && matches!(byte, b'x' | b'X') => (0, 0),
                None => {
                    reader.wrong(word, "not hexadecimal digits");
                    return None;
                }
            });
        }
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > limits::UDP_PAYLOAD_MAX {
        let most = limits::UDP_PAYLOAD_MAX;
        reader.wrong(first, format!("two digits a byte, at most {most} bytes"));
        return None;
    }
    let byte = |[high, low]: &[(u8, u8); 2]| (high.0 << 4 | low.0, high.1 << 4 | low.1);
    Some(pairs.iter().map(byte).collect())
}
