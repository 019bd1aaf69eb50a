//! Checks against servers that misbehave: real ones, on real sockets, all at once, beside a virtual router whose
//! adverts go on. Needs root; without it the test says so and passes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod host;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use director_core::status::{CheckStatus, Status};
use nix::sched::{CloneFlags, setns};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

use self::host::{Node, wait_until};

/// The `connect_timeout` of each check.
const TIMEOUT: Duration = Duration::from_millis(800);

/// Runs of each check that are waited for: the second one meets what the first one left behind.
const RUNS: u64 = 3;

const FIRST_PORT: u16 = 9000;

/// How a server treats whoever connects. Errors are those of a client that has gone.
type Treat = fn(&mut Line) -> io::Result<()>;

/// What a server does with a datagram from there.
type Reply = fn(&UdpSocket, SocketAddr, &[u8]) -> io::Result<()>;

enum Server {
    Tcp(Treat),
    /// The handshake is done as it should be, what follows is not.
    Tls(Treat),
    Udp(Reply),
    /// Its queue of connections is full, and nobody takes them.
    Full,
    Nobody,
}

/// One connection as a server has it.
struct Line {
    socket: TcpStream,
    session: Option<StreamOwned<ServerConnection, TcpStream>>,
}

#[test]
fn as_a_director() {
    host::as_a_director();
}

/// Each is found out in time and for the right reason; nobody holds up an advert, and nothing is gathered.
#[test]
fn servers_that_misbehave_are_found_out_and_hold_up_nothing() {
    let cases = cases();
    let folder = std::env::temp_dir().join(format!("director-misbehaving-{}", std::process::id()));
    let router = "interface eth0 {\n address 192.0.2.1/24\n}\n";
    let Some(mut node) = Node::new(&folder, &configuration(&cases), router) else {
        return;
    };
    node.ip("link set lo up");
    node.ip("link add eth0 type veth peer name eth1");
    node.ip("link set eth1 up");
    // The full queues stay full for as long as these live.
    let _full: Vec<_> = (FIRST_PORT..)
        .zip(&cases)
        .map(|(port, case)| serve(&node, port, &case.2))
        .collect();
    node.start();
    node.wait_for("Active");
    let before = node.status();
    wait_until("three runs of each check", || {
        let checks = node.status().checks;
        checks.len() == cases.len() && checks.iter().all(|check| check.runs >= RUNS)
    });
    let after = node.status();
    for ((keyword, name, _, expected), check) in cases.iter().zip(&after.checks) {
        judge(&format!("{keyword}: {name}"), expected, check);
    }
    adverts_went_on(&before, &after);
    let grown = after.process.rss_kib.saturating_sub(before.process.rss_kib);
    assert!(grown < 8 << 10, "{grown} KiB more than at the start");
}

/// `expected` is empty for a success, else the beginning of the reason; `|` is between two that depend on the machine.
fn judge(case: &str, expected: &str, check: &CheckStatus) {
    let (health, last) = (check.health.as_str(), check.last.as_str());
    let passes = expected.is_empty();
    assert_eq!(health, if passes { "up" } else { "down" }, "{case}: {last}");
    let mut reasons = expected.split('|');
    let as_expected = reasons.any(|reason| last.starts_with(reason));
    assert!(
        as_expected || (passes && last == "success"),
        "{case}: {last}"
    );
    // A stall of this machine is given once more.
    let most = 2 * TIMEOUT + Duration::from_millis(400);
    assert!(
        u128::from(check.latency_us) < most.as_micros(),
        "{case}: {check:?}"
    );
    assert_eq!(
        check.failures,
        if passes { 0 } else { check.runs },
        "{case}"
    );
}

/// One each 100 ms.
fn adverts_went_on(before: &Status, after: &Status) {
    let of = |status: &Status| status.routers.first().unwrap().adverts_sent;
    let (sent, time_us) = (of(after) - of(before), after.now_us - before.now_us);
    let due = time_us / 100_000;
    println!(
        "{sent} adverts of {due}, longest turn {} us, {} KiB",
        after.process.turn_max_us, after.process.rss_kib
    );
    assert!(sent * 10 >= due * 9, "{sent} adverts in {time_us} us");
    assert_eq!(after.routers.first().unwrap().takeovers, 1);
}

