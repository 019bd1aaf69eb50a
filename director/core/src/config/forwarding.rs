//! `lb_kind`, `lvs_method` and `sorry_server_lvs_method`: how packets reach a real server.

use super::global::required;
use super::read::Reader;
use super::service::port;
use super::tree::{Statement, Word};
use crate::ipvs::{Checksum, Forwarding, Tunnel};

/// `NAT`, `FNAT`, `DR` or `TUN [type ipip|gue|gre] [port N] [nocsum|csum|remcsum]`
pub(super) fn forwarding(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
) -> Option<Forwarding> {
    let mut words = statement.arguments();
    let Some(word) = words.next() else {
        reader.value(statement);
        return None;
    };
    let forwarding = match word.bytes {
        // FULLNAT is NAT to IPVS; the packet filter does the rest.
        b"NAT" | b"FNAT" => Forwarding::Nat,
        b"DR" => Forwarding::Dr,
        b"TUN" => return tunnel(reader, word, words).map(Forwarding::Tun),
        _ => {
            reader.wrong(word, "the forwarding method is NAT, DR, TUN or FNAT");
            return None;
        }
    };
    reader.no_more(words);
    Some(forwarding)
}

/// What follows `TUN`.
fn tunnel<'t>(
    reader: &mut Reader<'_, '_>,
    tun: Word<'t>,
    mut words: impl Iterator<Item = Word<'t>>,
) -> Option<Tunnel> {
    let (mut kind, mut to, mut sum) = (None, None, None);
    while let Some(word) = words.next() {
        match word.bytes {
            b"type" => kind = Some(required(reader, word, words.next())?),
            b"port" => {
                let value = required(reader, word, words.next())?;
                to = Some((word, port(reader, value)?));
            }
            b"nocsum" => sum = Some((word, Checksum::None)),
            b"csum" => sum = Some((word, Checksum::Full)),
            b"remcsum" => sum = Some((word, Checksum::Remote)),
            _ => {
                reader.wrong(word, "not an option of TUN");
                return None;
            }
        }
    }
    let checksum = sum.map_or(Checksum::None, |(_, checksum)| checksum);
    let tunnel = match kind.map_or(b"ipip".as_slice(), |word| word.bytes) {
        b"ipip" if checksum == Checksum::None => Tunnel::Ipip,
        b"gre" if checksum != Checksum::Remote => Tunnel::Gre { checksum },
        b"gue" => match to {
            Some((_, port @ 1..)) => return Some(Tunnel::Gue { port, checksum }),
            _ => {
                let word = to.map_or(tun, |(word, _)| word);
                reader.wrong(
                    word,
                    "a GUE tunnel needs the port of the real server, `port N`",
                );
                return None;
            }
        },
        b"ipip" | b"gre" => {
            let word = sum.map_or(tun, |(word, _)| word);
            reader.wrong(word, "this type of tunnel has no such checksum");
            return None;
        }
        _ => {
            let word = kind.unwrap_or(tun);
            reader.wrong(word, "the type of a tunnel is ipip, gue or gre");
            return None;
        }
    };
    if let Some((word, _)) = to {
        reader.wrong(word, "only a GUE tunnel has a port");
        return None;
    }
    Some(tunnel)
}
