//! What a recording cannot tell, because its exporter left fields out.
//!
//! Owns which fields have been seen, and the sentences for those that have not. A filter
//! on a masked field matches nothing, which looks like a quiet cluster; whoever filters
//! or judges a recording asks here first. Does not judge.

use std::fmt;

use crate::flow::{Direction, Endpoint, FlowBatch, FlowType, Protocol, Reply, RowRef, Verdict};
use crate::flow::{TracePoint, flags};

/// Monitor type of policy verdicts.
const POLICY_VERDICT: i32 = 5;

/// A field, or a kind of event, that a recording may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named as in the API")]
pub enum Field {
    Time,
    NodeName,
    Uuid,
    Verdict,
    EventType,
    TrafficDirection,
    IsReply,
    Addresses,
    L4,
    TcpFlags,
    Identity,
    Labels,
    Namespace,
    PodName,
    Workloads,
    TracePoint,
    DropReason,
    PolicyVerdicts,
    PolicyMatchType,
    PolicyNames,
    L7,
    Summary,
}

/// A field that a recording lacks, and what cannot be told from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The field.
    pub field: Field,
    /// A sentence without its capital and full stop.
    pub sentence: &'static str,
}

/// Collects over the batches of one recording.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    seen: u32,
    context: u32,
    rows: u64,
}

/// What decides whether a field is expected at all.
mod context {
    /// TCP flows from packets: L7 and socket flows never carry TCP flags.
    pub(super) const TCP_PACKETS: u32 = 1;
    pub(super) const DROPS: u32 = 1 << 1;
    /// Flows other than drops, on which `is_reply` is always absent.
    pub(super) const NOT_DROPS: u32 = 1 << 2;
    pub(super) const ALL: u32 = (1 << 3) - 1;
}

const ALL_SEEN: u32 = (1 << FIELDS.len()) - 1;

/// Every field with its sentence, in the order they are told.
const FIELDS: [(Field, &str); 22] = {
    use Field as F;
    [
        (
            F::Time,
            "no times: nothing can be said about order, rates or a time range",
        ),
        (
            F::NodeName,
            "no node names: node filters match nothing, and what two nodes saw of one packet cannot be told apart",
        ),
        (
            F::Uuid,
            "no uuids: flows are named by node, time and addresses",
        ),
        (
            F::Verdict,
            "no verdicts: allowed and denied traffic cannot be told apart",
        ),
        (
            F::EventType,
            "no event types: kinds of events are guessed from the other fields, and type filters match nothing",
        ),
        (
            F::TrafficDirection,
            "no traffic directions: whether ingress or egress was judged is unknown",
        ),
        (
            F::IsReply,
            "no is_reply: replies and requests cannot be told apart, a missing is_reply is not a request",
        ),
        (
            F::Addresses,
            "no IP addresses: address filters match nothing, and connections cannot be told apart by address",
        ),
        (F::L4, "no layer 4: port and protocol filters match nothing"),
        (
            F::TcpFlags,
            "no TCP flags: where a connection begins is unknown",
        ),
        (
            F::Identity,
            "no identities: identity filters match nothing, and entities such as host, kube-apiserver or world can be told by labels only",
        ),
        (
            F::Labels,
            "no labels: label filters match nothing, and policies that select by label cannot be judged",
        ),
        (
            F::Namespace,
            "no namespaces: namespace filters match nothing",
        ),
        (
            F::PodName,
            "no pod names: pod filters match nothing, and endpoints are named by what else they carry",
        ),
        (
            F::Workloads,
            "no workloads: workload filters match nothing, and names of workloads are derived from labels and pod names",
        ),
        (
            F::TracePoint,
            "no trace observation points: the points at which one packet was seen cannot be told apart",
        ),
        (
            F::DropReason,
            "no drop reasons: why flows were dropped is unknown",
        ),
        (
            F::PolicyVerdicts,
            "no policy-verdict events: a flow without a verdict event may have been established before the recording began",
        ),
        (
            F::PolicyMatchType,
            "no policy match types: whether a rule or the lack of any let a flow pass is unknown",
        ),
        (
            F::PolicyNames,
            "no policy names on verdicts: which policy decided is not recorded",
        ),
        (
            F::L7,
            "no layer 7 flows: allowed means allowed at layer 4, and HTTP and DNS filters match nothing",
        ),
        (
            F::Summary,
            "no summaries: they are made from the other fields",
        ),
    ]
};

/// One sentence for two fields that go together.
const NEITHER: Missing = Missing {
    field: Field::Labels,
    sentence: "no identities or labels: label and identity filters match nothing, and policies that select by label cannot be judged",
};

