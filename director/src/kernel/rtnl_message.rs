//! A message of rtnetlink as it goes over the socket.

use core::convert::Infallible;

use netlink_packet_core::{
    Emitable, NetlinkDeserializable, NetlinkHeader, NetlinkPayload, NetlinkSerializable, Parseable,
};

/// The kind of a message and its content in bytes, which are read by the one who knows what is of use.
///
/// Not netlink-packet-route's `RouteNetlinkMessage`: it reads all of whatever comes, and the code for traffic control,
/// statistics and the settings of any kind of link, none of which a director looks at, was a tenth of the binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RtnlMessage {
    /// RTM_.. (linux/rtnetlink.h).
    pub(super) kind: u16,
    pub(super) content: Vec<u8>,
}

impl RtnlMessage {
    pub(super) fn new(kind: u16, content: &impl Emitable) -> Self {
        let mut bytes = vec![0; content.buffer_len()];
        content.emit(&mut bytes);
        Self {
            kind,
            content: bytes,
        }
    }

    /// What the message says; nothing, and a line in the log, when it can't be read.
    pub(super) fn content<T: Parseable<[u8]>>(&self) -> Option<T> {
        T::parse(&self.content)
            .inspect_err(|error| {
                log::error!("rtnetlink message {} can't be read: {error}", self.kind);
            })
            .ok()
    }
}

impl NetlinkSerializable for RtnlMessage {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.content.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.content);
    }
}

impl NetlinkDeserializable for RtnlMessage {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, content: &[u8]) -> Result<Self, Infallible> {
        Ok(Self {
            kind: header.message_type,
            content: content.to_vec(),
        })
    }
}

impl From<RtnlMessage> for NetlinkPayload<RtnlMessage> {
    fn from(message: RtnlMessage) -> Self {
        Self::InnerMessage(message)
    }
}
