//! Real servers, as the configuration has them.

use core::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::{Check, ServerCheck};
use crate::ipvs::{Dest, DestId};
use crate::time::Duration;

/// One `real_server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealServer {
    /// Identity in the pool; a service of the kernel has it [`DestId::within`] itself.
    pub id: DestId,
    /// All else. Most real servers of a node differ in nothing but where they are, and share this.
    pub terms: Arc<Terms>,
}

/// What holds for a real server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What the kernel is told of it while it is healthy.
    pub dest: Dest,
    /// A failed one stays in the pool at weight 0.
    pub inhibit_on_failure: bool,
    /// Stays out until its checks have succeeded once.
    pub alpha: bool,
    /// How long its weight takes to grow when it comes back (`slow_start`), 0.
    pub slow_start: Duration,
    /// Its checks; it is up when none has failed.
    pub checks: Vec<ServerCheck>,
}

impl RealServer {
    /// What its checks ask, and of whom.
    pub fn asks(&self) -> impl Iterator<Item = Check> {
        self.checks.iter().map(|check| check.ask(self.id))
    }
}

impl Deref for RealServer {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

impl DerefMut for RealServer {
    /// What changes is no longer shared.
    fn deref_mut(&mut self) -> &mut Terms {
        Arc::make_mut(&mut self.terms)
    }
}
