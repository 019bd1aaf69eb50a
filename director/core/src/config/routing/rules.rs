//! One rule a line, in the words of `ip rule`.

use core::fmt::Display;
use core::ops::RangeInclusive;

use super::{NO_REALMS, Refused, is_refused, lines, network, required, table};
use crate::config::read::{Reader, decimal};
use crate::config::tree::{Statement, Word};
use crate::net::{Cidr, Family};
use crate::routing::{MAIN, Rule, RuleAction};

/// The first priority of a rule without one; each further one has the next lower, as in keepalived.
const PRIORITY: u32 = 16_384;

/// Words of `ip rule` that are known and refused, and why.
const RULE_REFUSED: &Refused = &[
    NO_REALMS,
    (
        &["l3mdev"],
        "no interfaces with tables of their own are made here",
    ),
    (
        &["tun_id"],
        "no tunnels are told apart by their numbers here",
    ),
];

/// Reads a block of rules.
pub(in crate::config) fn rules(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    list: &mut Vec<Rule>,
) {
    for line in lines(reader, block) {
        list.extend(rule(reader, line));
    }
}

fn rule(reader: &mut Reader<'_, '_>, line: Statement<'_>) -> Option<Rule> {
    let mut words = line.words();
    let (mut family, mut action, mut priority) = (None, None, None);
    let mut rule = Rule::of(Family::V4, RuleAction::Table(MAIN));
    while let Some(word) = words.next() {
        let mut value = |reader: &mut Reader<'_, '_>| required(reader, word, words.next());
        match word.bytes {
            b"from" | b"src" => rule.from = value(reader).and_then(|w| prefix(reader, w))?,
            b"to" | b"dst" => rule.to = value(reader).and_then(|w| prefix(reader, w))?,
            b"iif" | b"dev" => rule.iif = Some(value(reader).and_then(|w| reader.parse_word(w))?),
            b"oif" => rule.oif = Some(value(reader).and_then(|w| reader.parse_word(w))?),
            b"fwmark" => rule.mark = Some(value(reader).and_then(|w| mark(reader, w))?),
            b"preference" | b"priority" | b"pref" | b"order" => {
                let value = value(reader)?;
                priority = Some(reader.number_word(value, word.bytes, 1..=u32::MAX)?);
            }
            b"table" | b"lookup" => {
                let value = value(reader)?;
                action = Some(RuleAction::Table(table(reader, value)?));
            }
            b"goto" => {
                let value = value(reader)?;
                let priority = reader.number_word(value, word.bytes, 1..=u32::MAX)?;
                action = Some(RuleAction::Goto(priority));
            }
            b"nop" => action = Some(RuleAction::Nop),
            b"blackhole" => action = Some(RuleAction::Blackhole),
            b"unreachable" => action = Some(RuleAction::Unreachable),
            b"prohibit" => action = Some(RuleAction::Prohibit),
            b"inet" => family = Some(Family::V4),
            b"inet6" => family = Some(Family::V6),
            b"track_group" => drop(value(reader)?),
            b"no_track" => {}
            _ => selector(reader, &mut rule, word, value)?,
        }
    }
    let first = line.keyword();
    let Some(action) = action else {
        let what = "a rule needs `table`, `goto`, or one of nop, blackhole, unreachable, prohibit";
        reader.wrong(first, what);
        return None;
    };
    let prefixes = [rule.from, rule.to];
    let mut families = prefixes.iter().flatten().map(|net| Family::of(net.address));
    let family = family.or_else(|| families.next()).unwrap_or(Family::V4);
    if families.any(|other| other != family) {
        reader.wrong(first, "the addresses of a rule are of one family");
        return None;
    }
    let priority = priority.unwrap_or_else(|| unordered(reader, first));
    if let RuleAction::Goto(to) = action
        && to <= priority
    {
        let message = format!("the rule of priority {priority} can't go back to {to}");
        reader.sink.error(first.at, message);
        return None;
    }
    Some(Rule {
        family,
        priority,
        action,
        ..rule
    })
}

