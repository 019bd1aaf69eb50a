//! How the real servers of a service stand.

use crate::check::Health;
use crate::overrides::{Kind, Override};
use crate::pool::{Place, Ramp};
use crate::time::Instant;

/// How one real server stands. There may be two hundred thousand: what most have not is boxed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) health: Health,
    /// When its health last changed.
    pub(super) since: Instant,
    /// It was up, and failed.
    fell: bool,
    /// It failed, and stays in: more may not go (`depool_limit`).
    pub(super) held: bool,
    /// By which its checks know it.
    pub(super) number: u32,
    /// Its weight while it is up: the configured one, or what its checks make of it.
    pub(super) weight: u32,
    /// None as a rule.
    rare: Option<Box<Rare>>,
}

/// What few real servers have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rare {
    /// An operator's word.
    word: Option<Override>,
    /// Its slow start, while that goes on.
    ramp: Option<Ramp>,
}

impl Rare {
    fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

impl Standing {
    /// As its checks say that it is and weighs; what else is known of it is what was.
    pub(super) fn new(
        now: Instant,
        number: u32,
        (health, weight): (Health, u32),
        was: Option<&Self>,
    ) -> Self {
        let same = was.filter(|was| was.health == health);
        let rare = Rare {
            word: was.and_then(Self::word),
            ramp: same.and_then(Self::ramp),
        };
        Self {
            health,
            since: same.map_or(now, |was| was.since),
            fell: same.is_some_and(|was| was.fell),
            held: false,
            number,
            weight,
            rare: rare.boxed(),
        }
    }

    /// Its checks say that it is and weighs this now. One that comes back may do so slowly.
    pub(super) fn turn(&mut self, now: Instant, (health, weight): (Health, u32), is_slow: bool) {
        if self.health != health {
            (self.health, self.since) = (health, now);
            self.fell = health == Health::Down;
            self.set_ramp((health == Health::Up && is_slow).then(|| Ramp::new(now)));
        }
        self.weight = weight;
    }

    /// Whether it was up, failed, and is down.
    pub(super) fn has_fallen(&self) -> bool {
        self.fell && self.health == Health::Down
    }

    fn rare(&self) -> Rare {
        self.rare.as_deref().copied().unwrap_or_default()
    }

    /// An operator's word.
    pub(super) fn word(&self) -> Option<Override> {
        self.rare().word
    }

    pub(super) fn set_word(&mut self, word: Option<Override>) {
        let ramp = self.ramp();
        self.rare = Rare { word, ramp }.boxed();
    }

    /// Its slow start, while that goes on.
    pub(super) fn ramp(&self) -> Option<Ramp> {
        self.rare().ramp
    }

    pub(super) fn set_ramp(&mut self, ramp: Option<Ramp>) {
        let word = self.word();
        self.rare = Rare { word, ramp }.boxed();
    }

    /// What is to become of it in its pool.
    fn place(&self) -> Place {
        let is_in = self.health == Health::Up || self.held;
        match (self.word_kind(), is_in) {
            (Some(Kind::Drained | Kind::Disabled), _) => Place::Out,
            (Some(Kind::Drains(_)), true) => Place::Drains,
            (_, false) => Place::Down,
            (word, true) => {
                let whole = match word {
                    Some(Kind::Weight(weight)) => weight,
                    _ => self.weight,
                };
                let weight = self.ramp().map_or(whole, |ramp| ramp.of(whole));
                Place::Serves { weight, whole }
            }
        }
    }

    /// What an operator's word makes of it.
    pub(super) fn word_kind(&self) -> Option<Kind> {
        self.word().map(|word| word.kind)
    }

    /// An operator's word keeps new connections from it.
    pub(super) fn is_kept_out(&self) -> bool {
        matches!(
            self.word_kind(),
            Some(Kind::Drains(_) | Kind::Drained | Kind::Disabled | Kind::Weight(0))
        )
    }

    pub(super) fn is_draining(&self) -> bool {
        matches!(self.word_kind(), Some(Kind::Drains(_)))
    }
}

/// The places of the real servers in their pool.
pub(super) fn place_of(reals: &[Standing]) -> impl Fn(usize) -> Place + '_ {
    |index| reals.get(index).map_or(Place::Out, Standing::place)
}
