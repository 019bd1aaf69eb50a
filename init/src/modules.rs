//! The module index that the image builder writes and the node reads: which kernel module drives which device.
//!
//! The file is `/lib/modules/index`, plain text, one record a line, in load order (a module stands after all that it
//! needs):
//!
//! ```text
//! m NAME PATH DEP,DEP     a module and what must be in the kernel before it; `-` for nothing
//! a PATTERN               an alias of the module above, of a device or of a kind of interface (`rtnl-link-vlan`), as
//!                         in its .modinfo; `*`, `?` and `[..]` are wild
//! l NAME                  load always, for no device asks for it (IPVS schedulers, protocols)
//! ```
//!
//! The kernel treats `-` and `_` in a module's name as the same letter; so does this file. Pure: no file is opened
//! here.

use std::{collections::HashMap, fmt};

/// The index in memory; it borrows the text that it was read from.
#[derive(Debug, Default)]
pub struct Index<'a> {
    modules: Vec<Module<'a>>,
    /// Bus name (what stands before the first `:`) to that bus's patterns; an alias without bus has the empty name. A
    /// machine has hundreds of devices and the index thousands of patterns, nearly all of them for PCI: most devices
    /// need to be compared with few.
    aliases: HashMap<&'a str, Vec<Alias<'a>>>,
    always: Vec<usize>,
    by_name: HashMap<String, usize>,
}

/// One kernel module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module<'a> {
    /// Its name as the kernel shows it, with `_`.
    pub name: String,
    /// Path of the .ko file, absolute or below `/lib/modules`.
    pub path: &'a str,
    /// Positions of the modules that must be loaded before.
    needs: Vec<usize>,
}

#[derive(Debug)]
struct Alias<'a> {
    pattern: &'a str,
    module: usize,
}

/// A line that is not a record of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a line of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not `m`, `a` or `l`, or with too few or too many fields.
    Malformed,
    /// An alias before the first module.
    AliasWithoutModule,
    /// A dependency or an `l` line names a module that no earlier line defines.
    UnknownModule,
}

/// A set of modules of one index: what to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Vec<bool>);

impl<'a> Index<'a> {
    /// Reads the text of an index.
    ///
    /// # Errors
    /// The first line that is not understood. The builder checks what it writes, so this means a damaged image.
    pub fn parse(text: &'a str) -> Result<Self, IndexError> {
        let mut index = Self::default();
        for (number, line) in text.lines().enumerate() {
            index.line(line).map_err(|fault| IndexError {
                line: number + 1,
                fault,
            })?;
        }
        Ok(index)
    }

    /// Number of modules in the index.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// True when the index holds no module.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Nothing selected.
    pub fn none(&self) -> Selection {
        Selection(vec![false; self.modules.len()])
    }

    /// Selects the modules of the `l` lines.
    pub fn select_always(&self, selection: &mut Selection) {
        for &module in &self.always {
            selection.add(module);
        }
    }

    /// Selects a module by its name; false when the index has none of that name.
    pub fn select_named(&self, selection: &mut Selection, name: &str) -> bool {
        let module = self.by_name.get(&normal(name));
        module.inspect(|&&module| selection.add(module)).is_some()
    }

    /// Selects every module that drives the device with this `modalias`; false when there is none.
    pub fn select_for_device(&self, selection: &mut Selection, modalias: &str) -> bool {
        let mut found = false;
        for alias in self.aliases.get(bus(modalias)).into_iter().flatten() {
            if wild_match(alias.pattern.as_bytes(), modalias.as_bytes()) {
                selection.add(alias.module);
                found = true;
            }
        }
        found
    }

    /// The selected modules that pass `filter`, with all that they need, in load order, each with its position.
    pub fn load_order<'s>(
        &'s self,
        selection: &Selection,
        filter: impl Fn(&Module<'_>) -> bool,
    ) -> Vec<(usize, &'s Module<'a>)> {
        let mut wanted: Vec<bool> = self
            .modules
            .iter()
            .zip(&selection.0)
            .map(|(module, &selected)| selected && filter(module))
            .collect();
        // What a module needs stands before it, so one pass from the end reaches the whole closure.
        for position in (0..self.modules.len()).rev() {
            if wanted[position] {
                for &need in &self.modules[position].needs {
                    wanted[need] = true;
                }
            }
        }
        self.modules
            .iter()
            .enumerate()
            .filter(|(position, _)| wanted[*position])
            .collect()
    }

