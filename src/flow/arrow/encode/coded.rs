//! A column as its values and which of them each row has.
//!
//! Owns runs of rows, and columns made of them. Rows of a recording are sorted so that
//! neighbours are alike: what is said once a run need not be said once a row. A column
//! becomes an Arrow array where somebody wants one.

use std::iter::repeat_n;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, DictionaryArray, Int32Array, StringArray,
    UInt8Array, UInt32Array, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, UInt32Type};
use arrow::error::ArrowError;

/// Different numbers of a column that are worth being told apart.
pub const MOST_NUMBERS: usize = 8 << 10;
/// The value of a row that has none.
pub const NO_VALUE: u32 = u32::MAX;

/// Rows as runs of one value: its number, or [`NO_VALUE`], and how many rows have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowRuns {
    runs: Vec<(u32, u32)>,
    rows: usize,
}

impl RowRuns {
    /// Adds rows of one value.
    #[inline]
    pub fn push(&mut self, value: u32, count: u32) {
        self.rows += count as usize;
        match self.runs.last_mut() {
            Some((last, rows)) if *last == value => *rows += count,
            _ => self.runs.push((value, count)),
        }
    }

    /// The runs: value and rows of each.
    #[must_use]
    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.runs
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows without a value.
    #[must_use]
    pub fn nulls(&self) -> usize {
        let nulls = self.runs.iter().filter(|(value, _)| *value == NO_VALUE);
        nulls.map(|(_, rows)| *rows as usize).sum()
    }

    /// The value of each row.
    pub fn each(&self) -> impl Iterator<Item = u32> {
        let runs = self.runs.iter();
        runs.flat_map(|&(value, count)| repeat_n(value, count as usize))
    }

    /// The same rows with other values, asked for once a run; rows without one stay so.
    #[must_use]
    pub fn map(&self, mut to: impl FnMut(u32) -> u32) -> Self {
        let mut mapped = Self {
            runs: Vec::with_capacity(self.runs.len()),
            rows: 0,
        };
        for &(value, count) in &self.runs {
            mapped.push(
                if value == NO_VALUE {
                    NO_VALUE
                } else {
                    to(value)
                },
                count,
            );
        }
        mapped
    }

    /// The same rows in parts of at most `most`.
    #[must_use]
    pub fn parts(&self, most: usize) -> Vec<Self> {
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

impl FromIterator<u32> for RowRuns {
    fn from_iter<I: IntoIterator<Item = u32>>(rows: I) -> Self {
        let mut runs = Self::default();
        let (mut last, mut count) = (NO_VALUE, 0);
        for value in rows {
            if value == last {
                count += 1;
                continue;
            }
            if count > 0 {
                runs.push(last, count);
            }
            (last, count) = (value, 1);
        }
        if count > 0 {
            runs.push(last, count);
        }
        runs
    }
}

/// A column. Values that runs name may be null or there twice, those of `Numbers` are not.
#[derive(Clone, Debug)]
pub enum Coded {
    /// So many rows, none of which has a value.
    Nothing(DataType, usize),
    /// As Arrow has it: nearly all values differ.
    Plain(ArrayRef),
    /// 32 bits or fewer, by their bits.
    Numbers {
        /// Int32, UInt32 or UInt8.
        data_type: DataType,
        /// Each once.
        values: Vec<u32>,
        /// By their places.
        rows: RowRuns,
    },
    /// Texts.
    Texts {
        /// In any order.
        values: StringArray,
        /// By their places.
        rows: Arc<RowRuns>,
    },
    /// Bytes of no other type.
    Bytes {
        /// In any order.
        values: BinaryArray,
        /// By their places.
        rows: Arc<RowRuns>,
    },
}

impl Coded {
    /// The column as Arrow has it.
    ///
    /// # Errors
    /// Those of Arrow, which would be a bug here.
    pub fn array(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Nothing(data_type, rows) => new_null_array(&data_type, rows),
            Self::Plain(array) => array,
            Self::Numbers {
                data_type,
                values,
                rows,
            } => {
                let bits = |place: u32| values.get(place as usize).copied().unwrap_or_default();
                let bits = rows.each().map(bits);
                let nulls = known(&rows);
                match data_type {
                    DataType::Int32 => Arc::new(Int32Array::new(
                        bits.map(|bits| bits as i32).collect::<Vec<_>>().into(),
                        nulls,
                    )),
                    DataType::UInt8 => Arc::new(UInt8Array::new(
                        bits.map(|bits| bits as u8).collect::<Vec<_>>().into(),
                        nulls,
                    )),
                    _ => Arc::new(UInt32Array::new(bits.collect::<Vec<_>>().into(), nulls)),
                }
            }
            Self::Texts { values, rows } => {
                let keys = rows
                    .each()
                    .map(|place| if place == NO_VALUE { 0 } else { place });
                let keys = UInt32Array::new(keys.collect::<Vec<_>>().into(), known(&rows));
                Arc::new(DictionaryArray::<UInt32Type>::try_new(
                    keys,
                    Arc::new(values),
                )?)
            }
            Self::Bytes { values, rows } => {
                let value = |place: u32| {
                    let place = place as usize;
                    (place < values.len() && values.is_valid(place)).then(|| values.value(place))
                };
                let all = rows
                    .as_slice()
                    .iter()
                    .map(|&(place, count)| count as usize * value(place).map_or(0, <[u8]>::len));
                let mut array = BinaryBuilder::with_capacity(rows.rows(), all.sum());
                for place in rows.each() {
                    array.append_option(value(place));
                }
                Arc::new(array.finish())
            }
        })
    }
}

/// Which rows have a value; `None` where all have.
fn known(rows: &RowRuns) -> Option<NullBuffer> {
    (rows.nulls() > 0)
        .then(|| NullBuffer::new(rows.each().map(|place| place != NO_VALUE).collect()))
}
