//! The segment that joins the directors: loses, delays, doubles, and is cut in one direction or both.

use director_core::time::{Duration, Instant};

use super::random::Random;

/// What a packet takes at best and at worst, while nothing delays it.
const WIRE_MIN: Duration = Duration::from_micros(50);
const WIRE_MAX: Duration = Duration::from_micros(800);

/// What one direction between two nodes does to packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// Nothing passes.
    pub cut: bool,
    /// Of a hundred packets so many are lost.
    pub loss: usize,
    /// So many come twice.
    pub double: usize,
    /// Longest additional delay.
    pub delay: Duration,
}

impl Path {
    /// Whether packets pass as they should.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        !self.cut && self.loss == 0 && self.double == 0 && self.delay.is_zero()
    }
}

/// All directions between `nodes` nodes.
#[derive(Clone, Debug)]
pub struct Network {
    nodes: usize,
    paths: Vec<Path>,
    /// When the last packet that was sent so far arrives.
    quiet_at: Instant,
}

impl Network {
    /// A segment that is whole.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self {
            nodes,
            paths: vec![Path::default(); nodes * nodes],
            quiet_at: Instant::ZERO,
        }
    }

    /// The direction from one node to another.
    pub fn path(&mut self, from: usize, to: usize) -> &mut Path {
        &mut self.paths[from * self.nodes + to]
    }

    /// Whether every direction is as it should be, and no packet of worse times is still under way.
    #[must_use]
    pub fn is_whole(&self, now: Instant) -> bool {
        self.paths.iter().all(Path::is_whole) && self.quiet_at <= now + WIRE_MAX
    }

    /// When one packet that is sent now arrives: never, once or twice.
    pub fn carry(
        &mut self,
        now: Instant,
        from: usize,
        to: usize,
        random: &mut Random,
    ) -> [Option<Instant>; 2] {
        let path = *self.path(from, to);
        if path.cut || random.chance(path.loss) {
            return [None; 2];
        }
        let copies = if random.chance(path.double) { 2 } else { 1 };
        let extra = path.delay.max(Duration::from_micros(1));
        let mut arrivals = [None; 2];
        for arrival in arrivals.iter_mut().take(copies) {
            let wire = random.time(WIRE_MIN, WIRE_MAX);
            *arrival = Some(now + wire + random.time(Duration::ZERO, extra));
        }
        let last = arrivals.iter().flatten().copied();
        self.quiet_at = last.fold(self.quiet_at, Instant::max);
        arrivals
    }
}
