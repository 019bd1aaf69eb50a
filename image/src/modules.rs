//! Kernel modules: what Debian's package holds, the closure of a set over what each module needs, and the index that
//! the node loads them by.
//!
//! The .deb carries no `modules.dep` and no `modules.alias` (a system makes them when the package is installed), and
//! none is needed: every module names in its `.modinfo` section what it depends on and which devices it drives.

mod modinfo;
mod set;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use set::ModuleSet;

use crate::Error;
use crate::cache;

/// All modules of one kernel package.
#[derive(Debug)]
pub struct Modules {
    dir: PathBuf,
    by_name: BTreeMap<String, Module>,
    builtin: BTreeSet<String>,
}

/// One module as its `.modinfo` section describes it. Names have `_` where file names may have `-`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name as the kernel shows it.
    pub name: String,
    /// Its file below the package's module folder, such as `kernel/drivers/net/virtio_net.ko`.
    pub path: String,
    /// The modules whose symbols it uses.
    pub depends: Vec<String>,
    /// Modules or aliases that it wants before it.
    pub soft_before: Vec<String>,
    /// Modules or aliases that it wants after it.
    pub soft_after: Vec<String>,
    /// Patterns of the devices it drives, and names that the kernel asks for it by.
    pub aliases: Vec<String>,
}

/// Why a module or a set of modules can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleError {
    /// A module that a set or another module names is not in the package.
    Missing {
        /// The module.
        name: String,
        /// Who wants it.
        wanted_by: String,
    },
    /// A set names what is part of the kernel itself.
    BuiltIn(String),
    /// A file is no ELF file with module information.
    Modinfo(String),
    /// A line of a set is not understood: file, line, what is wrong.
    Set(String, usize, &'static str),
}

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, wanted_by } => write!(
                f,
                "{name}, wanted by {wanted_by}, is not in the kernel package"
            ),
            Self::BuiltIn(name) => {
                write!(f, "{name} is part of the kernel: take it out of the set")
            }
            Self::Modinfo(path) => write!(f, "{path} has no module information"),
            Self::Set(file, line, what) => write!(f, "{file}:{line}: {what}"),
        }
    }
}

impl std::error::Error for ModuleError {}

impl Modules {
    /// Opens the modules in `dir` (`lib/modules/RELEASE` of the package) with the facts that [`Modules::scan`] left
    /// in `facts`.
    pub(crate) fn open(dir: &Path, facts: &Path) -> Result<Self, Error> {
        let text = fs::read(facts).map_err(Error::io(facts))?;
        let modules: Vec<Module> = serde_json::from_slice(&text)
            .map_err(|error| Error::Kernel(format!("{}: {error}", facts.display())))?;
        let builtin_path = dir.join("modules.builtin");
        let builtin = fs::read_to_string(&builtin_path).map_err(Error::io(&builtin_path))?;
        let by_name = modules
            .into_iter()
            .map(|module| (module.name.clone(), module))
            .collect();
        Ok(Self {
            dir: dir.to_owned(),
            by_name,
            builtin: builtin.lines().map(modinfo::name_of_path).collect(),
        })
    }

    /// Reads the module information of every module below `dir` once, and keeps it in `facts`.
    pub(crate) fn scan(dir: &Path, facts: &Path) -> Result<(), Error> {
        let mut modules = Vec::new();
        scan_folder(dir, &dir.join("kernel"), &mut modules)?;
        modules.sort_by(|a, b| a.name.cmp(&b.name));
        let text =
            serde_json::to_vec(&modules).map_err(|error| Error::Kernel(error.to_string()))?;
        cache::write(facts, &text)
    }

    /// The modules `wanted` with everything they need, in load order: each stands after what it needs. Soft
    /// dependencies are followed as far as the package holds them, like modprobe does.
    pub fn closure(&self, wanted: &[&str]) -> Result<Vec<&Module>, ModuleError> {
        let mut walk = Walk {
            modules: self,
            order: Vec::new(),
            visited: BTreeSet::new(),
        };
        for name in wanted {
            if self.builtin.contains(&modinfo::normal(name)) {
                return Err(ModuleError::BuiltIn((*name).to_owned()));
            }
            walk.visit(&modinfo::normal(name), "the set")?;
        }
        Ok(walk.order)
    }

