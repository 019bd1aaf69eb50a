//! The Internet checksum (RFC 1071).

use core::net::IpAddr;

/// A ones' complement sum under way.
///
/// All parts but the last must have an even number of bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds `bytes` as big-endian 16-bit words; an odd last byte is padded with zero.
    #[must_use]
    pub fn plus(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<2>();
        for word in words {
            self.0 += u64::from(u16::from_be_bytes(*word));
        }
        if let [last] = rest {
            self.0 += u64::from(*last) << 8;
        }
        self
    }

    /// Adds an address, as pseudo headers have it.
    #[must_use]
    pub fn plus_address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.plus(&address.octets()),
            IpAddr::V6(address) => self.plus(&address.octets()),
        }
    }

    /// The sum folded to 16 bits: 0xffff over data that includes a correct checksum.
    #[must_use]
    pub fn folded(self) -> u16 {
        let mut sum = self.0;
        loop {
            match u16::try_from(sum) {
                Ok(sum) => return sum,
                Err(_) => sum = (sum & 0xffff) + (sum >> 16),
            }
        }
    }

    /// The checksum to put into the data, whose own field was added as zero.
    #[must_use]
    pub fn checksum(self) -> u16 {
        !self.folded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_adds_up() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::new().plus(&data).folded(), 0xddf2);
        assert_eq!(Sum::new().plus(&data).checksum(), 0x220d);
        assert_eq!(Sum::new().plus(&data).plus(&[0x22, 0x0d]).folded(), 0xffff);
    }

    #[test]
    fn an_odd_last_byte_is_padded_with_zero() {
        assert_eq!(Sum::new().plus(&[0x12]).folded(), 0x1200);
        assert_eq!(Sum::new().plus(&[]).folded(), 0);
    }

    #[test]
    fn carries_are_folded_until_none_is_left() {
        assert_eq!(Sum::new().plus(&[0xff; 4096]).folded(), 0xffff);
        assert_eq!(Sum::new().plus(&[0xff, 0xff, 0x00, 0x01]).folded(), 0x0001);
    }
}
