//! What virtual routers track: `track_interface`, `track_script`, `track_probe`, `track_file`, `track_pool`, one thing
//! a line.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::addresses::lines;
use super::diagnostic::Place;
use super::global::{address, required};
use super::keywords::nearest;
use super::read::Reader;
use super::tree::{Statement, Word};
use super::{LinkDelay, PoolChoice, Tracked, Tracker};
use crate::time::Duration;
use crate::vrrp::Weight;

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) of: Tracked,
    value: Option<i16>,
    reverse: Option<bool>,
    at: Place,
}

/// What a router that tracks something is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracks {
    /// It owns its addresses: its priority is never weighted.
    pub(super) owner: bool,
    /// Member of a sync group whose members keep their priorities.
    pub(super) unweighted: bool,
}

/// The weight of a pool without one: as low as can be, but no Fault. Where both nodes have lost the pool the router
/// stays where it is, and its sorry server serves.
const POOL: Weight = Weight {
    value: -253,
    reverse: false,
};

impl Entry {
    /// A thing whose loss is Fault.
    pub(super) const fn needed(of: Tracked, at: Place) -> Self {
        Self {
            of,
            value: None,
            reverse: None,
            at,
        }
    }
}

/// Reads one `track_..` of a virtual router or a sync group.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    word: &str,
    block: Statement<'_>,
    list: &mut Vec<Entry>,
) {
    for line in lines(reader, block) {
        let Some(entry) = entry(reader, word, line) else {
            continue;
        };
        if list.iter().any(|had| had.of == entry.of) {
            let message = format!("{} is tracked twice", line.keyword().quoted());
            reader.sink.warning(entry.at, message);
        } else {
            list.push(entry);
        }
    }
}

/// `THING [weight N] [reverse|noreverse]`
fn entry(reader: &mut Reader<'_, '_>, word: &str, line: Statement<'_>) -> Option<Entry> {
    let mut words = line.arguments();
    let first = line.keyword();
    let of = match word {
        "track_interface" => Tracked::Interface(reader.parse_word(first)?),
        "track_script" => Tracked::Script(reader.parse_word(first)?),
        "track_probe" => Tracked::Probe(reader.parse_word(first)?),
        "track_file" => Tracked::File(reader.parse_word(first)?),
        _ => Tracked::Pool(pool(reader, first, &mut words)?),
    };
    let mut entry = Entry::needed(of, first.at);
    while let Some(option) = words.next() {
        match option.bytes {
            b"weight" => {
                let value = required(reader, option, words.next())?;
                entry.value = Some(weight(reader, value)?);
            }
            b"reverse" => entry.reverse = Some(true),
            b"noreverse" => entry.reverse = Some(false),
            _ => {
                reader.wrong(option, "not one of weight, reverse, noreverse");
                return None;
            }
        }
    }
    Some(entry)
}

/// -253 to 253.
pub(super) fn weight(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<i16> {
    let text = reader.utf8(word)?;
    let value = text.parse().ok();
    let value = value.filter(|value| (-253..=253).contains(value));
    if value.is_none() {
        reader.wrong(word, "a weight is a number from -253 to 253");
    }
    value
}

/// `all`, `group NAME`, `fwmark N`, or `ADDRESS PORT`.
fn pool<'t>(
    reader: &mut Reader<'_, '_>,
    first: Word<'t>,
    words: &mut impl Iterator<Item = Word<'t>>,
) -> Option<PoolChoice> {
    if first.bytes == b"all" {
        return Some(PoolChoice::All);
    }
    let second = required(reader, first, words.next())?;
    Some(match first.bytes {
        b"group" => PoolChoice::Group(reader.parse_word(second)?),
        b"fwmark" => PoolChoice::Mark(reader.number_word(second, first.bytes, 1..=u32::MAX)?),
        _ => {
            let address: IpAddr = address(reader, first)?;
            let port = reader.number_word(second, b"the port", 0..=65_535)?;
            PoolChoice::Address(address, u16::try_from(port).unwrap_or(u16::MAX))
        }
    })
}

/// The trackers of a router, with the weights that hold: `watches` are the default ones of what there is.
pub(super) fn resolve(
    reader: &mut Reader<'_, '_>,
    entries: &[Entry],
    tracks: Tracks,
    watches: &BTreeMap<Tracked, Weight>,
) -> Vec<Tracker> {
    let mut trackers: Vec<Tracker> = Vec::new();
    for entry in entries {
        let default = match &entry.of {
            Tracked::Interface(_) => Weight::default(),
            Tracked::Pool(_) => POOL,
            of => match watches.get(of) {
                Some(weight) => *weight,
                None => {
                    missing(reader, of, entry.at, watches);
                    continue;
                }
            },
        };
        let weight = Weight {
            value: entry.value.unwrap_or(default.value),
            reverse: entry.reverse.unwrap_or(default.reverse),
        };
        let because = match tracks {
            _ if weight.value == 0 => None,
            Tracks { owner: true, .. } => Some("a router of priority 255 is never weighted"),
            Tracks {
                unweighted: true, ..
            } => Some(
                "members of a sync group keep their priorities without `sync_group_tracking_weight`",
            ),
            Tracks { .. } => None,
        };
        if let Some(because) = because {
            let message = format!("the weight has no effect: {because}");
            reader.sink.warning(entry.at, message);
        } else {
            let of = entry.of.clone();
            trackers.push(Tracker { of, weight });
        }
    }
    trackers
}

fn missing(
    reader: &mut Reader<'_, '_>,
    of: &Tracked,
    at: Place,
    watches: &BTreeMap<Tracked, Weight>,
) {
    let (block, name) = match of {
        Tracked::Script(name) => ("vrrp_script", name),
        Tracked::Probe(name) => ("track_probe", name),
        Tracked::File(name) => ("track_file", name),
        Tracked::Interface(_) | Tracked::Pool(_) => return,
    };
    let names = watches.keys().filter_map(|other| match (of, other) {
        (Tracked::Script(_), Tracked::Script(name)) => Some(name.as_str()),
        (Tracked::Probe(_), Tracked::Probe(name)) => Some(name.as_str()),
        (Tracked::File(_), Tracked::File(name)) => Some(name.as_str()),
        _ => None,
    });
    let near = nearest(name.as_str(), names).map(str::to_owned);
    let message = format!("there is no `{block} {name}`");
    let report = reader.sink.error(at, message);
    if let Some(near) = near {
        report.hint(format!("did you mean `{near}`?"));
    }
}

/// `IF DOWN [UP]` a line, in seconds; without the second, both are the first.
pub(super) fn link_delays(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
) -> Vec<(LinkDelay, Place)> {
    let mut delays = Vec::new();
    for line in lines(reader, block) {
        let first = line.keyword();
        let mut words = line.arguments();
        let Some(interface) = reader.parse_word(first) else {
            continue;
        };
        let Some(down) = required(reader, first, words.next()) else {
            continue;
        };
        let up = words.next().unwrap_or(down);
        reader.no_more(words);
        let range = Duration::ZERO..=LINK_DELAY_MAX;
        let down = reader.timer_word(down, first.bytes, range.clone());
        let up = reader.timer_word(up, first.bytes, range);
        if let (Some(down), Some(up)) = (down, up) {
            let delay = LinkDelay {
                interface,
                down,
                up,
            };
            delays.push((delay, first.at));
        }
    }
    delays
}

/// The longest delay of a link, keepalived's.
const LINK_DELAY_MAX: Duration = Duration::from_secs(255);
