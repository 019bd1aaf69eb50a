//! The sets of modules in `rootfs/modules/*.set`.

use std::fs;
use std::path::Path;

use super::ModuleError;
use crate::Error;

/// A named set of modules. The text has one statement a line, `#` begins a comment:
///
/// ```text
/// include vm     all of vm.set
/// virtio_net     in the image; loaded when a device of its kind is found, or by name
/// load ip_vs     in the image and loaded at every boot
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleSet {
    /// Every module of the set by its name, in the order of the text.
    pub modules: Vec<String>,
    /// Those of them that are loaded at every boot.
    pub at_boot: Vec<String>,
}

impl ModuleSet {
    /// Reads `NAME.set` in `dir` with what it includes.
    pub fn read(dir: &Path, name: &str) -> Result<Self, Error> {
        let mut set = Self::default();
        set.include(dir, name, &mut Vec::new())?;
        Ok(set)
    }

    fn include(&mut self, dir: &Path, name: &str, included: &mut Vec<String>) -> Result<(), Error> {
        // A set that is included twice, even by itself, is the same as included once.
        if included.iter().any(|other| other == name) {
            return Ok(());
        }
        included.push(name.to_owned());
        let path = dir.join(format!("{name}.set"));
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        for (index, line) in text.lines().enumerate() {
            let code = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = code.split_ascii_whitespace().collect();
            match words[..] {
                [] => {}
                ["include", other] => self.include(dir, other, included)?,
                ["load", module] => {
                    self.modules.push(module.to_owned());
                    self.at_boot.push(module.to_owned());
                }
                [module] => self.modules.push(module.to_owned()),
                _ => {
                    let what = "expected `include SET`, `load MODULE` or `MODULE`";
                    return Err(
                        ModuleError::Set(path.display().to_string(), index + 1, what).into(),
                    );
                }
            }
        }
        Ok(())
    }
}
