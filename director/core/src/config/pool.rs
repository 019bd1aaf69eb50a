//! `real_server` and `sorry_server`: the pool of a service.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::check::{self, Timers};
use super::diagnostic::Place;
use super::fullnat::{self, Wish};
use super::global::address;
use super::keywords::Block;
use super::notices::{self, Subject};
use super::read::{Reader, decimal};
use super::service::{WEIGHT_MAX, port, span};
use super::tree::Statement;
use super::{DepoolLimit, RealServer, Terms};
use crate::ipvs::{Dest, DestId, Forwarding, ServiceId};
use crate::net::Family;
use crate::time::Duration;

/// What the real servers of a service take over from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool<'v> {
    /// The services; none when what they are is not known.
    pub(super) ids: &'v [ServiceId],
    pub(super) is_group: bool,
    pub(super) forwarding: Forwarding,
    pub(super) fullnat: &'v Wish,
    pub(super) weight: Option<u32>,
    pub(super) inhibit_on_failure: bool,
    pub(super) alpha: bool,
    pub(super) timers: Timers,
    pub(super) virtualhost: Option<&'v str>,
    pub(super) slow_start: Duration,
    pub(super) path: Option<check::Wish>,
}

impl Pool<'_> {
    /// Reads the real servers of a service.
    pub(super) fn real_servers(
        &self,
        reader: &mut Reader<'_, '_>,
        blocks: &[Statement<'_>],
    ) -> Vec<RealServer> {
        let mut places: BTreeMap<DestId, Place> = BTreeMap::new();
        let mut servers = Vec::with_capacity(blocks.len());
        for block in blocks {
            let Some(server) = self.real_server(reader, *block) else {
                continue;
            };
            let at = block.keyword().at;
            // What is one dest in one service of a group must not be two real servers of it.
            let key = match self.ids.first() {
                Some(id) => server.id.within(id, server.dest.forwarding),
                None => server.id,
            };
            match places.get(&key) {
                Some(first) => reader.twice(at, &block.title(), *first),
                None => drop(places.insert(key, at)),
            }
            servers.push(server);
        }
        servers
    }

    /// What is run when a real server comes and goes.
    fn notices(
        &self,
        reader: &mut Reader<'_, '_>,
        notices: &[(&str, Statement<'_>)],
        id: Option<DestId>,
    ) {
        let subject = self.ids.first().copied().zip(id);
        let subject = subject.map(|(service, dest)| Subject::Server(service, dest));
        for (word, statement) in notices {
            notices::read(reader, word, *statement, subject.clone());
        }
    }

    fn real_server(&self, reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Option<RealServer> {
        let place = self.address(reader, block);
        let mut weight = self.weight;
        let mut thresholds = [0; 2];
        let mut forwarding_here = None;
        let (mut inhibit_on_failure, mut alpha) = (self.inhibit_on_failure, self.alpha);
        let (mut timers, mut virtualhost) = (Timers::default(), None);
        let mut slow_start = self.slow_start;
        let (mut checks, mut notices) = (Vec::new(), Vec::new());
        reader.each(
            Block::RealServer,
            block.children(),
            |reader, word, statement| match word {
                "weight" => weight = reader.number(statement, 0..=WEIGHT_MAX),
                "uthreshold" => thresholds[0] = threshold(reader, statement),
                "lthreshold" => thresholds[1] = threshold(reader, statement),
                "inhibit_on_failure" => {
                    inhibit_on_failure = reader.flag(statement).unwrap_or_default();
                }
                "alpha" => alpha = reader.flag(statement).unwrap_or_default(),
                "lvs_method" => {
                    forwarding_here = fullnat::method(reader, statement, self.fullnat);
                }
                "slow_start" => slow_start = span(reader, statement),
                "virtualhost" => virtualhost = check::virtualhost(reader, statement),
                word if is_check(word) => checks.push(statement),
                word if notices::is_one(word) => notices.push((word, statement)),
                _ => timers.read(reader, word, statement),
            },
        );
        let [upper, lower] = thresholds;
        if lower > upper {
            let message = "`lthreshold` is above `uthreshold`, which the kernel refuses";
            reader.sink.error(block.keyword().at, message);
        }
        let forwarding = forwarding_here.unwrap_or(self.forwarding);
        let id =
            place.and_then(|(address, port)| self.dest(reader, block, forwarding, address, port));
        self.notices(reader, &notices, id);
        let virtualhost = virtualhost.as_deref().or(self.virtualhost);
        let way = (id, forwarding);
        let context = self.context(place, way, timers.or(self.timers), virtualhost);
        let checks: Vec<_> = checks
            .iter()
            .map(|check| check::read(reader, *check, &context))
            .collect();
        alpha |= checks.iter().any(|check| check.alpha);
        let dest = Dest {
            forwarding,
            weight: weight.unwrap_or(1),
            upper,
            lower,
        };
        let id = id?;
        let checks = checks.into_iter().filter_map(|found| found.check);
        let terms = Terms {
            dest,
            inhibit_on_failure,
            alpha,
            slow_start,
            checks: checks.map(|check| check.of(id)).collect(),
        };
        Some(RealServer {
            id,
            terms: reader.shared_terms(terms),
        })
    }

    /// What the checks of a real server take over from it.
    fn context<'c>(
        &'c self,
        place: Option<(IpAddr, Option<u16>)>,
        (dest, forwarding): (Option<DestId>, Forwarding),
        timers: Timers,
        virtualhost: Option<&'c str>,
    ) -> check::Context<'c> {
        check::Context {
            address: place.map(|(address, _)| address),
            // keepalived too asks at the port that the line names, where packets by DR and tunnels keep their own.
            port: place
                .and_then(|(_, port)| port)
                .or_else(|| dest.map(|id| id.port))
                .filter(|port| *port != 0)
                .or_else(|| self.port().filter(|port| *port != 0)),
            timers,
            virtualhost,
            ids: self.ids,
            dest,
            forwarding,
            fullnat: self.fullnat.at.is_some(),
            path: self.path,
        }
    }

    /// Reads `sorry_server ADDR [PORT]`.
    pub(super) fn sorry(
        &self,
        reader: &mut Reader<'_, '_>,
        statement: Statement<'_>,
        forwarding: Forwarding,
    ) -> Option<(DestId, Dest)> {
        let (address, port) = self.address(reader, statement)?;
        let id = self.dest(reader, statement, forwarding, address, port)?;
        Some((
            id,
            Dest {
                forwarding,
                weight: 1,
                upper: 0,
                lower: 0,
            },
        ))
    }

    /// `ADDR [PORT]` after the keyword.
    fn address(
        &self,
        reader: &mut Reader<'_, '_>,
        statement: Statement<'_>,
    ) -> Option<(IpAddr, Option<u16>)> {
        let mut words = statement.arguments();
        let Some(word) = words.next() else {
            reader.value(statement);
            return None;
        };
        let address = address(reader, word)?;
        let port = match words.next() {
            Some(word) => Some(port(reader, word)?),
            None => None,
        };
        reader.no_more(words);
        Some((address, port))
    }

    /// The port that all services have.
    fn port(&self) -> Option<u16> {
        let port = self.ids.first()?.port();
        self.ids.iter().all(|id| id.port() == port).then_some(port)
    }

    /// The identity of a dest: only NAT rewrites the port of a packet, so that with other methods it is the
    /// service's. With a group it is left to each member.
    fn dest(
        &self,
        reader: &mut Reader<'_, '_>,
        statement: Statement<'_>,
        forwarding: Forwarding,
        address: IpAddr,
        port: Option<u16>,
    ) -> Option<DestId> {
        let first = self.ids.first()?;
        let at = statement
            .arguments()
            .next()
            .unwrap_or_else(|| statement.keyword());
        let crosses = self.ids.iter().any(|id| id.family() != Family::of(address));
        if crosses && !matches!(forwarding, Forwarding::Tun(_)) {
            let what = "not of the service's address family, between which only a tunnel leads";
            reader.wrong(at, what);
            return None;
        }
        let id = DestId {
            address,
            port: port.unwrap_or(0),
        };
        let is_address = |id: &&ServiceId| matches!(id, ServiceId::Address { .. });
        let mut addresses = self.ids.iter().filter(is_address);
        // With a mark the port only says where the checks go.
        let changed = addresses.find(|service| id.within(service, forwarding).port != id.port);
        if let (Some(service), Some(port)) = (changed, port) {
            let mut words = statement.children().map(|child| child.keyword());
            let is_checked = words.any(|word| word.text().is_some_and(|word| is_check(&word)));
            let message = format!(
                "{forwarding} keeps the port of a packet: {} is used, not {port}{}",
                service.port(),
                if is_checked {
                    ", where only checks ask"
                } else {
                    ""
                }
            );
            reader.sink.warning(statement.keyword().at, message);
        }
        Some(if self.is_group {
            id
        } else {
            id.within(first, forwarding)
        })
    }
}

/// Whether a keyword of a real server opens a check.
/// `depool_limit N` or `depool_limit N%`
pub(super) fn depool_limit(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
) -> Option<DepoolLimit> {
    let word = reader.value(statement)?;
    let number = |bytes| decimal(bytes).and_then(|number| u32::try_from(number).ok());
    let limit = match word.bytes.strip_suffix(b"%") {
        Some(digits) => number(digits)
            .filter(|percent| *percent <= 100)
            .map(DepoolLimit::Percent),
        None => number(word.bytes).map(DepoolLimit::Servers),
    };
    if limit.is_none() {
        reader.wrong(
            word,
            "the limit is a number of real servers, or of a hundred (25%)",
        );
    }
    limit
}

fn is_check(word: &str) -> bool {
    word.ends_with("_CHECK") || word.ends_with("_GET")
}

fn threshold(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> u32 {
    reader.number(statement, 0..=WEIGHT_MAX).unwrap_or(0)
}
