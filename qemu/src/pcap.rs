//! Captures, in the classic pcap format with nanosecond timestamps (magic a1b23c4d, link type Ethernet).
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::limits::CAPTURE_BYTES_MAX;

const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const LINK_TYPE_ETHERNET: u32 = 1;

/// A capture file that is being written.
pub struct Capture {
    file: BufWriter<File>,
    written: u64,
    /// The same moment by both clocks: frames carry the monotonic one, the file the other.
    epoch: (Instant, SystemTime),
}

impl Capture {
    /// Makes the file anew.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&file_header())?;
        Ok(Self {
            file,
            written: 24,
            epoch: (Instant::now(), SystemTime::now()),
        })
    }

    /// Appends a frame; does nothing once the file is full.
    pub fn record(&mut self, at: Instant, frame: &[u8]) -> io::Result<()> {
        if self.written >= CAPTURE_BYTES_MAX {
            return Ok(());
        }
        let time = self.epoch.1 + at.saturating_duration_since(self.epoch.0);
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.file.write_all(&record_header(
            since_epoch.as_secs() as u32,
            since_epoch.subsec_nanos(),
            frame.len(),
        ))?;
        self.file.write_all(frame)?;
        self.written += 16 + frame.len() as u64;
        Ok(())
    }

    /// Lets a reader of the file see all frames so far.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn file_header() -> [u8; 24] {
    let mut header = [0; 24];
    header[0..4].copy_from_slice(&MAGIC_NANOSECONDS.to_le_bytes());
    header[4..6].copy_from_slice(&2u16.to_le_bytes()); // version 2.4
    header[6..8].copy_from_slice(&4u16.to_le_bytes());
    header[16..20].copy_from_slice(&u32::from(u16::MAX).to_le_bytes()); // longest frame
    header[20..24].copy_from_slice(&LINK_TYPE_ETHERNET.to_le_bytes());
    header
}

fn record_header(seconds: u32, nanoseconds: u32, length: usize) -> [u8; 16] {
    let mut header = [0; 16];
    header[0..4].copy_from_slice(&seconds.to_le_bytes());
    header[4..8].copy_from_slice(&nanoseconds.to_le_bytes());
    header[8..12].copy_from_slice(&(length as u32).to_le_bytes());
    header[12..16].copy_from_slice(&(length as u32).to_le_bytes());
    header
}
