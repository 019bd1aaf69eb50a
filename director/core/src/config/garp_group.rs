//! `garp_group`: interfaces whose announcements are paced together.

use super::addresses::lines;
use super::diagnostic::Place;
use super::global::announce_interval;
use super::keywords::Block;
use super::read::Reader;
use super::tree::Statement;
use crate::net::IfName;
use crate::time::Duration;

/// Interfaces that share what is behind them, as ports of one switch: announcements leave by them one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GarpGroup {
    /// The interfaces, by their configured names; each is in one group at most.
    pub interfaces: Vec<IfName>,
    /// The pause after a gratuitous ARP.
    pub interval: Duration,
    /// The pause after a neighbour advertisement (IPv6).
    pub interval_v6: Duration,
}

/// Reads one group.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    taken: &mut Vec<(IfName, Place)>,
) -> Option<GarpGroup> {
    reader.no_more(block.arguments());
    let mut group = GarpGroup::default();
    let mut named: Vec<(IfName, Place)> = Vec::new();
    reader.each(
        Block::GarpGroup,
        block.children(),
        |reader, word, statement| match word {
            "garp_interval" => group.interval = announce_interval(reader, statement),
            "gna_interval" => group.interval_v6 = announce_interval(reader, statement),
            "interface" => {
                let at = statement.keyword().at;
                named.extend(reader.parse(statement).map(|name| (name, at)));
            }
            _ => {
                for line in lines(reader, statement) {
                    let word = line.keyword();
                    named.extend(reader.parse_word(word).map(|name| (name, word.at)));
                    reader.no_more(line.arguments());
                }
            }
        },
    );
    for (name, at) in named {
        match taken.iter().find(|(known, _)| *known == name) {
            Some((_, first)) => {
                reader.twice(at, &format!("`{name}` in a `garp_group`"), *first);
            }
            None => {
                taken.push((name.clone(), at));
                group.interfaces.push(name);
            }
        }
    }
    let at = block.keyword().at;
    if group.interfaces.is_empty() {
        reader.sink.error(at, "`garp_group` has no interface");
        return None;
    }
    if group.interval.is_zero() && group.interval_v6.is_zero() {
        let message = "`garp_group` without `garp_interval` and `gna_interval` has no effect";
        reader.sink.warning(at, message);
        return None;
    }
    Some(group)
}
