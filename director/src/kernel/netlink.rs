//! Netlink's framing, read without trust: messages of a datagram, attributes of a message (linux/netlink.h).
//!
//! The iterators end at the first thing that does not fit; nothing here can panic or read beyond what came.

/// NLMSG_ERROR: an errno, 0 for an acknowledgement.
pub(super) const ERROR: u16 = 2;
/// NLMSG_DONE: the end of a dump.
pub(super) const DONE: u16 = 3;
/// NLM_F_DUMP_INTR: the table changed while it was dumped.
pub(super) const DUMP_INTERRUPTED: u16 = 0x10;

/// Bytes of a `struct nlmsghdr`.
const MESSAGE_HEADER: usize = 16;
/// Bytes of a `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;
/// NLA_F_NESTED and NLA_F_NET_BYTEORDER, which are no part of an attribute's type.
const ATTRIBUTE_FLAGS: u16 = 0xc000;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// `nlmsg_type`.
    pub(super) kind: u16,
    /// `nlmsg_flags`.
    pub(super) flags: u16,
    /// `nlmsg_seq` of the request that this answers.
    pub(super) sequence: u32,
    /// What follows the header.
    pub(super) payload: &'a [u8],
}

impl Message<'_> {
    /// The positive errno of an [`ERROR`] or [`DONE`], 0 for success.
    #[must_use]
    pub(super) fn errno(&self) -> i32 {
        native_u32(self.payload).map_or(0, |code| code.cast_signed().saturating_neg())
    }
}

/// The messages of one datagram.
pub(super) fn messages(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = datagram;
    core::iter::from_fn(move || {
        let length = usize::try_from(native_u32(rest)?).ok()?;
        let message = rest.get(..length)?;
        let payload = message.get(MESSAGE_HEADER..)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some(Message {
            kind: native_u16(message.get(4..)?)?,
            flags: native_u16(message.get(6..)?)?,
            sequence: native_u32(message.get(8..)?)?,
            payload,
        })
    })
}

/// Type and value of each attribute.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        let length = usize::from(native_u16(rest)?);
        let kind = native_u16(rest.get(2..)?)? & !ATTRIBUTE_FLAGS;
        let value = rest.get(ATTRIBUTE_HEADER..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first two bytes as a number in the machine's order.
#[must_use]
pub(super) fn native_u16(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// The first four bytes as a number in the machine's order.
#[must_use]
pub(super) fn native_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// The first eight bytes as a number in the machine's order.
#[must_use]
pub(super) fn native_u64(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

/// Messages and attributes begin at multiples of four.
const fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An acknowledgement of message 7 and an error of message 8, as x86 writes them.
    const ANSWERS: [u8; 72] = [
        36, 0, 0, 0, 2, 0, 0, 1, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 20, 0, 5, 0, 7,
        0, 0, 0, 0, 0, 0, 0, //
        36, 0, 0, 0, 2, 0, 0, 1, 8, 0, 0, 0, 1, 0, 0, 0, 0xef, 0xff, 0xff, 0xff, 30, 0, 0, 0, 20,
        0, 5, 0, 8, 0, 0, 0, 0, 0, 0, 0,
    ];

    #[test]
    fn answers_are_found_by_their_sequence() {
        let found: Vec<_> = messages(&ANSWERS)
            .map(|m| (m.kind, m.sequence, m.errno()))
            .collect();
        assert_eq!(found, [(ERROR, 7, 0), (ERROR, 8, 17)]);
    }

    #[test]
    fn attributes_are_padded_to_four_bytes_and_lose_their_flags() {
        let bytes = [5, 0, 1, 0, 0xaa, 0, 0, 0, 6, 0, 2, 0x80, 0xbb, 0xcc];
        let found: Vec<_> = attributes(&bytes).collect();
        assert_eq!(found, [(1, &[0xaa][..]), (2, &[0xbb, 0xcc][..])]);
    }

    #[test]
    fn a_length_of_zero_ends_the_walk() {
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            for message in messages(&bytes) {
                let _ = message.errno();
                prop_assert!(attributes(message.payload).count() <= bytes.len());
            }
        }
    }
}
