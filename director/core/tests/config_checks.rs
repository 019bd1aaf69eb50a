//! What the words of the checks come to.

#![allow(clippy::unwrap_used)]

use director_core::check::{Owner, Program, Udp};
use director_core::config::{Check, CheckKind, CheckSettings, Parsed, Source, parse};
use director_core::pattern::{Options, Pattern};
use director_core::time::Duration;
use director_core::wire::dns::Question;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn rise_and_fall_are_inherited_and_fall_is_one_more_than_retry() {
    let of = |service: &str, server: &str, words: &str| {
        let check = check(service, server, &format!("TCP_CHECK {{\n{words}\n}}"));
        (check.rise, check.retry)
    };
    assert_eq!(of("", "", ""), (1, 1));
    assert_eq!(of("", "", "rise 3\nfall 1"), (3, 0));
    assert_eq!(of("rise 2\nfall 4", "", ""), (2, 3));
    assert_eq!(of("rise 2\nfall 4", "retry 7", "rise 5"), (5, 7));
    let both = "TCP_CHECK {\nretry 2\nfall 3\n}";
    assert_eq!(
        problems(&read("", "", both)),
        ["`fall N` is `retry N-1`: only one of them can hold"]
    );
}

#[test]
fn each_kind_has_keepaliveds_defaults() {
    let of = |words: &str| check("delay_loop 9", "", words);
    let times = |check: &CheckSettings| (check.retry, check.delay_before_retry, check.timeout);
    let smtp = of("SMTP_CHECK {\n}");
    assert_eq!(times(&smtp), (1, SECOND, 5 * SECOND));
    let helo = "smtpchecker.keepalived.org".to_string();
    assert_eq!(smtp.kind, CheckKind::Smtp { helo });
    let dns = of("DNS_CHECK {\n}");
    assert_eq!(times(&dns), (3, 9 * SECOND, 5 * SECOND));
    let root = Question::new(6, ".").unwrap();
    assert_eq!(dns.kind, CheckKind::Dns(Box::new(root)));
    let named = of("DNS_CHECK {\ntype aaaa\nname www.example.net\n}");
    let question = Question::new(28, "www.example.net").unwrap();
    assert_eq!(named.kind, CheckKind::Dns(Box::new(question)));
    let ping = of("PING_CHECK {\n}");
    assert_eq!(times(&ping), (1, SECOND, 5 * SECOND));
    let udp = of("UDP_CHECK {\n}");
    assert_eq!(times(&udp), (1, SECOND, 5 * SECOND));
    let nothing = Udp {
        payload: Vec::new(),
        reply: None,
    };
    assert_eq!(udp.kind, CheckKind::Udp(Box::new(nothing)));
}

#[test]
fn a_check_asks_at_the_port_of_its_real_servers_line_also_where_packets_keep_theirs() {
    let by = |forwarding: &str, service: &str, check: &str| {
        let server = format!("lvs_method {forwarding}");
        let parsed = read(service, &server, check);
        let server = parsed.config.as_ref().unwrap().services[0].real_servers[0].clone();
        let asked_at = server.asks().next().map(|check| check.target.port);
        (server.id.port, asked_at, problems(&parsed))
    };
    let warning = |suffix: &str| {
        let message = "DR keeps the port of a packet: 80 is used, not 8080";
        vec![format!("{message}{suffix}")]
    };
    let warned = warning(", where only checks ask");
    let tcp = "TCP_CHECK {\n}";
    assert_eq!(by("NAT", "", tcp), (8080, Some(8080), vec![]));
    assert_eq!(by("DR", "", tcp), (80, Some(8080), warned.clone()));
    let elsewhere = "TCP_CHECK {\nconnect_port 9\n}";
    assert_eq!(by("DR", "", elsewhere), (80, Some(9), warned.clone()));
    assert_eq!(by("DR", "data_path", tcp), (80, Some(80), warned));
    assert_eq!(by("DR", "", ""), (80, None, warning("")));
}

