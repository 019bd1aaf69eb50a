//! What outlives a director: operators' words and drains, in a small file beside the control socket, where it is gone
//! with the boot whose clock it speaks of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use director_core::overrides::Saved;

/// First byte of the file; another one is an older program's.
const VERSION: u8 = 1;

/// The name of the file.
const NAME: &str = "overrides";

/// The file, and what it holds.
pub(crate) struct SavedFile {
    path: PathBuf,
    bytes: Vec<u8>,
    /// What [`director_core::director::Director::saved_number`] was when it was last looked at.
    pub(crate) number: u64,
}

impl SavedFile {
    /// The file beside a socket.
    pub(crate) fn beside(socket: &Path) -> Self {
        Self {
            path: socket.with_file_name(NAME),
            bytes: encode(&[]),
            number: 0,
        }
    }

    /// What the director before this one left. A file that is damaged says nothing.
    pub(crate) fn load(&mut self) -> Vec<Saved> {
        match fs::read(&self.path) {
            Ok(bytes) => {
                let saved = decode(&bytes);
                if saved.is_none() {
                    log::warn!(
                        "{}: damaged, operators' words are lost",
                        self.path.display()
                    );
                }
                self.bytes = bytes;
                saved.unwrap_or_default()
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    log::warn!("{}: {error}", self.path.display());
                }
                Vec::new()
            }
        }
    }

    /// Puts this in the place of what was there, at once and whole.
    pub(crate) fn store(&mut self, saved: &[Saved]) {
        let bytes = encode(saved);
        if bytes == self.bytes {
            return;
        }
        let beside = self.path.with_extension("new");
        match fs::write(&beside, &bytes).and_then(|()| fs::rename(&beside, &self.path)) {
            Ok(()) => self.bytes = bytes,
            Err(error) => log::warn!("{}: {error}", self.path.display()),
        }
    }
}

/// Version, entries by postcard, CRC-32 of both.
fn encode(saved: &[Saved]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    // Entries are numbers and names of bounded length: there is nothing that postcard could refuse.
    bytes.extend(postcard::to_allocvec(saved).unwrap_or_default());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Vec<Saved>> {
    let (covered, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (version, body) = covered.split_first()?;
    (*version == VERSION)
        .then(|| postcard::from_bytes(body).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use director_core::ipvs::{DestId, Protocol, ServiceId};
    use director_core::overrides::{Override, Wish, Word};
    use director_core::time::Instant;

    use super::*;

    fn entries() -> Vec<Saved> {
        let entry = |wish| Saved {
            service: ServiceId::Address {
                protocol: Protocol::Tcp,
                address: [192, 0, 2, 1].into(),
                port: 80,
            },
            dest: DestId {
                address: [10, 0, 0, 1].into(),
                port: 80,
            },
            word: Word::Override(Override::new(Instant::from_millis(5), wish).unwrap()),
        };
        vec![entry(Wish::Drain(Some(60))), entry(Wish::Weight(7))]
    }

    #[test]
    fn what_was_stored_is_loaded_and_nothing_that_is_damaged() {
        let bytes = encode(&entries());
        assert_eq!(decode(&bytes), Some(entries()));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "byte {at}");
            assert_eq!(decode(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn the_file_is_replaced_whole_and_read_by_the_next() {
        let folder = std::env::temp_dir().join(format!("keelson-saved-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("director.sock");
        let mut file = SavedFile::beside(&socket);
        assert_eq!(file.load(), []);
        file.store(&entries());
        assert_eq!(SavedFile::beside(&socket).load(), entries());
        file.store(&[]);
        assert_eq!(SavedFile::beside(&socket).load(), []);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::write(folder.join(NAME), b"x").unwrap();
        assert_eq!(SavedFile::beside(&socket).load(), []);
        fs::remove_dir_all(&folder).unwrap();
    }
}
