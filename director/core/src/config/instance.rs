//! `vrrp_instance NAME`: one virtual router.

use core::net::Ipv4Addr;

use super::addresses::{self, Entry, lines};
use super::diagnostic::Place;
use super::global::{GarpWords, Global, byte, down_adverts, ipv4, version};
use super::keywords::Block;
use super::read::Reader;
use super::tree::{Statement, Word};
use super::{Router, Version, VirtualAddress};
use crate::limits;
use crate::net::{Cidr, IfName, Name};
use crate::time::Duration;

/// One instance as far as it could be read, with the places of what must be unique.
#[derive(Debug)]
pub(super) struct Instance {
    /// The name and the block.
    pub(super) name: Option<Name>,
    pub(super) at: Place,
    pub(super) interface: Option<(IfName, Place)>,
    pub(super) vrid: Option<(u8, Place)>,
    /// All virtual addresses, in the order of the file.
    pub(super) addresses: Vec<(Cidr, Place)>,
    /// `lvs_sync_daemon_interface`
    pub(super) sync_interface: Option<(IfName, Place)>,
    /// The whole, when nothing is missing.
    pub(super) router: Option<Router>,
}

#[derive(Default)]
struct Draft<'t> {
    state_master: Option<Place>,
    interface: Option<(IfName, Place)>,
    vrid: Option<(u8, Place)>,
    priority: Option<u8>,
    version: Option<Version>,
    advert_interval: Option<(Duration, Word<'t>)>,
    addresses: Vec<Entry>,
    /// `virtual_ipaddress` is not empty.
    has_lines: bool,
    excluded: Vec<Entry>,
    pass: Option<(Option<[u8; 8]>, Place)>,
    source: Option<Ipv4Addr>,
    preempt: Option<Place>,
    nopreempt: Option<Place>,
    preempt_delay: Option<(Duration, Place)>,
    garp: GarpWords,
    lower_prio_no_advert: Option<bool>,
    higher_prio_send_advert: Option<bool>,
    down_adverts: Option<u8>,
    checksum_as_v2: Option<bool>,
    ignore_link: bool,
    tracked: Vec<IfName>,
    sync_interface: Option<(IfName, Place)>,
}

/// Reads one `vrrp_instance`.
pub(super) fn read(reader: &mut Reader<'_, '_>, block: Statement<'_>, global: &Global) -> Instance {
    let name: Option<Name> = reader.parse(block);
    let mut draft = Draft::default();
    reader.each(
        Block::VrrpInstance,
        block.children(),
        |reader, word, statement| {
            draft.read(reader, word, statement);
        },
    );
    draft.settle(reader, block, global);
    let router = name.clone().and_then(|name| draft.router(name, global));
    let entries = draft.addresses.iter().chain(&draft.excluded);
    Instance {
        name,
        at: block.keyword().at,
        addresses: entries.map(|entry| (entry.address, entry.at)).collect(),
        interface: draft.interface,
        vrid: draft.vrid,
        sync_interface: draft.sync_interface,
        router,
    }
}

impl<'t> Draft<'t> {
    fn read(&mut self, reader: &mut Reader<'_, '_>, word: &str, statement: Statement<'t>) {
        let at = statement.keyword().at;
        match word {
            "state" => self.state(reader, statement),
            "interface" => self.interface = interface(reader, statement),
            "virtual_router_id" => {
                let vrid = reader.number(statement, 1..=255);
                self.vrid = vrid.map(|vrid| (byte(vrid), at));
            }
            "priority" => self.priority = reader.number(statement, 1..=255).map(byte),
            "advert_int" => {
                let range = Duration::from_millis(10)..=Duration::from_secs(255);
                let word = statement.arguments().next();
                self.advert_interval = reader.timer(statement, range).zip(word);
            }
            "version" => self.version = version(reader, statement),
            "virtual_ipaddress" => {
                self.has_lines |= addresses::read(reader, statement, &mut self.addresses);
            }
            "virtual_ipaddress_excluded" => {
                addresses::read(reader, statement, &mut self.excluded);
            }
            "authentication" => self.pass = Some((authentication(reader, statement), at)),
            "mcast_src_ip" => {
                self.source = reader.value(statement).and_then(|word| ipv4(reader, word));
            }
            "dont_track_primary" => {
                reader.bare(statement);
                self.ignore_link = true;
            }
            "track_interface" => track(reader, statement, &mut self.tracked),
            "preempt" => {
                reader.bare(statement);
                self.preempt = Some(at);
            }
            "nopreempt" => {
                reader.bare(statement);
                self.nopreempt = Some(at);
            }
            "preempt_delay" => {
                let delay = reader.timer(statement, Duration::ZERO..=Duration::from_secs(1000));
                self.preempt_delay = delay.map(|delay| (delay, at));
            }
            "lower_prio_no_advert" => self.lower_prio_no_advert = reader.flag(statement),
            "higher_prio_send_advert" => self.higher_prio_send_advert = reader.flag(statement),
            "down_timer_adverts" => self.down_adverts = down_adverts(reader, statement),
            "v3_checksum_as_v2" => self.checksum_as_v2 = reader.flag(statement),
            "skip_check_adv_addr" => _ = reader.flag(statement), // a differing list is never dropped
            "accept" => reader.bare(statement),
            "lvs_sync_daemon_interface" => self.sync_interface = interface(reader, statement),
            _ => self.garp.read(reader, word, statement),
        }
    }

