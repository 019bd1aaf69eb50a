//! Virtual routers with hardware addresses of their own: two directors and a client on a switch, each in a network
//! namespace. Needs root; without it the tests say so and pass.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod host;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, Socket, Type};

use self::host::{Node, wait_until};

const VIP: &str = "192.0.2.100";
const VMAC: &str = "00:00:5e:00:01:33";
const DEVICE: &str = "vrrp.51";

#[test]
fn as_a_director() {
    host::as_a_director();
}

/// Who asks for the virtual address hears the virtual hardware address, from whichever node is Active; nothing is left
/// of a device that nobody asks for.
#[test]
fn the_hardware_address_goes_with_the_active_node_and_its_device_with_the_configuration() {
    let Some(mut lan) = Lan::new("vmac", "use_vmac", VIP) else {
        return;
    };
    lan.left.ip("link set eth0 up");
    let before = arp_ignore(&lan.left);
    let servers = [serve(&lan.left, b"left"), serve(&lan.right, b"right")];
    lan.left.start();
    lan.right.start();
    lan.left.wait_for("Active");
    lan.right.wait_for("Backup");
    assert_eq!(
        lan.left.status().routers[0].devices,
        [format!("{DEVICE} {VMAC}")]
    );
    assert!(holds(&lan.left), "{}", lan.left.ip("address"));
    wait_until("the device of the Backup", || !is_up(&lan.right, DEVICE));
    assert!(!lan.left.ip("address show dev eth0").contains(VIP));
    assert_eq!(lan.advert().0, VMAC);
    assert_eq!(lan.ask(VIP), "left");
    assert_eq!(lan.neighbour(VIP), VMAC);

    // Dead, it still has the device; the switch learns from the adverts where to send.
    let device = ifindex(&lan.left);
    lan.left.kill();
    lan.right.wait_for("Active");
    assert_eq!(
        lan.advert(),
        (VMAC.to_owned(), "192.0.2.2".parse().unwrap())
    );
    wait_until("the right server", || lan.ask(VIP) == "right");
    assert_eq!(lan.neighbour(VIP), VMAC);
    assert!(holds(&lan.left));

    lan.left.start();
    lan.left.wait_for("Active");
    lan.right.wait_for("Backup");
    wait_until("the left server", || lan.ask(VIP) == "left");
    wait_until("nothing on the right", || {
        !is_up(&lan.right, DEVICE) && !lan.right.ip("address").contains(VIP)
    });
    assert_eq!(ifindex(&lan.left), device, "it was adopted");

    lan.left.ip("link del vrrp.51");
    wait_until("the device anew", || {
        is_there(&lan.left) && holds(&lan.left)
    });
    assert_eq!(lan.left.status().routers[0].state, "Active");
    lan.left.ip("link set vrrp.51 down");
    wait_until("the device up", || holds(&lan.left));
    assert_eq!(lan.ask(VIP), "left");

    assert!(lan.left.stop().success());
    assert!(!is_there(&lan.left), "{}", lan.left.ip("link"));
    assert_eq!(arp_ignore(&lan.left), before);

    // Of one that died, its successor removes what the configuration no longer has.
    lan.right.wait_for("Active");
    lan.right.kill();
    assert!(is_there(&lan.right));
    lan.right.ip("link add macvlan0 link eth0 type macvlan");
    lan.configure("right", "", VIP);
    lan.right.start();
    lan.right.wait_for("Active");
    wait_until("no device", || !is_there(&lan.right));
    assert!(lan.right.has_address("192.0.2.100/32"));
    assert!(lan.right.ip("link").contains("macvlan0"), "it is not ours");
    drop(servers);
}

