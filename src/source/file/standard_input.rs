//! Standard input as it comes: `hubble observe --follow -o json | flowwatch tail`.
//!
//! Owns the thread that waits for it, since a read of a pipe cannot be given up. The
//! thread holds a few blocks at most; after that the writer waits.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use super::chunk::Chunk;
use super::lines::LineBuffer;

/// Bytes of one read.
const BLOCK: usize = 256 << 10;
/// Blocks that wait to be taken.
const BLOCKS: usize = 8;

pub(super) struct StandardInput {
    blocks: Receiver<io::Result<Vec<u8>>>,
    /// A block that came while waiting.
    waiting: Option<io::Result<Vec<u8>>>,
    lines: LineBuffer,
    ended: bool,
}

impl StandardInput {
    pub(super) fn start() -> Self {
        Self::read_from(io::stdin())
    }

    fn read_from(mut reader: impl Read + Send + 'static) -> Self {
        let (send, blocks) = sync_channel(BLOCKS);
        // Ends with its input, or at its next block once nobody takes it.
        thread::spawn(move || {
            let mut block = vec![0; BLOCK];
            loop {
                let read = match reader.read(&mut block) {
                    Ok(0) => return,
                    Ok(length) => Ok(block[..length].to_vec()),
                    Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                    Err(cause) => Err(cause),
                };
                let failed = read.is_err();
                if send.send(read).is_err() || failed {
                    return;
                }
            }
        });
        Self {
            blocks,
            waiting: None,
            lines: LineBuffer::default(),
            ended: false,
        }
    }

    /// Whole lines that are there.
    pub(super) fn poll(&mut self) -> Option<Chunk> {
        loop {
            let block = match self.waiting.take() {
                Some(block) => block,
                None if self.ended => return None,
                None => match self.blocks.try_recv() {
                    Ok(block) => block,
                    Err(TryRecvError::Empty) => return None,
                    Err(TryRecvError::Disconnected) => {
                        self.ended = true;
                        return self.lines.finish();
                    }
                },
            };
            let filled = self.lines.fill(|held| {
                held.extend_from_slice(&block?);
                Ok::<(), io::Error>(())
            });
            match filled {
                Ok((Some(chunk), _)) => return Some(chunk),
                Ok((None, _)) => {}
                Err(cause) => {
                    self.ended = true;
                    let rest = self.lines.finish();
                    return Some(Chunk {
                        bytes: rest.map(|rest| rest.bytes).unwrap_or_default(),
                        dropped: 0,
                        damaged: Some(cause.to_string()),
                    });
                }
            }
        }
    }

    /// Waits for a block, `time` at most.
    pub(super) fn wait(&mut self, time: Duration) {
        if self.waiting.is_some() {
            return;
        }
        // An end is seen by the next poll.
        if let Ok(block) = self.blocks.recv_timeout(time) {
            self.waiting = Some(block);
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_pipe_come_as_they_are_written_and_its_last_at_its_end() {
        let (read, mut write) = io::pipe().unwrap();
        let mut input = StandardInput::read_from(read);
        let mut next = || {
            for _ in 0..500 {
                if let Some(chunk) = input.poll() {
                    return String::from_utf8(chunk.bytes.to_vec()).unwrap();
                }
                input.wait(Duration::from_millis(10));
            }
            panic!("nothing came");
        };
        io::Write::write_all(&mut write, b"a\nb").unwrap();
        assert_eq!(next(), "a\n");
        io::Write::write_all(&mut write, b"c\nd").unwrap();
        assert_eq!(next(), "bc\n");
        drop(write);
        assert_eq!(next(), "d");
        assert!(input.poll().is_none() && input.is_ended());
    }
}
