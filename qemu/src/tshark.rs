//! Wireshark's reading of a capture: what others take the packets for that this workspace writes and reads itself.
use std::fs;
use std::path::Path;

use image::Workspace;

use crate::images::ImagesError;
use crate::packages::Packages;

/// Wireshark's dissectors as a program, out of Debian's package, without installing it.
pub struct Tshark {
    packages: Packages,
}

impl Tshark {
    /// Unpacks it into `target/lab-cache`, unless it is there already: 70 packages, 50 MB to download.
    pub fn unpacked(workspace: &Workspace, report: image::Report) -> Result<Self, ImagesError> {
        let cache = workspace.target.join("lab-cache");
        fs::create_dir_all(&cache).map_err(image::Error::io(&cache))?;
        let packages = Packages::unpacked(&cache.join("tshark"), &["tshark"], report)?;
        Ok(Self { packages })
    }

    /// The values of `fields` in each frame of a capture that the display filter lets through. A field that a frame
    /// lacks is empty, one that it has several times is joined by commas. Checksums are verified.
    pub fn read(
        &self,
        capture: &Path,
        filter: &str,
        fields: &[&str],
    ) -> Result<Vec<Vec<String>>, image::Error> {
        let mut tshark = self.packages.command("usr/bin/tshark");
        tshark
            .env(
                "WIRESHARK_DATA_DIR",
                self.packages.file("usr/share/wireshark"),
            )
            // No preferences of whoever runs this.
            .env("WIRESHARK_CONFIG_DIR", self.packages.file("no-preferences"))
            .args(["-n", "-o", "ip.check_checksum:TRUE", "-T", "fields", "-r"])
            .arg(capture)
            .args(["-Y", filter]);
        for field in fields {
            tshark.args(["-e", field]);
        }
        let text = image::process::output(&mut tshark, &[])?;
        let row = |line: &str| line.split('\t').map(str::to_owned).collect();
        Ok(text.lines().map(row).collect())
    }
}
