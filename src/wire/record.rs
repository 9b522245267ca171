//! One JSON object of a recording: which form it has, and what it says.
//!
//! Owns the forms that Hubble's recordings have had: the wrapper, the flow without one
//! (the CLI up to v0.10), the lost events without one, and the exporter's other events.
//! Finding the objects in a file is `source`'s.

use serde_json::{Map, Value};

use super::{
    json_error::{JsonError, JsonProblem},
    json_read::{ReadOptions, ReadReport, Reader},
    json_scalar, put,
    shape::{self, Message},
};

/// An object of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A `GetFlowsResponse` in wire format: a flow, lost events, a node's status, or none
    /// of these from a newer server.
    Response(Vec<u8>),
    /// The same, made of a flow that stood alone.
    BareFlow(Vec<u8>),
    /// An agent's event: its node, and nanoseconds since 1970.
    AgentEvent(String, Option<i64>),
    /// A debug event: its node, and nanoseconds since 1970.
    DebugEvent(String, Option<i64>),
    /// An object with none of the keys that these have.
    NotARecord,
}

/// Reads one object of a recording as liberally as possible.
///
/// # Errors
/// [`JsonError`] when the text is not JSON, or not the record its keys say it is.
pub fn record_to_wire(text: &[u8]) -> Result<Record, JsonError> {
    read_record(text, &ReadOptions::default()).map(|(record, _)| record)
}

/// Reads one object of a recording, and says what was left out.
///
/// # Errors
/// As [`record_to_wire`], and what `options` make an error.
pub fn read_record(text: &[u8], options: &ReadOptions) -> Result<(Record, ReadReport), JsonError> {
    let json: Value = serde_json::from_slice(text).map_err(JsonProblem::Syntax)?;
    let object = json_scalar::object(&json)?;
    let mut reader = Reader::new(*options);
    let record = match form(object) {
        Form::Response => Record::Response(response(object, room(text), &mut reader)?),
        Form::AgentEvent => {
            let (node, time) = node_and_time(object)?;
            Record::AgentEvent(node, time)
        }
        Form::DebugEvent => {
            let (node, time) = node_and_time(object)?;
            Record::DebugEvent(node, time)
        }
        Form::BareFlow => {
            Record::BareFlow(bare(FLOW, shape::flow(), object, room(text), &mut reader)?)
        }
        Form::BareLostEvents => Record::Response(bare(
            LOST_EVENTS,
            shape::lost_event(),
            object,
            room(text),
            &mut reader,
        )?),
        Form::None => Record::NotARecord,
    };
    Ok((record, reader.report))
}

/// Numbers of `GetFlowsResponse`'s fields.
const FLOW: u32 = 1;
const LOST_EVENTS: u32 = 3;

enum Form {
    Response,
    AgentEvent,
    DebugEvent,
    BareFlow,
    BareLostEvents,
    None,
}

fn form(object: &Map<String, Value>) -> Form {
    // An event of another service beside a flow or the like would be two arms of one
    // oneof: reading that as a response says so.
    let response = has(object, "flow", "flow")
        || has(object, "lost_events", "lostEvents")
        || has(object, "node_status", "nodeStatus");
    if response {
        return Form::Response;
    }
    if has(object, "agent_event", "agentEvent") {
        return Form::AgentEvent;
    }
    if has(object, "debug_event", "debugEvent") {
        return Form::DebugEvent;
    }
    // `source` is an endpoint in a flow, and the name of an enum here.
    let lost = has(object, "num_events_lost", "numEventsLost")
        || object.get("source").is_some_and(Value::is_string);
    if lost {
        return Form::BareLostEvents;
    }
    let flow = shape::flow();
    let (known, unknown): (Vec<_>, Vec<_>) = object
        .iter()
        .partition(|(name, _)| flow.by_name(name).is_some());
    let envelope = shape::get_flows_response();
    let only_envelope = known
        .iter()
        .all(|(name, _)| envelope.by_name(name).is_some());
    let newer_arm = unknown.iter().any(|(_, value)| value.is_object());
    match (known.is_empty(), only_envelope && newer_arm) {
        (true, _) => Form::None,
        (false, true) => Form::Response,
        (false, false) => Form::BareFlow,
    }
}

fn has(object: &Map<String, Value>, name: &str, json_name: &str) -> bool {
    object.contains_key(name) || object.contains_key(json_name)
}

/// Room that a message is given at once. It is seldom longer than its text, and a long one
/// is not copied on the way to its length.
fn room(text: &[u8]) -> Vec<u8> {
    Vec::with_capacity(text.len().max(512))
}

fn response(
    object: &Map<String, Value>,
    mut out: Vec<u8>,
    reader: &mut Reader,
) -> Result<Vec<u8>, JsonError> {
    // The lines of exported files are a superset; what only they have was told apart
    // before, but for a line that has both.
    reader.fields(shape::export_event(), object, |_| false, 0, &mut out)?;
    Ok(out)
}

/// A response around a message that stood alone, with its node and time where it has them.
fn bare(
    number: u32,
    shape: Message,
    object: &Map<String, Value>,
    mut out: Vec<u8>,
    reader: &mut Reader,
) -> Result<Vec<u8>, JsonError> {
    put::key(number, put::DELIMITED, &mut out);
    put::delimited(&mut out, |out| {
        reader.fields(shape, object, |_| false, 0, out)
    })?;
    let envelope = |name: &str| {
        let both_have = name == "node_name" || name == "nodeName" || name == "time";
        !both_have || shape.by_name(name).is_none()
    };
    reader.fields(shape::get_flows_response(), object, envelope, 0, &mut out)?;
    Ok(out)
}

fn node_and_time(object: &Map<String, Value>) -> Result<(String, Option<i64>), JsonError> {
    let node = object.get("node_name").or_else(|| object.get("nodeName"));
    let node = match node {
        None | Some(Value::Null) => "",
        Some(node) => json_scalar::string(node)
            .map_err(|problem| JsonError::from(problem).inside("node_name"))?,
    };
    let time = match object.get("time") {
        None | Some(Value::Null) => None,
        Some(time) => {
            let instant = json_scalar::string(time)
                .and_then(json_scalar::instant)
                .map_err(|problem| JsonError::from(problem).inside("time"))?;
            instant.unix_nanos()
        }
    };
    Ok((node.to_owned(), time))
}
