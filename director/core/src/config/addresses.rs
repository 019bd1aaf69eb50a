//! `virtual_ipaddress` and `virtual_ipaddress_excluded`: one address a line.

use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::diagnostic::Place;
use super::global::{address_of, required};
use super::read::Reader;
use super::routing::scope;
use super::tree::{Statement, Word};
use crate::net::{AddressOptions, Cidr, Family, IfName};

/// One line of `virtual_ipaddress`.
pub(super) struct Entry {
    pub(super) address: Cidr,
    pub(super) at: Place,
    /// The interface that it names.
    pub(super) device: Option<IfName>,
    /// It is on the device of its router's own hardware address (`use_vmac`).
    pub(super) vmac: bool,
    /// How it is put there; none for the usual way.
    pub(super) options: Option<Arc<AddressOptions>>,
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

/// ```text
/// ADDRESS[/PREFIX] [dev INTERFACE] [use_vmac] [brd ADDRESS|+|-] [peer ADDRESS] [scope SCOPE] [label NAME]
///     [noprefixroute] [autojoin] [home] [mngtmpaddr] [-nodad] [preferred_lft SECONDS|forever]
///     [no_track] [track_group NAME]
/// ```
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
        options: None,
    };
    let mut options = AddressOptions::default();
    let mut words = line.arguments();
    while let Some(word) = words.next() {
        match word.bytes {
            b"dev" => {
                let name = required(reader, word, words.next())?;
                entry.device = Some(reader.parse_word(name)?);
            }
            b"use_vmac" => entry.vmac = true,
            // What goes away is put back: nothing waits for an address, or fails with it.
            b"no_track" => {}
            b"track_group" => drop(required(reader, word, words.next())?),
            bytes if bytes.starts_with(b"//") => {
                reader.no_more(core::iter::once(word));
                break;
            }
            _ => {
                let value = |reader: &mut Reader<'_, '_>| required(reader, word, words.next());
                option(reader, &mut options, address, word, value)?;
            }
        }
    }
    if options != AddressOptions::default() {
        entry.options = Some(Arc::new(options));
    }
    Some(entry)
}

/// One of the words for how an address is put on its interface.
fn option<'t>(
    reader: &mut Reader<'_, '_>,
    options: &mut AddressOptions,
    address: Cidr,
    word: Word<'t>,
    value: impl FnOnce(&mut Reader<'_, '_>) -> Option<Word<'t>>,
) -> Option<()> {
    let of_v6 = |reader: &mut Reader<'_, '_>| {
        let is = address.address.is_ipv6();
        if !is {
            without_effect(reader, word, "over IPv4: it is for addresses of IPv6");
        }
        is
    };
    match word.bytes {
        b"brd" | b"broadcast" => {
            let value = value(reader)?;
            options.broadcast = broadcast(reader, address, value)?;
        }
        b"peer" => {
            let value = value(reader)?;
            let peer = address_of(reader, value, Family::of(address.address))?;
            options.peer = Some(peer);
        }
        b"scope" => {
            let value = value(reader)?;
            options.scope = scope(reader, value)?;
            if address.address.is_ipv6() && core::mem::take(&mut options.scope) != 0 {
                without_effect(
                    reader,
                    word,
                    "over IPv6: the scope follows from the address",
                );
            }
        }
        b"label" => {
            let value = value(reader)?;
            options.label = Some(reader.parse_word(value)?);
            if address.address.is_ipv6() && options.label.take().is_some() {
                without_effect(reader, word, "over IPv6: only addresses of IPv4 have one");
            }
        }
        b"noprefixroute" => options.no_prefix_route = true,
        b"autojoin" => without_effect(reader, word, "here: no virtual address is a multicast one"),
        b"home" => options.home = of_v6(reader),
        b"mngtmpaddr" => {
            options.manages_temporary = of_v6(reader) && address.prefix == 64;
            if address.address.is_ipv6() && !options.manages_temporary {
                without_effect(reader, word, "but for an address of a /64");
            }
        }
        b"-nodad" => options.looks_for_duplicates = of_v6(reader),
        b"preferred_lft" => {
            let value = value(reader)?;
            options.preferred_s = Some(match value.bytes {
                b"forever" => AddressOptions::FOREVER,
                _ => reader.number_word(value, word.bytes, 0..=u32::MAX)?,
            });
        }
        _ => {
            reader.wrong(word, "not an option of a virtual address");
            return None;
        }
    }
    Some(())
}

fn without_effect(reader: &mut Reader<'_, '_>, word: Word<'_>, because: &str) {
    let message = format!("{} has no effect {because}", word.quoted());
    reader.sink.warning(word.at, message);
}

/// An address, `+` for the last one of the network, which is usual, or `-` for none.
#[allow(clippy::option_option)] // outside: whether it could be read
fn broadcast(reader: &mut Reader<'_, '_>, of: Cidr, word: Word<'_>) -> Option<Option<Ipv4Addr>> {
    if of.address.is_ipv6() {
        reader.wrong(word, "IPv6 has no broadcast");
        return None;
    }
    match word.bytes {
        b"-" => Some(Some(Ipv4Addr::UNSPECIFIED)),
        b"+" => Some(None),
        _ => match address_of(reader, word, Family::V4)? {
            IpAddr::V4(broadcast) => Some(Some(broadcast)),
            IpAddr::V6(_) => None,
        },
    }
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
