//! The configuration segment: what is appended to an initrd, and what a disk's configuration partition holds.
//!
//! ```text
//! 512 bytes header of config.a | record area | 512 bytes header of config.b | record area | 512 bytes trailer
//! ```
//!
//! It is a cpio archive, so the kernel itself puts both areas into the root file system. Everything but the areas
//! is constant and starts at a disk's sector: a node that writes a new record touches nothing else. The segment must
//! be the last one, because the kernel passes over whatever follows a malformed archive.

use director_core::record::{self, AREA_LEN, File, Record, Trial};

use crate::Error;
use crate::cpio::Writer;

/// Data areas and the end of the segment stand at multiples of this, a disk's sector.
const SECTOR: usize = 512;

/// The configuration of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// `keepalived.conf`.
    pub keepalived: Option<Vec<u8>>,
    /// `router.conf`.
    pub router: Option<Vec<u8>>,
    /// What `keepalived.conf` includes or runs.
    pub files: Vec<FurtherFile>,
}

/// A file beside `keepalived.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FurtherFile {
    /// Its path from there, as [`record::is_usable`] has it.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// It is a program.
    pub executable: bool,
}

/// The segment that holds `configuration` as record 1, in `config.a`; `config.b` is empty. The areas have the length
/// that they have on a disk, or what a longer configuration takes. Fails when it is longer than a node would read.
/// Whether it parses is not looked at here.
pub fn overlay(configuration: &Configuration) -> Result<Vec<u8>, Error> {
    let files = [
        ("keepalived.conf", &configuration.keepalived),
        ("router.conf", &configuration.router),
    ];
    let files = files.iter().filter_map(|(name, bytes)| {
        Some(File {
            name,
            bytes: bytes.as_deref()?,
            executable: false,
        })
    });
    let further = configuration.files.iter().map(|file| File {
        name: &file.name,
        bytes: &file.bytes,
        executable: file.executable,
    });
    let record = Record {
        sequence: 1,
        trial: Trial::Good,
        files: files.chain(further).collect(),
    };
    let mut area = Vec::new();
    record::encode(&record, &mut area)
        .map_err(|error| Error::Configuration(format!("the configuration: {error}")))?;
    area.resize(area.len().next_multiple_of(SECTOR).max(AREA_LEN), 0);
    let mut writer = Writer::new();
    writer.aligned_file("config.a", 0o600, SECTOR, &area);
    writer.aligned_file("config.b", 0o600, SECTOR, &vec![0; area.len()]);
    Ok(writer.finish_aligned(SECTOR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpio;

    #[test]
    fn the_segment_is_a_cpio_of_two_sector_aligned_areas_and_reads_back() {
        let configuration = Configuration {
            keepalived: Some(b"vrrp_instance VI_1 { }".to_vec()),
            router: Some(b"system { }".to_vec()),
            files: vec![FurtherFile {
                name: "bin/check".to_owned(),
                bytes: b"\x7fELF".to_vec(),
                executable: true,
            }],
        };
        let segment = overlay(&configuration).unwrap();
        assert_eq!(segment.len(), 3 * SECTOR + 2 * AREA_LEN);
        assert!(
            segment.len() <= 1 << 20,
            "the configuration partition has 1 MiB"
        );
        let (entries, end) = cpio::read(&segment).unwrap();
        assert_eq!(end, segment.len());
        assert_eq!(
            entries.iter().map(|entry| entry.path).collect::<Vec<_>>(),
            ["config.a", "config.b"]
        );
        assert!(
            entries
                .iter()
                .all(|entry| entry.data_at % SECTOR == 0 && entry.data.len() == AREA_LEN)
        );
        let newest = record::newest(entries[0].data, entries[1].data);
        assert_eq!(
            newest.to_string(),
            "config.a: record 1 (good), taken, config.b: empty"
        );
        let (_, record) = newest.chosen().unwrap();
        assert_eq!(
            record.file("keepalived.conf"),
            configuration.keepalived.as_deref()
        );
        assert_eq!(record.file("router.conf"), configuration.router.as_deref());
        let program = record.files.last().unwrap();
        assert_eq!(
            (program.name, program.bytes, program.executable),
            ("bin/check", &b"\x7fELF"[..], true)
        );
    }

    #[test]
    fn all_but_the_areas_is_the_same_for_every_configuration() {
        let empty = overlay(&Configuration::default()).unwrap();
        let other = overlay(&Configuration {
            keepalived: Some(vec![b'#'; 1000]),
            ..Configuration::default()
        })
        .unwrap();
        let skeleton = |segment: &[u8]| {
            let b = SECTOR + AREA_LEN;
            [
                &segment[..SECTOR],
                &segment[b..b + SECTOR],
                &segment[b + SECTOR + AREA_LEN..],
            ]
            .concat()
        };
        assert_eq!(skeleton(&empty), skeleton(&other));
    }

    #[test]
    fn a_long_configuration_gets_longer_areas_and_an_endless_one_is_refused() {
        let configuration = Configuration {
            keepalived: Some(vec![b'#'; AREA_LEN]),
            ..Configuration::default()
        };
        let segment = overlay(&configuration).unwrap();
        assert_eq!(segment.len(), 3 * SECTOR + 2 * (AREA_LEN + SECTOR));
        let configuration = Configuration {
            keepalived: Some(vec![b'#'; record::MAX_PAYLOAD_LEN]),
            ..Configuration::default()
        };
        assert!(matches!(
            overlay(&configuration),
            Err(Error::Configuration(_))
        ));
    }
}
