//! What is in an initrd, an overlay, or an initrd with an overlay behind it.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::Path;

use director_core::record;

use crate::Error;
use crate::cpio::{self, Found};

const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";
/// An initrd has to fit the memory of a small machine; a stream that claims more is not unpacked.
const MAX_UNPACKED_LEN: u64 = 512 << 20;

/// Describes every segment of the file at `path` as lines of text: members with their modes and sizes, and the
/// configuration records.
pub fn inspect(path: &Path) -> Result<String, Error> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let mut text = String::new();
    let mut at = 0;
    while let Some(skipped) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| *byte != 0))
    {
        at += skipped;
        let rest = bytes.get(at..).unwrap_or_default();
        let len = if rest.starts_with(ZSTD_MAGIC) {
            let (unpacked, len) = unzstd(rest).map_err(Error::io(path))?;
            line(
                &mut text,
                format_args!("at {at}: zstd, {len} bytes, {} unpacked", unpacked.len()),
            );
            describe(&mut text, &cpio::read(&unpacked)?.0);
            len
        } else {
            let (entries, len) = cpio::read(rest)?;
            line(&mut text, format_args!("at {at}: cpio, {len} bytes"));
            describe(&mut text, &entries);
            len
        };
        at += len;
    }
    Ok(text)
}

/// The first zstd frame unpacked, and its length packed.
fn unzstd(bytes: &[u8]) -> std::io::Result<(Vec<u8>, usize)> {
    let mut unpack = zstd::Decoder::with_buffer(bytes)?.single_frame();
    let mut unpacked = Vec::new();
    unpack
        .by_ref()
        .take(MAX_UNPACKED_LEN)
        .read_to_end(&mut unpacked)?;
    Ok((unpacked, bytes.len() - unpack.finish().len()))
}

fn describe(text: &mut String, entries: &[Found<'_>]) {
    for entry in entries {
        line(
            text,
            format_args!(
                "  {:06o} {:>9} {}",
                entry.mode,
                entry.data.len(),
                entry.path
            ),
        );
    }
    let area = |name| {
        entries
            .iter()
            .find(|entry| entry.path == name)
            .map(|entry| entry.data)
    };
    let (Some(a), Some(b)) = (area("config.a"), area("config.b")) else {
        return;
    };
    let newest = record::newest(a, b);
    line(text, format_args!("  {newest}"));
    for file in newest.chosen().iter().flat_map(|(_, record)| &record.files) {
        let mark = if file.executable { " *" } else { "" };
        line(
            text,
            format_args!("    {:>9} {}{mark}", file.bytes.len(), file.name),
        );
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let _ = writeln!(text, "{words}");
}
