//! `virtual_ipaddress` and `virtual_ipaddress_excluded`: one address a line.

use core::net::IpAddr;

use super::diagnostic::Place;
use super::global::required;
use super::read::Reader;
use super::tree::Statement;
use crate::net::{Cidr, IfName};

/// One line of `virtual_ipaddress`.
pub(super) struct Entry {
    pub(super) address: Cidr,
    pub(super) at: Place,
    /// The interface that it names.
    pub(super) device: Option<IfName>,
    /// It is on the device of its router's own hardware address (`use_vmac`).
    pub(super) vmac: bool,
}

impl Entry {
    /// A link-local address is of its interface alone: another one may have the same.
    pub(super) fn scope(&self, own: Option<&IfName>) -> Option<IfName> {
        match self.address.address {
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                self.device.as_ref().or(own).cloned()
            }
            _ => None,
        }
    }
}

/// Adds the addresses of a block to a list; whether there was a line.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    list: &mut Vec<Entry>,
) -> bool {
    let lines = lines(reader, block);
    for line in &lines {
        list.extend(entry(reader, *line));
    }
    !lines.is_empty()
}

/// `ADDR[/MASK] [brd ..] [dev IF] [scope S] [label L] ..`
fn entry(reader: &mut Reader<'_, '_>, line: Statement<'_>) -> Option<Entry> {
    let word = line.keyword();
    let address: Cidr = reader.parse_word(word)?;
    if !is_of_a_machine(address.address) {
        let what = "not an address that a machine can have on its network";
        reader.wrong(word, what);
        return None;
    }
    let mut entry = Entry {
        address,
        at: word.at,
        device: None,
        vmac: false,
    };
    let mut words = line.arguments();
    while let Some(word) = words.next() {
        match word.bytes {
            b"dev" => {
                let name = required(reader, word, words.next())?;
                entry.device = Some(reader.parse_word(name)?);
            }
            b"brd" | b"broadcast" => drop(required(reader, word, words.next())?),
            // No virtual address waits for anything.
            b"home" | b"-nodad" | b"mngtmpaddr" | b"autojoin" | b"no_track" => {}
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
            b"use_vmac" => entry.vmac = true,
            b"peer" | b"preferred_lft" | b"noprefixroute" | b"track_group" => {
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

fn is_of_a_machine(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast)
}

/// The lines of a block that is a list and has no name.
pub(super) fn lines<'t>(reader: &mut Reader<'_, '_>, block: Statement<'t>) -> Vec<Statement<'t>> {
    reader.no_more(block.arguments());
    list(reader, block)
}

/// The lines of a block that is a list.
pub(super) fn list<'t>(reader: &mut Reader<'_, '_>, block: Statement<'t>) -> Vec<Statement<'t>> {
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