/// A name and a hardware address of the operator's; adverts from the interface's own.
#[test]
fn a_device_has_the_name_and_the_hardware_address_that_it_is_given() {
    let words = "use_vmac gate 02:00:00:00:00:99\n vmac_xmit_base";
    let Some(mut lan) = Lan::new("vmac-named", words, VIP) else {
        return;
    };
    let server = serve(&lan.left, b"left");
    lan.left.start();
    lan.left.wait_for("Active");
    let own = lan.left.ip("-br link show dev eth0");
    assert!(own.contains(&lan.advert().0), "{own}");
    assert_eq!(lan.ask(VIP), "left");
    assert_eq!(lan.neighbour(VIP), "02:00:00:00:00:99");
    assert!(lan.left.ip("address show dev gate").contains(VIP));

    lan.configure("left", "use_vmac", VIP);
    lan.left.signal("HUP");
    wait_until("another device", || is_there(&lan.left) && holds(&lan.left));
    assert!(!lan.left.ip("link").contains("gate"));
    assert_eq!(lan.left.status().routers[0].state, "Active");
    wait_until("an advert", || lan.advert().0 == VMAC);
    drop(server);
}

#[test]
fn over_ipv6_it_is_the_same() {
    let vip = "fe80::100";
    let Some(mut lan) = Lan::new("vmac-ipv6", "use_vmac", vip) else {
        return;
    };
    let servers = [serve(&lan.left, b"left"), serve(&lan.right, b"right")];
    lan.left.start();
    lan.right.start();
    lan.left.wait_for("Active");
    lan.right.wait_for("Backup");
    assert_eq!(lan.advert().0, "00:00:5e:00:02:33");
    assert_eq!(lan.ask(vip), "left");
    assert_eq!(lan.neighbour(vip), "00:00:5e:00:02:33");
    let device = lan.left.ip("address show dev vrrp6.51");
    assert_eq!(device.matches("inet6").count(), 1, "{device}");
    assert!(lan.left.stop().success());
    lan.right.wait_for("Active");
    wait_until("the right server", || lan.ask(vip) == "right");
    drop(servers);
}

fn is_there(node: &Node) -> bool {
    node.ip("link").contains(DEVICE)
}

fn is_up(node: &Node, device: &str) -> bool {
    node.ip("-br link")
        .lines()
        .any(|line| line.starts_with(device) && line.contains(",UP"))
}

fn holds(node: &Node) -> bool {
    is_up(node, DEVICE) && node.ip(&format!("address show dev {DEVICE}")).contains(VIP)
}

fn ifindex(node: &Node) -> String {
    let line = node.ip(&format!("-o link show dev {DEVICE}"));
    line.split(':').next().unwrap().to_owned()
}

/// The setting of its interface: /proc is that of the thread's namespace.
fn arp_ignore(node: &Node) -> String {
    within(node, || {
        fs::read_to_string("/proc/sys/net/ipv4/conf/eth0/arp_ignore").unwrap()
    })
}

fn within<T: Send>(node: &Node, run: impl FnOnce() -> T + Send) -> T {
    let enter = || {
        setns(&node.namespace, CloneFlags::CLONE_NEWNET).unwrap();
        run()
    };
    std::thread::scope(|scope| scope.spawn(enter).join()).unwrap()
}

/// A server that says who it is, until the test ends.
fn serve(node: &Node, name: &'static [u8]) -> std::thread::JoinHandle<()> {
    let listener = within(node, || TcpListener::bind("[::]:7777").unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(name));
        }
    })
}

/// A switch with the two nodes and a client.
struct Lan {
    left: Node,
    right: Node,
    client: Node,
    ears: Socket,
    _switch: Node,
}

