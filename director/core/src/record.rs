//! Configuration records: how a configuration is kept outside the image, on the configuration partition of a disk and
//! in the segment that is appended to an initrd.
//!
//! There are two areas. A new configuration is written over the older one, so a power cut in the middle costs the new
//! record and never the old one: whatever was torn fails its checksum. Numbers are little-endian.
//!
//! ```text
//!  0  magic "KEELCONF"            16  sequence, u64
//!  8  format version, u16         24  payload length, u32
//! 10  flags, u16: bit 0 pending   28  CRC-32 (IEEE) of bytes 0..28 and the payload
//! 12  number of files, u32        32  payload: for each file
//!                                       name length u8, name, length u32 (bit 31: executable), bytes
//! ```

use std::collections::BTreeSet;
use std::fmt;

use crate::limits::{CONFIG_BYTES_MAX, CONFIG_FILES_MAX, CONFIG_NAME_MAX};

/// Length of an area on a disk. Two of them, their cpio headers and the trailer fit the configuration partition of
/// 1 MiB, and it is a multiple of a disk's sector. Behind an initrd, a longer configuration has a longer area.
pub const AREA_LEN: usize = 480 * 1024;
/// The header before the payload.
pub const HEADER_LEN: usize = 32;
/// The longest configuration that is read, with the names of its files.
pub const MAX_PAYLOAD_LEN: usize = CONFIG_BYTES_MAX + CONFIG_FILES_MAX * (1 + CONFIG_NAME_MAX + 4);

const MAGIC: [u8; 8] = *b"KEELCONF";
const FORMAT_VERSION: u16 = 1;
const FLAG_PENDING: u16 = 1;
const FLAG_EXECUTABLE: u32 = 1 << 31;
const CRC_AT: usize = 28;

/// One configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Counts the configurations of a node; the record with the higher number is newer.
    pub sequence: u64,
    /// Whether the node has run well with it.
    pub trial: Trial,
    /// The files of the configuration, at most [`CONFIG_FILES_MAX`], each with another name: `keepalived.conf`,
    /// `router.conf`, and what the first includes or runs.
    pub files: Vec<File<'a>>,
}

/// Whether a node has run well with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// Not yet: if the node does not confirm it, the other record is taken again.
    Pending,
    /// It has.
    Good,
}

/// One file of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Its name, a relative path: see [`is_usable`].
    pub name: &'a str,
    /// What is in it; may be anything, the configuration parser judges it.
    pub bytes: &'a [u8],
    /// It is a program.
    pub executable: bool,
}

/// Why bytes are no record, or a record can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Nothing but zeros: never written.
    Empty,
    /// It does not begin like a record.
    Magic,
    /// It is of another version of the format.
    Version(u16),
    /// It is longer than any configuration, or than what there is of it.
    Length,
    /// Written in part, or changed since.
    Checksum,
    /// Unknown flags, or files that are malformed, too many or of the same name.
    Content,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "empty"),
            Self::Magic => write!(f, "not a configuration record"),
            Self::Version(version) => write!(
                f,
                "format version {version}, this program knows {FORMAT_VERSION}"
            ),
            Self::Length => write!(f, "too long, or cut short"),
            Self::Checksum => write!(f, "damaged: the checksum does not fit"),
            Self::Content => write!(f, "malformed files"),
        }
    }
}

impl std::error::Error for RecordError {}

impl<'a> Record<'a> {
    /// The bytes of the file `name`, if the record has it.
    pub fn file(&self, name: &str) -> Option<&'a [u8]> {
        self.files
            .iter()
            .find(|file| file.name == name)
            .map(|file| file.bytes)
    }
}

/// Whether a file of a configuration may have this name: parts of letters, digits, `.`, `_` and `-`, with `/` between
/// them; none is `.` or `..`, so that it stays below the folder of the configuration.
#[must_use]
pub fn is_usable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let good = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
    name.len() <= CONFIG_NAME_MAX && name.split('/').all(good)
}

