//! The lab's Ethernet: one learning switch for all segments, as a thread over Unix datagram sockets.
//!
//! QEMU's `dgram` netdev sends each frame as one datagram, without root, and does not echo a sender's own frames as
//! its multicast netdevs do (which breaks duplicate address detection). The switch has a socket for each port of each
//! machine, so a frame's port is known from where it was read. Machines and switch may start in any order.
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::{Poll, Waker};

use crate::fabric::{Fabric, WAKER};
use crate::frame::Frame;
use crate::limits::TAP_QUEUE_MAX;

/// A port to be: who is on it, and the two socket paths (at most 107 bytes each).
#[derive(Clone, Debug)]
pub struct PortPlan {
    /// The node.
    pub node: String,
    /// The segment it is on.
    pub segment: String,
    /// Where the machine sends its frames: bound by the switch.
    pub switch_path: PathBuf,
    /// Where the machine expects frames: bound by QEMU.
    pub machine_path: PathBuf,
}

/// What is wrong with one direction of a node's link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fault {
    /// Nothing passes. The machine does not notice: its carrier stays, unlike with [`crate::vm::Vm::set_link`].
    pub cut: bool,
    /// Each frame is lost with this probability, 0.0 to 1.0, by a generator seeded per port.
    pub loss: f64,
    /// Each frame is late by this much; the order stays.
    pub delay: Duration,
}

impl Fault {
    /// Nothing passes.
    pub const CUT: Self = Self {
        cut: true,
        loss: 0.0,
        delay: Duration::ZERO,
    };
    /// All is well.
    pub const NONE: Self = Self {
        cut: false,
        loss: 0.0,
        delay: Duration::ZERO,
    };
}

/// The two directions of a node's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the node sends.
    FromNode,
    /// What the node is to receive.
    ToNode,
}

