//! Directors on two wires with kernels that do everything at once, in virtual time.

// Each test program uses its own part of this.
#![allow(dead_code, unreachable_pub)]
// A test may fail here as in its own lines.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use director_core::check::{Action, Exit, Id, Io};
use director_core::config::{Config, Source, parse};
use director_core::director::{Command, Director, Input, Output, Part};
use director_core::kernel::{AddressId, KernelEvent, Link, Op, Snapshot};
use director_core::net::{Ifindex, Mac};
use director_core::status::{GroupStatus, RouterStatus};
use director_core::time::Instant;
use director_core::vrrp::Received;

/// Wires of a world; the interface on wire `n` is `eth{n}` with number `n + 1`.
pub const WIRES: usize = 2;

/// Source, destination, time to live, and what follows the IP header.
type Packet = (IpAddr, IpAddr, u8, Vec<u8>);

/// Several directors.
pub struct World {
    pub now: Instant,
    pub nodes: Vec<Node>,
    /// Nothing passes from the first to the second on this wire.
    pub cut: BTreeSet<(usize, usize, usize)>,
    /// Announced addresses: when, by whom, what.
    pub announced: Vec<(Instant, usize, String)>,
    /// Adverts: when, by whom, of which virtual router.
    pub advertised: Vec<(Instant, usize, u8)>,
}

pub struct Node {
    pub director: Director,
    pub dead: bool,
    pub links: Vec<Link>,
    addresses: BTreeMap<AddressId, bool>,
    pub log: Vec<String>,
    /// Servers and programs that fail on this node.
    pub failing: BTreeSet<String>,
    /// Texts of files by path; `!` is one that can't be read.
    pub files: BTreeMap<String, String>,
}

/// A configuration as text; both nodes have an address on each wire.
pub fn config(node: usize, text: &str) -> Config {
    let router = format!(
        "interface eth0 {{\naddress 10.0.0.{0}/24\n}}\ninterface eth1 {{\naddress 10.0.1.{0}/24\n}}\n",
        node + 1
    );
    fn source<'a>(name: &'a str, text: &'a str) -> Source<'a> {
        Source {
            name,
            bytes: text.as_bytes(),
        }
    }
    let keepalived = source("keepalived.conf", text);
    let parsed = parse(Some(keepalived), Some(source("router.conf", &router)));
    let said: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
    parsed
        .config
        .unwrap_or_else(|| panic!("{}", said.join("\n")))
}

impl World {
    /// Nodes with these files, started together.
    pub fn new(texts: &[String]) -> Self {
        Self::with(texts, |_| {})
    }

