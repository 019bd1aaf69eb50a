//! `vrrp_instance NAME`: one virtual router.

use core::net::IpAddr;

mod strict;
mod timing;

use super::addresses::{self, Entry};
use super::diagnostic::Place;
use super::global::{GarpWords, Global, byte, down_adverts, version};
use super::hmac;
use super::keywords::Block;
use super::notices::{self, Subject};
use super::read::Reader;
use super::routing::{self, Route};
use super::track;
use super::tree::{Statement, Word};
use super::unicast::Addressing;
use super::vmac;
use super::{Router, Tracked, Version, VirtualAddress, authentication};
use crate::limits;
use crate::net::{Cidr, Family, IfName, Name};
use crate::routing::Rule;
use crate::time::Duration;
use crate::wire::trailer;

/// One instance as far as it could be read, with the places of what must be unique.
#[derive(Debug)]
pub(super) struct Instance {
    /// The name and the block.
    pub(super) name: Option<Name>,
    pub(super) at: Place,
    pub(super) interface: Option<(IfName, Place)>,
    pub(super) vrid: Option<(u8, Place)>,
    pub(super) family: Family,
    /// Where its adverts come from and go to, when they are unicast: several may share a VRID then.
    pub(super) unicast: Option<(Option<IpAddr>, Vec<IpAddr>)>,
    /// All virtual addresses, in the order of the file; those that are of one interface alone have its name.
    pub(super) addresses: Vec<(Cidr, Option<IfName>, Place)>,
    /// What it tracks.
    pub(super) tracked: Vec<track::Entry>,
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
    routes: Vec<Route>,
    rules: Vec<Rule>,
    pass: Option<(Option<[u8; 8]>, Place)>,
    hmac: Option<hmac::Words>,
    addressing: Addressing<'t>,
    owner_ignores_adverts: Option<bool>,
    no_addresses: bool,
    expires: Option<Place>,
    preempt: Option<Place>,
    nopreempt: Option<Place>,
    preempt_delay: Option<(Duration, Place)>,
    garp: GarpWords,
    lower_prio_no_advert: Option<bool>,
    higher_prio_send_advert: Option<bool>,
    down_adverts: Option<u8>,
    checksum_as_v2: Option<bool>,
    accept: Option<bool>,
    strict: Option<bool>,
    ignore_link: bool,
    tracked: Vec<track::Entry>,
    sync_interface: Option<(IfName, Place)>,
    vmac: vmac::Words,
}

