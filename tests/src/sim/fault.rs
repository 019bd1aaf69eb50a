//! What goes wrong, by chance or by order.

use core::net::IpAddr;

use director_core::director::Command;
use director_core::kernel::OpError;
use director_core::net::Ifindex;
use director_core::overrides::Wish;
use director_core::time::Duration;

use super::kernel::{Edit, Refusal};
use super::laws::Violation;
use super::node::Arrival;
use super::random::Random;
use super::reals::Mood;
use super::world::World;

/// One thing that goes wrong, or that somebody does.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Packets from one node to another are lost, all or some, or come twice or late.
    Path {
        /// From here.
        from: usize,
        /// To there.
        to: usize,
        /// Nothing passes.
        cut: bool,
        /// Percent that are lost.
        loss: usize,
        /// Percent that come twice.
        double: usize,
        /// Longest additional delay.
        delay: Duration,
    },
    /// The director's loop stands still.
    Stall {
        /// Where.
        node: usize,
    },
    /// The director's process dies and is started again at the end.
    Crash {
        /// Where.
        node: usize,
    },
    /// The machine is without power until the end.
    PowerCut {
        /// Where.
        node: usize,
    },
    /// The cable is out.
    Unplug {
        /// Where.
        node: usize,
    },
    /// Somebody sets the interface down; nobody but the director sets it up again.
    SetDown {
        /// Where.
        node: usize,
    },
    /// The network device is gone with all memberships, and comes again under another number or the same one.
    DeviceGone {
        /// Where.
        node: usize,
    },
    /// The kernel refuses operations.
    Refuse {
        /// Where.
        node: usize,
        /// How.
        refusal: Refusal,
    },
    /// The kernel is slow.
    Slow {
        /// Where.
        node: usize,
        /// Time for one operation.
        cost: Duration,
    },
    /// Notifications are lost; at the end the director hears of that.
    Deaf {
        /// Where.
        node: usize,
    },
    /// Somebody changes the kernel's state.
    Edit {
        /// Where.
        node: usize,
        /// What.
        edit: Edit,
    },
    /// A real server changes its mood, for good.
    Real {
        /// Which.
        address: IpAddr,
        /// How it answers from now on.
        mood: Mood,
    },
    /// An operator's word on any dest.
    Word {
        /// Where.
        node: usize,
        /// Which: a number that is counted round.
        pick: usize,
        /// What.
        wish: Wish,
    },
    /// Somebody writes a number to the file that virtual routers track.
    Switch {
        /// Where.
        node: usize,
        /// What.
        number: i64,
    },
    /// A planned handover.
    Handover {
        /// Where.
        node: usize,
    },
    /// An orderly stop; a start at the end.
    Stop {
        /// Where.
        node: usize,
    },
    /// Somebody without a key says an old signed advert again.
    Replay {
        /// Which: a number that is counted round.
        pick: usize,
    },
    /// Another configuration.
    Reload {
        /// Where.
        node: usize,
    },
}

impl Fault {
    /// Any fault in a world of so many nodes.
    pub fn random(nodes: usize, world: &mut World) -> Self {
        let random = &mut world.random;
        let node = random.below(nodes);
        match random.below(19) {
            0..=2 => Self::random_path(nodes, random),
            3 => Self::Stall { node },
            4 => Self::Crash { node },
            5 => Self::PowerCut { node },
            6 => Self::Unplug { node },
            7 => Self::SetDown { node },
            8 => Self::DeviceGone { node },
            9 => Self::Refuse {
                node,
                refusal: Refusal {
                    percent: random.pick(&[10, 50, 100]),
                    // EEXIST, ENOENT, ESRCH, ENOBUFS, ENOMEM, EPERM
                    error: OpError(random.pick(&[17, 2, 3, 105, 12, 1])),
                    done: random.chance(30),
                },
            },
            10 => Self::Slow {
                node,
                cost: random.time(Duration::from_millis(1), Duration::from_millis(30)),
            },
            11 => Self::Deaf { node },
            12 => Self::random_edit(node, world),
            13 => Self::Real {
                address: [10, 0, 0, 201 + random.below(3) as u8].into(),
                mood: random.pick(&Mood::ALL),
            },
            14 => {
                if random.chance(60) {
                    Self::Handover { node }
                } else {
                    Self::Stop { node }
                }
            }
            15 => Self::Word {
                node,
                pick: random.below(100),
                wish: random.pick(&[
                    Wish::Drain(None),
                    Wish::Drain(Some(3)),
                    Wish::Disable,
                    Wish::Weight(5),
                    Wish::Enable,
                    Wish::Enable,
                ]),
            },
            16 => Self::Switch {
                node,
                number: random.pick(&[0, 0, -20, -100, -253, 40]),
            },
            17 => Self::Replay {
                pick: random.below(100),
            },
            _ => Self::Reload { node },
        }
    }

