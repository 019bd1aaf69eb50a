//! Which services of the IPVS table are to be compared: a change of one costs the comparison of one, however many
//! there are.

use std::collections::BTreeSet;

use crate::ipvs::ServiceId;

/// The services whose desired and actual state may differ.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    /// They come or change.
    changed: BTreeSet<ServiceId>,
    /// They go, after all others have come.
    leaving: BTreeSet<ServiceId>,
    /// A refused operation on them waits for another try.
    delayed: BTreeSet<ServiceId>,
    /// What belongs to no service, last of all.
    pub(super) rest: bool,
}

impl Work {
    /// Notes that a service is to be compared.
    pub(super) fn mark(&mut self, id: ServiceId, is_wanted: bool) {
        let (into, from) = if is_wanted {
            (&mut self.changed, &mut self.leaving)
        } else {
            (&mut self.leaving, &mut self.changed)
        };
        into.insert(id);
        from.remove(&id);
        self.delayed.remove(&id);
    }

    /// Notes that everything is to be compared: the services that are wanted, and those that there are besides.
    pub(super) fn mark_all<'a>(
        &mut self,
        wanted: impl Iterator<Item = &'a ServiceId>,
        stale: impl Iterator<Item = &'a ServiceId>,
    ) {
        self.changed = wanted.copied().collect();
        self.leaving = stale.copied().collect();
        self.rest = true;
    }

    /// Notes that a service waits for the end of a pause.
    pub(super) fn delay(&mut self, id: ServiceId) {
        self.delayed.insert(id);
    }

    /// The next service to compare.
    pub(super) fn next(&mut self) -> Option<ServiceId> {
        self.changed
            .pop_first()
            .or_else(|| self.leaving.pop_first())
    }

    /// Whether something can be compared now.
    pub(super) fn is_due(&self) -> bool {
        self.rest || !self.changed.is_empty() || !self.leaving.is_empty()
    }

    /// Whether nothing is left, not even what waits.
    pub(super) fn is_empty(&self) -> bool {
        !self.is_due() && self.delayed.is_empty()
    }

    /// All services that may differ.
    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceId> {
        self.changed
            .iter()
            .chain(&self.leaving)
            .chain(&self.delayed)
    }
}
