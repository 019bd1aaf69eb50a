//! Checks by way of the virtual address: which private services there are, and when a check may use them. What packets
//! make of it is a matter of the kernel's, and of the shell's tests.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use director_core::check::{Action, Id, Io};
use director_core::config::{Config, Source, parse};
use director_core::director::{Command, Director, Input, Output, Part};
use director_core::ipvs::{Dest, DestId, Dests, Forwarding, Pool, ServiceId, Table, Tallies};
use director_core::kernel::{AddressId, Link, Op, OpError, Snapshot};
use director_core::net::{Family, Ifindex, Mac};
use director_core::time::{Duration, Instant};

const NAT: &str = "192.0.2.100 80 {\nprotocol TCP\nlb_kind NAT";
const DR: &str = "192.0.2.101 80 {\nprotocol TCP\nlb_kind DR";
const FIRST: u32 = 0x4b00_0000;

/// The operations on the kernel's table at the start, at a reload and at the stop.
#[test]
fn each_dest_has_one_private_service_and_keeps_it() {
    let mut node = Node::new(&[service(NAT, &[12, 11]), service(DR, &[11])].concat());
    node.run(3);
    let private = |ops: &[String]| -> Vec<String> {
        let ours = ops.iter().filter(|op| op.contains("FWM"));
        ours.cloned().collect()
    };
    assert_eq!(
        private(&core::mem::take(&mut node.ops)),
        [
            "add service FWM 1258291200 IPv4 rr",
            "add dest 10.0.0.11:80 of FWM 1258291200 IPv4 weight 1",
            "add service FWM 1258291201 IPv4 rr",
            "add dest 10.0.0.11:8080 of FWM 1258291201 IPv4 weight 1",
            "add service FWM 1258291202 IPv4 rr",
            "add dest 10.0.0.12:8080 of FWM 1258291202 IPv4 weight 1",
        ]
    );
    // One goes, and one that comes takes its number; the others stay as they are.
    node.reload(&[service(NAT, &[10, 12]), service(DR, &[11])].concat());
    node.run(3);
    assert_eq!(
        private(&core::mem::take(&mut node.ops)),
        [
            "add dest 10.0.0.10:8080 of FWM 1258291201 IPv4 weight 1",
            "delete dest 10.0.0.11:8080 of FWM 1258291201 IPv4",
        ]
    );
    let shown = node.director.status().services;
    assert_eq!(shown.len(), 2, "private ones are not shown");
    node.feed(Input::Command(Command::Stop));
    node.run(3);
    assert!(node.director.stopped());
    assert_eq!(private(&node.ops).len(), 3);
    assert!(node.table.is_empty());
}

/// What an earlier director left is taken over by what it leads to; what leads nowhere goes.
#[test]
fn marks_of_an_earlier_director_are_taken_over() {
    let mut node = Node::new("");
    for (mark, port) in [(FIRST, 9), (FIRST + 7, 8080)] {
        node.leave(mark, port);
    }
    node.director = Director::new(config(&service(NAT, &[11])), node.now, 1);
    node.run(3);
    let ours: Vec<_> = node.ops.iter().filter(|op| op.contains("FWM")).collect();
    assert_eq!(ours, ["delete service FWM 1258291200 IPv4"]);
    assert_eq!(node.marks(), [FIRST + 7]);
}

/// A check that connected before would be taken to any server.
#[test]
fn a_check_waits_for_its_private_service_and_does_not_fail_meanwhile() {
    let mut node = Node::new(&service(NAT, &[11]));
    node.refuses = true;
    node.run(5);
    let check = |node: &Node| node.director.status().checks.remove(0);
    assert!(node.connects.is_empty());
    assert_eq!(
        (
            check(&node).health,
            check(&node).failures,
            check(&node).last
        ),
        (
            "up".to_owned(),
            0,
            "not tried: the kernel has no service for this check yet".to_owned()
        )
    );
    node.refuses = false;
    node.run(20);
    assert_eq!(check(&node).last, "success");
    assert_eq!(check(&node).path, "192.0.2.100:80");
    let (target, bind) = node.connects.remove(0);
    assert_eq!(target, "192.0.2.100:80");
    // By NAT the node asks from beside the real server while another one is its gateway.
    assert_eq!(bind, "10.0.0.1 mark 1258291200 reset true own None");
}

