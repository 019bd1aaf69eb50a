//! The cpio "newc" format, which the kernel unpacks as its first root file system
//! (Linux Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! ```text
//! header 110 bytes: "070701" and 13 fields of 8 hexadecimal digits | name NUL | pad to 4 | data | pad to 4
//! ```
//!
//! [`Tree`] is the reproducible way to write one: entries sorted by path, parents before children, all of them
//! with owner 0, time 0 and inode numbers counted from 1. [`Writer`] is the layer below it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The header without the name.
const HEADER_LEN: usize = 110;
/// Headers and data start at multiples of this.
const ALIGN: usize = 4;
/// Linux passes over entries whose name, with its NULs, is longer than PATH_MAX.
const MAX_NAME_LEN: usize = 4096;
const MAGIC: &[u8] = b"070701";
const TRAILER: &str = "TRAILER!!!";
const TYPE_MASK: u32 = 0o170_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_SYMLINK: u32 = 0o120_000;
const TYPE_CHARACTER: u32 = 0o020_000;

/// What an entry of a [`Tree`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An empty folder.
    Directory,
    /// A regular file and its bytes.
    File(Vec<u8>),
    /// A symbolic link and what it points to.
    Symlink(String),
    /// A character device: major and minor number.
    Character(u32, u32),
}

/// A file tree in memory, to be written as one archive.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    entries: BTreeMap<String, (u32, Kind)>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an entry at `path` (with or without a leading slash); missing parents become folders with mode 755.
    /// An entry that was there before is replaced. `mode` is permission bits only.
    pub fn insert(&mut self, path: &str, mode: u32, kind: Kind) {
        let path = path.trim_matches('/');
        if path.is_empty() {
            return;
        }
        for (end, _) in path.match_indices('/') {
            self.entries
                .entry(path[..end].to_owned())
                .or_insert((0o755, Kind::Directory));
        }
        self.entries.insert(path.to_owned(), (mode & 0o7777, kind));
    }

    /// Puts a folder at `path`, mode 755.
    pub fn directory(&mut self, path: &str) {
        self.insert(path, 0o755, Kind::Directory);
    }

    /// Puts a regular file at `path`.
    pub fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.insert(path, mode, Kind::File(bytes.into()));
    }

    /// Copies a folder of the host with all below it to `path`. Of the permission bits only "executable" is kept,
    /// because a checkout's other bits depend on the umask of whoever made it. Sockets, pipes and devices are left out.
    pub fn host_directory(&mut self, path: &str, host: &Path) -> io::Result<()> {
        for entry in fs::read_dir(host)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(io::Error::other(format!(
                    "{} is not UTF-8",
                    entry.path().display()
                )));
            };
            let inside = format!("{path}/{name}");
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                self.directory(&inside);
                self.host_directory(&inside, &entry.path())?;
            } else if metadata.is_symlink() {
                let target = fs::read_link(entry.path())?.to_string_lossy().into_owned();
                self.insert(&inside, 0o777, Kind::Symlink(target));
            } else if metadata.is_file() {
                let mode = if metadata.mode() & 0o111 == 0 {
                    0o644
                } else {
                    0o755
                };
                self.file(&inside, mode, fs::read(entry.path())?);
            }
        }
        Ok(())
    }

    /// The entries in the order in which they are written: path, permission bits, kind.
    pub fn entries(&self) -> impl Iterator<Item = (&str, u32, &Kind)> {
        self.entries
            .iter()
            .map(|(path, (mode, kind))| (path.as_str(), *mode, kind))
    }

    /// The archive. A name sorts before everything below it, so parents come first.
    pub fn archive(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        for (path, mode, kind) in self.entries() {
            let (kind, device, data): (_, _, &[u8]) = match kind {
                Kind::Directory => (TYPE_DIRECTORY, (0, 0), &[]),
                Kind::File(bytes) => (TYPE_FILE, (0, 0), bytes),
                Kind::Symlink(target) => (TYPE_SYMLINK, (0, 0), target.as_bytes()),
                Kind::Character(major, minor) => (TYPE_CHARACTER, (*major, *minor), &[]),
            };
            writer.entry(path, kind | mode, device, data);
        }
        writer.finish()
    }
}

