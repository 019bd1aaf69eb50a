//! Answers to checks that come from an address of this node's own: a real server speaks as the virtual address (DR,
//! TUN), which the Active node has too, and the kernel drops such a packet unless `accept_local` is set.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use director_core::net::IfName;

/// Interfaces on which the director has set it; they are set back at its orderly end. After a crash they stay as they
/// are: whoever finds it set can't tell who has set it.
#[derive(Debug, Default)]
pub(super) struct Beliefs(BTreeSet<IfName>);

impl Beliefs {
    /// Has such answers believed on an interface; false when that can't be.
    pub(super) fn hold(&mut self, interface: &IfName) -> bool {
        // Either of the two is enough for the kernel.
        let is_on = |name: &str| {
            let text = fs::read_to_string(setting(name)).unwrap_or_default();
            !matches!(text.trim(), "" | "0")
        };
        if is_on("all") || is_on(interface.as_str()) {
            return true;
        }
        let done = fs::write(setting(interface.as_str()), "1\n").is_ok();
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
            let _ = fs::write(setting(interface.as_str()), "0\n");
        }
    }
}

fn setting(interface: &str) -> PathBuf {
    ["/proc/sys/net/ipv4/conf", interface, "accept_local"]
        .iter()
        .collect()
}
