use std::time::Duration;

use director::proto::{Checked, Reply, Tagged};
use director_core::status::{LogLine, RouterStatus, Status};

use super::*;

/// A session with what it said and asked, and a clock.
struct Desk {
    session: Session,
    now: Instant,
    text: String,
    requests: Vec<(u32, Request)>,
    power: Option<Power>,
}

fn desk() -> Desk {
    let now = Instant::now();
    let mut desk = Desk {
        session: Session::new("n1", now),
        now,
        text: String::new(),
        requests: Vec::new(),
        power: None,
    };
    desk.collect();
    assert_eq!(desk.asked(), [Request::Access]);
    desk.answers(OPEN);
    desk
}

impl Desk {
    fn collect(&mut self) {
        let wishes = self.session.wishes();
        if wishes.discard {
            self.text.clear();
        }
        self.text += std::str::from_utf8(&wishes.text).unwrap();
        self.requests.extend(wishes.requests);
        self.power = self.power.or(wishes.power);
    }

    fn types(&mut self, text: &str) -> &mut Self {
        self.text.clear();
        self.session.typed(text.as_bytes(), self.now);
        self.collect();
        self
    }

    /// Answers the oldest open question.
    fn answers(&mut self, body: Reply) -> &mut Self {
        let (tag, _) = self.requests.remove(0);
        self.session.reply(Tagged { tag, body }, self.now);
        self.collect();
        self
    }

    fn passes(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self.session.tick(self.now);
        self.collect();
        self
    }

    fn asked(&self) -> Vec<Request> {
        self.requests
            .iter()
            .map(|(_, request)| request.clone())
            .collect()
    }

    fn take_requests(&mut self) -> Vec<Request> {
        self.requests
            .drain(..)
            .map(|(_, request)| request)
            .collect()
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        assert_eq!(self.text, text);
    }
}

fn status() -> Reply {
    let router = RouterStatus {
        name: "VI_1".into(),
        ..RouterStatus::default()
    };
    Reply::Status(Box::new(Status {
        schema: 1,
        node: "n1".into(),
        routers: vec![router],
        ..Status::default()
    }))
}

const SECRET: Reply = Reply::Access {
    secret: true,
    authorized: false,
};
const OPEN: Reply = Reply::Access {
    secret: false,
    authorized: true,
};

