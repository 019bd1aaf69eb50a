//! Several directors, their kernels, the segment between them, real servers, and time.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use director_core::check::{Action, Io};
use director_core::director::{Command, Director, Input, Output};
use director_core::kernel::{KernelEvent, Op, OpError};
use director_core::time::{Duration, Instant};

use super::fault::Fault;
use super::laws::{Laws, Neighbours, Violation};
use super::network::Network;
use super::node::{Arrival, Node};
use super::random::Random;
use super::reals::{Heard, Mood, Reals};
use super::setup::Setup;

/// Outputs of one input: a larger number is a loop.
const OUTPUTS_MAX: usize = 100_000;

/// All there is.
#[derive(Debug)]
pub struct World {
    /// The present moment.
    pub now: Instant,
    /// The machines.
    pub nodes: Vec<Node>,
    /// What joins them.
    pub network: Network,
    /// The real servers.
    pub reals: Reals,
    /// What the clients believe.
    pub neighbours: Neighbours,
    /// What was violated is said by these.
    pub laws: Laws,
    /// What happened, in words, when it is kept.
    pub trace: Option<Vec<String>>,
    /// The source of all chance.
    pub random: Random,
    /// Steps so far.
    pub steps: u64,
    /// What was done to which kernel, and what came of it.
    pub operations: Vec<(usize, Op, Result<(), OpError>)>,
    agenda: BTreeMap<(Instant, u64), Happening>,
    serial: u64,
    /// Steps since time last moved.
    steps_now: u32,
}

#[derive(Clone, Debug)]
enum Happening {
    Arrive(usize, u32, Arrival),
    Begin(Fault),
    End(Fault),
}

impl World {
    /// A world with all machines booted and all directors started within a second.
    #[must_use]
    pub fn new(setup: Setup, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = setup.configs.len();
        let nodes = setup
            .configs
            .into_iter()
            .enumerate()
            .map(|(index, configs)| {
                let lateness = Duration::from_micros(random.below(1000) as u64);
                Node::new(index, configs, lateness)
            });
        let mut world = Self {
            now: Instant::from_millis(500),
            nodes: nodes.collect(),
            network: Network::new(count),
            reals: Reals::default(),
            neighbours: Neighbours::new(),
            laws: Laws::new(count),
            trace: None,
            random,
            steps: 0,
            operations: Vec::new(),
            agenda: BTreeMap::new(),
            serial: 0,
            steps_now: 0,
        };
        for number in 1..=9 {
            world
                .reals
                .0
                .insert([10, 0, 0, 200 + number].into(), Mood::Well);
        }
        for node in 0..count {
            let after = world.random.time(Duration::ZERO, Duration::from_secs(1));
            world.plan_end(world.now + after, Fault::Crash { node });
        }
        world
    }

    /// Plans a fault to begin and to end.
    pub fn plan(&mut self, begin: Instant, end: Instant, fault: Fault) {
        self.at(begin, Happening::Begin(fault.clone()));
        self.at(end, Happening::End(fault));
    }

    /// Plans the end of a fault.
    pub fn plan_end(&mut self, end: Instant, fault: Fault) {
        self.at(end, Happening::End(fault));
    }

