//! One virtual router with its place on the network.

use core::net::IpAddr;

use super::directory::Home;
use crate::config::{self, VirtualAddress};
use crate::director::pacing::Announcement;
use crate::director::{AdvertBytes, Output};
use crate::event::Event;
use crate::kernel::{Actual, AddressId};
use crate::net::{Ifindex, Mac};
use crate::plan::Finder;
use crate::time::Instant;
use crate::vrrp::{self, Transmit};

/// One virtual router with its place on the network.
#[derive(Debug)]
pub(in crate::director) struct Slot {
    pub(in crate::director) config: config::Router,
    pub(in crate::director) machine: vrrp::Router,
    /// The interface, once it is known.
    pub(super) place: Option<Ifindex>,
    /// The interface is up and has its carrier.
    pub(super) linked: bool,
    pub(super) carriers: Vec<Carrier>,
    /// Given up by a reload: it hands over and goes.
    pub(super) retired: bool,
    pub(in crate::director) takeovers: u64,
}

/// A virtual address on its interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carrier {
    id: AddressId,
    mac: Mac,
}

impl Slot {
    /// Where its adverts come in, once its interface is known.
    pub(super) fn home(&self) -> Option<Home> {
        Some((self.place?, self.config.family(), self.config.vrid))
    }

    /// Its virtual addresses, where their interfaces are there.
    pub(super) fn addresses(&self) -> impl Iterator<Item = AddressId> {
        self.carriers.iter().map(|carrier| carrier.id)
    }

    pub(super) fn poll_event(&mut self, now: Instant, actual: &Actual) -> Option<Event> {
        let event = self.machine.poll_event()?;
        if event.is_takeover() {
            self.takeovers += 1;
            // They may be there already: from before a restart, or because the kernel did not remove them.
            self.follow_addresses(now, actual);
        }
        Some(Event::Vrrp {
            router: self.config.name.clone(),
            event,
        })
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Output> {
        let ifindex = self.place?;
        Some(match self.machine.poll_transmit()? {
            Transmit::Announce { address } => {
                let announced = |carrier: &&Carrier| carrier.id.cidr.address == address;
                let carrier = self.carriers.iter().find(announced)?;
                Output::Announce {
                    ifindex: carrier.id.ifindex,
                    mac: carrier.mac,
                    address,
                }
            }
            Transmit::Advert {
                source,
                destination,
                ttl,
                payload,
            } => Output::Advert {
                ifindex,
                source,
                destination,
                ttl,
                mac: self.config.advert_mac,
                // The machine's adverts fit: both bounds are ADVERT_BYTES_MAX.
                payload: AdvertBytes::from_slice(payload).unwrap_or_default(),
            },
        })
    }

    /// Whether it may still say this: it serves the address, and is not about to give it up.
    pub(super) fn announces(&self, one: &Announcement) -> bool {
        let is_it =
            |carrier: &Carrier| carrier.id.cidr.address == one.address && carrier.mac == one.mac;
        self.machine.may_announce() && self.carriers.iter().any(is_it)
    }

    /// Whether the kernel has all its addresses, put there by a director.
    pub(super) fn holds(&self, actual: &Actual) -> bool {
        let all = self.config.virtual_addresses().count();
        let mut held = self
            .carriers
            .iter()
            .map(|carrier| actual.addresses.get(&carrier.id));
        all > 0 && self.carriers.len() == all && held.all(|ours| ours == Some(&true))
    }

    pub(super) fn follow_addresses(&mut self, now: Instant, actual: &Actual) {
        let present = |address: IpAddr| {
            let mut same = self.carriers.iter().map(|carrier| &carrier.id);
            same.any(|id| id.cidr.address == address && actual.addresses.contains_key(id))
        };
        self.machine.addresses_present(now, present);
    }
}

/// Where the virtual addresses belong, of those whose interface is there.
pub(super) fn carriers<'a>(finder: &mut Finder<'a>, router: &'a config::Router) -> Vec<Carrier> {
    let carrier = |address: &'a VirtualAddress| {
        let (id, link) = finder.carrier(router, address)?;
        let mac = link.mac;
        Some(Carrier { id, mac })
    };
    router.virtual_addresses().filter_map(carrier).collect()
}
