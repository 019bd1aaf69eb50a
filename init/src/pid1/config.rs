//! Where the configuration comes from: one order, the same for every way to boot.
//!
//! 1. the two records that the boot loader put into the root as `/config.a` and `/config.b`
//! 2. a record handed over by a hypervisor, fw_cfg item `opt/keelson/config`
//! 3. the built-in configuration: a console, and no address
//!
//! PID 1 does not read the files themselves: it only takes them out of the record and puts them where the director
//! looks. What is wrong in them is the director's and the console's to say.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use director_core::record::{self, Record};

use super::limits;

/// Directory of everything that lives as long as the boot: the configuration in force and the director's socket.
pub(super) const RUN_DIRECTORY: &str = "/run/keelson";
/// The configuration in force, as keepalived writes it.
pub(super) const KEEPALIVED_CONF: &str = "/run/keelson/keepalived.conf";
/// The configuration in force of the machine itself.
pub(super) const ROUTER_CONF: &str = "/run/keelson/router.conf";
/// One line that says where the two came from.
pub(super) const SOURCE: &str = "/run/keelson/source";

const FIRMWARE_ITEM: &str = "sys/firmware/qemu_fw_cfg/by_name/opt/keelson/config/raw";
const KEEPALIVED_BUILT_IN: &str = "! No configuration was found: this node serves nothing.\n";
const ROUTER_BUILT_IN: &str =
    "! No configuration was found: this node has a console and no address.\n";

/// The two files and where they came from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    /// Where it came from, in words.
    pub source: String,
    /// What was wrong with places that come first in the order.
    pub complaints: Vec<String>,
    keepalived: Vec<u8>,
    router: Vec<u8>,
}

impl Configuration {
    /// Takes the first configuration that there is below `root`. Never fails: the last is built in.
    pub(super) fn find(root: &Path) -> Self {
        let mut complaints = Vec::new();
        Self::from_root(root, &mut complaints)
            .or_else(|| Self::from_firmware(root, &mut complaints))
            .unwrap_or_else(|| Self {
                source: "built in: no address".to_owned(),
                complaints: Vec::new(),
                keepalived: KEEPALIVED_BUILT_IN.into(),
                router: ROUTER_BUILT_IN.into(),
            })
            .with(complaints)
    }

    /// Writes the files into `directory`, readable by root alone: they hold secrets.
    ///
    /// # Errors
    /// What the filesystem says.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        for (path, bytes) in [
            (KEEPALIVED_CONF, self.keepalived.as_slice()),
            (ROUTER_CONF, self.router.as_slice()),
            (SOURCE, self.source.as_bytes()),
        ] {
            let name = Path::new(path).file_name().unwrap_or_default();
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(directory.join(name))?;
            file.write_all(bytes)?;
        }
        Ok(())
    }

    fn from_root(root: &Path, complaints: &mut Vec<String>) -> Option<Self> {
        let paths = [root.join("config.a"), root.join("config.b")];
        if !paths.iter().any(|path| path.exists()) {
            return None;
        }
        let [a, b] = paths.map(|path| read(&path).unwrap_or_default());
        let records = record::newest(&a, &b);
        let Some((_, chosen)) = records.chosen() else {
            complaints.push(format!("no record in the configuration area: {records}"));
            return None;
        };
        Some(Self::from_record(
            format!("configuration area: {records}"),
            chosen,
        ))
    }

    fn from_firmware(root: &Path, complaints: &mut Vec<String>) -> Option<Self> {
        let bytes = read(&root.join(FIRMWARE_ITEM)).ok()?;
        match record::decode(&bytes) {
            Ok(record) => Some(Self::from_record(
                format!("fw_cfg: record {}", record.sequence),
                &record,
            )),
            Err(cause) => {
                complaints.push(format!("fw_cfg opt/keelson/config: {cause}"));
                None
            }
        }
    }

    fn from_record(source: String, record: &Record<'_>) -> Self {
        Self {
            source,
            complaints: Vec::new(),
            keepalived: record.file("keepalived.conf").unwrap_or_default().to_vec(),
            router: record.file("router.conf").unwrap_or_default().to_vec(),
        }
    }

    fn with(self, complaints: Vec<String>) -> Self {
        Self { complaints, ..self }
    }
}

/// A file's bytes, at most [`limits::RECORD_BYTES_MAX`].
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limits::RECORD_BYTES_MAX as u64)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use director_core::record::{File, Trial, encode};

    use super::*;

    #[test]
    fn the_newer_record_of_the_root_wins() {
        let place = Place::new("newer");
        place.put("config.a", &encoded(7, "old"));
        place.put("config.b", &encoded(8, "new"));
        place.put(FIRMWARE_ITEM, &encoded(9, "firmware"));
        let found = Configuration::find(&place.0);
        assert_eq!(found.keepalived, b"new");
        assert!(
            found.source.starts_with("configuration area"),
            "{}",
            found.source
        );
        assert_eq!(found.complaints, Vec::<String>::new());
    }

    #[test]
    fn a_single_record_is_enough() {
        let place = Place::new("single");
        place.put("config.b", &encoded(1, "only"));
        assert_eq!(Configuration::find(&place.0).keepalived, b"only");
    }

    #[test]
    fn damaged_records_are_complained_about_and_the_next_place_is_taken() {
        let place = Place::new("damaged");
        let mut record = encoded(1, "text");
        record[40] ^= 1;
        place.put("config.a", &record);
        place.put(FIRMWARE_ITEM, &encoded(2, "firmware"));
        let found = Configuration::find(&place.0);
        assert_eq!(
            (found.source.as_str(), found.keepalived.as_slice()),
            ("fw_cfg: record 2", b"firmware".as_slice())
        );
        assert_eq!(found.complaints.len(), 1);
    }

    #[test]
    fn with_nothing_at_all_there_is_the_built_in_configuration() {
        let found = Configuration::find(&Place::new("nothing").0);
        assert_eq!(found.source, "built in: no address");
        assert_eq!(found.keepalived, KEEPALIVED_BUILT_IN.as_bytes());
    }

    #[test]
    fn the_files_are_written_for_root_alone() {
        use std::os::unix::fs::PermissionsExt;
        let place = Place::new("written");
        place.put("config.a", &encoded(1, "text"));
        let directory = place.0.join("run");
        Configuration::find(&place.0).write(&directory).unwrap();
        let file = directory.join("keepalived.conf");
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::metadata(&directory).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(
            fs::read_to_string(directory.join("router.conf")).unwrap(),
            ""
        );
    }

    fn encoded(sequence: u64, text: &str) -> Vec<u8> {
        let file = File {
            name: "keepalived.conf",
            bytes: text.as_bytes(),
        };
        let mut bytes = Vec::new();
        encode(
            &Record {
                sequence,
                trial: Trial::Good,
                files: [file].into_iter().collect(),
            },
            &mut bytes,
        )
        .unwrap();
        bytes
    }

    /// A directory of its own for each test, removed at its end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("keelson-config-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn put(&self, name: &str, bytes: &[u8]) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
