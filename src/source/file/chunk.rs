//! A file in pieces that can be read on their own, on any core.
//!
//! Owns where a piece may end: at the end of a line, before a line that begins an
//! object where there is one, so that pretty-printed objects stay whole; in a file that
//! is a JSON array or is printed over many lines, at the end of an object. Holds one
//! piece and the beginning of the next; a line over [`MAX_LINE`] is dropped and counted.

use std::io::{self, Read};

use bytes::Bytes;

use super::decode;
use super::room::Room;

/// Bytes a piece has at least, except the last.
const CHUNK: usize = 512 << 10;
/// Longest line or object that is kept: 256 times what the Hubble CLI reads.
/// While it is worked on there are about four copies of it (read, written, and in the
/// dictionaries as text and as bytes); one that is not as Hubble writes it is a fifth and
/// sixth time there, as JSON and as a message.
pub const MAX_LINE: usize = 16 << 20;

/// A piece of a file.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Its bytes: whole lines, or whole objects.
    pub bytes: Bytes,
    /// Lines over [`MAX_LINE`] that were dropped before it.
    pub dropped: u64,
    /// The stream ended with an error after this piece, such as damaged compression.
    pub damaged: Option<String>,
}

/// Cuts a stream into pieces.
pub struct ChunkReader<R> {
    reader: R,
    size: usize,
    carry: Room,
    layout: Option<Layout>,
    finished: bool,
    eager: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// An object a line.
    Lines,
    /// Objects over many lines, or inside an array.
    Documents(Depth),
}

impl<R: Read> ChunkReader<R> {
    /// Reads from `reader`.
    pub fn new(reader: R) -> Self {
        Self::with_size(reader, CHUNK)
    }

    /// Reads in pieces of at least `size` bytes.
    pub(super) fn with_size(reader: R, size: usize) -> Self {
        Self {
            reader,
            size,
            carry: Room::default(),
            layout: None,
            finished: false,
            eager: false,
        }
    }

    /// Reads from something that may be slower than we are, such as a pipe: a piece is
    /// what has come so far.
    pub fn eager(reader: R) -> Self {
        Self {
            eager: true,
            ..Self::new(reader)
        }
    }

    /// The next piece, `None` at the end.
    pub fn next_chunk(&mut self) -> Option<Chunk> {
        let mut dropped = 0;
        let mut damaged = None;
        let mut bytes = std::mem::take(&mut self.carry);
        let mut scanned = 0;
        let mut searched = 0;
        loop {
            let wanted = if bytes.len() < self.size {
                self.size
            } else {
                bytes.len() + self.size
            };
            if !self.finished
                && let Err(cause) = self.fill(&mut bytes, wanted)
            {
                damaged = Some(cause.to_string());
                self.finished = true;
            }
            if self.finished {
                break;
            }
            if self.eager
                && memchr::memchr(b'\n', &bytes[searched..]).is_none()
                && bytes.len() <= MAX_LINE
            {
                searched = bytes.len();
                continue;
            }
            if self.layout.is_none() {
                self.layout = sniff(&bytes);
                // Another layout looks for other ends.
                scanned = 0;
            }
            let layout = self.layout.unwrap_or(Layout::Lines);
            if let Some(end) = self.cut(layout, &bytes, &mut scanned) {
                let mut carry = Vec::with_capacity(self.size + (bytes.len() - end));
                carry.extend_from_slice(&bytes[end..]);
                self.carry = Room::Usual(carry);
                bytes.truncate(end);
                break;
            }
            if bytes.len() > MAX_LINE {
                dropped += 1;
                (scanned, searched) = (0, 0);
                // Not its room either: that would go along with a small piece.
                let mut rest = Vec::new();
                bytes = Room::default();
                if let Err(cause) = self.skip_line(&mut rest) {
                    damaged = Some(cause.to_string());
                    self.finished = true;
                }
                if !rest.is_empty() {
                    bytes = Room::Usual(rest);
                }
                self.layout = Some(Layout::Lines);
            }
        }
        if bytes.is_empty() && dropped == 0 && damaged.is_none() {
            return None;
        }
        Some(Chunk {
            bytes: bytes.into_bytes(),
            dropped,
            damaged,
        })
    }

    fn fill(&mut self, bytes: &mut Room, wanted: usize) -> io::Result<()> {
        if self.eager {
            return self.fill_eagerly(bytes);
        }
        let missing = wanted - bytes.len();
        bytes.reserve(missing, MAX_LINE + 2 * self.size);
        let read = bytes.read(&mut self.reader, missing)?;
        self.finished = read < missing;
        Ok(())
    }

