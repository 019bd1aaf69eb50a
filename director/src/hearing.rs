//! Adverts are heard.

use director_core::director::Input;
use director_core::time::Duration;

use crate::run::Shell;
use crate::sock::vrrp::Place;
use crate::{clock, limits};

impl Shell {
    /// Lets more adverts come when they come in a row, but no timer wait that this turn, which was to sleep for so
    /// long, is to judge.
    pub(crate) fn gather_adverts(&mut self, timeout: Option<Duration>) {
        if self.adverts.is_empty() {
            return;
        }
        let (now, most) = (clock::now(), limits::ADVERTS_GATHER);
        let mut time = Duration::ZERO;
        if now.since(self.heard_at) <= most {
            let left = timeout.map(|timeout| (self.pace.ended + timeout).since(now));
            time = left.map_or(most, |left| left.min(most));
            std::thread::sleep(time);
        }
        self.heard_at = now + time;
    }

    pub(crate) fn read_adverts(&mut self) {
        let mut places = core::mem::take(&mut self.adverts);
        places.retain(|place| self.read_adverts_of(*place));
        self.adverts = places;
    }

    /// True when there may be more.
    pub(crate) fn read_adverts_of(&mut self, place: Place) -> bool {
        let mut buffer = core::mem::take(&mut self.buffer);
        let mut more = true;
        for _ in 0..limits::ADVERTS_PER_TURN {
            match self.vrrp.receive(place, &mut buffer) {
                Ok(Some(received)) => {
                    let (ifindex, _) = place;
                    self.take(Input::Vrrp { ifindex, received });
                }
                Ok(None) => {
                    more = false;
                    break;
                }
                // An error of the interface is reported once and then gone; what was received is still there.
                Err(error) => log::debug!("adverts of link {}: {error}", place.0.0),
            }
        }
        self.buffer = buffer;
        self.drain();
        more
    }
}
