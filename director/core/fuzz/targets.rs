//! What the fuzzers do with their bytes. The corpus is replayed through the same functions by plain `cargo test`
//! (`tests/tests/corpus.rs`), so that what a fuzzer once found stays found.

use std::net::IpAddr;

use director::frame::{Decoder, Item};
use director::proto::{Reply, Request, Tagged};
use director_core::check;
use director_core::config::{self, Config, Source};
use director_core::director::{Command, Director, Input, OpId, Output};
use director_core::kernel::{AddressId, KernelEvent, Link, OpError, Snapshot};
use director_core::net::{Cidr, Family, Ifindex, Mac};
use director_core::record;
use director_core::time::{Duration, Instant};
use director_core::vrrp::Received;
use director_core::wire::http::Reader;
use director_core::wire::{dns, echo, ipv4, ipv6, ndp, smtp, vrrp};

/// What one fuzzer does with its bytes; it panics when something is wrong.
pub(crate) type Target = fn(&[u8]);

/// All targets by name.
pub(crate) const TARGETS: [(&str, Target); 8] = [
    ("advert", advert),
    ("answers", answers),
    ("config", config),
    ("director", director),
    ("frame", frame),
    ("http", http),
    ("neighbour", neighbour),
    ("record", record),
];

/// An IP packet with an advert: what is read is written again as it was.
pub(crate) fn advert(data: &[u8]) {
    let Some(received) = received(data) else {
        return;
    };
    let (source, destination) = (received.source, received.destination);
    let Ok((advert, signed)) = vrrp::Repr::parse_signed(received.payload, source, destination)
    else {
        return;
    };
    if let Some(signed) = signed {
        let _ = signed.trailer.is_made_with(&[7; 32], source, signed.advert);
    }
    let mut bytes = Vec::new();
    advert.emit(source, destination, &mut bytes);
    let again = vrrp::Repr::parse(&bytes, source, destination);
    assert_eq!(again, Ok(advert), "what is written can be read");
}

/// What a packet of either family says.
fn received(packet: &[u8]) -> Option<Received<'_>> {
    if let Ok((header, payload)) = ipv4::Repr::parse(packet) {
        return Some(Received {
            source: header.source.into(),
            destination: header.destination.into(),
            ttl: header.ttl,
            payload,
        });
    }
    let (header, payload) = ipv6::Repr::parse(packet).ok()?;
    Some(Received {
        source: header.source.into(),
        destination: header.destination.into(),
        ttl: header.hop_limit,
        payload,
    })
}

/// A neighbour advertisement: what is read is written again as it was, but for the flow label.
pub(crate) fn neighbour(data: &[u8]) {
    if let Ok(advertisement) = ndp::Repr::parse(data) {
        let bytes = advertisement.emit();
        assert_eq!(Some(&bytes[4..]), data.get(4..bytes.len()));
    }
}

/// What a mail server, a name server and a pinged host say: any pieces, cut where the first byte says.
pub(crate) fn answers(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else {
        return;
    };
    let (first, second) = bytes.split_at(usize::from(*cut).min(bytes.len()));
    let mut pieces = smtp::Reader::default();
    let in_pieces = pieces.read(first).and_then(|code| match code {
        None => pieces.read(second),
        code => Ok(code),
    });
    let at_once = smtp::Reader::default().read(bytes);
    if let (Ok(Some(a)), Ok(Some(b))) = (in_pieces, at_once) {
        assert_eq!(a, b, "the code does not depend on the pieces");
    }
    let _ = dns::answer(bytes, u16::from(*cut));
    for family in [Family::V4, Family::V6] {
        let _ = echo::is_reply(bytes, family, u16::from(*cut), 0);
    }
}