/// A running switch; it ends when dropped.
pub struct Switch {
    /// Node and segment of each port, in the order of the plan.
    ports: Vec<(String, String)>,
    shared: Arc<Shared>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// A subscription to the frames that a filter lets through; it ends when dropped.
pub struct Tap {
    frames: Receiver<Frame>,
    missed: Arc<AtomicU64>,
}

/// What the switch's owner and its thread have in common.
pub(crate) struct Shared {
    stop: AtomicBool,
    control: Mutex<Control>,
}

/// What the owner changes while the switch runs.
pub(crate) struct Control {
    faults: Vec<LinkFaults>,
    /// Nodes between which nothing passes.
    separated: Option<(String, String)>,
    taps: Vec<Subscriber>,
}

/// What is wrong with the link at one port.
#[derive(Clone, Copy)]
struct LinkFaults {
    from_node: Fault,
    to_node: Fault,
}

struct Subscriber {
    filter: Box<dyn Fn(&Frame) -> bool + Send>,
    frames: SyncSender<Frame>,
    missed: Arc<AtomicU64>,
}

impl Switch {
    /// Starts a switch with these ports. A segment named in `captures` is written to the file there. Errors: a socket
    /// path that is taken or too long, a capture that can't be written.
    pub fn start(
        ports: Vec<PortPlan>,
        captures: &BTreeMap<String, PathBuf>,
        seed: u64,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let well = LinkFaults {
            from_node: Fault::NONE,
            to_node: Fault::NONE,
        };
        let control = Control {
            faults: vec![well; ports.len()],
            separated: None,
            taps: Vec::new(),
        };
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            control: Mutex::new(control),
        });
        let names = ports
            .iter()
            .map(|port| (port.node.clone(), port.segment.clone()))
            .collect();
        let fabric = Fabric::new(ports, captures, seed, Arc::clone(&shared), &poll)?;
        let thread = thread::Builder::new()
            .name("switch".to_owned())
            .spawn(move || fabric.run(poll))?;
        Ok(Self {
            ports: names,
            shared,
            waker,
            thread: Some(thread),
        })
    }

    /// Subscribes to the gratuitous ARPs for an address: its owner says where it is now.
    pub fn announcements(&self, address: Ipv4Addr) -> Tap {
        self.tap(move |frame| {
            frame
                .arp_announcement()
                .is_some_and(|(announced, _)| announced == address)
        })
    }

    /// Subscribes to the gratuitous ARPs of one node for an address.
    pub fn announcements_of(&self, node: &str, address: Ipv4Addr) -> Tap {
        let node = node.to_owned();
        let fits = move |frame: &Frame| {
            frame
                .arp_announcement()
                .is_some_and(|(announced, _)| announced == address)
        };
        self.tap(move |frame| *frame.node == *node && fits(frame))
    }

    /// Subscribes to the adverts that a node sends.
    pub fn adverts_of(&self, node: &str) -> Tap {
        let node = node.to_owned();
        self.tap(move |frame| *frame.node == *node && frame.advert().is_some())
    }

    /// Sets what is wrong with one direction of a node's links to all its segments. An unknown node has none.
    pub fn set_fault(&self, node: &str, direction: Direction, fault: Fault) {
        self.set_fault_where(|port| port.0 == node, direction, fault);
    }

    /// The same for its link to one segment only.
    pub fn set_fault_on(&self, node: &str, segment: &str, direction: Direction, fault: Fault) {
        self.set_fault_where(|port| port.0 == node && port.1 == segment, direction, fault);
    }

    /// Cuts a node's links in both directions; its carrier stays.
    pub fn cut(&self, node: &str) {
        self.set_fault(node, Direction::FromNode, Fault::CUT);
        self.set_fault(node, Direction::ToNode, Fault::CUT);
    }

    /// Ends whatever was wrong with a node's links.
    pub fn heal(&self, node: &str) {
        self.set_fault(node, Direction::FromNode, Fault::NONE);
        self.set_fault(node, Direction::ToNode, Fault::NONE);
    }

    /// Lets nothing pass between two nodes, which go on reaching all others; ends the separation of the two before.
    pub fn separate(&self, one: &str, other: &str) {
        self.shared.control().separated = Some((one.to_owned(), other.to_owned()));
    }

    /// Ends a separation.
    pub fn reunite(&self) {
        self.shared.control().separated = None;
    }

    fn set_fault_where(
        &self,
        applies: impl Fn(&(String, String)) -> bool,
        direction: Direction,
        fault: Fault,
    ) {
        let mut control = self.shared.control();
        for (_, faults) in self
            .ports
            .iter()
            .zip(&mut control.faults)
            .filter(|(port, _)| applies(port))
        {
            match direction {
                Direction::FromNode => faults.from_node = fault,
                Direction::ToNode => faults.to_node = fault,
            }
        }
    }

    /// Subscribes to the frames that enter any segment and for which `filter` holds. Frames lost or cut on their way
    /// in are not seen; those lost on their way out are. Subscribe before the deed whose effect is looked for.
    pub fn tap(&self, filter: impl Fn(&Frame) -> bool + Send + 'static) -> Tap {
        let (sender, frames) = sync_channel(TAP_QUEUE_MAX);
        let missed = Arc::new(AtomicU64::new(0));
        let subscriber = Subscriber {
            filter: Box::new(filter),
            frames: sender,
            missed: Arc::clone(&missed),
        };
        self.shared.control().taps.push(subscriber);
        Tap { frames, missed }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if self.waker.wake().is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A switch that panicked has said so; there is nothing left to end.
            let _ = thread.join();
        }
    }
}

impl Tap {
    /// The next frame, waiting for it as long as `timeout`.
    pub fn next(&self, timeout: Duration) -> Option<Frame> {
        self.frames.recv_timeout(timeout).ok()
    }

    /// The frames that are there already.
    pub fn drain(&self) -> Vec<Frame> {
        self.frames.try_iter().collect()
    }

