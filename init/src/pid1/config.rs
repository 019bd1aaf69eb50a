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

/// Directory of what lives as long as the boot: the director's socket, and where the configuration came from.
pub(super) const RUN_DIRECTORY: &str = "/run/keelson";
/// One line that says where the configuration came from.
pub(super) const SOURCE: &str = "/run/keelson/source";
/// Directory of the configuration in force, and of it alone: where keepalived has it, so that the paths of files that
/// it includes and of programs that it runs hold here as they did there.
pub(super) const CONFIG_DIRECTORY: &str = "/etc/keepalived";
/// The configuration in force, as keepalived writes it.
pub(super) const KEEPALIVED_CONF: &str = "/etc/keepalived/keepalived.conf";
/// The configuration in force of the machine itself.
pub(super) const ROUTER_CONF: &str = "/etc/keepalived/router.conf";

const FIRMWARE_ITEM: &str = "sys/firmware/qemu_fw_cfg/by_name/opt/keelson/config/raw";
const KEEPALIVED_BUILT_IN: &str = "! No configuration was found: this node serves nothing.\n";
const ROUTER_BUILT_IN: &str =
    "! No configuration was found: this node has a console and no address.\n";

/// The files and where they came from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    /// Where it came from, in words.
    pub source: String,
    /// What was wrong with places that come first in the order.
    pub complaints: Vec<String>,
    files: Vec<Owned>,
}

/// One file.
#[derive(Debug, PartialEq, Eq)]
struct Owned {
    name: String,
    bytes: Vec<u8>,
    executable: bool,
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
                files: vec![
                    Owned::text("keepalived.conf", KEEPALIVED_BUILT_IN),
                    Owned::text("router.conf", ROUTER_BUILT_IN),
                ],
            })
            .with(complaints)
    }

    /// Writes the files below `directory` and their source into `run`. Texts are readable by root alone, for they hold
    /// secrets; programs are run by others, too, who may pass through the directories but not look around.
    ///
    /// # Errors
    /// What the filesystem says.
    pub(super) fn write(&self, directory: &Path, run: &Path) -> io::Result<()> {
        for file in &self.files {
            let mode = if file.executable { 0o755 } else { 0o600 };
            write(&directory.join(&file.name), &file.bytes, mode)?;
        }
        let source = Path::new(SOURCE).file_name().unwrap_or_default();
        write(&run.join(source), self.source.as_bytes(), 0o600)
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

    /// The files of a record; the two that each node has are there, if only empty.
    fn from_record(source: String, record: &Record<'_>) -> Self {
        let files = record.files.iter().map(|file| Owned {
            name: file.name.to_owned(),
            bytes: file.bytes.to_vec(),
            executable: file.executable,
        });
        let needed = ["keepalived.conf", "router.conf"].into_iter();
        let absent = needed.filter(|name| record.file(name).is_none());
        Self {
            source,
            complaints: Vec::new(),
            files: files
                .chain(absent.map(|name| Owned::text(name, "")))
                .collect(),
        }
    }

    fn with(self, complaints: Vec<String>) -> Self {
        Self { complaints, ..self }
    }
}

impl Owned {
    fn text(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            bytes: text.into(),
            executable: false,
        }
    }
}

/// Writes a file, and the directories that it stands in.
fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(directory)?;
    }
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(mode);
    options.open(path)?.write_all(bytes)
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
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

    use director_core::record::{File, Trial, encode};

    use super::*;

    #[test]
    fn the_newer_record_of_the_root_wins() {
        let place = Place::new("newer");
        place.put("config.a", &encoded(7, "old"));
        place.put("config.b", &encoded(8, "new"));
        place.put(FIRMWARE_ITEM, &encoded(9, "firmware"));
        let found = Configuration::find(&place.0);
        assert_eq!(keepalived(&found), b"new");
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
        assert_eq!(keepalived(&Configuration::find(&place.0)), b"only");
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
            (found.source.as_str(), keepalived(&found)),
            ("fw_cfg: record 2", b"firmware".as_slice())
        );
        assert_eq!(found.complaints.len(), 1);
    }

    #[test]
    fn with_nothing_at_all_there_is_the_built_in_configuration() {
        let found = Configuration::find(&Place::new("nothing").0);
        assert_eq!(found.source, "built in: no address");
        assert_eq!(keepalived(&found), KEEPALIVED_BUILT_IN.as_bytes());
    }

    #[test]
    fn texts_are_written_for_root_alone_and_programs_for_who_runs_them() {
        let place = Place::new("written");
        let file = |name, executable| File {
            name,
            bytes: b"text",
            executable,
        };
        let files = [
            file("keepalived.conf", false),
            file("conf.d/more.conf", false),
            file("bin/check", true),
        ];
        place.put("config.a", &record(1, &files));
        let (directory, run) = (place.0.join("etc"), place.0.join("run"));
        Configuration::find(&place.0)
            .write(&directory, &run)
            .unwrap();
        let mode = |name: &str| {
            let metadata = fs::metadata(directory.join(name)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        for (name, expected) in [
            ("keepalived.conf", 0o600),
            ("router.conf", 0o600),
            ("conf.d/more.conf", 0o600),
            ("bin/check", 0o755),
            ("bin", 0o711),
            (".", 0o711),
        ] {
            assert_eq!(mode(name), expected, "{name}");
        }
        let text = |path: PathBuf| fs::read_to_string(path).unwrap();
        assert_eq!(text(directory.join("bin/check")), "text");
        assert_eq!(text(directory.join("router.conf")), "");
        assert!(text(run.join("source")).starts_with("configuration area"));
    }

    fn keepalived(found: &Configuration) -> &[u8] {
        let mut files = found.files.iter();
        let file = files.find(|file| file.name == "keepalived.conf").unwrap();
        &file.bytes
    }

    fn encoded(sequence: u64, text: &str) -> Vec<u8> {
        let file = File {
            name: "keepalived.conf",
            bytes: text.as_bytes(),
            executable: false,
        };
        record(sequence, &[file])
    }

    fn record(sequence: u64, files: &[File<'_>]) -> Vec<u8> {
        let record = Record {
            sequence,
            trial: Trial::Good,
            files: files.to_vec(),
        };
        let mut bytes = Vec::new();
        encode(&record, &mut bytes).unwrap();
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
