//! One reading of links, addresses, routes and rules, a dump at a time.

use core::net::IpAddr;

use director_core::kernel::{Route, Rule, Snapshot};
use director_core::net::Family;

use super::link_message::FoundLink;
use super::route_message::FoundAddress;

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct NetworkReader {
    pub(super) links: Vec<FoundLink>,
    pub(super) addresses: Vec<FoundAddress>,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
    /// How many dumps have been read.
    done: usize,
}

/// One table of the kernel's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dump {
    Links,
    Addresses,
    /// Of the family of this address.
    Routes(IpAddr),
    Rules(Family),
}

/// In the order in which they are read.
const DUMPS: [Dump; 6] = [
    Dump::Links,
    Dump::Addresses,
    Dump::Routes(IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED)),
    Dump::Routes(IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED)),
    Dump::Rules(Family::V4),
    Dump::Rules(Family::V6),
];

impl NetworkReader {
    /// What is to be read next; none at the end.
    pub(super) fn next(&self) -> Option<Dump> {
        DUMPS.get(self.done).copied()
    }

    /// That has been read; true when it was the last.
    pub(super) const fn end_dump(&mut self) -> bool {
        self.done += 1;
        self.done >= DUMPS.len()
    }

    /// All as it was read.
    pub(super) fn finish(self) -> Snapshot {
        let addresses = self.addresses.into_iter();
        Snapshot::Network {
            links: self.links.into_iter().map(|found| found.link).collect(),
            addresses: addresses.map(|found| (found.id, found.ours)).collect(),
            routes: self.routes,
            rules: self.rules,
        }
    }
}
