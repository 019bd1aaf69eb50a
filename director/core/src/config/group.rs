//! `virtual_server_group`: many addresses or firewall marks with one pool.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::addresses::list;
use super::diagnostic::Place;
use super::global::required;
use super::read::{Reader, decimal};
use super::service::{family, port};
use super::tree::{Statement, Word};
use crate::limits;
use crate::net::{Family, Name};

/// A group as it was read.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Name,
    pub(super) at: Place,
    pub(super) members: Vec<Member>,
}

/// What one service of the kernel is known by, before protocol and family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    Address(IpAddr, u16),
    Fwmark(u32, Option<Family>),
}

/// Reads one `virtual_server_group NAME`.
pub(super) fn read(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Option<Group> {
    let mut words = block.arguments();
    let Some(name) = words.next() else {
        reader.value(block);
        return None;
    };
    let found: Option<Name> = reader.parse_word(name);
    let mut members = Vec::new();
    let mut good = true;
    reader.no_more(words);
    for line in list(reader, block) {
        let before = members.len();
        good &= member(reader, line, &mut members).is_some();
        if members.len() > limits::SERVICES_MAX {
            let message = format!("more than {} services", limits::SERVICES_MAX);
            reader.sink.error(line.keyword().at, message);
            members.truncate(before);
            good = false;
            break;
        }
    }
    let mut sorted = members.clone();
    sorted.sort_unstable();
    if let Some([twice, _]) = sorted.array_windows().find(|[a, b]| a == b) {
        let message = format!("{} has {twice} twice", block.title());
        reader.sink.error(block.keyword().at, message);
    }
    if members.is_empty() && good && !block.is_cut() {
        let message = format!("{} has no member", block.title());
        reader.sink.error(block.keyword().at, message);
    }
    Some(Group {
        name: found?,
        at: block.keyword().at,
        members,
    })
}

/// `ADDR [PORT]`, `A.B.C.D-E [PORT]`, `ADDR-ADDR [PORT]`, `NET/PREFIX [PORT]` or `fwmark N [inet|inet6]`
fn member(
    reader: &mut Reader<'_, '_>,
    line: Statement<'_>,
    members: &mut Vec<Member>,
) -> Option<()> {
    let first = line.keyword();
    let mut words = line.arguments();
    if first.bytes == b"fwmark" {
        let mark = required(reader, first, words.next())?;
        let mark = reader.number_word(mark, b"fwmark", 1..=u32::MAX)?;
        let of = match words.next() {
            Some(word) => Some(family(reader, word)?),
            None => None,
        };
        members.push(Member::Fwmark(mark, of));
    } else {
        let (from, to) = range(reader, first)?;
        let port = match words.next() {
            Some(word) => port(reader, word)?,
            None => 0,
        };
        members.extend(addresses(from, to).map(|address| Member::Address(address, port)));
    }
    reader.no_more(words);
    Some(())
}

/// All addresses from one to the other, both included; no more than tell that there are too many.
pub(super) fn addresses(from: IpAddr, to: IpAddr) -> impl Iterator<Item = IpAddr> {
    let back = move |number: u128| match (from, u32::try_from(number)) {
        (IpAddr::V4(_), Ok(number)) => Ipv4Addr::from_bits(number).into(),
        _ => IpAddr::from(Ipv6Addr::from_bits(number)),
    };
    (bits(from)..=bits(to))
        .take(limits::SERVICES_MAX + 1)
        .map(back)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The first and the last address of one word.
fn range(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<(IpAddr, IpAddr)> {
    let text = reader.utf8(word)?;
    let found = if let Some((from, to)) = text.split_once('-') {
        between(from, to)
    } else if let Some((network, prefix)) = text.split_once('/') {
        within(network, prefix)
    } else {
        text.parse()
            .map(|address| (address, address))
            .map_err(|_| "not an address, a range, a network or `fwmark`")
    };
    found.map_err(|reason| reader.wrong(word, reason)).ok()
}

/// The first and the last address of a range: two addresses, or one and the last part of the other.
pub(super) fn between(from: &str, to: &str) -> Result<(IpAddr, IpAddr), &'static str> {
    let from: IpAddr = from.parse().map_err(|_| "the range has no first address")?;
    let last =
        "the range has no last address: it is an address, or what takes the place of its last part";
    let to: IpAddr = match (to.parse(), from) {
        (Ok(to), _) => to,
        (_, IpAddr::V4(from)) => {
            let [a, b, c, _] = from.octets();
            let part = decimal(to.as_bytes()).and_then(|part| u8::try_from(part).ok());
            Ipv4Addr::new(a, b, c, part.ok_or(last)?).into()
        }
        (_, IpAddr::V6(from)) => {
            let part = u16::from_str_radix(to, 16).map_err(|_| last)?;
            Ipv6Addr::from_bits(from.to_bits() & !u128::from(u16::MAX) | u128::from(part)).into()
        }
    };
    if Family::of(from) != Family::of(to) {
        return Err("the range begins in one address family and ends in the other");
    }
    if to < from {
        return Err("the range ends before it begins");
    }
    if from.is_ipv6() && bits(from) >> 16 != bits(to) >> 16 {
        return Err("an IPv6 range stays within the last 16 bits");
    }
    Ok((from, to))
}

fn within(network: &str, prefix: &str) -> Result<(IpAddr, IpAddr), &'static str> {
    let network: IpAddr = network.parse().map_err(|_| "not a network")?;
    let longest = Family::of(network).bits();
    let prefix = decimal(prefix.as_bytes()).and_then(|prefix| u8::try_from(prefix).ok());
    let prefix = prefix
        .filter(|prefix| *prefix <= longest)
        .ok_or("the prefix is longer than an address")?;
    let free = u32::from(longest - prefix);
    if network.is_ipv6() && free > 16 {
        return Err("an IPv6 network of a group has a prefix of at least 112");
    }
    let mask = (1_u128 << free) - 1;
    if bits(network) & mask != 0 {
        return Err("the network has bits set behind its prefix");
    }
    let last = bits(network) | mask;
    Ok((
        network,
        match (network, u32::try_from(last)) {
            (IpAddr::V4(_), Ok(last)) => Ipv4Addr::from_bits(last).into(),
            _ => Ipv6Addr::from_bits(last).into(),
        },
    ))
}

impl core::fmt::Display for Member {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Address(address, 0) => write!(f, "{address}"),
            Self::Address(address, port) => write!(f, "{address} {port}"),
            Self::Fwmark(mark, _) => write!(f, "fwmark {mark}"),
        }
    }
}
