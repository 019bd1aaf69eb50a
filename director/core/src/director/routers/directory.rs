//! Which virtual routers an advert or an address is for, found without a look at all of them.

use super::Slot;
use crate::kernel::AddressId;
use crate::net::{Family, Ifindex};

/// Where an advert belongs: its interface, address family and VRID.
pub(super) type Home = (Ifindex, Family, u8);

/// The places of routers, by what concerns them.
#[derive(Debug, Default)]
pub(super) struct Directory {
    homes: Sorted<Home>,
    addresses: Sorted<AddressId>,
}

impl Directory {
    pub(super) fn of(slots: &[Slot]) -> Self {
        let all = || slots.iter().enumerate();
        let homes = all().filter_map(|(index, slot)| Some((slot.home()?, index)));
        let addresses = all().flat_map(|(index, slot)| slot.addresses().map(move |id| (id, index)));
        Self {
            homes: Sorted::of(homes),
            addresses: Sorted::of(addresses),
        }
    }

    /// Those that hear its adverts: one, and beside it one that a reload gave up.
    pub(super) fn at(&self, home: Home) -> impl Iterator<Item = usize> {
        self.homes.of_key(home)
    }

    /// Those that have this virtual address.
    pub(super) fn with(&self, address: AddressId) -> impl Iterator<Item = usize> {
        self.addresses.of_key(address)
    }
}

/// Places by their keys, of which several may be the same.
#[derive(Debug)]
struct Sorted<K>(Vec<(K, usize)>);

impl<K> Default for Sorted<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Copy> Sorted<K> {
    fn of(entries: impl Iterator<Item = (K, usize)>) -> Self {
        let mut entries: Vec<_> = entries.collect();
        entries.sort_unstable();
        entries.dedup();
        Self(entries)
    }

    fn of_key(&self, key: K) -> impl Iterator<Item = usize> {
        let first = self.0.partition_point(|(other, _)| *other < key);
        let rest = self.0.iter().skip(first);
        rest.take_while(move |(other, _)| *other == key)
            .map(|(_, index)| *index)
    }
}
