//! The trailer of keepalived's `auth_hmac` (2.4) behind an advert, which proves who sent it and when.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |    Type 1     |    Key Id     |           Reserved            |
//! +---------------+---------------+-------------------------------+
//! |                 Seconds since 1970                            |
//! +-------------------------------+-------------------------------+
//! |     1/65536 of a second       |            Counter            |
//! +-------------------------------+-------------------------------+
//! |          HMAC-SHA256, its first 16 bytes ...                  |
//! +---------------------------------------------------------------+
//! ```
//!
//! The code covers a pseudo header (family 4 or 6, version, VRID, zero, the source padded with zeros to 16 bytes), the
//! advert with a checksum of zero, and the trailer with a code of zeros. Neither destination nor time to live are
//! covered. The trailer is outside the advert's checksum over IPv4. Over IPv6 it is inside, for there the checksum is
//! the kernel's, and covers what the IP header counts (RFC 8200 section 8.1).

use core::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a trailer.
pub const BYTES: usize = PREFIX_BYTES + CODE_BYTES;

const PREFIX_BYTES: usize = 12;
const CODE_BYTES: usize = 16;
/// The only type.
const TYPE: u8 = 1;
/// Where an advert has its checksum.
const CHECKSUM: core::ops::Range<usize> = 6..8;

/// When an advert was made: seconds, 1/65536 of a second, and a counter, as one number that grows from advert to
/// advert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(u64);

impl Sequence {
    /// The first one of a moment, in microseconds since 1970.
    #[must_use]
    pub const fn at(wall_micros: u64) -> Self {
        let (seconds, micros) = (wall_micros / 1_000_000, wall_micros % 1_000_000);
        Self(seconds << 32 | (micros * 65_536 / 1_000_000) << 16)
    }

    /// The one that follows, even where time stands still or steps back.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whole seconds since 1970, up to the year 2106.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 >> 32
    }
}

/// A trailer that was received; whether its code is right is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Which key it claims to be made with.
    pub key: u8,
    /// When the advert claims to be made.
    pub sequence: Sequence,
    prefix: [u8; PREFIX_BYTES],
    code: [u8; CODE_BYTES],
}

impl Trailer {
    /// Reads what stands behind an advert; nothing else is as long or begins so.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (prefix, code) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
        let [kind, key, _, _, sequence @ ..] = *prefix;
        Some(Self {
            key,
            sequence: Sequence(u64::from_be_bytes(sequence)),
            prefix: *prefix,
            code: code.try_into().ok()?,
        })
        .filter(|_| kind == TYPE)
    }

    /// Whether whoever made it for this advert from this source has the key. How long that takes says nothing of the
    /// right code.
    #[must_use]
    pub fn is_made_with(&self, secret: &[u8], source: IpAddr, advert: &[u8]) -> bool {
        let code = code(secret, source, advert, &self.prefix);
        code.is_some_and(|code| code.verify_truncated_left(&self.code).is_ok())
    }
}

