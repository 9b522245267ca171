//! Endpoints that were decoded before, by their columns.
//!
//! Owns that an endpoint which comes in every row group is taken apart once: its labels
//! are one text in a file. Bounded, and forgotten with the ids it holds.

use hashbrown::HashMap;

use crate::flow::Interner;

/// Bytes of columns that are remembered.
const MOST_BYTES: usize = 8 << 20;

/// Ids of endpoints by their columns.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    epoch: u64,
    known: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
    bytes: usize,
    key: Vec<u8>,
}

impl Memory {
    /// Forgets what an interner has forgotten.
    pub(super) fn follow(&mut self, interner: &Interner) {
        if self.epoch != interner.epoch() || self.bytes > MOST_BYTES {
            self.epoch = interner.epoch();
            self.known.clear();
            self.bytes = 0;
        }
    }

    /// The id of an endpoint with these columns; `make` is called for a new one.
    pub(super) fn endpoint<'a>(
        &mut self,
        numbers: [u32; 2],
        texts: impl Iterator<Item = Option<&'a str>>,
        make: impl FnOnce() -> u32,
    ) -> u32 {
        self.key.clear();
        for number in numbers {
            self.key.extend_from_slice(&number.to_le_bytes());
        }
        for text in texts {
            // A length that no text has stands for none.
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            self.key.extend_from_slice(&length.to_le_bytes());
            self.key
                .extend_from_slice(text.unwrap_or_default().as_bytes());
        }
        if let Some(&id) = self.known.get(&*self.key) {
            return id;
        }
        let id = make();
        if self.bytes <= MOST_BYTES {
            self.bytes += self.key.len() + size_of::<(Box<[u8]>, u32)>();
            self.known.insert(self.key.as_slice().into(), id);
        }
        id
    }
}
