//! The `.modinfo` section of a module: strings `key=value`, each ended by a NUL.

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection};

use super::{Module, ModuleError};

/// Reads what the module at `path` (below the package's module folder) says about itself.
pub(super) fn parse(path: &str, bytes: &[u8]) -> Result<Module, ModuleError> {
    let section = ElfFile64::<Endianness>::parse(bytes).ok().and_then(|elf| {
        let section = elf.section_by_name(".modinfo")?;
        section.data().ok()
    });
    let section = section.ok_or_else(|| ModuleError::Modinfo(path.to_owned()))?;
    let mut module = Module {
        name: name_of_path(path),
        path: path.to_owned(),
        ..Module::default()
    };
    for text in section.split(|byte| *byte == 0) {
        // Authors' names and descriptions need not be UTF-8; what is used here is.
        let Some((key, value)) = str::from_utf8(text)
            .ok()
            .and_then(|text| text.split_once('='))
        else {
            continue;
        };
        match key {
            "name" => module.name = normal(value),
            "depends" => module
                .depends
                .extend(value.split(',').filter(|name| !name.is_empty()).map(normal)),
            "alias" => module.aliases.push(value.to_owned()),
            "softdep" => soft_dependencies(&mut module, value),
            _ => {}
        }
    }
    Ok(module)
}

/// The name as the kernel shows it: with `_` for `-`.
pub(super) fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// `kernel/drivers/net/net-failover.ko` as `net_failover`.
pub(super) fn name_of_path(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(file.strip_suffix(".ko").unwrap_or(file))
}

/// `pre: a b post: c`.
fn soft_dependencies(module: &mut Module, value: &str) {
    let mut into = &mut module.soft_before;
    for word in value.split_ascii_whitespace() {
        match word {
            "pre:" => into = &mut module.soft_before,
            "post:" => into = &mut module.soft_after,
            name => into.push(name.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_dependencies_are_told_apart() {
        let mut module = Module::default();
        soft_dependencies(&mut module, "pre: a b post: c pre: d");
        assert_eq!(
            (module.soft_before.join(" "), module.soft_after.join(" ")),
            ("a b d".to_owned(), "c".to_owned())
        );
    }

    #[test]
    fn a_name_comes_from_the_file_and_has_underscores() {
        assert_eq!(
            name_of_path("kernel/crypto/crc32c-intel.ko"),
            "crc32c_intel"
        );
    }

    #[test]
    fn what_is_no_module_is_refused_by_path() {
        assert_eq!(
            parse("a.ko", b"#!/bin/sh"),
            Err(ModuleError::Modinfo("a.ko".to_owned()))
        );
    }
}
