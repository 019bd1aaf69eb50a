//! Several directors, their kernels, the segment between them, real servers, and time.

use director_core::check::{Id, Io};
use director_core::director::{Command, Director, Input, Output, Part, Reason};
use director_core::kernel::{KernelEvent, Op, OpError};
use director_core::time::{Duration, Instant};
use director_core::vrrp::Received;

use super::agenda::Agenda;
use super::fault::Fault;
use super::intruder::Record;
use super::laws::{self, Laws, Neighbours, Violation};
use super::network::Network;
use super::node::{Arrival, Node};
use super::random::Random;
use super::reals::{Heard, Mood, Reals};
use super::setup::Setup;
use super::view::Touched;

/// What the nodes' wall clocks show at the start, about: some moment in 2026.
const CLOCK_AT_START: u64 = 1_780_000_000_000_000;

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
    /// What an intruder has heard.
    pub(super) record: Record,
    agenda: Agenda<Happening>,
    /// Steps since time last moved.
    steps_now: u32,
    /// When each node wants to be woken, as it said after the last step that touched it.
    wakes: Vec<Option<(Instant, Reason)>>,
    /// The room for what a director asks for in one step.
    pub(super) outputs: Vec<Output>,
    /// This step touches more than the node that it is about.
    pub(super) touches_all: bool,
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
            record: Record::default(),
            agenda: Agenda::default(),
            steps_now: 0,
            wakes: Vec::new(),
            outputs: Vec::new(),
            touches_all: true,
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
        self.look_around();
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
        self.look_around();
        while !done(self) {
            if !self.step(begin + time)? {
                return Err(Violation(format!("not done within {time:?}")));
            }
        }
        Ok(self.now.since(begin))
    }

    /// Anything may have been done to the nodes before a run.
    fn look_around(&mut self) {
        self.touches_all = true;
        self.wakes = self.nodes.iter().map(Node::next_timeout).collect();
    }

    /// Does the next thing, if it happens before `end`.
    fn step(&mut self, end: Instant) -> Result<bool, Violation> {
        let wakes = self.nodes.iter().zip(&self.wakes).enumerate();
        let wake = wakes
            .filter_map(|(node, (of, wake))| Some(((*wake)?.0 + of.lateness, node)))
            .min();
        let planned = self.agenda.first();
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
        let node = match wake {
            Some(node) => {
                self.feed(node, Input::Timeout)?;
                Some(node)
            }
            None => match self.agenda.pop() {
                Some(happening) => self.happen(happening)?,
                None => None,
            },
        };
        self.look_back(node, wake.is_some())?;
        Ok(true)
    }

    /// After a step: what the nodes that it touched want next, and the laws.
    fn look_back(&mut self, node: Option<usize>, woken: bool) -> Result<(), Violation> {
        let all = std::mem::take(&mut self.touches_all);
        let touched = node.filter(|_| !all).map_or(Touched::All, Touched::One);
        for (index, node) in self.nodes.iter().enumerate() {
            if touched.is(index) {
                self.wakes[index] = node.next_timeout();
            }
        }
        if let Some(node) = node.filter(|_| woken) {
            self.laws.woken(self.now, node, self.wakes[node])?;
        }
        let (network, neighbours) = (&mut self.network, &mut self.neighbours);
        self.laws
            .check(self.now, touched, &mut self.nodes, network, neighbours)
    }

    /// Something happens; says to which node, if it touches that one alone.
    fn happen(&mut self, happening: Happening) -> Result<Option<usize>, Violation> {
        match happening {
            Happening::Begin(fault) => {
                self.note(|| format!("fault begins: {fault:?}"));
                self.begin(&fault)?;
                Ok(None)
            }
            Happening::End(fault) => {
                self.note(|| format!("fault ends: {fault:?}"));
                self.end(&fault)?;
                Ok(None)
            }
            Happening::Arrive(node, incarnation, arrival) => {
                let of = &mut self.nodes[node];
                if of.incarnation == incarnation && of.director.is_some() {
                    if of.stalled {
                        of.inbox.push(arrival);
                    } else {
                        self.arrive(node, arrival)?;
                    }
                }
                Ok(Some(node))
            }
        }
    }

    /// Something reaches a node whose director runs.
    pub fn arrive(&mut self, node: usize, arrival: Arrival) -> Result<(), Violation> {
        match arrival {
            Arrival::Packet(ifindex, packet) => {
                let received = Received {
                    source: packet.source,
                    destination: packet.destination,
                    ttl: packet.ttl,
                    payload: &packet.payload,
                };
                self.feed(node, Input::Vrrp { ifindex, received })
            }
            Arrival::Heard(id, heard) => self.hear(node, id, &heard),
            Arrival::Recovered(recovery) => self.feed(node, Input::Recovered(recovery)),
            Arrival::Notice(event) => self.feed(node, Input::Kernel(event)),
            Arrival::Execute(op_id, op, wished) => {
                let served = laws::serves_before(&self.nodes[node], &op);
                let result = self.nodes[node].kernel.apply(&op, &mut self.random);
                self.note(|| format!("{node}: {op}: {result:?}"));
                let nodes = &mut self.nodes;
                self.laws
                    .operated(self.now, node, nodes, &op, served && wished, result)?;
                self.operations.push((node, op, result));
                self.notify(node);
                self.feed(node, Input::Applied { op: op_id, result })
            }
            Arrival::Read(part) => {
                let snapshot = self.nodes[node].kernel.read(part);
                if part == Part::Ipvs {
                    self.nodes[node].table_read_at = self.now;
                }
                self.feed(node, Input::Actual(snapshot))
            }
            Arrival::Command(command) => {
                self.note(|| format!("{node}: {command:?}"));
                self.laws.disturb(self.now);
                match command {
                    Command::Handover(_) => {
                        let vrids = self.nodes[node]
                            .routers()
                            .map(|router| router.vrid)
                            .collect();
                        self.nodes[node].handing_over = vrids;
                    }
                    Command::Stop => self.nodes[node].stopping = true,
                    Command::Dest(..) => {}
                }
                self.feed(node, Input::Command(command))
            }
            Arrival::Reload => {
                self.laws.disturb(self.now);
                let of = &mut self.nodes[node];
                of.file = (of.file + 1) % of.configs.len();
                let config = Box::new(of.configs[of.file].clone());
                self.note(|| format!("{node}: reload"));
                self.touches_all = true;
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
                .any(|router| node.answers(router.addresses[0].cidr))
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
        .map(drop)
    }

    /// Starts the director of a node, unless it runs.
    pub fn start(&mut self, node: usize) -> Result<(), Violation> {
        let of = &mut self.nodes[node];
        if of.director.is_some() {
            return Ok(());
        }
        let config = of.configs[of.file].clone();
        let mut director = Director::new(config, self.now, self.random.next());
        // Clocks that are kept by NTP agree better than to a second; those of the nodes differ by one each.
        let wall = CLOCK_AT_START + self.now.micros() + 1_000_000 * node as u64;
        director.handle(self.now, Input::WallClock(wall));
        director.handle(self.now, Input::Restore(std::mem::take(&mut of.saved)));
        of.director = Some(director);
        of.kernel_free_at = self.now;
        of.kernel.forget_filter();
        self.laws.started(node);
        self.note(|| format!("{node}: starts"));
        self.drain(node)
    }

    /// Lets the director of a node hear what its kernel has to say.
    pub fn notify(&mut self, node: usize) {
        let of = &mut self.nodes[node];
        let deaf = of.deaf;
        for event in of.kernel.take_notices() {
            if !deaf {
                let after = self.random.time(Duration::ZERO, Duration::from_micros(200));
                self.arrives(self.now + after, node, Arrival::Notice(event));
            }
        }
    }

    /// Ends a stall: first what waits in the sockets, VRRP before all, then the timers.
    pub fn resume(&mut self, node: usize) -> Result<(), Violation> {
        if !std::mem::take(&mut self.nodes[node].stalled) {
            return Ok(());
        }
        // What it says from sleep may move Active, though it can't be that itself any more.
        self.laws.disturb(self.now);
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

    fn hear(&mut self, node: usize, id: Id, heard: &Heard) -> Result<(), Violation> {
        // The shell has closed it meanwhile.
        if !self.nodes[node].sockets.contains_key(&id) {
            return Ok(());
        }
        let io = match heard {
            Heard::Connected => Io::Connected,
            Heard::Received(bytes) => Io::Received(bytes),
            Heard::Datagram(bytes) => Io::Received(bytes),
            Heard::Failed(errno) => Io::Failed(*errno),
            Heard::Closed => Io::Closed,
            Heard::Exited(exit) => Io::Exited(*exit),
        };
        if matches!(io, Io::Failed(_) | Io::Closed | Io::Exited(_)) {
            self.nodes[node].sockets.remove(&id);
        }
        self.feed(node, Input::Probe { id, io })
    }

    /// Something reaches a node in the future, if its director still runs then.
    pub(super) fn arrives(&mut self, at: Instant, node: usize, arrival: Arrival) {
        let incarnation = self.nodes[node].incarnation;
        self.at(at, Happening::Arrive(node, incarnation, arrival));
    }

    fn at(&mut self, at: Instant, happening: Happening) {
        self.agenda.insert(at, happening);
    }

    /// Tells the director of a node that notifications were lost.
    pub fn overrun(&mut self, node: usize) {
        self.arrives(self.now, node, Arrival::Notice(KernelEvent::Overrun));
    }
}
