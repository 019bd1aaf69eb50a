//! What a tracked thing does to a virtual router: the one place of weights.

use core::fmt;

use super::event::Event;
use super::instance::Router;
use crate::time::{Duration, Instant};

/// How much a tracked thing counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// -253..=253. Above 0 it is added to the priority while the thing is up, below 0 while it is down; 0 means Fault
    /// while it is down.
    pub value: i16,
    /// The other way round: taken away instead of added, and for 0 Fault while it is up.
    pub reverse: bool,
}

/// What a tracked thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not been looked at yet.
    Unknown,
    /// Well.
    Up,
    /// Not.
    Down,
    /// A number that the weight multiplies, of a tracked file.
    Number(i64),
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("not looked at yet"),
            Self::Up => f.write_str("up"),
            Self::Down => f.write_str("down"),
            Self::Number(number) => write!(f, "at {number}"),
        }
    }
}

/// What follows for the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This much priority more or less.
    Adds(i32),
    /// It must not be Active.
    Fails,
    /// It must not even be Backup before more is known.
    Waits,
}

/// A number that comes to this, or less, is Fault, as in keepalived.
const FAULT_AT: i64 = -254;

impl Weight {
    /// What a thing of this weight does.
    #[must_use]
    pub fn effect(self, standing: Standing) -> Effect {
        let value = i32::from(self.value);
        let signed = if self.reverse { -value } else { value };
        match standing {
            Standing::Number(number) => self.product(number),
            Standing::Unknown if value == 0 => Effect::Waits,
            Standing::Unknown => Effect::Adds(0),
            Standing::Up if value == 0 && self.reverse => Effect::Fails,
            Standing::Down if value == 0 && !self.reverse => Effect::Fails,
            Standing::Up if value > 0 => Effect::Adds(signed),
            Standing::Down if value < 0 => Effect::Adds(signed),
            Standing::Up | Standing::Down => Effect::Adds(0),
        }
    }

    /// A number counts as often as its weight; for weight 0 any number but 0 is Fault.
    fn product(self, number: i64) -> Effect {
        if self.value == 0 {
            let fails = (number != 0) != self.reverse;
            return if fails {
                Effect::Fails
            } else {
                Effect::Adds(0)
            };
        }
        let signed = i64::from(self.value) * if self.reverse { -1 } else { 1 };
        match number.saturating_mul(signed) {
            ..=FAULT_AT => Effect::Fails,
            // Fits: it is between the two.
            product => Effect::Adds(product.min(-FAULT_AT) as i32),
        }
    }
}

/// The priority that a router competes with: an owner is never weighted, and nobody else reaches 0 or 255.
#[must_use]
pub(super) fn weighted(priority: u8, sum: i32) -> u8 {
    if priority == 255 {
        return priority;
    }
    let priority = i32::from(priority).saturating_add(sum).clamp(1, 254);
    u8::try_from(priority).unwrap_or(1)
}

impl Router {
    /// What its trackers add to its priority now; repeating is harmless.
    pub fn set_weight(&mut self, now: Instant, weight: i32) {
        let (wait, old) = (self.backup_wait(), self.effective_priority());
        self.weight = weight;
        let new = self.effective_priority();
        if old != new {
            self.tell(Event::Priority { old, new });
            self.reprioritised(now, wait);
        }
    }

    /// How long it may be silent at most before a peer takes over, less an advert that has just been sent and a margin:
    /// the bound of `interface_up_down_delays`.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let missed = u32::from(self.settings.down_adverts.saturating_sub(1));
        (self.active_interval * missed).saturating_sub(self.active_interval / 256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Effect::{Adds, Fails, Waits};
    use Standing::{Down, Number, Unknown, Up};

    #[test]
    fn the_table_of_weights() {
        let cases = [
            (0, false, Up, Adds(0)),
            (0, false, Down, Fails),
            (0, true, Up, Fails),
            (0, true, Down, Adds(0)),
            (20, false, Up, Adds(20)),
            (20, false, Down, Adds(0)),
            (20, true, Up, Adds(-20)),
            (20, true, Down, Adds(0)),
            (-20, false, Up, Adds(0)),
            (-20, false, Down, Adds(-20)),
            (-20, true, Up, Adds(0)),
            (-20, true, Down, Adds(20)),
            (0, false, Unknown, Waits),
            (20, false, Unknown, Adds(0)),
            (-20, false, Unknown, Adds(0)),
            (0, false, Number(0), Adds(0)),
            (0, false, Number(3), Fails),
            (0, true, Number(3), Adds(0)),
            (0, true, Number(0), Fails),
            (1, false, Number(-20), Adds(-20)),
            (2, false, Number(30), Adds(60)),
            (2, true, Number(30), Adds(-60)),
            (-1, false, Number(253), Adds(-253)),
            (-1, false, Number(254), Fails),
            (1, false, Number(i64::MIN), Fails),
            (253, false, Number(i64::MAX), Adds(254)),
        ];
        for (value, reverse, standing, expected) in cases {
            let weight = Weight { value, reverse };
            assert_eq!(weight.effect(standing), expected, "{weight:?} {standing:?}");
        }
    }

    #[test]
    fn a_priority_stays_within_its_bounds_and_an_owner_keeps_its_own() {
        let cases = [
            (100, 0, 100),
            (100, 20, 120),
            (100, -20, 80),
            (100, -100, 1),
            (100, i32::MIN, 1),
            (100, i32::MAX, 254),
            (255, -200, 255),
            (254, 1, 254),
        ];
        for (priority, sum, expected) in cases {
            assert_eq!(weighted(priority, sum), expected, "{priority} {sum}");
        }
    }
}
