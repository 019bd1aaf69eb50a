//! Sockets that serve one connection after the other: to make a socket, to have it watched and to release it costs the
//! kernel more than to reset its connection (`connect` to AF_UNSPEC, connect(2)) and to begin another.
//!
//! They are watched until the connection stands or has failed, and no longer (EPOLLONESHOT, epoll_ctl(2)), so that
//! nobody is woken by the end of one that he ended himself. mio has no word for that; a registry is an epoll
//! instance, and a token what that keeps of a socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use director_core::net::Family;
use mio::{Registry, Token};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use socket2::Socket;

/// Sockets of one family that wait: as many as are in use at once where servers answer soon.
const MAX: usize = 64;

/// Those that wait for their next connection.
#[derive(Debug, Default)]
pub(super) struct Spares {
    /// The poll's.
    epoll: Option<Epoll>,
    v4: Vec<Spare>,
    v6: Vec<Spare>,
}

/// A TCP socket that is connected to nobody; apart from that, it is as it was set up.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) socket: Socket,
    /// The poll knows of it.
    pub(super) known: bool,
}

impl Spares {
    /// One that was given before.
    pub(super) fn take(&mut self, family: Family) -> Option<Spare> {
        self.of(family).pop()
    }

    /// Resets the connection of a socket, and keeps that if the kernel agrees; else it is closed.
    pub(super) fn give(&mut self, family: Family, spare: Spare) {
        let spares = self.of(family);
        if spares.len() < MAX && disconnect(&spare.socket).is_ok() {
            spares.push(spare);
        }
    }

    fn of(&mut self, family: Family) -> &mut Vec<Spare> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    /// Has the poll say once that a connection that is being made stands, or has failed.
    ///
    /// # Errors
    /// When the kernel has no memory for it, or no descriptor is left.
    pub(super) fn watch(
        &mut self,
        registry: &Registry,
        token: Token,
        (socket, known): (&Socket, bool),
    ) -> io::Result<()> {
        let epoll = match &mut self.epoll {
            Some(epoll) => epoll,
            none => none.insert(Epoll(registry.as_fd().try_clone_to_owned()?)),
        };
        let flags = EpollFlags::EPOLLOUT | EpollFlags::EPOLLONESHOT;
        let mut event = EpollEvent::new(flags, token.0 as u64);
        if known {
            epoll.modify(socket, &mut event)?;
        } else {
            epoll.add(socket, event)?;
        }
        Ok(())
    }
}

/// Ends a TCP connection at once, by a RST if it stands.
fn disconnect(socket: &Socket) -> io::Result<()> {
    let nobody = libc::sockaddr {
        sa_family: libc::AF_UNSPEC as libc::sa_family_t,
        sa_data: [0; 14],
    };
    // SAFETY: the pointer is to a live value of the length given, which the kernel only reads.
    let done = unsafe {
        libc::connect(
            socket.as_raw_fd(),
            &raw const nobody,
            size_of::<libc::sockaddr>() as libc::socklen_t,
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