/// keepalived.conf and router.conf, with a zero between them: a configuration, or errors.
pub(crate) fn config(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let source = |name, bytes| Source { name, bytes };
    let keepalived = parts.next().map(|bytes| source("keepalived.conf", bytes));
    let router = parts.next().map(|bytes| source("router.conf", bytes));
    let parsed = config::parse(keepalived, router);
    assert_eq!(parsed.config.is_none(), parsed.has_errors());
    for diagnostic in &parsed.diagnostics {
        let text = diagnostic.to_string();
        assert!(
            text.chars()
                .all(|c| !c.is_control() || matches!(c, '\n' | '\t')),
            "safe for a terminal"
        );
    }
    if let Some(config) = parsed.config {
        // A configuration is a value that can't be wrong.
        let mut director = Director::new(config, Instant::ZERO, 1);
        while director.poll_output().is_some() {}
        let _ = director.status();
    }
}

/// An HTTP reply in two cuts: the pieces do not matter.
pub(crate) fn http(data: &[u8]) {
    let Some((lengths, reply)) = data.split_at_checked(4) else {
        return;
    };
    let read = |lengths: &[u8]| {
        let mut reader = Reader::new(true, None);
        let mut rest = reply;
        for length in lengths {
            let (piece, after) = rest.split_at(rest.len().min(usize::from(*length)));
            rest = after;
            match reader.read(piece) {
                Ok(None) => {}
                Ok(Some(reply)) => return Ok(reply),
                Err(error) => return Err(error),
            }
        }
        reader.read(rest)?.map_or_else(|| reader.finish(), Ok)
    };
    assert_eq!(read(lengths), read(&[]));
}

/// What comes over the serial line: text and frames in any pieces.
pub(crate) fn frame(data: &[u8]) {
    let mut decoder = Decoder::new(1 << 16);
    let (first, rest) = data.split_at(data.len() / 2);
    for mut piece in [first, rest] {
        while let Some(item) = decoder.next(&mut piece) {
            if let Item::Frame(payload) = item {
                let _ = director::frame::decode::<Tagged<Request>>(payload);
                let _ = director::frame::decode::<Tagged<Reply>>(payload);
            }
        }
    }
}

/// A record of the configuration store: what is read is written again as it was.
pub(crate) fn record(data: &[u8]) {
    let Ok(record) = record::decode(data) else {
        return;
    };
    let mut bytes = Vec::new();
    record::encode(&record, &mut bytes).expect("what was read can be written");
    assert!(data.starts_with(&bytes));
}

/// A whole director under operations that nobody would think of.
pub(crate) fn director(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut fuzzed = Fuzzed {
        director: Director::new(sample(bytes.one()), Instant::ZERO, 7),
        now: Instant::ZERO,
        ops: Vec::new(),
        probes: Vec::new(),
    };
    fuzzed.drain();
    // More operations find nothing new, and a fuzzer is to be fast.
    for _ in 0..300 {
        if bytes.0.is_empty() {
            break;
        }
        fuzzed.operate(&mut bytes);
    }
    let _ = fuzzed.director.status();
}

struct Fuzzed {
    director: Director,
    now: Instant,
    /// Operations that the kernel has not answered.
    ops: Vec<OpId>,
    /// Sockets that were ever opened.
    probes: Vec<check::Id>,
}

impl Fuzzed {
    fn operate(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.one() % 12 {
            0 => {
                self.now = self.now + Duration::from_millis(bytes.two().into());
                self.handle(Input::Timeout);
            }
            1 => {
                if let Some((at, _)) = self.director.next_timeout() {
                    self.now = self.now.max(at);
                }
                self.handle(Input::Timeout);
            }
            2 => {
                let packet = bytes.some().to_vec();
                self.receive(&packet);
            }
            3 | 4 => {
                let packet = advert_of(bytes);
                self.receive(&packet);
            }
            5 | 6 => self.probe(bytes),
            7 | 8 => {
                let op = self.ops.pop().unwrap_or_else(|| OpId(bytes.two().into()));
                let errno = i32::from(bytes.one());
                let result = if errno < 128 {
                    Ok(())
                } else {
                    Err(OpError(errno - 128))
                };
                self.handle(Input::Applied { op, result });
            }
            9 => {
                let event = kernel_event(bytes);
                self.handle(Input::Kernel(event));
            }
            10 => {
                let snapshot = snapshot(bytes);
                self.handle(Input::Actual(snapshot));
            }
            _ => match bytes.one() % 3 {
                0 => self.handle(Input::Config(Box::new(sample(bytes.one())))),
                1 => self.handle(Input::Command(Command::Handover(None))),
                _ => self.handle(Input::Command(Command::Stop)),
            },
        }
    }