    fn state(&mut self, reader: &mut Reader<'_, '_>, statement: Statement<'_>) {
        let Some(word) = reader.value(statement) else {
            return;
        };
        match word.bytes {
            b"MASTER" => self.state_master = Some(word.at),
            b"BACKUP" => {}
            _ => reader.wrong(word, "the state is MASTER or BACKUP"),
        }
    }

    /// What the keywords mean together, and what is missing.
    fn settle(&mut self, reader: &mut Reader<'_, '_>, block: Statement<'_>, global: &Global) {
        let at = block.keyword().at;
        let title = block.title();
        for word in ["interface", "virtual_router_id"] {
            if block.lacks(word) {
                reader.sink.error(at, format!("{title} has no `{word}`"));
            }
        }
        if !self.has_lines && !block.is_cut() {
            let message = format!("{title} has no `virtual_ipaddress`");
            match self.version(global) {
                Version::V2 => drop(reader.sink.warning(at, message)),
                Version::V3 => drop(reader.sink.error(at, message)),
            }
        }
        if self.state_master.is_some() && block.lacks("priority") {
            let message = format!(
                "{title}: `state MASTER` without `priority` means 255, the owner of the addresses"
            );
            reader.sink.warning(at, message).hint("write the priority");
        }
        self.settle_interval(reader, global);
        self.settle_preemption(reader);
        self.settle_addresses(reader);
        if let Some((Some(_), at)) = self.pass
            && self.version(global) == Version::V3
        {
            reader
                .sink
                .warning(at, "`authentication` has no effect: version 3 has none");
            self.pass = None;
        }
    }

    fn settle_interval(&self, reader: &mut Reader<'_, '_>, global: &Global) {
        let Some((interval, word)) = self.advert_interval else {
            return;
        };
        match self.version(global) {
            Version::V2 if interval.subsec_micros() != 0 || interval.is_zero() => {
                let message = format!(
                    "{}: version 2 has whole seconds from 1 to 255",
                    word.quoted()
                );
                let hint = "`version 3`, on all nodes, has intervals from 0.01 to 40.95 seconds";
                reader.sink.error(word.at, message).hint(hint);
            }
            Version::V3 if interval.as_micros() % 10_000 != 0 || interval > V3_INTERVAL_MAX => {
                reader.wrong(word, "version 3 has hundredths of a second up to 40.95");
            }
            _ => {}
        }
    }

    fn settle_preemption(&mut self, reader: &mut Reader<'_, '_>) {
        if let (Some(preempt), Some(nopreempt)) = (self.preempt, self.nopreempt) {
            let line = reader.sink.line(preempt.min(nopreempt));
            let word = if preempt > nopreempt {
                "preempt"
            } else {
                "nopreempt"
            };
            let message = format!("`{word}` contradicts line {line}");
            reader.sink.error(preempt.max(nopreempt), message);
        }
        let because = match (self.state_master, self.priority) {
            (Some(_), _) => Some("with `state MASTER`"),
            (_, Some(255)) => Some("with priority 255"),
            _ => None,
        };
        if let Some(because) = because {
            if let Some(at) = self.nopreempt.take() {
                reader
                    .sink
                    .warning(at, format!("`nopreempt` has no effect {because}"));
            }
            if let Some((_, at)) = self.preempt_delay.take() {
                reader
                    .sink
                    .warning(at, format!("`preempt_delay` has no effect {because}"));
            }
        } else if self.nopreempt.is_some()
            && let Some((_, at)) = self.preempt_delay.take()
        {
            reader
                .sink
                .warning(at, "`preempt_delay` has no effect with `nopreempt`");
        }
    }

