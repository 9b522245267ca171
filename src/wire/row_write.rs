//! Rows in wire format, many of them.
//!
//! Owns encoding once what rows repeat: endpoints, by their id in the dictionaries, and
//! policies. The rest of a row is `restore`'s message.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use prost::Message as _;

use super::put;
use super::restore::{Words, endpoint, envelope, flow, notice_to_wire};
use crate::flow::{EndpointId, Extra, FlowBatch, Policy, RowRef};

/// Policies that are kept.
const MOST_POLICIES: usize = 4 << 10;
/// Fields of `flow.Flow`.
const SOURCE: u32 = 8;
const DESTINATION: u32 = 9;
const EGRESS_ALLOWED_BY: u32 = 21_001;
const INGRESS_ALLOWED_BY: u32 = 21_002;
const EGRESS_DENIED_BY: u32 = 21_004;
const INGRESS_DENIED_BY: u32 = 21_005;
/// Field of `observer.GetFlowsResponse`.
const FLOW: u32 = 1;

/// Writes rows. What it keeps is as large as the endpoints of one set of dictionaries.
#[derive(Clone, Debug, Default)]
pub struct RowWriter {
    epoch: Option<u64>,
    endpoints: Vec<Vec<u8>>,
    policies: HashMap<Policy, Vec<u8>, RandomState>,
    flow: Vec<u8>,
}

impl RowWriter {
    /// Appends the `GetFlowsResponse` of a row.
    pub fn write(&mut self, row: RowRef<'_>, out: &mut Vec<u8>) {
        let epoch = row.dictionaries().epoch();
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.endpoints.clear();
            self.policies.clear();
        }
        let mut written = std::mem::take(&mut self.flow);
        written.clear();
        // A vector has room for any message.
        let _ = flow(row).encode(&mut written);
        for (number, id) in [(SOURCE, row.source()), (DESTINATION, row.destination())] {
            if let Some(bytes) = self.endpoint(row, id) {
                put::bytes(number, bytes, &mut written);
            }
        }
        if let Some(extra) = row.extra() {
            self.policies(row, extra, &mut written);
        }
        let _ = envelope(row).encode(out);
        put::bytes(FLOW, &written, out);
        self.flow = written;
    }

    /// Hands over every response of a batch in its order, rows and notices, with its time.
    pub fn each(&mut self, batch: &FlowBatch, mut take: impl FnMut(&[u8], Option<i64>)) {
        let mut wire = Vec::new();
        let mut notices = batch.notices().iter().peekable();
        for at in 0..=batch.len() {
            while let Some(notice) = notices.next_if(|notice| notice.before_row <= at) {
                wire.clear();
                if notice_to_wire(notice, &mut wire) {
                    take(&wire, Some(notice.time));
                }
            }
            if at < batch.len() {
                wire.clear();
                let row = batch.row(at);
                self.write(row, &mut wire);
                take(&wire, row.time());
            }
        }
    }

    fn endpoint(&mut self, row: RowRef<'_>, id: EndpointId) -> Option<&[u8]> {
        let known = row.dictionaries().endpoint(id)?;
        let at = id.0 as usize;
        if self.endpoints.len() <= at {
            self.endpoints.resize(at + 1, Vec::new());
        }
        let bytes = &mut self.endpoints[at];
        if bytes.is_empty() {
            *bytes = endpoint(known).encode_to_vec();
        }
        Some(bytes)
    }

    fn policies(&mut self, row: RowRef<'_>, extra: &Extra, out: &mut Vec<u8>) {
        let words = Words(row.dictionaries());
        for (number, policies) in [
            (EGRESS_ALLOWED_BY, &extra.egress_allowed_by),
            (INGRESS_ALLOWED_BY, &extra.ingress_allowed_by),
            (EGRESS_DENIED_BY, &extra.egress_denied_by),
            (INGRESS_DENIED_BY, &extra.ingress_denied_by),
        ] {
            for policy in policies {
                if let Some(bytes) = self.policies.get(policy) {
                    put::bytes(number, bytes, out);
                    continue;
                }
                let bytes = words.policy(policy).encode_to_vec();
                put::bytes(number, &bytes, out);
                if self.policies.len() >= MOST_POLICIES {
                    self.policies.clear();
                }
                self.policies.insert(policy.clone(), bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::BatchBuilder;
    use crate::proto::observer::GetFlowsResponse;
    use crate::wire::generate::{Generator, cases};
    use crate::wire::json_write::{JsonWriter, wire_to_json};
    use crate::wire::restore::row_to_response;
    use crate::wire::shape;
    use crate::wire::walk::push_message;

    /// Guarantees: what is kept of earlier rows changes neither the message nor its JSON,
    /// whichever dictionaries a row has.
    #[test]
    fn rows_are_what_each_is_alone() {
        let (mut rows, mut json) = (RowWriter::default(), JsonWriter::default());
        let mut builders = [BatchBuilder::default(), BatchBuilder::default()];
        for seed in 0..cases(20) {
            let mut generator = Generator::new(seed, 0);
            let messages: Vec<Vec<u8>> = (0..32).map(|_| generator.response()).collect();
            let builder = &mut builders[seed as usize % 2];
            for message in messages.iter().chain(&messages) {
                push_message(builder, message, || unreachable!()).unwrap();
            }
            for row in builder.finish().rows() {
                let mut wire = Vec::new();
                rows.write(row, &mut wire);
                let message = GetFlowsResponse::decode(&*wire).unwrap();
                assert_eq!(message, row_to_response(row));
                let (mut alone, mut after) = (Vec::new(), Vec::new());
                let shape = shape::get_flows_response();
                let written = wire_to_json(shape, &wire, &mut alone);
                assert_eq!(json.write(shape, &wire, &mut after), written);
                assert_eq!(after, alone);
            }
        }
    }
}
