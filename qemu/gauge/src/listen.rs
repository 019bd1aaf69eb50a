//! The servers of the bench, all in one: every address of the machine, one port. It notes for each address when it was
//! asked, and so judges a checker from outside. A checker asks with its SYN: not every one waits for the server's
//! program, which therefore hears of it from the wire.
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{Backlog, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::Figures;

/// Connections that wait to be accepted; the kernel's own bound (net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// How long somebody who was told may take to go.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// Room for what waits to be read of the wire: some thousand SYNs.
const RECEIVE_BYTES: usize = 8 << 20;

/// ETH_P_IP (linux/if_ether.h).
const IPV4: u16 = 0x0800;

/// When an address was asked last, and the longest time between two times.
type Asked = HashMap<Ipv4Addr, (Instant, u64)>;

#[derive(Default)]
struct Tally {
    asked: Asked,
    connections: u64,
}

pub(crate) fn serve(port: u16, control: u16) -> Result<Figures, String> {
    let listen = |port| {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
        let listener = listener.map_err(|error| format!("{port}: {error}"))?;
        // std's is 128, which a burst of checks overflows: it would be the listener that loses them.
        let backlog = Backlog::new(BACKLOG).map_err(|error| error.to_string())?;
        nix::sys::socket::listen(&listener, backlog).map_err(|error| error.to_string())?;
        Ok::<_, String>(listener)
    };
    let (servers, control) = (listen(port)?, listen(control)?);
    let wire = wire(port).map_err(|error| format!("packet socket: {error}"))?;
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            for client in control.incoming().flatten() {
                let told = std::mem::take(&mut *lock(&tally));
                tell(client, told);
            }
        });
        scope.spawn(|| servers.incoming().flatten().for_each(drop));
        loop {
            let mut header = [0; 20];
            // What is longer is cut.
            if (&wire)
                .read(&mut header)
                .is_ok_and(|length| length == header.len())
            {
                let [.., a, b, c, d] = header;
                note(&mut lock(&tally), Ipv4Addr::new(a, b, c, d));
            }
        }
    })
}

/// Hears of each SYN to a port, beginning with its IP header.
fn wire(port: u16) -> io::Result<Socket> {
    let protocol = Protocol::from(i32::from(IPV4.to_be()));
    let wire = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
    setsockopt(&wire, sockopt::RcvBufForce, &RECEIVE_BYTES)?;
    // BPF (linux/filter.h): codes of linux/bpf_common.h.
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_BYTE_BEHIND: u16 = 0x50;
    const LOAD_HALF_BEHIND: u16 = 0x48;
    const IS_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    wire.attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, 9),
        SockFilter::new(IS_EQUAL, 0, 6, 6), // TCP
        SockFilter::new(LOAD_HEADER_LENGTH, 0, 0, 0),
        SockFilter::new(LOAD_HALF_BEHIND, 0, 0, 2),
        SockFilter::new(IS_EQUAL, 0, 3, port.into()),
        SockFilter::new(LOAD_BYTE_BEHIND, 0, 0, 13),
        SockFilter::new(IS_EQUAL, 0, 1, 0x02), // SYN alone
        SockFilter::new(RETURN, 0, 0, 40),
        SockFilter::new(RETURN, 0, 0, 0),
    ])?;
    Ok(wire)
}

fn note(tally: &mut Tally, address: Ipv4Addr) {
    let now = Instant::now();
    tally.connections += 1;
    let (last, longest) = tally.asked.entry(address).or_insert((now, 0));
    *longest = (*longest).max(now.duration_since(*last).as_micros() as u64);
    *last = now;
}

/// Who asks ends the conversation: a socket that is closed first has no owner while it takes leave, and the kernel
/// resets such a one while there are too many of them (net.ipv4.tcp_max_orphans), as when checks outrun this listener.
fn tell(mut client: TcpStream, Tally { asked, connections }: Tally) {
    let figures = Figures {
        connections,
        targets: asked.len() as u64,
        longest_gap_us: asked
            .values()
            .map(|(_, longest)| *longest)
            .max()
            .unwrap_or(0),
        ..Figures::default()
    };
    // Whoever asked and went away does not want it.
    let _ = client
        .write_all(&serde_json::to_vec(&figures).unwrap_or_default())
        .and_then(|()| client.shutdown(Shutdown::Write))
        .and_then(|()| client.set_read_timeout(Some(LEAVE_MAX)))
        .and_then(|()| client.read(&mut [0]));
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn ask(control: u16) -> Result<Figures, String> {
    let mut answer = Vec::new();
    TcpStream::connect((Ipv4Addr::LOCALHOST, control))
        .and_then(|mut client| client.read_to_end(&mut answer))
        .map_err(|error| format!("the listener's control port {control}: {error}"))?;
    serde_json::from_slice(&answer).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_ends_the_conversation() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let teller = thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let mut kept = client.try_clone().unwrap();
            tell(client, Tally::default());
            // The other side is gone by now, not told to wait for us.
            kept.set_nonblocking(true).unwrap();
            kept.read(&mut [0]).unwrap()
        });
        assert_eq!(ask(port).unwrap(), Figures::default());
        assert_eq!(teller.join().unwrap(), 0);
    }

    #[test]
    fn each_address_has_its_own_longest_gap() {
        let mut tally = Tally::default();
        let at = |last: u8| Ipv4Addr::new(127, 0, 0, last);
        note(&mut tally, at(1));
        note(&mut tally, at(2));
        thread::sleep(Duration::from_millis(20));
        note(&mut tally, at(1));
        assert_eq!((tally.connections, tally.asked.len()), (3, 2));
        assert!(tally.asked[&at(1)].1 >= 20_000);
        assert_eq!(tally.asked[&at(2)].1, 0);
    }
}
