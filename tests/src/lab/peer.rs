//! What is asked of a pair whose other node is somebody else's, and of any node that should be silent.

use std::time::Duration;

use qemu::lab::{Lab, LabError};
use qemu::measure;
use qemu::switch::Tap;

use super::WAIT;
use super::conf::Protocol;

/// Waits until the director `d1` is Backup to the peer, in the protocol's version.
///
/// # Errors
/// Those of asking for the status, and [`LabError::TimedOut`].
///
/// # Panics
/// When it speaks another version.
pub fn is_heard(lab: &Lab, protocol: Protocol) -> Result<(), LabError> {
    let director = lab.director("d1")?;
    let status = director.wait_until("the peer is heard", WAIT, |status| {
        let router = &status.routers[0];
        let is_it = |active: &str| match protocol {
            Protocol::V3OverIpv6 => active.starts_with("fe80::"),
            _ => active == "10.77.0.12",
        };
        router.state == "Backup" && router.active.as_deref().is_some_and(is_it)
    })?;
    assert_eq!(status.routers[0].version, protocol.version());
    Ok(())
}

/// The peer, with the lower priority, believes every advert of `d1` for twice as long as it would wait for one.
///
/// # Errors
/// Those of asking for the status.
///
/// # Panics
/// When it sends one.
pub fn believes(lab: &Lab, adverts: &Tap) -> Result<(), LabError> {
    let director = lab.director("d1")?;
    let active_down = measure::active_down(&director.status()?.routers[0]);
    is_silent(adverts, 2 * (active_down + Duration::from_millis(200)));
    assert_eq!(director.status()?.routers[0].state, "Active");
    Ok(())
}

/// No advert comes within `patience`.
///
/// # Panics
/// When one comes.
pub fn is_silent(adverts: &Tap, patience: Duration) {
    let advert = adverts.next(patience);
    assert!(
        advert.is_none(),
        "{:?}",
        advert.and_then(|frame| frame.advert())
    );
}
