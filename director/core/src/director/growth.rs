//! What a change costs must not grow with what does not change.

use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::{Director, Input, Output, Part};
use crate::config::{Config, RealServer, VirtualServer, parse};
use crate::event::Event;
use crate::kernel::{Op, Snapshot};
use crate::time::{Duration, Instant};

const SERVICES: u32 = 1000;
const DESTS: u32 = 10;

#[test]
fn a_reload_of_10_000_dests_with_one_change_is_one_operation_and_one_comparison() {
    let mut node = Node::new(config(1));
    assert_eq!(node.run().len() as u32, SERVICES * (1 + DESTS));
    let mut new = config(2);
    new.share(node.director.config());
    let same = |(old, new): (&Arc<VirtualServer>, &Arc<VirtualServer>)| Arc::ptr_eq(old, new);
    let old = &node.director.config().services;
    let changed = old.iter().zip(&new.services).filter(|pair| !same(*pair));
    assert_eq!(changed.count(), 1);
    node.director.handle(node.now, Input::Config(Box::new(new)));
    node.compared = 0;
    let ops = node.run();
    assert_eq!(node.compared, 1, "nothing else is even compared");
    assert!(
        matches!(ops.as_slice(), [Op::SetDest(_, _, to)] if to.weight == 2),
        "{ops:?}"
    );
    let mut said = node.events.iter().filter_map(|event| match event {
        Event::InForce { operations, .. } => Some(*operations),
        _ => None,
    });
    assert_eq!(said.next(), Some(1));
}

/// A director over a kernel that does what it is told.
struct Node {
    director: Director,
    now: Instant,
    events: Vec<Event>,
    /// So many objects were left to compare or to bring about, at most.
    compared: usize,
}

impl Node {
    fn new(config: Config) -> Self {
        let now = Instant::from_millis(1000);
        Self {
            director: Director::new(config, now, 1),
            now,
            events: Vec::new(),
            compared: 0,
        }
    }

    /// Turns until the configuration is in force; the IPVS operations that were done.
    fn run(&mut self) -> Vec<Op> {
        let mut done = Vec::new();
        self.events.clear();
        let is_in_force = |event: &Event| matches!(event, Event::InForce { .. });
        while !self.events.iter().any(is_in_force) {
            self.now = self.now + Duration::from_millis(1);
            self.director.handle(self.now, Input::Timeout);
            self.compared = self.compared.max(self.director.reconciler().pending());
            while let Some(output) = self.director.poll_output() {
                let input = match output {
                    Output::Apply(id, op) => {
                        if op.part() == Part::Ipvs {
                            done.push(op);
                        }
                        let result = Ok(());
                        Input::Applied { op: id, result }
                    }
                    Output::Read(part) => Input::Actual(empty(part)),
                    _ => continue,
                };
                self.director.handle(self.now, input);
            }
            self.events
                .extend(std::iter::from_fn(|| self.director.poll_event()));
        }
        done
    }
}

fn empty(part: Part) -> Snapshot {
    match part {
        Part::Network => Snapshot::Network {
            links: Vec::new(),
            addresses: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
        },
        Part::Filter => Snapshot::Filter(None),
        Part::Ipvs => Snapshot::Ipvs {
            table: Default::default(),
            counters: Default::default(),
            sync: Default::default(),
            timeouts: Default::default(),
        },
    }
}

/// The large table; one dest in its middle has this weight.
fn config(weight: u32) -> Config {
    let text = b"virtual_server 10.10.0.1 80 {\n lvs_sched rr\n lvs_method DR\n protocol TCP\n \
                 real_server 10.20.0.1 80 {\n weight 1\n }\n}\n";
    let source = crate::config::Source {
        name: "keepalived.conf",
        bytes: text,
    };
    let mut config = parse(Some(source), None).config.unwrap();
    let pattern = Arc::clone(&config.services[0]);
    let server = |number: u32| {
        let mut server = (*pattern).clone();
        if let crate::ipvs::ServiceId::Address { address, .. } = &mut server.id {
            *address = address_of(0x0a0a_0001 + number);
        }
        let real = |index: u32| {
            let mut real: RealServer = pattern.real_servers[0].clone();
            real.id.address = address_of(0x0a14_0001 + number * DESTS + index);
            if (number, index) == (SERVICES / 2, DESTS / 2) {
                real.dest.weight = weight;
            }
            real
        };
        server.real_servers = (0..DESTS).map(real).collect();
        Arc::new(server)
    };
    config.services = (0..SERVICES).map(server).collect();
    config
}

fn address_of(number: u32) -> IpAddr {
    Ipv4Addr::from(number).into()
}
