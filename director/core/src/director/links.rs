//! Whether links serve virtual routers: at once, or after the time that `interface_up_down_delays` names.

use std::collections::BTreeMap;

use crate::kernel::Link;
use crate::net::Ifindex;
use crate::time::{Duration, Instant};

/// What is believed of the links whose changes are waited out.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<Ifindex, Believed>);

#[derive(Clone, Copy, Debug)]
struct Believed {
    serves: bool,
    /// The link is otherwise, and is believed then.
    turns_at: Option<Instant>,
}

/// How long a link must be down, or up, before that is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Delays {
    pub(super) down: Duration,
    pub(super) up: Duration,
}

/// A link is up and has its carrier.
pub(super) const fn serves(link: &Link) -> bool {
    link.up && link.carrier
}

impl Links {
    /// Compares the links with what is believed of them. A link that is seen for the first time is believed, and one
    /// that is gone is forgotten.
    pub(super) fn follow(
        &mut self,
        now: Instant,
        links: &BTreeMap<Ifindex, Link>,
        delays: impl Fn(&Link) -> Option<Delays>,
    ) {
        let before = core::mem::take(&mut self.0);
        for link in links.values() {
            let Some(delays) = delays(link) else { continue };
            let had = before.get(&link.ifindex).copied();
            let believed = had.unwrap_or_else(|| Believed {
                serves: serves(link),
                turns_at: None,
            });
            self.0
                .insert(link.ifindex, believed.follow(now, serves(link), delays));
        }
    }

    /// Whether a link serves, as far as it is believed.
    pub(super) fn serves(&self, link: &Link) -> bool {
        let believed = self.0.get(&link.ifindex);
        believed.map_or_else(|| serves(link), |believed| believed.serves)
    }

    /// When [`Links::follow`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.0
            .values()
            .filter_map(|believed| believed.turns_at)
            .min()
    }
}

impl Believed {
    fn follow(self, now: Instant, serves: bool, delays: Delays) -> Self {
        if self.serves == serves {
            return Self {
                serves,
                turns_at: None,
            };
        }
        let delay = if serves { delays.up } else { delays.down };
        // A delay that became shorter meanwhile holds at once.
        let turns_at = self.turns_at.map_or(now + delay, |at| at.min(now + delay));
        if turns_at <= now {
            return Self {
                serves,
                turns_at: None,
            };
        }
        Self {
            turns_at: Some(turns_at),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: Delays = Delays {
        down: Duration::from_millis(300),
        up: Duration::from_millis(500),
    };

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_change_is_believed_when_it_has_lasted() {
        let up = Believed {
            serves: true,
            turns_at: None,
        };
        let waits = up.follow(at(0), false, DELAYS);
        assert_eq!((waits.serves, waits.turns_at), (true, Some(at(300))));
        let waits = waits.follow(at(200), false, DELAYS);
        assert_eq!(waits.turns_at, Some(at(300)), "it began then");
        let back = waits.follow(at(250), true, DELAYS);
        assert_eq!((back.serves, back.turns_at), (true, None));
        let down = waits.follow(at(300), false, DELAYS);
        assert_eq!((down.serves, down.turns_at), (false, None));
        let waits = down.follow(at(1000), true, DELAYS);
        assert_eq!((waits.serves, waits.turns_at), (false, Some(at(1500))));
    }

    #[test]
    fn without_a_delay_a_change_is_believed_at_once() {
        let up = Believed {
            serves: true,
            turns_at: None,
        };
        let down = up.follow(at(0), false, Delays::default());
        assert_eq!((down.serves, down.turns_at), (false, None));
        let shorter = Believed {
            serves: true,
            turns_at: Some(at(900)),
        };
        assert!(!shorter.follow(at(0), false, Delays::default()).serves);
    }
}
