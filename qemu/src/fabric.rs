//! The switch's thread: reads frames, learns addresses, applies faults, sends frames on.
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::UnixDatagram;
use mio::{Events, Interest, Poll, Token};

use crate::frame::{Frame, Mac};
use crate::limits::{
    DELAYED_FRAMES_MAX, FRAME_BYTES_MAX, FRAMES_PER_TURN_MAX, LEARNED_ADDRESSES_MAX,
    PORT_QUEUE_MAX, RETRY_PERIOD,
};
use crate::pcap::Capture;
use crate::switch::{Direction, PortPlan, Shared};

/// The token that is no port's.
pub(crate) const WAKER: Token = Token(usize::MAX);

/// All that the thread owns.
pub(crate) struct Fabric {
    ports: Vec<Port>,
    captures: HashMap<Arc<str>, Capture>,
    /// By segment as well: a director has one address on each of its segments, but nothing forbids one on both.
    learned: HashMap<(Arc<str>, Mac), usize>,
    /// By the moment when they are due, then by arrival.
    delayed: BTreeMap<(Instant, u64), Delayed>,
    arrivals: u64,
    shared: Arc<Shared>,
}

struct Port {
    node: Arc<str>,
    segment: Arc<str>,
    socket: UnixDatagram,
    machine_path: PathBuf,
    queue: VecDeque<Arc<[u8]>>,
    /// State of the xorshift generator that decides which frames are lost; never 0.
    luck: u64,
    /// When the last delayed frame of each direction is due, so that a shorter delay does not overtake it.
    last_due: [Option<Instant>; 2],
}

struct Delayed {
    port: usize,
    direction: Direction,
    frame: Frame,
}

impl Fabric {
    /// Binds the ports' sockets and opens the captures.
    pub(crate) fn new(
        plans: Vec<PortPlan>,
        captures: &BTreeMap<String, PathBuf>,
        seed: u64,
        shared: Arc<Shared>,
        poll: &Poll,
    ) -> io::Result<Self> {
        let mut ports = Vec::new();
        for (index, plan) in plans.into_iter().enumerate() {
            let mut port = Port::bind(plan, seed.wrapping_add(index as u64))?;
            poll.registry()
                .register(&mut port.socket, Token(index), Interest::READABLE)?;
            ports.push(port);
        }
        let open = |(segment, path): (&String, &PathBuf)| {
            Ok((Arc::from(segment.as_str()), Capture::create(path)?))
        };
        let captures = captures.iter().map(open).collect::<io::Result<_>>()?;
        let (learned, delayed) = (HashMap::new(), BTreeMap::new());
        Ok(Self {
            ports,
            captures,
            learned,
            delayed,
            arrivals: 0,
            shared,
        })
    }

