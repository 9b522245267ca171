//! Which row groups, pages and rows of a recording may hold what is wanted.
//!
//! Owns the meaning of a [`Wanted`] for statistics, Bloom filters, the page index and
//! columns. It errs to one side only: what it leaves out does not match. A column that
//! says nothing (an older file, no statistics) may hold anything.

use arrow::array::{Array, AsArray, DictionaryArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, UInt32Type};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::bytes::Counted;
use crate::flow::{ONE_WORKLOAD, Wanted, column_type};

/// A recording, as far as it tells what is in it.
#[derive(Clone, Copy)]
pub(super) struct Pruner<'a> {
    file: &'a Counted,
    metadata: &'a ArrowReaderMetadata,
}

impl<'a> Pruner<'a> {
    pub(super) fn new(file: &'a Counted, metadata: &'a ArrowReaderMetadata) -> Self {
        Self { file, metadata }
    }

    /// A leaf column by its name: no column is nested, so there is a leaf a field.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        let fields = self.metadata.schema().fields();
        fields.iter().position(|field| field.name() == name)
    }

    /// Whether a row group may hold a row that fulfils `wanted`.
    pub(super) fn group(&self, group: usize, wanted: &Wanted) -> Result<bool, ParquetError> {
        match wanted {
            Wanted::All(parts) => {
                // What needs no further reading first.
                for part in parts {
                    if !self.by_statistics(group, part) {
                        return Ok(false);
                    }
                }
                for part in parts {
                    if !self.group(group, part)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Wanted::Any(parts) => {
                for part in parts {
                    if self.group(group, part)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Wanted::Text(column, texts) => {
                if !self.by_statistics(group, wanted) {
                    return Ok(false);
                }
                let Some(column) = self.column(column) else {
                    return Ok(true);
                };
                let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
                    self.file.clone(),
                    self.metadata.clone(),
                );
                let filter = builder.get_row_group_column_bloom_filter(group, column)?;
                Ok(
                    filter
                        .is_none_or(|filter| texts.iter().any(|text| filter.check(text.as_str()))),
                )
            }
            _ => Ok(self.by_statistics(group, wanted)),
        }
    }

    fn by_statistics(&self, group: usize, wanted: &Wanted) -> bool {
        let chunk = |column: &str| {
            let column = self.column(column)?;
            Some(self.metadata.metadata().row_group(group).column(column))
        };
        match wanted {
            Wanted::All(parts) => parts.iter().all(|part| self.by_statistics(group, part)),
            Wanted::Any(parts) => parts.iter().any(|part| self.by_statistics(group, part)),
            Wanted::Several(_) => !self.has_one_workload(),
            Wanted::Missing(column) => {
                let nulls = chunk(column)
                    .and_then(|chunk| chunk.statistics())
                    .and_then(Statistics::null_count_opt);
                nulls != Some(0)
            }
            Wanted::Text(column, _) | Wanted::Prefix(column, _) | Wanted::Number(column, _) => {
                let Some(chunk) = chunk(column) else {
                    return true;
                };
                let Some(statistics) = chunk.statistics() else {
                    return true;
                };
                if statistics.null_count_opt() == u64::try_from(chunk.num_values()).ok() {
                    return false;
                }
                if statistics.is_min_max_deprecated() {
                    return true;
                }
                match statistics {
                    Statistics::ByteArray(bounds) => {
                        text_between(wanted, bounds.min_bytes_opt(), bounds.max_bytes_opt())
                    }
                    Statistics::Int32(bounds) => {
                        number_between(wanted, bounds.min_opt().copied(), bounds.max_opt().copied())
                    }
                    _ => true,
                }
            }
        }
    }

    /// Whether the writer says that no endpoint of the file has several workloads.
    fn has_one_workload(&self) -> bool {
        let pairs = self.metadata.metadata().file_metadata();
        pairs
            .key_value_metadata()
            .is_some_and(|pairs| pairs.iter().any(|pair| pair.key == ONE_WORKLOAD))
    }

    /// Which rows of a row group lie in pages that may hold what is wanted; `None` where
    /// the page index leaves out none.
    pub(super) fn pages(&self, group: usize, wanted: &Wanted) -> Option<Vec<bool>> {
        match wanted {
            Wanted::All(parts) => parts
                .iter()
                .filter_map(|part| self.pages(group, part))
                .reduce(|left, right| zip(&left, &right, |left, right| left && right)),
            Wanted::Any(parts) => {
                let rows: Option<Vec<Vec<bool>>> =
                    parts.iter().map(|part| self.pages(group, part)).collect();
                rows?
                    .into_iter()
                    .reduce(|left, right| zip(&left, &right, |left, right| left || right))
            }
            Wanted::Several(_) => {
                let rows = self.rows(group);
                self.has_one_workload().then(|| vec![false; rows])
            }
            Wanted::Missing(_) => None,
            Wanted::Text(column, _) | Wanted::Prefix(column, _) | Wanted::Number(column, _) => {
                self.pages_of(group, column, wanted)
            }
        }
    }

    fn rows(&self, group: usize) -> usize {
        let rows = self.metadata.metadata().row_group(group).num_rows();
        usize::try_from(rows).unwrap_or_default()
    }

    fn pages_of(&self, group: usize, column: &str, wanted: &Wanted) -> Option<Vec<bool>> {
        let leaf = self.column(column)?;
        let metadata = self.metadata.metadata();
        let index = metadata.column_index()?.get(group)?.get(leaf)?;
        let pages = metadata.offset_index()?.get(group)?.get(leaf)?;
        let pages = pages.page_locations();
        if matches!(index, ColumnIndexMetaData::NONE) || index.num_pages() != pages.len() as u64 {
            return None;
        }
        let rows = self.rows(group);
        let mut kept = vec![true; rows];
        for (at, page) in pages.iter().enumerate() {
            let may = !index.is_null_page(at)
                && match index {
                    ColumnIndexMetaData::BYTE_ARRAY(bounds) => {
                        text_between(wanted, bounds.min_value(at), bounds.max_value(at))
                    }
                    ColumnIndexMetaData::INT32(bounds) => number_between(
                        wanted,
                        bounds.min_value(at).copied(),
                        bounds.max_value(at).copied(),
                    ),
                    _ => true,
                };
            let next = pages
                .get(at + 1)
                .map_or(Ok(rows), |next| usize::try_from(next.first_row_index));
            let page = usize::try_from(page.first_row_index).ok()?..next.ok()?;
            if !may {
                kept.get_mut(page)?.fill(false);
            }
        }
        kept.contains(&false).then_some(kept)
    }

    /// Whether the offset index has the pages of every column where they can be.
    pub(super) fn has_pages(&self, group: usize) -> bool {
        let metadata = self.metadata.metadata();
        let Some(columns) = metadata.offset_index().and_then(|index| index.get(group)) else {
            return false;
        };
        let chunks: &RowGroupMetaData = metadata.row_group(group);
        columns.len() == chunks.num_columns()
            && chunks.columns().iter().zip(columns).all(|(chunk, pages)| {
                let (start, length) = chunk.byte_range();
                let pages = pages.page_locations();
                let ends_inside = |offset: i64, size: i32| {
                    let end = offset.checked_add(size.into());
                    size >= 0
                        && u64::try_from(offset).is_ok_and(|offset| offset >= start)
                        && end
                            .and_then(|end| u64::try_from(end).ok())
                            .is_some_and(|end| end <= start.saturating_add(length))
                };
                pages.first().is_some_and(|page| page.first_row_index == 0)
                    && pages
                        .iter()
                        .all(|page| ends_inside(page.offset, page.compressed_page_size))
                    && pages
                        .is_sorted_by(|left, right| left.first_row_index < right.first_row_index)
                    && pages
                        .last()
                        .is_some_and(|page| page.first_row_index < chunks.num_rows())
            })
    }
}

/// Which rows of some columns fulfil `wanted`.
pub(super) fn rows(record: &RecordBatch, wanted: &Wanted) -> Vec<bool> {
    let all = record.num_rows();
    match wanted {
        Wanted::All(parts) => parts
            .iter()
            .map(|part| rows(record, part))
            .reduce(|left, right| zip(&left, &right, |left, right| left && right))
            .unwrap_or_else(|| vec![true; all]),
        Wanted::Any(parts) => parts
            .iter()
            .map(|part| rows(record, part))
            .reduce(|left, right| zip(&left, &right, |left, right| left || right))
            .unwrap_or_else(|| vec![false; all]),
        Wanted::Number(column, numbers) => number_rows(record, column, numbers),
        Wanted::Text(column, texts) => {
            text_rows(record, column, |text| texts.iter().any(|one| one == text))
        }
        Wanted::Prefix(column, prefixes) => text_rows(record, column, |text| {
            prefixes.iter().any(|prefix| text.starts_with(prefix))
        }),
        // A comma of an item only makes it look like two.
        Wanted::Several(column) => text_rows(record, column, |text| text.contains(',')),
        Wanted::Missing(column) => match record.column_by_name(column) {
            Some(column) => (0..all).map(|row| column.is_null(row)).collect(),
            None => vec![true; all],
        },
    }
}

fn text_rows(record: &RecordBatch, column: &str, fits: impl Fn(&str) -> bool) -> Vec<bool> {
    let anything = || vec![true; record.num_rows()];
    let Some(column) = record.column_by_name(column) else {
        return anything();
    };
    if let Some(texts) = column.as_string_opt::<i32>() {
        return texts.iter().map(|text| text.is_some_and(&fits)).collect();
    }
    let keyed = column
        .as_any()
        .downcast_ref::<DictionaryArray<UInt32Type>>();
    let values = keyed.and_then(|keyed| keyed.values().as_string_opt::<i32>());
    let (Some(keyed), Some(values)) = (keyed, values) else {
        return anything();
    };
    let fit: Vec<bool> = values.iter().map(|text| text.is_some_and(&fits)).collect();
    let keys = keyed.keys().iter();
    keys.map(|key| key.is_some_and(|key| fit.get(key as usize).copied().unwrap_or(true)))
        .collect()
}

fn number_rows(record: &RecordBatch, column: &str, wanted: &[i64]) -> Vec<bool> {
    let anything = || vec![true; record.num_rows()];
    let Some(column) = record.column_by_name(column) else {
        return anything();
    };
    let fits = |number: Option<i64>| number.is_some_and(|number| wanted.contains(&number));
    if let Some(numbers) = column.as_primitive_opt::<Int32Type>() {
        return numbers.iter().map(|one| fits(one.map(i64::from))).collect();
    }
    if let Some(numbers) = column.as_primitive_opt::<UInt32Type>() {
        return numbers.iter().map(|one| fits(one.map(i64::from))).collect();
    }
    anything()
}

fn zip(left: &[bool], right: &[bool], both: impl Fn(bool, bool) -> bool) -> Vec<bool> {
    left.iter()
        .zip(right)
        .map(|(&left, &right)| both(left, right))
        .collect()
}

/// Whether a wanted text may lie between bounds, which may be cut short and so too wide.
fn text_between(wanted: &Wanted, least: Option<&[u8]>, most: Option<&[u8]>) -> bool {
    let (Wanted::Text(_, texts) | Wanted::Prefix(_, texts)) = wanted else {
        return true;
    };
    let is_prefix = matches!(wanted, Wanted::Prefix(..));
    texts.iter().any(|text| {
        let text = text.as_bytes();
        let not_before = |least: &[u8]| text >= least || (is_prefix && least.starts_with(text));
        least.is_none_or(not_before) && most.is_none_or(|most| text <= most)
    })
}

/// The same for a number of the column's own type: bounds are as its bits.
fn number_between(wanted: &Wanted, least: Option<i32>, most: Option<i32>) -> bool {
    let Wanted::Number(column, numbers) = wanted else {
        return true;
    };
    let value = |bits: i32| match column_type(column) {
        Some(DataType::UInt32) => i64::from(bits.cast_unsigned()),
        _ => i64::from(bits),
    };
    match (least, most) {
        (Some(least), Some(most)) => numbers
            .iter()
            .any(|number| (value(least)..=value(most)).contains(number)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;

    use super::*;

    #[test]
    fn a_prefix_reaches_as_far_as_what_begins_with_it() {
        let prefix = |text: &str| Wanted::Prefix("source_pod", vec![text.to_owned()]);
        let between = |text, least: &str, most: &str| {
            text_between(&prefix(text), Some(least.as_bytes()), Some(most.as_bytes()))
        };
        assert!(between("web", "web-1", "web-9"));
        assert!(between("web", "a", "web"));
        assert!(between("web", "a", "z"));
        assert!(!between("web", "wec", "z"));
        assert!(!between("web", "a", "weaver"));
        assert!(text_between(&prefix("web"), None, Some(b"x")));
        let text = Wanted::Text("source_pod", vec!["web".to_owned()]);
        assert!(!text_between(&text, Some(b"web-1"), Some(b"web-9")));
    }

    /// Guarantees: a column that is not there says nothing in any row.
    #[test]
    fn rows_that_say_nothing_are_missing() {
        let workloads = StringArray::from(vec![Some("web"), None, Some("db"), None]);
        let record = RecordBatch::try_from_iter([(
            "source_workload",
            Arc::new(workloads) as Arc<dyn Array>,
        )])
        .unwrap();
        let of = |wanted| rows(&record, &wanted);
        let missing = Wanted::Missing("source_workload");
        assert_eq!(of(missing), [false, true, false, true]);
        assert_eq!(of(Wanted::Missing("destination_workload")), [true; 4]);
    }

    #[test]
    fn ports_are_compared_without_a_sign() {
        let port = |number| Wanted::Number("destination_port", vec![number]);
        assert!(number_between(&port(443), Some(80), Some(-1)));
        assert!(!number_between(&port(443), Some(1000), Some(-1)));
        assert!(!number_between(
            &Wanted::Number("verdict", vec![2]),
            Some(-1),
            Some(1)
        ));
    }
}
