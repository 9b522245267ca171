//! Columns of a row group as dictionaries, written faster than row by row.
//!
//! Owns the pages of columns whose values repeat: texts, small numbers, and columns
//! without any value. The writer of the parquet crate looks up each row's value in a hash
//! table; here that is done once for each value, since rows come with the places of their
//! values, in runs. The result is what any reader expects of a dictionary-encoded column.
//! What has nearly as many values as rows is left to the crate.

mod bounds;
mod hybrid;
mod plain;
mod values;

use std::io::Write;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use self::bounds::Bounds;
use self::values::Values;
use super::columns::{DICTIONARY_BYTES, FALSE_POSITIVES, LEVEL, PAGE_ROWS, level};
use crate::flow::{Coded, MOST_NUMBERS, NO_VALUE, RowRuns};

/// Writes columns of row groups, one after the other.
pub(super) struct Chunks {
    compressor: zstd::bulk::Compressor<'static>,
    page: Vec<u8>,
    scratch: Vec<u32>,
}

impl Chunks {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(LEVEL)?,
            page: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// Writes the next column of a row group.
    pub(super) fn column<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        properties: &WriterProperties,
        column: &ColumnDescPtr,
        coded: Coded,
    ) -> Result<()> {
        let nullable = column.max_def_level() > 0;
        let has_dictionary = properties.dictionary_enabled(column.path());
        let values = match &coded {
            Coded::Nothing(_, rows) if nullable => Some(Values::nothing(*rows)),
            Coded::Plain(array) if nullable && array.null_count() == array.len() => {
                Some(Values::nothing(array.len()))
            }
            Coded::Numbers { values, rows, .. }
                if has_dictionary && values.len() <= MOST_NUMBERS =>
            {
                Some(Values::of_numbers(values, rows.clone()))
            }
            Coded::Texts { values, rows } if has_dictionary => {
                Values::of_texts(values, rows, DICTIONARY_BYTES)
            }
            Coded::Bytes { values, rows } if has_dictionary => {
                Values::of_bytes(values, rows, DICTIONARY_BYTES)
            }
            _ => None,
        };
        let Some(values) = values else {
            return plain::column(group, &coded.array()?, nullable);
        };
        let (bytes, close) = self.chunk(properties, column, &values)?;
        group.append_column(&bytes, close)
    }

    /// The pages of a column, with what the footer says of them.
    fn chunk(
        &mut self,
        properties: &WriterProperties,
        column: &ColumnDescPtr,
        values: &Values,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let rows = values.runs.rows();
        let path = column.path();
        let wants_bounds = properties.statistics_enabled(path) != EnabledStatistics::None;
        let bounds = wants_bounds.then(|| Bounds::new(column, values)).flatten();
        let mut out = Out {
            sink: TrackedWrite::new(Vec::new()),
            compressed: 0,
            uncompressed: 0,
        };
        let has_dictionary = values.len() > 0;
        if has_dictionary {
            let page = Page::DictionaryPage {
                buf: self.compressor.compress(&values.plain)?.into(),
                num_values: values.len() as u32,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            out.page(page, values.plain.len())?;
        }
        let data_offset = out.sink.bytes_written();
        let mut index = ColumnIndexBuilder::new(column.physical_type());
        let mut offsets = OffsetIndexBuilder::new();
        for part in values.runs.parts(PAGE_ROWS) {
            let nulls = part.nulls();
            self.fill(&part, column.max_def_level() > 0, values.len());
            let encoding = if has_dictionary {
                Encoding::RLE_DICTIONARY
            } else {
                Encoding::PLAIN
            };
            let page = Page::DataPage {
                buf: self.compressor.compress(&self.page)?.into(),
                num_values: part.rows() as u32,
                encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            let (offset, bytes) = out.page(page, self.page.len())?;
            offsets.append_offset_and_size(offset as i64, bytes as i32);
            offsets.append_row_count(part.rows() as i64);
            if let Some(bounds) = &bounds {
                let (least, most) = bounds.of(&part).unwrap_or_default();
                index.append(
                    nulls == part.rows(),
                    least.into(),
                    most.into(),
                    nulls as i64,
                );
            }
        }
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        if has_dictionary {
            encodings.push(Encoding::RLE_DICTIONARY);
        }
        let mut metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression(Compression::ZSTD(level()))
            .set_encodings(encodings)
            .set_num_values(rows as i64)
            .set_total_compressed_size(out.compressed as i64)
            .set_total_uncompressed_size(out.uncompressed as i64)
            .set_data_page_offset(data_offset as i64)
            .set_dictionary_page_offset(has_dictionary.then_some(0));
        if let Some(bounds) = &bounds {
            metadata = metadata.set_statistics(bounds.statistics());
        } else if !has_dictionary {
            // By this a reader knows that there is nothing to read.
            metadata = metadata.set_statistics(bounds::nothing(column, rows));
        }
        let has_index = bounds.is_some();
        let bloom_filter = match properties.bloom_filter_properties(path) {
            Some(_) => Some(filter(values)?),
            None => None,
        };
        let bytes = out.sink.into_inner()?;
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows as u64,
            metadata: metadata.build()?,
            bloom_filter,
            column_index: has_index.then(|| index.build()).transpose()?,
            offset_index: Some(offsets.build()),
        };
        Ok((bytes.into(), close))
    }

    /// Puts the rows of a page into `page`.
    fn fill(&mut self, rows: &RowRuns, nullable: bool, values: usize) {
        let Self { page, scratch, .. } = self;
        page.clear();
        if nullable {
            page.extend_from_slice(&[0; 4]);
            let mut there = RowRuns::default();
            for &(value, count) in rows.as_slice() {
                there.push(u32::from(value != NO_VALUE), count);
            }
            let there = there.as_slice().iter().copied();
            hybrid::encode(page, 1, there, scratch);
            let length = (page.len() - 4) as u32;
            page[..4].copy_from_slice(&length.to_le_bytes());
        }
        if values > 0 {
            let width = (usize::BITS - (values - 1).leading_zeros()) as u8;
            page.push(width);
            let mut known = RowRuns::default();
            for &(value, count) in rows.as_slice() {
                if value != NO_VALUE {
                    known.push(value, count);
                }
            }
            hybrid::encode(page, width, known.as_slice().iter().copied(), scratch);
        }
    }
}

/// Where the pages of a chunk go.
struct Out {
    sink: TrackedWrite<Vec<u8>>,
    compressed: usize,
    uncompressed: usize,
}

impl Out {
    /// Writes a page; its offset and bytes.
    fn page(&mut self, page: Page, uncompressed: usize) -> Result<(u64, usize)> {
        let mut writer = SerializedPageWriter::new(&mut self.sink);
        let spec = writer.write_page(CompressedPage::new(page, uncompressed))?;
        self.compressed += spec.compressed_size;
        self.uncompressed += spec.uncompressed_size;
        Ok((spec.offset, spec.compressed_size))
    }
}

/// A Bloom filter of all values.
fn filter(values: &Values) -> Result<Sbbf> {
    let mut filter = Sbbf::new_with_ndv_fpp(values.len().max(1) as u64, FALSE_POSITIVES)?;
    for value in 0..values.len() as u32 {
        filter.insert(values.get(value));
    }
    Ok(filter)
}
