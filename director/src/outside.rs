//! What a configuration includes, read from this machine's files.

use std::fs::{self, File};
use std::io::Read;

use director_core::config::Outside;
use director_core::limits::{CONFIG_BYTES_MAX, CONFIG_FILES_MAX};

/// The files and the environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct Host;

impl Outside for Host {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        // A device or a pipe would never end, or never begin.
        let is_file = fs::metadata(path).map(|metadata| metadata.is_file());
        match is_file {
            Ok(true) => {}
            Ok(false) => return Err("it is no file".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        let limit = CONFIG_BYTES_MAX as u64 + 1;
        let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        read.map(|_| bytes).map_err(|error| error.to_string())
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let folder = if folder.is_empty() { "." } else { folder };
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let names = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            // Follows links.
            let is_folder = fs::metadata(entry.path()).is_ok_and(|found| found.is_dir());
            Some(if is_folder { name + "/" } else { name })
        });
        // More are not included either.
        names.take(CONFIG_FILES_MAX).collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use director_core::config::{Reading, Source, parse_with};

    use super::*;

    #[test]
    fn files_are_found_by_pattern_and_folders_are_passed_over() {
        let folder = std::env::temp_dir().join(format!("director-outside-{}", std::process::id()));
        fs::create_dir_all(folder.join("conf.d/x.conf")).unwrap();
        fs::write(folder.join("conf.d/a.conf"), "nonsense\n").unwrap();
        let name = folder.join("keepalived.conf");
        let source = Source {
            name: name.to_str().unwrap(),
            bytes: b"includea conf.d/*.conf\nincludea */a.conf\ninclude conf.d\n",
        };
        let parsed = parse_with(Some(source), None, &Reading::with(&Host));
        let said: Vec<&str> = parsed
            .diagnostics
            .iter()
            .map(|found| found.message.as_str())
            .collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said.iter()
                .any(|text| text.ends_with("can't be read: it is no file"))
        );
        assert!(
            said.iter()
                .any(|text| text.starts_with("unknown keyword `nonsense`"))
        );
        fs::remove_dir_all(folder).unwrap();
    }
}