impl Capabilities {
    /// Looks at a batch, for the fields not seen so far only.
    pub fn observe(&mut self, batch: &FlowBatch) {
        self.rows += batch.len() as u64;
        if self.seen == ALL_SEEN && self.context == context::ALL {
            return;
        }
        for (bit, &(field, _)) in FIELDS.iter().enumerate() {
            if self.seen & (1 << bit) == 0 && carries(batch, field) {
                self.seen |= 1 << bit;
            }
        }
        let any = |is: fn(RowRef<'_>) -> bool| batch.rows().any(is);
        for (bit, is) in [
            (
                context::TCP_PACKETS,
                is_tcp_packet as fn(RowRef<'_>) -> bool,
            ),
            (context::DROPS, is_drop),
            (context::NOT_DROPS, |row| !is_drop(row)),
        ] {
            if self.context & bit == 0 && any(is) {
                self.context |= bit;
            }
        }
    }

    /// As [`Self::observe`], by whoever looks at one batch after the other: what was `known`
    /// before is not looked for again, and counts as seen.
    pub fn observe_next(&mut self, batch: &FlowBatch, known: &mut Self) {
        known.observe(batch);
        self.seen |= known.seen;
        self.context |= known.context;
        self.rows += batch.len() as u64;
    }

    /// Adds what another has seen of the same recording.
    pub fn merge(&mut self, other: &Self) {
        self.seen |= other.seen;
        self.context |= other.context;
        self.rows += other.rows;
    }

    /// Whether a field was seen.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        FIELDS
            .iter()
            .position(|&(known, _)| known == field)
            .is_some_and(|bit| self.seen & (1 << bit) != 0)
    }

    /// Flows that were looked at.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What was never seen and would have been, had it been recorded. Empty where there
    /// was no flow: then nothing is known.
    pub fn missing(&self) -> impl Iterator<Item = Missing> + '_ {
        let neither = !self.has(Field::Identity) && !self.has(Field::Labels);
        FIELDS
            .iter()
            .filter(|&&(field, _)| self.rows > 0 && !self.has(field) && self.is_expected(field))
            .filter(move |&&(field, _)| !(neither && field == Field::Identity))
            .map(move |&(field, sentence)| {
                if neither && field == Field::Labels {
                    NEITHER
                } else {
                    Missing { field, sentence }
                }
            })
    }

    fn is_expected(&self, field: Field) -> bool {
        match field {
            Field::TcpFlags => self.context & context::TCP_PACKETS != 0,
            Field::DropReason => self.context & context::DROPS != 0,
            Field::IsReply => self.context & context::NOT_DROPS != 0,
            // Said once: without verdict events there is nothing that carries them.
            Field::PolicyMatchType | Field::PolicyNames => self.has(Field::PolicyVerdicts),
            // Every recording has one or the other kind of event.
            Field::TracePoint => !self.has(Field::PolicyVerdicts) && !self.has(Field::L7),
            _ => true,
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence)
    }
}