    /// Nodes with these files, each `prepared` before the start.
    pub fn with(texts: &[String], prepare: impl Fn(&mut Node)) -> Self {
        let node = |(index, text): (usize, &String)| Node {
            director: Director::new(config(index, text), Instant::from_millis(1), index as u64),
            dead: false,
            links: (0..WIRES).map(|wire| link(wire, true)).collect(),
            addresses: BTreeMap::new(),
            log: Vec::new(),
            failing: BTreeSet::new(),
            files: BTreeMap::new(),
        };
        let mut world = Self {
            now: Instant::from_millis(1),
            nodes: texts.iter().enumerate().map(node).collect(),
            cut: BTreeSet::new(),
            announced: Vec::new(),
            advertised: Vec::new(),
        };
        for node in 0..texts.len() {
            prepare(&mut world.nodes[node]);
            world.drain(node);
        }
        world
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..1_000_000 {
            let alive = self.nodes.iter().enumerate().filter(|(_, node)| !node.dead);
            let next = alive
                .filter_map(|(index, node)| Some((node.director.next_timeout()?.0, index)))
                .min();
            let Some((at, node)) = next.filter(|(at, _)| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.feed(node, Input::Timeout);
        }
        panic!("time stands still at {}", self.now);
    }

    /// Pulls or plugs the cable of a node on a wire.
    pub fn plug(&mut self, node: usize, wire: usize, carrier: bool) {
        self.nodes[node].links[wire].carrier = carrier;
        let link = self.nodes[node].links[wire].clone();
        self.feed(node, Input::Kernel(KernelEvent::Link(link)));
    }

    /// Sets the MTU of a node's interface on a wire.
    #[allow(dead_code)] // not every test that shares this file
    pub fn narrow(&mut self, node: usize, wire: usize, mtu: u32) {
        self.nodes[node].links[wire].mtu = mtu;
        let link = self.nodes[node].links[wire].clone();
        self.feed(node, Input::Kernel(KernelEvent::Link(link)));
    }

    pub fn command(&mut self, node: usize, command: Command) {
        self.feed(node, Input::Command(command));
    }

    pub fn reload(&mut self, node: usize, text: &str) {
        self.feed(node, Input::Config(Box::new(config(node, text))));
    }

    /// One input and everything that follows from it.
    pub fn feed(&mut self, node: usize, input: Input<'_>) {
        self.nodes[node].director.handle(self.now, input);
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        let mut packets = Vec::new();
        while let Some(output) = self.nodes[node].director.poll_output() {
            match output {
                Output::Probe(id, action) => self.nodes[node].probe(self.now, id, action),
                output => self.execute(node, output, &mut packets),
            }
        }
        while let Some(event) = self.nodes[node].director.poll_event() {
            let line = format!("{} {event}", self.now);
            self.nodes[node].log.push(line);
        }
        for (ifindex, packet) in packets {
            let wire = ifindex.0 as usize - 1;
            for to in 0..self.nodes.len() {
                let cut = self.cut.contains(&(node, to, wire));
                if to != node && !cut && !self.nodes[to].dead && self.nodes[to].links[wire].carrier
                {
                    let received = Received {
                        source: packet.0,
                        destination: packet.1,
                        ttl: packet.2,
                        payload: &packet.3,
                    };
                    self.feed(to, Input::Vrrp { ifindex, received });
                }
            }
        }
    }

    fn execute(&mut self, node: usize, output: Output, packets: &mut Vec<(Ifindex, Packet)>) {
        let (now, of) = (self.now, &mut self.nodes[node]);
        match output {
            Output::Advert {
                ifindex,
                source,
                destination,
                ttl,
                payload,
                ..
            } => {
                self.advertised.push((now, node, payload[1]));
                if of.links[ifindex.0 as usize - 1].carrier {
                    packets.push((ifindex, (source, destination, ttl, payload.to_vec())));
                }
            }
            Output::Announce { address, .. } => {
                self.announced.push((now, node, address.to_string()));
            }
            Output::Apply(op, what) => {
                match what {
                    Op::AddAddress(id, _) => {
                        of.addresses.insert(id, true);
                    }
                    Op::DelAddress(id) => drop(of.addresses.remove(&id)),
                    _ => {}
                }
                of.director
                    .handle(now, Input::Applied { op, result: Ok(()) });
            }
            Output::Read(part) => {
                let snapshot = of.snapshot(part);
                of.director.handle(now, Input::Actual(snapshot));
            }
            Output::Join { .. } | Output::Recover(_) | Output::Probe(..) => {}
        }
    }

    pub fn router(&self, node: usize, name: &str) -> RouterStatus {
        let routers = self.nodes[node].director.status().routers;
        let mut found = routers.into_iter().filter(|router| router.name == name);
        found.next().unwrap()
    }

    pub fn group(&self, node: usize) -> GroupStatus {
        self.nodes[node].director.status().groups.remove(0)
    }

    /// The states of all routers of a node, in the order of the configuration.
    pub fn states(&self, node: usize) -> Vec<String> {
        let routers = self.nodes[node].director.status().routers;
        routers.into_iter().map(|router| router.state).collect()
    }

    /// Whether a node's kernel has this address.
    pub fn holds(&self, node: usize, address: &str) -> bool {
        let mut held = self.nodes[node].addresses.keys();
        held.any(|id| id.cidr.to_string() == address)
    }
}

impl Node {
    /// A server answers at once, and a program ends at once.
    fn probe(&mut self, now: Instant, id: Id, action: Action) {
        let io = match action {
            Action::Connect { target, .. } if self.failing.contains(&target.to_string()) => {
                Io::Failed(111)
            }
            Action::Connect { .. } => Io::Connected,
            Action::Run(program) => {
                let code = u8::from(self.failing.contains(&program.path));
                Io::Exited(Exit::Code(code))
            }
            Action::Read(path) => {
                let text = self.files.get(&path).cloned().unwrap_or_default();
                let read = [Io::Connected, Io::Received(text.as_bytes()), Io::Closed];
                let ios = if text == "!" {
                    &[Io::Failed(22)]
                } else {
                    &read[..]
                };
                for io in ios {
                    self.director.handle(now, Input::Probe { id, io: *io });
                }
                return;
            }
            _ => return,
        };
        self.director.handle(now, Input::Probe { id, io });
    }

    /// Its kernel loses an address, unseen.
    pub fn forget(&mut self, address: &str) {
        self.addresses
            .retain(|id, _| id.cidr.to_string() != address);
    }

    fn snapshot(&self, part: Part) -> Snapshot {
        match part {
            Part::Network => Snapshot::Network {
                links: self.links.clone(),
                addresses: self.addresses.iter().map(|(id, own)| (*id, *own)).collect(),
                routes: Vec::new(),
                rules: Vec::new(),
            },
            Part::Filter => Snapshot::Filter(None),
            Part::Ipvs => Snapshot::Ipvs {
                table: Default::default(),
                counters: Default::default(),
                sync: BTreeMap::new(),
                timeouts: [0; 3],
            },
        }
    }
}

fn link(wire: usize, carrier: bool) -> Link {
    Link {
        ifindex: Ifindex(wire as u32 + 1),
        name: format!("eth{wire}").parse().unwrap(),
        mac: Mac([2, 0, 0, 0, 0, wire as u8]),
        mtu: 1500,
        up: true,
        carrier,
        loopback: false,
        macvlan: None,
    }
}