    /// Frames that were thrown away since nobody took the ones before them.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap")
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Whether the switch is to end.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Faults and taps are whole at every moment, so a panic while they were held leaves nothing half done.
    pub(crate) fn control(&self) -> MutexGuard<'_, Control> {
        self.control
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Control {
    /// What is wrong with a port's link in this direction.
    pub(crate) fn fault(&self, port: usize, direction: Direction) -> Fault {
        self.faults
            .get(port)
            .map_or(Fault::NONE, |faults| match direction {
                Direction::FromNode => faults.from_node,
                Direction::ToNode => faults.to_node,
            })
    }

    /// Whether nothing passes from one node to the other.
    pub(crate) fn are_separated(&self, from: &str, to: &str) -> bool {
        let separated = self.separated.as_ref();
        separated.is_some_and(|(one, other)| {
            (one == from && other == to) || (one == to && other == from)
        })
    }

    /// Gives a frame to everyone who asked for its kind, and forgets those who are gone.
    pub(crate) fn publish(&mut self, frame: &Frame) {
        self.taps.retain(|tap| {
            if !(tap.filter)(frame) {
                return true;
            }
            match tap.frames.try_send(frame.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    tap.missed.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::time::Instant;

    const WAIT: Duration = Duration::from_secs(20);

    /// Machines on one segment, played by plain sockets.
    struct Bench {
        switch: Option<Switch>,
        machines: Vec<(UnixDatagram, PathBuf)>,
        folder: PathBuf,
    }

    impl Bench {
        fn new(name: &str, count: usize) -> Self {
            let folder =
                std::env::temp_dir().join(format!("keelson-switch-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let plan = |index: usize| PortPlan {
                node: format!("n{index}"),
                segment: "lan".into(),
                switch_path: folder.join(format!("s{index}")),
                machine_path: folder.join(format!("m{index}")),
            };
            let ports: Vec<PortPlan> = (0..count).map(plan).collect();
            let captures = BTreeMap::from([("lan".to_owned(), folder.join("lan.pcap"))]);
            let machine = |port: &PortPlan| {
                let socket = UnixDatagram::bind(&port.machine_path).unwrap();
                socket.set_read_timeout(Some(WAIT)).unwrap();
                (socket, port.switch_path.clone())
            };
            let machines = ports.iter().map(machine).collect();
            Self {
                switch: Some(Switch::start(ports, &captures, 1).unwrap()),
                machines,
                folder,
            }
        }

        fn switch(&self) -> &Switch {
            self.switch.as_ref().unwrap()
        }

        fn send(&self, from: u8, to: u8, tag: u8) {
            let (socket, path) = &self.machines[usize::from(from)];
            socket.send_to(&frame(from, to, tag), path).unwrap();
        }

        /// The tag of the next frame that a machine receives.
        fn receive(&self, machine: usize) -> u8 {
            let mut frame = [0; 2048];
            self.machines[machine].0.recv(&mut frame).unwrap();
            frame[14]
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.folder).unwrap();
        }
    }

    /// `to` 0xff is broadcast.
    fn frame(from: u8, to: u8, tag: u8) -> [u8; 60] {
        let mut frame = [0; 60];
        frame[0..6].copy_from_slice(&if to == 0xff {
            [0xff; 6]
        } else {
            [2, 0, 0, 0, 0, to]
        });
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, from]);
        frame[14] = tag;
        frame
    }

    #[test]
    fn a_frame_to_a_known_address_goes_to_its_port_alone() {
        let bench = Bench::new("learn", 3);
        bench.send(1, 0xff, 1);
        assert_eq!((bench.receive(0), bench.receive(2)), (1, 1));
        bench.send(0, 1, 2);
        bench.send(0, 0xff, 3);
        assert_eq!((bench.receive(1), bench.receive(1)), (2, 3));
        assert_eq!(bench.receive(2), 3, "the frame to n1 was not for n2");
    }

    #[test]
    fn a_cut_in_one_direction_leaves_the_other() {
        let bench = Bench::new("cut", 2);
        let tap = bench.switch().tap(|_| true);
        bench
            .switch()
            .set_fault("n0", Direction::FromNode, Fault::CUT);
        bench.send(0, 0xff, 1);
        bench.send(1, 0xff, 2);
        assert_eq!(bench.receive(0), 2);
        assert_eq!(
            tap.next(WAIT).unwrap().bytes[14],
            2,
            "a tap sees what enters the segment"
        );
        bench.switch().heal("n0");
        bench.send(0, 0xff, 3);
        assert_eq!(bench.receive(1), 3);
    }

    #[test]
    fn separated_nodes_reach_all_others_but_not_each_other() {
        let bench = Bench::new("separate", 3);
        bench.switch().separate("n0", "n1");
        bench.send(0, 0xff, 1);
        bench.send(1, 0xff, 2);
        bench.send(2, 0xff, 3);
        assert_eq!((bench.receive(2), bench.receive(2)), (1, 2));
        assert_eq!((bench.receive(0), bench.receive(1)), (3, 3));
        bench.send(1, 0, 4);
        // What comes behind it tells that it was judged.
        bench.send(1, 2, 5);
        assert_eq!(bench.receive(2), 5);
        bench.switch().reunite();
        bench.send(1, 0, 6);
        assert_eq!(
            bench.receive(0),
            6,
            "a frame to a known address is not passed either"
        );
    }

    #[test]
    fn a_lossy_link_loses_its_share_and_the_same_frames_again() {
        let survivors = |name: &str| {
            let bench = Bench::new(name, 2);
            let entered = bench.switch().tap(|_| true);
            bench.switch().set_fault(
                "n1",
                Direction::ToNode,
                Fault {
                    loss: 0.5,
                    ..Fault::NONE
                },
            );
            for tag in 0..100 {
                bench.send(0, 0xff, tag);
                entered.next(WAIT).unwrap();
            }
            // Of twenty end marks at least one comes through, and always the same one.
            for _ in 0..20 {
                bench.send(0, 0xff, 255);
                entered.next(WAIT).unwrap();
            }
            let tags = std::iter::repeat_with(|| bench.receive(1));
            tags.take_while(|tag| *tag != 255).collect::<Vec<u8>>()
        };
        let first = survivors("loss-1");
        assert!(
            (25..75).contains(&first.len()),
            "{} of 100 came through",
            first.len()
        );
        assert_eq!(first, survivors("loss-2"));
    }

    #[test]
    fn a_burst_to_a_slow_machine_waits_for_it_in_order() {
        let bench = Bench::new("burst", 2);
        let tap = bench.switch().tap(|_| true);
        for tag in 0..100 {
            bench.send(0, 0xff, tag);
            // The socket into the switch is as short as the one out of it.
            tap.next(WAIT).unwrap();
        }
        assert!((0..100).all(|tag| bench.receive(1) == tag));
    }

    #[test]
    fn a_delayed_frame_comes_late_and_the_next_one_after_it() {
        let bench = Bench::new("delay", 2);
        let delay = Duration::from_millis(50);
        bench.switch().set_fault(
            "n1",
            Direction::ToNode,
            Fault {
                delay,
                ..Fault::NONE
            },
        );
        let start = Instant::now();
        bench.send(0, 0xff, 1);
        bench.send(0, 0xff, 2);
        assert_eq!((bench.receive(1), bench.receive(1)), (1, 2));
        assert!(start.elapsed() >= delay);
    }

    #[test]
    fn a_capture_holds_every_frame() {
        let mut bench = Bench::new("capture", 2);
        bench.send(0, 0xff, 1);
        bench.send(0, 0xff, 2);
        assert_eq!((bench.receive(1), bench.receive(1)), (1, 2));
        drop(bench.switch.take());
        let captured = std::fs::metadata(bench.folder.join("lan.pcap"))
            .unwrap()
            .len();
        assert_eq!(captured, 24 + 2 * (16 + 60), "the header and two records");
    }
}
