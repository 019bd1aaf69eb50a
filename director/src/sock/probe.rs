//! The sockets of the checks, by the core's number of the attempt.
//!
//! The number carries a generation, so it is the mio token too: an event of a socket that was closed in the same turn
//! finds nothing. A socket is closed plainly, unless its connection is to be reset: a server then sees a FIN, or a RST
//! when it sent what nobody read. Closing never waits, because nobody asks the kernel to linger for a while.
//!
//! Where nobody talks ([`Transport::HalfOpen`]), the kernel is asked to acknowledge late and to reset: the connection
//! is ended before the last step of the handshake, as HAProxy's and F5's checks do it. That spares the server's kernel
//! a connection, and its program an accept and a line in its log. The socket serves the next check of its kind.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::time::Duration;

use core::net::{IpAddr, SocketAddr};

use director_core::check::{Bind, Id, Transport};
use director_core::net::{Family, IfName};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt};
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, Socket, Type};

use super::belief::Beliefs;
use super::spare::{Spare, Spares};

sockopt_impl!(
    /// TCP_DEFER_ACCEPT (tcp(7)): a client acknowledges the SYN-ACK late then, for it expects to be heard before.
    /// Unlike TCP_QUICKACK it holds for all connections of a socket.
    DeferAccept,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    u32
);

/// Any time but none says that.
const ACKNOWLEDGE_LATE_S: u32 = 1;

/// What came of a socket; the bytes are in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing until the next readiness.
    Idle,
    /// The connection is established, or datagrams can be sent.
    Connected,
    /// So many bytes were read.
    Received(usize),
    /// The server sent all it had to send; the socket is dropped.
    Closed,
    /// It failed with an errno; the socket is dropped.
    Failed(i32),
}

/// The sockets.
#[derive(Debug, Default)]
pub struct Probes {
    open: BTreeMap<Id, Probe>,
    /// Those that were connected at once, as datagram sockets and those to this machine are; nobody was told yet.
    made: Vec<Id>,
    /// Those whose user was told, and which are not watched yet.
    unwatched: Vec<Id>,
    beliefs: Beliefs,
    spares: Spares,
}

#[derive(Debug)]
struct Probe {
    socket: Socket,
    transport: Transport,
    /// Where the socket may serve another check: its family.
    spare_of: Option<Family>,
    /// The poll knows of the socket.
    known: bool,
    /// The kernel has said that the connection is made.
    made: bool,
    connected: bool,
    /// What the socket has not taken yet of a request.
    unsent: Vec<u8>,
}

impl Probes {
    /// Has answers believed that come from an address of this node's own by this interface (the kernel's name), from
    /// now on; false when the kernel does not take that.
    pub fn believe(&mut self, interface: &IfName) -> bool {
        self.beliefs.hold(interface)
    }

