//! The least and the greatest value of a column and of its pages.
//!
//! Owns their order (that of the column's type) and how the footer has them.

use parquet::basic::{ConvertedType, Type};
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use super::values::Values;
use crate::flow::{NO_VALUE, RowRuns};

/// Longer values are no bounds: a footer is read whole.
const MOST_BOUND: usize = 256;

/// The values of a column in their order.
pub(super) struct Bounds<'a> {
    values: &'a Values,
    physical: Type,
    /// Values by their place.
    ordered: Vec<u32>,
    /// Place of each value.
    places: Vec<u32>,
}

impl<'a> Bounds<'a> {
    /// `None` where a value is too long, or of a type whose order is not known here.
    pub(super) fn new(column: &ColumnDescPtr, values: &'a Values) -> Option<Self> {
        let all = 0..values.len() as u32;
        let mut ordered: Vec<u32> = all.clone().collect();
        let physical = column.physical_type();
        match physical {
            Type::BYTE_ARRAY => {
                if all
                    .clone()
                    .any(|value| values.get(value).len() > MOST_BOUND)
                {
                    return None;
                }
                ordered.sort_unstable_by_key(|&value| values.get(value));
            }
            Type::INT32 => {
                let unsigned = matches!(
                    column.converted_type(),
                    ConvertedType::UINT_8 | ConvertedType::UINT_32
                );
                ordered.sort_unstable_by_key(|&value| {
                    let number = number(values.get(value));
                    if unsigned {
                        i64::from(number as u32)
                    } else {
                        i64::from(number)
                    }
                });
            }
            _ => return None,
        }
        let mut places = vec![0; ordered.len()];
        for (place, &value) in (0..).zip(&ordered) {
            places[value as usize] = place;
        }
        Some(Self {
            values,
            physical,
            ordered,
            places,
        })
    }

    /// Least and greatest of some rows, `None` where none has a value.
    pub(super) fn of(&self, runs: &RowRuns) -> Option<(&[u8], &[u8])> {
        let (mut least, mut most) = (u32::MAX, 0);
        let values = runs.as_slice().iter().map(|&(value, _)| value);
        for value in values.filter(|&value| value != NO_VALUE) {
            let place = self.places[value as usize];
            least = least.min(place);
            most = most.max(place);
        }
        let get = |place: u32| self.values.get(self.ordered[place as usize]);
        (least <= most).then(|| (get(least), get(most)))
    }

    /// What the footer says of the whole column.
    pub(super) fn statistics(&self) -> Statistics {
        let get = |value: Option<&u32>| value.map(|&value| self.values.get(value));
        let (least, most) = (get(self.ordered.first()), get(self.ordered.last()));
        let nulls = Some(self.values.runs.nulls() as u64);
        if self.physical == Type::INT32 {
            let (least, most) = (least.map(number), most.map(number));
            ValueStatistics::new(least, most, None, nulls, false).into()
        } else {
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| ByteArray::from(bytes.to_vec()));
            ValueStatistics::new(text(least), text(most), None, nulls, false).into()
        }
    }
}

/// What the footer says of a column without any value.
pub(super) fn nothing(column: &ColumnDescPtr, rows: usize) -> Statistics {
    let nulls = Some(rows as u64);
    match column.physical_type() {
        Type::BOOLEAN => ValueStatistics::<bool>::new(None, None, None, nulls, false).into(),
        Type::INT32 => ValueStatistics::<i32>::new(None, None, None, nulls, false).into(),
        Type::INT64 => ValueStatistics::<i64>::new(None, None, None, nulls, false).into(),
        Type::INT96 => ValueStatistics::<Int96>::new(None, None, None, nulls, false).into(),
        Type::FLOAT => ValueStatistics::<f32>::new(None, None, None, nulls, false).into(),
        Type::DOUBLE => ValueStatistics::<f64>::new(None, None, None, nulls, false).into(),
        Type::BYTE_ARRAY => {
            ValueStatistics::<ByteArray>::new(None, None, None, nulls, false).into()
        }
        Type::FIXED_LEN_BYTE_ARRAY => {
            ValueStatistics::<FixedLenByteArray>::new(None, None, None, nulls, false).into()
        }
    }
}

fn number(bytes: &[u8]) -> i32 {
    bytes.try_into().map_or(0, i32::from_le_bytes)
}
