//! What a configuration may ask of the world around it: other files, and the environment. The core reads neither;
//! whoever parses says how.

use std::fmt;

/// The files beside the two that are given, and the environment.
pub trait Outside {
    /// The bytes of a file.
    ///
    /// # Errors
    /// Why it can't be read, in words.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// The names in a folder, which ends in `/` or is empty for the current one; names of folders end in `/`. None
    /// where there is no such folder.
    fn list(&self, folder: &str) -> Vec<String>;

    /// A variable of the environment (`${_ENV NAME}`).
    fn variable(&self, name: &str) -> Option<String>;
}

/// How a configuration is read.
#[derive(Clone, Copy)]
pub struct Reading<'o> {
    /// Where included files are.
    pub outside: &'o dyn Outside,
    /// Unknown words of keepalived.conf, and files that it includes and that are not there, are left out with a
    /// warning, as keepalived does; router.conf can say the same (`config lenient`).
    pub lenient: bool,
}

impl<'o> Reading<'o> {
    /// With these files, and not lenient.
    #[must_use]
    pub const fn with(outside: &'o dyn Outside) -> Self {
        Self {
            outside,
            lenient: false,
        }
    }
}

impl Default for Reading<'_> {
    /// There is nothing outside.
    fn default() -> Self {
        Self::with(&Nothing)
    }
}

impl fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("lenient", &self.lenient)
            .finish_non_exhaustive()
    }
}

/// No further files, and no environment.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Outside for Nothing {
    fn read(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("no other files can be read here".to_owned())
    }

    fn list(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}
