//! A service with its pool, as it is wished for and as the kernel has it: both say the same most of the time, and then
//! share the memory of the dests.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Dest, DestId, Service, ServiceId};

/// A table of services. One that is wished for and one that is believed of the kernel share the pools that are the
/// same in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(pub BTreeMap<ServiceId, Arc<Pool>>);

impl Table {
    /// Keeps one pool for a service in both tables, if it is the same in both.
    pub fn share(&mut self, id: &ServiceId, other: &Self) {
        if let (Some(own), Some(others)) = (self.0.get_mut(id), other.0.get(id))
            && own == others
        {
            *own = Arc::clone(others);
        }
    }
}

/// One service with its pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The service.
    pub service: Service,
    /// Its dests.
    pub dests: Dests,
}

impl Pool {
    /// A service with these dests.
    #[must_use]
    pub fn new(service: Service, dests: Dests) -> Arc<Self> {
        Arc::new(Self { service, dests })
    }
}

/// The dests of a pool, in the order of their identity.
#[derive(Clone, Debug, Default)]
pub struct Dests {
    /// They take no more room than their size; none while there are some in `changing`.
    whole: Box<[(DestId, Dest)]>,
    /// While they come and go one by one, which costs each of them the same, however many there are.
    changing: BTreeMap<DestId, Dest>,
}

impl Dests {
    /// The dest of this identity.
    #[must_use]
    pub fn get(&self, id: &DestId) -> Option<&Dest> {
        let place = self.whole.binary_search_by_key(id, |(id, _)| *id).ok();
        let whole = place.and_then(|place| self.whole.get(place));
        whole.map_or_else(|| self.changing.get(id), |(_, to)| Some(to))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&DestId, &Dest)> {
        let whole = self.whole.iter().map(|(id, to)| (id, to));
        whole.chain(&self.changing)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.whole.len() + self.changing.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A dest comes, or is other than before.
    pub fn set(&mut self, id: DestId, to: Dest) {
        let place = self.whole.binary_search_by_key(&id, |(id, _)| *id).ok();
        match place.and_then(|place| self.whole.get_mut(place)) {
            Some((_, had)) => *had = to,
            None => drop(self.changing().insert(id, to)),
        }
    }

    /// A dest goes; whether it was there.
    pub fn remove(&mut self, id: &DestId) -> bool {
        self.changing().remove(id).is_some()
    }

    fn changing(&mut self) -> &mut BTreeMap<DestId, Dest> {
        if !self.whole.is_empty() {
            self.changing = core::mem::take(&mut self.whole).into_iter().collect();
        }
        &mut self.changing
    }
}

impl PartialEq for Dests {
    fn eq(&self, others: &Self) -> bool {
        self.len() == others.len() && self.iter().eq(others.iter())
    }
}

impl Eq for Dests {}

/// Of two with one identity the later counts.
impl FromIterator<(DestId, Dest)> for Dests {
    fn from_iter<I: IntoIterator<Item = (DestId, Dest)>>(dests: I) -> Self {
        let mut whole: Vec<_> = dests.into_iter().collect();
        whole.sort_by_key(|(id, _)| *id);
        whole.dedup_by(|later, had| {
            let is_one = later.0 == had.0;
            if is_one {
                had.1 = later.1;
            }
            is_one
        });
        Self {
            whole: whole.into(),
            changing: BTreeMap::new(),
        }
    }
}

/// The counters of a table's dests, apart from it. Dests of which nothing was counted, as all of a Backup node, take
/// no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies(BTreeMap<ServiceId, Vec<(DestId, Counters)>>);

impl Tallies {
    /// What was counted of a dest.
    #[must_use]
    pub fn get(&self, service: &ServiceId, dest: &DestId) -> &Counters {
        let found = self.0.get(service).and_then(|all| {
            let place = all.binary_search_by_key(dest, |(id, _)| *id).ok()?;
            all.get(place)
        });
        found.map_or(&NOTHING, |(_, counters)| counters)
    }

    /// So much was counted of a dest. One of which nothing is counted any more keeps its room until the next reading.
    pub fn set(&mut self, service: ServiceId, dest: DestId, counters: Counters) {
        if counters == NOTHING && !self.0.contains_key(&service) {
            return;
        }
        let all = self.0.entry(service).or_default();
        match all.binary_search_by_key(&dest, |(id, _)| *id) {
            Ok(place) => all[place].1 = counters,
            Err(_) if counters == NOTHING => {}
            Err(place) => all.insert(place, (dest, counters)),
        }
    }

