//! ICMP echo (RFC 792) and its sister of IPv6 (RFC 4443), as the kernel's ping sockets take and give them: without the
//! IP header, with the identifier and the checksum filled in by the kernel.
//!
//! ```text
//!  0  type    1  code 0    2  checksum, u16    4  identifier, u16    6  sequence, u16    8  data
//! ```

use crate::net::Family;

const HEADER_LEN: usize = 8;
/// Type of a request and of its reply.
const V4: (u8, u8) = (8, 0);
const V6: (u8, u8) = (128, 129);

const fn types(family: Family) -> (u8, u8) {
    match family {
        Family::V4 => V4,
        Family::V6 => V6,
    }
}

/// A request with `token` as its data.
#[must_use]
pub fn request(family: Family, sequence: u16, token: u64) -> Vec<u8> {
    let mut packet = vec![types(family).0, 0, 0, 0, 0, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend(token.to_be_bytes());
    packet
}

/// Whether a packet is the reply to that request.
#[must_use]
pub fn is_reply(packet: &[u8], family: Family, sequence: u16, token: u64) -> bool {
    let Some((header, data)) = packet.split_first_chunk::<HEADER_LEN>() else {
        return false;
    };
    let [kind, code, _, _, _, _, high, low] = *header;
    (kind, code) == (types(family).1, 0)
        && u16::from_be_bytes([high, low]) == sequence
        && data == token.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_that_of_its_request() {
        for (family, reply) in [(Family::V4, 0), (Family::V6, 129)] {
            let mut packet = request(family, 7, 0x0102_0304_0506_0708);
            assert!(!is_reply(&packet, family, 7, 0x0102_0304_0506_0708));
            packet[0] = reply;
            packet[4] = 99; // the kernel's identifier
            assert!(is_reply(&packet, family, 7, 0x0102_0304_0506_0708));
            assert!(!is_reply(&packet, family, 8, 0x0102_0304_0506_0708));
            assert!(!is_reply(&packet, family, 7, 1));
            assert!(!is_reply(&packet[..7], family, 7, 0));
        }
    }
}