    fn receive(&mut self, packet: &[u8]) {
        let ifindex = Ifindex(2);
        if let Some(received) = received(packet) {
            self.handle(Input::Vrrp { ifindex, received });
        }
    }

    fn probe(&mut self, bytes: &mut Bytes<'_>) {
        let index = usize::from(bytes.one());
        let id = match self.probes.get(index) {
            Some(id) => *id,
            None => check::Id::from(u64::from(bytes.two())),
        };
        let io = match bytes.one() % 4 {
            0 => check::Io::Connected,
            1 => check::Io::Failed(bytes.one().into()),
            2 => check::Io::Received(bytes.some()),
            _ => check::Io::Closed,
        };
        self.handle(Input::Probe { id, io });
    }

    fn handle(&mut self, input: Input<'_>) {
        self.director.handle(self.now, input);
        self.drain();
    }

    /// All that follows is bounded, and everything can be said.
    fn drain(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.director.poll_output() {
            outputs += 1;
            assert!(outputs < 10_000, "outputs without end");
            match output {
                Output::Apply(id, op) => {
                    assert!(!op.to_string().is_empty());
                    self.ops.push(id);
                }
                Output::Probe(id, check::Action::Connect { .. }) => self.probes.push(id),
                Output::Advert { payload, .. } => assert!(payload.len() >= 8),
                Output::Join { .. }
                | Output::Announce { .. }
                | Output::Recover(_)
                | Output::Read(_)
                | Output::Probe(..) => {}
            }
        }
        while let Some(event) = self.director.poll_event() {
            assert!(!event.to_string().is_empty());
        }
    }
}

/// A packet with a valid advert in it.
fn advert_of(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let [vrid, priority, interval, flags] =
        [50 + bytes.one() % 4, bytes.one(), bytes.one(), bytes.one()];
    let form = if flags & 1 == 0 {
        let auth = if flags & 2 == 0 {
            vrrp::Auth::Pass(*b"secret\0\0")
        } else {
            vrrp::Auth::None
        };
        vrrp::Form::V2 {
            interval_s: interval,
            auth,
        }
    } else {
        vrrp::Form::V3 {
            interval_cs: interval.into(),
            pseudo_header: flags & 2 == 0,
        }
    };
    let addresses = [[10, 0, vrid, 100], [10, 0, vrid, 101]];
    let repr = vrrp::Repr {
        vrid,
        priority,
        form,
        addresses: vrrp::Addresses::V4(&addresses[..usize::from(flags >> 2 & 1) + 1]),
    };
    let source = [10, 0, 0, flags >> 4];
    let group = vrrp::GROUP;
    let mut payload = Vec::new();
    repr.emit(source.into(), IpAddr::V4(group), &mut payload);
    let length = 20 + payload.len() as u8;
    let mut packet = vec![0x45, 0xc0, 0, length, 0, 1, 0, 0, 255, 112, 0, 0];
    packet.extend(source);
    packet.extend(group.octets());
    packet.extend(payload);
    packet
}

fn link(bytes: &mut Bytes<'_>) -> Link {
    let flags = bytes.one();
    Link {
        ifindex: Ifindex(u32::from(flags >> 4 & 3)),
        name: if flags & 4 == 0 { "eth0" } else { "eth1" }
            .parse()
            .expect("a short name"),
        mac: Mac([2, 0, 0, 0, 0, flags >> 4]),
        mtu: 1500,
        up: flags & 1 == 0,
        carrier: flags & 2 == 0,
        loopback: false,
        macvlan: None,
    }
}

