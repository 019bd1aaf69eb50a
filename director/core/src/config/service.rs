//! `virtual_server`: a service, its pool and its sorry server.

mod quorum;
mod words;

use core::net::IpAddr;
use core::str::FromStr;
use std::collections::BTreeMap;

pub(super) use self::quorum::never_rests;
pub(super) use self::words::family;
use self::words::{granularity, is_udp, protocol, scheduler};
use super::check::{self, Timers};
use super::diagnostic::Place;
use super::forwarding::forwarding;
use super::fullnat::{self, Wish};
use super::global::{DAY, LVS_TIMEOUT_MAX, address, required};
use super::group::{Group, Member};
use super::keywords::{Block, nearest};
use super::pool::{self, Pool};
use super::read::Reader;
use super::tree::{Statement, Word};
use super::{DepoolLimit, RealServer, VirtualServer};
pub(super) use crate::ipvs::WEIGHT_MAX;
use crate::ipvs::{self, Forwarding, Protocol, Scheduler, Service, ServiceId};
use crate::net::{Family, Name};
use crate::time::Duration;

/// One `virtual_server` as far as it could be read.
#[derive(Debug)]
pub(super) struct Found {
    /// The identities of its services and the block.
    pub(super) ids: Vec<ServiceId>,
    pub(super) at: Place,
    /// The whole; none when something is missing, or when it has no real server.
    pub(super) server: Option<VirtualServer>,
    /// Its `ha_suspend`.
    pub(super) suspends: Option<Place>,
    /// What it says of FULLNAT, for which its local addresses are still to be found.
    pub(super) fullnat: Wish,
}

/// All groups of the file.
pub(super) type Groups = BTreeMap<Name, Group>;

/// What a `virtual_server` serves.
#[derive(Clone, Debug)]
struct Header<'g> {
    group: Option<&'g Name>,
    members: Vec<Member>,
}

/// The words of a service.
#[derive(Default)]
struct Draft<'t> {
    protocol: Option<Protocol>,
    scheduler: Option<Scheduler>,
    forwarding: Option<Forwarding>,
    flags: u32,
    /// Flags for one scheduler alone.
    scheduler_flags: Vec<(Word<'t>, &'static str)>,
    ops: Option<Place>,
    timeout_s: Option<u32>,
    granularity: Option<Word<'t>>,
    engine: Option<Word<'t>>,
    timers: Timers,
    weight: Option<u32>,
    quorum: Option<(u32, Place)>,
    hysteresis: Option<(u32, Place)>,
    on_quorum: quorum::Words<'t>,
    alpha: bool,
    inhibit_on_failure: bool,
    sorry: Option<Statement<'t>>,
    sorry_inhibit: bool,
    sorry_method: Option<Statement<'t>>,
    fullnat: Wish,
    virtualhost: Option<String>,
    drain_timeout: Duration,
    depool_limit: Option<DepoolLimit>,
    slow_start: Duration,
    path: Option<check::Wish>,
    family: Option<Family>,
    real_servers: Vec<Statement<'t>>,
}

/// Reads one `virtual_server`.
pub(super) fn read(reader: &mut Reader<'_, '_>, block: Statement<'_>, groups: &Groups) -> Found {
    let header = header(reader, block, groups);
    let group = header.as_ref().and_then(|header| header.group);
    let mut draft = Draft::default();
    reader.each(
        Block::VirtualServer,
        block.children(),
        |reader, word, statement| {
            draft.read(reader, word, statement);
        },
    );
    let ids = draft.ids(reader, block, header);
    let forwarding = draft.forwarding.unwrap_or(Forwarding::Nat);
    let pool = Pool {
        ids: &ids,
        is_group: group.is_some(),
        forwarding,
        fullnat: &draft.fullnat,
        weight: draft.weight,
        inhibit_on_failure: draft.inhibit_on_failure,
        alpha: draft.alpha,
        timers: draft.timers,
        virtualhost: draft.virtualhost.as_deref(),
        slow_start: draft.slow_start,
        path: draft.path,
    };
    let real_servers = pool.real_servers(reader, &draft.real_servers);
    let sorry = draft.sorry.and_then(|statement| {
        let wish = &draft.fullnat;
        let method = draft
            .sorry_method
            .and_then(|word| fullnat::method(reader, word, wish));
        pool.sorry(reader, statement, method.unwrap_or(forwarding))
    });
    let (quorum, hysteresis) = draft.quorum(reader, &real_servers);
    let service = draft.service(reader, block, &ids);
    let (quorum_address, suspends) = draft.on_quorum.settle(reader, &ids);
    let has_pool = !draft.real_servers.is_empty();
    if !has_pool && !ids.is_empty() {
        let message = format!("{} has no `real_server` and is left out", block.title());
        reader.sink.warning(block.keyword().at, message);
    }
    let server =
        ids.split_first()
            .zip(service)
            .filter(|_| has_pool)
            .map(|((id, others), service)| VirtualServer {
                group: group.cloned().map(Box::new),
                id: *id,
                others: others.to_vec(),
                service,
                real_servers,
                sorry: sorry.map(Box::new),
                sorry_inhibit: draft.sorry_inhibit,
                quorum,
                hysteresis,
                quorum_address: quorum_address.map(Box::new),
                ha_suspend: suspends.is_some(),
                drain_timeout: draft.drain_timeout,
                depool_limit: draft.depool_limit,
                locals: Vec::new(),
            });
    Found {
        ids,
        at: block.keyword().at,
        server,
        suspends,
        fullnat: draft.fullnat,
    }
}