    /// Opens a socket and begins to connect. One that is connected at once is known to [`Probes::next_made`].
    ///
    /// # Errors
    /// When the address is unreachable at once, the source is not to be had, or no descriptor is left; there is no
    /// socket then.
    pub fn connect(
        &mut self,
        registry: &Registry,
        token: Token,
        id: Id,
        to: (SocketAddr, Transport),
        from: Option<&Bind>,
    ) -> io::Result<()> {
        let (target, transport) = to;
        let spare_of = spare_of(target, transport, from);
        let spare = spare_of.and_then(|family| self.spares.take(family));
        let known = spare.as_ref().is_some_and(|spare| spare.known);
        let socket = spare.map_or_else(|| open(target, transport), |spare| Ok(spare.socket))?;
        if let Some(bind) = from {
            bind_to(&socket, target, bind)?;
        }
        let mut probe = Probe {
            socket,
            transport,
            spare_of,
            known,
            made: false,
            connected: false,
            unsent: Vec::new(),
        };
        match probe.socket.connect(&target.into()) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
                probe.watch(&mut self.spares, registry, token)?;
            }
            made => {
                made?;
                self.made.push(id);
            }
        }
        self.open.insert(id, probe);
        Ok(())
    }

    /// The next socket that was connected at once. Many are closed as soon as their user knows; the others are to be
    /// watched by [`Probes::watch_next`] then.
    pub fn next_made(&mut self) -> Option<Id> {
        let id = self.made.pop()?;
        if let Some(probe) = self.open.get_mut(&id) {
            probe.connected = true;
            self.unwatched.push(id);
        }
        Some(id)
    }

    /// Watches what was connected at once and is still open; what can't be watched is dropped, and returned with the
    /// reason.
    pub fn watch_next(
        &mut self,
        registry: &Registry,
        token: impl Fn(Id) -> Token,
    ) -> Option<(Id, io::Error)> {
        while let Some(id) = self.unwatched.pop() {
            let Some(probe) = self.open.get_mut(&id) else {
                continue;
            };
            if let Err(error) = probe.watch(&mut self.spares, registry, token(id)) {
                self.open.remove(&id);
                return Some((id, error));
            }
        }
        None
    }

    /// The poll says that a socket can be written to, and of no error: if it was connecting, it is connected now, and
    /// nobody needs to ask the kernel for it.
    pub fn note_writable(&mut self, id: Id) {
        if let Some(probe) = self.open.get_mut(&id) {
            probe.made = true;
        }
    }

    /// Sends bytes, now or when the socket takes them. An error shows at the next [`Probes::progress`].
    pub fn send(&mut self, id: Id, bytes: Vec<u8>) {
        let Some(probe) = self.open.get_mut(&id) else {
            return;
        };
        if probe.transport == Transport::Tcp {
            probe.unsent.extend(bytes);
            let _ = probe.flush();
        } else {
            // A datagram is taken whole or not at all; an answer that is missing then says so.
            let _ = probe.socket.send(&bytes);
        }
    }

    /// Closes the socket, if it is open.
    pub fn close(&mut self, id: Id) {
        if let Some(probe) = self.open.remove(&id)
            && let Some(family) = probe.spare_of
            && probe.connected
        {
            let (socket, known) = (probe.socket, probe.known);
            self.spares.give(family, Spare { socket, known });
        }
    }

    /// Goes one step on with a socket that is ready; to be repeated until [`Progress::Idle`].
    pub fn progress(&mut self, id: Id, buffer: &mut [u8]) -> Progress {
        let Some(probe) = self.open.get_mut(&id) else {
            return Progress::Idle;
        };
        let progress = probe
            .progress(buffer)
            .unwrap_or_else(|error| match error.raw_os_error() {
                _ if error.kind() == io::ErrorKind::WouldBlock => Progress::Idle,
                Some(errno) => Progress::Failed(errno),
                None => Progress::Failed(libc::EIO),
            });
        if matches!(progress, Progress::Closed | Progress::Failed(_)) {
            self.open.remove(&id);
        }
        progress
    }
}

/// Whether a socket is like all others of its family: it is told nothing that the next check must not inherit. One that
/// was connected within a link (scope) stays bound to that.
fn spare_of(target: SocketAddr, transport: Transport, from: Option<&Bind>) -> Option<Family> {
    let scoped = matches!(target, SocketAddr::V6(target) if target.scope_id() != 0);
    let plain = transport == Transport::HalfOpen && from.is_none() && !scoped;
    plain.then(|| Family::of(target.ip()))
}