#[test]
fn an_address_from_which_checks_get_no_answer_is_warned_of() {
    let warned = |address: &str, forwarding: &str, check: &str| {
        let text = format!(
            "vrrp_instance a {{\ninterface eth0\nvirtual_router_id 1\npriority 100\n\
             virtual_ipaddress {{\nfe80::1/64\n{address}\n}}\n}}\n\
             virtual_server 2001:db8::1 80 {{\nlvs_method {forwarding}\nprotocol TCP\nlb_algo rr\n\
             real_server 2001:db8::2 80 {{\n{check}\n}}\n}}\n"
        );
        let source = Source {
            name: "k",
            bytes: text.as_bytes(),
        };
        let parsed = parse(Some(source), None);
        assert!(parsed.config.is_some(), "{:?}", parsed.diagnostics);
        let all = problems(&parsed);
        all.iter()
            .filter(|found| found.contains("checks may come from"))
            .count()
    };
    let tcp = "TCP_CHECK {\n}";
    assert_eq!(warned("2001:db8::1/64", "DR", tcp), 1);
    assert_eq!(warned("2001:db8::1/64", "TUN", tcp), 1);
    assert_eq!(warned("2001:db8::1/64", "NAT", tcp), 0);
    assert_eq!(warned("2001:db8::1/128", "DR", tcp), 0);
    assert_eq!(warned("2001:db8::1/128 preferred_lft 9", "DR", tcp), 1);
    assert_eq!(warned("2001:db8::1/64 preferred_lft 0", "DR", tcp), 0);
    assert_eq!(warned("2001:db8::9/64", "DR", tcp), 0);
    assert_eq!(warned("2001:db8::1/64", "DR", ""), 0);
    let bound = "TCP_CHECK {\nbindto 2001:db8::3\n}";
    assert_eq!(warned("2001:db8::1/64", "DR", bound), 0);
}

#[test]
fn an_ssl_get_tells_the_name_and_verifies_when_it_is_told_to() {
    let tls = |ssl: &str, words: &str, url: &str| {
        let check = format!("SSL_GET {{\n{words}\nurl {{\npath /\n{url}\n}}\n}}");
        let parsed = read_after(ssl, "", "", &check);
        let config = parsed
            .config
            .unwrap_or_else(|| panic!("{:?}", parsed.diagnostics));
        let check = config.services[0].real_servers[0].checks[0].clone();
        match &check.how.kind {
            CheckKind::Http { tls, .. } => *tls.clone().unwrap(),
            _ => panic!(),
        }
    };
    let plain = tls("", "", "");
    assert_eq!((plain.name, plain.sni, plain.ca), (None, true, None));
    assert_eq!((plain.identity, plain.compliant), (None, false));
    let name = |words, url| tls("", words, url).name.unwrap_or_default();
    assert_eq!(name("", "virtualhost a.example:8443"), "a.example");
    assert_eq!(
        name("virtualhost b.example", "virtualhost a.example"),
        "b.example"
    );
    assert_eq!(
        name("sni_name c.example", "virtualhost a.example"),
        "c.example"
    );
    let ssl = "SSL {\nca roots.pem\ncertificate me.pem\n}\n";
    assert_eq!(tls(ssl, "", "").ca, None, "as keepalived");
    let all = tls(ssl, "verify\nenable_sni off", "tls_compliant");
    assert_eq!((all.ca.as_deref(), all.sni), (Some("roots.pem"), false));
    assert_eq!(
        all.identity,
        Some(("me.pem".to_string(), "me.pem".to_string()))
    );
    assert!(all.compliant);
    let check = "SSL_GET {\nverify\nurl {\npath /\n}\n}";
    assert!(problems(&read("", "", check))[0].contains("needs the block `SSL`"));
    let parsed = read_after("SSL {\npassword x\nkey k\n}\n", "", "", "");
    assert!(problems(&parsed)[0].contains("has a `key` and no"));
}

#[test]
fn a_file_check_has_the_files_weight_or_its_own() {
    let file = "track_file F {\nfile switch\nweight 3\n}\n";
    let watch = |words: &str| {
        let words = format!("FILE_CHECK {{\ntrack_file F\n{words}\n}}");
        let config = read_after(file, "", "", &words).config.unwrap();
        match config.services[0].real_servers[0].checks[0]
            .how
            .kind
            .clone()
        {
            CheckKind::File(watch) => (watch.path, watch.weight, watch.reverse),
            _ => panic!(),
        }
    };
    let switch = |weight, reverse| ("switch".to_string(), weight, reverse);
    assert_eq!(watch(""), switch(3, false));
    assert_eq!(watch("weight 1000 reverse"), switch(1000, true));
    assert_eq!(watch("weight 0"), switch(0, false));
    assert_eq!(watch("weight 0 reverse"), switch(0, true));
    for (words, problem) in [
        ("weight x", "the weight is a number"),
        ("weight 1 back", "after the weight stands"),
    ] {
        let words = format!("FILE_CHECK {{\ntrack_file F\n{words}\n}}");
        assert!(
            problems(&read_after(file, "", "", &words))[0].contains(problem),
            "{words}"
        );
    }
    let nobody = problems(&read("", "", "FILE_CHECK {\ntrack_file F\n}"));
    assert_eq!(nobody, ["there is no `track_file F`"]);
}

