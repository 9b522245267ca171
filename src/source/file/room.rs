//! The memory that a piece is read into.
//!
//! Owns where the bytes of a line of unusual length are: in memory that comes from the
//! system for this piece alone, and goes back to it at once. An allocator would keep what
//! was freed for a while, and copy on the way to such a size. Does not know lines.

use std::io::{self, Read};
use std::ops::Deref;

use bytes::Bytes;
use memmap2::MmapMut;

/// Bytes from which on memory is the system's.
const LONG: usize = 2 << 20;
/// Bytes that are read at once.
const BLOCK: usize = 1 << 20;

/// Bytes that were read so far.
#[derive(Debug)]
pub(super) enum Room {
    /// As other memory.
    Usual(Vec<u8>),
    /// For a line of unusual length.
    Long(Long),
}

#[derive(Debug)]
pub(super) struct Long {
    map: MmapMut,
    length: usize,
}

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        self.map.get(..self.length).unwrap_or_default()
    }
}

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Usual(bytes) => bytes,
            Self::Long(long) => long.as_ref(),
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::Usual(Vec::new())
    }
}

impl Room {
    /// Makes place for `more` bytes. From a certain size on it is for `most` in all at
    /// once: pages that are not written cost nothing.
    pub(super) fn reserve(&mut self, more: usize, most: usize) {
        let wanted = self.len() + more;
        match self {
            Self::Usual(bytes) if wanted > LONG && wanted > bytes.capacity() => {
                match Long::of(bytes, most.max(wanted)) {
                    Ok(long) => *self = Self::Long(long),
                    // What the system has none of, the allocator may have.
                    Err(_) => bytes.reserve_exact(most.max(wanted) - bytes.len()),
                }
            }
            Self::Usual(bytes) => bytes.reserve(more),
            Self::Long(long) if wanted > long.map.len() => {
                let bytes = long.as_ref();
                *self = match Long::of(bytes, most.max(wanted)) {
                    Ok(long) => Self::Long(long),
                    Err(_) => Self::Usual([bytes, &vec![0; more]].concat()),
                };
                let length = wanted - more;
                self.truncate(length);
            }
            Self::Long(_) => {}
        }
    }

    /// Reads until `more` bytes came or the end did; returns how many came.
    ///
    /// # Errors
    /// That of the reader; what came before it stays.
    pub(super) fn read(&mut self, reader: &mut impl Read, more: usize) -> io::Result<usize> {
        match self {
            Self::Usual(bytes) => reader.take(more as u64).read_to_end(bytes),
            Self::Long(long) => {
                let mut came = 0;
                while came < more {
                    match long.read(reader, more - came) {
                        Ok(0) => break,
                        Ok(read) => came += read,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(came)
            }
        }
    }

    /// Reads once, `most` bytes at most.
    ///
    /// # Errors
    /// That of the reader.
    pub(super) fn read_once(&mut self, reader: &mut impl Read, most: usize) -> io::Result<usize> {
        match self {
            Self::Usual(bytes) => {
                let start = bytes.len();
                bytes.resize(start + most, 0);
                let read = reader.read(&mut bytes[start..]);
                bytes.truncate(start + read.as_ref().unwrap_or(&0));
                read
            }
            Self::Long(long) => long.read(reader, most),
        }
    }

    pub(super) fn truncate(&mut self, length: usize) {
        match self {
            Self::Usual(bytes) => bytes.truncate(length),
            Self::Long(long) => long.length = length.min(long.length),
        }
    }

    /// The bytes, to be shared.
    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Usual(bytes) => bytes.into(),
            Self::Long(long) => Bytes::from_owner(long),
        }
    }
}

impl Long {
    fn of(bytes: &[u8], room: usize) -> io::Result<Self> {
        let mut map = MmapMut::map_anon(room)?;
        if let Some(place) = map.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
        }
        Ok(Self {
            map,
            length: bytes.len(),
        })
    }

    fn read(&mut self, reader: &mut impl Read, most: usize) -> io::Result<usize> {
        let end = self.length.saturating_add(most.min(BLOCK));
        let end = end.min(self.map.len());
        let Some(free) = self.map.get_mut(self.length..end) else {
            return Ok(0);
        };
        let read = reader.read(free)?;
        self.length += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 31 % 251) as u8).collect()
    }

    #[test]
    fn what_is_read_is_there_whatever_the_memory() {
        let text = text(3 * LONG);
        let mut reader = text.as_slice();
        let mut room = Room::default();
        for step in [10, LONG, LONG, 2 * LONG] {
            room.reserve(step, 3 * LONG);
            room.read(&mut reader, step).unwrap();
        }
        assert!(matches!(room, Room::Long(_)));
        assert_eq!(&*room, &text[..]);
        room.truncate(LONG + 1);
        // More than was said at first.
        room.reserve(4 * LONG, LONG);
        assert_eq!(room.read_once(&mut &[7; 9][..], 9).unwrap(), 9);
        let bytes = room.into_bytes();
        assert_eq!(&bytes[..=LONG], &text[..=LONG]);
        assert_eq!(&bytes[LONG + 1..], &[7; 9]);
    }

    #[test]
    fn little_is_kept_as_other_memory() {
        let mut room = Room::default();
        room.reserve(100, 3 * LONG);
        assert_eq!(room.read(&mut &[1, 2, 3][..], 100).unwrap(), 3);
        assert!(matches!(&room, Room::Usual(bytes) if bytes == &[1, 2, 3]));
    }
}
