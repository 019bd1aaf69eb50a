//! The words of a service that come to values of the kernel.

use core::str::FromStr;

use crate::config::global::byte;
use crate::config::read::{Reader, decimal};
use crate::config::tree::{Statement, Word};
use crate::ipvs::{Protocol, Scheduler, ServiceId};
use crate::net::Family;

/// TCP, UDP or SCTP.
pub(super) fn protocol(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<Protocol> {
    let word = reader.value(statement)?;
    match word.bytes.to_ascii_uppercase().as_slice() {
        b"TCP" => Some(Protocol::Tcp),
        b"UDP" => Some(Protocol::Udp),
        b"SCTP" => Some(Protocol::Sctp),
        _ => {
            reader.wrong(word, "the protocol is TCP, UDP or SCTP");
            None
        }
    }
}

/// May carry UDP.
pub(super) fn is_udp(id: &ServiceId) -> bool {
    match id {
        ServiceId::Address { protocol, .. } => *protocol == Protocol::Udp,
        ServiceId::Fwmark { .. } => true,
    }
}

/// A scheduler that the kernel has.
pub(super) fn scheduler(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
) -> Option<Scheduler> {
    let word = reader.value(statement)?;
    let known = Scheduler::KNOWN
        .iter()
        .find(|known| known.as_bytes() == word.bytes);
    if word.bytes == b"twos" {
        reader.wrong(
            word,
            "the kernel of this node is built without this scheduler",
        );
        return None;
    }
    let Some(known) = known else {
        let others = Scheduler::KNOWN.iter().filter(|known| **known != "twos");
        let others: Vec<&str> = others.copied().collect();
        reader.wrong(word, format!("not a scheduler ({})", others.join(", ")));
        return None;
    };
    Scheduler::from_str(known).ok()
}

/// `inet` or `inet6`
pub(in crate::config) fn family(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<Family> {
    match word.bytes {
        b"inet" => Some(Family::V4),
        b"inet6" => Some(Family::V6),
        _ => {
            reader.wrong(word, "the family is inet or inet6");
            None
        }
    }
}

/// A netmask or the length of a prefix.
pub(super) fn granularity(
    reader: &mut Reader<'_, '_>,
    word: Word<'_>,
    family: Family,
) -> Option<u8> {
    let longest = family.bits();
    if decimal(word.bytes).is_some() {
        return reader
            .number_word(word, b"persistence_granularity", 1..=longest.into())
            .map(byte);
    }
    let mask = word
        .text()
        .and_then(|text| core::net::Ipv4Addr::from_str(&text).ok())
        .map(u32::from);
    let prefix = mask.filter(|mask| mask.leading_ones() == mask.count_ones() && *mask != 0);
    if prefix.is_none() || family != Family::V4 {
        reader.wrong(word, "not a netmask");
        return None;
    }
    prefix.map(|mask| byte(mask.leading_ones()))
}