impl Lan {
    fn new(name: &str, words: &str, vip: &str) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("director-{name}-{}", std::process::id()));
        let switch = Node::new(&folder.join("switch"), "", "")?;
        switch.ip("link add br0 type bridge");
        switch.ip("link set br0 up");
        let host = |name: &str, address: &str, priority| {
            let router = format!("interface eth0 {{\n address {address}\n}}\n");
            let node = Node::new(&folder.join(name), &conf(priority, words, vip), &router)?;
            let namespace = node.namespace.as_raw_fd();
            let there = format!("/proc/{}/fd/{namespace}", std::process::id());
            switch.ip(&format!(
                "link add {name} type veth peer name eth0 netns {there}"
            ));
            switch.ip(&format!("link set {name} master br0 up"));
            Some(node)
        };
        let left = host("left", "192.0.2.1/24", 150)?;
        let right = host("right", "192.0.2.2/24", 100)?;
        let client = host("client", "192.0.2.9/24", 1)?;
        client.ip("link set eth0 up");
        client.ip("address add 192.0.2.9/24 dev eth0");
        let all = Protocol::from(i32::from(0x0003_u16.to_be())); // ETH_P_ALL
        let ears = within(&client, || {
            Socket::new(Domain::PACKET, Type::RAW, Some(all)).unwrap()
        });
        ears.set_read_timeout(Some(host::PATIENCE)).unwrap();
        Some(Self {
            left,
            right,
            client,
            ears,
            _switch: switch,
        })
    }

    fn configure(&self, name: &str, words: &str, vip: &str) {
        let (node, priority) = match name {
            "left" => (&self.left, 150),
            _ => (&self.right, 100),
        };
        fs::write(
            node.folder.join("keepalived.conf"),
            conf(priority, words, vip),
        )
        .unwrap();
    }

    /// Where the next advert comes from.
    fn advert(&self) -> (String, std::net::IpAddr) {
        while self.heard_before() {}
        loop {
            let mut frame = [0; 2048];
            let length = (&self.ears).read(&mut frame).expect("an advert");
            let from = frame[6..12].iter().map(|byte| format!("{byte:02x}"));
            let from = from.collect::<Vec<_>>().join(":");
            match (frame[12], frame[13]) {
                (0x08, 0x00) if length > 34 && frame[14 + 9] == 112 => {
                    assert_eq!(frame[..6], [1, 0, 0x5e, 0, 0, 18]);
                    let source: [u8; 4] = frame[26..30].try_into().unwrap();
                    return (from, source.into());
                }
                (0x86, 0xdd) if length > 54 && frame[14 + 6] == 112 => {
                    assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 18]);
                    let source: [u8; 16] = frame[22..38].try_into().unwrap();
                    return (from, source.into());
                }
                _ => {}
            }
        }
    }

    /// Takes one frame that came before now.
    fn heard_before(&self) -> bool {
        self.ears.set_nonblocking(true).unwrap();
        let heard = (&self.ears).read(&mut [0; 2048]).is_ok();
        self.ears.set_nonblocking(false).unwrap();
        heard
    }

    /// Who serves at an address; nobody for a moment, perhaps.
    fn ask(&self, address: &str) -> String {
        within(&self.client, || {
            let mut target = SocketAddr::new(address.parse().unwrap(), 7777);
            if let SocketAddr::V6(target) = &mut target {
                target.set_scope_id(nix::net::if_::if_nametoindex("eth0").unwrap());
            }
            let mut name = String::new();
            let stream = TcpStream::connect_timeout(&target, Duration::from_secs(1));
            let _ = stream.and_then(|mut stream| stream.read_to_string(&mut name));
            name
        })
    }

    /// The hardware address that the client knows for an address.
    fn neighbour(&self, address: &str) -> String {
        let line = self
            .client
            .ip(&format!("neighbour show {address} dev eth0"));
        let mut words = line.split_whitespace().skip_while(|word| *word != "lladdr");
        words.nth(1).unwrap_or_default().to_owned()
    }
}

fn conf(priority: u8, words: &str, vip: &str) -> String {
    format!(
        "global_defs {{\n vrrp_version 3\n}}\nvrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n \
         priority {priority}\n advert_int 0.2\n {words}\n virtual_ipaddress {{\n {vip}\n }}\n}}\n"
    )
}