    /// Runs until the owner says stop.
    pub(crate) fn run(mut self, mut poll: Poll) {
        let mut events = Events::with_capacity(256);
        let mut readable: Vec<usize> = Vec::new();
        while !self.shared.stopping() {
            let timeout = if readable.is_empty() {
                self.next_timeout()
            } else {
                Some(Duration::ZERO)
            };
            match poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    log::error!("the switch can't wait for frames: {error}");
                    return;
                }
                _ => {}
            }
            for event in events.iter().filter(|event| event.token() != WAKER) {
                if !readable.contains(&event.token().0) {
                    readable.push(event.token().0);
                }
            }
            readable.retain(|port| self.read_some(*port));
            self.release_delayed(Instant::now());
            for port in &mut self.ports {
                port.send_queued();
            }
            if readable.is_empty() {
                self.flush_captures();
            }
        }
    }

    fn next_timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let due = self
            .delayed
            .keys()
            .next()
            .map(|(due, _)| due.saturating_duration_since(now));
        let retry = self
            .ports
            .iter()
            .any(|port| !port.queue.is_empty())
            .then_some(RETRY_PERIOD);
        due.into_iter().chain(retry).min()
    }

    /// Reads up to a turn's frames; whether there may be more.
    fn read_some(&mut self, index: usize) -> bool {
        let mut buffer = [0; FRAME_BYTES_MAX];
        for _ in 0..FRAMES_PER_TURN_MAX {
            let Some(port) = self.ports.get(index) else {
                return false;
            };
            match port.socket.recv(&mut buffer) {
                Ok(length) => {
                    let frame = Frame {
                        at: Instant::now(),
                        node: Arc::clone(&port.node),
                        segment: Arc::clone(&port.segment),
                        bytes: buffer.get(..length).unwrap_or_default().into(),
                    };
                    self.pass(index, Direction::FromNode, frame);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // WouldBlock is the usual end; a datagram socket has no other error that lasts.
                Err(_) => return false,
            }
        }
        true
    }

    /// Sends a frame over a port's link, on whose other end is the segment or the machine.
    fn pass(&mut self, index: usize, direction: Direction, frame: Frame) {
        let fault = self.shared.control().fault(index, direction);
        let Some(port) = self.ports.get_mut(index) else {
            return;
        };
        if fault.cut || port.is_unlucky(fault.loss) {
            return;
        }
        let slot = &mut port.last_due[direction as usize];
        let due = (frame.at + fault.delay).max(slot.unwrap_or(frame.at));
        if fault.delay.is_zero() && slot.is_none_or(|last| last <= frame.at) {
            return self.arrive(index, direction, frame);
        }
        *slot = Some(due);
        if self.delayed.len() < DELAYED_FRAMES_MAX {
            self.arrivals += 1;
            self.delayed.insert(
                (due, self.arrivals),
                Delayed {
                    port: index,
                    direction,
                    frame,
                },
            );
        }
    }

    fn release_delayed(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let Delayed {
                port,
                direction,
                frame,
            } = entry.remove();
            self.arrive(port, direction, frame);
        }
    }

    fn arrive(&mut self, index: usize, direction: Direction, frame: Frame) {
        match direction {
            Direction::FromNode => self.enter(index, frame),
            Direction::ToNode => {
                if let Some(port) = self.ports.get_mut(index) {
                    port.enqueue(frame.bytes);
                }
            }
        }
    }

    /// A frame enters its segment: record, learn, forward.
    fn enter(&mut self, from: usize, frame: Frame) {
        let (Some(destination), Some(source)) = (frame.destination(), frame.source()) else {
            return;
        };
        self.shared.control().publish(&frame);
        if let Some(capture) = self.captures.get_mut(&frame.segment)
            && let Err(error) = capture.record(frame.at, &frame.bytes)
        {
            log::warn!("the capture of {} ends: {error}", frame.segment);
            self.captures.remove(&frame.segment);
        }
        if !source.is_group() && self.learned.len() < LEARNED_ADDRESSES_MAX {
            self.learned
                .insert((Arc::clone(&frame.segment), source), from);
        }
        match self.learned.get(&(Arc::clone(&frame.segment), destination)) {
            Some(port) if *port == from => {}
            Some(port) => self.forward(*port, frame),
            None => self.flood(from, &frame),
        }
    }

    fn flood(&mut self, from: usize, frame: &Frame) {
        for to in 0..self.ports.len() {
            if to != from
                && self
                    .ports
                    .get(to)
                    .is_some_and(|port| port.segment == frame.segment)
            {
                self.forward(to, frame.clone());
            }
        }
    }

    /// Sends a frame to a machine, unless it is separated from the sender.
    fn forward(&mut self, to: usize, frame: Frame) {
        let receiver = self.ports.get(to).map(|port| Arc::clone(&port.node));
        let reaches = |node: Arc<str>| !self.shared.control().are_separated(&frame.node, &node);
        if receiver.is_some_and(reaches) {
            self.pass(to, Direction::ToNode, frame);
        }
    }

    fn flush_captures(&mut self) {
        self.captures.retain(|segment, capture| {
            let flushed = capture.flush();
            if let Err(error) = &flushed {
                log::warn!("the capture of {segment} ends: {error}");
            }
            flushed.is_ok()
        });
    }
}

impl Port {
    fn bind(plan: PortPlan, seed: u64) -> io::Result<Self> {
        Ok(Self {
            node: plan.node.into(),
            segment: plan.segment.into(),
            socket: UnixDatagram::bind(&plan.switch_path)?,
            machine_path: plan.machine_path,
            queue: VecDeque::new(),
            luck: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            last_due: [None; 2],
        })
    }

    fn enqueue(&mut self, frame: Arc<[u8]>) {
        if self.queue.len() < PORT_QUEUE_MAX {
            self.queue.push_back(frame);
        }
        self.send_queued();
    }

    /// Sends until the machine's socket is full; a machine that is off loses its frames.
    fn send_queued(&mut self) {
        while let Some(frame) = self.queue.front() {
            match self.socket.send_to(frame, &self.machine_path) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => drop(self.queue.pop_front()),
            }
        }
    }

    fn is_unlucky(&mut self, loss: f64) -> bool {
        if loss <= 0.0 {
            return false;
        }
        self.luck ^= self.luck << 13;
        self.luck ^= self.luck >> 7;
        self.luck ^= self.luck << 17;
        (self.luck >> 11) as f64 / (1u64 << 53) as f64 <= loss
    }
}
