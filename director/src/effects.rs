//! What the core wants done, done.

use core::net::IpAddr;

use director_core::director::{Input, OpId, Output, Part};
use director_core::kernel::Op;
use director_core::net::{Family, Ifindex};

use crate::kernel::ipvs::BATCH_MAX;
use crate::run::Shell;
use crate::token::Key;

impl Shell {
    /// Gives the core one input, and does all that it then wants.
    pub(crate) fn feed(&mut self, input: Input<'_>) {
        self.core.handle(self.now, input);
        self.drain();
    }

    /// Does what the core wants until it wants nothing more, then writes its events to the log. IPVS operations that
    /// come in a row go to the kernel in one batch. The core hands out a bounded slice of operations for one input.
    pub(crate) fn drain(&mut self) {
        let mut batch = Vec::new();
        loop {
            let output = self.core.poll_output();
            match output {
                Some(Output::Apply(id, op))
                    if op.part() == Part::Ipvs && batch.len() < BATCH_MAX =>
                {
                    batch.push((id, op));
                }
                None if batch.is_empty() => break,
                output => {
                    self.apply_batch(core::mem::take(&mut batch));
                    if let Some(output) = output {
                        self.perform(output, &mut batch);
                    }
                }
            }
        }
        self.log_events();
        let number = self.core.saved_number();
        if self.saved.number != number {
            self.saved.number = number;
            self.saved.store(&self.core.saved());
        }
    }

    fn apply_batch(&mut self, batch: Vec<(OpId, Op)>) {
        if batch.is_empty() {
            return;
        }
        let (ids, ops): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let results = self.kernel.apply_ipvs(&ops);
        for (op, result) in ids.into_iter().zip(results) {
            self.core.handle(self.now, Input::Applied { op, result });
        }
    }

    fn perform(&mut self, output: Output, batch: &mut Vec<(OpId, Op)>) {
        match output {
            Output::Join { ifindex, group } => self.join(ifindex, group),
            Output::Advert {
                ifindex,
                source,
                destination,
                ttl,
                payload,
            } => {
                self.vrrp.send(ifindex, source, destination, ttl, &payload);
            }
            Output::Announce {
                ifindex,
                mac,
                address,
            } => self.announcer.announce(ifindex, mac, address),
            // Only when a batch was full: the first of the next one.
            Output::Apply(id, op) if op.part() == Part::Ipvs => batch.push((id, op)),
            Output::Apply(id, op) => {
                let result = match &op {
                    Op::SetFilter(filter) => self.kernel.apply_filter(filter),
                    op => self.kernel.apply_network(op),
                };
                self.core
                    .handle(self.now, Input::Applied { op: id, result });
            }
            Output::Recover(filter) => self.recoveries.want(filter),
            Output::Read(part) => self.kernel.begin_read(part),
            Output::Probe(id, action) => self.act_on_probe(id, action),
        }
    }

    fn join(&mut self, ifindex: Ifindex, group: IpAddr) {
        let token = Key::Vrrp((ifindex, Family::of(group))).token();
        if let Err(error) = self.vrrp.join(self.poll.registry(), token, ifindex, group) {
            log::error!("group {group} on link {}: {error}", ifindex.0);
        }
    }

    fn log_events(&mut self) {
        while let Some(event) = self.core.poll_event() {
            let fact = self.facts.of(&event, self.core.config());
            if let Some(fact) = &fact {
                self.notices.tell(self.now, fact);
            }
            let registry = self.poll.registry();
            self.monitoring
                .tell(registry, self.now, &event, fact.as_ref());
        }
    }
}
