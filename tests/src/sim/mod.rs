//! Directors in a world of chance: virtual time, a network that loses and cuts, kernels that refuse and are edited by
//! others, real servers in every mood. The directors are the real ones; all around them is made of numbers.
//!
//! A world follows from its seed alone, so that each failure can be repeated. In each step one thing happens to one
//! node; then all that follows is done, and the laws are checked ([`laws`]).

mod agenda;
pub mod fault;
pub mod groups;
pub mod intruder;
pub mod kernel;
pub mod laws;
mod locals;
pub mod network;
pub mod node;
pub mod pools;
pub mod random;
pub mod reals;
pub mod routing;
mod servers;
pub mod setup;
mod shell;
pub mod view;
pub mod vmac;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use director_core::time::Duration;

use self::laws::Violation;
use self::random::Random;
use self::setup::Setup;
use self::world::World;

/// Time in which things go wrong.
const TROUBLE: Duration = Duration::from_secs(12);

/// Time after which everything is as it should be: the longest pause of a refused operation, a reading, and the
/// detection of a dead real server.
const RECOVERY: Duration = Duration::from_secs(25);

/// The end of one history.
#[derive(Debug)]
pub struct Report {
    /// Steps it took.
    pub steps: u64,
    /// A number that follows from everything that happened.
    pub digest: u64,
    /// What happened, when it was kept.
    pub trace: Vec<String>,
    /// The law that was broken.
    pub violation: Option<Violation>,
}

/// Lives the history of one seed: twice trouble and recovery.
#[must_use]
pub fn live(seed: u64, keep_trace: bool) -> Report {
    let mut random = Random::new(seed);
    let setup = Setup::random(&mut random);
    let mut world = World::new(setup, random.next());
    if keep_trace {
        world.trace = Some(vec![describe(&world)]);
    }
    let result = catch_unwind(AssertUnwindSafe(|| history(&mut world)));
    let violation = match result {
        Ok(result) => result.err(),
        Err(panic) => Some(Violation(format!("panic: {}", panic_text(panic.as_ref())))),
    };
    Report {
        steps: world.steps,
        digest: world.random.next() ^ world.steps,
        trace: world.trace.take().unwrap_or_default(),
        violation,
    }
}

fn history(world: &mut World) -> Result<(), Violation> {
    for _ in 0..2 {
        let faults = world.random.below(8);
        world.plan_faults(faults, TROUBLE);
        world.run_for(TROUBLE)?;
        world.heal()?;
        world.run_for(RECOVERY)?;
        world.laws.rest(&world.nodes, &world.neighbours)?;
        pools::pools(&world.nodes, &world.reals)?;
    }
    Ok(())
}

/// The routers of a world, for the head of a trace.
fn describe(world: &World) -> String {
    let mut text = String::new();
    for (index, node) in world.nodes.iter().enumerate() {
        for router in &node.configs[0].routers {
            text += &format!(
                "node {index}: vrid {} {:?} priority {} every {:?} preempt {} after {:?}, startup {:?}, {} down\n",
                router.vrid,
                router.version,
                router.priority,
                router.advert_interval,
                router.preempt,
                router.preempt_delay,
                router.startup_delay,
                router.down_adverts,
            );
        }
    }
    text
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()))
        .unwrap_or_else(|| "without words".to_string())
}