    fn random_path(nodes: usize, random: &mut Random) -> Self {
        let from = random.below(nodes);
        let to = (from + 1 + random.below(nodes - 1)) % nodes;
        let kind = random.below(4);
        Self::Path {
            from,
            to,
            cut: kind == 0,
            loss: if kind == 1 { random.below(90) } else { 0 },
            double: if kind == 2 { random.below(90) } else { 0 },
            delay: match kind {
                3 => random.time(Duration::from_millis(1), Duration::from_secs(2)),
                _ => Duration::ZERO,
            },
        }
    }

    fn random_edit(node: usize, world: &mut World) -> Self {
        let routers = &world.nodes[node].configs[0].routers;
        let cidr = routers[world.random.below(routers.len())].addresses[0].cidr;
        let edit = world.random.pick(&[
            Edit::FlushAddresses,
            Edit::FlushRoutes,
            Edit::AddAddress(cidr),
            Edit::ClearTable,
            Edit::DeleteDests,
            Edit::ChangeWeights,
            Edit::ForeignService,
            Edit::ChangeSchedulers,
            Edit::StopSync,
            Edit::ChangeTimeouts,
            Edit::FlushFilter,
            Edit::ChangeFilter,
            Edit::DeleteDevices,
        ]);
        Self::Edit { node, edit }
    }
}

impl World {
    /// Plans a number of random faults that all begin and end within `time`.
    pub fn plan_faults(&mut self, count: usize, time: Duration) {
        let nodes = self.nodes.len();
        for _ in 0..count {
            let fault = Fault::random(nodes, self);
            let begin = self.random.time(Duration::ZERO, time);
            let left = time - begin;
            let end = begin
                + self
                    .random
                    .time(Duration::ZERO, left.max(Duration::from_micros(1)));
            self.plan(self.now + begin, self.now + end, fault);
        }
    }

