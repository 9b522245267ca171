//! Columns of a record by their names, as the types that they have to have.
//!
//! Owns that a column of another type is an error and one without values is none. Texts
//! come as dictionaries or one by one, which is told apart here.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, DictionaryArray, PrimitiveArray, RecordBatch,
    StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, UInt32Type};

use super::{DecodeError, Decoded};

/// A record to be read.
pub(super) struct Input<'a> {
    pub(super) record: &'a RecordBatch,
}

impl<'a> Input<'a> {
    /// A column with at least one value.
    pub(super) fn some(&self, name: &str) -> Option<&'a ArrayRef> {
        self.record
            .column_by_name(name)
            .filter(|array| array.len() > array.null_count())
    }

    pub(super) fn primitive<T: ArrowPrimitiveType>(
        &self,
        column: &'static str,
    ) -> Decoded<Option<&'a PrimitiveArray<T>>> {
        self.some(column)
            .map(|array| {
                array
                    .as_primitive_opt::<T>()
                    .ok_or_else(|| wrong_type(column, array))
            })
            .transpose()
    }

    pub(super) fn whole<T: ArrowPrimitiveType>(
        &self,
        column: &'static str,
        into: &mut Vec<T::Native>,
    ) -> Decoded<()> {
        if let Some(array) = self.primitive::<T>(column)? {
            if array.null_count() > 0 {
                return Err(DecodeError::Null { column });
            }
            into.extend_from_slice(array.values());
        }
        Ok(())
    }

    pub(super) fn text(&self, column: &'static str) -> Decoded<Option<Texts<'a>>> {
        let Some(array) = self.some(column) else {
            return Ok(None);
        };
        let keyed = array.as_any().downcast_ref::<DictionaryArray<UInt32Type>>();
        let plain = array.as_string_opt::<i32>();
        match (keyed, plain) {
            (Some(keyed), _) => {
                let values = keyed
                    .values()
                    .as_string_opt::<i32>()
                    .ok_or_else(|| wrong_type(column, array))?;
                Ok(Some(Texts {
                    keys: Some(keyed.keys()),
                    values,
                }))
            }
            (None, Some(values)) => Ok(Some(Texts { keys: None, values })),
            (None, None) => Err(wrong_type(column, array)),
        }
    }

    /// Bytes, as a dictionary or one by one.
    pub(super) fn binary(&self, column: &'static str) -> Decoded<Option<Blobs<'a>>> {
        let Some(array) = self.some(column) else {
            return Ok(None);
        };
        let keyed = array.as_any().downcast_ref::<DictionaryArray<UInt32Type>>();
        let (keys, values) = match keyed {
            Some(keyed) => (Some(keyed.keys()), keyed.values()),
            None => (None, array),
        };
        let values = values
            .as_binary_opt::<i32>()
            .ok_or_else(|| wrong_type(column, array))?;
        Ok(Some(Blobs { keys, values }))
    }
}

pub(super) fn wrong_type(column: &'static str, array: &ArrayRef) -> DecodeError {
    DecodeError::Type {
        column,
        found: array.data_type().to_string(),
    }
}

/// A column of text, dictionary-encoded or not.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    pub(super) keys: Option<&'a PrimitiveArray<UInt32Type>>,
    pub(super) values: &'a StringArray,
}

/// Stands for null among keys.
pub(super) const NULL: u32 = u32::MAX;

impl<'a> Texts<'a> {
    /// Which value a row has; [`NULL`] for none.
    #[inline]
    pub(super) fn key(&self, row: usize) -> u32 {
        let key = match self.keys {
            Some(keys) if keys.is_null(row) => return NULL,
            Some(keys) => keys.value(row),
            None => row as u32,
        };
        if self.values.is_null(key as usize) {
            NULL
        } else {
            key
        }
    }

    pub(super) fn value(&self, key: u32) -> &'a str {
        self.values.value(key as usize)
    }

    pub(super) fn at(&self, row: usize) -> Option<&'a str> {
        match self.key(row) {
            NULL => None,
            key => Some(self.value(key)),
        }
    }

    /// Rows without a key; a key may have no value all the same.
    pub(super) fn nulls(&self) -> Option<&'a NullBuffer> {
        match self.keys {
            Some(keys) => keys.nulls(),
            None => self.values.nulls(),
        }
    }

    /// Adds an id a row, by `make`, which is called once for each value; 0 for null.
    pub(super) fn ids(
        &self,
        rows: usize,
        into: &mut Vec<u32>,
        mut make: impl FnMut(&'a str) -> u32,
    ) {
        let mut known = vec![NULL; self.values.len()];
        let mut id = |key: u32| {
            let known = &mut known[key as usize];
            if *known == NULL {
                *known = make(self.value(key));
            }
            *known
        };
        match self.keys {
            Some(keys) if keys.null_count() == 0 && self.values.null_count() == 0 => {
                into.extend(keys.values().iter().map(|&key| id(key)));
            }
            _ => into.extend((0..rows).map(|row| match self.key(row) {
                NULL => 0,
                key => id(key),
            })),
        }
    }
}

/// A column of bytes, dictionary-encoded or not.
#[derive(Clone, Copy)]
pub(super) struct Blobs<'a> {
    keys: Option<&'a PrimitiveArray<UInt32Type>>,
    values: &'a BinaryArray,
}

impl<'a> Blobs<'a> {
    /// The bytes of a row.
    pub(super) fn at(&self, row: usize) -> Option<&'a [u8]> {
        let at = match self.keys {
            Some(keys) => keys.is_valid(row).then(|| keys.value(row) as usize)?,
            None => row,
        };
        self.values.is_valid(at).then(|| self.values.value(at))
    }
}

/// The rows that have a value.
pub(super) fn filled(rows: usize, nulls: Option<&NullBuffer>) -> impl Iterator<Item = usize> + '_ {
    let some = nulls.map(NullBuffer::valid_indices);
    let all = some.is_none().then_some(0..rows);
    some.into_iter().flatten().chain(all.into_iter().flatten())
}