/// Who goes while the other side speaks is noticed in one of these ways.
const GONE: &str = "connection reset|broken pipe|closed without a reply|TLS: cut before its end";

/// Keyword of the check, name of the misbehaviour, server, and what [`judge`] expects.
type Case = (&'static str, &'static str, Server, &'static str);

fn cases() -> Vec<Case> {
    use Server::{Full, Nobody, Tcp, Tls, Udp};
    let of_http: [(&str, Treat, &str); 11] = [
        ("answers", page, ""),
        ("silent", silent, "no reply in time"),
        ("late", late_page, "no reply in time"),
        (
            "drips",
            |line| drip(line, b"HTTP/1.0 200 OK\r\nX: "),
            "reply not complete in time (",
        ),
        ("drips its body", drip_body, "reply not complete in time ("),
        ("garbage", garbage, "reply is not HTTP/1"),
        ("endless head", endless_head, "reply with too long a head"),
        (
            "endless body",
            endless_body,
            "reply with too long a body|reply not complete in time (",
        ),
        ("closes at once", |_| Ok(()), GONE),
        ("half-closes", half_close, "closed without a reply"),
        ("cuts a chunk", cut_chunk, "closed within the reply"),
    ];
    let of_smtp: [(&str, Treat, &str); 9] = [
        ("answers", mail, ""),
        ("silent", silent, "no reply in time"),
        ("drips", |line| drip(line, b"220-a\r\n"), "no reply in time"),
        ("garbage", garbage, "reply is not SMTP"),
        ("endless banner", endless_banner, "reply is not SMTP"),
        ("closes at once", |_| Ok(()), GONE),
        ("resets", reset, GONE),
        ("half-closes", half_close, "closed without a reply"),
        ("speaks HTTP", page_unasked, "reply is not SMTP"),
    ];
    let of_dns: [(&str, Reply, &str); 7] = [
        (
            "answers",
            |socket, from, ask| answer(socket, from, ask, 0),
            "",
        ),
        (
            "has no zone",
            |socket, from, ask| answer(socket, from, ask, 2),
            "answer SERVFAIL",
        ),
        ("silent", |_, _, _| Ok(()), "no reply in time"),
        ("late", late_answer, "no reply in time"),
        (
            "garbage",
            |socket, from, _| socket.send_to(&[0xa5; 512], from).map(drop),
            "no reply in time",
        ),
        ("a stranger's answer", strange_answer, "no reply in time"),
        ("flood", flood, "no reply in time"),
    ];
    let mut cases: Vec<Case> = vec![
        ("TCP_CHECK", "nobody there", Nobody, "connection refused"),
        ("TCP_CHECK", "full", Full, "no connection in time"),
        ("TCP_CHECK", "garbage", Tcp(garbage), ""),
        ("TCP_CHECK", "silent", Tcp(silent), ""),
        ("HTTP_GET", "resets", Tcp(reset), GONE),
        ("HTTP_GET", "full", Full, "no connection in time"),
        ("SSL_GET", "no TLS", Tcp(page), "TLS: not understood"),
        ("SSL_GET", "garbage", Tcp(garbage), "TLS: not understood"),
        (
            "SSL_GET",
            "no handshake",
            Tcp(silent),
            "TLS: no session in time",
        ),
        (
            "SSL_GET",
            "drips records",
            Tcp(drip_records),
            "TLS: no session in time",
        ),
        (
            "SSL_GET",
            "half-closes before",
            Tcp(half_close),
            "TLS: cut before its end",
        ),
        ("SSL_GET", "resets", Tcp(reset), GONE),
        ("SSL_GET", "full", Full, "no connection in time"),
        ("DNS_CHECK", "nobody there", Nobody, "connection refused"),
    ];
    for (name, treat, expected) in of_http {
        cases.push(("HTTP_GET", name, Tcp(treat), expected));
        cases.push(("SSL_GET", name, Tls(treat), expected));
    }
    cases.extend(of_smtp.map(|(name, treat, expected)| ("SMTP_CHECK", name, Tcp(treat), expected)));
    cases.extend(of_dns.map(|(name, reply, expected)| ("DNS_CHECK", name, Udp(reply), expected)));
    cases
}

fn configuration(cases: &[Case]) -> String {
    let mut text = "global_defs {\n vrrp_version 3\n}\nvrrp_instance VI_1 {\n interface eth0\n \
        virtual_router_id 51\n priority 150\n advert_int 0.1\n virtual_ipaddress {\n 192.0.2.100\n }\n}\n\
        virtual_server 192.0.2.100 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n delay_loop 1\n \
        connect_timeout 0.8\n retry 1\n delay_before_retry 0.1\n"
        .to_string();
    for (port, (keyword, ..)) in (FIRST_PORT..).zip(cases) {
        let url = match *keyword {
            "HTTP_GET" | "SSL_GET" => "url {\n path /\n }\n",
            _ => "",
        };
        text += &format!("real_server 127.0.0.1 {port} {{\n {keyword} {{\n {url} }}\n}}\n");
    }
    text + "}\n"
}

/// Lets a server run in the namespace for as long as the test does.
fn serve(node: &Node, port: u16, server: &Server) -> Vec<Socket> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    match *server {
        Server::Nobody => Vec::new(),
        Server::Full => within(node, move || fill(address)),
        Server::Tcp(treat) => {
            accept(node, address, move |socket| {
                treat(&mut Line {
                    socket,
                    session: None,
                })
            });
            Vec::new()
        }
        Server::Tls(treat) => {
            let identity = identity();
            accept(node, address, move |socket| {
                let connection =
                    ServerConnection::new(Arc::clone(&identity)).map_err(io::Error::other)?;
                let session = StreamOwned::new(connection, socket.try_clone()?);
                let mut line = Line {
                    socket,
                    session: Some(session),
                };
                treat(&mut line)?;
                let Some(mut session) = line.session else {
                    return Ok(());
                };
                session.conn.send_close_notify();
                session.flush()
            });
            Vec::new()
        }
        Server::Udp(reply) => {
            let socket = within(node, move || UdpSocket::bind(address)).unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 1024];
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let _ = reply(&socket, from, &buffer[..length]);
                }
            });
            Vec::new()
        }
    }
}

