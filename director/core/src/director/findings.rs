//! What the kernel says unasked, and what its answers bring to light.

use super::Director;
use crate::event::Event;
use crate::kernel::{KernelEvent, Part};
use crate::reconcile::Finding;

impl Director {
    pub(super) fn handle_kernel(&mut self, event: KernelEvent) {
        let links = &self.reconciler.actual().links;
        let note = match &event {
            // A hint, which changes nothing that is known.
            KernelEvent::Address(..) | KernelEvent::AddressGone(_) => {
                return self.reconciler.handle_event(self.now, event);
            }
            // Unseen, an interface may have gone and come again, and its memberships with it.
            KernelEvent::Overrun => {
                self.routers.forget_joined();
                Some(Event::Overrun)
            }
            KernelEvent::Link(link) if links.get(&link.ifindex) == Some(link) => None,
            KernelEvent::Link(link) => Some(Event::Link {
                name: link.name.clone(),
                up: link.up,
                carrier: link.carrier,
            }),
            KernelEvent::LinkGone(ifindex) => links.get(ifindex).map(|link| Event::LinkGone {
                name: link.name.clone(),
            }),
        };
        if let Some(note) = note {
            self.note(note);
        }
        self.reconciler.handle_event(self.now, event);
        self.follow_network();
    }

    /// A part of the kernel's state may have been read whole.
    pub(super) fn follow_reading(&mut self, finding: Option<Finding>) {
        if let Some(finding) = finding {
            self.note_finding(finding);
        }
        match self.reconciler.take_read() {
            Some((Part::Network, first)) => {
                self.follow_network();
                if first {
                    self.routers.adopt(self.now, self.reconciler.actual());
                }
            }
            Some((Part::Ipvs, true)) => {
                let table = &self.reconciler.actual().table;
                self.services.adopt(self.now, table);
                self.dirty = true;
            }
            Some((Part::Ipvs, false)) => self.advance_drains(true),
            Some((Part::Filter, _)) | None => {}
        }
    }

    pub(super) fn note_finding(&mut self, finding: Finding) {
        let event = match finding {
            Finding::Refused(op, error) => {
                self.last_failure = format!("{op}: {error}");
                Event::Refused { op, error }
            }
            Finding::ForeignEdit(count) => Event::ForeignEdit {
                operations: u32::try_from(count).unwrap_or(u32::MAX),
            },
        };
        self.note(event);
    }
}