/// `ADDR [PORT]`, `fwmark N` or `group NAME`
fn header<'g>(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    groups: &'g Groups,
) -> Option<Header<'g>> {
    let mut words = block.arguments();
    let Some(first) = words.next() else {
        reader.value(block);
        return None;
    };
    let mut group = None;
    let members = match first.bytes {
        b"fwmark" => {
            let mark = required(reader, first, words.next())?;
            let mark = reader.number_word(mark, b"fwmark", 1..=u32::MAX)?;
            vec![Member::Fwmark(mark, None)]
        }
        b"group" => {
            let word = required(reader, first, words.next())?;
            let name: Name = reader.parse_word(word)?;
            let Some((name, found)) = groups.get_key_value(&name) else {
                let near = nearest(name.as_str(), groups.keys().map(Name::as_str));
                let message = format!("there is no `virtual_server_group {name}`");
                let report = reader.sink.error(word.at, message);
                if let Some(near) = near {
                    report.hint(format!("did you mean `{near}`?"));
                }
                return None;
            };
            group = Some(name);
            found.members.clone()
        }
        _ => {
            let address = address(reader, first)?;
            let port = words.next().map_or(Some(0), |word| port(reader, word))?;
            vec![Member::Address(address, port)]
        }
    };
    reader.no_more(words);
    Some(Header { group, members })
}