    /// The bytes of a module's file, as the package has them: they are signed.
    pub fn bytes(&self, module: &Module) -> Result<Vec<u8>, Error> {
        let path = self.dir.join(&module.path);
        fs::read(&path).map_err(Error::io(&path))
    }

    /// What a module needs before it: symbols of others, then soft dependencies that the package holds.
    fn before<'a>(&'a self, module: &'a Module) -> Vec<&'a str> {
        let soft = module
            .soft_before
            .iter()
            .filter_map(|name| self.provider(name));
        let mut before: Vec<&str> = module
            .depends
            .iter()
            .map(String::as_str)
            .chain(soft)
            .collect();
        before.dedup();
        before
    }

    /// The module that a soft dependency means. It may be an alias (`crc32c`) that several modules have; then one that
    /// asks for no particular processor, because the others fail on a machine without it.
    fn provider(&self, name: &str) -> Option<&str> {
        let name = modinfo::normal(name);
        if let Some(module) = self.by_name.get(&name) {
            return Some(&module.name);
        }
        let offers = |module: &&Module| {
            let any_processor = !module.aliases.iter().any(|alias| alias.starts_with("cpu:"));
            any_processor
                && module
                    .aliases
                    .iter()
                    .any(|alias| modinfo::normal(alias) == name)
        };
        self.by_name
            .values()
            .find(offers)
            .map(|module| module.name.as_str())
    }
}

/// The index that the node reads: for each module of `closure` its path below `/lib/modules` and what must be loaded
/// before it, its aliases of devices and interfaces, and at the end the modules to load at every boot. The format is
/// described where it is read, in package `init`.
pub fn index(
    modules: &Modules,
    closure: &[&Module],
    at_boot: &[&str],
) -> Result<String, ModuleError> {
    let mut text = String::new();
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{words}");
    };
    let mut written: BTreeSet<&str> = BTreeSet::new();
    for module in closure {
        // Where soft dependencies form a ring, the closure has broken it and the index follows.
        let needs: Vec<&str> = modules
            .before(module)
            .into_iter()
            .filter(|name| written.contains(name))
            .collect();
        let needs = if needs.is_empty() {
            "-".to_owned()
        } else {
            needs.join(",")
        };
        line(format_args!("m {} {} {needs}", module.name, module.path));
        for alias in module.aliases.iter().filter(|alias| is_asked_for(alias)) {
            line(format_args!("a {alias}"));
        }
        written.insert(&module.name);
    }
    for name in at_boot {
        let name = modinfo::normal(name);
        if !written.contains(name.as_str()) {
            return Err(ModuleError::Missing {
                name,
                wanted_by: "the index".to_owned(),
            });
        }
        line(format_args!("l {name}"));
    }
    Ok(text)
}

/// A device's alias has a bus name and a colon. Of the others, which serve the kernel's own requests (`net-pf-10`),
/// those of interfaces matter that a configuration asks for: no other name leads from `rtnl-link-vlan` to 8021q.
fn is_asked_for(alias: &str) -> bool {
    let of_device = alias.contains(':') && !alias.contains(char::is_whitespace);
    of_device || alias.starts_with("rtnl-link-")
}

fn scan_folder(root: &Path, folder: &Path, modules: &mut Vec<Module>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.is_dir() {
            scan_folder(root, &path, modules)?;
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            let bytes = fs::read(&path).map_err(Error::io(&path))?;
            let inside = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            modules.push(modinfo::parse(&inside, &bytes)?);
        }
    }
    Ok(())
}

/// A depth-first walk that puts each module after what it needs.
struct Walk<'a> {
    modules: &'a Modules,
    order: Vec<&'a Module>,
    visited: BTreeSet<&'a str>,
}

