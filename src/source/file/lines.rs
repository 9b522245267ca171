//! Bytes as they come, cut into pieces of whole lines.
//!
//! Owns the part of a line that waits for its end, and its bound: a line over
//! [`MAX_LINE`] is dropped and counted, as everywhere else.

use super::chunk::{Chunk, MAX_LINE};

/// Bytes of a line of unusual length.
const UNUSUAL: usize = 2 << 20;

#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    held: Vec<u8>,
    dropping: bool,
    dropped: u64,
}

impl LineBuffer {
    /// Adds what `read` appends to the buffer it is given; the lines that end in it.
    ///
    /// The second value is how many bytes were added.
    pub(super) fn fill<E>(
        &mut self,
        read: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(Option<Chunk>, usize), E> {
        let before = self.held.len();
        if before > UNUSUAL && self.held.capacity() < MAX_LINE {
            // Room for the longest at once: pages that are not written cost nothing, copies
            // on the way do.
            self.held.reserve_exact(MAX_LINE + UNUSUAL - before);
        }
        read(&mut self.held)?;
        let added = self.held.len() - before;
        Ok((self.cut(before), added))
    }

    /// What is left when nothing more will come: a line without an end.
    pub(super) fn finish(&mut self) -> Option<Chunk> {
        self.dropping = false;
        let rest = std::mem::take(&mut self.held);
        self.piece(rest)
    }

    fn cut(&mut self, mut before: usize) -> Option<Chunk> {
        if self.dropping {
            let Some(end) = memchr::memchr(b'\n', &self.held) else {
                self.held.clear();
                return None;
            };
            self.held.drain(..=end);
            self.dropping = false;
            before = 0;
        }
        let Some(end) = memchr::memrchr(b'\n', &self.held[before..]) else {
            if self.held.len() > MAX_LINE {
                self.held = Vec::new();
                self.dropping = true;
                self.dropped += 1;
            }
            return None;
        };
        let rest = self.held.split_off(before + end + 1);
        let lines = std::mem::replace(&mut self.held, rest);
        self.piece(lines)
    }

    fn piece(&mut self, lines: Vec<u8>) -> Option<Chunk> {
        let dropped = std::mem::take(&mut self.dropped);
        (dropped > 0 || !lines.is_empty()).then(|| Chunk {
            bytes: lines.into(),
            dropped,
            damaged: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(buffer: &mut LineBuffer, bytes: &[u8]) -> Option<(Vec<u8>, u64)> {
        let filled = buffer.fill(|held| {
            held.extend_from_slice(bytes);
            Ok::<(), ()>(())
        });
        let (chunk, added) = filled.unwrap();
        assert_eq!(added, bytes.len());
        chunk.map(|chunk| (chunk.bytes.to_vec(), chunk.dropped))
    }

    #[test]
    fn an_endless_line_is_dropped_and_counted_and_the_next_is_kept() {
        let mut buffer = LineBuffer::default();
        assert_eq!(add(&mut buffer, b"a\nb"), Some((b"a\n".to_vec(), 0)));
        assert_eq!(add(&mut buffer, &vec![b'x'; MAX_LINE]), None);
        assert_eq!(add(&mut buffer, b"xx"), None);
        assert_eq!(add(&mut buffer, b"x\nc\nd"), Some((b"c\n".to_vec(), 1)));
        let rest = buffer.finish().unwrap();
        assert_eq!((&rest.bytes[..], rest.dropped), (&b"d"[..], 0));
        assert!(buffer.finish().is_none());
    }
}
