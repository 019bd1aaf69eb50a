//! When a child is started, restarted, given up on and stopped: a machine without clock, process or signal.
//!
//! The loop tells it what happened (`handle_*`), asks what to do (`poll_action`, until `None`) and sleeps until
//! `next_timeout`. Late and spurious calls are harmless.
//!
//! ```text
//!            started            stop asked            kill_at passed
//!   Down ------------> Running -----------> Ending -----------------> Killed
//!    ^                    |  heart stopped                               ^ |
//!    |                    +----------------------------------------------+ |
//!    +---------------- exited (from Running, Ending, Killed) --------------+
//! ```

use std::time::{Duration, Instant};

use super::limits;

/// One child of PID 1, by its place in the table of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitId(usize);

/// What happens when a child ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// The director: again at once, for the peer does not wait; but [`limits::DIRECTOR_FAILURES_MAX`] ends within
    /// [`limits::DIRECTOR_FAILURE_WINDOW`] mean that this node is not sane, and it reboots. Its heart is watched too.
    AtOnceOrReboot,
    /// The others: again after a pause that doubles while they do not last. They never reboot the node.
    WithPause,
}

/// How the node goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Start again by the firmware.
    Reboot,
    /// Stop the processors, leave the power on.
    Halt,
    /// Power off.
    PowerOff,
}

/// A signal that the machine wants sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// SIGTERM: end in good order.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// What the loop has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start this unit, then call `handle_started` or `handle_start_failed`.
    Start(UnitId),
    /// Send the signal to the process.
    Signal(UnitId, i32, Ask),
    /// Every child has ended or has been given up: take the machine down.
    Finish(Stop),
}

/// What became of a child that ended, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The unit whose process it was.
    pub unit: UnitId,
    /// How long it ran.
    pub ran: Duration,
    /// What happens to it.
    pub next: Next,
}

/// What happens to a child that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is started again after this pause.
    Again(Duration),
    /// It stays down, for the node goes down.
    StaysDown,
    /// It was the director, and it has failed too often: the node reboots.
    Reboot,
}

/// The restart machine of all children.
#[derive(Debug)]
pub struct Supervisor {
    units: Vec<Unit>,
    phase: Phase,
    /// Time of the last call. A long gap means that this whole machine stood still, and then silence is no sign.
    last_turn: Instant,
}

#[derive(Debug)]
struct Unit {
    restart: Restart,
    state: State,
    /// Recent ends, oldest first; at most [`limits::DIRECTOR_FAILURES_MAX`].
    failures: Vec<Instant>,
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Down {
        start_at: Instant,
    },
    Starting,
    Running {
        pid: i32,
        since: Instant,
        last_beat: Option<Instant>,
    },
    Ending {
        pid: i32,
        since: Instant,
        kill_at: Instant,
    },
    Killed {
        pid: i32,
        since: Instant,
        give_up_at: Instant,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Up,
    Stopping(Stop),
    Finished,
}

impl Supervisor {
    /// A supervisor without children.
    pub fn new(now: Instant) -> Self {
        Self {
            units: Vec::new(),
            phase: Phase::Up,
            last_turn: now,
        }
    }

    /// Adds a child that is to be started now; `None` when the table is full ([`limits::UNITS_MAX`]).
    pub fn add(&mut self, now: Instant, restart: Restart) -> Option<UnitId> {
        if self.units.len() >= limits::UNITS_MAX {
            return None;
        }
        let state = State::Down { start_at: now };
        self.units.push(Unit {
            restart,
            state,
            failures: Vec::new(),
            pause: limits::PAUSE_MIN,
        });
        Some(UnitId(self.units.len() - 1))
    }

    /// The unit runs as process `pid`.
    pub fn handle_started(&mut self, now: Instant, unit: UnitId, pid: i32) {
        self.units[unit.0].state = State::Running {
            pid,
            since: now,
            last_beat: None,
        };
    }

    /// The unit could not be started; this counts as a start that failed at once.
    pub fn handle_start_failed(&mut self, now: Instant, unit: UnitId) -> Next {
        self.ended(now, unit, Duration::ZERO)
    }

