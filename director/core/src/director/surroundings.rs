//! What the virtual routers of a node are judged by: links, scripts, probes, files, pools.

use super::links::Links;
use super::services::{Services, is_retired};
use super::watches::Watches;
use crate::config::{Config, PoolChoice, Router, Tracked};
use crate::plan;
use crate::reconcile::Reconciler;
use crate::vrrp::{Effect, Fault, Standing};

/// All of it at one moment.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) config: &'a Config,
    pub(super) reconciler: &'a Reconciler,
    pub(super) services: &'a Services,
    pub(super) watches: &'a Watches,
}

/// What everything that a router tracks comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Added to its priority.
    pub(super) weight: i32,
    /// The first thing that keeps it from being Active.
    pub(super) fault: Option<Fault>,
    /// Something that must not fail has not been looked at yet.
    pub(super) waits: bool,
}

impl<'a> Surroundings<'a> {
    /// All of a director but the routers themselves.
    pub(super) const fn of(
        config: &'a Config,
        reconciler: &'a Reconciler,
        services: &'a Services,
        watches: &'a Watches,
    ) -> Self {
        Self {
            config,
            reconciler,
            services,
            watches,
        }
    }

    /// The one place where trackers are summed up.
    pub(super) fn tally(&self, links: &Links, router: &Router) -> Tally {
        let mut tally = Tally::default();
        for tracker in &router.trackers {
            let standing = self.standing(links, &tracker.of);
            match tracker.weight.effect(standing) {
                Effect::Adds(weight) => tally.weight = tally.weight.saturating_add(weight),
                Effect::Waits => tally.waits = true,
                Effect::Fails => {
                    let words = || Fault::Tracked(format!("{} {standing}", tracker.of));
                    tally.fault.get_or_insert_with(words);
                }
            }
        }
        tally
    }

    /// What a tracked thing is now.
    pub(super) fn standing(&self, links: &Links, of: &Tracked) -> Standing {
        match of {
            Tracked::Interface(name) => {
                let link = plan::link(self.config, &self.reconciler.actual().links, name);
                up(link.is_some_and(|link| links.serves(link)))
            }
            Tracked::Script(_) | Tracked::Probe(_) | Tracked::File(_) => self.watches.standing(of),
            Tracked::Pool(choice) => self.pool(choice),
        }
    }

    /// A pool is well while all that are meant have their quorum.
    fn pool(&self, choice: &PoolChoice) -> Standing {
        let mut services = self.services.iter();
        let lost = services.any(|(server, state)| {
            !is_retired(server) && choice.has(server) && !state.quorum.held()
        });
        up(!lost)
    }
}

const fn up(is: bool) -> Standing {
    if is { Standing::Up } else { Standing::Down }
}
