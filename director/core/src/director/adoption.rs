//! After a restart the kernel's table tells which real servers were in when the director died: nobody who was taken
//! out comes back, and nobody who had proved itself is taken out, before its first check.
//!
//! The services are looked at one by one, as many in a turn as make a slice. No operation on the table leaves before
//! all have been looked at, and all pools that follow from it are planned.

use super::Director;
use super::services::Services;
use crate::check::Health;
use crate::ipvs::Table;
use crate::kernel::Part;
use crate::limits;
use crate::time::Instant;

impl Services {
    /// Begins to believe the first reading of the table.
    pub(super) fn begin_adopting(&mut self, table: &Table) {
        let turned = self.paths.adopt(table);
        self.turned.extend(turned);
        self.adopting = Some(0);
    }

    /// Whether the table is not believed yet.
    pub(super) const fn is_adopting(&self) -> bool {
        self.adopting.is_some()
    }

    /// Looks at the next services.
    pub(super) fn adopt(&mut self, now: Instant, table: &Table) {
        let Some(mut index) = self.adopting else {
            return;
        };
        let mut left = limits::PLANS_PER_SLICE;
        while left > 0 && index < self.servers.len() {
            left = left.saturating_sub(1 + self.adopt_one(now, index, table));
            index += 1;
        }
        self.adopting = Some(index);
    }

    /// Ends it, when all have been looked at and all is planned that follows.
    pub(super) fn end_adopting(&mut self) {
        let is_over = |index: &usize| *index >= self.servers.len() && self.turned.is_empty();
        self.adopting = self.adopting.filter(|index| !is_over(index));
    }

    /// How many real servers the service has.
    fn adopt_one(&mut self, now: Instant, index: usize, table: &Table) -> usize {
        let Some(server) = self.servers.get(index).cloned() else {
            return 0;
        };
        let Some(pool) = table.0.get(&server.id) else {
            return 0;
        };
        let mut is_other = false;
        for (place, real) in server.real_servers.iter().enumerate() {
            let stands = self
                .states
                .get(index)
                .and_then(|state| state.reals.get(place));
            // A configured weight of 0 tells nothing, nor does an operator's.
            let tells =
                real.dest.weight > 0 && stands.is_some_and(|stands| stands.word().is_none());
            if !tells || real.checks.is_empty() {
                continue;
            }
            let id = real.id.within(&server.id, real.dest.forwarding);
            let served = pool.dests.get(&id).is_some_and(|had| had.weight > 0);
            let health = if served { Health::Up } else { Health::Down };
            let state = self.states.get(index);
            let seats = state.map(|state| state.seats(&server, place));
            let mut turned = false;
            for seat in seats.into_iter().flatten() {
                turned |= self.checks.assume(now, &seat, health);
            }
            if turned {
                self.restand(now, index, place);
                is_other = true;
            }
        }
        // Once for all of them: each time all are looked at.
        if is_other {
            self.rejudge(now, index);
        }
        server.real_servers.len()
    }
}

impl Director {
    /// Goes on with believing the first reading of the table.
    pub(super) fn go_on_adopting(&mut self) {
        if self.services.is_adopting() {
            let table = &self.reconciler.actual().table;
            self.services.adopt(self.now, table);
            self.dirty = true;
        }
    }

    /// Whether operations on a part have to wait.
    pub(super) fn is_held(&self, part: Part) -> bool {
        part == Part::Ipvs && self.services.is_adopting()
    }
}