/// A further word for which packets a rule is, or for which routes of its table it is not.
fn selector<'t>(
    reader: &mut Reader<'_, '_>,
    rule: &mut Rule,
    word: Word<'t>,
    value: impl FnOnce(&mut Reader<'_, '_>) -> Option<Word<'t>>,
) -> Option<()> {
    match word.bytes {
        b"not" => rule.invert = true,
        b"tos" | b"dsfield" => rule.tos = value(reader).and_then(|word| tos(reader, word))?,
        b"ipproto" => rule.protocol = Some(value(reader).and_then(|w| protocol(reader, w))?),
        b"sport" => rule.from_ports = Some(value(reader).and_then(|w| ports(reader, w))?),
        b"dport" => rule.to_ports = Some(value(reader).and_then(|w| ports(reader, w))?),
        b"uidrange" => {
            let value = value(reader)?;
            rule.users = Some(range(reader, value, 0..=u32::MAX - 1)?);
        }
        b"suppress_prefixlength" | b"sup_pl" | b"suppress_prefixlen" => {
            let value = value(reader)?;
            rule.suppress_prefix = Some(reader.number_word(value, word.bytes, 0..=128)?);
        }
        b"suppress_ifgroup" | b"sup_group" => {
            let value = value(reader)?;
            rule.suppress_group = Some(reader.number_word(value, word.bytes, 0..=u32::MAX - 1)?);
        }
        _ if is_refused(reader, word, RULE_REFUSED) => return None,
        _ => {
            reader.wrong(word, "not an option of a rule");
            return None;
        }
    }
    Some(())
}

/// A type of service, in decimal or behind `0x`: the bits of RFC 1349 that ECN left, which are all that the kernel
/// takes over both families.
fn tos(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<u8> {
    const BITS: u8 = 0x1c;
    let text = reader.utf8(word)?;
    let number = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let number = number.filter(|number| number & !BITS == 0);
    if number.is_none() {
        reader.wrong(word, "a type of service is a multiple of 4 up to 0x1c");
    }
    number
}

fn protocol(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<u8> {
    let number = match word.bytes {
        b"icmp" => Some(1),
        b"tcp" => Some(6),
        b"udp" => Some(17),
        b"ipv6-icmp" => Some(58),
        b"sctp" => Some(132),
        bytes => decimal(bytes).and_then(|number| u8::try_from(number).ok()),
    };
    let number = number.filter(|number| *number > 0);
    if number.is_none() {
        reader.wrong(
            word,
            "a protocol is a number, or one of tcp, udp, sctp, icmp, ipv6-icmp",
        );
    }
    number
}

/// Ports, first and last; the kernel refuses 0 and 65535 in a rule.
fn ports(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<(u16, u16)> {
    range(reader, word, 1..=u16::MAX - 1)
}

/// `N` or `N-M`.
fn range<N: TryFrom<u64> + PartialOrd + Display>(
    reader: &mut Reader<'_, '_>,
    word: Word<'_>,
    within: RangeInclusive<N>,
) -> Option<(N, N)> {
    let number = |bytes: &[u8]| {
        let number = decimal(bytes).and_then(|number| N::try_from(number).ok());
        number.filter(|number| within.contains(number))
    };
    let mut ends = word.bytes.splitn(2, |byte| *byte == b'-');
    let first = ends.next().unwrap_or_default();
    let last = ends.next().unwrap_or(first);
    let both = number(first).zip(number(last));
    let both = both.filter(|(first, last)| first <= last);
    if both.is_none() {
        let (low, high) = (within.start(), within.end());
        let message = format!(
            "not a number from {low} to {high}, nor a first and a last one with a hyphen between"
        );
        reader.wrong(word, message);
    }
    both
}

/// The priority of a rule that says none.
fn unordered(reader: &mut Reader<'_, '_>, first: Word<'_>) -> u32 {
    let next = reader.next_priority(PRIORITY);
    let message = format!("a rule without `preference` has {next} here");
    reader.sink.warning(first.at, message);
    next
}

/// A prefix; none for `all`.
#[allow(clippy::option_option)] // outside: whether it could be read
fn prefix(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<Option<Cidr>> {
    match word.bytes {
        b"all" | b"default" => Some(None),
        _ => network(reader, word).map(Some),
    }
}

/// `MARK[/MASK]`, in decimal or behind `0x`.
fn mark(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<(u32, u32)> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let text = reader.utf8(word)?;
    let both = match text.split_once('/') {
        Some((mark, mask)) => number(mark).zip(number(mask)),
        None => number(&text).map(|mark| (mark, u32::MAX)),
    };
    if both.is_none() {
        reader.wrong(
            word,
            "a mark is a number, with `/MASK` where not all bits count",
        );
    }
    both
}
