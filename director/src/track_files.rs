//! The files of `track_file`: written by `init_file`, and by an operator at the console. They are read by checks
//! ([`crate::exec::Programs::read`]).

use std::io;
use std::path::Path;

use director_core::config::Watch;

use crate::exec::place;
use crate::files::replace;

/// Writes what `init_file` asks for: where there is no file, and at the start also over one that is there.
pub(crate) fn prepare(folder: &Path, watches: &[Watch], is_start: bool) {
    for watch in watches {
        let (Some((name, path)), Some(init)) = (watch.file(), watch.init_file) else {
            continue;
        };
        let there = place(folder, path).exists();
        if (!there || (init.overwrite && is_start))
            && let Err(error) = write(folder, path, init.value)
        {
            log::error!("file {name}: {path}: {error}");
        }
    }
}

/// Puts a number in a file's place, whole or not at all.
pub(crate) fn write(folder: &Path, path: &str, number: i64) -> io::Result<()> {
    replace(&place(folder, path), 0o644, &format!("{number}\n"))
}
