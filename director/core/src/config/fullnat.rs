//! `lb_kind FNAT` and `local_address`: FULLNAT, an extension.
//!
//! ```text
//! virtual_server 192.0.2.100 80 {
//!     lb_kind FNAT
//!     local_address {                    # or once in global_defs, for all services without their own
//!         10.0.0.100                     # ADDRESS[/PREFIX] [dev INTERFACE]
//!         10.0.0.101-103                 # several in a row
//!     }
//! ```
//!
//! A local address goes where the virtual address goes: it becomes one of the virtual router's that no advert carries,
//! on the router's interface unless `dev` says otherwise.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use super::addresses::lines;
use super::diagnostic::Place;
use super::forwarding::forwarding;
use super::global::required;
use super::group::{addresses, between};
use super::read::Reader;
use super::tree::{Statement, Word};
use super::{Node, Router, Tracked, Tracker, VirtualAddress, VirtualServer, Weight};
use crate::ipvs::{Forwarding, ServiceId};
use crate::limits;
use crate::net::{Cidr, Family, IfName};

/// One local address.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    cidr: Cidr,
    at: Place,
    device: Option<IfName>,
}

/// What a service says of FULLNAT.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    /// Where it asks for it.
    pub(super) at: Option<Place>,
    /// Its own local addresses.
    pub(super) entries: Option<Vec<Entry>>,
}

/// Reads a forwarding method of a dest, which must be its service's where one of the two is FULLNAT: the kernel's rule
/// of translation knows the service alone.
pub(super) fn method(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
    service: &Wish,
) -> Option<Forwarding> {
    if asks(statement) != service.at.is_some()
        && let Some(word) = statement.arguments().next()
    {
        let what = "FNAT holds for all dests of a service or for none: write it as its `lb_kind`";
        reader.wrong(word, what);
        return None;
    }
    forwarding(reader, statement)
}

/// Whether a statement names FULLNAT.
pub(super) fn asks(statement: Statement<'_>) -> bool {
    statement
        .arguments()
        .next()
        .is_some_and(|word| word.bytes == b"FNAT")
}

/// Reads a block of local addresses.
pub(super) fn entries(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in lines(reader, block) {
        let Some(cidrs) = cidrs(reader, line.keyword()) else {
            continue;
        };
        let mut device = None;
        let mut words = line.arguments();
        if let Some(word) = words.next() {
            if word.bytes != b"dev" {
                reader.wrong(word, "a local address has no option but `dev`");
                continue;
            }
            device = required(reader, word, words.next()).and_then(|name| reader.parse_word(name));
            reader.no_more(words);
        }
        for cidr in cidrs {
            if entries
                .iter()
                .any(|known| known.cidr.address == cidr.address)
            {
                let what = format!("`{}` stands here twice", cidr.address);
                reader.wrong(line.keyword(), what);
            }
            entries.push(Entry {
                cidr,
                at: line.keyword().at,
                device: device.clone(),
            });
        }
    }
    if entries.len() > limits::LOCALS_MAX {
        let message = format!("more than {} local addresses", limits::LOCALS_MAX);
        reader.sink.error(block.keyword().at, message);
    }
    entries
}

/// `ADDRESS[/PREFIX]`, or a range of addresses, each alone in its network.
fn cidrs(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<Vec<Cidr>> {
    let text = reader.utf8(word)?;
    let Some((from, to)) = text.split_once('-') else {
        return reader.parse_word(word).map(|cidr| vec![cidr]);
    };
    let found = between(from, to).map_err(|reason| reader.wrong(word, reason));
    let (from, to) = found.ok()?;
    let some = addresses(from, to).take(limits::LOCALS_MAX + 1);
    Some(some.map(Cidr::host).collect())
}

/// Where local addresses go, and what is where already.
pub(super) struct Places<'p> {
    routers: &'p mut [Router],
    /// The addresses of `global_defs`.
    common: &'p [Entry],
    /// Local addresses that belong to no virtual router.
    pub(super) fixed: Vec<VirtualAddress>,
    /// Which address is whose.
    owners: BTreeMap<IpAddr, Owner>,
}

/// To what an address belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner {
    /// A virtual router, by its index, as a virtual address.
    Virtual(usize),
    /// The same, as a local address; or to the node as one that stays.
    Local(Option<usize>),
    /// An interface of router.conf.
    Interface(IfName),
}

impl<'p> Places<'p> {
    pub(super) fn new(routers: &'p mut [Router], common: &'p [Entry], node: Option<&Node>) -> Self {
        let mut owners = BTreeMap::new();
        for interface in node.into_iter().flat_map(|node| &node.interfaces) {
            let owner = || Owner::Interface(interface.name.clone());
            owners.extend(
                interface
                    .addresses
                    .iter()
                    .map(|cidr| (cidr.address, owner())),
            );
        }
        for (index, router) in routers.iter().enumerate() {
            let addresses = router.virtual_addresses().map(|known| known.cidr.address);
            owners.extend(addresses.map(|address| (address, Owner::Virtual(index))));
        }
        Self {
            routers,
            common,
            fixed: Vec::new(),
            owners,
        }
    }