    /// Reads until the source has nothing ready, as far as a short read tells.
    fn fill_eagerly(&mut self, bytes: &mut Room) -> io::Result<()> {
        const PIPE: usize = 1 << 16;
        let wanted = bytes.len() + CHUNK;
        while bytes.len() < wanted {
            bytes.reserve(PIPE, MAX_LINE + 2 * self.size);
            let read = match bytes.read_once(&mut self.reader, PIPE) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Ok(0) => {
                    self.finished = true;
                    0
                }
                other => other?,
            };
            if read < PIPE {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Where the piece ends, or `None` where more has to be read. `scanned` remembers
    /// how far earlier tries have looked.
    fn cut(&mut self, layout: Layout, bytes: &[u8], scanned: &mut usize) -> Option<usize> {
        match layout {
            Layout::Lines if self.eager => {
                memchr::memrchr(b'\n', &bytes[*scanned..]).map(|newline| *scanned + newline + 1)
            }
            Layout::Lines => {
                // What was looked at ends no piece, but for a line break right at its end,
                // whose next line was not there.
                let known = scanned.saturating_sub(1);
                *scanned = bytes.len();
                memchr::memchr(b'\n', &bytes[known..])?;
                let mut end = bytes.len();
                while let Some(newline) = memchr::memrchr(b'\n', &bytes[..end]) {
                    if bytes.get(newline + 1) == Some(&b'{') {
                        return Some(newline + 1);
                    }
                    end = newline;
                }
                last_whole_line(bytes)
            }
            Layout::Documents(mut depth) => {
                let end = depth.scan(&bytes[*scanned..]).map(|end| *scanned + end);
                *scanned = bytes.len();
                if let Some(end) = end {
                    // What follows is scanned again with the next piece.
                    self.layout = Some(Layout::Documents(Depth::default()));
                    return Some(end);
                }
                self.layout = Some(Layout::Documents(depth));
                None
            }
        }
    }

    /// Reads on to the end of the line; what follows it is left in `rest`.
    fn skip_line(&mut self, rest: &mut Vec<u8>) -> io::Result<()> {
        loop {
            rest.clear();
            let read = self.reader.by_ref().take(1 << 16).read_to_end(rest)?;
            if let Some(newline) = memchr::memchr(b'\n', rest) {
                rest.drain(..=newline);
                return Ok(());
            }
            if read < 1 << 16 {
                rest.clear();
                self.finished = true;
                return Ok(());
            }
        }
    }
}

/// The end of the last line that the next one does not continue, as lines do that a
/// container runtime has cut.
fn last_whole_line(bytes: &[u8]) -> Option<usize> {
    let mut newline = memchr::memrchr(b'\n', bytes)?;
    loop {
        let before = memchr::memrchr(b'\n', &bytes[..newline]);
        let line = &bytes[before.map_or(0, |before| before + 1)..newline];
        match decode::cri(line.trim_ascii()) {
            Some((_, false)) => newline = before?,
            _ => return Some(newline + 1),
        }
    }
}

/// Decides how a file is laid out by its first object that is not empty.
fn sniff(bytes: &[u8]) -> Option<Layout> {
    let mut lines = bytes.split(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let line = line.trim_ascii();
        match line.first() {
            Some(b'[') => return Some(Layout::Documents(Depth::default())),
            Some(b'{') if !is_empty_object(line) => {
                let mut depth = Depth::default();
                let closed = depth.scan(line);
                if closed.is_none() && lines.peek().is_none() {
                    // Its line goes on.
                    return None;
                }
                return Some(if depth.braces == 0 && !depth.in_string {
                    Layout::Lines
                } else {
                    Layout::Documents(Depth::default())
                });
            }
            _ => {}
        }
    }
    None
}

fn is_empty_object(line: &[u8]) -> bool {
    let inner = line
        .strip_prefix(b"{")
        .and_then(|rest| rest.strip_suffix(b"}"));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

/// Whether a file that begins so holds an object a line, from its first line on.
pub(super) fn is_lines(start: &[u8]) -> bool {
    start.trim_ascii_start().first() == Some(&b'{')
        && sniff(start).is_none_or(|layout| layout == Layout::Lines)
}

/// Follows braces and strings through a text that need not be valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Depth {
    braces: u32,
    in_string: bool,
    escaped: bool,
    line_start: bool,
}

impl Depth {
    /// Goes through `text`; the end of the last object that closed in it.
    fn scan(&mut self, text: &[u8]) -> Option<usize> {
        let mut last = None;
        for (at, &byte) in text.iter().enumerate() {
            let line_start = std::mem::replace(&mut self.line_start, byte == b'\n');
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    // A string cannot hold a line break: something was cut off.
                    b'"' | b'\n' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' if self.braces > 0 => self.in_string = true,
                b'{' if line_start => self.braces = 1,
                b'{' => self.braces += 1,
                b'}' => {
                    self.braces = self.braces.saturating_sub(1);
                    if self.braces == 0 {
                        last = Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &[u8]) -> Vec<Vec<u8>> {
        let mut reader = ChunkReader::new(text);
        std::iter::from_fn(|| reader.next_chunk())
            .map(|chunk| chunk.bytes.to_vec())
            .collect()
    }

    #[test]
    fn pieces_add_up_and_end_with_lines() {
        let text: Vec<u8> = (0..200_000)
            .flat_map(|n| format!("{{\"n\":{n}, \"pad\":\"xxxxxxxxxxxx\"}}\n").into_bytes())
            .collect();
        let pieces = pieces(&text);
        assert!(pieces.len() > 2);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.ends_with(b"\n") && piece.starts_with(b"{"))
        );
        assert_eq!(pieces.concat(), text);
    }

    #[test]
    fn pretty_objects_and_arrays_stay_whole() {
        let object = format!("  {{\n    \"pad\": \"{}}}\"\n  }}", "y{".repeat(4000));
        let text = format!("[\n{}\n]\n", vec![object; 800].join(",\n"));
        let pieces = pieces(text.as_bytes());
        assert!(pieces.len() > 2);
        for piece in &pieces[..pieces.len() - 1] {
            assert!(
                piece.ends_with(b"  }"),
                "{:?}",
                String::from_utf8_lossy(&piece[piece.len() - 20..])
            );
        }
        assert_eq!(pieces.concat(), text.as_bytes());
    }

    #[test]
    fn an_empty_object_in_front_does_not_hide_that_a_file_is_pretty() {
        let object = "{\n  \"a\": {\n  }\n}\n".to_owned();
        let text = format!("a log line\n{{}}\n{{ }}\n{}", object.repeat(200_000));
        let pieces = pieces(text.as_bytes());
        assert!(pieces.len() > 2);
        for piece in &pieces {
            let count = |wanted| memchr::memchr_iter(wanted, piece).count();
            assert_eq!(count(b'{'), count(b'}'));
        }
        assert_eq!(pieces.concat(), text.as_bytes());
    }

    #[test]
    fn a_pipe_that_has_sent_an_empty_object_may_go_on_with_pretty_ones() {
        let pretty = b"{\n\"a\":\n{\n}\n}\n";
        let sent = (&b"{}\n"[..]).chain(&pretty[..9]).chain(&pretty[9..]);
        let mut reader = ChunkReader::eager(sent);
        let pieces: Vec<Vec<u8>> = std::iter::from_fn(|| reader.next_chunk())
            .map(|chunk| chunk.bytes.to_vec())
            .filter(|piece| !piece.trim_ascii().is_empty())
            .collect();
        assert_eq!(pieces, [&b"{}\n"[..], &pretty[..pretty.len() - 1]]);
    }

    #[test]
    fn a_line_without_an_end_is_dropped_and_counted() {
        let mut text = vec![b'x'; MAX_LINE + CHUNK + 5];
        text.extend_from_slice(b"\n{\"time\":\"\"}\n");
        let mut reader = ChunkReader::new(text.as_slice());
        let first = reader.next_chunk().unwrap();
        assert_eq!(first.dropped, 1);
        assert_eq!(&first.bytes[..], b"{\"time\":\"\"}\n");
        // The room that the long line took is not handed on with a short piece.
        let room = first.bytes.try_into_mut().map(|bytes| bytes.capacity());
        assert!(room.is_ok_and(|room| room < 2 * CHUNK));
        assert!(reader.next_chunk().is_none());
    }

    /// Scenario: the first line is longer than a piece, and others follow.
    /// Guarantees: it is a piece as any other, and the file is still one of lines.
    #[test]
    fn a_long_first_line_does_not_make_a_file_pretty() {
        let long = format!("{{\"a\":{{\"pad\":\"{}\"}}}}\n", "x".repeat(MAX_LINE - 100));
        let short = "{\"b\":{}}\n".repeat(100_000);
        let text = format!("{long}{short}{long}");
        for eager in [false, true] {
            let mut reader = if eager {
                ChunkReader::eager(text.as_bytes())
            } else {
                ChunkReader::new(text.as_bytes())
            };
            let mut whole = Vec::new();
            while let Some(chunk) = reader.next_chunk() {
                assert_eq!(chunk.dropped, 0);
                assert!(chunk.bytes.ends_with(b"\n"));
                whole.extend_from_slice(&chunk.bytes);
            }
            assert!(whole == text.as_bytes(), "eager: {eager}");
            assert_eq!(reader.layout, Some(Layout::Lines));
        }
    }

    /// Scenario: objects follow each other without a line break.
    /// Guarantees: they are cut between two of them.
    #[test]
    fn objects_on_one_endless_line_are_cut_between_them() {
        let text = "{\"a\":{\"b\":1}}".repeat(2 * CHUNK / 10);
        let mut reader = ChunkReader::new(text.as_bytes());
        let mut pieces = 0;
        while let Some(chunk) = reader.next_chunk() {
            assert_eq!(chunk.dropped, 0);
            assert!(chunk.bytes.ends_with(b"}}"));
            pieces += 1;
        }
        assert!(pieces > 1);
    }
}
