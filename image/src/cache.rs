//! What builds keep for each other, in `target/image-cache`: one file for each name, remade when its key changes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Error;

/// The cache, held by one process at a time.
pub(crate) struct Cache {
    /// The folder.
    pub(crate) dir: PathBuf,
    /// Unlocked when it is closed.
    _lock: File,
}

impl Cache {
    /// Opens the cache; waits while another process holds it.
    pub(crate) fn open(dir: PathBuf) -> Result<Self, Error> {
        fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(Error::io(&path))?;
        lock.lock().map_err(Error::io(&path))?;
        Ok(Self { dir, _lock: lock })
    }

    /// The file `name` as it was made for `key`, from `make` when there is none.
    pub(crate) fn file(
        &self,
        name: &str,
        key: &str,
        make: impl FnOnce() -> Result<Vec<u8>, Error>,
    ) -> Result<PathBuf, Error> {
        let path = self.dir.join(name);
        let key_path = self.key_path(name);
        if path.is_file() && fs::read_to_string(&key_path).is_ok_and(|made_for| made_for == key) {
            return Ok(path);
        }
        // Without its key the old file counts as absent, whenever this is interrupted.
        self.forget(name)?;
        write(&path, &make()?)?;
        write(&key_path, key.as_bytes())?;
        Ok(path)
    }

    /// Has the file `name` made again when it is asked for.
    pub(crate) fn forget(&self, name: &str) -> Result<(), Error> {
        let path = self.key_path(name);
        if path.exists() {
            fs::remove_file(&path).map_err(Error::io(&path))
        } else {
            Ok(())
        }
    }

    fn key_path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.key"))
    }
}

/// Writes a file so that its readers see the old bytes or the new ones.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let unfinished = unfinished(path);
    fs::write(&unfinished, bytes).map_err(Error::io(&unfinished))?;
    fs::rename(&unfinished, path).map_err(Error::io(path))
}

/// The SHA-256 of `bytes` in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Two processes that write the same file must not share the unfinished one.
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}
