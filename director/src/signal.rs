//! Signals as readable bytes in the loop.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGHUP: read the configuration files again.
    Reload,
    /// SIGTERM, SIGINT: hand over and end.
    Stop,
}

/// Catches the director's signals; the value is a mio source.
///
/// # Errors
/// When no pipe can be made.
pub fn catch() -> io::Result<Signals> {
    Signals::new([SIGHUP, SIGINT, SIGTERM])
}

/// The wishes that have come; several signals of one kind may count once.
pub fn wishes(signals: &mut Signals) -> Vec<Wish> {
    signals
        .pending()
        .map(|signal| {
            if signal == SIGHUP {
                Wish::Reload
            } else {
                Wish::Stop
            }
        })
        .collect()
}
