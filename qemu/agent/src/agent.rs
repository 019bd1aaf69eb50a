//! The agent's loop: read a call, do it, answer.
use std::io::{self, BufRead, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::limits::SHELL_OUTPUT_BYTES_MAX;
use crate::probe::Probe;
use crate::streams::Streams;
use crate::talks::{TalkServer, Talks};
use crate::{Answer, Call, Reply, Request, Speaker, TalkReport, load};

/// What is under way between two calls.
#[derive(Default)]
pub struct Agent {
    probe: Option<Probe>,
    streams: Option<Streams>,
    talk_server: Option<TalkServer>,
    talks: Vec<Talks>,
}

impl Agent {
    /// Answers the calls on `input`, one a line, until it ends. A line that is no call is skipped: it may be noise of a
    /// serial line, and has no id to answer to. Errors are those of `input` and `output`.
    pub fn serve(&mut self, input: impl BufRead, mut output: impl Write) -> io::Result<()> {
        for line in input.split(b'\n') {
            let Ok(call) = serde_json::from_slice::<Call>(&line?) else {
                continue;
            };
            let answer = Answer {
                id: call.id,
                result: self.handle(call.request),
            };
            let mut line = serde_json::to_vec(&answer)?;
            line.push(b'\n');
            output.write_all(&line)?;
            output.flush()?;
        }
        Ok(())
    }

    fn handle(&mut self, request: Request) -> Result<Reply, String> {
        match request {
            Request::Ping => Ok(Reply::Pong),
            Request::Shell { command } => shell(&command),
            Request::Load(plan) => load::run(&plan).map(Reply::Load),
            Request::StartProbe(_) if self.probe.is_some() => {
                Err("a probe is under way already".to_owned())
            }
            Request::StartProbe(plan) => {
                self.probe = Some(Probe::start(plan)?);
                Ok(Reply::Done)
            }
            Request::ProbeReport => self
                .probe
                .as_ref()
                .ok_or("no probe is under way")?
                .report()
                .map(Reply::Probe),
            Request::StopProbe => self
                .probe
                .take()
                .ok_or("no probe is under way")?
                .stop()
                .map(Reply::Probe),
            Request::OpenStreams(_) if self.streams.is_some() => {
                Err("streams are open already".to_owned())
            }
            Request::OpenStreams(plan) => {
                let streams = self.streams.insert(Streams::open(plan)?);
                Ok(Reply::Streams(streams.report()))
            }
            Request::StreamsReport => Ok(Reply::Streams(
                self.streams.as_ref().ok_or("no streams are open")?.report(),
            )),
            Request::CloseStreams => Ok(Reply::Streams(
                self.streams.take().ok_or("no streams are open")?.close(),
            )),
            Request::ServeTalks { port } => {
                self.talk_server = Some(TalkServer::start(port)?);
                Ok(Reply::Done)
            }
            Request::SpeakTalks => Ok(Reply::Spoken(
                self.talk_server
                    .as_ref()
                    .ok_or("no talks are served")?
                    .speak(),
            )),
            Request::OpenTalks(plan) => {
                self.talks.push(Talks::open(plan));
                Ok(Reply::Talks(self.talk_reports()))
            }
            Request::GoOnTalks => {
                // A client that speaks could mend what its server's word is to show.
                for speaker in [Speaker::Server, Speaker::Client] {
                    let talks = self.talks.iter_mut();
                    for talk in talks.filter(|talk| talk.report().speaker == speaker) {
                        talk.go_on();
                    }
                }
                Ok(Reply::Talks(self.talk_reports()))
            }
        }
    }

    fn talk_reports(&self) -> Vec<TalkReport> {
        self.talks.iter().map(Talks::report).collect()
    }
}

fn shell(command: &str) -> Result<Reply, String> {
    // Both outputs go to one file, so that they stand in the order they were written in and a daemon that keeps them
    // open does not keep the call from ending, as a pipe would.
    let capture = "exec >/tmp/agent.out 2>&1 </dev/null; ";
    let status = Command::new("/bin/sh")
        .args(["-c", &format!("{capture}{command}")])
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("no shell: {error}"))?;
    let mut output = std::fs::read("/tmp/agent.out").unwrap_or_default();
    output.truncate(SHELL_OUTPUT_BYTES_MAX);
    Ok(Reply::Shell {
        status: status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        output: String::from_utf8_lossy(&output).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_answered_by_its_id_and_noise_is_skipped() {
        let input =
            b"\0garbage\n{\"id\":7,\"request\":\"ping\"}\n{\"id\":8,\"request\":\"stop_probe\"}\n";
        let mut output = Vec::new();
        Agent::default().serve(&input[..], &mut output).unwrap();
        let answers: Vec<Answer> = output
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert!(matches!(
            answers[0],
            Answer {
                id: 7,
                result: Ok(Reply::Pong)
            }
        ));
        assert!(
            matches!(&answers[1], Answer { id: 8, result: Err(why) } if why.contains("no probe"))
        );
    }
}
