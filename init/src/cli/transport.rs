//! Questions to a node and its answers, over its control socket or a serial line that ends at its console.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use director::frame::{self, Decoder, FrameError, Item};
use director::proto::{Reply, Request, Tagged};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::serial::Device;

/// How often a question is asked again that the node received damaged. What it can't read it does not do.
const ATTEMPTS: u32 = 3;

/// How long the answer may still take after something damaged came.
const SETTLE: Duration = Duration::from_secs(1);

/// The tag of an answer to what could not be read.
const UNREAD: u32 = 0;

/// Where a node is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The control socket of a director on this machine.
    Socket(PathBuf),
    /// A socket that is a node's serial line, as a virtual machine's.
    Line(PathBuf),
    /// A serial device of this machine.
    Device {
        /// In /dev.
        path: PathBuf,
        /// Its speed.
        baud: u32,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) | Self::Line(path) | Self::Device { path, .. } => {
                path.display().fmt(f)
            }
        }
    }
}

/// Why there is no answer, and what to do next.
#[derive(Debug)]
pub(super) enum Failure {
    /// The place can't be opened.
    Open(Place, io::Error),
    /// It was open and broke.
    Broken(Place, io::Error),
    /// No answer came in time; with the number of bytes that came and were none.
    Silent(Place, Duration, usize),
    /// An answer came whole, and this program can't read it.
    Unreadable(Place, FrameError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(place, error) => {
                write!(f, "{place}: {error}\n{}", next_after_open(place, error))
            }
            Self::Broken(place, error) => {
                write!(
                    f,
                    "{place}: {error}\nThe director may have been restarted: try again."
                )
            }
            Self::Silent(place @ Place::Socket(_), waited, _) => {
                write!(
                    f,
                    "{place}: no answer within {} s\nThe director is stuck or busy.",
                    waited.as_secs()
                )
            }
            Self::Silent(place, waited, 0) => write!(
                f,
                "{place}: no answer within {} s, not a single byte\nIs the cable the right one (null modem), and \
                 does the node run? Its console answers where the kernel has one (console=ttyS0).",
                waited.as_secs()
            ),
            Self::Silent(place, waited, bytes) => write!(
                f,
                "{place}: no answer within {} s, but {bytes} bytes of something else\nIs it keelson's console, and \
                 the speed right (--baud)? A node that is still starting answers a little later.",
                waited.as_secs()
            ),
            Self::Unreadable(place, error @ FrameError::Version(_)) => {
                write!(f, "{place}: {error}\nUse the keelson that this node runs.")
            }
            Self::Unreadable(place, error) => {
                write!(f, "{place}: {error}\nA noisy line? Try again.")
            }
        }
    }
}

fn next_after_open(place: &Place, error: &io::Error) -> &'static str {
    match (place, error.kind()) {
        (_, io::ErrorKind::PermissionDenied) => match place {
            Place::Device { .. } => "Use sudo, or join the group that owns the device (dialout).",
            _ => "Use sudo.",
        },
        (Place::Socket(_), _) => {
            "Does a director run on this machine? For another node say --serial LINE; `keelson status --help`."
        }
        (Place::Line(_), _) => {
            "Does the virtual machine run, and is nobody else connected to its serial line?"
        }
        (Place::Device { .. }, io::ErrorKind::ResourceBusy) => {
            "Another program uses it: end that first."
        }
        (Place::Device { .. }, _) => {
            "Is the adapter plugged in? `ls /dev/ttyUSB* /dev/ttyS*` shows what there is."
        }
    }
}

trait Stream: Read + Write + AsFd {}
impl<S: Read + Write + AsFd> Stream for S {}

/// An open way to a node.
pub(super) struct Connection {
    place: Place,
    stream: Box<dyn Stream>,
    decoder: Decoder,
    patience: Duration,
    last_tag: u32,
}

impl Connection {
    /// Opens the way; each answer may take `patience`, and as long again for each piece of it that comes.
    ///
    /// # Errors
    /// [`Failure::Open`].
    pub(super) fn open(place: Place, patience: Duration) -> Result<Self, Failure> {
        let stream: io::Result<Box<dyn Stream>> = match &place {
            Place::Socket(path) | Place::Line(path) => {
                UnixStream::connect(path).and_then(|stream| {
                    stream.set_nonblocking(true)?;
                    Ok(Box::new(stream) as Box<dyn Stream>)
                })
            }
            Place::Device { path, baud } => {
                Device::open(path, *baud).map(|device| Box::new(device) as Box<dyn Stream>)
            }
        };
        match stream {
            Err(error) => Err(Failure::Open(place, error)),
            // Tags differ from one run to the next, for answers that were given up may still be on a serial line.
            Ok(stream) => Ok(Self {
                place,
                stream,
                decoder: Decoder::new(frame::REPLY_MAX),
                patience,
                last_tag: std::process::id() << 8,
            }),
        }
    }