    /// A fault begins.
    ///
    /// # Errors
    /// When a law is violated.
    pub fn begin(&mut self, fault: &Fault) -> Result<(), Violation> {
        match fault {
            Fault::Path {
                from,
                to,
                cut,
                loss,
                double,
                delay,
            } => {
                let path = self.network.path(*from, *to);
                path.cut = *cut;
                path.loss = *loss;
                path.double = *double;
                path.delay = *delay;
            }
            Fault::Stall { node } => {
                self.nodes[*node].stalled = self.nodes[*node].director.is_some();
            }
            Fault::Crash { node } => self.nodes[*node].kill(),
            Fault::PowerCut { node } => {
                self.nodes[*node].kill();
                self.nodes[*node].saved.clear();
                let cable = self.nodes[*node].kernel.cable;
                self.nodes[*node].kernel = super::kernel::Kernel::booted(*node);
                self.nodes[*node].kernel.plug(cable);
                self.nodes[*node].kernel.take_notices();
            }
            Fault::Unplug { node } => self.nodes[*node].kernel.plug(false),
            Fault::SetDown { node } => self.nodes[*node].kernel.set_up(false),
            Fault::DeviceGone { node } => {
                let ifindex = self.nodes[*node].kernel.ifindex;
                self.nodes[*node]
                    .joined
                    .retain(|(other, _)| *other != ifindex);
                self.nodes[*node].kernel.device_goes();
            }
            Fault::Refuse { node, refusal } => self.nodes[*node].kernel.refusal = Some(*refusal),
            Fault::Slow { node, cost } => self.nodes[*node].kernel.cost = *cost,
            Fault::Deaf { node } => self.nodes[*node].deaf = true,
            Fault::Edit { node, edit } => {
                self.nodes[*node].kernel.edit(*edit);
                self.nodes[*node].meddled_at = self.now;
            }
            Fault::Real { address, mood } => drop(self.reals.0.insert(*address, *mood)),
            Fault::Word { node, pick, wish } => {
                let director = self.nodes[*node].director.iter();
                let services = director.flat_map(|director| &director.config().services);
                let dests =
                    services.flat_map(|of| of.real_servers.iter().map(|real| (of.id, real.id)));
                let dests: Vec<_> = dests.collect();
                if let Some((service, dest)) = dests.get(pick % dests.len().max(1)) {
                    let command = Command::Dest(*service, *dest, *wish);
                    self.operator(*node, Arrival::Command(command))?;
                }
            }
            Fault::Switch { node, number } => self.nodes[*node].switch = *number,
            Fault::Handover { node } => {
                self.operator(*node, Arrival::Command(Command::Handover(None)))?;
            }
            Fault::Stop { node } => self.operator(*node, Arrival::Command(Command::Stop))?,
            Fault::Replay { pick } => self.replay(*pick),
            Fault::Reload { node } => self.operator(*node, Arrival::Reload)?,
        }
        (0..self.nodes.len()).for_each(|node| self.notify(node));
        Ok(())
    }

    /// A fault ends.
    ///
    /// # Errors
    /// When a law is violated.
    pub fn end(&mut self, fault: &Fault) -> Result<(), Violation> {
        match fault {
            Fault::Path { from, to, .. } => *self.network.path(*from, *to) = Default::default(),
            Fault::Stall { node } => self.resume(*node)?,
            Fault::Crash { node } | Fault::PowerCut { node } | Fault::Stop { node } => {
                self.start(*node)?;
            }
            Fault::Unplug { node } => self.nodes[*node].kernel.plug(true),
            Fault::DeviceGone { node } => {
                // Unseen and under the same number: see the story of a device that comes again unseen.
                let same = self.random.chance(30) && !self.nodes[*node].deaf;
                let next = u32::from(!same);
                let kernel = &mut self.nodes[*node].kernel;
                if !kernel.state.links.contains_key(&kernel.ifindex) {
                    kernel.device_comes(Ifindex(kernel.ifindex.0 + next));
                }
            }
            Fault::Refuse { node, .. } => {
                self.nodes[*node].kernel.refusal = None;
                self.nodes[*node].meddled_at = self.now;
            }
            Fault::Slow { node, .. } => {
                self.nodes[*node].kernel.cost = Duration::from_micros(50);
            }
            Fault::Deaf { node } => {
                self.nodes[*node].deaf = false;
                self.overrun(*node);
            }
            Fault::SetDown { .. }
            | Fault::Edit { .. }
            | Fault::Real { .. }
            | Fault::Word { .. }
            | Fault::Switch { .. }
            | Fault::Handover { .. }
            | Fault::Replay { .. }
            | Fault::Reload { .. } => {}
        }
        (0..self.nodes.len()).for_each(|node| self.notify(node));
        Ok(())
    }

    /// An operator reaches a director that runs; one that stands still hears it later.
    fn operator(&mut self, node: usize, arrival: Arrival) -> Result<(), Violation> {
        let of = &mut self.nodes[node];
        if of.director.is_none() {
            return Ok(());
        }
        if of.stalled {
            of.inbox.push(arrival);
            return Ok(());
        }
        self.arrive(node, arrival)
    }

    /// Everything that was planned to go wrong is over: what was stopped runs again.
    ///
    /// # Errors
    /// When a law is violated.
    pub fn heal(&mut self) -> Result<(), Violation> {
        (0..self.nodes.len()).try_for_each(|node| self.start(node))
    }
}
