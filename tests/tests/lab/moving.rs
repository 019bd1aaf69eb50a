//! Moving in and out: what other directors' programs make of our files.

use std::collections::BTreeSet;

use director_core::config::{Source, parse};
use director_core::moving::export;
use director_core::moving::import::{Format, Wishes, import};
use qemu::topology;
use tests::lab::{boot, tell};

/// What the kernel held on somebody's director.
const TABLE: &str = "\
-A -t 10.0.0.100:80 -s wlc -p 300 -M 255.255.255.0
-a -t 10.0.0.100:80 -r 10.0.0.21:80 -g -w 1
-a -t 10.0.0.100:80 -r 10.0.0.22:8080 -m -w 0
-A -u 10.0.0.100:53 -s rr
-a -u 10.0.0.100:53 -r 10.0.0.53:53 -g -w 1
-A -f 5 -s sh -b sh-fallback,sh-port
-a -f 5 -r 10.0.0.31:0 -g -w 3
";

#[test]
fn a_table_goes_through_import_and_export_and_ipvsadm_has_the_same_in_the_end() {
    let wishes = Wishes {
        interface: "eth0".to_owned(),
    };
    let table = Source {
        name: "table",
        bytes: TABLE.as_bytes(),
    };
    let imported = import(Format::Ipvsadm, table, &wishes);
    let keepalived = Source {
        name: "keepalived.conf",
        bytes: imported.keepalived.as_bytes(),
    };
    let router = Source {
        name: "router.conf",
        bytes: imported.routers[0].as_bytes(),
    };
    let parsed = parse(Some(keepalived), Some(router));
    let config = parsed
        .config
        .unwrap_or_else(|| panic!("{:?}", parsed.diagnostics));
    let exported = export::ipvsadm(&config);

    let mut topology = topology::interop("", "");
    topology.nodes.retain(|node| node.name == "p2");
    tell("moving", topology, |lab| {
        boot(lab)?;
        let peer = lab.peer("p2")?;
        peer.stop_keepalived()?;
        peer.shell(&format!("ipvsadm -C; ipvsadm -R <<'end'\n{exported}end\n"))?;
        let kernel = peer.shell("ipvsadm -S -n")?;
        let lines = |text: &str| -> BTreeSet<String> {
            text.lines()
                .map(|line| line.trim_end().to_owned())
                .collect()
        };
        assert_eq!(lines(&kernel), lines(&exported), "exported, then saved");
        assert_eq!(lines(&kernel), lines(TABLE), "what was imported");
        Ok(())
    });
}