/// Writes the entries of one archive, in the order of the calls.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    entries: u32,
}

impl Writer {
    /// An archive without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a regular file.
    pub fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        self.entry(path, TYPE_FILE | mode, (0, 0), bytes);
    }

    /// Appends a regular file whose data start at a multiple of `align` bytes from the start of the archive: the
    /// name gets more NULs than the one it needs, which the kernel's documentation allows for just this.
    pub fn aligned_file(&mut self, path: &str, mode: u32, align: usize, bytes: &[u8]) {
        let data_at = (self.out.len() + HEADER_LEN + path.len() + 1).next_multiple_of(align);
        let name_len = data_at - self.out.len() - HEADER_LEN;
        self.raw_entry(path, name_len, TYPE_FILE | mode, (0, 0), bytes);
    }

    /// Ends the archive, padded to 4 bytes.
    pub fn finish(self) -> Vec<u8> {
        self.finish_aligned(ALIGN)
    }

    /// Ends the archive with a trailer that makes its length a multiple of `align`.
    pub fn finish_aligned(mut self, align: usize) -> Vec<u8> {
        let end = (self.out.len() + HEADER_LEN + TRAILER.len() + 1).next_multiple_of(align);
        let name_len = end - self.out.len() - HEADER_LEN;
        self.entries = u32::MAX; // the trailer's inode number is 0
        self.raw_entry(TRAILER, name_len, 0, (0, 0), &[]);
        self.out
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), bytes: &[u8]) {
        self.raw_entry(path, path.len() + 1, mode, device, bytes);
    }

    fn raw_entry(
        &mut self,
        path: &str,
        name_len: usize,
        mode: u32,
        device: (u32, u32),
        bytes: &[u8],
    ) {
        debug_assert!(
            name_len > path.len() && name_len <= MAX_NAME_LEN && bytes.len() <= u32::MAX as usize
        );
        self.entries = self.entries.wrapping_add(1);
        let links = if mode & TYPE_MASK == TYPE_DIRECTORY {
            2
        } else {
            1
        };
        let fields = [
            self.entries,       // inode
            mode,               // type and permissions
            0,                  // owner
            0,                  // group
            links,              // number of links
            0,                  // time
            bytes.len() as u32, // length of the data
            0,                  // device of the file system, major
            0,                  // and minor
            device.0,           // device that the entry stands for, major
            device.1,           // and minor
            name_len as u32,    // length of the name with its NULs
            0,                  // checksum, unused in this flavour
        ];
        self.out.extend_from_slice(MAGIC);
        for field in fields {
            self.out
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.out.extend_from_slice(path.as_bytes());
        self.out.resize(self.out.len() + name_len - path.len(), 0);
        self.pad();
        self.out.extend_from_slice(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.out.resize(self.out.len().next_multiple_of(ALIGN), 0);
    }
}

/// An entry as [`read`] finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The name up to its first NUL.
    pub path: &'a str,
    /// Type and permission bits.
    pub mode: u32,
    /// Where the data start, from the start of what was read.
    pub data_at: usize,
    /// The data: a file's bytes or a link's target.
    pub data: &'a [u8],
}

