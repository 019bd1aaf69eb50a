//! Included files, variables, repeated lines and lines for single nodes: what the text is that is read in the end, and
//! where its mistakes are shown.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use director_core::config::{Config, Outside, Parsed, Reading, Source, parse_with};
use director_core::limits;

/// Files by path.
#[derive(Default)]
struct Files(BTreeMap<&'static str, String>);

impl Outside for Files {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let text = self.0.get(path).ok_or("no such file")?;
        Ok(text.clone().into_bytes())
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let inside = self.0.keys().filter_map(|path| path.strip_prefix(folder));
        let names = inside.map(|rest| match rest.split_once('/') {
            Some((folder, _)) => format!("{folder}/"),
            None => rest.to_owned(),
        });
        names.collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "SITE").then(|| "north".to_owned())
    }
}

fn parse(text: &str, files: &[(&'static str, &str)]) -> Parsed {
    let files = files.iter().map(|(path, text)| (*path, (*text).to_owned()));
    let outside = Files(files.collect());
    let options = Reading::with(&outside);
    let keepalived = Source {
        name: "/etc/keepalived/keepalived.conf",
        bytes: text.as_bytes(),
    };
    let router = Source {
        name: "/etc/keepalived/router.conf",
        bytes: b"system { hostname main.example }\n",
    };
    parse_with(Some(keepalived), Some(router), &options)
}

fn said(parsed: &Parsed) -> Vec<String> {
    parsed.diagnostics.iter().map(ToString::to_string).collect()
}

fn config(text: &str, files: &[(&'static str, &str)]) -> Config {
    let parsed = parse(text, files);
    let said = said(&parsed).join("\n");
    parsed.config.unwrap_or_else(|| panic!("{said}"))
}

/// Names of virtual routers that lines of names come to: one word of `text` is one name.
fn names(text: &str) -> Vec<String> {
    // A name that is unknown as a keyword is shown by its message, one a line.
    let parsed = parse(text, &[]);
    let messages = parsed.diagnostics.iter().map(|found| found.message.clone());
    let names = messages.filter_map(|message| {
        let rest = message.strip_prefix("unknown keyword `")?;
        Some(rest.split('`').next()?.to_owned())
    });
    names.collect()
}

#[test]
fn a_line_comes_to_what_keepalived_makes_of_it() {
    // All of these were shown to keepalived 2.2.7, whose "Unknown keyword" says what it read.
    let before = "$X= va#x lue # comment\n$Z=zz\n$E=\n$C=#hash\n$ML=one \\\n two\n$N=n${Z}\n$R=$Z more\n$IFM=@main\n";
    for (line, expected) in [
        ("k1${X}y", &["k1vay"][..]),
        ("\"k3 ${Z} $Z a\" b", &["k3 zz zz a"]),
        ("k4$Z,", &["k4zz,"]),
        ("k5($Z)", &["k5(zz)"]),
        (" $E k10", &["k10"]),
        ("k11${C}x", &["k11x"]),
        ("$ML", &["one", "two"]),
        ("k13$N x", &["k13nzz"]),
        ("k14${R}", &["k14zz"]),
        ("\"k16${_HASH}a\"", &["k16#a"]),
        ("k17${_PWD}", &["k17/etc/keepalived"]),
        ("k18${_INSTANCE}", &["k18main"]),
        ("k19${_RANDOM 4 4}", &["k194"]),
        ("k23\\$Z", &["k23\\zz"]),
        ("~SEQ(i,0,2) k26$i", &["k260", "k261", "k262"]),
        ("~SEQ(j,3,1) k27${j}", &["k273", "k272", "k271"]),
        ("~SEQ(l,-2) k28${l}", &["k28-1", "k28-2"]),
        ("~SEQx(m, 0x9,0x3, 0x10) k29${m}", &["k299", "k29c", "k29f"]),
        ("~SEQ(n,1,3)k30${n}", &["k301", "k302", "k303"]),
        ("~SEQ (o,1,2) k31${o}", &["k311", "k312"]),
        (
            "~LST({a,b},{1,2},{3, 4}) k32${a}-${b}-",
            &["k321-2-", "k323-4-"],
        ),
        (
            "~LST(p,x,y) ~SEQ(q,1,2) k33${p}${q}",
            &["k33x1", "k33x2", "k33y1", "k33y2"],
        ),
        ("$IFM k34", &["k34"]),
        ("@main k35", &["k35"]),
        ("@other k36", &[]),
        ("@^other k37", &["k37"]),
        ("@^main k38", &[]),
        ("@main $Q=1\n@^main $Q=2\nk39$Q", &["k391"]),
        ("@^main $ML= \\\n three \\\n four\n$ML", &["one", "two"]),
        ("~SEQ(r,1,2) $K=${r}\nk40${K}", &["k402"]),
        ("k41${_ENV SITE}", &["k41north"]),
    ] {
        let mut found = names(&format!("{before}{line}\n"));
        found.sort();
        let mut expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        expected.sort();
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn values_are_replaced_where_they_are_used_and_templates_may_hold_all_kinds_of_lines() {
    let config = config(
        "$BASE=10.2.${SUB}
$RS= \\
    real_server ${BASE}.1${N} 80 { \\
        @main weight 7 \\
        @other weight 9 \\
    }
$VS= \\
    virtual_server ${BASE}.100 80 { \\
        lb_algo wrr \\
        lb_kind DR \\
        protocol TCP \\
        $N=1 \\
        $RS \\
        ~SEQ(N, 2, 3) $RS \\
    }
$SUB=0
$VS
~LST(SUB, 10, 20) $VS
",
        &[],
    );
    let services: Vec<String> = config
        .services
        .iter()
        .map(|service| service.id.to_string())
        .collect();
    assert_eq!(
        services,
        [
            "TCP 10.2.0.100:80",
            "TCP 10.2.10.100:80",
            "TCP 10.2.20.100:80"
        ]
    );
    for service in &config.services {
        let weights: Vec<u32> = service
            .real_servers
            .iter()
            .map(|server| server.dest.weight)
            .collect();
        assert_eq!(weights, [7, 7, 7]);
    }
    let last = config.services[2].real_servers[2].id;
    assert_eq!(last.to_string(), "10.2.20.13:80");
}

const VS: &str = "virtual_server 10.0.0.1 80 {\nlb_algo rr\nlb_kind DR\nprotocol TCP\n";

#[test]
fn files_are_included_at_any_depth_in_any_block_relative_to_the_file_that_names_them() {
    let files = [
        (
            "/etc/keepalived/conf.d/20.conf",
            "real_server 10.0.1.2 80 {\ninclude deep/weight\n}",
        ),
        (
            "/etc/keepalived/conf.d/10.conf",
            "real_server 10.0.1.1 80 {\n}\n",
        ),
        ("/etc/keepalived/conf.d/.hidden.conf", "nonsense\n"),
        ("/etc/keepalived/conf.d/README", "nonsense\n"),
        ("/etc/keepalived/conf.d/deep/weight", "weight 5 # ${_PWD}\n"),
        ("/srv/c.conf", "real_server 10.0.1.3 80 {\n}\n"),
    ];
    let config = config(
        &format!("{VS}include conf.d/{{1,2}}*.conf\n  includer \"/srv/*.conf\"\n}}\n"),
        &files[..5],
    );
    assert_eq!(config.services[0].real_servers.len(), 2);
    assert_eq!(config.services[0].real_servers[1].dest.weight, 5);
    let parsed = parse(
        &format!("{VS}include conf.d/*.conf\nincludea /s[a-r]v/?.conf\n}}\n"),
        &files,
    );
    assert_eq!(parsed.config.unwrap().services[0].real_servers.len(), 3);
}

#[test]
fn a_mistake_is_shown_where_it_can_be_mended() {
    let files = [(
        "/etc/keepalived/more.conf",
        "\n$W=x\n  wieght 1\nlb_algo rr\n",
    )];
    let parsed = parse(
        &format!("{VS}include more.conf\nreal_server 10.0.0.2 80 {{\n weight $W # no\n}}\n}}\n"),
        &files,
    );
    let found = said(&parsed).join("\n");
    assert_eq!(
        found,
        "/etc/keepalived/keepalived.conf:7:9: error: `x`: `weight` is a number from 0 to 2147483647
   weight $W # no
          ^
/etc/keepalived/more.conf:3:3: error: unknown keyword `wieght` in `virtual_server`
    wieght 1
    ^
hint: did you mean `weight`?
/etc/keepalived/more.conf:4:1: warning: `lb_algo` is given twice, first on line 2 of /etc/keepalived/keepalived.conf
  lb_algo rr
  ^"
    );
}

#[test]
fn what_can_not_be_read_is_said() {
    let files = [
        ("/etc/keepalived/self.conf", "include self.conf\n"),
        ("/etc/keepalived/d/x", "\n"),
    ];
    for (text, expected) in [
        (
            "include none.conf\n",
            "1:9: error: `/etc/keepalived/none.conf` can't be read: no such file",
        ),
        (
            "include none*.conf\n",
            "1:9: warning: `/etc/keepalived/none*.conf` names no file that is there",
        ),
        ("includer none*.conf\n", ""),
        (
            "includem none*\n",
            "1:10: error: `/etc/keepalived/none*` names no file that is there",
        ),
        (
            "includew none*\n",
            "1:10: error: `/etc/keepalived/none*` names no file that is there",
        ),
        ("includea d/*\n", ""),
        (
            "includea *\n",
            "self.conf:1:9: error: `/etc/keepalived/self.conf` includes itself",
        ),
        (
            "include\n",
            "1:1: error: `include` needs the name of a file",
        ),
        (
            "global_defs {\ninclude_check match\n}\ninclude n*\n",
            "4:9: error: `/etc/keepalived/n*` names no file",
        ),
        (
            "global_defs {\ninclude_check -all\n}\n",
            "2:14: error: `-all` is not one of readable",
        ),
        (
            "$A=$B\n$B=$A\nx$A\n",
            "3:2: error: the value of `A` has itself in it",
        ),
        (
            "$A= \\\n a \\\n $A\n$A\n",
            "3:2: error: the value of `A` has itself in it",
        ),
        (
            "$A= \\\n a \\\n b\nx $A y\n",
            "4:3: error: `A` stands for several lines: it must be alone on its line",
        ),
        (
            "$A=1\nx $A/24\n",
            "2:3: error: `$A` is not replaced in the middle of a word",
        ),
        ("~SEQ(a) x\n", "1:1: error: `~SEQ` is written"),
        (
            "~SEQ a x\n",
            "1:1: error: the values of the repetition must follow in `( .. )`",
        ),
        (
            "~SEQ(a,1,0,5) x\n",
            "1:1: error: the sequence never comes to its end",
        ),
        (
            "~SEQ(a,9,1,5) x\n",
            "1:1: error: the sequence never comes to its end",
        ),
        (
            "~SEQ(a,1,4294967295) x\n",
            "1:1: error: the sequence has too many numbers",
        ),
        ("~LST(a,b c) x\n", "1:1: error: `~LST` is written"),
        (
            "~LST({a,b},{1}) x\n",
            "1:1: error: each group of `~LST` needs one value for each name",
        ),
        (
            "x${_ENV NONE}\n",
            "1:2: error: the environment has no variable `NONE`",
        ),
        (
            "x${_RANDOM 5 4}\n",
            "1:2: error: `_RANDOM` takes a least and a greatest number",
        ),
    ] {
        let parsed = parse(text, &files);
        let all = said(&parsed).join("\n");
        let place = all.find(expected);
        assert!(
            place.is_some() && (!expected.is_empty() || all.is_empty()),
            "{text}\n{all}"
        );
    }
}

#[test]
fn random_numbers_stay_the_same_and_are_in_their_range() {
    let draw = || names("~SEQ(i,1,50) n${_RANDOM 10 19}\n");
    let drawn = draw();
    assert_eq!(drawn, draw());
    let numbers = drawn
        .iter()
        .map(|name| name.trim_start_matches('n').parse::<u32>().unwrap());
    assert!(numbers.clone().all(|number| (10..=19).contains(&number)));
    assert!(numbers.clone().max() > numbers.min());
}

#[test]
fn no_short_file_makes_endless_work() {
    let doubling = |first: &str, depth: u32| {
        let next = (1..40).map(|n| format!("$V{n}=${{V{0}}}${{V{0}}}\n", n - 1));
        format!("$V0={first}\n{}x${{V{depth}}}\n", next.collect::<String>())
    };
    let lines = {
        let next = (1..40).map(|n| format!("$V{n}= \\\n $V{0} \\\n $V{0}\n", n - 1));
        format!("$V0=a\n{}$V39\n", next.collect::<String>())
    };
    let too_long = "make the configuration too long";
    let too_deep = "nested too deep";
    let nested = "~SEQ(a,1,9) ".repeat(100_000) + "x\n";
    let including = ("/etc/keepalived/a", "include b*\n".repeat(10));
    let files: Vec<(&'static str, String)> = vec![
        including.clone(),
        ("/etc/keepalived/b1", "include c*\n".repeat(1000)),
        ("/etc/keepalived/c1", "#\n".repeat(1000)),
    ];
    let files: Vec<(&'static str, &str)> = files
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    for (text, expected) in [
        (doubling("", 39), too_deep),
        (doubling("", 30), too_long),
        (doubling("aaaa", 30), too_long),
        (lines, too_deep),
        (nested, too_deep),
        ("include a\n".repeat(10), too_long),
    ] {
        let parsed = parse(&text, &files);
        let all = said(&parsed).join("\n");
        assert!(
            all.contains(expected),
            "{}: {}",
            &text[..40.min(text.len())],
            &all[..500.min(all.len())]
        );
        assert!(parsed.diagnostics.len() <= limits::DIAGNOSTICS_MAX);
    }
}
