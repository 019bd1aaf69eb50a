//! TLS sessions of checks against a server in the same process: nothing but bytes passes between them.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use director::tls::Sessions;
use director_core::check::{Id, Tls, TlsError};
use mio::{Events, Poll, Token, Waker};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection};

/// One request and its answer, then the end of the session.
#[test]
fn a_page_is_asked_for_within_a_session() {
    let mut stage = Stage::new(false);
    let heard = stage.ask(1, tls());
    assert_eq!(heard.end, Some(Ok(())));
    assert_eq!(heard.plain, b"the page");
    assert_eq!(heard.request, b"the request ");
    assert_eq!(heard.name.as_deref(), Some("www.example"));
    assert_eq!(heard.kind, Some(HandshakeKind::Full));
    let again = stage.ask(2, tls());
    assert_eq!(again.end, Some(Ok(())));
    assert_eq!(again.kind, Some(HandshakeKind::Resumed), "no new handshake");
}

#[test]
fn the_name_is_told_unless_it_must_not_be() {
    let silent = Tls {
        sni: false,
        ..tls()
    };
    let heard = Stage::new(false).ask(1, silent);
    assert_eq!((heard.name, heard.end), (None, Some(Ok(()))));
}

#[test]
fn a_certificate_is_verified_where_that_is_asked_for() {
    let cases = [
        ("ca.pem", Some("www.example"), Ok(())),
        ("ca.pem", None, Ok(())), // by its address
        ("ca.pem", Some("other.example"), Err(TlsError::WrongName)),
        ("other.pem", Some("www.example"), Err(TlsError::Untrusted)),
        ("nonesuch.pem", None, Err(TlsError::Files)),
        ("server.key", None, Err(TlsError::Files)),
    ];
    for (ca, name, end) in cases {
        let tls = Tls {
            name: name.map(str::to_string),
            ca: Some(ca.to_string()),
            ..tls()
        };
        assert_eq!(
            Stage::new(false).ask(1, tls).end,
            Some(end),
            "{ca} {name:?}"
        );
    }
}

#[test]
fn a_server_may_ask_who_is_there() {
    let me = Tls {
        identity: Some(("server.pem".to_string(), "server.key".to_string())),
        ..tls()
    };
    assert_eq!(Stage::new(true).ask(1, me).end, Some(Ok(())));
    let nobody = Stage::new(true).ask(1, tls());
    assert_eq!(nobody.end, Some(Err(TlsError::Alert)));
}

#[test]
fn what_is_not_tls_is_said() {
    let mut stage = Stage::new(false);
    stage.begin(1, tls());
    stage
        .sessions
        .hear(id(1), b"HTTP/1.1 400 Bad Request\r\n")
        .unwrap();
    assert_eq!(stage.end(), Err(TlsError::Protocol));
    stage.begin(2, tls());
    stage.sessions.end(id(2)).unwrap();
    assert_eq!(stage.end(), Err(TlsError::Cut));
}

struct Stage {
    poll: Poll,
    sessions: Sessions,
    server: Arc<ServerConfig>,
}

/// What came of one session, on both sides.
#[derive(Debug, Default)]
struct Heard {
    plain: Vec<u8>,
    end: Option<Result<(), TlsError>>,
    request: Vec<u8>,
    name: Option<String>,
    kind: Option<HandshakeKind>,
}

impl Stage {
    fn new(asks: bool) -> Self {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(1)).unwrap());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(folder().join("server.pem"))
            .unwrap()
            .collect();
        let key = PrivateKeyDer::from_pem_file(folder().join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(folder().join("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if asks {
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        Self {
            poll,
            sessions: Sessions::new(folder().to_path_buf(), waker),
            server: Arc::new(builder.with_single_cert(chain.unwrap(), key).unwrap()),
        }
    }

    fn begin(&mut self, number: u32, tls: Tls) {
        let server = [192, 0, 2, 10].into();
        self.sessions.expect(id(number), server, Box::new(tls));
        self.sessions.begin(id(number)).unwrap();
    }

    /// Waits for the thread.
    fn wait(&mut self) {
        self.poll.poll(&mut Events::with_capacity(4), None).unwrap();
    }

    fn end(&mut self) -> Result<(), TlsError> {
        loop {
            self.wait();
            let answers = self.sessions.collect();
            if let Some(end) = answers.into_iter().find_map(|(_, answer)| answer.end) {
                return end;
            }
        }
    }

    fn ask(&mut self, number: u32, tls: Tls) -> Heard {
        self.begin(number, tls);
        let mut server = ServerConnection::new(Arc::clone(&self.server)).unwrap();
        let mut heard = Heard::default();
        while heard.end.is_none() {
            self.wait();
            for (_, answer) in self.sessions.collect() {
                heard.plain.extend(answer.plain);
                heard.end = answer.end;
                serve(&mut server, &answer.wire, &mut heard);
                if answer.ready {
                    let request = b"the request".to_vec();
                    self.sessions.say(id(number), request).unwrap();
                }
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            if !wire.is_empty() && heard.end.is_none() {
                self.sessions.hear(id(number), &wire).unwrap();
            }
        }
        heard.name = server.server_name().map(str::to_string);
        heard.kind = server.handshake_kind();
        self.sessions.close(id(number));
        heard
    }
}

/// The server takes bytes; a whole request is answered, and the session ended.
fn serve(server: &mut ServerConnection, mut wire: &[u8], heard: &mut Heard) {
    while !wire.is_empty() {
        server.read_tls(&mut wire).unwrap();
        let Ok(state) = server.process_new_packets() else {
            return;
        };
        let mut piece = vec![0; state.plaintext_bytes_to_read()];
        server.reader().read_exact(&mut piece).unwrap();
        heard.request.extend(piece);
    }
    if heard.request == b"the request" {
        server.writer().write_all(b"the page").unwrap();
        server.send_close_notify();
        heard.request.push(b' ');
    }
}

fn tls() -> Tls {
    Tls {
        name: Some("www.example".to_string()),
        sni: true,
        ca: None,
        identity: None,
        compliant: true,
    }
}

const fn id(number: u32) -> Id {
    Id {
        index: 0,
        generation: number,
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls"))
}
