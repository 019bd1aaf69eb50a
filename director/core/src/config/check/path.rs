//! `data_path`: a check that goes the way that clients go, an extension.
//!
//! ```text
//! virtual_server 192.0.2.100 80 {
//!     data_path                          # for all its checks that can; or in one check
//!     real_server 10.0.0.11 80 {
//!         TCP_CHECK {
//!             data_path off              # on, off, or the virtual address
//! ```
//!
//! The check connects to the virtual address, and IPVS takes it to its real server alone. So it fails also when the way
//! is broken: the real server lacks the virtual address (DR), does not unwrap (TUN), or answers past the director.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Common, Context};
use crate::check::DataPath;
use crate::config::diagnostic::Place;
use crate::config::global::address;
use crate::config::read::Reader;
use crate::config::tree::Statement;
use crate::config::{CheckKind, CheckSettings, VirtualServer};
use crate::ipvs::{DestId, Forwarding, ServiceId};
use crate::limits;
use crate::net::Family;

/// What `data_path` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Wish {
    /// Straight to the real server.
    Off,
    /// By the service's own address.
    Service,
    /// By this address.
    Address(IpAddr),
}

/// Reads `data_path [on|off|ADDRESS]`.
pub(in crate::config) fn wish(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
) -> Option<Wish> {
    let Some(word) = statement.arguments().next() else {
        return Some(Wish::Service);
    };
    if word.bytes.first().is_some_and(u8::is_ascii_alphabetic) && !word.bytes.contains(&b':') {
        let is_on = reader.flag(statement)?;
        return Some(if is_on { Wish::Service } else { Wish::Off });
    }
    let word = reader.value(statement)?;
    address(reader, word).map(Wish::Address)
}

/// Words of a check that lead it elsewhere, or from elsewhere.
const CROSSING: [&str; 4] = ["connect_ip", "bind_port", "bind_if", "fwmark"];

/// The way of a check by the virtual address, with the real server's address and port behind it; none for straight.
pub(super) fn settle(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    common: &Common,
    context: &Context<'_>,
    kind: &CheckKind,
) -> Option<(SocketAddr, Box<DataPath>)> {
    let crossing = CROSSING.into_iter().find(|word| !block.lacks(word));
    let (wish, at) = match common.path {
        Some(own) => own,
        // What the service says is for the checks that it fits.
        None if crossing.is_some() || !block.lacks("connect_port") || !can(kind) => return None,
        None => (context.path?, block.keyword().at),
    };
    if wish == Wish::Off {
        return None;
    }
    if let Some(word) = crossing {
        let message = format!("`{word}` can't hold beside `data_path`, which has one way alone");
        reader.sink.error(at, message);
        return None;
    }
    let dest = context.dest?;
    let Some((address, id)) = place(wish, context.ids, dest) else {
        return nowhere(reader, at, context.ids);
    };
    let forwarding = context.forwarding;
    let crosses = Family::of(address) != Family::of(dest.address);
    let is_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    if is_local || crosses && !matches!(forwarding, Forwarding::Tun(_)) {
        let message = format!("`data_path` can't go by {address} to {}", dest.address);
        reader.sink.error(at, message);
        return None;
    }
    let port = match id.port() {
        0 => common.port.filter(|port| *port != 0),
        port => {
            if !block.lacks("connect_port") {
                let message =
                    "`connect_port` can't hold beside `data_path`: the service has its port";
                reader.sink.error(at, message);
                return None;
            }
            Some(port)
        }
    };
    // Without a port there is an error already, or soon.
    let port = port?;
    let behind = match dest.within(&id, forwarding).port {
        0 => port,
        port => port,
    };
    let path = DataPath {
        address: SocketAddr::new(address, port),
        forwarding,
        only_where_held: context.fullnat,
    };
    Some((SocketAddr::new(dest.address, behind), Box::new(path)))
}

/// There is no address to connect to.
fn nowhere<T>(reader: &mut Reader<'_, '_>, at: Place, ids: &[ServiceId]) -> Option<T> {
    let (message, hint) = if ids.iter().all(|id| id.address().is_none()) {
        (
            "a firewall mark has no address to connect to",
            "`data_path ADDRESS` says one whose packets get the mark",
        )
    } else {
        (
            "the service has no such address",
            "without an address `data_path` takes the first one",
        )
    };
    reader.sink.error(at, message).hint(hint);
    None
}

/// Kinds that are connections: only of these does an answer by way of the director belong to the question.
const fn can(kind: &CheckKind) -> bool {
    matches!(
        kind,
        CheckKind::Tcp | CheckKind::Http { .. } | CheckKind::Smtp { .. }
    )
}

/// The address to connect to and its service: by default the first one of the real server's family, or the first one.
fn place(wish: Wish, ids: &[ServiceId], dest: DestId) -> Option<(IpAddr, ServiceId)> {
    let places = || ids.iter().filter_map(|id| Some((id.address()?, *id)));
    match wish {
        Wish::Off => None,
        Wish::Service => {
            let is_near = |(address, _): &(IpAddr, ServiceId)| {
                Family::of(*address) == Family::of(dest.address)
            };
            places().find(is_near).or_else(|| places().next())
        }
        Wish::Address(wanted) if places().next().is_none() => Some((wanted, *ids.first()?)),
        Wish::Address(wanted) => places().find(|(address, _)| *address == wanted),
    }
}

/// While a check goes by `data_path`, some firewall marks are the director's own.
pub(in crate::config) fn reserve(
    reader: &mut Reader<'_, '_>,
    services: &[Arc<VirtualServer>],
    places: &BTreeMap<ServiceId, Place>,
) {
    let mut all = services.iter().flat_map(|server| settings(server));
    if !all.any(|how| how.path.is_some()) {
        return;
    }
    let is_ours = |mark: u32| limits::PATH_MARKS.contains(&mark);
    for server in services {
        let by_mark = |id: ServiceId| matches!(id, ServiceId::Fwmark { mark, .. } if is_ours(mark));
        let from_mark =
            |how: &CheckSettings| how.bind.as_ref().is_some_and(|bind| is_ours(bind.mark));
        if server.ids().any(by_mark) || settings(server).any(from_mark) {
            let (first, last) = (limits::PATH_MARKS.start(), limits::PATH_MARKS.end());
            let message = format!(
                "firewall marks from {first} to {last} are the director's own while a check has \
                 `data_path`"
            );
            if let Some(at) = places.get(&server.id) {
                reader.sink.error(*at, message);
            }
        }
    }
}

/// What the checks of a service do.
fn settings(server: &VirtualServer) -> impl Iterator<Item = &CheckSettings> {
    let checks = server.real_servers.iter().flat_map(|real| &real.checks);
    checks.map(|check| &*check.how)
}