    fn line(&mut self, line: &'a str) -> Result<(), Fault> {
        let mut fields = line.split_ascii_whitespace();
        match (
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
        ) {
            (None, ..) => Ok(()),
            (Some("m"), Some(name), Some(path), Some(needs), None) => {
                self.module(name, path, needs)
            }
            (Some("a"), Some(pattern), None, ..) => self.alias(pattern),
            (Some("l"), Some(name), None, ..) => {
                self.always.push(
                    *self
                        .by_name
                        .get(&normal(name))
                        .ok_or(Fault::UnknownModule)?,
                );
                Ok(())
            }
            _ => Err(Fault::Malformed),
        }
    }

    fn module(&mut self, name: &str, path: &'a str, needs: &str) -> Result<(), Fault> {
        let needs = needs
            .split(',')
            .filter(|need| !matches!(*need, "-" | ""))
            .map(|need| {
                self.by_name
                    .get(&normal(need))
                    .copied()
                    .ok_or(Fault::UnknownModule)
            })
            .collect::<Result<_, _>>()?;
        self.by_name.insert(normal(name), self.modules.len());
        self.modules.push(Module {
            name: normal(name),
            path,
            needs,
        });
        Ok(())
    }

    fn alias(&mut self, pattern: &'a str) -> Result<(), Fault> {
        let module = self
            .modules
            .len()
            .checked_sub(1)
            .ok_or(Fault::AliasWithoutModule)?;
        self.aliases
            .entry(bus(pattern))
            .or_default()
            .push(Alias { pattern, module });
        Ok(())
    }
}

impl Selection {
    fn add(&mut self, module: usize) {
        self.0[module] = true;
    }
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a record of the index",
            Self::AliasWithoutModule => "an alias before the first module",
            Self::UnknownModule => "names a module that no earlier line defines",
        })
    }
}

impl std::error::Error for IndexError {}

/// The bus of an alias; nothing for one that names no device (`rtnl-link-vlan`). ACPI drivers write `acpi*:PNP0C0C:*`,
/// so the wildcard is no part of the name.
fn bus(alias: &str) -> &str {
    alias
        .split_once(':')
        .map_or("", |(bus, _)| bus.trim_end_matches('*'))
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// Matches `text` against a shell pattern of `*`, `?`, `[abc]`, `[a-z]`, `[!..]`.
///
/// Only the last `*` is ever tried again (an earlier one need not take more than its shortest match), so the work is at
/// most the product of both lengths.
pub fn wild_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut rest, mut input) = (pattern, text);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', after)) = rest.split_first() {
            retry = Some((after, input));
            rest = after;
            continue;
        }
        match (one(rest, input.first().copied()), input.split_first()) {
            (Some(after), Some((_, following))) => (rest, input) = (after, following),
            _ if rest.is_empty() && input.is_empty() => return true,
            _ => {
                let Some((after, from)) = retry else {
                    return false;
                };
                let Some((_, longer)) = from.split_first() else {
                    return false;
                };
                (rest, input) = (after, longer);
                retry = Some((after, longer));
            }
        }
    }
}

/// Matches one letter with the first element of a pattern that does not begin with `*`; the rest of the pattern if it
/// fits.
fn one(pattern: &[u8], letter: Option<u8>) -> Option<&[u8]> {
    let letter = letter?;
    match pattern.split_first()? {
        (b'?', after) => Some(after),
        (b'[', after) => class(after, letter),
        (&literal, after) => (literal == letter).then_some(after),
    }
}

