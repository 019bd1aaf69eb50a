//! Which check is whose, by small numbers: a node may have two hundred thousand checks, and each knows whom it serves.

use std::collections::BTreeMap;

use super::services::{Had, Services, State};
use crate::config::{RealServer, VirtualServer};
use crate::event::CheckKey;

/// Whose a check is: a service and one of its real servers, by their numbers, and which of its checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Seat {
    service: u32,
    real: u32,
    ordinal: u16,
}

/// The numbers of a service and of its real servers, which stay while the configuration has them.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub(super) service: u32,
    /// In the order of the configuration; and where each stood before.
    pub(super) reals: Vec<(u32, Option<usize>)>,
}

impl Numbers {
    /// The numbers that a service had, and new ones for what is new. `next` is the next of a service.
    pub(super) fn new(server: &VirtualServer, had: Option<&Had>, next: &mut u32) -> Self {
        let service = had.map(|(_, state)| state.number);
        let service = service.unwrap_or_else(|| core::mem::replace(next, next.wrapping_add(1)));
        let had = had.map(|(had, state)| (&had.real_servers, &state.reals));
        let had = had
            .into_iter()
            .flat_map(|(had, reals)| had.iter().zip(reals));
        let had: BTreeMap<_, _> = had
            .zip(0..)
            .map(|((had, real), place)| (had.id, (real.number, place)))
            .collect();
        let most = had.values().map(|(number, _)| *number).max();
        let mut fresh = most.map_or(0, |most| most.wrapping_add(1))..;
        let number = |real: &RealServer| match had.get(&real.id) {
            Some((number, place)) => (*number, Some(*place)),
            None => (fresh.next().unwrap_or(u32::MAX), None),
        };
        let reals = server.real_servers.iter().map(number).collect();
        Self { service, reals }
    }
}

/// The checks of a real server.
pub(super) fn seats(
    service: u32,
    number: u32,
    real: &RealServer,
) -> impl Iterator<Item = Seat> + use<> {
    // A real server has far fewer checks than fit the number; the configuration holds the bound.
    let ordinals = (0..=u16::MAX).take(real.checks.len());
    ordinals.map(move |ordinal| Seat {
        service,
        real: number,
        ordinal,
    })
}

impl State {
    /// The checks of the real server at a place.
    pub(super) fn seats(
        &self,
        server: &VirtualServer,
        place: usize,
    ) -> impl Iterator<Item = Seat> + use<> {
        let found = server.real_servers.get(place).zip(self.reals.get(place));
        let own = found.map(|(real, standing)| seats(self.number, standing.number, real));
        own.into_iter().flatten()
    }

    /// All checks of the service.
    pub(super) fn all_seats<'s>(
        &'s self,
        server: &'s VirtualServer,
    ) -> impl Iterator<Item = Seat> + 's {
        (0..self.reals.len()).flat_map(move |place| self.seats(server, place))
    }
}

impl Services {
    /// Where the service and the real server of a check stand.
    pub(super) fn find_seat(&self, seat: &Seat) -> Option<(usize, usize)> {
        let index = *self.numbers.get(&seat.service)?;
        let mut reals = self.states.get(index)?.reals.iter();
        let place = reals.position(|real| real.number == seat.real)?;
        Some((index, place))
    }

    /// Whose a check is, in the words of the configuration.
    pub(super) fn key(&self, seat: &Seat) -> Option<CheckKey> {
        let (index, place) = self.find_seat(seat)?;
        let server = self.servers.get(index)?;
        Some(CheckKey {
            service: server.id,
            dest: server.real_servers.get(place)?.id,
            ordinal: seat.ordinal,
        })
    }
}