/// A socket belongs to the namespace of the thread that makes it.
fn within<T: Send + 'static>(node: &Node, make: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = node.namespace.try_clone().unwrap();
    let inside = move || {
        setns(&namespace, CloneFlags::CLONE_NEWNET).unwrap();
        make()
    };
    std::thread::spawn(inside).join().unwrap()
}

fn accept(
    node: &Node,
    address: SocketAddr,
    treat: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) {
    let listener = within(node, move || TcpListener::bind(address)).unwrap();
    let treat = Arc::new(treat);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let treat = Arc::clone(&treat);
            std::thread::spawn(move || treat(socket));
        }
    });
}

/// A listener of one place, with more than that in its queue.
fn fill(address: SocketAddr) -> Vec<Socket> {
    let socket = || Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
    let listener = socket();
    listener.bind(&address.into()).unwrap();
    listener.listen(0).unwrap();
    let clients = (0..4).map(|_| {
        let client = socket();
        let _ = client.connect(&address.into());
        client
    });
    std::iter::once(listener).chain(clients).collect()
}

fn identity() -> Arc<ServerConfig> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(folder.join("server.pem"))
        .unwrap()
        .collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.unwrap(), key)
        .unwrap();
    Arc::new(config)
}

impl Line {
    /// What the client said, until it stops for now.
    fn hear(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        match &mut self.session {
            Some(session) => session.read(&mut buffer),
            None => self.socket.read(&mut buffer),
        }
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.session {
            Some(session) => session.write_all(bytes).and_then(|()| session.flush()),
            None => self.socket.write_all(bytes),
        }
    }
}

fn page(line: &mut Line) -> io::Result<()> {
    line.hear()?;
    page_unasked(line)
}