/// Appends `record` to `out`. Fails with [`RecordError::Length`] when it is too long, and with
/// [`RecordError::Content`] when [`decode`] would refuse a file; then `out` is as it was.
pub fn encode(record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let payload_len: usize = record
        .files
        .iter()
        .map(|file| 1 + file.name.len() + 4 + file.bytes.len())
        .sum();
    if payload_len > MAX_PAYLOAD_LEN {
        return Err(RecordError::Length);
    }
    if !are_usable(&record.files) {
        return Err(RecordError::Content);
    }
    let flags = if record.trial == Trial::Pending {
        FLAG_PENDING
    } else {
        0
    };
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&(record.files.len() as u32).to_le_bytes());
    out.extend_from_slice(&record.sequence.to_le_bytes());
    out.extend_from_slice(&(payload_len as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for file in &record.files {
        out.push(file.name.len() as u8);
        out.extend_from_slice(file.name.as_bytes());
        let flag = if file.executable { FLAG_EXECUTABLE } else { 0 };
        out.extend_from_slice(&(file.bytes.len() as u32 | flag).to_le_bytes());
        out.extend_from_slice(file.bytes);
    }
    let (header, payload) = out[start..].split_at(HEADER_LEN);
    let crc = checksum(header, payload).to_le_bytes();
    out[start + CRC_AT..start + HEADER_LEN].copy_from_slice(&crc);
    Ok(())
}

/// Reads the record at the start of `area`; what follows it is ignored.
pub fn decode(area: &[u8]) -> Result<Record<'_>, RecordError> {
    let Some((header, rest)) = area.split_at_checked(HEADER_LEN) else {
        return Err(if area.iter().all(|byte| *byte == 0) {
            RecordError::Empty
        } else {
            RecordError::Length
        });
    };
    if header.iter().all(|byte| *byte == 0) {
        return Err(RecordError::Empty);
    }
    if !header.starts_with(&MAGIC) {
        return Err(RecordError::Magic);
    }
    // The header's length is checked above and the offsets are constants, so the fallback values are never taken.
    let half = |at: usize| {
        header
            .get(at..)
            .and_then(|bytes| bytes.first_chunk())
            .map_or(0, |b| u16::from_le_bytes(*b))
    };
    let word = |at: usize| {
        header
            .get(at..)
            .and_then(|bytes| bytes.first_chunk())
            .map_or(0, |b| u32::from_le_bytes(*b))
    };
    if half(8) != FORMAT_VERSION {
        return Err(RecordError::Version(half(8)));
    }
    let payload_len = word(24) as usize;
    if payload_len > MAX_PAYLOAD_LEN {
        return Err(RecordError::Length);
    }
    let payload = rest.get(..payload_len).ok_or(RecordError::Length)?;
    if checksum(header, payload) != word(CRC_AT) {
        return Err(RecordError::Checksum);
    }
    let trial = match half(10) {
        0 => Trial::Good,
        FLAG_PENDING => Trial::Pending,
        _ => return Err(RecordError::Content),
    };
    let sequence = u64::from(word(16)) | u64::from(word(20)) << 32;
    Ok(Record {
        sequence,
        trial,
        files: files(word(12), payload).ok_or(RecordError::Content)?,
    })
}

/// Which of the two areas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The first, `config.a`.
    A,
    /// The second, `config.b`.
    B,
}

/// Both areas as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest<'a> {
    /// What is in the first area.
    pub a: Result<Record<'a>, RecordError>,
    /// What is in the second area.
    pub b: Result<Record<'a>, RecordError>,
}

/// Reads both areas. [`Newest::chosen`] is the valid record with the higher sequence; `Display` says what became of
/// each area.
pub fn newest<'a>(a: &'a [u8], b: &'a [u8]) -> Newest<'a> {
    Newest {
        a: decode(a),
        b: decode(b),
    }
}

impl<'a> Newest<'a> {
    /// The valid record with the higher sequence, the first area's if they are equal.
    pub fn chosen(&self) -> Option<(Area, &Record<'a>)> {
        match (&self.a, &self.b) {
            (Ok(a), Ok(b)) if b.sequence > a.sequence => Some((Area::B, b)),
            (Ok(a), _) => Some((Area::A, a)),
            (Err(_), Ok(b)) => Some((Area::B, b)),
            (Err(_), Err(_)) => None,
        }
    }

    /// Where the next record goes, and its sequence: the area that is not chosen.
    pub fn next(&self) -> (Area, u64) {
        match self.chosen() {
            Some((Area::A, record)) => (Area::B, record.sequence.saturating_add(1)),
            Some((Area::B, record)) => (Area::A, record.sequence.saturating_add(1)),
            None => (Area::A, 1),
        }
    }
}

impl fmt::Display for Newest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chosen = self.chosen().map(|(area, _)| area);
        for (area, name, record) in [
            (Area::A, "config.a", &self.a),
            (Area::B, ", config.b", &self.b),
        ] {
            match record {
                Ok(record) if chosen == Some(area) => write!(f, "{name}: {record}, taken")?,
                Ok(record) => write!(f, "{name}: {record}, older")?,
                Err(error) => write!(f, "{name}: {error}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trial = if self.trial == Trial::Pending {
            "pending"
        } else {
            "good"
        };
        write!(f, "record {} ({trial})", self.sequence)
    }
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header.get(..CRC_AT).unwrap_or(header));
    crc.update(payload);
    crc.finalize()
}

