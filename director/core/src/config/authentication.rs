//! `authentication`: the password of version 2.

use super::keywords::Block;
use super::read::Reader;
use super::tree::{Statement, Word};

/// `authentication { auth_type PASS; auth_pass STRING }`: the password as it is sent.
pub(super) fn read(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Option<[u8; 8]> {
    reader.no_more(block.arguments());
    let mut pass = None;
    let mut kind = None;
    reader.each(
        Block::Authentication,
        block.children(),
        |reader, word, statement| {
            let Some(value) = reader.value(statement) else {
                kind.get_or_insert(false);
                return;
            };
            if word == "auth_pass" {
                pass = Some(padded(reader, value));
                return;
            }
            kind = Some(value.bytes == b"PASS");
            match value.bytes {
                b"PASS" => {}
                b"AH" => {
                    let what = "this type is refused: VRRP has dropped it in 2004 (RFC 3768)";
                    reader.wrong(value, what);
                }
                _ => reader.wrong(value, "the type of authentication is PASS"),
            }
        },
    );
    let at = block.keyword().at;
    match (kind, pass) {
        (None, _) => {
            reader.sink.error(at, "`authentication` has no `auth_type`");
        }
        (Some(true), None) => {
            reader.sink.error(at, "`authentication` has no `auth_pass`");
        }
        _ => {}
    }
    pass.filter(|_| kind == Some(true))
}

/// The first eight bytes, filled up with zeros (RFC 2338 section 5.3.6.1).
fn padded(reader: &mut Reader<'_, '_>, word: Word<'_>) -> [u8; 8] {
    let bytes = word.unescaped();
    if bytes.is_empty() {
        reader.sink.error(word.at, "`auth_pass` is empty");
    }
    let mut pass = [0; 8];
    for (to, from) in pass.iter_mut().zip(bytes.iter()) {
        *to = *from;
    }
    if bytes.len() > pass.len() {
        let message = "`auth_pass` has more than 8 bytes; the first 8 are used, as keepalived does";
        reader.sink.warning(word.at, message);
    }
    pass
}