fn page_unasked(line: &mut Line) -> io::Result<()> {
    line.say(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

fn late_page(line: &mut Line) -> io::Result<()> {
    line.hear()?;
    std::thread::sleep(3 * TIMEOUT);
    page_unasked(line)
}

/// Waits until the client goes.
fn silent(line: &mut Line) -> io::Result<()> {
    while line.hear()? > 0 {}
    Ok(())
}

/// A byte now and then, for ever.
fn drip(line: &mut Line, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes.iter().cycle() {
        line.say(&[*byte])?;
        std::thread::sleep(TIMEOUT / 8);
    }
    Ok(())
}

fn drip_body(line: &mut Line) -> io::Result<()> {
    line.hear()?;
    line.say(b"HTTP/1.0 200 OK\r\n\r\n")?;
    drip(line, b"x")
}

/// The beginning of a ServerHello that never comes to its end.
fn drip_records(line: &mut Line) -> io::Result<()> {
    line.hear()?;
    line.say(&[22, 3, 3, 0x20, 0, 2, 0, 0x1f, 0xfc])?;
    drip(line, &[3])
}

/// As fast as the client takes it, for ever; no byte of it is a letter.
fn garbage(line: &mut Line) -> io::Result<()> {
    let mut bytes = [0; 8192];
    let mut number = 1_u32;
    loop {
        for byte in &mut bytes {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (number >> 24) as u8 | 0x80;
        }
        line.say(&bytes)?;
    }
}

fn endless_head(line: &mut Line) -> io::Result<()> {
    line.hear()?;
    line.say(b"HTTP/1.0 200 OK\r\n")?;
    loop {
        line.say(b"X-Padding: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n")?;
    }
}

fn endless_body(line: &mut Line) -> io::Result<()> {
    line.hear()?;
    line.say(b"HTTP/1.0 200 OK\r\n\r\n")?;
    loop {
        line.say(&[b'x'; 16 << 10])?;
    }
}

fn cut_chunk(line: &mut Line) -> io::Result<()> {
    line.hear()?;
    line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
}

/// Says nothing, and goes on listening.
fn half_close(line: &mut Line) -> io::Result<()> {
    match &mut line.session {
        Some(session) => {
            while session.conn.is_handshaking() {
                session.conn.complete_io(&mut session.sock)?;
            }
            session.conn.send_close_notify();
            session.conn.complete_io(&mut session.sock)?;
        }
        None => line.socket.shutdown(Shutdown::Write)?,
    }
    silent(line)
}

fn reset(line: &mut Line) -> io::Result<()> {
    let socket = Socket::from(line.socket.try_clone()?);
    socket.set_linger(Some(Duration::ZERO))
}

fn mail(line: &mut Line) -> io::Result<()> {
    line.say(b"220 here\r\n")?;
    line.hear()?;
    line.say(b"250-hello\r\n250 SIZE\r\n")?;
    line.hear()?;
    line.say(b"221 bye\r\n")
}

fn endless_banner(line: &mut Line) -> io::Result<()> {
    loop {
        line.say(b"220-and another line of it\r\n")?;
    }
}

fn answer(socket: &UdpSocket, to: SocketAddr, ask: &[u8], code: u8) -> io::Result<()> {
    let answer = [&ask[..2], &[0x81, code], &ask[4..]].concat();
    socket.send_to(&answer, to).map(drop)
}

fn late_answer(socket: &UdpSocket, to: SocketAddr, ask: &[u8]) -> io::Result<()> {
    std::thread::sleep(2 * TIMEOUT);
    answer(socket, to, ask, 0)
}

/// The answer to somebody else's question.
fn strange_answer(socket: &UdpSocket, to: SocketAddr, ask: &[u8]) -> io::Result<()> {
    let other = [&[!ask[0]], &ask[1..]].concat();
    answer(socket, to, &other, 0)
}

fn flood(socket: &UdpSocket, to: SocketAddr, _: &[u8]) -> io::Result<()> {
    let until = Instant::now() + TIMEOUT;
    while Instant::now() < until {
        socket.send_to(&[0; 64], to)?;
    }
    Ok(())
}
