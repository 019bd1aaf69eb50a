//! Loads modules: each once, in the order of the index.

use std::{
    ffi::CString,
    fs::File,
    io,
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    kmod::{ModuleInitFlags, finit_module},
};

use crate::{
    cmdline::CommandLine,
    modules::{Index, Module, Selection},
};

const DIRECTORY: &str = "/lib/modules";
/// A module that took longer is worth a line in the log.
const SLOW: Duration = Duration::from_millis(250);

pub(super) struct Loader<'a> {
    index: &'a Index<'a>,
    asked: &'a CommandLine,
    wanted: Selection,
    /// By position in the index: tried, with whatever result. A driver that failed once is not tried again at each
    /// event.
    tried: Vec<bool>,
    loaded: usize,
}

impl<'a> Loader<'a> {
    pub(super) fn new(index: &'a Index<'a>, asked: &'a CommandLine) -> Self {
        Self {
            index,
            asked,
            wanted: index.none(),
            tried: vec![false; index.len()],
            loaded: 0,
        }
    }

    pub(super) fn want_always(&mut self) {
        self.index.select_always(&mut self.wanted);
    }

    pub(super) fn want_named(&mut self, name: &str) {
        if !self.index.select_named(&mut self.wanted, name) {
            log::warn!("there is no module {name} in this image");
        }
    }

    /// Wants a module by its name, or those that have this alias; false when there is none.
    pub(super) fn want_requested(&mut self, name: &str) -> bool {
        self.index.select_named(&mut self.wanted, name)
            || self.index.select_for_device(&mut self.wanted, name)
    }

    pub(super) fn want_for_device(&mut self, modalias: &str) {
        if !self.index.select_for_device(&mut self.wanted, modalias) {
            log::debug!("no driver for {modalias}");
        }
    }

    /// Modules loaded so far.
    pub(super) fn loaded(&self) -> usize {
        self.loaded
    }

    /// Loads what is wanted, passes the filter and was not tried yet; how many were tried.
    pub(super) fn load(&mut self, filter: impl Fn(&Module<'_>) -> bool) -> usize {
        let mut count = 0;
        for (position, module) in self.index.load_order(&self.wanted, filter) {
            if std::mem::replace(&mut self.tried[position], true) {
                continue;
            }
            count += 1;
            let started = Instant::now();
            match insert(module, &self.asked.parameters_of(&module.name)) {
                Ok(()) => self.loaded += 1,
                // A driver whose device is not there says so; that is no fault of the node.
                Err(cause) if cause.raw_os_error() == Some(Errno::ENODEV as i32) => {
                    log::info!("module {}: no device", module.name);
                }
                Err(cause) => log::warn!("module {}: {cause}", module.name),
            }
            let took = started.elapsed();
            if took >= SLOW {
                log::info!("module {} took {} ms", module.name, took.as_millis());
            }
        }
        count
    }
}

fn insert(module: &Module<'_>, parameters: &str) -> io::Result<()> {
    let file = File::open(Path::new(DIRECTORY).join(module.path))?;
    let parameters = CString::new(parameters)?;
    match finit_module(&file, &parameters, ModuleInitFlags::empty()) {
        // The kernel has it already: built in, or from before this process was started again.
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
