//! How an initrd is packed.

use std::fmt;
use std::io;
use std::num::NonZero;
use std::thread;

use zstd::zstd_safe::CParameter;

/// Each processor takes pieces of this length: the initrds are a few of them long, and their edges cost under 1 %.
const JOB_LEN: u32 = 8 << 20;

/// How an initrd is packed. LZ4 is not offered: the kernel does not find the segment that follows an LZ4 one, and
/// the configuration is such a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: the quickest to build, and to boot where the initrd comes from memory, as in the lab.
    Raw,
    /// zstd at this level (1 to 22).
    Zstd(i32),
}

impl Compression {
    /// For release: level 22 saves 1 % over 19 and needs far more memory.
    pub const SHIPPING: Self = Self::Zstd(19);

    /// `archive` as it goes into the image, padded to 4 bytes so that another segment may follow.
    /// Fails when zstd gets no memory.
    pub fn apply(self, archive: &[u8]) -> io::Result<Vec<u8>> {
        let mut packed = match self {
            Self::Raw => archive.to_vec(),
            Self::Zstd(level) => compress(archive, level, thread::available_parallelism()?)?,
        };
        packed.resize(packed.len().next_multiple_of(4), 0);
        Ok(packed)
    }
}

/// Packs with this many threads, at least one. Their number does not change the bytes that come out.
fn compress(archive: &[u8], level: i32, workers: NonZero<usize>) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(level)?;
    compressor.set_parameter(CParameter::NbWorkers(workers.get() as u32))?;
    compressor.set_parameter(CParameter::JobSize(JOB_LEN))?;
    compressor.compress(archive)
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw => write!(f, "raw"),
            Self::Zstd(level) => write!(f, "zstd-{level}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_unpacks_and_ends_at_four_bytes() {
        let archive = [7; 1001];
        assert_eq!(Compression::Raw.apply(&archive).unwrap().len(), 1004);
        let packed = Compression::Zstd(19).apply(&archive).unwrap();
        assert_eq!(packed.len() % 4, 0);
        let mut unpack = zstd::Decoder::with_buffer(&packed[..])
            .unwrap()
            .single_frame();
        let mut unpacked = Vec::new();
        io::Read::read_to_end(&mut unpack, &mut unpacked).unwrap();
        assert_eq!(unpacked, archive);
        assert!(unpack.finish().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn the_number_of_processors_changes_nothing() {
        let mut state = 1_u32;
        let archive: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 30) as u8
        })
        .take(3 * JOB_LEN as usize)
        .collect();
        let packed = |workers| compress(&archive, 1, NonZero::new(workers).unwrap()).unwrap();
        assert!(packed(1) == packed(2) && packed(1) == packed(5));
    }
}
