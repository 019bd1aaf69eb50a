//! The connections that come with the local addresses of a virtual router: tracked anew at a takeover.

use super::Director;
use crate::event::Event;
use crate::tracking::Recovery;

/// Takeovers of connections by FULLNAT.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recoveries {
    /// Connections came that are not tracked yet.
    due: bool,
    /// What came of all takeovers together.
    pub(super) sum: Recovery,
}

impl Recoveries {
    /// Whether there is one to be begun, which is true once.
    pub(super) const fn take_due(&mut self) -> bool {
        core::mem::replace(&mut self.due, false)
    }
}

impl Director {
    /// A virtual router that becomes Active takes over the connections of its local addresses.
    pub(super) fn follow_takeover(&mut self, event: &Event) {
        let Event::Vrrp { router, event } = event else {
            return;
        };
        let mut routers = self.config.routers.iter();
        self.recoveries.due |=
            event.is_takeover() && routers.any(|of| !of.locals.is_empty() && of.name == *router);
    }

    pub(super) fn handle_recovered(&mut self, recovery: Recovery) {
        self.recoveries.sum.add(recovery);
        self.note(Event::Recovered(recovery));
    }
}
