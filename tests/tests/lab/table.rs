//! The kernel's own state, seen and edited by somebody else than the director: what stands in IPVS' table, and what the
//! director does when it is emptied, or when it was told nothing of a thousand changes.

use std::collections::BTreeSet;
use std::time::Duration;

use qemu::lab::{Lab, LabError};
use qemu::roles::Director;
use qemu::topology::{self, VIRTUAL_ADDRESS};
use tests::lab::{WAIT, boot, events, says, tell};

const KEEPALIVED: &str = include_str!("table.conf");

/// Each kind of service and dest, as `ipvsadm` saves them.
const TABLE: &str = "\
-A --sctp-service 10.77.0.100:2905 -s lc
-a --sctp-service 10.77.0.100:2905 -r 10.77.0.21:2905 -m -w 3
-a --sctp-service 10.77.0.100:2905 -r 10.77.0.22:2906 -m -w 4
-A -u 10.77.0.100:5060 -s rr -p 300 --pe sip -o
-a -u 10.77.0.100:5060 -r 10.77.0.21:5060 -m -w 1
-A -u 10.77.0.100:53 -s mh -o -b mh-fallback,mh-port
-a -u 10.77.0.100:53 -r 10.77.0.21:53 -g -w 1
-A -t 10.77.0.100:443 -s wlc -p 90 -M 255.255.255.0
-a -t 10.77.0.100:443 -r 10.77.0.21:443 -i -w 1 --tun-type ipip
-a -t 10.77.0.100:443 -r 10.77.0.22:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-a -t 10.77.0.100:443 -r 10.77.0.23:443 -i -w 1 --tun-type gre --tun-nocsum
-A -t [fd00:77::100]:443 -s sh -p 60 -M 64
-a -t [fd00:77::100]:443 -r [fd00:77::21]:443 -g -w 1
-a -t [fd00:77::100]:443 -r [fd00:77::22]:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-A -u [fd00:77::100]:5060 -s wrr -o
-a -u [fd00:77::100]:5060 -r [fd00:77::21]:5060 -m -w 1
-A -f 5 -s sed
-a -f 5 -r 10.77.0.21:0 -g -w 2
-A -f 6 -6 -s nq
-a -f 6 -6 -r [fd00:77::21]:0 -g -w 2
";
const TIMEOUTS: &str = "Timeout (tcp tcpfin udp): 901 61 301";
const DAEMON: &str =
    "master sync daemon (mcast=eth0, syncid=77, maxlen=1200, group=224.0.0.90, port=8850, ttl=3)";

/// An emptied table is found by the reading once a second, and written anew. The host is slow, and so is the reading.
const REPAIRED_WITHIN: Duration = Duration::from_secs(6);

#[test]
fn the_kernel_has_what_is_configured_and_has_it_again_when_somebody_took_it_away() {
    let mut topology = topology::lone()
        .with_ipv6()
        .with_agents()
        .with_keepalived(KEEPALIVED);
    topology.nodes.retain(|node| node.name == "d1");
    tell("table", topology, |lab| {
        boot(lab)?;
        let director = lab.director("d1")?;
        director.wait_for_state("Active", WAIT)?;
        director.wait_until("everything is in the kernel", WAIT, |status| {
            status.kernel.pending == 0
        })?;
        let saved = director.shell("ipvsadm -S -n")?;
        assert_eq!(lines(&saved), lines(TABLE), "{saved}");
        // What is saved has no thresholds.
        let thresholds = director.shell("ipvsadm -L -n --thresholds")?;
        let mut rows = thresholds
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row.contains(&"10.77.0.22:2906"));
        let row = row.unwrap_or_else(|| panic!("{thresholds}"));
        assert_eq!(row.get(2..4), Some(&["100", "50"][..]), "{thresholds}");
        let timeouts = director.shell("ipvsadm -L --timeout")?;
        assert_eq!(timeouts.trim(), TIMEOUTS);
        let daemons = director.shell("ipvsadm -L --daemon")?;
        assert_eq!(lines(&daemons), lines(DAEMON));

        what_somebody_took_away_comes_back(lab)?;
        lost_notifications_are_made_up_for(lab)
    });
}

fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().map(str::trim_end).collect()
}

/// The table emptied, the daemon stopped, the timeouts changed, and a stranger's service: all is as it was in time.
fn what_somebody_took_away_comes_back(lab: &Lab) -> Result<(), LabError> {
    let director = lab.director("d1")?;
    director.shell(
        "ipvsadm -C; ipvsadm --stop-daemon master; ipvsadm --set 100 100 100; ipvsadm -A -t 10.77.0.9:9",
    )?;
    let took = again_as_before(director)?;
    println!("an emptied table is as before after {took:?}");
    assert!(took < REPAIRED_WITHIN, "{took:?}");
    let told = events(director)?;
    assert!(
        says(&told, "kernel state was changed from outside"),
        "{told:?}"
    );
    Ok(())
}

/// How long it takes, by the guest's own clock, until the kernel has what is configured.
fn again_as_before(director: Director<'_>) -> Result<Duration, LabError> {
    let text = format!("{TABLE}{TIMEOUTS}\n{DAEMON}\n");
    let took = director.shell(&format!(
        "sort > /tmp/wanted <<'end'\n{text}end\n
        begin=$(cut -d' ' -f1 /proc/uptime | tr -d .)
        for turn in $(seq 600); do
            {{ ipvsadm -S -n; ipvsadm -L --timeout; ipvsadm -L --daemon; }} | sed 's/ *$//' | sort > /tmp/found
            cmp -s /tmp/wanted /tmp/found && break
            usleep 50000
        done
        diff /tmp/wanted /tmp/found || exit 1
        echo $(($(cut -d' ' -f1 /proc/uptime | tr -d .) - begin))"
    ))?;
    let hundredths: u64 = took.trim().parse().expect("a number");
    Ok(Duration::from_millis(hundredths * 10))
}

/// The director is stopped while more happens than the kernel keeps for it to be told. What happens last is lost: its
/// virtual address goes, and a stranger comes.
fn lost_notifications_are_made_up_for(lab: &Lab) -> Result<(), LabError> {
    let director = lab.director("d1")?;
    let status = director.status()?;
    let mut ports = status.interfaces.iter();
    let lan = ports.find(|port| port.name == "lan0").expect("lan0");
    let (port, pid) = (&lan.kernel_name, status.process.pid);
    director.shell(&format!(
        "set -e
        for last in $(seq 250); do
            echo address add 10.99.0.$last/32 dev lo
        done > /tmp/come
        sed 's/ add / del /' /tmp/come > /tmp/go
        kill -STOP {pid}
        for turn in 1 2; do /bin/ip -batch /tmp/come; /bin/ip -batch /tmp/go; done
        /bin/ip address del {VIRTUAL_ADDRESS}/24 dev {port}
        /bin/ip address add 10.99.1.1/32 dev {port}
        kill -CONT {pid}"
    ))?;
    let addresses = ["10.77.0.11/24", "10.77.0.100/24", "10.99.1.1/32"];
    director.wait_until("what was not heard is known", WAIT, |status| {
        let mut ports = status.interfaces.iter();
        let lan = ports.find(|interface| interface.name == "lan0");
        lan.is_some_and(|lan| {
            addresses
                .iter()
                .all(|address| lan.addresses.iter().any(|has| has == address))
        })
    })?;
    let told = events(director)?;
    assert!(says(&told, "kernel notifications were lost"), "{told:?}");
    let held = director.shell(&format!("/bin/ip -o address show dev {port}"))?;
    assert!(held.contains("10.77.0.100/24"), "{held}");
    assert_eq!(director.status()?.routers[0].state, "Active");
    Ok(())
}
