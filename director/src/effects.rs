//! What the core wants done, done.

use core::net::IpAddr;

use director_core::director::{Input, OpId, Output, Part};
use director_core::kernel::Op;
use director_core::net::{Family, Ifindex};

use crate::kernel::ipvs::BATCH_MAX;
use crate::limits;
use crate::process::Work;
use crate::run::Shell;
use crate::sock::vrrp::Header;
use crate::token::Key;

impl Shell {
    /// Gives the core one input, and does all that it then wants.
    pub(crate) fn feed(&mut self, input: Input<'_>) {
        self.take(input);
        self.drain();
    }

    /// Gives the core one input of several.
    pub(crate) fn take(&mut self, input: Input<'_>) {
        if let Some(work) = work(&input) {
            self.process.note(work);
        }
        self.core.handle(self.now, input);
    }

    /// Does what the core wants until it wants nothing more or this turn is late. The core hands out a bounded slice of
    /// operations for one input, but at the end, say, an advert of each virtual router.
    pub(crate) fn drain(&mut self) {
        self.pace.owes = !self.drain_outputs();
        let number = self.core.saved_number();
        if self.saved.number != number {
            self.saved.number = number;
            self.saved.store(&self.core.saved());
        }
    }

    /// False when there may be more to do. Operations on one part of the kernel that come in a row go there in one
    /// batch.
    fn drain_outputs(&mut self) -> bool {
        for handed in 1_usize.. {
            match self.core.poll_output() {
                Some(output) => {
                    let goes_along =
                        matches!(&output, Output::Apply(_, op) if self.batch.takes(op));
                    if !goes_along {
                        self.apply_batch();
                    }
                    self.perform(output);
                }
                // Answers may bring more.
                None if self.apply_batch() => {}
                None if self.go_on_with_probes() => {}
                None => return true,
            }
            let looks = handed.is_multiple_of(limits::OUTPUTS_PER_LOOK);
            if looks && self.batch.ops.is_empty() && self.pace.is_late() {
                break;
            }
        }
        false
    }

    /// Has the kernel do what waits, and tells the core; whether there was anything.
    fn apply_batch(&mut self) -> bool {
        let Some(part) = self.batch.ops.first().map(Op::part) else {
            return false;
        };
        self.process.note(match part {
            Part::Network => Work::Addresses,
            Part::Filter => Work::Filter,
            Part::Ipvs => Work::Table,
        });
        let results = self.kernel.apply(part, &self.batch.ops);
        self.batch.ops.clear();
        for (op, result) in self.batch.ids.drain(..).zip(results) {
            self.core.handle(self.now, Input::Applied { op, result });
        }
        true
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Join { ifindex, group } => self.join(ifindex, group),
            Output::Advert {
                ifindex,
                source,
                destination,
                ttl,
                mac,
                payload,
            } => {
                let header = Header {
                    source,
                    destination,
                    ttl,
                };
                self.vrrp.send(ifindex, mac, header, &payload);
            }
            Output::Announce {
                ifindex,
                mac,
                address,
            } => self.announcer.announce(ifindex, mac, address),
            Output::Recover(filter) => self.recoveries.want(filter),
            Output::Apply(id, op) => self.batch.push(id, op),
            Output::Read(part) => self.kernel.begin_read(part),
            Output::Probe(id, action) => {
                self.process.note(Work::Checks);
                self.act_on_probe(id, action);
            }
        }
    }

    fn join(&mut self, ifindex: Ifindex, group: IpAddr) {
        let token = Key::Vrrp((ifindex, Family::of(group))).token();
        if let Err(error) = self.vrrp.join(self.poll.registry(), token, ifindex, group) {
            log::error!("group {group} on link {}: {error}", ifindex.0);
        }
    }

    /// Writes events to the log while this turn has time, and some if it has none or a timer waits for the next one:
    /// what is wanted of the network and the kernel comes first.
    pub(crate) fn log_events(&mut self) {
        for logged in 1_usize.. {
            let Some(event) = self.core.poll_event() else {
                return;
            };
            let fact = self.facts.of(&event, self.core.config());
            if let Some(fact) = &fact {
                self.notices.tell(self.now, fact);
            }
            let registry = self.poll.registry();
            self.monitoring
                .tell(registry, self.now, &event, fact.as_ref());
            let looks = logged.is_multiple_of(limits::EVENTS_PER_LOOK);
            if looks && (self.pace.is_late() || self.due().is_some()) {
                return;
            }
        }
    }
}

/// Operations that go to the kernel at once. It keeps its room: a large change is hundreds of batches.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    ids: Vec<OpId>,
    ops: Vec<Op>,
}

impl Batch {
    /// Whether an operation may go with those that wait.
    fn takes(&self, op: &Op) -> bool {
        let first = self.ops.first();
        self.ops.len() < BATCH_MAX && first.is_none_or(|first| first.part() == op.part())
    }

    fn push(&mut self, id: OpId, op: Op) {
        self.ids.push(id);
        self.ops.push(op);
    }
}

/// What the core does with an input, for the figures.
const fn work(input: &Input<'_>) -> Option<Work> {
    Some(match input {
        Input::Vrrp { .. } => Work::Adverts,
        Input::Actual(_) => Work::Comparing,
        Input::Kernel(_) => Work::Network,
        Input::Recovered(_) => Work::Filter,
        Input::Config(_) => Work::Configuration,
        Input::Probe { .. } => Work::Checks,
        Input::Command(_) => Work::Answers,
        Input::Timeout
        | Input::Applied { .. }
        | Input::Restore(_)
        | Input::WallClock(_)
        | Input::Note(..) => return None,
    })
}