    /// A process ended. `None` when it was no unit's: an orphan that PID 1 inherited.
    pub fn handle_exit(&mut self, now: Instant, pid: i32) -> Option<Ended> {
        let (place, since) = self
            .units
            .iter()
            .enumerate()
            .find_map(|(place, unit)| match unit.state {
                State::Running {
                    pid: own, since, ..
                }
                | State::Ending {
                    pid: own, since, ..
                }
                | State::Killed {
                    pid: own, since, ..
                } => (own == pid).then_some((place, since)),
                State::Down { .. } | State::Starting => None,
            })?;
        let (unit, ran) = (UnitId(place), now.saturating_duration_since(since));
        Some(Ended {
            unit,
            ran,
            next: self.ended(now, unit, ran),
        })
    }

    /// The director's loop gave a sign of life.
    pub fn handle_heartbeat(&mut self, now: Instant) {
        for unit in &mut self.units {
            if let (Restart::AtOnceOrReboot, State::Running { last_beat, .. }) =
                (unit.restart, &mut unit.state)
            {
                *last_beat = Some(now);
            }
        }
    }

    /// Take the node down in good order. The first request decides; later ones change nothing.
    pub fn handle_stop(&mut self, stop: Stop) {
        if self.phase == Phase::Up {
            self.phase = Phase::Stopping(stop);
        }
    }

    /// What to do next; call until `None`, after every turn of the loop.
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        self.forgive_standstill(now);
        match self.phase {
            Phase::Up => self.poll_up(now),
            Phase::Stopping(stop) => self.poll_stopping(now, stop),
            Phase::Finished => None,
        }
    }

    /// When `poll_action` is to be called again though nothing happened.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.units
            .iter()
            .filter_map(|unit| unit.next_timeout(self.phase))
            .min()
    }

    /// True while the watchdog may be fed: the director's loop turns, or is on its way to, or the node goes down (each
    /// step of which has its own end).
    pub fn is_sane(&self, now: Instant) -> bool {
        let young = |since: Instant, age: Duration| now.saturating_duration_since(since) < age;
        self.phase != Phase::Up
            || self
                .units
                .iter()
                .filter(|unit| unit.restart == Restart::AtOnceOrReboot)
                .all(|unit| match unit.state {
                    State::Running {
                        last_beat: Some(beat),
                        ..
                    } => young(beat, limits::FEED_AFTER_BEAT),
                    State::Running {
                        since,
                        last_beat: None,
                        ..
                    } => young(since, limits::FIRST_BEAT_WITHIN),
                    State::Killed { give_up_at, .. } => now < give_up_at,
                    State::Down { .. } | State::Starting | State::Ending { .. } => true,
                })
    }

    fn poll_up(&mut self, now: Instant) -> Option<Action> {
        for (place, unit) in self.units.iter_mut().enumerate() {
            match unit.state {
                State::Down { start_at } if start_at <= now => {
                    unit.state = State::Starting;
                    return Some(Action::Start(UnitId(place)));
                }
                State::Running { pid, since, .. }
                    if unit.heart_stops_at().is_some_and(|at| at <= now) =>
                {
                    unit.state = State::Killed {
                        pid,
                        since,
                        give_up_at: now + limits::KILLED_GONE_WITHIN,
                    };
                    return Some(Action::Signal(UnitId(place), pid, Ask::Kill));
                }
                // A process that survives SIGKILL hangs in the kernel; only a reboot helps, and no order is left to
                // keep.
                State::Killed { give_up_at, .. } if give_up_at <= now => {
                    self.phase = Phase::Finished;
                    return Some(Action::Finish(Stop::Reboot));
                }
                _ => {}
            }
        }
        None
    }

    /// The director goes first and alone: while it hands over, the consoles show it.
    fn poll_stopping(&mut self, now: Instant, stop: Stop) -> Option<Action> {
        for (restart, patience) in [
            (Restart::AtOnceOrReboot, limits::DIRECTOR_STOPS_WITHIN),
            (Restart::WithPause, limits::OTHERS_STOP_WITHIN),
        ] {
            let mut waiting = false;
            for (place, unit) in self
                .units
                .iter_mut()
                .enumerate()
                .filter(|(_, unit)| unit.restart == restart)
            {
                match unit.state {
                    State::Running { pid, since, .. } => {
                        unit.state = State::Ending {
                            pid,
                            since,
                            kill_at: now + patience,
                        };
                        return Some(Action::Signal(UnitId(place), pid, Ask::Terminate));
                    }
                    State::Ending {
                        pid,
                        since,
                        kill_at,
                    } if kill_at <= now => {
                        unit.state = State::Killed {
                            pid,
                            since,
                            give_up_at: now + limits::KILLED_GONE_WITHIN,
                        };
                        return Some(Action::Signal(UnitId(place), pid, Ask::Kill));
                    }
                    State::Ending { .. } => waiting = true,
                    // It hangs in the kernel, which is about to go down with it.
                    State::Killed { give_up_at, .. } if give_up_at <= now => {
                        unit.state = State::Down { start_at: now };
                    }
                    State::Killed { .. } => waiting = true,
                    State::Down { .. } | State::Starting => {}
                }
            }
            if waiting {
                return None;
            }
        }
        self.phase = Phase::Finished;
        Some(Action::Finish(stop))
    }

    /// Notes the end of a unit and when it starts again.
    fn ended(&mut self, now: Instant, id: UnitId, ran: Duration) -> Next {
        let unit = &mut self.units[id.0];
        let pause = match unit.restart {
            Restart::AtOnceOrReboot => Duration::ZERO,
            Restart::WithPause if ran >= limits::LASTED => limits::PAUSE_MIN,
            Restart::WithPause => unit.pause,
        };
        unit.pause = (pause * 2).clamp(limits::PAUSE_MIN, limits::PAUSE_MAX);
        unit.state = State::Down {
            start_at: now + pause,
        };
        if self.phase != Phase::Up {
            return Next::StaysDown;
        }
        if unit.restart == Restart::AtOnceOrReboot && unit.failed_too_often(now) {
            self.phase = Phase::Stopping(Stop::Reboot);
            return Next::Reboot;
        }
        Next::Again(pause)
    }

    /// When the machine itself stood still (a frozen virtual machine, a starved host), the director had no chance to
    /// give a sign either: its time starts again.
    fn forgive_standstill(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.last_turn);
        self.last_turn = now;
        if gap < limits::STANDSTILL {
            return;
        }
        for unit in &mut self.units {
            if let State::Running {
                since, last_beat, ..
            } = &mut unit.state
            {
                match last_beat {
                    Some(beat) => *beat = now,
                    None => *since = now,
                }
            }
        }
    }
}

