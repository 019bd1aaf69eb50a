//! What the checks want of the world, and what comes of it: sockets, TLS sessions, programs and files.

use std::io;

use director_core::check;
use director_core::director::Input;

use crate::limits;
use crate::run::Shell;
use crate::sock::probe::Progress;
use crate::token::Key;

impl Shell {
    pub(crate) fn act_on_probe(&mut self, id: check::Id, action: check::Action) {
        match action {
            check::Action::Connect {
                target,
                transport,
                bind,
                tls,
            } => {
                let from_own = bind.as_ref().and_then(|bind| bind.from_own.as_ref());
                if from_own.is_some_and(|interface| !self.probes.believe(interface)) {
                    let io = check::Io::Barred(check::Barrier::Martian);
                    return self.core.handle(self.now, Input::Probe { id, io });
                }
                let (registry, token) = (self.poll.registry(), Key::Probe(id).token());
                let to = (target, transport);
                let begun = self
                    .probes
                    .connect(registry, token, id, to, bind.as_deref());
                if let (Ok(()), Some(tls)) = (&begun, tls) {
                    self.tls.expect(id, target.ip(), tls);
                }
                self.note_failure(id, begun);
            }
            check::Action::Send { bytes } if self.tls.has(id) => {
                let said = self.tls.say(id, bytes);
                self.give_up(id, said);
            }
            check::Action::Send { bytes } => self.probes.send(id, bytes),
            check::Action::Run(program) => {
                let begun = self.programs.run(id, &program);
                self.note_failure(id, begun);
            }
            check::Action::Read(path) => {
                let begun = self.programs.read(id, &path);
                self.note_failure(id, begun);
            }
            check::Action::Close => {
                self.probes.close(id);
                self.tls.close(id);
                self.programs.close(self.now, id);
            }
        }
    }

    /// Goes on with a socket that was connected at once; false when there is none.
    pub(crate) fn go_on_with_probes(&mut self) -> bool {
        if let Some(id) = self.probes.next_made() {
            if self.tls.has(id) {
                let begun = self.tls.begin(id);
                self.give_up(id, begun);
            } else {
                let io = check::Io::Connected;
                self.core.handle(self.now, Input::Probe { id, io });
            }
            return true;
        }
        let token = |id| Key::Probe(id).token();
        let unwatched = self.probes.watch_next(self.poll.registry(), token);
        let Some((id, error)) = unwatched else {
            return false;
        };
        self.give_up(id, Err(error));
        true
    }

    /// Tells the core of an attempt that this node could not even begin.
    fn note_failure(&mut self, id: check::Id, begun: io::Result<()>) {
        if let Err(error) = begun {
            let io = check::Io::Failed(error.raw_os_error().unwrap_or(libc::EIO));
            self.core.handle(self.now, Input::Probe { id, io });
        }
    }

    /// Ends an attempt that this node can't go on with.
    fn give_up(&mut self, id: check::Id, done: io::Result<()>) {
        if done.is_err() {
            self.probes.close(id);
            self.tls.close(id);
        }
        self.note_failure(id, done);
    }

    /// A program may have ended.
    pub(crate) fn serve_program(&mut self, id: check::Id) {
        if let Some((exit, said)) = self.programs.progress(id) {
            for io in [check::Io::Received(&said), check::Io::Exited(exit)] {
                self.feed(Input::Probe { id, io });
            }
        }
    }

    /// Programs have been started, or could not be; files have been read.
    pub(crate) fn collect_programs(&mut self) {
        let token = |id| Key::Program(id).token();
        let registry = self.poll.registry();
        for (id, came) in self.programs.collect(self.now, registry, token) {
            match came {
                Err(errno) => {
                    let io = check::Io::Failed(errno);
                    self.feed(Input::Probe { id, io });
                }
                Ok(text) => {
                    let text = check::Io::Received(&text);
                    for io in [check::Io::Connected, text, check::Io::Closed] {
                        self.feed(Input::Probe { id, io });
                    }
                }
            }
        }
    }

    /// Goes on with the socket of a check; true when there may be more.
    pub(crate) fn serve_probe(&mut self, id: check::Id) -> bool {
        let mut buffer = core::mem::take(&mut self.buffer);
        let mut more = true;
        for _ in 0..limits::READS_PER_TURN {
            if self.tls.is_busy(id) {
                // It is ready again when it has been answered.
                more = false;
                break;
            }
            let progress = self.probes.progress(id, &mut buffer);
            if progress == Progress::Idle {
                more = false;
                break;
            }
            let received = match progress {
                Progress::Received(length) => buffer.get(..length).unwrap_or_default(),
                _ => &[],
            };
            if self.tls.has(id) {
                self.secure(id, progress, received);
            } else if let Some(io) = plain(progress, received) {
                self.feed(Input::Probe { id, io });
            }
        }
        self.buffer = buffer;
        more
    }

    /// Hands what came of a socket to its TLS session.
    fn secure(&mut self, id: check::Id, progress: Progress, received: &[u8]) {
        let done = match progress {
            Progress::Idle => Ok(()),
            Progress::Connected => {
                let io = check::Io::Reached;
                self.feed(Input::Probe { id, io });
                self.tls.begin(id)
            }
            Progress::Received(_) => self.tls.hear(id, received),
            Progress::Closed => self.tls.end(id),
            Progress::Failed(errno) => {
                self.tls.close(id);
                let io = check::Io::Failed(errno);
                return self.feed(Input::Probe { id, io });
            }
        };
        if done.is_err() {
            self.give_up(id, done);
            self.drain();
        }
    }

    /// What the TLS sessions made of it.
    pub(crate) fn collect_tls(&mut self) {
        for (id, answer) in self.tls.collect() {
            self.ready.insert(Key::Probe(id));
            if !answer.wire.is_empty() {
                self.probes.send(id, answer.wire);
            }
            if answer.ready {
                let io = check::Io::Connected;
                self.feed(Input::Probe { id, io });
            }
            if !answer.plain.is_empty() {
                let io = check::Io::Received(&answer.plain);
                self.feed(Input::Probe { id, io });
            }
            let Some(end) = answer.end else { continue };
            self.probes.close(id);
            self.tls.close(id);
            let io = match end {
                Ok(()) => check::Io::Closed,
                Err(error) => check::Io::Insecure(error),
            };
            self.feed(Input::Probe { id, io });
        }
    }
}

/// What came of a socket, for the core.
const fn plain(progress: Progress, received: &[u8]) -> Option<check::Io<'_>> {
    Some(match progress {
        Progress::Idle => return None,
        Progress::Connected => check::Io::Connected,
        Progress::Received(_) => check::Io::Received(received),
        Progress::Closed => check::Io::Closed,
        Progress::Failed(errno) => check::Io::Failed(errno),
    })
}
