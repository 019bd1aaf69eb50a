//! Answers to checks that come from an address of this node's own: a real server speaks as the virtual address (DR,
//! TUN), which the Active node has too, and the kernel drops such a packet unless `accept_local` is set.

use std::collections::BTreeSet;

use director_core::net::IfName;

use crate::kernel::sysctl;

/// Interfaces on which the director has set it; they are set back at its orderly end. After a crash they stay as they
/// are: whoever finds it set can't tell who has set it.
#[derive(Debug, Default)]
pub(super) struct Beliefs(BTreeSet<IfName>);

impl Beliefs {
    /// Has such answers believed on an interface; false when that can't be.
    pub(super) fn hold(&mut self, interface: &IfName) -> bool {
        // Either of the two is enough for the kernel.
        let is_on = |name: &str| sysctl::number::<i64>(&setting(name)).is_some_and(|on| on != 0);
        if is_on("all") || is_on(interface.as_str()) {
            return true;
        }
        let done = sysctl::set(&setting(interface.as_str()), "1").is_ok();
        if done {
            log::info!("{interface}: accept_local is set for checks by way of a virtual address");
            self.0.insert(interface.clone());
        }
        done
    }
}

impl Drop for Beliefs {
    fn drop(&mut self) {
        for interface in &self.0 {
            // One that is gone has nothing to be set back.
            let _ = sysctl::set(&setting(interface.as_str()), "0");
        }
    }
}

fn setting(interface: &str) -> String {
    format!("ipv4/conf/{interface}/accept_local")
}
