//! What of a service follows the addresses of the node, and the other way round: `ha_suspend`, `quorum_up`.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use super::seats::Seat;
use super::services::{Services, State};
use crate::check::Checks;
use crate::config::{Config, VirtualAddress, VirtualServer};
use crate::kernel::AddressId;
use crate::time::Instant;

impl Services {
    /// Notes which services have something that most do not.
    pub(super) fn index(&mut self, now: Instant, config: &Config) {
        self.on_quorum.clear();
        self.suspending.clear();
        let states = self.states.iter_mut().zip(0..);
        for (server, (state, index)) in config.services.iter().zip(states) {
            if server.quorum_address.is_some() {
                self.on_quorum.push(index);
            }
            if config.may_rest(server) {
                self.suspending.push(index);
            } else if state.suspended.take() == Some(true) {
                // The service is the same as before; but before nobody tracked it.
                suspend(&mut self.checks, now, (server, state), false);
            }
        }
    }

    /// Addresses that follow a quorum, and whether all their services have it.
    pub(super) fn quorum_addresses(&self) -> BTreeMap<&VirtualAddress, bool> {
        let mut addresses = BTreeMap::new();
        for index in &self.on_quorum {
            if let (Some(server), Some(state)) = (self.servers.get(*index), self.states.get(*index))
                && let Some(address) = server.quorum_address.as_deref()
            {
                *addresses.entry(address).or_insert(true) &= state.quorum.held();
            }
        }
        addresses
    }

    /// Whether an address follows a quorum.
    pub(super) fn is_on_quorum(&self, address: IpAddr) -> bool {
        let servers = self
            .on_quorum
            .iter()
            .filter_map(|index| self.servers.get(*index));
        let mut all = servers.filter_map(|server| server.quorum_address.as_deref());
        all.any(|known| known.cidr.address == address)
    }

    /// Lets the checks of services with `ha_suspend` run while the node has one of the service's addresses, and only
    /// then.
    pub(super) fn follow_addresses(&mut self, now: Instant, addresses: &BTreeMap<AddressId, bool>) {
        if self.suspending.is_empty() {
            return;
        }
        let here: BTreeSet<IpAddr> = addresses.keys().map(|id| id.cidr.address).collect();
        for index in &self.suspending {
            let (Some(server), Some(state)) =
                (self.servers.get(*index), self.states.get_mut(*index))
            else {
                continue;
            };
            let mut own = server.ids().filter_map(|id| id.address());
            let suspended = !own.any(|address| here.contains(&address));
            if state.suspended.replace(suspended) != Some(suspended) {
                suspend(&mut self.checks, now, (server, state), suspended);
            }
        }
    }
}

/// Lets the checks of a service rest, or go on.
pub(super) fn suspend(
    checks: &mut Checks<Seat>,
    now: Instant,
    (server, state): (&VirtualServer, &State),
    suspended: bool,
) {
    for seat in state.all_seats(server) {
        checks.suspend(now, &seat, suspended);
    }
}