    /// Lets everything happen that happens within `time`.
    ///
    /// # Errors
    /// When a law is violated.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        let end = self.now + time;
        while self.step(end)? {}
        self.now = end;
        Ok(())
    }

    /// Runs until `done`, but no longer than `time`; gives how long it took.
    ///
    /// # Errors
    /// When a law is violated, or it is not done in time.
    pub fn run_until(
        &mut self,
        time: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> Result<Duration, Violation> {
        let begin = self.now;
        while !done(self) {
            if !self.step(begin + time)? {
                return Err(Violation(format!("not done within {time:?}")));
            }
        }
        Ok(self.now.since(begin))
    }

    /// Does the next thing, if it happens before `end`.
    fn step(&mut self, end: Instant) -> Result<bool, Violation> {
        let wakes = self.nodes.iter().enumerate();
        let wake = wakes
            .filter_map(|(node, of)| Some((of.wakes_at()?, node)))
            .min();
        let planned = self.agenda.first_key_value().map(|((at, _), _)| *at);
        // What arrives comes before the timers of the same moment: sockets are read first.
        let (at, wake) = match (planned, wake) {
            (Some(at), Some((wake_at, node))) if wake_at < at => (wake_at, Some(node)),
            (Some(at), _) => (at, None),
            (None, Some((at, node))) => (at, Some(node)),
            (None, None) => return Ok(false),
        };
        if at > end {
            return Ok(false);
        }
        self.steps += 1;
        self.steps_now = if at > self.now { 0 } else { self.steps_now + 1 };
        if self.steps_now > 5000 {
            return Err(Violation("5000 steps without progress of time".to_string()));
        }
        self.now = self.now.max(at);
        match wake {
            Some(node) => {
                self.feed(node, Input::Timeout)?;
                self.laws.woken(self.now, node, &self.nodes)?;
            }
            None => {
                if let Some((_, happening)) = self.agenda.pop_first() {
                    self.happen(happening)?;
                }
            }
        }
        let neighbours = &mut self.neighbours;
        self.laws
            .check(self.now, &mut self.nodes, &mut self.network, neighbours)?;
        Ok(true)
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Begin(fault) => {
                self.note(|| format!("fault begins: {fault:?}"));
                self.begin(&fault)
            }
            Happening::End(fault) => {
                self.note(|| format!("fault ends: {fault:?}"));
                self.end(&fault)
            }
            Happening::Arrive(node, incarnation, arrival) => {
                let of = &mut self.nodes[node];
                if of.incarnation != incarnation || of.director.is_none() {
                    Ok(())
                } else if of.stalled {
                    of.inbox.push(arrival);
                    Ok(())
                } else {
                    self.arrive(node, arrival)
                }
            }
        }
    }

    /// Something reaches a node whose director runs.
    pub fn arrive(&mut self, node: usize, arrival: Arrival) -> Result<(), Violation> {
        match arrival {
            Arrival::Packet(ifindex, packet) => {
                let input = Input::Vrrp {
                    ifindex,
                    packet: &packet,
                };
                self.feed(node, input)
            }
            Arrival::Heard(id, heard) => self.hear(node, id, &heard),
            Arrival::Notice(event) => self.feed(node, Input::Kernel(event)),
            Arrival::Execute(op_id, op, wished) => {
                let before = self.nodes[node].kernel.clone();
                let result = self.nodes[node].kernel.apply(&op, &mut self.random);
                self.note(|| format!("{node}: {op}: {result:?}"));
                let nodes = &mut self.nodes;
                self.laws
                    .operated(self.now, node, nodes, &before, &op, wished, result)?;
                self.operations.push((node, op, result));
                self.notify(node);
                self.feed(node, Input::Applied { op: op_id, result })
            }
            Arrival::Read(part) => {
                let snapshot = self.nodes[node].kernel.read(part);
                self.feed(node, Input::Actual(snapshot))
            }
            Arrival::Command(command) => {
                self.note(|| format!("{node}: {command:?}"));
                self.laws.disturb(self.now);
                match command {
                    Command::Handover(_) => self.nodes[node].handing_over = true,
                    Command::Stop => self.nodes[node].stopping = true,
                }
                self.feed(node, Input::Command(command))
            }
            Arrival::Reload => {
                self.laws.disturb(self.now);
                let of = &mut self.nodes[node];
                of.file = (of.file + 1) % of.configs.len();
                let config = Box::new(of.configs[of.file].clone());
                self.note(|| format!("{node}: reload"));
                self.feed(node, Input::Config(config))
            }
        }
    }

    /// The nodes that are Active in the first virtual router of the configuration.
    #[must_use]
    pub fn active(&self) -> Vec<usize> {
        let nodes = self.nodes.iter().enumerate();
        let active = nodes.filter(|(_, node)| node.routers().take(1).any(|of| node.is_active(of)));
        active.map(|(index, _)| index).collect()
    }

    /// The nodes that answer for the first address of that router.
    #[must_use]
    pub fn answering(&self) -> Vec<usize> {
        let nodes = self.nodes.iter().enumerate();
        let answering = nodes.filter(|(_, node)| {
            node.configs[0]
                .routers
                .iter()
                .take(1)
                .any(|router| node.answers(router.addresses[0]))
        });
        answering.map(|(index, _)| index).collect()
    }

    /// Does a fault or an edit at once; it ends when [`World::end`] is called.
    ///
    /// # Errors
    /// When a law is violated.
    pub fn now(&mut self, fault: &Fault) -> Result<(), Violation> {
        self.note(|| format!("fault begins: {fault:?}"));
        self.begin(fault)
    }

    /// Sends a command to a running director at once.
    ///
    /// # Errors
    /// When a law is violated.
    pub fn command(&mut self, node: usize, command: Command) -> Result<(), Violation> {
        let incarnation = self.nodes[node].incarnation;
        self.happen(Happening::Arrive(
            node,
            incarnation,
            Arrival::Command(command),
        ))
    }

    /// Starts the director of a node, unless it runs.
    pub fn start(&mut self, node: usize) -> Result<(), Violation> {
        let of = &mut self.nodes[node];
        if of.director.is_some() {
            return Ok(());
        }
        let config = of.configs[of.file].clone();
        of.director = Some(Director::new(config, self.now, self.random.next()));
        of.kernel_free_at = self.now;
        self.note(|| format!("{node}: starts"));
        self.drain(node)
    }

    /// Lets the director of a node hear what its kernel has to say.
    pub fn notify(&mut self, node: usize) {
        let of = &mut self.nodes[node];
        let (deaf, incarnation) = (of.deaf, of.incarnation);
        for event in of.kernel.take_notices() {
            if !deaf {
                let after = self.random.time(Duration::ZERO, Duration::from_micros(200));
                let arrival = Arrival::Notice(event);
                self.at(
                    self.now + after,
                    Happening::Arrive(node, incarnation, arrival),
                );
            }
        }
    }

    /// Ends a stall: first what waits in the sockets, VRRP before all, then the timers.
    pub fn resume(&mut self, node: usize) -> Result<(), Violation> {
        if !std::mem::take(&mut self.nodes[node].stalled) {
            return Ok(());
        }
        let mut inbox = std::mem::take(&mut self.nodes[node].inbox);
        inbox.sort_by_key(|arrival| !matches!(arrival, Arrival::Packet(..)));
        for arrival in inbox {
            if self.nodes[node].director.is_some() {
                self.arrive(node, arrival)?;
            }
        }
        Ok(())
    }

    /// Keeps a line of the trace.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{} {}", self.now, line()));
        }
    }

    fn hear(
        &mut self,
        node: usize,
        id: director_core::check::Id,
        heard: &Heard,
    ) -> Result<(), Violation> {
        // The shell has closed it meanwhile.
        if !self.nodes[node].sockets.contains_key(&id) {
            return Ok(());
        }
        let io = match heard {
            Heard::Connected => Io::Connected,
            Heard::Received(bytes) => Io::Received(bytes),
            Heard::Failed(errno) => Io::Failed(*errno),
            Heard::Closed => Io::Closed,
        };
        if matches!(io, Io::Failed(_) | Io::Closed) {
            self.nodes[node].sockets.remove(&id);
        }
        self.feed(node, Input::Probe { id, io })
    }

    /// One input, and everything that follows from it.
    fn feed(&mut self, node: usize, input: Input<'_>) -> Result<(), Violation> {
        if let Some(director) = &mut self.nodes[node].director {
            director.handle(self.now, input);
        }
        self.drain(node)
    }

    fn drain(&mut self, node: usize) -> Result<(), Violation> {
        let Some(director) = &mut self.nodes[node].director else {
            return Ok(());
        };
        let mut outputs = Vec::new();
        while let Some(output) = director.poll_output() {
            outputs.push(output);
            if outputs.len() > OUTPUTS_MAX {
                return Err(Violation(format!("{node}: outputs without end")));
            }
        }
        let mut lines = Vec::new();
        while let Some(event) = director.poll_event() {
            if self.trace.is_some() {
                lines.push(event.to_string());
            }
        }
        let stopped = director.stopped();
        for line in lines {
            self.note(|| format!("{node}: {line}"));
        }
        for output in outputs {
            self.execute(node, output)?;
        }
        if stopped {
            self.note(|| format!("{node}: exits"));
            self.laws.exits(node, &self.nodes)?;
            self.nodes[node].kill();
            // Somebody starts it again.
            let after = self
                .random
                .time(Duration::from_millis(200), Duration::from_secs(2));
            self.plan_end(self.now + after, Fault::Crash { node });
        }
        Ok(())
    }

    fn execute(&mut self, node: usize, output: Output) -> Result<(), Violation> {
        match output {
            Output::Join { ifindex, group } => {
                self.nodes[node].joined.insert((ifindex, group));
                Ok(())
            }
            Output::Advert {
                ifindex,
                source,
                destination,
                payload,
            } => {
                self.note(|| format!("{node}: advert {}", describe(&payload)));
                self.laws
                    .advertised(self.now, node, &mut self.nodes, source, &payload)?;
                if self.nodes[node].kernel.ifindex == ifindex {
                    self.multicast(node, destination, &packet(source, destination, &payload));
                }
                Ok(())
            }
            Output::Announce { address, .. } => {
                self.laws.announced(node, &self.nodes, address)?;
                if self.nodes[node].kernel.has_link() {
                    self.neighbours.insert(address.into(), Some(node));
                }
                Ok(())
            }
            Output::Apply(id, op) => {
                let wished = self.laws.asked(self.now, node, &self.nodes, &op)?;
                self.ask_kernel(node, Arrival::Execute(id, op, wished));
                Ok(())
            }
            Output::Read(part) => {
                self.ask_kernel(node, Arrival::Read(part));
                Ok(())
            }
            Output::Probe(id, action) => self.probe(node, id, action),
        }
    }

    /// The shell asks the kernel one thing after the other.
    fn ask_kernel(&mut self, node: usize, arrival: Arrival) {
        let of = &mut self.nodes[node];
        let at = of.kernel_free_at.max(self.now) + of.kernel.cost;
        of.kernel_free_at = at;
        let incarnation = of.incarnation;
        self.at(at, Happening::Arrive(node, incarnation, arrival));
    }

    fn multicast(&mut self, from: usize, group: Ipv4Addr, packet: &[u8]) {
        if !self.nodes[from].kernel.has_link() {
            return;
        }
        for to in 0..self.nodes.len() {
            let ifindex = self.nodes[to].kernel.ifindex;
            let hears = self.nodes[to].joined.contains(&(ifindex, group));
            if to == from || !hears || !self.nodes[to].kernel.has_link() {
                continue;
            }
            let incarnation = self.nodes[to].incarnation;
            for at in self.network.carry(self.now, from, to, &mut self.random) {
                let arrival = Arrival::Packet(ifindex, packet.to_vec());
                self.at(at, Happening::Arrive(to, incarnation, arrival));
            }
        }
    }

    fn probe(
        &mut self,
        node: usize,
        id: director_core::check::Id,
        action: Action,
    ) -> Result<(), Violation> {
        let of = &mut self.nodes[node];
        let heard = match action {
            Action::Connect { target } => {
                if of.sockets.insert(id, target).is_some() {
                    return Err(Violation(format!("{node}: {id:?} is connected twice")));
                }
                if of.kernel.has_link() {
                    self.reals.connect(target)
                } else {
                    Vec::new()
                }
            }
            Action::Send { .. } => match of.sockets.get(&id) {
                Some(target) if of.kernel.has_link() => self.reals.reply(*target),
                Some(_) => Vec::new(),
                None => return Err(Violation(format!("{node}: sends on a closed socket"))),
            },
            Action::Close => match of.sockets.remove(&id) {
                Some(_) => Vec::new(),
                None => return Err(Violation(format!("{node}: closes a closed socket"))),
            },
        };
        let incarnation = of.incarnation;
        for (after, heard) in heard {
            let arrival = Arrival::Heard(id, heard);
            self.at(
                self.now + after,
                Happening::Arrive(node, incarnation, arrival),
            );
        }
        Ok(())
    }

    fn at(&mut self, at: Instant, happening: Happening) {
        self.serial += 1;
        self.agenda.insert((at, self.serial), happening);
    }

    /// Tells the director of a node that notifications were lost.
    pub fn overrun(&mut self, node: usize) {
        let incarnation = self.nodes[node].incarnation;
        let arrival = Arrival::Notice(KernelEvent::Overrun);
        self.at(self.now, Happening::Arrive(node, incarnation, arrival));
    }
}

/// An IPv4 packet as a raw socket reads it (RFC 791): TTL 255, TOS 0xc0, protocol 112.
fn packet(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let length = 20 + payload.len() as u16;
    let [high, low] = length.to_be_bytes();
    let mut packet = vec![0x45, 0xc0, high, low, 0, 1, 0, 0, 255, 112, 0, 0];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// VRID and priority of an advert.
fn describe(payload: &[u8]) -> String {
    match payload {
        [_, vrid, priority, ..] => format!("vrid {vrid} priority {priority}"),
        _ => "that is too short".to_string(),
    }
}