    fn settle_addresses(&mut self, reader: &mut Reader<'_, '_>) {
        if self.addresses.len() > limits::ADVERT_ADDRESSES_MAX {
            let rest = self.addresses.split_off(limits::ADVERT_ADDRESSES_MAX);
            if let Some(first) = rest.first() {
                let message = "an advert carries 255 addresses; this one and those after it are excluded from it";
                reader.sink.warning(first.at, message);
            }
            self.excluded.extend(rest);
        }
    }

    /// The interfaces that `track_interface` names, and the further ones that carry virtual addresses: an Active
    /// router without them would serve half of what it should.
    fn tracked<'a>(
        &self,
        own: &IfName,
        addresses: impl Iterator<Item = &'a VirtualAddress>,
    ) -> Vec<IfName> {
        let mut tracked = self.tracked.clone();
        let others = addresses
            .map(|address| &address.interface)
            .filter(|name| *name != own);
        for name in others.filter(|_| !self.ignore_link) {
            if !tracked.contains(name) {
                tracked.push(name.clone());
            }
        }
        tracked
    }

    fn version(&self, global: &Global) -> Version {
        self.version.unwrap_or(global.version)
    }

    fn router(&self, name: Name, global: &Global) -> Option<Router> {
        let (interface, _) = self.interface.clone()?;
        let (vrid, _) = self.vrid?;
        let default_priority = if self.state_master.is_some() {
            255
        } else {
            100
        };
        let resolve = |entry: &Entry| VirtualAddress {
            cidr: entry.address,
            interface: entry.device.clone().unwrap_or_else(|| interface.clone()),
        };
        let list =
            |entries: &[Entry]| -> Vec<VirtualAddress> { entries.iter().map(resolve).collect() };
        let (addresses, excluded) = (list(&self.addresses), list(&self.excluded));
        Some(Router {
            name,
            tracked: self.tracked(&interface, addresses.iter().chain(&excluded)),
            interface,
            vrid,
            version: self.version(global),
            priority: self.priority.unwrap_or(default_priority),
            state_master: self.state_master.is_some(),
            advert_interval: self
                .advert_interval
                .map_or(Duration::from_secs(1), |(interval, _)| interval),
            preempt: self.nopreempt.is_none(),
            preempt_delay: self
                .preempt_delay
                .map_or(Duration::ZERO, |(delay, _)| delay),
            pass: self.pass.and_then(|(pass, _)| pass),
            addresses,
            excluded,
            source: self.source,
            group: global.group,
            down_adverts: self.down_adverts.unwrap_or(global.down_adverts),
            checksum_as_v2: self.checksum_as_v2.unwrap_or(global.checksum_as_v2),
            lower_prio_no_advert: self
                .lower_prio_no_advert
                .unwrap_or(global.lower_prio_no_advert),
            higher_prio_send_advert: self
                .higher_prio_send_advert
                .unwrap_or(global.higher_prio_send_advert),
            ignore_link: self.ignore_link,
            startup_delay: global.startup_delay,
            garp: self.garp.resolve(global),
        })
    }
}

/// `track_interface { IF [weight N] [reverse] }`
pub(super) fn track(reader: &mut Reader<'_, '_>, block: Statement<'_>, tracked: &mut Vec<IfName>) {
    for entry in lines(reader, block) {
        let mut words = entry.arguments();
        let weight = words.next();
        if let Some(word) = weight {
            let is_zero =
                word.bytes == b"weight" && words.next().is_some_and(|word| word.bytes == b"0");
            if !is_zero {
                let what = "a weight of a tracked interface is not yet supported";
                reader.wrong(word, what);
            }
        }
        let Some(name) = reader.parse_word(entry.keyword()) else {
            continue;
        };
        if tracked.contains(&name) {
            let message = format!("`{name}` is tracked twice");
            reader.sink.warning(entry.keyword().at, message);
        } else {
            tracked.push(name);
        }
    }
}

/// The advertisement interval of version 3 has 12 bits of hundredths (RFC 9568 section 5.2.7).
const V3_INTERVAL_MAX: Duration = Duration::from_millis(40_950);

fn interface(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<(IfName, Place)> {
    let word = reader.value(statement)?;
    if word.bytes == b"lo" {
        reader.wrong(word, "the loopback interface has no peers");
        return None;
    }
    reader.parse_word(word).map(|name| (name, word.at))
}

/// `authentication { auth_type PASS; auth_pass STRING }`: the password as it is sent.
fn authentication(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Option<[u8; 8]> {
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