impl Unit {
    /// When the silence of this unit has lasted too long; `None` for one whose heart is not watched.
    fn heart_stops_at(&self) -> Option<Instant> {
        match (self.restart, self.state) {
            (
                Restart::AtOnceOrReboot,
                State::Running {
                    since, last_beat, ..
                },
            ) => Some(match last_beat {
                Some(beat) => beat + limits::BEAT_WITHIN,
                None => since + limits::FIRST_BEAT_WITHIN,
            }),
            _ => None,
        }
    }

    fn next_timeout(&self, phase: Phase) -> Option<Instant> {
        match (phase, self.state) {
            (Phase::Finished, _)
            | (Phase::Stopping(_), State::Down { .. } | State::Running { .. }) => None,
            (Phase::Up, State::Down { start_at }) => Some(start_at),
            (Phase::Up, State::Running { .. }) => self.heart_stops_at(),
            (_, State::Ending { kill_at, .. }) => Some(kill_at),
            (_, State::Killed { give_up_at, .. }) => Some(give_up_at),
            (_, State::Starting) => None,
        }
    }

    fn failed_too_often(&mut self, now: Instant) -> bool {
        self.failures
            .retain(|&at| now.saturating_duration_since(at) < limits::DIRECTOR_FAILURE_WINDOW);
        self.failures.push(now);
        self.failures.len() >= limits::DIRECTOR_FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const S: Duration = Duration::from_secs(1);
    const AT_ONCE: Next = Next::Again(Duration::ZERO);

    #[test]
    fn every_unit_is_started_once() {
        let mut node = Node::new();
        assert_eq!(
            node.actions(),
            [Action::Start(node.director), Action::Start(node.console)]
        );
        node.started(node.director, 10);
        node.started(node.console, 20);
        assert_eq!(node.actions(), []);
    }

    #[test]
    fn a_director_that_ends_is_started_again_at_once() {
        let mut node = Node::running();
        node.advance(3 * S);
        let ended = node.exit(10).unwrap();
        assert_eq!((ended.ran, ended.next), (3 * S, AT_ONCE));
        assert_eq!(node.actions(), [Action::Start(node.director)]);
    }

    #[test]
    fn the_fifth_end_of_the_director_within_a_minute_takes_the_node_down() {
        let mut node = Node::running();
        for pid in 10..14 {
            node.advance(10 * S);
            assert_eq!(node.exit(pid).unwrap().next, AT_ONCE);
            assert_eq!(node.actions(), [Action::Start(node.director)]);
            node.started(node.director, pid + 1);
        }
        node.advance(10 * S);
        assert_eq!(node.exit(14).unwrap().next, Next::Reboot);
        assert_eq!(
            node.actions(),
            [Action::Signal(node.console, 20, Ask::Terminate)]
        );
        node.exit(20);
        assert_eq!(node.actions(), [Action::Finish(Stop::Reboot)]);
        assert_eq!(node.actions(), []);
    }

    #[test]
    fn a_director_that_cannot_be_started_at_all_takes_the_node_down_after_the_same_limit() {
        let mut node = Node::new();
        for _ in 0..4 {
            assert_eq!(node.actions()[0], Action::Start(node.director));
            assert_eq!(node.start_failed(node.director), AT_ONCE);
        }
        assert_eq!(node.actions()[0], Action::Start(node.director));
        assert_eq!(node.start_failed(node.director), Next::Reboot);
        assert_eq!(node.actions(), [Action::Finish(Stop::Reboot)]);
    }

    #[test]
    fn ends_that_lie_far_apart_never_take_the_node_down() {
        let mut node = Node::running();
        for pid in 10..100 {
            node.advance(15 * S);
            assert_eq!(node.exit(pid).unwrap().next, AT_ONCE);
            node.actions();
            node.started(node.director, pid + 1);
        }
    }

    #[test]
    fn a_console_that_does_not_last_is_started_after_growing_pauses_and_never_takes_the_node_down()
    {
        let mut node = Node::running();
        let mut pauses = Vec::new();
        for pid in 20..30 {
            let Next::Again(pause) = node.exit(pid).unwrap().next else {
                panic!("a console has no limit");
            };
            pauses.push(pause.as_millis());
            assert_eq!(node.actions(), []);
            node.advance(pause);
            assert_eq!(node.actions(), [Action::Start(node.console)]);
            node.started(node.console, pid + 1);
        }
        assert_eq!(
            pauses,
            [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]
        );
        node.advance(limits::LASTED);
        assert_eq!(node.exit(30).unwrap().next, Next::Again(limits::PAUSE_MIN));
    }

    #[test]
    fn a_director_whose_heart_stops_is_killed_and_started_again() {
        let mut node = Node::running();
        node.beat_for(8 * S);
        node.idle_for(limits::BEAT_WITHIN - MS);
        assert_eq!(node.actions(), []);
        node.advance(MS);
        assert_eq!(
            node.actions(),
            [Action::Signal(node.director, 10, Ask::Kill)]
        );
        assert_eq!(node.actions(), []);
        node.exit(10);
        assert_eq!(node.actions(), [Action::Start(node.director)]);
    }

    #[test]
    fn a_director_that_never_reaches_its_loop_is_killed_too() {
        let mut node = Node::running();
        node.idle_for(limits::FIRST_BEAT_WITHIN);
        assert_eq!(
            node.actions(),
            [Action::Signal(node.director, 10, Ask::Kill)]
        );
    }

    #[test]
    fn a_director_that_survives_the_kill_makes_the_node_reboot_without_further_order() {
        let mut node = Node::running();
        node.idle_for(limits::FIRST_BEAT_WITHIN);
        node.actions();
        node.idle_for(limits::KILLED_GONE_WITHIN);
        assert_eq!(node.actions(), [Action::Finish(Stop::Reboot)]);
    }

    #[test]
    fn a_machine_that_stood_still_does_not_blame_the_director() {
        let mut node = Node::running();
        node.beat_for(2 * S);
        node.advance(600 * S);
        assert_eq!(node.actions(), []);
        node.idle_for(limits::BEAT_WITHIN);
        assert_eq!(
            node.actions(),
            [Action::Signal(node.director, 10, Ask::Kill)]
        );
    }

    #[test]
    fn the_watchdog_is_fed_while_the_director_lives_or_is_being_restarted() {
        let mut node = Node::running();
        assert!(node.is_sane());
        node.beat_for(5 * S);
        node.advance(limits::FEED_AFTER_BEAT - MS);
        assert!(node.is_sane());
        node.advance(MS);
        assert!(!node.is_sane());
        node.exit(10);
        assert!(node.is_sane());
        node.supervisor.handle_stop(Stop::PowerOff);
        assert!(node.is_sane());
    }

    #[test]
    fn a_stop_ends_the_director_before_the_others() {
        let mut node = Node::running();
        node.supervisor.handle_stop(Stop::PowerOff);
        node.supervisor.handle_stop(Stop::Reboot);
        assert_eq!(
            node.actions(),
            [Action::Signal(node.director, 10, Ask::Terminate)]
        );
        assert_eq!(node.exit(10).unwrap().next, Next::StaysDown);
        assert_eq!(
            node.actions(),
            [Action::Signal(node.console, 20, Ask::Terminate)]
        );
        assert_eq!(node.exit(20).unwrap().next, Next::StaysDown);
        assert_eq!(node.actions(), [Action::Finish(Stop::PowerOff)]);
        assert_eq!(node.supervisor.next_timeout(), None);
    }

    #[test]
    fn a_stop_that_nobody_obeys_still_ends() {
        let mut node = Node::running();
        node.supervisor.handle_stop(Stop::Reboot);
        let (mut signals, start) = (Vec::new(), node.now);
        for turn in 0.. {
            assert!(turn < 20, "{signals:?}");
            match node.actions().as_slice() {
                [Action::Finish(Stop::Reboot)] => break,
                actions => signals.extend(actions.iter().map(|action| match action {
                    Action::Signal(_, pid, ask) => (*pid, *ask),
                    other => panic!("{other:?}"),
                })),
            }
            node.now = node.supervisor.next_timeout().unwrap();
        }
        assert_eq!(
            signals,
            [
                (10, Ask::Terminate),
                (10, Ask::Kill),
                (20, Ask::Terminate),
                (20, Ask::Kill)
            ]
        );
        let patience = limits::DIRECTOR_STOPS_WITHIN
            + limits::OTHERS_STOP_WITHIN
            + 2 * limits::KILLED_GONE_WITHIN;
        assert_eq!(node.now - start, patience);
    }

    #[test]
    fn a_child_that_ends_while_the_node_goes_down_is_not_started_again() {
        let mut node = Node::running();
        node.supervisor.handle_stop(Stop::Reboot);
        node.actions();
        assert_eq!(node.exit(20).unwrap().next, Next::StaysDown);
        node.advance(5 * S);
        assert_eq!(node.actions(), []);
        node.exit(10);
        assert_eq!(node.actions(), [Action::Finish(Stop::Reboot)]);
    }

    #[test]
    fn an_orphan_is_nobodys() {
        assert_eq!(Node::running().exit(4711), None);
    }

    #[test]
    fn the_table_of_units_is_bounded() {
        let (now, mut supervisor) = (Instant::now(), Supervisor::new(Instant::now()));
        let added = (0..100)
            .filter_map(|_| supervisor.add(now, Restart::WithPause))
            .count();
        assert_eq!(added, limits::UNITS_MAX);
    }

    /// A director (pid 10) and a console (pid 20) in virtual time.
    struct Node {
        supervisor: Supervisor,
        now: Instant,
        director: UnitId,
        console: UnitId,
    }

    impl Node {
        fn new() -> Self {
            let now = Instant::now();
            let mut supervisor = Supervisor::new(now);
            let director = supervisor.add(now, Restart::AtOnceOrReboot).unwrap();
            let console = supervisor.add(now, Restart::WithPause).unwrap();
            Self {
                supervisor,
                now,
                director,
                console,
            }
        }

        fn running() -> Self {
            let mut node = Self::new();
            node.actions();
            node.started(node.director, 10);
            node.started(node.console, 20);
            node
        }

        fn advance(&mut self, time: Duration) {
            self.now += time;
        }

        /// Lets time pass as the real loop does, in turns of at most a second.
        fn idle_for(&mut self, time: Duration) {
            let end = self.now + time;
            while self.now < end {
                assert_eq!(self.actions(), []);
                self.now = (self.now + S).min(end);
            }
        }

        fn beat_for(&mut self, time: Duration) {
            let end = self.now + time;
            while self.now < end {
                self.now += S;
                self.supervisor.handle_heartbeat(self.now);
                assert_eq!(self.actions(), []);
            }
        }

        fn actions(&mut self) -> Vec<Action> {
            std::iter::from_fn(|| self.supervisor.poll_action(self.now))
                .take(100)
                .collect()
        }

        fn started(&mut self, unit: UnitId, pid: i32) {
            self.supervisor.handle_started(self.now, unit, pid);
        }

        fn start_failed(&mut self, unit: UnitId) -> Next {
            self.supervisor.handle_start_failed(self.now, unit)
        }

        fn exit(&mut self, pid: i32) -> Option<Ended> {
            self.supervisor.handle_exit(self.now, pid)
        }

        fn is_sane(&self) -> bool {
            self.supervisor.is_sane(self.now)
        }
    }
}
