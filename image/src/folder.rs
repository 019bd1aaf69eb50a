//! Folders that are whole or not there.

use std::fs;
use std::path::Path;

use crate::Error;

/// Makes a folder anew, whole or not at all: `fill` works beside it.
pub fn replace<E: From<Error>>(
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let work = folder.with_extension("new");
    empty(&work)?;
    fill(&work)?;
    empty(folder)?;
    Ok(fs::rename(&work, folder).map_err(Error::io(folder))?)
}

/// Makes a folder that is empty.
pub fn empty(folder: &Path) -> Result<(), Error> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Error::io(folder))?;
    }
    fs::create_dir_all(folder).map_err(Error::io(folder))
}
