//! The director's sockets to the network.

pub mod announce;
mod belief;
mod packet;
pub mod probe;
mod spare;
pub mod vrrp;

use core::fmt;
use std::io;

/// The errno of the last send, 0 when it went well: a lasting error is logged once.
#[derive(Debug, Default)]
struct LastError(i32);

impl LastError {
    /// Takes what came of sending `what`, and logs an error when it is another one than at the send before.
    fn note(&mut self, sent: io::Result<()>, what: fmt::Arguments<'_>) {
        let errno = match sent {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        };
        if errno != 0 && errno != self.0 {
            log::warn!("{what}: {}", io::Error::from_raw_os_error(errno));
        }
        self.0 = errno;
    }
}
