//! The Arrow schema of a batch and the conversion to a `RecordBatch`.
//!
//! Owns names, types and the version of the columns. Numeric columns and the keys of
//! dictionary columns move into Arrow without a copy; dictionaries are shared by the
//! columns of a batch.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch,
    StringArray, UInt8Array, UInt32Array,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit, UInt32Type};
use arrow::error::ArrowError;

use super::batch::FlowBatch;
use super::row::NO_TIME;

/// Version of the columns; grows with every change of [`schema`].
pub const SCHEMA_VERSION: u32 = 1;

/// The columns of a batch as Arrow sees them.
#[must_use]
pub fn schema() -> Schema {
    let text = || DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
    let int32 = || DataType::Int32;
    let uint32 = || DataType::UInt32;
    let field = |name: &str, kind: DataType| Field::new(name, kind, false);
    let optional = |name: &str, kind: DataType| Field::new(name, kind, true);
    let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    Schema::new(vec![
        optional("time", utc),
        optional("uuid", DataType::FixedSizeBinary(16)),
        field("verdict", int32()),
        field("flow_type", int32()),
        field("event_type", int32()),
        field("event_sub_type", int32()),
        field("traffic_direction", int32()),
        field("trace_observation_point", int32()),
        field("trace_reason", int32()),
        field("policy_match_type", uint32()),
        field("drop_reason_desc", int32()),
        field("is_reply", DataType::UInt8),
        field("ip_version", int32()),
        field("flags", uint32()),
        field("protocol", DataType::UInt8),
        field("source_port", uint32()),
        field("destination_port", uint32()),
        optional("source_ip", text()),
        optional("destination_ip", text()),
        optional("node_name", text()),
        optional("summary", text()),
        optional("source_namespace", text()),
        optional("source_pod", text()),
        optional("source_workload", text()),
        optional("source_labels", text()),
        field("source_identity", uint32()),
        optional("destination_namespace", text()),
        optional("destination_pod", text()),
        optional("destination_workload", text()),
        optional("destination_labels", text()),
        field("destination_identity", uint32()),
        field("weight", uint32()),
    ])
    .with_metadata([("flowwatch.schema".to_owned(), SCHEMA_VERSION.to_string())].into())
}