#[test]
fn the_source_is_beside_the_virtual_address_where_the_answer_goes_to_it() {
    let instance = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 5\npriority 255\n\
                    virtual_ipaddress {\n192.0.2.100\n192.0.2.101\n}\n}\n";
    let mut node = Node::new(&[instance, &*service(NAT, &[11]), &*service(DR, &[11])].concat());
    node.run(10);
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    last.extend(node.connects.drain(..));
    assert_eq!(
        last.into_iter().collect::<Vec<_>>(),
        [
            (
                "192.0.2.100:80".to_owned(),
                "192.0.2.1 mark 1258291201 reset true own None".to_owned()
            ),
            (
                "192.0.2.101:80".to_owned(),
                "192.0.2.1 mark 1258291200 reset true own Some(\"eth0\")".to_owned()
            ),
        ]
    );
}

/// The local addresses are where the virtual address is: elsewhere no answer would come.
#[test]
fn by_fullnat_a_node_without_the_virtual_address_asks_straight() {
    let instance = |state: &str| {
        format!(
            "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 5\n{state}\n\
             virtual_ipaddress {{\n192.0.2.100\n}}\n}}\n"
        )
    };
    let fullnat = "192.0.2.100 80 {\nprotocol TCP\nlb_kind FNAT\nlocal_address {\n10.0.0.50\n}";
    let conf = instance("priority 255") + &service(fullnat, &[11]);
    let mut node = Node::new(&conf);
    node.held = false;
    node.run(20);
    assert!(!node.connects.is_empty());
    let path = |node: &Node| node.director.status().checks.remove(0).path;
    assert_eq!(path(&node), "");
    assert!(
        node.connects
            .iter()
            .all(|(target, bind)| { target == "10.0.0.11:8080" && bind.is_empty() })
    );
    node.held = true;
    node.run(10);
    assert_eq!(path(&node), "192.0.2.100:80");
    assert_eq!(node.connects.pop().unwrap().0, "192.0.2.100:80");
}

fn service(head: &str, hosts: &[u8]) -> String {
    let port = if head.contains("DR") { 80 } else { 8080 };
    let real = |host: &u8| format!("real_server 10.0.0.{host} {port} {{\nTCP_CHECK {{\n}}\n}}\n");
    let reals: String = hosts.iter().map(real).collect();
    format!("virtual_server {head}\nlb_algo rr\ndelay_loop 1\ndata_path\n{reals}}}\n")
}

fn config(text: &str) -> Config {
    let source = Source {
        name: "keepalived.conf",
        bytes: text.as_bytes(),
    };
    let parsed = parse(Some(source), None);
    parsed
        .config
        .unwrap_or_else(|| panic!("{:?}", parsed.diagnostics))
}

/// A director with a kernel that has one interface and a table of services.
struct Node {
    director: Director,
    now: Instant,
    addresses: BTreeMap<AddressId, bool>,
    table: BTreeMap<ServiceId, Arc<Pool>>,
    /// The kernel takes no private service.
    refuses: bool,
    /// The kernel takes virtual addresses.
    held: bool,
    ops: Vec<String>,
    /// Where checks went, and from where.
    connects: Vec<(String, String)>,
}

impl Node {
    fn new(text: &str) -> Self {
        let now = Instant::from_millis(1);
        let own = ["10.0.0.1/24", "192.0.2.1/24"].map(|cidr| AddressId {
            ifindex: Ifindex(1),
            cidr: cidr.parse().unwrap(),
        });
        Self {
            director: Director::new(config(text), now, 1),
            now,
            addresses: own.into_iter().map(|id| (id, false)).collect(),
            table: BTreeMap::new(),
            refuses: false,
            held: true,
            ops: Vec::new(),
            connects: Vec::new(),
        }
    }

