//! What holds for one dest against the configuration: an operator's word, until he takes it back, and the leave of a
//! real server that a reload has taken out.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ipvs::{Dest, DestId, ServiceId};
use crate::time::{Duration, Instant};

/// What an operator wants of one dest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// No new connections; and out when none is left, or after so many seconds.
    Drain(Option<u32>),
    /// Out at once.
    Disable,
    /// Another weight than the configured one.
    Weight(u32),
    /// What the configuration says.
    Enable,
}

/// An operator's word that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// When it was given.
    pub since: Instant,
    /// What it is.
    pub kind: Kind,
}

/// What an operator's word makes of a dest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Weight 0 until no connection is left, or until then.
    Drains(Option<Instant>),
    /// Out: it has drained.
    Drained,
    /// Out.
    Disabled,
    /// Another weight.
    Weight(u32),
}

impl Override {
    /// What comes of a wish; none for the wish that there be none.
    #[must_use]
    pub fn new(now: Instant, wish: Wish) -> Option<Self> {
        let kind = match wish {
            Wish::Drain(seconds) => {
                let until = seconds.map(|seconds| now + Duration::from_secs(seconds.into()));
                Kind::Drains(until)
            }
            Wish::Disable => Kind::Disabled,
            Wish::Weight(weight) => Kind::Weight(weight),
            Wish::Enable => return None,
        };
        Some(Self { since: now, kind })
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Drains(None) => f.write_str("drains"),
            Kind::Drains(Some(until)) => {
                write!(f, "drains, at most {} s", until.since(self.since).as_secs())
            }
            Kind::Drained => f.write_str("drained"),
            Kind::Disabled => f.write_str("disabled"),
            Kind::Weight(weight) => write!(f, "weight {weight}"),
        }
    }
}

/// A real server that the configuration no longer has and that still has connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// As it was, but for the weight, which is 0 now.
    pub dest: Dest,
    /// When it was taken out of the configuration.
    pub since: Instant,
    /// When it goes at the latest.
    pub until: Instant,
}

/// An entry of what outlives a director, so that its successor goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The service; of a group the first member.
    pub service: ServiceId,
    /// The dest.
    pub dest: DestId,
    /// What holds for it.
    pub word: Word,
}

/// What holds for a dest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// An operator's word.
    Override(Override),
    /// Its leave.
    Leaving(Leaving),
}

/// A turn in the history of a dest, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An operator's word came into force.
    Given(Override),
    /// The configuration holds again.
    Enabled,
    /// A reload took it out; it drains at most this long.
    Leaves(Duration),
    /// It has drained and is out; so many connections were left when the time was over.
    Drained(u64),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(word) => write!(f, "{word}, by the operator's word"),
            Self::Enabled => f.write_str("enabled: the configuration holds again"),
            Self::Leaves(time) => write!(
                f,
                "no longer configured, drains, at most {} s",
                time.as_secs()
            ),
            Self::Drained(0) => f.write_str("drained: no connection is left"),
            Self::Drained(left) => write!(f, "drained: the time is over, {left} connections end"),
        }
    }
}
