//! The distinct values of a column in a row group, and which of them each row has.
//!
//! Owns making a dictionary of texts from that of Arrow, whose values may repeat, and of
//! numbers from the rows. Rows are then numbers, and all that is asked of values (order,
//! filters) is asked once for each.

use std::hash::BuildHasher;

use arrow::array::{Array, BinaryArray, StringArray, UInt32Array};
use arrow::buffer::NullBuffer;
use foldhash::fast::RandomState;
use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};

/// The value of a row that has none.
pub(super) const NONE: u32 = u32::MAX;
/// Numbers of a column that are worth a dictionary.
const MOST_NUMBERS: usize = 8 << 10;
/// Numbers below it, such as ports, are looked up by themselves.
const SMALL: u32 = 1 << 16;

/// Distinct values, in the order in which they were found.
pub(super) struct Values {
    /// As a dictionary page has them.
    pub(super) plain: Vec<u8>,
    /// Where in `plain` each value lies, without its length.
    pub(super) ranges: Vec<(u32, u32)>,
    /// The rows.
    pub(super) runs: Runs,
}

/// Rows as runs of one value: its number, or [`NONE`], and how many rows have it. Rows are
/// sorted so that neighbours are alike: most columns have far fewer runs than rows.
#[derive(Default)]
pub(super) struct Runs {
    runs: Vec<(u32, u32)>,
    rows: usize,
}

impl Runs {
    #[inline]
    pub(super) fn push(&mut self, value: u32, count: u32) {
        self.rows += count as usize;
        match self.runs.last_mut() {
            Some((last, rows)) if *last == value => *rows += count,
            _ => self.runs.push((value, count)),
        }
    }

    pub(super) fn as_slice(&self) -> &[(u32, u32)] {
        &self.runs
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Rows without a value.
    pub(super) fn nulls(&self) -> usize {
        let nulls = self.runs.iter().filter(|(value, _)| *value == NONE);
        nulls.map(|(_, rows)| *rows as usize).sum()
    }

    /// The same rows in parts of at most `most`.
    pub(super) fn parts(&self, most: usize) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut part = Self::default();
        for &(value, mut left) in &self.runs {
            while left > 0 {
                let now = left.min((most - part.rows) as u32);
                part.push(value, now);
                left -= now;
                if part.rows == most {
                    parts.push(std::mem::take(&mut part));
                }
            }
        }
        if part.rows > 0 {
            parts.push(part);
        }
        parts
    }
}

impl Values {
    pub(super) fn get(&self, value: u32) -> &[u8] {
        let (start, end) = self.ranges[value as usize];
        &self.plain[start as usize..end as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// A column of texts by the numbers of its values; `None` where they take more than
    /// `most` bytes.
    pub(super) fn of_texts(keys: &UInt32Array, texts: &StringArray, most: usize) -> Option<Self> {
        let mut found = Distinct::new(texts.len(), most);
        let mut renamed = Vec::with_capacity(texts.len());
        for text in texts {
            renamed.push(match text {
                Some(text) => found.add(text.as_bytes())?,
                None => NONE,
            });
        }
        let value = |key: u32| renamed.get(key as usize).copied().unwrap_or(NONE);
        Some(found.values(runs(keys.values(), keys.nulls(), |key| Some(value(key)))?))
    }

    /// A column of bytes; `None` where the distinct ones take more than `most` bytes.
    pub(super) fn of_bytes(bytes: &BinaryArray, most: usize) -> Option<Self> {
        let mut found = Distinct::new(0, most);
        let mut runs = Runs::default();
        // Neighbours are often the same.
        let mut last: (Option<&[u8]>, u32) = (None, NONE);
        for value in bytes {
            if value != last.0 {
                last = (value, value.map_or(Some(NONE), |value| found.add(value))?);
            }
            runs.push(last.1, 1);
        }
        Some(found.values(runs))
    }

    /// A column of numbers as their bits; `None` where nearly all differ.
    pub(super) fn of_numbers(numbers: &[u32], there: Option<&NullBuffer>) -> Option<Self> {
        let mut known = Numbers::new(numbers);
        let (mut plain, mut ranges) = (Vec::new(), Vec::new());
        let runs = runs(numbers, there, |bits| {
            let value = known.place(bits, ranges.len() as u32);
            if value as usize == ranges.len() {
                if ranges.len() >= MOST_NUMBERS {
                    return None;
                }
                let start = plain.len() as u32;
                plain.extend_from_slice(&bits.to_le_bytes());
                ranges.push((start, start + 4));
            }
            Some(value)
        })?;
        Some(Self {
            plain,
            ranges,
            runs,
        })
    }

    /// A column without any value.
    pub(super) fn nothing(rows: usize) -> Self {
        let mut runs = Runs::default();
        if rows > 0 {
            runs.push(NONE, rows as u32);
        }
        Self {
            plain: Vec::new(),
            ranges: Vec::new(),
            runs,
        }
    }
}

/// The runs of a column of numbers; `value` is asked once for each run of one number, and
/// ends it all by `None`.
fn runs(
    numbers: &[u32],
    there: Option<&NullBuffer>,
    mut value: impl FnMut(u32) -> Option<u32>,
) -> Option<Runs> {
    let mut runs = Runs::default();
    let (mut last, mut rows) = (None, 0);
    let mut add = |next: Option<u32>| {
        if next == last && rows > 0 {
            rows += 1;
            return Some(());
        }
        if rows > 0 {
            runs.push(last.map_or(Some(NONE), &mut value)?, rows);
        }
        (last, rows) = (next, 1);
        Some(())
    };
    match there {
        None => numbers.iter().try_for_each(|&number| add(Some(number)))?,
        Some(there) => {
            let mut both = numbers.iter().zip(there);
            both.try_for_each(|(&number, there)| add(there.then_some(number)))?;
        }
    }
    if rows > 0 {
        runs.push(last.map_or(Some(NONE), &mut value)?, rows);
    }
    Some(runs)
}

/// Numbers that were found, with their places.
enum Numbers {
    /// By the number, where all are small; 0 for none, else the place from 1.
    Small(Vec<u32>),
    Any(HashMap<u32, u32, RandomState>),
}

impl Numbers {
    fn new(numbers: &[u32]) -> Self {
        match numbers.iter().max() {
            Some(&most) if most < SMALL => Self::Small(vec![0; most as usize + 1]),
            _ => Self::Any(HashMap::default()),
        }
    }

    /// The place of a number: `next` for one that is new.
    #[inline]
    fn place(&mut self, bits: u32, next: u32) -> u32 {
        match self {
            Self::Small(places) => {
                let place = &mut places[bits as usize];
                if *place == 0 {
                    *place = next + 1;
                }
                *place - 1
            }
            Self::Any(places) => *places.entry(bits).or_insert(next),
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
    fn new(expected: usize, most: usize) -> Self {
        Self {
            plain: Vec::new(),
            ranges: Vec::new(),
            known: HashTable::with_capacity(expected),
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

    fn values(self, runs: Runs) -> Values {
        Values {
            plain: self.plain,
            ranges: self.ranges,
            runs,
        }
    }
}