fn files(count: u32, mut payload: &[u8]) -> Option<Vec<File<'_>>> {
    let mut files = Vec::new();
    // A count that lies ends with the payload.
    for _ in 0..count {
        let (name_len, rest) = payload.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*name_len))?;
        let (len, rest) = rest.split_first_chunk()?;
        let len = u32::from_le_bytes(*len);
        let (bytes, rest) = rest.split_at_checked((len & !FLAG_EXECUTABLE) as usize)?;
        files.push(File {
            name: str::from_utf8(name).ok()?,
            bytes,
            executable: len & FLAG_EXECUTABLE != 0,
        });
        payload = rest;
    }
    (payload.is_empty() && are_usable(&files)).then_some(files)
}

/// No name twice, and none that is also the folder of another.
fn are_usable(files: &[File<'_>]) -> bool {
    let names: BTreeSet<&str> = files.iter().map(|file| file.name).collect();
    let in_a_file = |name: &str| {
        let mut folders = name
            .match_indices('/')
            .filter_map(|(end, _)| name.get(..end));
        folders.any(|folder| names.contains(folder))
    };
    files.len() <= CONFIG_FILES_MAX
        && names.len() == files.len()
        && names.iter().all(|name| is_usable(name) && !in_a_file(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_documented_bytes() {
        let mut out = Vec::new();
        encode(
            &record(0x0102, Trial::Pending, &[("a.conf", b"x\n")]),
            &mut out,
        )
        .unwrap();
        let expected = b"KEELCONF\x01\0\x01\0\x01\0\0\0\x02\x01\0\0\0\0\0\0\x0d\0\0\0????\x06a.conf\x02\0\0\0x\n";
        assert_eq!(out[..CRC_AT], expected[..CRC_AT]);
        assert_eq!(out[HEADER_LEN..], expected[HEADER_LEN..]);
        let crc = crc32fast::hash(&[&out[..CRC_AT], &out[HEADER_LEN..]].concat());
        assert_eq!(out[CRC_AT..HEADER_LEN], crc.to_le_bytes());
    }

    #[test]
    fn every_record_reads_back_whatever_follows_it() {
        for trial in [Trial::Pending, Trial::Good] {
            for files in [
                &[][..],
                &[("keepalived.conf", &b"\xff\0"[..])],
                &[
                    ("a", b""),
                    ("b/c", b"2"),
                    ("b/d.d/e_1-2", b"3"),
                    ("b.d", b"4"),
                ],
            ] {
                let mut record = record(u64::MAX, trial, files);
                if let Some(last) = record.files.last_mut() {
                    last.executable = true;
                }
                let mut area = Vec::new();
                encode(&record, &mut area).unwrap();
                area.extend_from_slice(b"what was here before");
                assert_eq!(decode(&area), Ok(record));
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = encoded(7, b"virtual_server 10.0.0.1 80 { }");
        for byte in 0..good.len() {
            for bit in 0..8 {
                let mut damaged = good.clone();
                damaged[byte] ^= 1 << bit;
                assert!(decode(&damaged).is_err(), "byte {byte} bit {bit}");
            }
        }
    }

    #[test]
    fn every_truncation_is_noticed_also_when_zeros_or_old_bytes_follow() {
        let good = encoded(8, b"vrrp_instance VI_1 { }");
        let older = encoded(7, b"vrrp_instance VI_0 { }");
        for len in 0..good.len() {
            assert!(decode(&good[..len]).is_err(), "{len}");
            let mut torn = good[..len].to_vec();
            torn.resize(good.len() + 100, 0);
            // The last bytes may be zero, then nothing is lost.
            assert!(
                decode(&torn).is_err() || good[len..].iter().all(|byte| *byte == 0),
                "{len}"
            );
            let torn = [&good[..len], &older[len..]].concat();
            assert!(
                torn == older || torn == good || decode(&torn).is_err(),
                "{len}"
            );
        }
    }

    #[test]
    fn what_was_never_written_is_empty_and_foreign_bytes_are_no_record() {
        assert_eq!(decode(&[]), Err(RecordError::Empty));
        assert_eq!(decode(&[0; 4096]), Err(RecordError::Empty));
        assert_eq!(decode(&[0xff; 4096]), Err(RecordError::Magic));
        assert_eq!(decode(b"KEEL"), Err(RecordError::Length));
        let mut other = encoded(1, b"");
        other[8] = 2;
        assert_eq!(decode(&other), Err(RecordError::Version(2)));
        other[8] = 1;
        other[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode(&other), Err(RecordError::Length));
    }

    #[test]
    fn malformed_content_is_refused_although_its_checksum_fits() {
        let sealed = |change: fn(&mut Vec<u8>)| {
            let mut bytes = encoded(1, b"abc");
            change(&mut bytes);
            let (header, payload) = bytes.split_at(HEADER_LEN);
            let crc = checksum(header, payload).to_le_bytes();
            bytes[CRC_AT..HEADER_LEN].copy_from_slice(&crc);
            decode(&bytes).map(|record| record.sequence)
        };
        assert_eq!(sealed(|_| ()), Ok(1));
        assert_eq!(sealed(|bytes| bytes[10] = 2), Err(RecordError::Content)); // flags
        assert_eq!(sealed(|bytes| bytes[12] = 2), Err(RecordError::Content)); // a file too many
        assert_eq!(sealed(|bytes| bytes[12] = 0), Err(RecordError::Content)); // one too few
        assert_eq!(sealed(|bytes| bytes[15] = 0xff), Err(RecordError::Content)); // four thousand million
        assert_eq!(
            sealed(|bytes| bytes[HEADER_LEN] = 0),
            Err(RecordError::Content)
        ); // no name
        assert_eq!(
            sealed(|bytes| bytes[HEADER_LEN] = 200),
            Err(RecordError::Content)
        ); // beyond the end
        assert_eq!(
            sealed(|bytes| bytes[HEADER_LEN + 1] = b'/'),
            Err(RecordError::Content)
        );
        assert_eq!(
            sealed(|bytes| bytes[HEADER_LEN + 1] = 0xff),
            Err(RecordError::Content)
        );
    }

    #[test]
    fn what_does_not_fit_or_would_be_refused_is_not_written() {
        let mut out = vec![1];
        let long = vec![b'#'; MAX_PAYLOAD_LEN];
        assert_eq!(
            encode(&record(1, Trial::Good, &[("a", &long)]), &mut out),
            Err(RecordError::Length)
        );
        for files in [
            &[("/a", &b""[..])][..],
            &[("", b"")],
            &[("../a", b"")],
            &[("a/./b", b"")],
            &[("a//b", b"")],
            &[("a/", b"")],
            &[("a b", b"")],
            &[("a", b""), ("a", b"")],
            &[("a/b/c", b""), ("a/b", b"")],
            &[(&"n".repeat(CONFIG_NAME_MAX + 1), b"")],
        ] {
            assert_eq!(
                encode(&record(1, Trial::Good, files), &mut out),
                Err(RecordError::Content)
            );
        }
        let names: Vec<String> = (0..=CONFIG_FILES_MAX).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
        let too_many = record(1, Trial::Good, &many);
        assert_eq!(encode(&too_many, &mut out), Err(RecordError::Content));
        assert_eq!(out, [1]);
        let fits = &long[..MAX_PAYLOAD_LEN - 6];
        encode(&record(1, Trial::Good, &[("a", fits)]), &mut out).unwrap();
        assert_eq!(out.len(), 1 + HEADER_LEN + MAX_PAYLOAD_LEN);
        assert_eq!(decode(&out[1..]).unwrap().file("a"), Some(fits));
    }

    #[test]
    fn the_newer_valid_record_is_chosen_and_the_next_goes_to_the_other_area() {
        let (one, two, empty) = (encoded(1, b"1"), encoded(2, b"2"), [0; 64]);
        let torn = &two[..two.len() - 1];
        for (a, b, chosen, next, said) in [
            (
                &one[..],
                &two[..],
                Some(Area::B),
                (Area::A, 3),
                "config.a: record 1 (good), older, config.b: record 2 (good), taken",
            ),
            (
                &two,
                &one,
                Some(Area::A),
                (Area::B, 3),
                "config.a: record 2 (good), taken, config.b: record 1 (good), older",
            ),
            (
                &one,
                &one,
                Some(Area::A),
                (Area::B, 2),
                "config.a: record 1 (good), taken, config.b: record 1 (good), older",
            ),
            (
                &one,
                torn,
                Some(Area::A),
                (Area::B, 2),
                "config.a: record 1 (good), taken, config.b: too long, or cut short",
            ),
            (
                &empty,
                &one,
                Some(Area::B),
                (Area::A, 2),
                "config.a: empty, config.b: record 1 (good), taken",
            ),
            (
                &empty,
                &empty,
                None,
                (Area::A, 1),
                "config.a: empty, config.b: empty",
            ),
        ] {
            let newest = newest(a, b);
            assert_eq!(newest.chosen().map(|(area, _)| area), chosen, "{said}");
            assert_eq!(newest.next(), next, "{said}");
            assert_eq!(newest.to_string(), said);
        }
    }

    fn record<'a>(sequence: u64, trial: Trial, files: &[(&'a str, &'a [u8])]) -> Record<'a> {
        let files = files
            .iter()
            .map(|&(name, bytes)| File {
                name,
                bytes,
                executable: false,
            })
            .collect();
        Record {
            sequence,
            trial,
            files,
        }
    }

    fn encoded(sequence: u64, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(
            &record(sequence, Trial::Good, &[("keepalived.conf", bytes)]),
            &mut out,
        )
        .unwrap();
        out
    }
}
