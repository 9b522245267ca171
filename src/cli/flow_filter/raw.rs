//! Filters as JSON: `--allowlist`, `--denylist` and `--print-raw-filters`.

use std::io::{self, Write};

use prost::Message;
use serde_json::{Deserializer, Value};

use super::error::{FlagError, RawFilterError};
use crate::proto::flow as pb;
use crate::wire::json_read::{ReadOptions, json_to_wire};
use crate::wire::json_write::wire_to_json;
use crate::wire::shape;

/// The filters of one value: any number of JSON objects. What a `FlowFilter` does not
/// have is an error: a misspelt field would match everything.
pub(super) fn parse(flag: &'static str, value: &str) -> Result<Vec<pb::FlowFilter>, FlagError> {
    Deserializer::from_str(value)
        .into_iter::<Value>()
        .map(|object| filter(&object?))
        .collect::<Result<_, RawFilterError>>()
        .map_err(|source| FlagError::Raw {
            flag,
            value: value.to_owned(),
            source,
        })
}

fn filter(object: &Value) -> Result<pb::FlowFilter, RawFilterError> {
    let strict = ReadOptions {
        strict_fields: true,
        strict_enums: true,
    };
    let mut wire = Vec::new();
    json_to_wire(shape::flow_filter(), object, &strict, &mut wire)?;
    Ok(pb::FlowFilter::decode(wire.as_slice())?)
}

/// Writes filters as YAML that can stand in a configuration file: a list of compact
/// JSON texts under `allowlist` and `denylist`, each left out if it is empty.
///
/// # Errors
/// Those of the writer.
pub fn write_raw_filters(
    out: &mut impl Write,
    allow: &[pb::FlowFilter],
    deny: &[pb::FlowFilter],
) -> io::Result<()> {
    for (key, filters) in [("allowlist", allow), ("denylist", deny)] {
        if filters.is_empty() {
            continue;
        }
        writeln!(out, "{key}:")?;
        for filter in filters {
            let mut json = Vec::new();
            wire_to_json(shape::flow_filter(), &filter.encode_to_vec(), &mut json)
                .map_err(io::Error::other)?;
            // In single quotes YAML knows one escape: the quote, doubled.
            let text = String::from_utf8_lossy(&json).replace('\'', "''");
            writeln!(out, "    - '{text}'")?;
        }
    }
    Ok(())
}
