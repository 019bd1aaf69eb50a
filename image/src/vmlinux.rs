//! The kernel proper, taken out of `vmlinuz`: a `vmlinux` boots by PVH and saves a virtual machine the firmware and
//! the slow decompression (3.5 CPU seconds for each boot where there is no hardware virtualisation).

use std::fmt;
use std::io::Read;

/// Number of 512-byte sectors of the setup code, without the boot sector
/// (Linux Documentation/arch/x86/boot.rst, as all offsets here).
const SETUP_SECTS: usize = 0x1f1;
/// "HdrS".
const HEADER_MAGIC: usize = 0x202;
/// Offset of the compressed kernel from the end of the setup code.
const PAYLOAD_OFFSET: usize = 0x248;
/// Length of the compressed kernel.
const PAYLOAD_LENGTH: usize = 0x24c;
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";
const ELF_MAGIC: &[u8] = b"\x7fELF";
/// A Debian kernel is near 60 MB; a length far beyond it is damage, not a kernel.
const MAX_LEN: u64 = 512 << 20;

/// Why there is no kernel in a `vmlinuz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmlinuxError {
    /// It has no x86 boot header, or one whose payload lies outside the file.
    Header,
    /// The payload is compressed in another way than with xz or zstd; these are its first bytes.
    Compression([u8; 4]),
    /// The payload is damaged.
    Payload(String),
}

impl fmt::Display for VmlinuxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => write!(f, "no x86 boot header with a payload"),
            Self::Compression(magic) => {
                write!(f, "compressed in an unknown way (magic {magic:02x?})")
            }
            Self::Payload(why) => write!(f, "the payload does not unpack: {why}"),
        }
    }
}

impl std::error::Error for VmlinuxError {}

/// Unpacks the ELF kernel of an x86 bzImage.
pub(crate) fn extract(vmlinuz: &[u8]) -> Result<Vec<u8>, VmlinuxError> {
    let payload = payload(vmlinuz).ok_or(VmlinuxError::Header)?;
    // The build of the kernel appends the unpacked length to the stream.
    let (packed, length) = payload
        .split_last_chunk::<4>()
        .ok_or(VmlinuxError::Header)
        .map(|(a, b)| (a, *b))?;
    let mut vmlinux = Vec::new();
    let unpacked = if packed.starts_with(XZ_MAGIC) {
        lzma_rust2::XzReader::new(packed, false)
            .take(MAX_LEN)
            .read_to_end(&mut vmlinux)
    } else if packed.starts_with(ZSTD_MAGIC) {
        zstd::Decoder::new(packed).and_then(|unpack| {
            unpack
                .single_frame()
                .take(MAX_LEN)
                .read_to_end(&mut vmlinux)
        })
    } else {
        return Err(VmlinuxError::Compression(
            packed.first_chunk().copied().unwrap_or_default(),
        ));
    };
    unpacked.map_err(|error| VmlinuxError::Payload(error.to_string()))?;
    if vmlinux.len() as u64 != u64::from(u32::from_le_bytes(length)) {
        return Err(VmlinuxError::Payload(
            "it has another length than the header says".to_owned(),
        ));
    }
    if !vmlinux.starts_with(ELF_MAGIC) {
        return Err(VmlinuxError::Payload("it is not an ELF file".to_owned()));
    }
    Ok(vmlinux)
}

fn payload(vmlinuz: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| {
        vmlinuz
            .get(at..)?
            .first_chunk()
            .map(|bytes| u32::from_le_bytes(*bytes) as usize)
    };
    if vmlinuz.get(HEADER_MAGIC..)?.first_chunk() != Some(b"HdrS") {
        return None;
    }
    // For old boot loaders 0 stands for 4.
    let setup_sects = match *vmlinuz.get(SETUP_SECTS)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = ((setup_sects + 1) * 512).checked_add(word(PAYLOAD_OFFSET)?)?;
    vmlinuz.get(start..start.checked_add(word(PAYLOAD_LENGTH)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zstd_kernel_is_found_by_its_header() {
        let vmlinux = [ELF_MAGIC, &[1; 5000]].concat();
        assert_eq!(
            extract(&bzimage(
                &zstd::bulk::compress(&vmlinux, 1).unwrap(),
                vmlinux.len()
            )),
            Ok(vmlinux)
        );
    }

    #[test]
    fn a_wrong_length_or_content_is_refused() {
        let packed = zstd::bulk::compress(b"\x7fELFabc", 1).unwrap();
        assert!(matches!(
            extract(&bzimage(&packed, 8)),
            Err(VmlinuxError::Payload(_))
        ));
        let packed = zstd::bulk::compress(b"no kernel", 1).unwrap();
        assert!(matches!(
            extract(&bzimage(&packed, 9)),
            Err(VmlinuxError::Payload(_))
        ));
        assert_eq!(
            extract(&bzimage(b"\x02\x21\x4c\x18", 4)),
            Err(VmlinuxError::Compression([2, 0x21, 0x4c, 0x18]))
        );
    }

    #[test]
    fn what_is_no_bzimage_is_refused() {
        assert_eq!(extract(b""), Err(VmlinuxError::Header));
        assert_eq!(extract(&[0; 4096]), Err(VmlinuxError::Header));
        let image = bzimage(b"1234", 4);
        assert_eq!(
            extract(&image[..image.len() - 1]),
            Err(VmlinuxError::Header)
        );
    }

    fn bzimage(packed: &[u8], unpacked_len: usize) -> Vec<u8> {
        let mut image = vec![0; 512 * 5 + 16];
        image[HEADER_MAGIC..HEADER_MAGIC + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET] = 16;
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4]
            .copy_from_slice(&(packed.len() as u32 + 4).to_le_bytes());
        image.extend_from_slice(packed);
        image.extend_from_slice(&(unpacked_len as u32).to_le_bytes());
        image
    }
}