fn open(target: SocketAddr, transport: Transport) -> io::Result<Socket> {
    let domain = Domain::for_address(target);
    let (kind, protocol) = match transport {
        Transport::Tcp | Transport::HalfOpen => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
        Transport::Icmp if target.is_ipv4() => (Type::DGRAM, Protocol::ICMPV4),
        Transport::Icmp => (Type::DGRAM, Protocol::ICMPV6),
    };
    let new = || Socket::new(domain, kind.nonblocking(), Some(protocol));
    let socket = match new() {
        Err(error)
            if transport == Transport::Icmp && error.raw_os_error() == Some(libc::EACCES) =>
        {
            allow_ping()?;
            new()?
        }
        socket => socket?,
    };
    match transport {
        Transport::Tcp => {}
        Transport::HalfOpen => {
            socket.set_linger(Some(Duration::ZERO))?;
            setsockopt(&socket, DeferAccept, &ACKNOWLEDGE_LATE_S)?;
        }
        // ICMP errors become errors of the socket at once, and host unreachable too.
        Transport::Udp | Transport::Icmp if target.is_ipv4() => {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
        }
        Transport::Udp | Transport::Icmp => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(socket)
}

/// Ping sockets are for the groups of a range, which is empty at boot, and even root's is not in it.
fn allow_ping() -> io::Result<()> {
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0\n")
}

fn bind_to(socket: &Socket, target: SocketAddr, bind: &Bind) -> io::Result<()> {
    if let Some(interface) = &bind.interface {
        socket.bind_device(Some(interface.as_str().as_bytes()))?;
    }
    if bind.mark != 0 {
        socket.set_mark(bind.mark)?;
    }
    if bind.reset {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    if bind.address.is_none() && bind.port == 0 {
        return Ok(());
    }
    if bind.port != 0 {
        // The one of the last attempt is in TIME_WAIT.
        socket.set_reuse_address(true)?;
    }
    let any = if target.is_ipv4() {
        IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED)
    };
    socket.bind(&SocketAddr::new(bind.address.unwrap_or(any), bind.port).into())
}

impl Probe {
    fn watch(&mut self, spares: &mut Spares, registry: &Registry, token: Token) -> io::Result<()> {
        if self.spare_of.is_some() {
            spares.watch(registry, token, (&self.socket, self.known))?;
        } else {
            let interest = Interest::READABLE | Interest::WRITABLE;
            registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, interest)?;
        }
        self.known = true;
        Ok(())
    }

    fn progress(&mut self, buffer: &mut [u8]) -> io::Result<Progress> {
        if !self.connected {
            return self.finish_connect();
        }
        self.flush()?;
        loop {
            match (&self.socket).read(buffer) {
                Ok(0) if self.transport == Transport::Tcp => return Ok(Progress::Closed),
                Ok(length) => return Ok(Progress::Received(length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A connection is made when it has a peer (mio, `TcpStream::connect`); before, readiness may be spurious.
    fn finish_connect(&mut self) -> io::Result<Progress> {
        // A connection that stands has no error: asked in this order, it costs one system call.
        let is_tcp = matches!(self.transport, Transport::Tcp | Transport::HalfOpen);
        let made = self.made || is_tcp && has_peer(&self.socket)?;
        if !made && let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        self.connected = made || !is_tcp;
        Ok(if self.connected {
            Progress::Connected
        } else {
            Progress::Idle
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.send(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length.min(self.unsent.len()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn has_peer(socket: &Socket) -> io::Result<bool> {
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream as StdTcpStream, UdpSocket};

    use mio::{Events, Poll};

    use super::*;

    const ID: Id = Id {
        index: 1,
        generation: 7,
    };

    #[test]
    fn a_check_connects_sends_receives_and_sees_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut probes, mut poll) = connected_to(&listener);
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(next(&mut probes, &mut poll), (Progress::Connected, vec![]));
        probes.send(ID, b"GET".to_vec());
        let mut request = [0; 3];
        server.read_exact(&mut request).unwrap();
        assert_eq!(&request, b"GET");
        server.write_all(b"200").unwrap();
        assert_eq!(
            next(&mut probes, &mut poll),
            (Progress::Received(3), b"200".to_vec())
        );
        drop(server);
        assert_eq!(next(&mut probes, &mut poll), (Progress::Closed, vec![]));
        assert_eq!(probes.progress(ID, &mut [0; 8]), Progress::Idle);
    }

    #[test]
    fn where_nobody_talks_the_servers_program_hears_of_no_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let (mut probes, mut poll) = (Probes::default(), Poll::new().unwrap());
        for _ in 0..20 {
            let to = (target, Transport::HalfOpen);
            let begun = probes.connect(poll.registry(), Token(0), ID, to, None);
            begun.unwrap();
            assert_eq!(next(&mut probes, &mut poll).0, Progress::Connected);
            probes.close(ID);
            let spare = probes.spares.take(Family::V4).expect("one is left");
            assert!(probes.spares.take(Family::V4).is_none(), "and only one");
            assert!(!has_peer(&spare.socket).unwrap());
            probes.spares.give(Family::V4, spare);
        }
        let client = StdTcpStream::connect(target).unwrap();
        let (_, first) = listener.accept().unwrap();
        assert_eq!(first, client.local_addr().unwrap());
        drop(listener);
        let to = (target, Transport::HalfOpen);
        let begun = probes.connect(poll.registry(), Token(0), ID, to, None);
        begun.unwrap();
        let refused = Progress::Failed(libc::ECONNREFUSED);
        assert_eq!(next(&mut probes, &mut poll).0, refused);
        probes.close(ID);
        assert!(probes.spares.take(Family::V4).is_none(), "it failed");
    }

    #[test]
    fn a_socket_that_is_told_more_serves_no_other_check() {
        let of = |target: &str| target.parse::<SocketAddr>().unwrap();
        let (v4, v6) = (of("192.0.2.1:80"), of("[2001:db8::1]:80"));
        let plain = |target, transport| spare_of(target, transport, None);
        assert_eq!(plain(v4, Transport::HalfOpen), Some(Family::V4));
        assert_eq!(plain(v6, Transport::HalfOpen), Some(Family::V6));
        assert_eq!(plain(of("[fe80::1%2]:80"), Transport::HalfOpen), None);
        assert_eq!(plain(v4, Transport::Tcp), None);
        assert_eq!(
            spare_of(v4, Transport::HalfOpen, Some(&Bind::default())),
            None
        );
    }

    #[test]
    fn a_request_longer_than_the_sockets_buffer_is_sent_in_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut probes, mut poll) = connected_to(&listener);
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(next(&mut probes, &mut poll).0, Progress::Connected);
        let request: Vec<u8> = (0..16 << 20).map(|at: u32| at as u8).collect();
        probes.send(ID, request.clone());
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; request.len()];
            server.read_exact(&mut got).unwrap();
            assert!(got == request);
            server.write_all(b"!").unwrap();
        });
        assert_eq!(
            next(&mut probes, &mut poll),
            (Progress::Received(1), b"!".to_vec())
        );
        reader.join().unwrap();
    }

    #[test]
    fn a_refusal_is_an_errno_and_a_closed_socket_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut probes, mut poll) = connected_to(&listener);
        probes.close(ID);
        assert_eq!(probes.progress(ID, &mut [0; 8]), Progress::Idle);
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        assert!(StdTcpStream::connect(nobody).is_err());
        probes
            .connect(
                poll.registry(),
                Token(0),
                ID,
                (nobody, Transport::Tcp),
                None,
            )
            .unwrap();
        assert_eq!(
            next(&mut probes, &mut poll).0,
            Progress::Failed(libc::ECONNREFUSED)
        );
    }

    #[test]
    fn datagrams_go_and_come_and_a_port_that_nobody_has_is_refused() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let server = UdpSocket::bind(loopback).unwrap();
            let target = server.local_addr().unwrap();
            let (mut probes, mut poll) = (Probes::default(), Poll::new().unwrap());
            let open = |probes: &mut Probes, poll: &Poll| {
                probes
                    .connect(
                        poll.registry(),
                        Token(0),
                        ID,
                        (target, Transport::Udp),
                        None,
                    )
                    .unwrap();
            };
            open(&mut probes, &poll);
            assert_eq!(next(&mut probes, &mut poll).0, Progress::Connected);
            probes.send(ID, b"ask".to_vec());
            let mut buffer = [0; 8];
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"ask");
            for answer in [b"".as_slice(), b"hi"] {
                server.send_to(answer, from).unwrap();
                let got = next(&mut probes, &mut poll);
                assert_eq!(got, (Progress::Received(answer.len()), answer.to_vec()));
            }
            probes.close(ID);
            drop(server);
            open(&mut probes, &poll);
            assert_eq!(next(&mut probes, &mut poll).0, Progress::Connected);
            probes.send(ID, Vec::new());
            let refused = Progress::Failed(libc::ECONNREFUSED);
            assert_eq!(next(&mut probes, &mut poll).0, refused);
        }
    }

    #[test]
    fn an_echo_request_is_answered() {
        use director_core::net::Family;
        use director_core::wire::echo;
        for (target, family) in [("127.0.0.1:0", Family::V4), ("[::1]:0", Family::V6)] {
            let (mut probes, mut poll) = (Probes::default(), Poll::new().unwrap());
            let to = (target.parse().unwrap(), Transport::Icmp);
            probes
                .connect(poll.registry(), Token(0), ID, to, None)
                .unwrap();
            assert_eq!(next(&mut probes, &mut poll).0, Progress::Connected);
            probes.send(ID, echo::request(family, 7, 99));
            let (progress, bytes) = next(&mut probes, &mut poll);
            assert_eq!(progress, Progress::Received(bytes.len()));
            assert!(echo::is_reply(&bytes, family, 7, 99), "{bytes:?}");
        }
    }

    #[test]
    fn a_check_comes_from_where_it_is_told() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (mut probes, mut poll) = (Probes::default(), Poll::new().unwrap());
        let to = (server.local_addr().unwrap(), Transport::Udp);
        let bind = Bind {
            address: Some([127, 0, 0, 9].into()),
            port: 0,
            interface: Some("lo".parse().unwrap()),
            mark: 7,
            ..Bind::default()
        };
        probes
            .connect(poll.registry(), Token(0), ID, to, Some(&bind))
            .unwrap();
        assert_eq!(next(&mut probes, &mut poll).0, Progress::Connected);
        probes.send(ID, b"x".to_vec());
        let (_, from) = server.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(from.ip(), IpAddr::from([127, 0, 0, 9]));
        let elsewhere = Bind {
            interface: Some("nonesuch".parse().unwrap()),
            ..bind
        };
        let error = probes.connect(poll.registry(), Token(0), ID, to, Some(&elsewhere));
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    fn connected_to(listener: &TcpListener) -> (Probes, Poll) {
        let (mut probes, poll) = (Probes::default(), Poll::new().unwrap());
        let target = listener.local_addr().unwrap();
        probes
            .connect(
                poll.registry(),
                Token(0),
                ID,
                (target, Transport::Tcp),
                None,
            )
            .unwrap();
        (probes, poll)
    }

    /// The next progress that is not idle, with the bytes that came.
    fn next(probes: &mut Probes, poll: &mut Poll) -> (Progress, Vec<u8>) {
        let (mut events, mut buffer) = (Events::with_capacity(8), [0; 64]);
        if probes.next_made().is_some() {
            let failed = probes.watch_next(poll.registry(), |_| Token(0));
            assert!(failed.is_none(), "{failed:?}");
            return (Progress::Connected, Vec::new());
        }
        loop {
            match probes.progress(ID, &mut buffer) {
                Progress::Idle => poll.poll(&mut events, None).unwrap(),
                Progress::Received(length) => {
                    return (Progress::Received(length), buffer[..length].to_vec());
                }
                progress => return (progress, Vec::new()),
            }
        }
    }
}