    /// A private service that leads to a port of 10.0.0.11 by NAT.
    fn leave(&mut self, mark: u32, port: u16) {
        let id = ServiceId::Fwmark {
            family: Family::V4,
            mark,
        };
        let service = director_core::ipvs::Service {
            scheduler: "rr".parse().unwrap(),
            flags: 0,
            timeout_s: 0,
            granularity: 32,
            sip: false,
        };
        let dest = DestId {
            address: [10, 0, 0, 11].into(),
            port,
        };
        let to = Dest {
            forwarding: Forwarding::Nat,
            weight: 1,
            upper: 0,
            lower: 0,
        };
        let dests = [(dest, to)].into_iter().collect();
        self.table.insert(id, Pool::new(service, dests));
    }

    fn marks(&self) -> Vec<u32> {
        let mark = |id: &ServiceId| match id {
            ServiceId::Fwmark { mark, .. } => Some(*mark),
            ServiceId::Address { .. } => None,
        };
        self.table.keys().filter_map(mark).collect()
    }

    fn reload(&mut self, text: &str) {
        self.feed(Input::Config(Box::new(config(text))));
    }

    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        self.drain();
        while let Some((at, _)) = self.director.next_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.feed(Input::Timeout);
        }
        self.now = end;
    }

    fn feed(&mut self, input: Input<'_>) {
        self.director.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.director.poll_output() {
            match output {
                Output::Apply(op, what) => {
                    let result = self.apply(what);
                    self.director
                        .handle(self.now, Input::Applied { op, result });
                }
                Output::Read(part) => {
                    let snapshot = self.snapshot(part);
                    self.director.handle(self.now, Input::Actual(snapshot));
                }
                Output::Probe(id, action) => self.probe(id, action),
                _ => {}
            }
        }
        while self.director.poll_event().is_some() {}
    }

    fn probe(&mut self, id: Id, action: Action) {
        let Action::Connect { target, bind, .. } = action else {
            return;
        };
        let from = bind.map_or_else(String::new, |bind| {
            let own = bind.from_own.as_ref().map(|name| name.as_str());
            let (address, mark) = (bind.address.unwrap(), bind.mark);
            format!("{address} mark {mark} reset {} own {own:?}", bind.reset)
        });
        self.connects.push((target.to_string(), from));
        let io = Io::Connected;
        self.director.handle(self.now, Input::Probe { id, io });
    }

    fn apply(&mut self, op: Op) -> Result<(), OpError> {
        let is_private = |id: &ServiceId| matches!(id, ServiceId::Fwmark { .. });
        match &op {
            Op::NewService(id, _) if self.refuses && is_private(id) => return Err(OpError(22)),
            Op::AddAddress(..) if !self.held => return Err(OpError(13)),
            _ => self.ops.push(op.to_string()),
        }
        match op {
            Op::AddAddress(id, _) => drop(self.addresses.insert(id, true)),
            Op::DelAddress(id) => drop(self.addresses.remove(&id)),
            Op::NewService(id, service) => {
                self.table.insert(id, Pool::new(service, Dests::default()));
            }
            Op::DelService(id) => drop(self.table.remove(&id)),
            Op::NewDest(id, dest, to) | Op::SetDest(id, dest, to) => {
                let pool = self.table.get_mut(&id).ok_or(OpError::NO_SERVICE)?;
                Arc::make_mut(pool).dests.set(dest, to);
            }
            Op::DelDest(id, dest) => {
                let pool = self.table.get_mut(&id).ok_or(OpError::NO_SERVICE)?;
                Arc::make_mut(pool).dests.remove(&dest);
            }
            _ => {}
        }
        Ok(())
    }

    fn snapshot(&self, part: Part) -> Snapshot {
        let link = Link {
            ifindex: Ifindex(1),
            name: "eth0".parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            up: true,
            carrier: true,
            loopback: false,
            macvlan: None,
        };
        match part {
            Part::Network => Snapshot::Network {
                links: vec![link],
                addresses: self.addresses.iter().map(|(id, own)| (*id, *own)).collect(),
                routes: Vec::new(),
                rules: Vec::new(),
            },
            Part::Filter => Snapshot::Filter(None),
            Part::Ipvs => Snapshot::Ipvs {
                table: Table(self.table.clone()),
                counters: Tallies::default(),
                sync: BTreeMap::new(),
                timeouts: [0; 3],
            },
        }
    }
}
