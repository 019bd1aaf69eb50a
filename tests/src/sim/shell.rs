//! The shell of each director: carries its inputs in and its outputs out.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use director_core::check::{Action, Id, Transport};
use director_core::director::{Input, Output};
use director_core::limits;
use director_core::time::Duration;
use director_core::tracking::Recovery;

use super::fault::Fault;
use super::groups;
use super::laws::Violation;
use super::locals;
use super::node::{Arrival, Packet};
use super::reals::Heard;
use super::setup;
use super::world::World;

/// Whom a program asks is not seen.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Outputs of one input: a larger number is a loop.
const OUTPUTS_MAX: usize = 100_000;

impl World {
    /// One input, and everything that follows from it.
    pub(super) fn feed(&mut self, node: usize, input: Input<'_>) -> Result<(), Violation> {
        if let Some(director) = &mut self.nodes[node].director {
            director.handle(self.now, input);
        }
        self.drain(node)
    }

    pub(super) fn drain(&mut self, node: usize) -> Result<(), Violation> {
        let Some(director) = &mut self.nodes[node].director else {
            return Ok(());
        };
        let mut outputs = std::mem::take(&mut self.outputs);
        while let Some(output) = director.poll_output() {
            outputs.push(output);
            if outputs.len() > OUTPUTS_MAX {
                return Err(Violation(format!("{node}: outputs without end")));
            }
        }
        let ops = outputs
            .iter()
            .filter(|output| matches!(output, Output::Apply(..)));
        if ops.count() > limits::OPS_PER_SLICE {
            return Err(Violation(format!("{node}: more operations than a slice")));
        }
        let mut lines = Vec::new();
        let mut took_over = false;
        while let Some(event) = director.poll_event() {
            took_over |= locals::brings_connections(director.config(), &event);
            if self.trace.is_some() {
                lines.push(event.to_string());
            }
        }
        let recover = |output: &&Output| matches!(output, Output::Recover(_));
        if outputs.iter().filter(recover).count() != usize::from(took_over) {
            return Err(Violation(format!("{node}: connections left behind")));
        }
        let stopped = director.stopped();
        for line in lines {
            self.note(|| format!("{node}: {line}"));
        }
        for output in &outputs {
            self.execute(node, output)?;
        }
        outputs.clear();
        self.outputs = outputs;
        if stopped {
            self.note(|| format!("{node}: exits"));
            self.laws.exits(self.now, node, &self.nodes)?;
            self.nodes[node].kill();
            self.touches_all = true;
            // Somebody starts it again.
            let after = self
                .random
                .time(Duration::from_millis(200), Duration::from_secs(2));
            self.plan_end(self.now + after, Fault::Crash { node });
        }
        Ok(())
    }

    fn execute(&mut self, node: usize, output: &Output) -> Result<(), Violation> {
        match output {
            Output::Join { ifindex, group } => {
                self.nodes[node].joined.insert((*ifindex, *group));
                Ok(())
            }
            Output::Advert {
                ifindex,
                source,
                destination,
                ttl,
                payload,
                ..
            } => {
                self.note(|| format!("{node}: advert {}", describe(payload)));
                self.laws
                    .advertised(self.now, node, &mut self.nodes, *source, payload)?;
                if self.nodes[node].kernel.ifindex == *ifindex {
                    let packet = Packet {
                        source: *source,
                        destination: *destination,
                        ttl: *ttl,
                        payload: payload.as_slice().into(),
                    };
                    self.overhear(node, &packet);
                    self.carry(node, &packet);
                }
                Ok(())
            }
            Output::Announce { address, .. } => {
                self.laws.announced(node, &self.nodes, *address)?;
                if self.nodes[node].kernel.has_link() {
                    self.neighbours.insert(*address, Some(node));
                }
                Ok(())
            }
            Output::Apply(id, op) => {
                let wished = self.laws.asked(self.now, node, &self.nodes, op)?;
                self.ask_kernel(node, Arrival::Execute(*id, op.clone(), wished));
                Ok(())
            }
            Output::Recover(filter) => {
                let restored = self.random.below(1000) as u64;
                let recovery = Recovery {
                    restored,
                    ..Recovery::default()
                };
                if filter.translated.is_empty() {
                    return Err(Violation(format!("{node}: recovers nobody's connections")));
                }
                let after = self
                    .random
                    .time(Duration::from_millis(1), Duration::from_secs(1));
                self.arrives(self.now + after, node, Arrival::Recovered(recovery));
                Ok(())
            }
            Output::Read(part) => {
                self.ask_kernel(node, Arrival::Read(*part));
                Ok(())
            }
            Output::Probe(id, action) => self.probe(node, *id, action),
        }
    }