/// Whether any row of a batch has a field.
fn carries(batch: &FlowBatch, field: Field) -> bool {
    let any = |has: fn(RowRef<'_>) -> bool| batch.rows().any(has);
    match field {
        Field::Time => any(|row| row.time().is_some()),
        Field::NodeName => any(|row| !row.str(row.node()).is_empty()),
        Field::Uuid => {
            any(|row| row.uuid() != 0 || row.extra().is_some_and(|extra| extra.uuid.is_some()))
        }
        Field::Verdict => any(|row| row.verdict() != Verdict::VERDICT_UNKNOWN),
        Field::EventType => any(|row| row.has(flags::HAS_EVENT_TYPE)),
        Field::TrafficDirection => {
            any(|row| row.direction() != Direction::TRAFFIC_DIRECTION_UNKNOWN)
        }
        Field::IsReply => any(|row| row.reply() != Reply::Unknown),
        Field::Addresses => any(|row| row.has(flags::HAS_IP)),
        Field::L4 => any(|row| row.has(flags::HAS_L4)),
        Field::TcpFlags => any(|row| row.has(flags::HAS_TCP_FLAGS)),
        Field::Identity => any(|row| endpoint(row, |end| end.identity != 0)),
        Field::Labels => any(|row| endpoint(row, |end| !end.labels.is_empty())),
        Field::Namespace => any(|row| endpoint(row, |end| !end.namespace.is_empty())),
        Field::PodName => any(|row| endpoint(row, |end| !end.pod.is_empty())),
        Field::Workloads => any(|row| endpoint(row, |end| !end.workloads.is_empty())),
        Field::TracePoint => any(|row| row.trace_point() != TracePoint::UNKNOWN_POINT),
        Field::DropReason => any(|row| row.drop_reason().0 != 0 || row.drop_reason_number() != 0),
        Field::PolicyVerdicts => any(is_policy_verdict),
        Field::PolicyMatchType => any(|row| row.policy_match_type() != 0),
        Field::PolicyNames => any(has_policies),
        Field::L7 => any(|row| {
            row.flow_type() == FlowType::L7 || row.extra().is_some_and(|extra| extra.l7.is_some())
        }),
        Field::Summary => any(|row| !row.str(row.summary()).is_empty()),
    }
}

fn endpoint(row: RowRef<'_>, has: impl Fn(&Endpoint) -> bool) -> bool {
    row.source_endpoint().is_some_and(&has) || row.destination_endpoint().is_some_and(&has)
}

fn is_tcp_packet(row: RowRef<'_>) -> bool {
    row.protocol() == Protocol::Tcp
        && !matches!(row.flow_type(), FlowType::L7 | FlowType::SOCK)
        && row.extra().is_none_or(|extra| extra.l7.is_none())
}

fn is_drop(row: RowRef<'_>) -> bool {
    row.verdict() == Verdict::DROPPED
}

/// By what only verdict events carry, where the event type is masked.
fn is_policy_verdict(row: RowRef<'_>) -> bool {
    row.event_type() == POLICY_VERDICT || row.policy_match_type() != 0 || has_policies(row)
}

fn has_policies(row: RowRef<'_>) -> bool {
    row.extra().is_some_and(|extra| {
        [
            &extra.egress_allowed_by,
            &extra.ingress_allowed_by,
            &extra.egress_denied_by,
            &extra.ingress_denied_by,
        ]
        .into_iter()
        .any(|policies| !policies.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::file::{Chunk, LineDecoder};
    use bytes::Bytes;
    use std::path::PathBuf;

    fn observed(bytes: Bytes) -> Capabilities {
        let chunk = Chunk {
            bytes,
            dropped: 0,
            damaged: None,
        };
        let mut capabilities = Capabilities::default();
        LineDecoder::default().decode(&chunk, |_, batch| capabilities.observe(&batch));
        capabilities
    }

    fn missing(text: &'static str) -> Vec<Field> {
        let capabilities = observed(Bytes::from_static(text.as_bytes()));
        capabilities
            .missing()
            .map(|missing| missing.field)
            .collect()
    }

    #[test]
    fn the_order_of_fields_is_that_of_the_enum() {
        for (number, (field, sentence)) in FIELDS.iter().enumerate() {
            assert_eq!(*field as usize, number);
            assert!(sentence.starts_with("no "), "{sentence}");
        }
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert!(missing("").is_empty());
        assert!(missing("a log line\n").is_empty());
    }

    #[test]
    fn a_field_is_missed_only_where_it_could_have_been() {
        let traced = missing("{\"flow\":{\"verdict\":\"FORWARDED\",\"l4\":{\"UDP\":{}}}}\n");
        assert!(!traced.contains(&Field::TcpFlags));
        assert!(!traced.contains(&Field::DropReason));
        assert!(!traced.contains(&Field::PolicyNames));
        assert!(traced.contains(&Field::IsReply));
        let dropped = missing("{\"flow\":{\"verdict\":\"DROPPED\",\"l4\":{\"TCP\":{}}}}\n");
        assert!(dropped.contains(&Field::TcpFlags));
        assert!(dropped.contains(&Field::DropReason));
        assert!(!dropped.contains(&Field::IsReply));
        let judged = missing("{\"flow\":{\"verdict\":\"DROPPED\",\"policy_match_type\":2}}\n");
        assert!(judged.contains(&Field::PolicyNames));
        assert!(!judged.contains(&Field::PolicyVerdicts));
        assert!(!judged.contains(&Field::TracePoint));
    }

    #[test]
    fn the_masked_export_of_the_corpus_is_described() {
        let corpus = std::env::var_os("FLOWWATCH_CORPUS")
            .map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
        let name = "KKamJi-blog__dynamic-exporter-fieldmask__all-forwarded.jsonl";
        let Ok(bytes) = std::fs::read(corpus.join("flows").join(name)) else {
            println!("skipped: no corpus in {}", corpus.display());
            return;
        };
        let capabilities = observed(bytes.into());
        for field in [
            Field::Time,
            Field::NodeName,
            Field::Verdict,
            Field::L4,
            Field::IsReply,
            Field::Namespace,
            Field::PodName,
        ] {
            assert!(capabilities.has(field), "{field:?}");
        }
        let missing: Vec<Missing> = capabilities.missing().collect();
        let fields: Vec<Field> = missing.iter().map(|missing| missing.field).collect();
        for field in [
            Field::Uuid,
            Field::EventType,
            Field::TrafficDirection,
            Field::Addresses,
            Field::Labels,
            Field::Summary,
        ] {
            assert!(fields.contains(&field), "{field:?} of {fields:?}");
        }
        assert!(missing.iter().any(|missing| {
            missing
                .to_string()
                .starts_with("no identities or labels: label and identity filters match nothing")
        }));
    }
}
