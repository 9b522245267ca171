//! Nothing is lost on the way through the generated types.

use std::collections::BTreeSet;

use flowwatch::proto::{flow, health, observer, peer};
use prost::Message;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, Value,
};

use super::message;

/// A number that no enum of the API has.
const UNNAMED: i32 = 99;

#[test]
fn every_field_survives_decoding_and_encoding() {
    assert_nothing_lost::<observer::GetFlowsRequest>("observer.GetFlowsRequest");
    assert_nothing_lost::<observer::GetFlowsResponse>("observer.GetFlowsResponse");
    assert_nothing_lost::<observer::GetAgentEventsRequest>("observer.GetAgentEventsRequest");
    assert_nothing_lost::<observer::GetAgentEventsResponse>("observer.GetAgentEventsResponse");
    assert_nothing_lost::<observer::GetDebugEventsRequest>("observer.GetDebugEventsRequest");
    assert_nothing_lost::<observer::GetDebugEventsResponse>("observer.GetDebugEventsResponse");
    assert_nothing_lost::<observer::GetNodesResponse>("observer.GetNodesResponse");
    assert_nothing_lost::<observer::GetNamespacesResponse>("observer.GetNamespacesResponse");
    assert_nothing_lost::<observer::ServerStatusResponse>("observer.ServerStatusResponse");
    assert_nothing_lost::<observer::ExportEvent>("observer.ExportEvent");
    assert_nothing_lost::<peer::ChangeNotification>("peer.ChangeNotification");
    assert_nothing_lost::<health::HealthCheckRequest>("grpc.health.v1.HealthCheckRequest");
    assert_nothing_lost::<health::HealthCheckResponse>("grpc.health.v1.HealthCheckResponse");
}

#[test]
fn reply_that_is_false_is_not_reply_that_is_unknown() {
    let known = flow::Flow {
        is_reply: Some(false),
        ..flow::Flow::default()
    };
    let bytes = known.encode_to_vec();

    assert_eq!(bytes, [0xd2, 0x01, 0x00]);
    assert_eq!(
        flow::Flow::decode(bytes.as_slice()).map(|flow| flow.is_reply),
        Ok(Some(false))
    );
}

#[test]
fn enum_numbers_without_a_name_are_kept() {
    // verdict, Type, traffic_direction, drop_reason_desc: all 300.
    let bytes = [
        0x10, 0xac, 0x02, 0x50, 0xac, 0x02, 0xb0, 0x01, 0xac, 0x02, 0xc8, 0x01, 0xac, 0x02,
    ];
    let decoded = flow::Flow::decode(bytes.as_slice()).expect("well-formed");

    assert_eq!(
        [
            decoded.verdict,
            decoded.r#type,
            decoded.traffic_direction,
            decoded.drop_reason_desc
        ],
        [300; 4]
    );
    assert_eq!(decoded.encode_to_vec(), bytes);
    assert!(flow::Verdict::try_from(300).is_err());
}

#[test]
fn fields_this_version_does_not_know_are_skipped() {
    // Field 99999 as a varint, then verdict.
    let bytes = [0xf8, 0xe9, 0x30, 0x07, 0x10, 0x02];
    let decoded = flow::Flow::decode(bytes.as_slice()).expect("well-formed");

    assert_eq!(decoded.verdict(), flow::Verdict::Dropped);
}

/// Fills every field below `name`, each arm of a oneof in turn, and sends it through `T`.
fn assert_nothing_lost<T: Message + Default>(name: &str) {
    let descriptor = message(name);
    let mut filler = Filler::default();
    for variant in 0..variants(&descriptor) {
        let sent = filler.fill(&descriptor, variant);
        let typed = T::decode(sent.encode_to_vec().as_slice()).expect("decodes as generated");
        let received = DynamicMessage::decode(descriptor.clone(), typed.encode_to_vec().as_slice())
            .expect("decodes dynamically");
        assert_eq!(received, sent, "{name}, variant {variant}");
    }

    let mut reachable = BTreeSet::new();
    collect_fields(&descriptor, &mut reachable);
    assert_eq!(filler.filled, reachable, "{name}");
}

/// Writes values that differ from field to field, so that two cannot trade places unseen.
#[derive(Default)]
struct Filler {
    written: u32,
    filled: BTreeSet<String>,
}

impl Filler {
    fn fill(&mut self, descriptor: &MessageDescriptor, variant: usize) -> DynamicMessage {
        let mut filled = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            if field.containing_oneof().is_none() {
                let value = self.field(&field, variant);
                filled.set_field(&field, value);
            }
        }
        for oneof in descriptor.oneofs() {
            let (arm, variant) = arm(&oneof, variant);
            let value = self.field(&arm, variant);
            filled.set_field(&arm, value);
        }
        filled
    }

    fn field(&mut self, field: &FieldDescriptor, variant: usize) -> Value {
        self.filled.insert(field.full_name().to_owned());
        if field.is_list() {
            let items = [variant, variant + 1];
            return Value::List(items.map(|variant| self.value(field, variant)).into());
        }
        self.value(field, variant)
    }

    fn value(&mut self, field: &FieldDescriptor, variant: usize) -> Value {
        self.written += 1;
        let written = self.written;
        match field.kind() {
            Kind::Message(message) => Value::Message(self.fill(&message, variant)),
            Kind::Enum(_) => Value::EnumNumber(UNNAMED),
            Kind::String => Value::String(format!("{} {written}", field.name())),
            Kind::Bytes => Value::Bytes(written.to_be_bytes().to_vec().into()),
            Kind::Bool => Value::Bool(true),
            Kind::Uint32 => Value::U32(u32::MAX - written),
            Kind::Uint64 => Value::U64(u64::MAX - u64::from(written)),
            Kind::Int32 => Value::I32(i32::MIN + written.cast_signed()),
            Kind::Int64 => Value::I64(i64::MIN + i64::from(written)),
            Kind::Double => Value::F64(f64::from(written) / 3.0),
            kind => panic!(
                "{} is of a kind the API has not used: {kind:?}",
                field.full_name()
            ),
        }
    }
}

/// How many fillings it takes to meet every arm of every oneof below.
fn variants(descriptor: &MessageDescriptor) -> usize {
    let fields = descriptor
        .fields()
        .filter(|field| field.containing_oneof().is_none())
        .map(|field| field_variants(&field));
    let oneofs = descriptor
        .oneofs()
        .map(|oneof| oneof.fields().map(|arm| field_variants(&arm)).sum());
    fields.chain(oneofs).max().unwrap_or(1)
}

fn field_variants(field: &FieldDescriptor) -> usize {
    field.kind().as_message().map_or(1, variants)
}

/// The arm of a oneof to fill, and which of that arm's own variants.
fn arm(oneof: &OneofDescriptor, variant: usize) -> (FieldDescriptor, usize) {
    let pairs: Vec<(FieldDescriptor, usize)> = oneof
        .fields()
        .flat_map(|arm| {
            let count = field_variants(&arm);
            (0..count).map(move |variant| (arm.clone(), variant))
        })
        .collect();
    pairs[variant % pairs.len()].clone()
}

fn collect_fields(descriptor: &MessageDescriptor, into: &mut BTreeSet<String>) {
    for field in descriptor.fields() {
        into.insert(field.full_name().to_owned());
        if let Some(message) = field.kind().as_message() {
            collect_fields(message, into);
        }
    }
}