/// Why bytes are not a cpio archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The bytes end within an entry, at this offset.
    Truncated(usize),
    /// The header at this offset has another magic, or a field that is no hexadecimal number.
    Header(usize),
    /// The name at this offset is empty, not UTF-8, or without a NUL at its end.
    Name(usize),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated(at) => write!(f, "the archive ends within the entry at byte {at}"),
            Self::Header(at) => write!(f, "no cpio header at byte {at}"),
            Self::Name(at) => write!(f, "the name of the entry at byte {at} is not usable"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads one archive from the start of `bytes`: its entries and its length up to the end of the trailer.
pub fn read(bytes: &[u8]) -> Result<(Vec<Found<'_>>, usize), ReadError> {
    let mut entries = Vec::new();
    let mut at = 0;
    loop {
        let header = bytes
            .get(at..at + HEADER_LEN)
            .ok_or(ReadError::Truncated(at))?;
        if !header.starts_with(MAGIC) {
            return Err(ReadError::Header(at));
        }
        let field = |index: usize| {
            let digits = header
                .get(6 + 8 * index..14 + 8 * index)
                .and_then(|digits| str::from_utf8(digits).ok());
            digits
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                .ok_or(ReadError::Header(at))
        };
        let (mode, data_len, name_len) = (field(1)?, field(6)? as usize, field(11)? as usize);
        let name_at = at + HEADER_LEN;
        let data_at = (name_at + name_len).next_multiple_of(ALIGN);
        let name = bytes
            .get(name_at..name_at + name_len)
            .ok_or(ReadError::Truncated(at))?;
        let data = bytes
            .get(data_at..data_at + data_len)
            .ok_or(ReadError::Truncated(at))?;
        let name = name
            .split(|byte| *byte == 0)
            .next()
            .filter(|used| !used.is_empty() && used.len() < name_len);
        let path = name
            .and_then(|name| str::from_utf8(name).ok())
            .ok_or(ReadError::Name(at))?;
        at = (data_at + data_len).next_multiple_of(ALIGN);
        if path == TRAILER {
            return Ok((entries, at.min(bytes.len())));
        }
        entries.push(Found {
            path,
            mode,
            data_at,
            data,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_sorted_has_its_parents_and_reads_back() {
        let mut tree = Tree::new();
        tree.file("/lib/modules/b.ko", 0o644, *b"bbb");
        tree.file("/init", 0o755, *b"elf");
        tree.insert("dev/null", 0o666, Kind::Character(1, 3));
        tree.insert("bin", 0o777, Kind::Symlink("usr/bin".to_owned()));
        let archive = tree.archive();
        assert_eq!(archive.len() % 4, 0);
        let (entries, len) = read(&archive).unwrap();
        assert_eq!(len, archive.len());
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| (entry.path, entry.mode, entry.data))
            .collect();
        let expected: [(&str, u32, &[u8]); 7] = [
            ("bin", 0o120_777, b"usr/bin"),
            ("dev", 0o040_755, b""),
            ("dev/null", 0o020_666, b""),
            ("init", 0o100_755, b"elf"),
            ("lib", 0o040_755, b""),
            ("lib/modules", 0o040_755, b""),
            ("lib/modules/b.ko", 0o100_644, b"bbb"),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn an_entry_has_the_bytes_of_the_newc_format() {
        let mut writer = Writer::new();
        writer.file("a", 0o600, b"xy");
        let archive = writer.finish();
        let header = concat!(
            "070701", "00000001", "00008180", "00000000", "00000000", "00000001", "00000000",
            "00000002", "00000000", "00000000", "00000000", "00000000", "00000002", "00000000",
            "a\0", "xy\0\0",
        );
        assert_eq!(&archive[..header.len()], header.as_bytes());
        assert!(archive[header.len()..].starts_with(b"07070100000000"));
    }

    #[test]
    fn aligned_data_and_an_aligned_end_stand_where_they_were_asked_for() {
        let mut writer = Writer::new();
        writer.aligned_file("config.a", 0o600, 512, &[7; 1024]);
        writer.aligned_file("config.b", 0o600, 512, &[8; 512]);
        let archive = writer.finish_aligned(512);
        assert_eq!(archive.len(), 512 + 1024 + 512 + 512 + 512);
        let (entries, _) = read(&archive).unwrap();
        assert_eq!(
            entries
                .iter()
                .map(|entry| entry.data_at)
                .collect::<Vec<_>>(),
            [512, 2048]
        );
    }

    #[test]
    fn every_truncation_is_an_error_and_never_a_panic() {
        let mut writer = Writer::new();
        writer.file("name", 0o600, b"data");
        let archive = writer.finish();
        for len in 0..archive.len() - 2 {
            assert!(read(&archive[..len]).is_err(), "{len}");
        }
        assert_eq!(read(b""), Err(ReadError::Truncated(0)));
        assert_eq!(read(&[b'0'; 200]), Err(ReadError::Header(0)));
    }
}
