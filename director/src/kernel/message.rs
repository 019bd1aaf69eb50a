//! Requests as bytes: one message behind the other, attributes within attributes (linux/netlink.h).
//!
//! Written in place and into one buffer: tens of thousands of operations are written while a large table is filled.

/// NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND (linux/netlink.h).
pub(super) const REQUEST: u16 = 0x1;
pub(super) const ACK: u16 = 0x4;
pub(super) const DUMP: u16 = 0x300;
pub(super) const EXCLUSIVE: u16 = 0x200;
pub(super) const CREATE: u16 = 0x400;
pub(super) const APPEND: u16 = 0x800;

/// Bytes of what stands between a message's header and its attributes: `struct genlmsghdr`, `struct nfgenmsg`.
pub(super) const HEADER: usize = 4;
/// NLA_F_NESTED.
const NESTED: u16 = 0x8000;

/// Requests on their way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) bytes: Vec<u8>,
}

/// What stands at the head of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// `nlmsg_type`.
    pub(super) kind: u16,
    /// Beside [`REQUEST`].
    pub(super) flags: u16,
    pub(super) sequence: u32,
    /// What stands before the attributes.
    pub(super) header: [u8; HEADER],
}

impl Requests {
    /// Adds a message; `attributes` writes what follows its head.
    pub(super) fn add(&mut self, head: Head, attributes: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]); // the length, below
        self.bytes.extend(head.kind.to_ne_bytes());
        self.bytes.extend((REQUEST | head.flags).to_ne_bytes());
        self.bytes.extend(head.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]); // to the kernel
        self.bytes.extend(head.header);
        attributes(&mut Attributes(&mut self.bytes));
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        overwrite(&mut self.bytes, start, &length.to_ne_bytes());
    }
}

/// The attributes of one message, or of one attribute.
#[derive(Debug)]
pub(super) struct Attributes<'b>(&'b mut Vec<u8>);

impl Attributes<'_> {
    /// Any bytes; at most 64 KiB, as all attributes.
    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        self.open(kind, |bytes| bytes.extend(value));
    }

    /// A text with the NUL that ends it.
    pub(super) fn text(&mut self, kind: u16, text: &str) {
        self.open(kind, |bytes| {
            bytes.extend(text.as_bytes());
            bytes.push(0);
        });
    }

    /// A number in network order, as netfilter's are.
    pub(super) fn number(&mut self, kind: u16, number: u32) {
        self.put(kind, &number.to_be_bytes());
    }

    /// A number in the machine's order, as IPVS' are.
    pub(super) fn native(&mut self, kind: u16, number: u32) {
        self.put(kind, &number.to_ne_bytes());
    }

    /// Attributes within an attribute.
    pub(super) fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Attributes<'_>)) {
        self.open(kind | NESTED, |bytes| inner(&mut Attributes(bytes)));
    }

    fn open(&mut self, kind: u16, value: impl FnOnce(&mut Vec<u8>)) {
        let start = self.0.len();
        self.0.extend([0; 2]); // the length, below
        self.0.extend(kind.to_ne_bytes());
        value(self.0);
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        overwrite(self.0, start, &length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

fn overwrite(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netlink::{attributes, messages};

    #[test]
    fn what_is_written_can_be_read_again() {
        let mut requests = Requests::default();
        for sequence in [7, 8] {
            let head = Head {
                kind: 0x0a00,
                flags: ACK,
                sequence,
                header: [1, 0, 0, 10],
            };
            requests.add(head, |attributes| {
                attributes.text(1, "abc");
                attributes.nest(2, |inner| inner.number(3, 0x0102_0304));
                attributes.put(4, &[9]);
            });
        }
        let found: Vec<_> = messages(&requests.bytes).collect();
        assert_eq!(found.len(), 2);
        let message = found[1];
        assert_eq!(
            (message.kind, message.flags, message.sequence),
            (0x0a00, REQUEST | ACK, 8)
        );
        assert_eq!(message.payload[..HEADER], [1, 0, 0, 10]);
        let found: Vec<_> = attributes(&message.payload[HEADER..]).collect();
        let nested = [8, 0, 3, 0, 1, 2, 3, 4];
        assert_eq!(found, [(1, &b"abc\0"[..]), (2, &nested), (4, &[9])]);
    }
}
