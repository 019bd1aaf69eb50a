//! What waits to go out on a line that may be slow, or stand still for ever.

use std::collections::VecDeque;
use std::io::{self, Write};

use super::limits::TEXT_QUEUED_MAX;

/// The queue of one line. Text that finds it full is dropped, and the reader told so later; nothing ever waits.
#[derive(Debug, Default)]
pub(super) struct Output {
    queue: VecDeque<u8>,
    /// Bytes at the front of the queue that end with the last frame: they are not taken back.
    framed: usize,
    dropped: usize,
}

impl Output {
    /// Adds text for a person: whole, or not at all. One answer may be longer than what is else kept.
    pub(super) fn text(&mut self, text: &[u8]) {
        if self.dropped > 0 || self.queue.len() >= TEXT_QUEUED_MAX {
            self.dropped += text.len();
        } else {
            self.queue.extend(text);
        }
    }

    /// Adds a frame for a program; false when the queue is full of text.
    pub(super) fn frame(&mut self, frame: &[u8]) -> bool {
        let room = self.queue.len() < TEXT_QUEUED_MAX;
        if room {
            self.queue.extend(frame);
            self.framed = self.queue.len();
        }
        room
    }

    /// Takes back the text that is still waiting: somebody pressed ^C in a flood.
    pub(super) fn discard_text(&mut self) {
        self.queue.truncate(self.framed);
        self.dropped = 0;
    }

    /// Writes until the line takes no more.
    ///
    /// # Errors
    /// Those of the line, except that it would block.
    pub(super) fn flush(&mut self, line: &mut impl Write) -> io::Result<()> {
        loop {
            if self.queue.is_empty() && self.dropped > 0 {
                let notice = format!(
                    "\r\n[{} bytes not shown: the line is too slow]\r\n",
                    self.dropped
                );
                self.dropped = 0;
                self.queue.extend(notice.as_bytes());
            }
            let (front, _) = self.queue.as_slices();
            if front.is_empty() {
                self.queue.shrink_to(super::limits::READ_CHUNK);
                return Ok(());
            }
            match line.write(front) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.queue.drain(..written);
                    self.framed = self.framed.saturating_sub(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that takes `room` bytes and then blocks.
    struct Line {
        room: usize,
        taken: Vec<u8>,
    }

    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_line_costs_bounded_memory_and_the_reader_is_told() {
        let mut output = Output::default();
        let mut line = Line {
            room: 0,
            taken: Vec::new(),
        };
        for _ in 0..3 * TEXT_QUEUED_MAX / 1000 {
            output.text(&[b'x'; 1000]);
            output.flush(&mut line).unwrap();
        }
        assert!(output.queue.len() < TEXT_QUEUED_MAX + 1000);
        line.room = usize::MAX;
        output.flush(&mut line).unwrap();
        let end = String::from_utf8_lossy(&line.taken[line.taken.len() - 60..]).into_owned();
        assert!(end.contains("bytes not shown"), "{end}");
        assert!(output.queue.is_empty());
        output.text(b"again");
        output.flush(&mut line).unwrap();
        assert!(line.taken.ends_with(b"again"));
    }

    #[test]
    fn taking_text_back_leaves_frames_whole() {
        let mut output = Output::default();
        let mut line = Line {
            room: 3,
            taken: Vec::new(),
        };
        output.text(b"text ");
        assert!(output.frame(b"\0frame\0"));
        output.text(b"more text");
        output.flush(&mut line).unwrap();
        output.discard_text();
        line.room = usize::MAX;
        output.flush(&mut line).unwrap();
        assert_eq!(line.taken, b"text \0frame\0");
    }
}
