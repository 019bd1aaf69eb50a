//! What a device of a virtual hardware address needs of the kernel beside the device: the mark by which a later
//! director knows it, and settings of the device and of the interface that it is on.

use core::fmt;

use super::sysctl::{number, wish};

/// The first word of the alias of a device (IFLA_IFALIAS) that a director made.
const MARK: &str = "keelson-vmac";

/// Settings of the device, made before it is first up, each with its reason.
const SETTINGS: [(&str, &str, &str); 6] = [
    // It answers for the addresses that it has, and not for those of the interface that it is on,
    ("ipv4", "arp_ignore", "1"),
    // whatever the route back, which is by that interface.
    ("ipv4", "arp_filter", "0"),
    // A virtual address is not the sender of the node's own questions.
    ("ipv4", "arp_announce", "2"),
    // It has its virtual addresses and no others: IN6_ADDR_GEN_MODE_NONE (linux/if_link.h). An address that were made
    // of the virtual hardware address would be on two nodes (RFC 9568 section 7.4).
    ("ipv6", "addr_gen_mode", "1"),
    ("ipv6", "accept_ra", "0"),
    ("ipv6", "autoconf", "0"),
];

/// Settings of an interface with a virtual hardware address beside its own, and the least that they have to be: a
/// question for a virtual address must not be answered with the interface's own, which the asker would then believe;
/// nor must a question of its own tell the asked one so.
const BASE: [(&str, u32); 2] = [("arp_ignore", 1), ("arp_announce", 2)];

/// What the settings of an interface were before the director raised them; none of those that it left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before([Option<u32>; BASE.len()]);

impl Before {
    /// What the mark of a device says; none when it is not the director's.
    pub(super) fn of_alias(alias: &str) -> Option<Self> {
        let mut words = alias.split_ascii_whitespace();
        if words.next() != Some(MARK) {
            return None;
        }
        let mut before = Self::default();
        for word in words {
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            let slots = BASE.iter().zip(&mut before.0);
            for (_, slot) in slots.filter(|((known, _), _)| *known == name) {
                *slot = value.parse().ok();
            }
        }
        Some(before)
    }

    /// Raises the settings of an interface.
    pub(super) fn raise(interface: &str) -> Self {
        let mut before = Self::default();
        for ((name, least), slot) in BASE.into_iter().zip(&mut before.0) {
            let key = of("ipv4", interface, name);
            let is: u32 = number(&key).unwrap_or_default();
            // What holds is the greater one.
            let all = number(&of("ipv4", "all", name)).unwrap_or_default();
            if is.max(all) < least {
                wish(&key, &least.to_string());
                *slot = Some(is);
            }
        }
        before
    }

    /// Sets them back.
    pub(super) fn restore(self, interface: &str) {
        for ((name, _), before) in BASE.into_iter().zip(self.0) {
            if let Some(before) = before {
                wish(&of("ipv4", interface, name), &before.to_string());
            }
        }
    }
}

/// The alias of a device.
impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MARK)?;
        for ((name, _), before) in BASE.into_iter().zip(self.0) {
            if let Some(before) = before {
                write!(f, " {name}={before}")?;
            }
        }
        Ok(())
    }
}

/// Makes the settings of a device that is still down.
pub(super) fn settle(device: &str) {
    for (family, name, value) in SETTINGS {
        let key = of(family, device, name);
        // A kernel may have no IPv6.
        if family == "ipv4" || number::<u32>(&key).is_some() {
            wish(&key, value);
        }
    }
    // What comes in by the device leaves by the interface, so a filter for the way back would drop it. The greater of
    // this and that of all holds; 2 lets pass what has any way back.
    let all: u32 = number(&of("ipv4", "all", "rp_filter")).unwrap_or_default();
    let filter = if all == 0 { "0" } else { "2" };
    wish(&of("ipv4", device, "rp_filter"), filter);
}

fn of(family: &str, interface: &str, name: &str) -> String {
    format!("{family}/conf/{interface}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_what_was_before() {
        let before = Before([Some(0), None]);
        assert_eq!(before.to_string(), "keelson-vmac arp_ignore=0");
        let before = Before([Some(0), Some(1)]);
        for before in [before, Before([None; 2])] {
            assert_eq!(Before::of_alias(&before.to_string()), Some(before));
        }
        assert_eq!(Before::of_alias("uplink"), None);
        assert_eq!(Before::of_alias(""), None);
    }
}