/// Reads one `vrrp_instance`.
pub(super) fn read(reader: &mut Reader<'_, '_>, block: Statement<'_>, global: &Global) -> Instance {
    let name: Option<Name> = reader.parse(block);
    let mut draft = Draft::default();
    reader.each(
        Block::VrrpInstance,
        block.children(),
        |reader, word, statement| match word {
            word if notices::is_one(word) => {
                let subject = name.clone().map(Subject::Router);
                notices::read(reader, word, statement, subject);
            }
            word => draft.read(reader, word, statement),
        },
    );
    draft.settle(reader, block, global);
    let router = name
        .clone()
        .and_then(|name| draft.router(reader, name, global));
    let own = draft.interface.as_ref().map(|(name, _)| name);
    let entries = draft.addresses.iter().chain(&draft.excluded);
    let places = entries.map(|entry| (entry.address, entry.scope(own), entry.at));
    Instance {
        name,
        at: block.keyword().at,
        family: draft.family(),
        unicast: draft.addressing.unicast(global).map(|unicast| {
            let peers = unicast.peers.iter().map(|peer| peer.address);
            (draft.addressing.source(), peers.collect())
        }),
        addresses: places.collect(),
        tracked: draft.tracked(block.keyword().at),
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
            "auth_hmac" => self.hmac = hmac::read(reader, statement),
            "virtual_routes" => routing::routes(reader, statement, &mut self.routes),
            "virtual_rules" => routing::rules(reader, statement, &mut self.rules),
            "authentication" => self.pass = Some((authentication::read(reader, statement), at)),
            "mcast_src_ip"
            | "mcast_dst_ip"
            | "track_src_ip"
            | "unicast_src_ip"
            | "unicast_peer"
            | "unicast_ttl"
            | "unicast_fault_no_peer"
            | "check_unicast_src" => {
                self.addressing.read(reader, word, statement);
            }
            "owner_ignore_adverts" => self.owner_ignores_adverts = reader.flag(statement),
            "timer_expired_backup" => self.expires = timer_expired(reader, statement),
            "track_interface" | "track_script" | "track_probe" | "track_file" | "track_pool" => {
                track::read(reader, word, statement, &mut self.tracked);
            }
            "preempt"
            | "nopreempt"
            | "accept"
            | "no_accept"
            | "no_virtual_ipaddress"
            | "dont_track_primary" => {
                self.bare(reader, word, statement);
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
            "strict_mode" => self.strict = reader.flag(statement),
            "use_vmac" | "use_vmac_addr" | "vmac_xmit_base" => {
                self.vmac.read(reader, word, statement);
            }
            "lvs_sync_daemon_interface" => self.sync_interface = interface(reader, statement),
            _ => self.garp.read(reader, word, statement),
        }
    }

    /// One of the words that stand alone.
    fn bare(&mut self, reader: &mut Reader<'_, '_>, word: &str, statement: Statement<'_>) {
        reader.bare(statement);
        let at = statement.keyword().at;
        match word {
            "preempt" => self.preempt = Some(at),
            "nopreempt" => self.nopreempt = Some(at),
            "no_virtual_ipaddress" => self.no_addresses = true,
            "dont_track_primary" => self.ignore_link = true,
            _ => self.accept = Some(word == "accept"),
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
        let strict = self.strict.unwrap_or(global.strict);
        if strict {
            self.conform(reader, block, global);
        }
        for word in ["interface", "virtual_router_id"] {
            if block.lacks(word) {
                reader.sink.error(at, format!("{title} has no `{word}`"));
            }
        }
        if !self.has_lines && !block.is_cut() && !self.no_addresses {
            let message = format!("{title} has no `virtual_ipaddress`");
            match self.version(global) {
                Version::V2 if !strict => drop(reader.sink.warning(at, message)),
                _ => drop(reader.sink.error(at, message)),
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
        self.settle_addresses(reader, strict);
        let because = match (self.version(global), self.family()) {
            _ if strict => Some("strict mode has none"),
            (Version::V3, _) => Some("version 3 has none"),
            (Version::V2, Family::V6) => Some("version 2 has none over IPv6"),
            (Version::V2, Family::V4) => None,
        };
        if let (Some((Some(_), at)), Some(because)) = (self.pass, because) {
            let message = format!("`authentication` has no effect: {because}");
            reader.sink.warning(at, message);
            self.pass = None;
        }
        if let (Some(hmac), Some((_, first))) = (&self.hmac, self.pass) {
            let line = reader.sink.line(first, hmac.at);
            let message =
                format!("`auth_hmac` beside `authentication` of {line}: one of them is enough");
            reader.sink.error(hmac.at, message);
        }
    }

    /// The advertised addresses are of one family, and no more than an advert carries.
    fn settle_addresses(&mut self, reader: &mut Reader<'_, '_>, strict: bool) {
        let family = self.family();
        for entry in &self.addresses {
            if Family::of(entry.address.address) != family {
                let message = format!(
                    "`{}`: the adverts of this virtual router carry {family} addresses only",
                    entry.address.address
                );
                let hint = "`virtual_ipaddress_excluded` takes addresses of both families";
                reader.sink.error(entry.at, message).hint(hint);
            }
        }
        self.addressing.settle(reader, family);
        if let Some(first) = self.addresses.first()
            && let IpAddr::V6(address) = first.address.address
            && !address.is_unicast_link_local()
        {
            if strict {
                let message = "strict mode has a link-local address first (RFC 9568 section 5.2.9)";
                reader.sink.error(first.at, message);
            } else {
                let message = "the first IPv6 virtual address should be a link-local one (RFC 9568 section 5.2.9)";
                reader.sink.warning(first.at, message);
            }
        }
        let max = advert_addresses_max(family, self.hmac.is_some());
        if self.addresses.len() > max {
            let rest = self.addresses.split_off(max);
            if let Some(first) = rest.first() {
                let message = format!(
                    "an advert carries {max} {family} addresses; this one and those after it are excluded from it"
                );
                reader.sink.warning(first.at, message);
            }
            self.excluded.extend(rest);
        }
    }

    /// The family of the first address; without any, that of the source or the peers.
    fn family(&self) -> Family {
        let first = self.addresses.first();
        first.map_or_else(
            || self.addressing.family().unwrap_or(Family::V4),
            |entry| Family::of(entry.address.address),
        )
    }

    /// What the file names, and the further interfaces that carry virtual addresses: an Active router without them
    /// would serve half of what it should.
    fn tracked(&self, at: Place) -> Vec<track::Entry> {
        let mut tracked = self.tracked.clone();
        let own = self.interface.as_ref().map(|(name, _)| name);
        let carriers = self.addresses.iter().chain(&self.excluded);
        let others = carriers.filter_map(|entry| entry.device.as_ref());
        for name in others.filter(|name| !self.ignore_link && Some(*name) != own) {
            let of = Tracked::Interface(name.clone());
            if !tracked.iter().any(|entry| entry.of == of) {
                tracked.push(track::Entry::needed(of, at));
            }
        }
        tracked
    }

    /// Over IPv6 the version is 3 unless the instance itself says otherwise.
    fn version(&self, global: &Global) -> Version {
        self.version.unwrap_or_else(|| match self.family() {
            Family::V4 => global.version,
            Family::V6 => Version::V3,
        })
    }

    /// A router that is to be Active at once owns the addresses, where nothing else is said.
    fn priority(&self) -> u8 {
        let default = if self.state_master.is_some() {
            255
        } else {
            100
        };
        self.priority.unwrap_or(default)
    }

    fn router(&self, reader: &mut Reader<'_, '_>, name: Name, global: &Global) -> Option<Router> {
        let (interface, _) = self.interface.clone()?;
        let (vrid, _) = self.vrid?;
        let interval = self
            .advert_interval
            .map_or(Duration::from_secs(1), |(interval, _)| interval);
        let resolve = |entry: &Entry| VirtualAddress {
            cidr: entry.address,
            interface: entry.device.clone().unwrap_or_else(|| interface.clone()),
            options: entry.options.clone(),
        };
        let list =
            |entries: &[Entry]| -> Vec<VirtualAddress> { entries.iter().map(resolve).collect() };
        let (addresses, excluded) = (list(&self.addresses), list(&self.excluded));
        let of = vmac::Of {
            interface: &interface,
            family: self.family(),
            vrid,
            unicast: self.addressing.unicast(global).is_some(),
        };
        let entries: Vec<&Entry> = self.addresses.iter().chain(&self.excluded).collect();
        let (vmacs, advert_mac) = self.vmac.resolve(reader, of, &entries);
        Some(Router {
            name,
            trackers: Vec::new(), // resolved when all there is to track is known
            interface,
            vrid,
            version: self.version(global),
            priority: self.priority(),
            // Who owns the addresses is the host that they belong to (RFC 9568 section 6.4.3).
            accept: self.priority() == 255 || self.accept.unwrap_or(true),
            state_master: self.state_master.is_some(),
            advert_interval: interval,
            preempt: self.nopreempt.is_none(),
            preempt_delay: self
                .preempt_delay
                .map_or(Duration::ZERO, |(delay, _)| delay),
            pass: self.pass.and_then(|(pass, _)| pass),
            hmac: self.hmac.as_ref().map(|words| words.resolve(interval)),
            addresses,
            excluded,
            locals: Vec::new(),
            vmacs,
            advert_mac,
            routes: self.routes.clone(),
            rules: self.rules.clone(),
            source: self.addressing.source(),
            track_source: self.addressing.tracks_source(),
            group: self.addressing.group(self.family(), global),
            unicast: self.addressing.unicast(global),
            owner_ignores_adverts: self
                .owner_ignores_adverts
                .unwrap_or(global.owner_ignores_adverts),
            timer_expired_backup: self.expires.is_some(),
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
            delay_after_boot: global.delay_after_boot,
            garp: self.garp.resolve(global),
            garp_extra_all: self.garp.extra_all(global),
        })
    }
}

/// How many addresses of a family an advert carries: its count is one byte (RFC 9568 section 5.2.5), and over IPv6 it
/// must fit an Ethernet frame, with its signature.
fn advert_addresses_max(family: Family, is_signed: bool) -> usize {
    let header = Version::V3.advert_bytes(family, 0);
    let address = Version::V3.advert_bytes(family, 1) - header;
    let trailer = if is_signed { trailer::BYTES } else { 0 };
    limits::ADVERT_ADDRESSES_MAX.min((limits::ADVERT_BYTES_MAX - header - trailer) / address)
}

/// `timer_expired_backup [1-254]`; the number is a priority that only an owner would need, and an owner preempts.
fn timer_expired(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<Place> {
    if statement.arguments().next().is_some() {
        reader.number(statement, 1..=254)?;
    }
    Some(statement.keyword().at)
}

fn interface(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<(IfName, Place)> {
    let word = reader.value(statement)?;
    if word.bytes == b"lo" {
        reader.wrong(word, "the loopback interface has no peers");
        return None;
    }
    reader.parse_word(word).map(|name| (name, word.at))
}
