//! What the kernel says unasked, and what its answers bring to light.

use super::Director;
use crate::event::{Event, LinkState};
use crate::kernel::{KernelEvent, Part};
use crate::net::Ifindex;
use crate::reconcile::Finding;
use crate::time::Duration;

impl Director {
    /// The kernel has changed; false when that changes nothing here.
    pub(super) fn handle_kernel(&mut self, event: KernelEvent) -> bool {
        let links = &self.reconciler.actual().links;
        let note = match &event {
            // A hint, which changes nothing that is known; a takeover brings one for each address.
            KernelEvent::Address(..) | KernelEvent::AddressGone(_) => {
                self.reconciler.handle_event(self.now, event);
                return false;
            }
            // Unseen, an interface may have gone and come again, and its memberships with it.
            KernelEvent::Overrun => {
                self.routers.forget_joined();
                Some(Event::Overrun)
            }
            KernelEvent::Link(link) if links.get(&link.ifindex) == Some(link) => None,
            KernelEvent::Link(link) => {
                let old = links.get(&link.ifindex).map(LinkState::of);
                let new = Some(LinkState::of(link));
                let lasted = self.link_turned(link.ifindex, old == new);
                let name = link.name.clone();
                Some(Event::Link {
                    name,
                    old,
                    new,
                    lasted,
                })
            }
            KernelEvent::LinkGone(ifindex) => links.get(ifindex).cloned().map(|link| {
                let lasted = self.link_turned(*ifindex, false);
                self.links_since.remove(ifindex);
                Event::Link {
                    old: Some(LinkState::of(&link)),
                    new: None,
                    name: link.name,
                    lasted,
                }
            }),
        };
        if let Some(note) = note {
            self.note(note);
        }
        self.reconciler.handle_event(self.now, event);
        self.follow_network();
        true
    }

    /// How long a link was as it was before, for all that the director knows. Unless it stays so that begins anew.
    fn link_turned(&mut self, ifindex: Ifindex, stays: bool) -> Duration {
        let since = self.links_since.get(&ifindex).copied();
        if !stays {
            self.links_since.insert(ifindex, self.now);
        }
        self.now.since(since.unwrap_or(self.started_at))
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
                self.services.begin_adopting(table);
                self.go_on_adopting();
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