/// Appends a trailer to an advert; nothing where the key can't be one, which no key is too short or too long for.
pub fn append(message: &mut Vec<u8>, source: IpAddr, (key, secret): (u8, &[u8]), at: Sequence) {
    let mut prefix = [TYPE, key, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (to, from) in prefix.iter_mut().skip(4).zip(at.0.to_be_bytes()) {
        *to = from;
    }
    if let Some(code) = code(secret, source, message, &prefix) {
        message.extend(prefix);
        message.extend(code.finalize().into_bytes().into_iter().take(CODE_BYTES));
    }
}

/// The code over an advert with this beginning of a trailer.
fn code(
    secret: &[u8],
    source: IpAddr,
    advert: &[u8],
    prefix: &[u8; PREFIX_BYTES],
) -> Option<Hmac<Sha256>> {
    let [version_type, vrid, ..] = *advert else {
        return None;
    };
    let mut padded = [0; 16];
    let family = match source {
        IpAddr::V4(address) => {
            let octets = address.octets();
            padded
                .iter_mut()
                .zip(octets)
                .for_each(|(to, from)| *to = from);
            4
        }
        IpAddr::V6(address) => {
            padded = address.octets();
            6
        }
    };
    let mut code = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    code.update(&[family, version_type >> 4, vrid, 0]);
    code.update(&padded);
    code.update(advert.get(..CHECKSUM.start)?);
    code.update(&[0; 2]);
    code.update(advert.get(CHECKSUM.end..)?);
    code.update(prefix);
    code.update(&[0; CODE_BYTES]);
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use proptest::prelude::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
    /// 2026-06-01 12:00:00.5.
    const MOMENT: u64 = 1_780_315_200_500_000;

    // Adverts with the VRID 51, the priority 150, one address, 1 s.
    const V2: [u8; 20] = [
        0x21, 51, 150, 1, 0, 1, 0xaa, 0xbb, 192, 0, 2, 10, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    const V3: [u8; 24] = [
        0x31, 51, 150, 1, 0, 100, 0xaa, 0xbb, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
    ];

    fn signed(advert: &[u8], source: IpAddr, at: Sequence) -> Vec<u8> {
        let mut message = advert.to_vec();
        append(&mut message, source, (7, SECRET), at);
        assert_eq!(message.len(), advert.len() + BYTES);
        message
    }

    // What Python computes:
    //   import hmac, struct
    //   def trailer(family, source, advert, sec, frac, count):
    //       head = bytes([family, advert[0] >> 4, advert[1], 0]) + source.ljust(16, b'\0')
    //       pre = struct.pack('>BBHIHH', 1, 7, 0, sec, frac, count)
    //       text = head + advert[:6] + b'\0\0' + advert[8:] + pre + bytes(16)
    //       return (pre + hmac.new(b'0123456789abcdef' * 2, text, 'sha256').digest()[:16]).hex()
    //   trailer(4, bytes([192, 0, 2, 1]), V2, 1780315200, 32768, 0)
    //   trailer(6, bytes.fromhex('fe800000000000000000000000000001'), V3, 1780315200, 32768, 1)
    #[test]
    fn trailers_are_those_that_another_program_computes() {
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let first = Sequence::at(MOMENT);
        assert_eq!(
            hex(&signed(&V2, V4, first)[20..]),
            "010700006a1d74408000000019cf82b837b24ba57b67d7a4a619bc69"
        );
        assert_eq!(
            hex(&signed(&V3, V6, first.next())[24..]),
            "010700006a1d7440800000010945d0f9a62556995f21f47d7bf40858"
        );
    }

    #[test]
    fn a_sequence_is_the_time_and_grows_where_the_time_does_not() {
        let first = Sequence::at(MOMENT);
        assert_eq!(first.seconds(), 1_780_315_200);
        assert!(first < first.next() && first.next() < Sequence::at(MOMENT + 16));
        assert_eq!(Sequence::at(MOMENT), Sequence::at(MOMENT + 15));
    }

    proptest! {
        #[test]
        fn every_changed_bit_but_the_checksums_and_every_other_key_or_source_is_noticed(
            at in any::<u32>(), bit in 0..(20 + BYTES) * 8, other in any::<[u8; 32]>(), host in 2..255_u8,
        ) {
            let message = signed(&V2, V4, Sequence::at(u64::from(at) * 1_000_000));
            let is_good = |bytes: &[u8], secret: &[u8], source: IpAddr| {
                let (advert, trailer) = bytes.split_at(20);
                Trailer::read(trailer).is_some_and(|trailer| trailer.is_made_with(secret, source, advert))
            };
            prop_assert!(is_good(&message, SECRET, V4));
            prop_assert!(!is_good(&message, &other, V4));
            prop_assert!(!is_good(&message, SECRET, [192, 0, 2, host].into()));
            prop_assert!(!is_good(&message, SECRET, V6));
            let mut changed = message.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(is_good(&changed, SECRET, V4), CHECKSUM.contains(&(bit / 8)));
        }

        #[test]
        fn whatever_follows_an_advert_is_read_or_is_none(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let read = Trailer::read(&bytes);
            prop_assert_eq!(read.is_some(), bytes.len() == BYTES && bytes[0] == TYPE);
        }
    }
}