/// Matches one letter with the bracket expression whose `[` has been taken.
fn class(pattern: &[u8], letter: u8) -> Option<&[u8]> {
    let (negated, body) = match pattern.split_first() {
        Some((b'!' | b'^', body)) => (true, body),
        _ => (false, pattern),
    };
    // A `]` in the first place is a member.
    let end = 1 + body.iter().skip(1).position(|&byte| byte == b']')?;
    let (mut members, after) = (&body[..end], &body[end + 1..]);
    let mut inside = false;
    while let Some((&first, others)) = members.split_first() {
        members = match others {
            [b'-', last, following @ ..] => {
                inside |= (first..=*last).contains(&letter);
                following
            }
            _ => {
                inside |= first == letter;
                others
            }
        };
    }
    (inside != negated).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
m libcrc32c kernel/lib/libcrc32c.ko -
m virtio_ring kernel/drivers/virtio/virtio_ring.ko -
m virtio kernel/drivers/virtio/virtio.ko virtio-ring
a virtio:unused
m failover kernel/net/core/failover.ko -
m net-failover kernel/drivers/net/net_failover.ko failover
m virtio_net kernel/drivers/net/virtio_net.ko virtio,net_failover
a virtio:d00000001v*
m ip_vs kernel/net/netfilter/ipvs/ip_vs.ko libcrc32c
m button kernel/drivers/acpi/button.ko -
a acpi*:PNP0C0C:*
a acpi*:LNXPWRBN:*
m e1000 kernel/drivers/net/e1000.ko -
a pci:v00008086d0000100Esv*sd*bc*sc*i*
m 8021q kernel/net/8021q/8021q.ko -
a rtnl-link-vlan
a char-vlan-*
l ip-vs
";

    #[test]
    fn a_device_selects_its_driver_and_all_that_it_needs_in_load_order() {
        let index = Index::parse(TEXT).unwrap();
        let mut selection = index.none();
        assert!(index.select_for_device(&mut selection, "virtio:d00000001v00001AF4"));
        assert_eq!(
            names(&index, &selection),
            [
                "virtio_ring",
                "virtio",
                "failover",
                "net_failover",
                "virtio_net"
            ]
        );
    }

    #[test]
    fn acpi_aliases_match_although_their_bus_name_has_a_wildcard() {
        let index = Index::parse(TEXT).unwrap();
        let mut selection = index.none();
        assert!(index.select_for_device(&mut selection, "acpi:LNXPWRBN:"));
        assert_eq!(names(&index, &selection), ["button"]);
    }

    #[test]
    fn an_alias_that_names_no_device_is_found_too() {
        let index = Index::parse(TEXT).unwrap();
        for alias in ["rtnl-link-vlan", "char-vlan-1"] {
            let mut selection = index.none();
            assert!(index.select_for_device(&mut selection, alias));
            assert_eq!(names(&index, &selection), ["8021q"]);
        }
    }

    #[test]
    fn always_and_named_modules_are_found_whether_written_with_hyphen_or_underscore() {
        let index = Index::parse(TEXT).unwrap();
        let mut selection = index.none();
        index.select_always(&mut selection);
        assert!(index.select_named(&mut selection, "virtio-ring"));
        assert!(!index.select_named(&mut selection, "softdog"));
        assert_eq!(
            names(&index, &selection),
            ["libcrc32c", "virtio_ring", "ip_vs"]
        );
    }

    #[test]
    fn a_filter_keeps_what_the_kept_modules_need() {
        let index = Index::parse(TEXT).unwrap();
        let mut selection = index.none();
        index.select_always(&mut selection);
        index.select_for_device(&mut selection, "acpi:PNP0C0C:");
        let kept = index.load_order(&selection, |module| module.path.contains("/net/"));
        assert_eq!(
            kept.iter()
                .map(|(_, module)| module.name.as_str())
                .collect::<Vec<_>>(),
            ["libcrc32c", "ip_vs"]
        );
    }

    #[test]
    fn a_damaged_index_is_refused_with_its_line() {
        for (text, line, fault) in [
            ("x y\n", 1, Fault::Malformed),
            ("m a a.ko -\nm b b.ko\n", 2, Fault::Malformed),
            ("m a a.ko - more\n", 1, Fault::Malformed),
            ("\na pci:*\n", 2, Fault::AliasWithoutModule),
            ("m a a.ko b\nm b b.ko -\n", 1, Fault::UnknownModule),
            ("l a\n", 1, Fault::UnknownModule),
        ] {
            assert_eq!(
                Index::parse(text).unwrap_err(),
                IndexError { line, fault },
                "{text:?}"
            );
        }
    }

    #[test]
    fn patterns_match_as_the_shell_does() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*ab", "aab", true),
            ("*aab", "aaaab", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[ab", "a", false),
            ("[a-]", "-", true),
            (
                "pci:v*bc0Csc03i30*",
                "pci:v00001B36d0000000Dsv1sd1bc0Csc03i30",
                true,
            ),
            (
                "usb:v*p*d*dc*dsc*dp*ic08isc0[26]ip50in*",
                "usb:v1p2d3dc0dsc0dp0ic08isc06ip50in00",
                true,
            ),
        ] {
            assert_eq!(
                wild_match(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_pattern_of_many_stars_does_not_explode() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!wild_match(pattern.as_bytes(), "a".repeat(2000).as_bytes()));
    }

    fn names<'i>(index: &'i Index<'_>, selection: &Selection) -> Vec<&'i str> {
        index
            .load_order(selection, |_| true)
            .iter()
            .map(|(_, module)| module.name.as_str())
            .collect()
    }
}
