//! The distinct values of a column in a row group, and which of them each row has.
//!
//! Owns making a dictionary of texts from that of Arrow, whose values may repeat, and of
//! numbers from the rows. Rows are then numbers, and all that is asked of values (order,
//! filters) is asked once for each.

use std::hash::BuildHasher;

use arrow::array::{Array, StringArray, UInt32Array};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// The value of a row that has none.
pub(super) const NONE: u32 = u32::MAX;
/// Numbers of a column that are worth a dictionary.
const MOST_NUMBERS: usize = 8 << 10;

/// Distinct values, in the order in which they were found.
pub(super) struct Values {
    /// As a dictionary page has them.
    pub(super) plain: Vec<u8>,
    /// Where in `plain` each value lies, without its length.
    pub(super) ranges: Vec<(u32, u32)>,
    /// The value of each row by its number, or [`NONE`].
    pub(super) rows: Vec<u32>,
    /// Rows without a value.
    pub(super) nulls: usize,
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
    pub(super) fn of_texts(keys: &UInt32Array, texts: &StringArray, most: usize) -> Option<Self> {
        let mut out = Self::new(keys.len());
        let mut known: HashTable<u32> = HashTable::with_capacity(texts.len());
        let hasher = RandomState::default();
        let hash = |bytes: &[u8]| hasher.hash_one(bytes);
        let mut renamed = Vec::with_capacity(texts.len());
        for text in texts {
            let Some(text) = text.map(str::as_bytes) else {
                renamed.push(NONE);
                continue;
            };
            let (plain, ranges) = (&mut out.plain, &mut out.ranges);
            let get = |value: u32, plain: &[u8], ranges: &[(u32, u32)]| -> u64 {
                let (start, end) = ranges[value as usize];
                hash(&plain[start as usize..end as usize])
            };
            let entry = known.entry(
                hash(text),
                |&value| {
                    let (start, end) = ranges[value as usize];
                    plain[start as usize..end as usize] == *text
                },
                |&value| get(value, plain, ranges),
            );
            let value = match entry {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let value = ranges.len() as u32;
                    plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
                    let start = plain.len();
                    plain.extend_from_slice(text);
                    if plain.len() > most {
                        return None;
                    }
                    ranges.push((start as u32, plain.len() as u32));
                    entry.insert(value);
                    value
                }
            };
            renamed.push(value);
        }
        match keys.nulls() {
            Some(nulls) => out.rows.extend(
                keys.values()
                    .iter()
                    .zip(nulls)
                    .map(|(&key, there)| if there { renamed[key as usize] } else { NONE }),
            ),
            None => out
                .rows
                .extend(keys.values().iter().map(|&key| renamed[key as usize])),
        }
        out.nulls = out.rows.iter().filter(|&&row| row == NONE).count();
        Some(out)
    }

    /// A column of numbers as their bits; `None` where nearly all differ.
    pub(super) fn of_numbers(numbers: impl Iterator<Item = Option<u32>>) -> Option<Self> {
        let mut out = Self::new(numbers.size_hint().0);
        let mut known: HashTable<(u32, u32)> = HashTable::new();
        let hasher = RandomState::default();
        let hash = |bits: u32| hasher.hash_one(bits);
        let mut last = (None, NONE);
        for number in numbers {
            if last.0 != number {
                last = (number, NONE);
                if let Some(bits) = number {
                    let entry = known.entry(
                        hash(bits),
                        |&(other, _)| other == bits,
                        |&(other, _)| hash(other),
                    );
                    last.1 = match entry {
                        Entry::Occupied(entry) => entry.get().1,
                        Entry::Vacant(entry) => {
                            let value = out.ranges.len() as u32;
                            if out.ranges.len() >= MOST_NUMBERS {
                                return None;
                            }
                            let start = out.plain.len() as u32;
                            out.plain.extend_from_slice(&bits.to_le_bytes());
                            out.ranges.push((start, start + 4));
                            entry.insert((bits, value));
                            value
                        }
                    };
                }
            }
            out.nulls += usize::from(last.1 == NONE);
            out.rows.push(last.1);
        }
        Some(out)
    }

    /// A column without any value.
    pub(super) fn nothing(rows: usize) -> Self {
        Self {
            rows: vec![NONE; rows],
            nulls: rows,
            ..Self::new(0)
        }
    }

    fn new(rows: usize) -> Self {
        Self {
            plain: Vec::new(),
            ranges: Vec::new(),
            rows: Vec::with_capacity(rows),
            nulls: 0,
        }
    }
}