    /// Takes what was read of the dests of a service.
    pub fn read<'a>(
        &mut self,
        service: ServiceId,
        dests: impl Iterator<Item = (&'a DestId, &'a ActualDest)>,
    ) {
        let counted = dests.filter(|(_, had)| had.counters != NOTHING);
        let counted = counted.map(|(id, had)| (*id, had.counters));
        let mut counted: Vec<_> = counted.collect();
        counted.sort_by_key(|(id, _)| *id);
        counted.shrink_to_fit();
        self.put(service, counted);
    }

    /// Takes the counters of a service out of another reading.
    pub fn take(&mut self, service: ServiceId, from: &mut Self) {
        let counted = from.0.remove(&service).unwrap_or_default();
        self.put(service, counted);
    }

    /// Forgets a service.
    pub fn forget(&mut self, service: ServiceId) {
        self.0.remove(&service);
    }

    fn put(&mut self, service: ServiceId, counted: Vec<(DestId, Counters)>) {
        if counted.is_empty() {
            self.0.remove(&service);
        } else {
            self.0.insert(service, counted);
        }
    }
}

/// A dest as the kernel reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActualDest {
    /// What can be set.
    pub dest: Dest,
    /// What the kernel counts.
    pub counters: Counters,
}

static NOTHING: Counters = Counters {
    active: 0,
    inactive: 0,
    persistent: 0,
    connections: 0,
    packets_in: 0,
    packets_out: 0,
    bytes_in: 0,
    bytes_out: 0,
};

/// What the kernel counts for a dest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections in state established.
    pub active: u32,
    /// All other connection entries.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    /// Connections scheduled since the dest was added.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients (0 in DR and TUN: they bypass the director).
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients (0 in DR and TUN).
    pub bytes_out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::Forwarding;
    use crate::net::Family;

    const fn id(port: u16) -> DestId {
        let address = core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST);
        DestId { address, port }
    }

    const fn to(weight: u32) -> Dest {
        Dest {
            forwarding: Forwarding::Dr,
            weight,
            upper: 0,
            lower: 0,
        }
    }

    #[test]
    fn dests_come_change_and_go_as_in_a_map() {
        let whole = |all: &[(u16, u32)]| -> Dests {
            let all = all.iter().map(|(port, weight)| (id(*port), to(*weight)));
            all.collect()
        };
        let mut dests = whole(&[(3, 1), (1, 1), (3, 2), (2, 1)]);
        assert_eq!(dests, whole(&[(1, 1), (2, 1), (3, 2)]), "the later counts");
        assert_eq!(dests.len(), 3);
        dests.set(id(2), to(5));
        assert_eq!(dests, whole(&[(1, 1), (2, 5), (3, 2)]));
        dests.set(id(4), to(4));
        assert!(dests.remove(&id(1)));
        assert!(!dests.remove(&id(1)));
        dests.set(id(3), to(3));
        assert_eq!(dests, whole(&[(2, 5), (3, 3), (4, 4)]));
        assert_eq!((dests.get(&id(1)), dests.get(&id(4))), (None, Some(&to(4))));
        let ports: Vec<u16> = dests.iter().map(|(id, _)| id.port).collect();
        assert_eq!(ports, [2, 3, 4]);
        for port in ports {
            assert!(dests.remove(&id(port)));
        }
        assert!(dests.is_empty());
        assert_eq!(dests, Dests::default());
    }

    #[test]
    fn only_what_was_counted_takes_room() {
        let service = |mark| ServiceId::Fwmark {
            mark,
            family: Family::V4,
        };
        let counted = Counters {
            active: 3,
            ..NOTHING
        };
        let had = |counters: Counters| ActualDest {
            dest: to(1),
            counters,
        };
        let read = [(id(2), had(counted)), (id(1), had(NOTHING))];
        let mut tallies = Tallies::default();
        tallies.read(service(1), read.iter().map(|(id, had)| (id, had)));
        tallies.read(service(2), read[1..].iter().map(|(id, had)| (id, had)));
        assert_eq!(tallies.0.len(), 1);
        assert_eq!(tallies.0[&service(1)], [(id(2), counted)]);
        assert_eq!(tallies.get(&service(1), &id(2)), &counted);
        assert_eq!(tallies.get(&service(1), &id(1)), &NOTHING);
        let mut later = Tallies::default();
        later.set(service(2), id(1), counted);
        tallies.take(service(1), &mut later);
        tallies.take(service(2), &mut later);
        assert_eq!(tallies.0.len(), 1);
        tallies.set(service(2), id(1), NOTHING);
        assert_eq!(tallies.get(&service(2), &id(1)), &NOTHING);
    }
}
