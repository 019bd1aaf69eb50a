//! `virtual_ipaddress` and `virtual_ipaddress_excluded`: one address a line.

use core::net::IpAddr;

use super::diagnostic::Place;
use super::global::required;
use super::read::Reader;
use super::tree::{Statement, Word};
use crate::net::Cidr;

/// One line of `virtual_ipaddress`.
pub(super) struct Entry<'t> {
    pub(super) address: Cidr,
    pub(super) at: Place,
    /// The interface that it names.
    pub(super) device: Option<Word<'t>>,
}

/// Adds the addresses of a block to a list; whether there was a line.
pub(super) fn read<'t>(
    reader: &mut Reader<'_, '_>,
    block: Statement<'t>,
    list: &mut Vec<Entry<'t>>,
) -> bool {
    let lines = lines(reader, block);
    for line in &lines {
        list.extend(entry(reader, *line));
    }
    !lines.is_empty()
}

/// `ADDR[/MASK] [brd ..] [dev IF] [scope S] [label L] ..`
fn entry<'t>(reader: &mut Reader<'_, '_>, line: Statement<'t>) -> Option<Entry<'t>> {
    let word = line.keyword();
    let address: Cidr = reader.parse_word(word)?;
    match address.address {
        IpAddr::V6(_) => {
            reader.wrong(word, "IPv6 virtual addresses are not yet supported");
            return None;
        }
        IpAddr::V4(v4)
            if v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_loopback() =>
        {
            reader.wrong(
                word,
                "not an address that a machine can have on its network",
            );
            return None;
        }
        IpAddr::V4(_) => {}
    }
    let mut entry = Entry {
        address,
        at: word.at,
        device: None,
    };
    let mut words = line.arguments();
    while let Some(word) = words.next() {
        match word.bytes {
            b"dev" => entry.device = Some(required(reader, word, words.next())?),
            b"brd" | b"broadcast" => drop(required(reader, word, words.next())?),
            b"home" | b"-nodad" | b"mngtmpaddr" | b"autojoin" | b"no_track" => {} // of no consequence in IPv4
            b"scope" => {
                let scope = required(reader, word, words.next())?;
                if scope.bytes != b"global" && reader.once("scope") {
                    reader.sink.warning(
                        word.at,
                        "`scope` has no effect: virtual addresses are global",
                    );
                }
            }
            b"label" => {
                required(reader, word, words.next())?;
                if reader.once("label") {
                    reader.sink.warning(
                        word.at,
                        "`label` has no effect: only the ifconfig of old showed it",
                    );
                }
            }
            b"peer" | b"preferred_lft" | b"noprefixroute" | b"track_group" | b"use_vmac" => {
                reader.wrong(
                    word,
                    "this option of a virtual address is not yet supported",
                );
                return None;
            }
            bytes if bytes.starts_with(b"//") => {
                reader.no_more(core::iter::once(word));
                break;
            }
            _ => {
                reader.wrong(word, "not an option of a virtual address");
                return None;
            }
        }
    }
    Some(entry)
}

/// The lines of a block that is a list.
pub(super) fn lines<'t>(reader: &mut Reader<'_, '_>, block: Statement<'t>) -> Vec<Statement<'t>> {
    reader.no_more(block.arguments());
    let mut lines = Vec::new();
    for line in block.children() {
        if reader.sink.is_full() {
            break;
        }
        if line.has_block() {
            if !line.is_anonymous() {
                reader.wrong(line.keyword(), "a list has no blocks in it");
            }
        } else {
            lines.push(line);
        }
    }
    lines
}
