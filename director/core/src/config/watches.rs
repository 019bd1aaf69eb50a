//! What virtual routers may track and has a block of its own: `vrrp_script`, `track_probe`, `track_file`.

use std::collections::BTreeMap;

use super::read::Reader;
use super::tree::Statement;
use super::{Tracked, Watch, probe, script, track_file};
use crate::limits;
use crate::net::Name;
use crate::vrrp::Weight;

/// All of them.
#[derive(Default)]
pub(super) struct Watches {
    pub(super) list: Vec<Watch>,
    /// Those that could not be read. That is said where they stand, and not again by whoever tracks them.
    broken: Vec<Tracked>,
}

impl Watches {
    /// Reads one of the blocks.
    pub(super) fn read(&mut self, reader: &mut Reader<'_, '_>, word: &str, block: Statement<'_>) {
        let at = block.keyword().at;
        let (watch, of): (_, fn(Name) -> Tracked) = match word {
            "vrrp_script" => (script::read(reader, block), Tracked::Script),
            "track_probe" => (probe::read(reader, block), Tracked::Probe),
            _ => (track_file::read(reader, block), Tracked::File),
        };
        let Some(watch) = watch else {
            let name = block.arguments().next().and_then(|word| word.text());
            let name = name.and_then(|name| name.parse().ok());
            self.broken.extend(name.map(of));
            return;
        };
        if self.list.iter().any(|had| had.of == watch.of) {
            let message = format!("the {} is already there", watch.of);
            reader.sink.error(at, message);
        } else if self.list.len() == limits::WATCHES_MAX {
            let most = limits::WATCHES_MAX;
            let message = format!("more than {most} scripts, probes and files");
            reader.sink.error(at, message);
        } else {
            self.list.push(watch);
        }
    }

    /// Path and weight of each file.
    pub(super) fn files(&self) -> BTreeMap<Name, (String, Weight)> {
        let files = self.list.iter().filter_map(|watch| {
            let (name, path) = watch.file()?;
            Some((name.clone(), (path.to_owned(), watch.weight)))
        });
        files.collect()
    }

    /// The weights that they have themselves; those that could not be read are among them.
    pub(super) fn weights(&self) -> BTreeMap<Tracked, Weight> {
        let broken = self.broken.iter().map(|of| (of.clone(), Weight::default()));
        let good = self
            .list
            .iter()
            .map(|watch| (watch.of.clone(), watch.weight));
        broken.chain(good).collect()
    }
}