    /// Gives a FULLNAT service its local addresses, and these their place.
    pub(super) fn settle(
        &mut self,
        reader: &mut Reader<'_, '_>,
        server: &mut VirtualServer,
        wish: &Wish,
    ) {
        let Some(at) = wish.at else {
            if let Some(entry) = wish.entries.as_ref().and_then(|entries| entries.first()) {
                let message = "`local_address` has no effect without `lb_kind FNAT`";
                reader.sink.warning(entry.at, message);
            }
            return;
        };
        let by_port = |id: &ServiceId| id.port() != 0;
        if !server.ids().all(|id| by_port(&id)) {
            let message = "FNAT is for services with an address and a port";
            reader.sink.error(at, message);
            return;
        }
        let families: BTreeSet<Family> = server.ids().map(|id| id.family()).collect();
        let is_of = |entry: &&Entry| families.contains(&Family::of(entry.cidr.address));
        let (own, common) = (wish.entries.as_deref(), self.common);
        let (entries, others): (Vec<&Entry>, Vec<&Entry>) =
            own.unwrap_or(common).iter().partition(is_of);
        for entry in others.iter().filter(|_| own.is_some()) {
            let message = format!(
                "`{}` is not of the service's address family",
                entry.cidr.address
            );
            reader.sink.error(entry.at, message);
        }
        for family in &families {
            let mut locals = entries.iter().map(|entry| Family::of(entry.cidr.address));
            if !locals.any(|of| of == *family) {
                let message = format!("FNAT needs a `local_address` of {family}");
                let hint = "in the service, or in `global_defs` for all of them";
                reader.sink.error(at, message).hint(hint);
            }
        }
        let holder = self.holder(reader, server, at);
        let mut refused = None;
        for entry in &entries {
            // What stands in `global_defs` is wrong for this service only. A range is refused once.
            let place = own.map_or(at, |_| entry.at);
            if refused != Some(place)
                && let Err(why) = self.place(entry, holder)
            {
                let message = format!("the local address `{}` {why}", entry.cidr.address);
                reader.sink.error(place, message);
                refused = Some(place);
            }
        }
        server.locals = entries.iter().map(|entry| entry.cidr.address).collect();
        server.locals.sort_unstable();
    }

    /// The virtual router that holds a service's addresses; none when they are not virtual.
    fn holder(
        &self,
        reader: &mut Reader<'_, '_>,
        server: &VirtualServer,
        at: Place,
    ) -> Option<usize> {
        let of = |id: ServiceId| match id {
            ServiceId::Address { address, .. } => match self.owners.get(&address) {
                Some(Owner::Virtual(index)) => Some(*index),
                _ => None,
            },
            ServiceId::Fwmark { .. } => None,
        };
        let holders: BTreeSet<Option<usize>> = server.ids().map(of).collect();
        if holders.len() > 1 {
            let message =
                "the addresses of a service by FNAT must belong to one virtual router, or to none";
            reader.sink.error(at, message);
        }
        holders.into_iter().next().flatten()
    }

    /// Puts a local address where the service's address is, or says why it can't be there.
    fn place(&mut self, entry: &Entry, holder: Option<usize>) -> Result<(), String> {
        let address = entry.cidr.address;
        match self.owners.get(&address) {
            None => {}
            Some(Owner::Local(other)) if *other == holder => return Ok(()),
            Some(Owner::Local(_)) => {
                return Err("floats with another virtual router already".to_owned());
            }
            Some(Owner::Virtual(index)) => {
                let router = self.routers.get(*index);
                let name = router.map_or("", |router| router.name.as_str());
                return Err(format!("is a virtual address of `{name}`"));
            }
            Some(Owner::Interface(name)) => {
                return Err(format!("is the node's own on `{name}`"));
            }
        }
        let router = holder.and_then(|index| self.routers.get_mut(index));
        let router_interface = router.as_ref().map(|router| router.interface.clone());
        let interface = entry.device.clone().or(router_interface);
        let interface = interface.ok_or_else(|| {
            "needs `dev`: the service's address is no virtual router's".to_owned()
        })?;
        let local = VirtualAddress {
            cidr: entry.cidr,
            interface,
            options: None,
        };
        self.owners.insert(address, Owner::Local(holder));
        let Some(router) = router else {
            self.fixed.push(local);
            return Ok(());
        };
        // Without the interface of its local addresses a router would serve nobody.
        let name = &local.interface;
        let of = Tracked::Interface(name.clone());
        let mut trackers = router.trackers.iter();
        let is_followed = router.interface == *name || trackers.any(|had| had.of == of);
        if !is_followed && !router.ignore_link {
            let weight = Weight::default();
            router.trackers.push(Tracker { of, weight });
        }
        router.locals.push(address);
        router.excluded.push(local);
        Ok(())
    }
}