fn address(bytes: &mut Bytes<'_>) -> AddressId {
    let number = bytes.one();
    AddressId {
        ifindex: Ifindex(u32::from(number >> 6)),
        cidr: Cidr {
            address: [10, 0, if number & 32 == 0 { 0 } else { 51 }, number & 31].into(),
            prefix: 24,
        },
    }
}

fn kernel_event(bytes: &mut Bytes<'_>) -> KernelEvent {
    match bytes.one() % 6 {
        0 | 1 => KernelEvent::Link(link(bytes)),
        2 => KernelEvent::LinkGone(Ifindex(u32::from(bytes.one() & 3))),
        3 => KernelEvent::Address(address(bytes), bytes.one() & 1 == 0),
        4 => KernelEvent::AddressGone(address(bytes)),
        _ => KernelEvent::Overrun,
    }
}

fn snapshot(bytes: &mut Bytes<'_>) -> Snapshot {
    if bytes.one() & 1 == 0 {
        return Snapshot::Ipvs {
            table: Default::default(),
            counters: Default::default(),
            sync: Default::default(),
            timeouts: Default::default(),
        };
    }
    Snapshot::Network {
        links: (0..bytes.one() % 4).map(|_| link(bytes)).collect(),
        addresses: (0..bytes.one() % 4)
            .map(|_| (address(bytes), bytes.one() & 1 == 0))
            .collect(),
        routes: Vec::new(),
        rules: Vec::new(),
    }
}

const ROUTER: &str =
    "system { hostname lb1 }\ninterface eth0 {\n address 10.0.0.1/24\n address fe80::1/64\n}\n";
const PAIR: &str = "
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    authentication { auth_type PASS
        auth_pass secret }
    virtual_ipaddress { 10.0.51.100 }
}
virtual_server 10.0.51.100 80 {
    delay_loop 5
    lb_algo wlc
    lb_kind DR
    protocol TCP
    real_server 10.0.0.201 80 { TCP_CHECK { connect_timeout 2 } }
    real_server 10.0.0.202 80 {
        inhibit_on_failure
        HTTP_GET { url { path /
            status_code 200 } connect_timeout 2 }
    }
}
";
const THREE: &str = "
vrrp_instance VI_2 {
    interface eth0
    state MASTER
    version 3
    virtual_router_id 52
    priority 255
    advert_int 0.1
    virtual_ipaddress { 10.0.52.100
        10.0.52.101 }
}
vrrp_instance VI_6 {
    interface eth0
    virtual_router_id 52
    virtual_ipaddress { fe80::100
        2001:db8::100/64 }
    virtual_ipaddress_excluded { 10.0.52.102 }
}
vrrp_instance VI_1 {
    interface eth0
    version 3
    nopreempt
    virtual_router_id 51
    priority 90
    advert_int 1
    virtual_ipaddress { 10.0.51.100 }
}
";

/// One of a few configurations.
fn sample(number: u8) -> Config {
    let text = match number % 4 {
        0 => PAIR.to_string(),
        1 => THREE.to_string(),
        2 => format!(
            "{}{}",
            PAIR.replace("VI_1", "VI_3").replace("51", "53"),
            THREE
        ),
        _ => String::new(),
    };
    let source = |name, text: &'static [u8]| Source { name, bytes: text };
    let keepalived = Source {
        name: "keepalived.conf",
        bytes: text.as_bytes(),
    };
    let parsed = config::parse(
        Some(keepalived),
        Some(source("router.conf", ROUTER.as_bytes())),
    );
    let first = parsed.diagnostics.first().map(ToString::to_string);
    parsed
        .config
        .unwrap_or_else(|| panic!("sample {}: {first:?}", number % 4))
}

/// A fuzzer's bytes; zeros behind their end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn one(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *byte
    }

    fn two(&mut self) -> u16 {
        u16::from_le_bytes([self.one(), self.one()])
    }

    /// So many bytes as the next one says.
    fn some(&mut self) -> &'a [u8] {
        let length = usize::from(self.one()).min(self.0.len());
        let (some, rest) = self.0.split_at(length);
        self.0 = rest;
        some
    }
}
