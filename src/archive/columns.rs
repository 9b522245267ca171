//! How columns are written: encodings, compression, statistics, filters.
//!
//! Owns the choice for each. Measured reasons: times and source ports are nearly all
//! different, so a dictionary only costs; statistics and Bloom filters are kept for what
//! questions name (time, namespaces, workloads, pods, addresses, verdicts).

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::flow::SCHEMA_VERSION;

/// Rows of a row group.
pub(super) const GROUP_ROWS: usize = 128 << 10;
/// Rows of a page, for the page index.
pub(super) const PAGE_ROWS: usize = 16 << 10;
/// Level of zstd; above it nothing is gained.
pub(super) const LEVEL: i32 = 3;
/// Share of questions that a Bloom filter answers with a needless yes.
pub(super) const FALSE_POSITIVES: f64 = 0.01;
/// A dictionary of a column in one row group: labels of thousands of workloads.
pub(super) const DICTIONARY_BYTES: usize = 8 << 20;

/// The program, as it signs its files.
pub(super) fn generator() -> String {
    format!("flowwatch {}", env!("CARGO_PKG_VERSION"))
}

/// How flows are written.
pub(super) fn flow_properties() -> WriterProperties {
    let mut properties = base()
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(vec![
            KeyValue::new("flowwatch.schema".to_owned(), SCHEMA_VERSION.to_string()),
            KeyValue::new(
                "flowwatch.sorted_by".to_owned(),
                "source,destination,destination_port,time".to_owned(),
            ),
        ]));
    for column in [
        "time",
        "source_port",
        "uuid",
        "l7_latency_ns",
        "socket_cookie",
    ] {
        properties = properties.set_column_dictionary_enabled(path(column), false);
    }
    properties = properties
        .set_column_encoding(path("time"), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding(path("source_port"), Encoding::BYTE_STREAM_SPLIT)
        .set_column_encoding(path("l7_latency_ns"), Encoding::DELTA_BINARY_PACKED);
    for column in ["time", "verdict", "drop_reason", "destination_port"] {
        properties =
            properties.set_column_statistics_enabled(path(column), EnabledStatistics::Page);
    }
    for side in ["source", "destination"] {
        for what in ["namespace", "workload", "pod", "ip"] {
            let column = path(&format!("{side}_{what}"));
            properties = properties
                .set_column_statistics_enabled(column.clone(), EnabledStatistics::Page)
                .set_column_bloom_filter_enabled(column.clone(), what != "namespace");
            if what != "namespace" {
                properties = properties
                    .set_column_bloom_filter_fpp(column.clone(), FALSE_POSITIVES)
                    .set_column_bloom_filter_max_ndv(column, GROUP_ROWS as u64 / 4);
            }
        }
    }
    properties.build()
}

/// How notices are written: they are few.
pub(super) fn notice_properties() -> WriterProperties {
    base().build()
}

/// How rollups are written: few rows, many of whose columns say nothing or the same.
pub(super) fn rollup_properties() -> WriterProperties {
    base()
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(vec![KeyValue::new(
            "flowwatch.rollup".to_owned(),
            super::rollup::ROLLUP_VERSION.to_string(),
        )]))
        .build()
}

fn base() -> parquet::file::properties::WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_created_by(generator())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level()))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
}

/// [`LEVEL`], which is one that zstd has.
pub(super) fn level() -> ZstdLevel {
    ZstdLevel::try_new(LEVEL).unwrap_or_default()
}

fn path(column: &str) -> ColumnPath {
    ColumnPath::from(column)
}