impl<'a> Walk<'a> {
    /// Depth is bounded, because a module is entered once and the kernel's chains of dependencies are short.
    fn visit(&mut self, name: &str, wanted_by: &str) -> Result<(), ModuleError> {
        let Some(module) = self.modules.by_name.get(name) else {
            return Err(ModuleError::Missing {
                name: name.to_owned(),
                wanted_by: wanted_by.to_owned(),
            });
        };
        if !self.visited.insert(&module.name) {
            return Ok(());
        }
        for before in self.modules.before(module) {
            self.visit(before, &module.name)?;
        }
        self.order.push(module);
        for after in module
            .soft_after
            .iter()
            .filter_map(|name| self.modules.provider(name))
        {
            self.visit(after, &module.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_is_in_load_order_and_holds_everything_once() {
        let modules = sample();
        let closure = modules.closure(&["net-failover", "virtio_net"]).unwrap();
        let names: Vec<_> = closure.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "failover",
                "net_failover",
                "virtio_ring",
                "virtio",
                "virtio_net"
            ]
        );
    }

    #[test]
    fn a_soft_dependency_on_an_alias_takes_the_module_for_every_processor() {
        let modules = sample();
        let closure = modules.closure(&["libcrc32c"]).unwrap();
        let text = index(&modules, &closure, &["libcrc32c"]).unwrap();
        assert_eq!(
            text,
            "m crc32c_generic kernel/crc32c_generic.ko -\nm libcrc32c kernel/libcrc32c.ko crc32c_generic\nl libcrc32c\n"
        );
    }

    #[test]
    fn the_index_has_the_aliases_of_devices_and_of_interfaces_only() {
        let modules = sample();
        let text = index(&modules, &modules.closure(&["virtio_net"]).unwrap(), &[]).unwrap();
        assert!(
            text.ends_with(
                "m virtio_net kernel/virtio_net.ko virtio,net_failover\na virtio:d00000001v*\n"
            ),
            "{text}"
        );
        let text = index(&modules, &modules.closure(&["8021q"]).unwrap(), &[]).unwrap();
        assert_eq!(text, "m 8021q kernel/8021q.ko -\na rtnl-link-vlan\n");
    }

    #[test]
    fn missing_and_built_in_modules_are_refused_by_name() {
        let modules = sample();
        let missing = |name: &str, by: &str| ModuleError::Missing {
            name: name.to_owned(),
            wanted_by: by.to_owned(),
        };
        assert_eq!(
            modules.closure(&["no_such"]).unwrap_err(),
            missing("no_such", "the set")
        );
        assert_eq!(
            modules.closure(&["broken"]).unwrap_err(),
            missing("absent", "broken")
        );
        assert_eq!(
            modules.closure(&["serio"]).unwrap_err(),
            ModuleError::BuiltIn("serio".to_owned())
        );
        assert_eq!(
            index(&modules, &[], &["x"]).unwrap_err(),
            missing("x", "the index")
        );
    }

    #[test]
    fn a_ring_of_soft_dependencies_ends() {
        let modules = sample();
        let closure = modules.closure(&["hen"]).unwrap();
        assert_eq!(closure.len(), 2);
        let text = index(&modules, &closure, &[]).unwrap();
        assert_eq!(text, "m egg kernel/egg.ko -\nm hen kernel/hen.ko egg\n");
    }

    fn sample() -> Modules {
        let module = |name: &str, depends: &[&str], soft: &[&str], aliases: &[&str]| Module {
            name: name.to_owned(),
            path: format!("kernel/{name}.ko"),
            depends: depends.iter().map(|name| (*name).to_owned()).collect(),
            soft_before: soft.iter().map(|name| (*name).to_owned()).collect(),
            soft_after: Vec::new(),
            aliases: aliases.iter().map(|name| (*name).to_owned()).collect(),
        };
        let modules = [
            module(
                "virtio_net",
                &["virtio", "net_failover"],
                &[],
                &["virtio:d00000001v*", "net-x"],
            ),
            module("virtio", &["virtio_ring"], &[], &[]),
            module("virtio_ring", &[], &[], &[]),
            module("failover", &[], &[], &[]),
            module("net_failover", &["failover"], &["not_there"], &[]),
            module(
                "crc32c_intel",
                &[],
                &[],
                &["crc32c", "cpu:type:x86,ven*fam*mod*:feature:*0094*"],
            ),
            module("crc32c_generic", &[], &[], &["crc32c"]),
            module("libcrc32c", &[], &["crc32c"], &[]),
            module("8021q", &[], &[], &["rtnl-link-vlan", "net-x"]),
            module("broken", &["absent"], &[], &[]),
            module("hen", &[], &["egg"], &[]),
            module("egg", &[], &["hen"], &[]),
        ];
        let by_name = modules
            .into_iter()
            .map(|module| (module.name.clone(), module))
            .collect();
        Modules {
            dir: PathBuf::new(),
            by_name,
            builtin: BTreeSet::from(["serio".to_owned()]),
        }
    }
}