/// A time up to a day; 0 is off.
pub(super) fn span(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Duration {
    reader
        .timer(statement, Duration::ZERO..=DAY)
        .unwrap_or_default()
}

pub(super) fn port(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<u16> {
    let port = reader.number_word(word, b"port", 0..=65_535)?;
    u16::try_from(port).ok()
}

impl<'t> Draft<'t> {
    fn read(&mut self, reader: &mut Reader<'_, '_>, word: &'static str, statement: Statement<'t>) {
        let keyword = statement.keyword();
        match word {
            "protocol" => self.protocol = protocol(reader, statement),
            "lb_algo" => self.scheduler = scheduler(reader, statement),
            "lb_kind" => {
                self.forwarding = forwarding(reader, statement);
                self.fullnat.at = fullnat::asks(statement).then_some(keyword.at);
            }
            "local_address" => self.fullnat.entries = Some(fullnat::entries(reader, statement)),
            "sh-port" | "mh-port" | "sh-fallback" | "mh-fallback" | "flag-1" | "flag-2"
            | "flag-3" => {
                reader.bare(statement);
                self.scheduler_flag(word, keyword);
            }
            "ops" => {
                reader.bare(statement);
                self.ops = Some(keyword.at);
            }
            "persistence_timeout" => self.persistence(reader, statement),
            "persistence_granularity" => self.granularity = reader.value(statement),
            "persistence_engine" => self.engine = reader.value(statement),
            "weight" => self.weight = reader.number(statement, 0..=WEIGHT_MAX),
            "quorum" => {
                let quorum = reader.number(statement, 1..=WEIGHT_MAX);
                self.quorum = quorum.map(|quorum| (quorum, keyword.at));
            }
            "hysteresis" => {
                let hysteresis = reader.number(statement, 0..=WEIGHT_MAX);
                self.hysteresis = hysteresis.map(|hysteresis| (hysteresis, keyword.at));
            }
            "quorum_up" => self.on_quorum.up = Some(statement),
            "quorum_down" => self.on_quorum.down = Some(statement),
            // At an orderly stop the address of `quorum_up` goes in any case.
            "omega" => reader.bare(statement),
            "ha_suspend" => {
                reader.bare(statement);
                self.on_quorum.suspend = Some(keyword.at);
            }
            "alpha" => {
                reader.bare(statement);
                self.alpha = true;
            }
            "inhibit_on_failure" => {
                reader.bare(statement);
                self.inhibit_on_failure = true;
            }
            "sorry_server" => self.sorry = Some(statement),
            "sorry_server_inhibit" => {
                reader.bare(statement);
                self.sorry_inhibit = true;
            }
            "sorry_server_lvs_method" => self.sorry_method = Some(statement),
            "virtualhost" => self.virtualhost = check::virtualhost(reader, statement),
            "depool_limit" => self.depool_limit = pool::depool_limit(reader, statement),
            "drain_timeout" => self.drain_timeout = span(reader, statement),
            "slow_start" => self.slow_start = span(reader, statement),
            "data_path" => self.path = check::wish(reader, statement),
            "ip_family" => {
                let word = reader.value(statement);
                self.family = word.and_then(|word| family(reader, word));
            }
            "real_server" => self.real_servers.push(statement),
            _ => self.timers.read(reader, word, statement),
        }
    }

    fn scheduler_flag(&mut self, word: &'static str, keyword: Word<'t>) {
        self.flags |= match word {
            "sh-fallback" | "mh-fallback" | "flag-1" => ipvs::FLAG_SCHED1,
            "sh-port" | "mh-port" | "flag-2" => ipvs::FLAG_SCHED2,
            _ => ipvs::FLAG_SCHED3,
        };
        match word.get(..3) {
            Some("sh-") => self.scheduler_flags.push((keyword, "sh")),
            Some("mh-") => self.scheduler_flags.push((keyword, "mh")),
            _ => {}
        }
    }

    fn persistence(&mut self, reader: &mut Reader<'_, '_>, statement: Statement<'_>) {
        let Some(word) = statement.arguments().next() else {
            self.timeout_s = Some(PERSISTENCE_DEFAULT_S);
            return;
        };
        self.timeout_s = reader.number(statement, 0..=LVS_TIMEOUT_MAX);
        if self.timeout_s == Some(0) {
            let message =
                "`persistence_timeout 0` means no persistence here; keepalived calls it invalid";
            reader.sink.warning(word.at, message);
        }
    }

    /// The identities of the services, in the order of the members.
    fn ids(
        &self,
        reader: &mut Reader<'_, '_>,
        block: Statement<'_>,
        header: Option<Header<'_>>,
    ) -> Vec<ServiceId> {
        let Some(Header { members, .. }) = header else {
            return Vec::new();
        };
        let mut error = |message: &str, hint: &'static str| {
            let message = format!("{} {message}", block.title());
            reader.sink.error(block.keyword().at, message).hint(hint);
        };
        let addresses = members.iter().filter_map(|member| match member {
            Member::Address(address, port) => Some((Family::of(*address), *port)),
            Member::Fwmark(..) => None,
        });
        let addresses: Vec<_> = addresses.collect();
        if let Some(family) = self.family
            && addresses.iter().any(|(of, _)| *of != family)
        {
            error(
                "has addresses that `ip_family` contradicts",
                "`ip_family` is for firewall marks",
            );
        }
        if addresses.iter().any(|(_, port)| *port == 0) && !self.is_persistent() {
            error(
                "has no port, which needs `persistence_timeout`",
                "keepalived would take 360 seconds",
            );
        }
        if !addresses.is_empty() && block.lacks("protocol") {
            error("has no `protocol`", "keepalived would take UDP");
        }
        let mark_family = self.family.or_else(|| self.family_of_pool());
        let id = |member: &Member| {
            Some(match *member {
                Member::Fwmark(mark, family) => ServiceId::Fwmark {
                    family: family.or(mark_family).unwrap_or(Family::V4),
                    mark,
                },
                Member::Address(address, port) => ServiceId::Address {
                    protocol: self.protocol?,
                    address,
                    port,
                },
            })
        };
        members.iter().filter_map(id).collect()
    }

    /// The address family of the real servers.
    fn family_of_pool(&self) -> Option<Family> {
        let servers = self.real_servers.iter();
        let words = servers.filter_map(|server| server.arguments().next());
        let text = words.filter_map(|word| word.text()).next()?;
        IpAddr::from_str(&text).ok().map(Family::of)
    }

    fn is_persistent(&self) -> bool {
        match self.timeout_s {
            Some(seconds) => seconds > 0,
            None => self.granularity.is_some(),
        }
    }

    fn service(
        &self,
        reader: &mut Reader<'_, '_>,
        block: Statement<'_>,
        ids: &[ServiceId],
    ) -> Option<Service> {
        let at = block.keyword().at;
        for (word, default) in [("lb_algo", "wlc"), ("lb_kind", "NAT")] {
            if block.lacks(word) {
                let message = format!("{} has no `{word}`", block.title());
                reader
                    .sink
                    .error(at, message)
                    .hint(format!("keepalived would take {default}"));
            }
        }
        let scheduler = self.scheduler.clone()?;
        self.check_flags(reader, block, &scheduler);
        let first = ids.first()?;
        let mut flags = self.flags;
        if let Some(at) = self.ops {
            if !ids.iter().all(is_udp) {
                reader.sink.error(at, "`ops` is for UDP and firewall marks");
            }
            flags |= ipvs::FLAG_ONE_PACKET;
        }
        let family = first.family();
        let granularity = self.granularity.map(|word| {
            if ids.iter().any(|id| id.family() != family) {
                reader.wrong(
                    word,
                    "a group of both address families has no one granularity",
                );
            }
            granularity(reader, word, family)
        });
        let timeout_s = if self.is_persistent() {
            self.timeout_s.unwrap_or(PERSISTENCE_DEFAULT_S)
        } else {
            0
        };
        if timeout_s > 0 {
            flags |= ipvs::FLAG_PERSISTENT;
        }
        Some(Service {
            scheduler,
            flags,
            timeout_s,
            granularity: granularity.flatten().unwrap_or_else(|| family.bits()),
            sip: self.sip(reader, ids),
        })
    }

    /// Flags are for one scheduler alone; and mh without its fallback refuses clients whose server has weight 0.
    fn check_flags(
        &self,
        reader: &mut Reader<'_, '_>,
        block: Statement<'_>,
        scheduler: &Scheduler,
    ) {
        for (word, only) in &self.scheduler_flags {
            if scheduler.as_str() != *only {
                reader.wrong(
                    *word,
                    format!("this flag is for the scheduler {only}, not {scheduler}"),
                );
            }
        }
        if scheduler.as_str() == "mh"
            && self.flags & ipvs::FLAG_SCHED1 == 0
            && !block.lacks("lb_algo")
        {
            let message = format!(
                "{}: mh without `mh-fallback` refuses the clients of a server with weight 0",
                block.title()
            );
            reader.sink.warning(block.keyword().at, message);
        }
    }

    /// Whether the persistence engine of SIP is asked for.
    fn sip(&self, reader: &mut Reader<'_, '_>, ids: &[ServiceId]) -> bool {
        let Some(word) = self.engine else {
            return false;
        };
        if word.bytes != b"sip" {
            reader.wrong(word, "the kernel has one persistence engine, `sip`");
        } else if !ids.iter().all(is_udp) {
            reader.wrong(word, "the kernel reads SIP over UDP alone");
        } else if !self.is_persistent() {
            reader.wrong(word, "needs `persistence_timeout`");
        }
        true
    }

    /// Quorum and hysteresis, reduced to what the weights allow.
    fn quorum(&self, reader: &mut Reader<'_, '_>, pool: &[RealServer]) -> (u32, u32) {
        let sum: u64 = pool.iter().map(|real| u64::from(real.dest.weight)).sum();
        let sum = u32::try_from(sum).unwrap_or(u32::MAX).max(1);
        let mut quorum = 1;
        if let Some((wanted, at)) = self.quorum {
            quorum = wanted.min(sum);
            if quorum < wanted && !self.real_servers.is_empty() {
                let message =
                    format!("the quorum is more than all weights together and reduced to {quorum}");
                reader.sink.warning(at, message);
            }
        }
        let mut hysteresis = 0;
        if let Some((wanted, at)) = self.hysteresis {
            hysteresis = wanted.min(quorum - 1);
            if hysteresis < wanted {
                let message = format!(
                    "the hysteresis must be less than the quorum and is reduced to {hysteresis}"
                );
                reader.sink.warning(at, message);
            }
        }
        (quorum, hysteresis)
    }
}

/// A bare `persistence_timeout`, in seconds.
const PERSISTENCE_DEFAULT_S: u32 = 360;