#[test]
fn all_failures_are_logged_where_that_is_asked_for() {
    let of = |global: &str, words: &str| {
        let global = format!("global_defs {{\n{global}\n}}\n");
        let words = format!("TCP_CHECK {{\n{words}\n}}");
        let config = read_after(&global, "", "", &words).config.unwrap();
        config.services[0].real_servers[0].checks[0].how.log_all
    };
    assert!(!of("", ""));
    assert!(of("", "log_all_failures"));
    assert!(of("checker_log_all_failures", ""));
    assert!(!of("checker_log_all_failures", "log_all_failures off"));
}

#[test]
fn a_regex_is_compiled_and_what_can_not_be_is_refused() {
    let url = |words: &str| format!("HTTP_GET {{\nurl {{\npath /\n{words}\n}}\n}}");
    let regex = |words: &str| match check("", "", &url(words)).kind {
        CheckKind::Http { urls, .. } => urls[0].regex.clone().map(|regex| *regex),
        _ => panic!(),
    };
    let pattern = |text: &str, options| Pattern::new(text, options).unwrap();
    let plain = Options::default();
    assert_eq!(regex(""), None);
    let all = regex(r#"regex "\\d+ {2}of # \x41""#).unwrap();
    assert_eq!(all.pattern, pattern(r"\d+ {2}of # A", plain));
    assert_eq!((all.wanted, all.begins), (true, 0..=u64::MAX));
    let words = "regex_no_match\nregex a.*b\nregex_options caseless dotall ungreedy\nregex_min_offset 3\n\
                 regex_max_offset 9";
    let some = regex(words).unwrap();
    let options = Options {
        caseless: true,
        dotall: true,
        ..plain
    };
    assert_eq!(some.pattern, pattern("a.*b", options));
    assert_eq!((some.wanted, some.begins), (false, 3..=9));
    for (words, problem) in [
        ("regex a(?=b)", "can't take the regex: look-around"),
        (r"regex (a)\\1", "can't take the regex: backreferences"),
        ("regex a b", "more than one word after `regex`"),
        ("regex \"a", "the quote is not closed"),
        ("regex_no_match", "means nothing without `regex`"),
        (
            "regex a\nregex_options ucp",
            "not an option that this engine has",
        ),
        (
            "regex a\nregex_min_offset 2\nregex_max_offset 1",
            "is below",
        ),
    ] {
        let problems = problems(&read("", "", &url(words)));
        assert!(problems[0].contains(problem), "{words}: {problems:?}");
    }
}

#[test]
fn a_datagram_and_its_answer_are_written_in_hexadecimal() {
    let words = "UDP_CHECK {\npayload 00ff \"0A b\" 1\nrequire_reply 1x xX\nmin_reply_length 2\n}";
    let CheckKind::Udp(udp) = check("", "", words).kind else {
        panic!()
    };
    assert_eq!(udp.payload, [0, 0xff, 0x0a, 0xb1]);
    let reply = udp.reply.unwrap();
    assert_eq!(reply.pattern, [(0x10, 0xf0), (0, 0)]);
    assert_eq!(reply.length, (2, 255));
    let of = |words: &str| problems(&read("", "", &format!("UDP_CHECK {{\n{words}\n}}")));
    assert!(of("payload 0")[0].contains("two digits a byte"));
    assert!(of("payload 0x")[0].contains("not hexadecimal digits"));
    assert!(of("max_reply_length 3\nmin_reply_length 4")[0].contains("no reply fits"));
    let of = |words: &str| problems(&read("", "", &format!("DNS_CHECK {{\n{words}\n}}")));
    assert!(of("type ANY")[0].contains("not one of A, NS"));
    assert!(of("name a..b")[0].contains("a name has labels"));
}

#[test]
fn a_check_may_come_from_elsewhere() {
    let words = "TCP_CHECK {\nbindto 10.0.0.7\nbind_port 99\nbind_if lan\nfwmark 3\n}";
    let bind = check("", "", words).bind.unwrap();
    assert_eq!(bind.address, Some([10, 0, 0, 7].into()));
    assert_eq!((bind.port, bind.mark), (99, 3));
    assert_eq!(bind.interface, Some("lan".parse().unwrap()));
    assert_eq!(check("", "", "TCP_CHECK {\n}").bind, None);
    let of = |words: &str| problems(&read("", "", &format!("TCP_CHECK {{\n{words}\n}}")));
    assert!(of("bindto 2001:db8::1")[0].contains("not of the family"));
    assert!(of("connect_ip fe80::1")[0].contains("needs `bind_if`"));
    assert_eq!(of("connect_ip fe80::1\nbind_if lan"), [""; 0]);
}

#[test]
fn a_program_is_a_path_with_words_and_runs_as_nobody() {
    let asked = asked(
        "delay_loop 7",
        "",
        "MISC_CHECK {\nmisc_path \"/etc/keepalived/look 'a b' c\"\nmisc_dynamic\n}",
    );
    let check = &asked.how;
    assert_eq!((check.interval, check.timeout), (7 * SECOND, 7 * SECOND));
    assert_eq!((check.retry, check.delay_before_retry), (0, SECOND));
    assert_eq!(asked.target.to_string(), "10.0.0.2:8080");
    let expected = Program {
        path: "/etc/keepalived/look".to_string(),
        arguments: vec!["a b".to_string(), "c".to_string()],
        owner: Owner::NOBODY,
        dynamic: true,
    };
    assert_eq!(check.kind, CheckKind::Exec(Box::new(expected)));
}

#[test]
fn a_program_may_have_its_own_time_and_user() {
    let words = "misc_path \"look one two\" 7\nmisc_timeout 2\nuser 1000 100\nretry 2";
    let check = check("", "", &format!("MISC_CHECK {{\n{words}\n}}"));
    assert_eq!((check.timeout, check.retry), (2 * SECOND, 2));
    let CheckKind::Exec(program) = check.kind else {
        panic!()
    };
    assert_eq!((program.owner.user, program.owner.group), (1000, 100));
    assert_eq!(
        (program.path.as_str(), program.arguments.len()),
        ("look", 2)
    );
}

#[test]
fn a_program_that_can_not_be_one_is_an_error() {
    let of = |words: &str| problems(&read("", "", &format!("MISC_CHECK {{\n{words}\n}}")));
    assert_eq!(of(""), ["`MISC_CHECK` has no `misc_path`"]);
    assert!(of("misc_path bin/look")[0].contains("a path from `/` on"));
    assert!(of("misc_path \"look 'a\"")[0].contains("is not closed"));
    assert!(of("misc_path look\nuser 0")[0].contains("do not run as root"));
    assert!(of("misc_path look\nuser admin")[0].contains("a node has no users"));
    assert_eq!(of("misc_path look\nuser nobody nogroup"), [""; 0]);
}

#[test]
fn a_program_that_is_not_there_refuses_the_configuration_at_its_place() {
    let words = "MISC_CHECK {\nmisc_path \"/usr/bin/curl -f http://10.0.0.2/\"\n}\nMISC_CHECK {\nmisc_path good\n}";
    let mut parsed = read("lb_algo nonesuch", "", words);
    parsed.require(|_, path| (path != "good").then(|| "is not there".to_string()));
    assert!(parsed.config.is_none());
    let found = &parsed.diagnostics[1];
    assert_eq!(found.message, "the program `/usr/bin/curl` is not there");
    assert_eq!((found.line, found.column), (9, 11));
    assert!(found.hint.as_deref().unwrap().contains("HTTP_GET"));
    assert_eq!(parsed.diagnostics.len(), 2, "{parsed:?}");

    let mut parsed = read("", "", words);
    assert!(parsed.config.is_some());
    parsed.require(|_, _| None);
    assert!(parsed.config.is_some());
}

fn check(service: &str, server: &str, check: &str) -> CheckSettings {
    (*asked(service, server, check).how).clone()
}

fn asked(service: &str, server: &str, check: &str) -> Check {
    let parsed = read(service, server, check);
    let config = parsed
        .config
        .unwrap_or_else(|| panic!("{:?}", parsed.diagnostics));
    config.services[0].real_servers[0].asks().next().unwrap()
}

fn read(service: &str, server: &str, check: &str) -> Parsed {
    read_after("", service, server, check)
}

fn read_after(before: &str, service: &str, server: &str, check: &str) -> Parsed {
    let scheduler = if service.contains("lb_algo") {
        ""
    } else {
        "lb_algo rr"
    };
    let text = format!(
        "{before}virtual_server 10.0.0.1 80 {{\nlb_kind NAT\nprotocol TCP\n{scheduler}\n{service}\n\
         real_server 10.0.0.2 8080 {{\n{server}\n{check}\n}}\n}}\n"
    );
    let source = Source {
        name: "k",
        bytes: text.as_bytes(),
    };
    parse(Some(source), None)
}

fn problems(parsed: &Parsed) -> Vec<String> {
    let all = parsed.diagnostics.iter();
    all.map(|found| found.message.clone()).collect()
}
