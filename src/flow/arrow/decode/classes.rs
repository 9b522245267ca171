//! Rows that say the same in the columns which few rows fill.
//!
//! Owns numbering what rows say there, so that it is put together once for all rows that
//! say it: of policies mostly, which thousands of rows name alike.

use std::hash::Hash;

use arrow::array::{Array, ArrowPrimitiveType, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int32Type, UInt32Type, UInt64Type};
use hashbrown::HashMap;

use super::Decoded;
use super::input::{Input, filled, wrong_type};
use crate::flow::arrow::COLUMNS;

/// The first of the columns, which are the last ones of the schema.
const FIRST: &str = "policies";
/// Columns of which nearly each row has a value of its own: such rows are not compared.
const OWN: [&str; 4] = ["l7_type", "l7_latency_ns", "socket_cookie", "extra"];

/// A row that is not compared with others.
const ALONE: u32 = 1 << 31;

/// What each row says, by number.
pub(super) struct Classes {
    /// A row of each class.
    pub(super) firsts: Vec<usize>,
    /// The class of each row, from 1; 0 for one that says nothing. Empty where no row says
    /// anything.
    pub(super) rows: Vec<u32>,
}

impl Classes {
    /// Looks at every column.
    pub(super) fn of(input: &Input<'_>) -> Decoded<Self> {
        let mut split = Split {
            rows: Vec::new(),
            next: 1,
        };
        for column in OWN {
            split.alone(input, column);
        }
        for (column, ..) in COLUMNS.iter().skip_while(|(name, ..)| *name != FIRST) {
            if !OWN.contains(column) {
                split.column(input, column)?;
            }
        }
        Ok(split.classes())
    }
}

/// Classes that are split further by each column.
struct Split {
    rows: Vec<u32>,
    next: u32,
}

impl Split {
    /// Gives every row with a value a class of its own.
    fn alone(&mut self, input: &Input<'_>, column: &str) {
        let Some(array) = input.some(column) else {
            return;
        };
        self.rows.resize(array.len(), 0);
        for row in filled(array.len(), array.nulls()) {
            let class = &mut self.rows[row];
            if *class == 0 {
                *class = self.next | ALONE;
                self.next += 1;
            }
        }
    }

    fn column(&mut self, input: &Input<'_>, column: &'static str) -> Decoded<()> {
        let Some(array) = input.some(column) else {
            return Ok(());
        };
        self.rows.resize(array.len(), 0);
        match array.data_type() {
            DataType::Int32 => self.numbers::<Int32Type>(array),
            DataType::UInt32 => self.numbers::<UInt32Type>(array),
            DataType::UInt64 => self.numbers::<UInt64Type>(array),
            DataType::Dictionary(..) => {
                let keys = array.as_dictionary_opt::<UInt32Type>();
                let keys = keys.ok_or_else(|| wrong_type(column, array))?.keys();
                self.by(keys.len(), keys.nulls(), |row| keys.value(row));
            }
            DataType::Utf8 => {
                let texts = array.as_string::<i32>();
                self.by(texts.len(), texts.nulls(), |row| texts.value(row));
            }
            DataType::Binary => {
                let bytes = array.as_binary::<i32>();
                self.by(bytes.len(), bytes.nulls(), |row| bytes.value(row));
            }
            _ => return Err(wrong_type(column, array)),
        }
        Ok(())
    }

    fn numbers<T: ArrowPrimitiveType<Native: Eq + Hash>>(&mut self, array: &dyn Array) {
        let numbers = array.as_primitive::<T>();
        self.by(numbers.len(), numbers.nulls(), |row| numbers.value(row));
    }

    /// Tells rows apart by their values; those without stay together.
    fn by<V: Copy + Eq + Hash>(
        &mut self,
        rows: usize,
        nulls: Option<&NullBuffer>,
        value: impl Fn(usize) -> V,
    ) {
        let Self {
            rows: classes,
            next,
        } = self;
        let mut known: HashMap<(u32, V), u32, foldhash::fast::RandomState> = HashMap::default();
        let mut last: Option<((u32, V), u32)> = None;
        for row in filled(rows, nulls) {
            let class = &mut classes[row];
            if *class & ALONE != 0 {
                continue;
            }
            let key = (*class, value(row));
            let number = match last {
                Some((same, number)) if same == key => number,
                _ => *known.entry(key).or_insert_with(|| {
                    *next += 1;
                    *next - 1
                }),
            };
            last = Some((key, number));
            *class = number;
        }
    }

    /// The classes that rows are left in, numbered by their first rows.
    fn classes(self) -> Classes {
        let mut places = vec![0; self.next as usize];
        let mut firsts = Vec::new();
        let mut rows = self.rows;
        for (row, class) in rows
            .iter_mut()
            .enumerate()
            .filter(|(_, class)| **class != 0)
        {
            let place = &mut places[(*class & !ALONE) as usize];
            if *place == 0 {
                firsts.push(row);
                *place = firsts.len() as u32;
            }
            *class = *place;
        }
        Classes { firsts, rows }
    }
}