    /// Asks and waits for the answer; again when the question or the answer was damaged on the way. All questions
    /// may be asked twice: what they change is the same after the second.
    ///
    /// # Errors
    /// No answer came.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Reply, Failure> {
        let mut attempt = 1;
        loop {
            match self.exchange(request)? {
                Heard::Damaged(_) if attempt < ATTEMPTS => attempt += 1,
                Heard::Answer(reply) | Heard::Damaged(reply) => return Ok(reply),
            }
        }
    }

    fn exchange(&mut self, request: &Request) -> Result<Heard, Failure> {
        self.last_tag = self.last_tag.wrapping_add(1).max(1);
        let tagged = Tagged {
            tag: self.last_tag,
            body: request.clone(),
        };
        let frame = frame::encode(&tagged, frame::REQUEST_MAX)
            .map_err(|error| Failure::Unreadable(self.place.clone(), error))?;
        let mut deadline = Instant::now() + self.patience;
        let mut unsent = frame.as_slice();
        let mut other = 0;
        let mut damaged = None;
        loop {
            let now = Instant::now();
            if now >= deadline {
                let silent = Failure::Silent(self.place.clone(), self.patience, other);
                return damaged.map(Heard::Damaged).ok_or(silent);
            }
            let broken = |error| Failure::Broken(self.place.clone(), error);
            wait(self.stream.as_fd(), !unsent.is_empty(), deadline - now).map_err(broken)?;
            if !unsent.is_empty() {
                match self.stream.write(unsent) {
                    Ok(count) => unsent = unsent.get(count..).unwrap_or_default(),
                    Err(error) if is_pause(&error) => {}
                    Err(error) => return Err(broken(error)),
                }
            }
            match self.receive(&mut other)? {
                Some(Heard::Answer(reply)) => return Ok(Heard::Answer(reply)),
                Some(Heard::Damaged(reply)) => {
                    // It may have been noise before the question: the answer may still come.
                    damaged = Some(reply);
                    deadline = deadline.min(Instant::now() + SETTLE);
                }
                None if self.decoder.inside() => deadline = Instant::now() + self.patience,
                None => {}
            }
        }
    }

    /// Takes what is there. `other` counts bytes that belong to no frame.
    fn receive(&mut self, other: &mut usize) -> Result<Option<Heard>, Failure> {
        let mut chunk = [0; 4096];
        let mut bytes = match self.stream.read(&mut chunk) {
            Ok(0) => {
                let gone =
                    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed");
                return Err(Failure::Broken(self.place.clone(), gone));
            }
            Ok(count) => chunk.get(..count).unwrap_or_default(),
            Err(error) if is_pause(&error) => return Ok(None),
            Err(error) => return Err(Failure::Broken(self.place.clone(), error)),
        };
        let mut heard = None;
        while let Some(item) = self.decoder.next(&mut bytes) {
            let error = match item {
                Item::Text(text) => {
                    *other += text.len();
                    continue;
                }
                Item::Frame(payload) => match frame::decode::<Tagged<Reply>>(payload) {
                    Ok(reply) if reply.tag == self.last_tag => {
                        return Ok(Some(Heard::Answer(reply.body)));
                    }
                    Ok(reply) if reply.tag == UNREAD => {
                        heard = Some(Heard::Damaged(reply.body));
                        continue;
                    }
                    // The answer to a question that was given up.
                    Ok(_) => continue,
                    Err(error) => error,
                },
                Item::Bad(error) => error,
            };
            match error {
                FrameError::Version(_) | FrameError::Payload | FrameError::Oversize => {
                    return Err(Failure::Unreadable(self.place.clone(), error));
                }
                FrameError::Broken | FrameError::Checksum => {
                    heard = Some(Heard::Damaged(Reply::Error(format!(
                        "{error} came; is the line noisy?"
                    ))));
                }
            }
        }
        Ok(heard)
    }
}

enum Heard {
    Answer(Reply),
    /// What was said of the damage.
    Damaged(Reply),
}

fn wait(descriptor: BorrowedFd<'_>, writing: bool, patience: Duration) -> io::Result<()> {
    let interest = if writing {
        PollFlags::POLLIN | PollFlags::POLLOUT
    } else {
        PollFlags::POLLIN
    };
    // A millisecond more than is left, so that the deadline has passed when nothing came.
    let timeout =
        PollTimeout::try_from(patience + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(descriptor, interest)], timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