    /// The shell asks the kernel one thing after the other.
    fn ask_kernel(&mut self, node: usize, arrival: Arrival) {
        let of = &mut self.nodes[node];
        let at = of.kernel_free_at.max(self.now) + of.kernel.cost;
        of.kernel_free_at = at;
        self.arrives(at, node, arrival);
    }

    /// To all who listen to the group, or to the one that has the address.
    fn carry(&mut self, from: usize, packet: &Packet) {
        if !self.nodes[from].kernel.has_link() {
            return;
        }
        for to in 0..self.nodes.len() {
            let ifindex = self.nodes[to].kernel.ifindex;
            let hears = if packet.destination.is_multicast() {
                self.nodes[to]
                    .joined
                    .contains(&(ifindex, packet.destination))
            } else {
                setup::own_addresses(to).contains(&packet.destination)
                    && self.nodes[to].joined.iter().any(|(of, _)| *of == ifindex)
            };
            if to == from || !hears || !self.nodes[to].kernel.has_link() {
                continue;
            }
            let arrivals = self.network.carry(self.now, from, to, &mut self.random);
            for at in arrivals.into_iter().flatten() {
                let arrival = Arrival::Packet(ifindex, packet.clone());
                self.arrives(at, to, arrival);
            }
        }
    }

    fn probe(&mut self, node: usize, id: Id, action: &Action) -> Result<(), Violation> {
        let of = &mut self.nodes[node];
        let mut place = |to, transport| match of.sockets.insert(id, (to, transport)) {
            Some(_) => Err(Violation(format!("{node}: {id:?} is begun twice"))),
            None => Ok(()),
        };
        let nowhere = SocketAddr::new(NOWHERE, 0);
        let heard = match action {
            Action::Connect {
                target, transport, ..
            } => {
                place(*target, *transport)?;
                match transport {
                    // Whether anybody is there shows when something is sent.
                    Transport::Udp | Transport::Icmp => vec![(Duration::ZERO, Heard::Connected)],
                    Transport::Tcp | Transport::HalfOpen if of.kernel.has_link() => {
                        self.reals.connect(*target)
                    }
                    Transport::Tcp | Transport::HalfOpen => Vec::new(),
                }
            }
            Action::Run(program) => {
                // A program is a place that is taken, like a socket.
                place(nowhere, Transport::Tcp)?;
                self.reals.run(program)
            }
            Action::Read(path) => {
                place(nowhere, Transport::Tcp)?;
                let number = if path == groups::SWITCH { of.switch } else { 0 };
                let text = format!("{number}\n").into_bytes();
                vec![
                    (Duration::ZERO, Heard::Connected),
                    (Duration::ZERO, Heard::Datagram(text)),
                    (Duration::ZERO, Heard::Closed),
                ]
            }
            Action::Send { bytes } => match of.sockets.get(&id) {
                Some((_, Transport::HalfOpen)) => {
                    return Err(Violation(format!(
                        "{node}: says something in half a handshake"
                    )));
                }
                Some((to, Transport::Tcp)) if of.kernel.has_link() => self.reals.said(*to, bytes),
                Some((to, by)) if of.kernel.has_link() => self.reals.echo(*to, *by, bytes),
                Some(_) => Vec::new(),
                None => return Err(Violation(format!("{node}: sends on a closed socket"))),
            },
            Action::Close => match of.sockets.remove(&id) {
                Some(_) => Vec::new(),
                None => return Err(Violation(format!("{node}: closes a closed socket"))),
            },
        };
        for (after, heard) in heard {
            self.arrives(self.now + after, node, Arrival::Heard(id, heard));
        }
        Ok(())
    }
}

/// VRID and priority of an advert.
fn describe(payload: &[u8]) -> String {
    match payload {
        [_, vrid, priority, ..] => format!("vrid {vrid} priority {priority}"),
        _ => "that is too short".to_string(),
    }
}