impl FlowBatch {
    /// The batch as Arrow columns, in the order of [`schema`].
    ///
    /// Labels become one text a set, joined by commas.
    ///
    /// # Errors
    /// Those of Arrow, which would be a bug here.
    pub fn into_record_batch(self) -> Result<RecordBatch, ArrowError> {
        let rows = self.len();
        let columns = self.columns;
        let dictionaries = self.dictionaries;

        let known =
            |missing: &mut dyn Iterator<Item = bool>| NullBuffer::from(missing.collect::<Vec<_>>());
        let times = known(&mut columns.time.iter().map(|&time| time != NO_TIME));
        let uuids = known(&mut columns.uuid.iter().map(|&uuid| uuid != 0));
        let time = Int64Array::new(columns.time.into(), Some(times))
            .reinterpret_cast::<arrow::datatypes::TimestampNanosecondType>()
            .with_timezone("UTC");
        let uuid = FixedSizeBinaryArray::try_new(16, Buffer::from_vec(columns.uuid), Some(uuids))?;

        let strings: ArrayRef = Arc::new(
            dictionaries
                .strings
                .iter()
                .enumerate()
                .map(|(id, text)| (id > 0).then_some(&**text))
                .collect::<StringArray>(),
        );
        let text = |ids: Vec<u32>| dictionary(ids, &strings);
        let of_endpoint = |of: &dyn Fn(&super::Endpoint) -> String| -> ArrayRef {
            let texts = dictionaries
                .endpoints
                .iter()
                .map(|endpoint| Some(of(endpoint)).filter(|text| !text.is_empty()));
            Arc::new(texts.collect::<StringArray>())
        };
        let namespaces = of_endpoint(&|endpoint| endpoint.namespace.to_string());
        let pods = of_endpoint(&|endpoint| endpoint.pod.to_string());
        let workloads = of_endpoint(&|endpoint| {
            endpoint
                .workloads
                .first()
                .map(|workload| workload.name.to_string())
                .unwrap_or_default()
        });
        let labels = of_endpoint(&|endpoint| endpoint.labels.join(","));
        let identity = |ids: &[u32]| {
            let identities = ids.iter().map(|&id| {
                dictionaries
                    .endpoints
                    .get(id)
                    .map_or(0, |endpoint| endpoint.identity)
            });
            Arc::new(identities.collect::<UInt32Array>()) as ArrayRef
        };
        let (source, destination) = (columns.source, columns.destination);
        let (source_identity, destination_identity) = (identity(&source), identity(&destination));
        let (source_keys, destination_keys) =
            (UInt32Array::from(source), UInt32Array::from(destination));
        let by_endpoint = |keys: &UInt32Array, values: &ArrayRef| -> Result<ArrayRef, ArrowError> {
            Ok(Arc::new(DictionaryArray::<UInt32Type>::try_new(
                keys.clone(),
                values.clone(),
            )?))
        };

        let int32 = |values: Vec<i32>| Arc::new(Int32Array::from(values)) as ArrayRef;
        let uint32 = |values: Vec<u32>| Arc::new(UInt32Array::from(values)) as ArrayRef;
        let uint8 = |values: Vec<u8>| Arc::new(UInt8Array::from(values)) as ArrayRef;
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(time),
            Arc::new(uuid),
            int32(columns.verdict),
            int32(columns.flow_type),
            int32(columns.event_type),
            int32(columns.event_sub_type),
            int32(columns.direction),
            int32(columns.trace_point),
            int32(columns.trace_reason),
            uint32(columns.policy_match_type),
            int32(columns.drop_reason),
            uint8(columns.reply),
            int32(columns.ip_version),
            uint32(columns.flags),
            uint8(columns.protocol),
            uint32(columns.source_port),
            uint32(columns.destination_port),
            text(columns.source_ip)?,
            text(columns.destination_ip)?,
            text(columns.node)?,
            text(columns.summary)?,
            by_endpoint(&source_keys, &namespaces)?,
            by_endpoint(&source_keys, &pods)?,
            by_endpoint(&source_keys, &workloads)?,
            by_endpoint(&source_keys, &labels)?,
            source_identity,
            by_endpoint(&destination_keys, &namespaces)?,
            by_endpoint(&destination_keys, &pods)?,
            by_endpoint(&destination_keys, &workloads)?,
            by_endpoint(&destination_keys, &labels)?,
            destination_identity,
            uint32(columns.weight),
        ];
        debug_assert!(arrays.iter().all(|array| array.len() == rows));
        RecordBatch::try_new(Arc::new(schema()), arrays)
    }
}

fn dictionary(keys: Vec<u32>, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let keys = UInt32Array::from(keys);
    Ok(Arc::new(DictionaryArray::<UInt32Type>::try_new(
        keys,
        values.clone(),
    )?))
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;

    use crate::flow::{BatchBuilder, Endpoint, Row, Verdict};

    #[test]
    fn numeric_columns_move_without_a_copy() {
        let mut builder = BatchBuilder::default();
        let source = builder.interner().endpoint(Endpoint {
            identity: 9,
            pod: "web-1".into(),
            ..Endpoint::default()
        });
        builder.push(
            Row {
                time: 5,
                source,
                verdict: Verdict::AUDIT,
                ..Row::default()
            },
            || unreachable!(),
        );
        let batch = builder.finish();
        let before = (
            batch.columns.verdict.as_ptr() as usize,
            batch.columns.source.as_ptr() as usize,
        );

        let record = batch.into_record_batch().unwrap();

        let verdict = record.column_by_name("verdict").unwrap().to_data();
        assert_eq!(verdict.buffers()[0].as_ptr() as usize, before.0);
        let pod = record.column_by_name("source_pod").unwrap().to_data();
        assert_eq!(pod.buffers()[0].as_ptr() as usize, before.1);
        assert!(record.column_by_name("uuid").unwrap().is_null(0));
        assert!(!record.column_by_name("time").unwrap().is_null(0));
    }
}