#[test]
fn a_command_is_answered_and_the_prompt_comes_back() {
    let mut desk = desk();
    desk.types("routers json\r").answers(status());
    let (echo, rest) = desk.text.split_once("\r\n").unwrap();
    let (json, prompt) = rest.split_once("\r\n").unwrap();
    assert_eq!((echo, prompt), ("routers json", "n1> "));
    assert!(
        json.starts_with(r#"{"schema":1,"node":"n1","now_us":0,"routers":[{"name":"VI_1""#),
        "{json}"
    );
}

#[test]
fn an_empty_line_gives_nothing_but_the_prompt() {
    let mut desk = desk();
    desk.types("\r").shows("\r\nn1> ");
    desk.types("stauts\r")
        .shows("stauts\r\nno such command; did you mean `status`?\r\nn1> ");
    assert!(desk.requests.is_empty());
}

#[test]
fn keys_typed_while_an_answer_is_awaited_are_the_next_command() {
    let mut desk = desk();
    desk.types("config check\rlog 3\r");
    assert_eq!(desk.asked(), [Request::ConfigCheck]);
    desk.answers(Reply::Checked(Checked::default()));
    assert_eq!(desk.asked(), [Request::Log { lines: 3, from: 0 }]);
    desk.answers(Reply::Log(Vec::new()));
    desk.shows("config check\r\n0 errors, 0 warnings: fine\r\nn1> log 3\r\nn1> ");
}

#[test]
fn a_plan_is_shown_or_what_stands_against_it() {
    let mut desk = desk();
    desk.types("plan\r");
    assert_eq!(desk.asked(), [Request::Plan]);
    desk.answers(Reply::Text("nothing would change".to_owned()));
    desk.shows("plan\r\nnothing would change\r\nn1> ");
    desk.types("plan\r").answers(Reply::Checked(Checked {
        errors: 1,
        warnings: 0,
        lines: vec!["k:1:1: error: e".to_owned()],
    }));
    desk.shows("plan\r\nk:1:1: error: e\r\n1 error, 0 warnings: not taken; the configuration in force stays\r\nn1> ");
}

#[test]
fn thousands_of_keys_typed_ahead_are_bounded_and_do_no_harm() {
    let mut desk = desk();
    desk.types("status\r").types(&"\r".repeat(100_000));
    assert_eq!(desk.session.typed_ahead.len(), TYPED_AHEAD_MAX);
    desk.answers(status());
    assert!(desk.text.ends_with("\r\nn1> "));
}

#[test]
fn interrupt_gives_a_question_up_and_its_late_answer_is_dropped() {
    let mut desk = desk();
    desk.types("status\r").types("\x03").shows("\r\nn1> ");
    desk.text.clear();
    desk.answers(status()).shows("");
    desk.types("help reload\r");
    assert!(
        desk.text
            .contains("take the configuration files as they are")
    );
}

#[test]
fn a_director_that_is_silent_or_gone_is_said_to_be() {
    let mut desk = desk();
    desk.types("status\r")
        .passes(ANSWER)
        .shows("status\r\nno answer from the director\r\nn1> ");
    desk.types("status\r");
    desk.session.unreachable(desk.now);
    desk.collect();
    desk.shows("status\r\nthe director is not running (PID 1 restarts it)\r\nn1> ");
}

#[test]
fn without_a_secret_changes_are_made_at_once() {
    let mut desk = desk();
    desk.types("handover VI_1\r").answers(OPEN);
    assert_eq!(
        desk.asked(),
        [Request::Handover {
            router: Some("VI_1".into())
        }]
    );
    desk.answers(Reply::Done("VI_1 is being handed over".into()));
    desk.shows("handover VI_1\r\nVI_1 is being handed over\r\nn1> ");
}

#[test]
fn a_secret_is_asked_for_once_and_never_shown() {
    let mut desk = desk();
    desk.types("reload\r")
        .answers(SECRET)
        .shows("reload\r\nsecret: ");
    desk.types("sesame\r").shows("\r\n");
    assert_eq!(
        desk.asked(),
        [Request::Authorize {
            secret: "sesame".into()
        }]
    );
    desk.answers(Reply::Done(String::new()));
    assert_eq!(desk.asked(), [Request::Plan]);
    desk.answers(Reply::Text("no change".into()));
    assert_eq!(desk.asked(), [Request::Reload]);
    desk.answers(Reply::Checked(Checked::default()));
    desk.shows("\r\nno change\r\n0 errors, 0 warnings: in force\r\nn1# ");
    // Of files with errors only the reload speaks.
    desk.types("reload\r").answers(Reply::Access {
        secret: true,
        authorized: true,
    });
    desk.shows("reload\r\n");
    desk.answers(Reply::Checked(Checked {
        errors: 1,
        ..Checked::default()
    }));
    assert_eq!(desk.asked(), [Request::Reload]);
    desk.answers(Reply::Checked(Checked::default()));
    desk.shows("reload\r\n0 errors, 0 warnings: in force\r\nn1# ");
    desk.types("handover\r").answers(Reply::Access {
        secret: true,
        authorized: true,
    });
    assert_eq!(desk.asked(), [Request::Handover { router: None }]);
}

#[test]
fn a_wrong_secret_changes_nothing() {
    let mut desk = desk();
    desk.types("reload\r")
        .answers(SECRET)
        .types("x\r")
        .answers(Reply::Denied { wait_s: 0 });
    desk.shows("\r\nwrong secret\r\nn1> ");
    desk.types("reload\r")
        .answers(SECRET)
        .types("x\r")
        .answers(Reply::Denied { wait_s: 9 });
    desk.shows("\r\nnot accepted; the next secret is looked at in 9 s\r\nn1> ");
    desk.types("reload\r")
        .answers(SECRET)
        .types("x\x03")
        .shows("\r\nn1> ");
    assert!(desk.requests.is_empty());
}

#[test]
fn an_idle_person_is_logged_out() {
    let mut desk = desk();
    desk.types("login\r")
        .answers(SECRET)
        .types("sesame\r")
        .answers(Reply::Done(String::new()));
    desk.shows("\r\nn1# ");
    assert_eq!(desk.session.next_tick(), Some(desk.now + LOGIN_IDLE));
    desk.passes(LOGIN_IDLE);
    assert_eq!(desk.take_requests(), [Request::Leave]);
    desk.types("\r").shows("\r\nn1> ");
}

#[test]
fn a_text_is_pasted_whole_and_sent() {
    let mut desk = desk();
    desk.types("config load keepalived\r").answers(OPEN);
    desk.types("vrrp_instance V {\r\n\tinterface lam\x7fn0\r\n}\n# \u{e4}\r.x\r\x1b[200~.\r");
    let text = "vrrp_instance V {\n\tinterface lan0\n}\n# \u{e4}\n.x\n".to_owned();
    assert_eq!(
        desk.asked(),
        [Request::ConfigPut {
            file: File::Keepalived,
            text
        }]
    );
    let found = Checked {
        errors: 0,
        warnings: 1,
        lines: vec!["k:1:1: warning: w".into()],
    };
    desk.answers(Reply::Checked(found));
    let end = "k:1:1: warning: w\r\n0 errors, 1 warning: kept in memory; `reload` brings it into force\r\nn1> ";
    assert!(desk.text.ends_with(end), "{}", desk.text);
}

#[test]
fn a_paste_can_be_given_up_and_is_bounded() {
    let mut desk = desk();
    desk.types("config load router\r")
        .answers(OPEN)
        .types("abc\r\x03");
    assert!(desk.text.ends_with("\r\nn1> "));
    assert!(desk.requests.is_empty());
    desk.types("config load router\r")
        .answers(OPEN)
        .types(&"x".repeat(PASTE_MAX + 10))
        .types("\r.\r");
    assert!(
        desk.text.contains("not taken: longer than"),
        "{}",
        desk.text
    );
    assert!(desk.requests.is_empty());
}

#[test]
fn power_needs_the_secret_where_one_is_set_and_a_director_only_then() {
    let mut desk = desk();
    desk.types("reboot\r")
        .answers(SECRET)
        .shows("reboot\r\nsecret: ");
    desk.types("sesame\r").answers(Reply::Done(String::new()));
    assert_eq!(desk.power.take(), Some(Power::Reboot));
    desk.session.refused("not done", desk.now);
    desk.types("poweroff\r");
    desk.session.unreachable(desk.now);
    desk.collect();
    assert_eq!(desk.power, None, "a secret is known to be set");

    let mut desk = super::tests::desk();
    desk.types("poweroff\r");
    desk.session.unreachable(desk.now);
    desk.collect();
    assert_eq!(desk.power, Some(Power::Off));
}

#[test]
fn followed_events_appear_above_the_line_that_is_typed() {
    let mut desk = desk();
    desk.types("log follow\r").passes(Duration::ZERO);
    assert_eq!(
        desk.asked(),
        [Request::Log {
            lines: LOG_FOLLOWED,
            from: 0
        }]
    );
    desk.types("sta");
    desk.answers(Reply::Log(vec![LogLine {
        sequence: 41,
        at_us: 2_000_000,
        text: "up".into(),
    }]));
    desk.shows("sta\r\x1b[K[        2.000] up\r\nn1> sta");
    desk.passes(FOLLOW_INTERVAL / 2);
    assert!(desk.requests.is_empty());
    desk.passes(FOLLOW_INTERVAL);
    assert_eq!(
        desk.asked(),
        [Request::Log {
            lines: LOG_FOLLOWED,
            from: 42
        }]
    );
    desk.session.unreachable(desk.now);
    desk.requests.clear();
    desk.passes(FOLLOW_INTERVAL);
    assert_eq!(
        desk.take_requests(),
        [Request::Log {
            lines: LOG_FOLLOWED,
            from: 0
        }]
    );
    desk.types("\x15log stop\r").passes(FOLLOW_INTERVAL * 2);
    assert!(desk.requests.is_empty());
}

#[test]
fn tab_completes_and_lists() {
    let mut desk = desk();
    desk.types("stat\t").shows("status ");
    desk.types("\x15re\t")
        .shows("\x1b[7D\x1b[Kre\r\x1b[Kreboot reload\r\nn1> re");
    desk.types("\x15x\t");
    assert!(desk.text.ends_with('\u{7}'));
    desk.types("\x15status\r")
        .answers(status())
        .types("handover V\t")
        .shows("handover VI_1 ");
}

#[test]
fn an_answer_to_another_question_is_no_answer() {
    let mut desk = desk();
    desk.types("status\r").answers(Reply::Text("?".into()));
    assert!(desk.text.contains("another question"));
    desk.types("status\r")
        .answers(Reply::Error("too\x1b[2J many".into()));
    desk.shows("status\r\ntoo?[2J many\r\nn1> ");
}

#[test]
fn answers_reach_a_person_without_controls() {
    let mut desk = desk();
    desk.types("config show\r")
        .answers(Reply::Text("# \u{e4}\x1b[2J\n\tx".into()));
    desk.shows("config show\r\n# \u{e4}?[2J\r\n\tx\r\nn1> ");
}
