//! The distinct values of a column in a row group, and which of them each row has.
//!
//! Owns making a dictionary of what a column has, whose values may repeat. Rows are
//! numbers then, and all that is asked of values (order, filters) is asked once for each.

use std::hash::BuildHasher;

use arrow::array::{BinaryArray, StringArray};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::flow::{NO_VALUE, RowRuns};

/// Distinct values, in the order in which they were found.
pub(super) struct Values {
    /// As a dictionary page has them.
    pub(super) plain: Vec<u8>,
    /// Where in `plain` each value lies, without its length.
    pub(super) ranges: Vec<(u32, u32)>,
    /// The rows.
    pub(super) runs: RowRuns,
}

impl Values {
    pub(super) fn get(&self, value: u32) -> &[u8] {
        let (start, end) = self.ranges[value as usize];
        &self.plain[start as usize..end as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// A column of texts; `None` where they take more than `most` bytes.
    pub(super) fn of_texts(texts: &StringArray, rows: &RowRuns, most: usize) -> Option<Self> {
        Self::of(texts.iter().map(|text| text.map(str::as_bytes)), rows, most)
    }

    /// A column of bytes; `None` where they take more than `most` bytes.
    pub(super) fn of_bytes(bytes: &BinaryArray, rows: &RowRuns, most: usize) -> Option<Self> {
        Self::of(bytes, rows, most)
    }

    fn of<'a>(
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
        rows: &RowRuns,
        most: usize,
    ) -> Option<Self> {
        let mut found = Distinct::new(most);
        let mut renamed = Vec::new();
        for value in values {
            renamed.push(match value {
                Some(value) => found.add(value)?,
                None => NO_VALUE,
            });
        }
        let value = |number: u32| renamed.get(number as usize).copied().unwrap_or(NO_VALUE);
        Some(found.values(rows.map(value)))
    }

    /// A column of different numbers, by their bits.
    pub(super) fn of_numbers(numbers: &[u32], rows: RowRuns) -> Self {
        Self {
            plain: numbers.iter().flat_map(|bits| bits.to_le_bytes()).collect(),
            ranges: (0..numbers.len() as u32)
                .map(|at| (4 * at, 4 * at + 4))
                .collect(),
            runs: rows,
        }
    }

    /// A column without any value.
    pub(super) fn nothing(rows: usize) -> Self {
        let mut runs = RowRuns::default();
        if rows > 0 {
            runs.push(NO_VALUE, rows as u32);
        }
        Self {
            plain: Vec::new(),
            ranges: Vec::new(),
            runs,
        }
    }
}

/// Values of any length, each once.
struct Distinct {
    plain: Vec<u8>,
    ranges: Vec<(u32, u32)>,
    known: HashTable<u32>,
    hasher: RandomState,
    most: usize,
}

impl Distinct {
    fn new(most: usize) -> Self {
        Self {
            plain: Vec::new(),
            ranges: Vec::new(),
            known: HashTable::default(),
            hasher: RandomState::default(),
            most,
        }
    }

    /// The number of a value; `None` where there is no room for it.
    fn add(&mut self, value: &[u8]) -> Option<u32> {
        let Self {
            plain,
            ranges,
            known,
            hasher,
            most,
        } = self;
        let get = |at: u32| {
            let (start, end) = ranges[at as usize];
            &plain[start as usize..end as usize]
        };
        let entry = known.entry(
            hasher.hash_one(value),
            |&at| get(at) == value,
            |&at| hasher.hash_one(get(at)),
        );
        match entry {
            Entry::Occupied(entry) => Some(*entry.get()),
            Entry::Vacant(entry) => {
                let number = ranges.len() as u32;
                plain.extend_from_slice(&(value.len() as u32).to_le_bytes());
                let start = plain.len();
                plain.extend_from_slice(value);
                if plain.len() > *most {
                    return None;
                }
                ranges.push((start as u32, plain.len() as u32));
                entry.insert(number);
                Some(number)
            }
        }
    }

    fn values(self, runs: RowRuns) -> Values {
        Values {
            plain: self.plain,
            ranges: self.ranges,
            runs,
        }
    }
}
