//! A batch of flows in columns, with the dictionaries its ids point into and the
//! notices that came between its rows.
//!
//! Owns read access. Batches are made by [`super::BatchBuilder`] and never change.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use super::completeness::HoleCause;
use super::drop::DropReason;
use super::enums::{Direction, FlowType, LostSource, NodeState, TracePoint, TraceReason, Verdict};
use super::extra::{Extra, Service};
use super::intern::{Endpoint, EndpointId, Interner, ListId, PairId, Snapshot, StrId};
use super::row::{Columns, NO_TIME, Protocol, Reply};

/// The dictionaries of one batch: a snapshot that shares its segments with the
/// decoder that goes on filling them.
#[derive(Clone, Debug, Default)]
pub struct Dictionaries {
    pub(crate) epoch: u64,
    pub(crate) strings: Snapshot<Arc<str>>,
    pub(crate) endpoints: Snapshot<Arc<Endpoint>>,
    pub(crate) pairs: Snapshot<(StrId, StrId)>,
    pub(crate) lists: Snapshot<Arc<[StrId]>>,
}

impl Dictionaries {
    /// What an interner holds now.
    pub(crate) fn of(interner: &mut Interner) -> Self {
        Self {
            epoch: interner.epoch(),
            strings: interner.string_snapshot(),
            endpoints: interner.endpoint_snapshot(),
            pairs: interner.pair_snapshot(),
            lists: interner.list_snapshot(),
        }
    }

    /// Ids of batches with the same epoch mean the same.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The text of an id; empty for an id of another epoch.
    #[must_use]
    pub fn str(&self, id: StrId) -> &str {
        self.strings.get(id.0).map_or("", |text| text)
    }

    /// An endpoint, `None` for id 0.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        if id.0 == 0 {
            return None;
        }
        self.endpoints.get(id.0).map(AsRef::as_ref)
    }

    /// A pair of texts, `None` for id 0.
    #[must_use]
    pub fn pair(&self, id: PairId) -> Option<(&str, &str)> {
        if id.0 == 0 {
            return None;
        }
        let &(left, right) = self.pairs.get(id.0)?;
        Some((self.str(left), self.str(right)))
    }

    /// A service, `None` for id 0.
    #[must_use]
    pub fn service(&self, id: PairId) -> Option<Service<'_>> {
        self.pair(id)
            .map(|(name, namespace)| Service { name, namespace })
    }

    /// The texts of a list.
    pub fn list(&self, id: ListId) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.lists
            .get(id.0)
            .map_or(&[][..], |list| list)
            .iter()
            .map(|&id| self.str(id))
    }
}

/// What a row was decoded from, kept while an output needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raw {
    /// A protobuf `GetFlowsResponse`.
    Message(Bytes),
    /// A JSON object on one line, as Hubble writes them: with the envelope of
    /// `GetFlowsResponse` and proto names.
    Json(Bytes),
    /// A JSON object in any other form that is read.
    LooseJson(Bytes),
}

/// Something that is not a flow and came before row `before_row` of its batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Index of the row it precedes; the number of rows for one at the end.
    pub before_row: usize,
    /// Node of the envelope.
    pub node: Arc<str>,
    /// Time of the envelope in nanoseconds, [`NO_TIME`] where there is none.
    pub time: i64,
    /// What it says.
    pub kind: NoticeKind,
    /// The message or line, where rows keep theirs.
    pub raw: Option<Raw>,
}

/// What a notice says is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Why.
    pub cause: HoleCause,
    /// How many events, where that is known.
    pub events: Option<u64>,
    /// From, in nanoseconds; [`NO_TIME`] where unknown.
    pub first: i64,
    /// Until, in nanoseconds; [`NO_TIME`] where unknown.
    pub last: i64,
}

impl Notice {
    /// Events that may be missing; `None` for what says nothing of the kind, and for states
    /// of nodes, which are spans only together. The time of the notice stands for one that
    /// is not known.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        let (cause, events, first, last) = match self.kind {
            NoticeKind::Lost {
                source,
                events,
                first,
                last,
                ..
            } => (HoleCause::of(source), Some(events), first, last),
            NoticeKind::Hole {
                cause,
                events,
                first,
                last,
            } => {
                let known = |time: i64| (time != NO_TIME).then_some(time);
                (cause, events, known(first), known(last))
            }
            _ => return None,
        };
        Some(Loss {
            cause,
            events,
            first: first.unwrap_or(self.time),
            last: last.unwrap_or(self.time),
        })
    }
}

/// The kinds of notices.
#[derive(Clone, Debug, PartialEq)]
pub enum NoticeKind {
    /// Events were lost.
    Lost {
        /// Where.
        source: LostSource,
        /// How many.
        events: u64,
        /// CPU, for the perf ring.
        cpu: Option<i32>,
        /// First loss of the window in nanoseconds.
        first: Option<i64>,
        /// Last loss of the window in nanoseconds.
        last: Option<i64>,
    },
    /// A relay says how its nodes are.
    Nodes {
        /// Their state.
        state: NodeState,
        /// Which nodes.
        names: Vec<Arc<str>>,
        /// The error, for `NODE_ERROR`.
        message: Arc<str>,
    },
    /// An agent event of an exporter file; not a flow.
    AgentEvent,
    /// A debug event of an exporter file; not a flow.
    DebugEvent,
    /// Something that could not be read and may have been a flow, of whatever node.
    Unread,
    /// Events may be missing, as the recorder or its source saw.
    Hole {
        /// Why.
        cause: HoleCause,
        /// How many, where that is known.
        events: Option<u64>,
        /// From, in nanoseconds; [`NO_TIME`] where unknown.
        first: i64,
        /// Until, in nanoseconds; [`NO_TIME`] where unknown.
        last: i64,
    },
    /// An envelope without a body, or with one this version does not know.
    Empty,
}

/// Up to [`super::MAX_ROWS`] flows in columns.
#[derive(Clone, Debug, Default)]
pub struct FlowBatch {
    pub(crate) columns: Columns,
    pub(crate) dictionaries: Arc<Dictionaries>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) raw: Vec<Raw>,
}

impl FlowBatch {
    /// Number of flows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.time.len()
    }

    /// Whether it holds no flow; it may hold notices.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dictionaries of its ids.
    #[must_use]
    pub fn dictionaries(&self) -> &Dictionaries {
        &self.dictionaries
    }

    /// Notices, by the row they precede.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// What a row was decoded from, where it was kept.
    #[must_use]
    pub fn raw(&self, row: usize) -> Option<&Raw> {
        self.raw.get(row)
    }

    /// Time of each row in nanoseconds, [`NO_TIME`] for none.
    #[must_use]
    pub fn times(&self) -> &[i64] {
        &self.columns.time
    }

    /// A view of one row.
    ///
    /// # Panics
    /// When `row` is not below [`FlowBatch::len`], on first access.
    #[must_use]
    pub fn row(&self, row: usize) -> RowRef<'_> {
        RowRef { batch: self, row }
    }

    /// Views of all rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = RowRef<'_>> {
        (0..self.len()).map(|row| self.row(row))
    }

    /// The row with every id resolved, as text: for tests and debugging.
    #[must_use]
    pub fn describe(&self, row: usize) -> String {
        self.row(row).describe()
    }
}

/// One row of a batch.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    batch: &'a FlowBatch,
    row: usize,
}

/// Accessors that turn a stored number into its type.
macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident -> $type:ty = $convert:expr;)+) => {
        impl RowRef<'_> {
            $($(#[$doc])* #[must_use] #[inline] pub fn $name(&self) -> $type {
                $convert(self.batch.columns.$name[self.row])
            })+
        }
    };
}

accessors! {
    /// Bits of the uuid, 0 where absent or not a uuid.
    uuid -> u128 = |v: i128| v as u128;
    /// Recorded verdict.
    verdict -> Verdict = Verdict;
    /// Layer.
    flow_type -> FlowType = FlowType;
    /// Monitor type.
    event_type -> i32 = |v| v;
    /// Monitor sub-type.
    event_sub_type -> i32 = |v| v;
    /// Direction of the connection.
    direction -> Direction = Direction;
    /// Trace point.
    trace_point -> TracePoint = TracePoint;
    /// Connection-tracking state.
    trace_reason -> TraceReason = TraceReason;
    /// How a policy matched.
    policy_match_type -> u32 = |v| v;
    /// Drop reason by its enum.
    drop_reason -> DropReason = DropReason;
    /// The deprecated number of the drop reason.
    drop_reason_number -> u32 = |v| v;
    /// Whether the packet is a reply.
    reply -> Reply = Reply::from_number;
    /// IP version as Hubble numbers it.
    ip_version -> i32 = |v| v;
    /// Bits of [`super::flags`].
    flags -> u32 = |v| v;
    /// Layer 4.
    protocol -> Protocol = Protocol::from_number;
    /// Source port.
    source_port -> u32 = |v| v;
    /// Destination port.
    destination_port -> u32 = |v| v;
    /// Id of the source address.
    source_ip -> StrId = StrId;
    /// Id of the destination address.
    destination_ip -> StrId = StrId;
    /// Id of the source endpoint.
    source -> EndpointId = EndpointId;
    /// Id of the destination endpoint.
    destination -> EndpointId = EndpointId;
    /// Id of the node.
    node -> StrId = StrId;
    /// Labels of the node.
    node_labels -> ListId = ListId;
    /// Id of the summary.
    summary -> StrId = StrId;
    /// MAC addresses.
    ethernet -> PairId = PairId;
    /// Source service.
    source_service -> PairId = PairId;
    /// Destination service.
    destination_service -> PairId = PairId;
    /// DNS names of the source.
    source_names -> ListId = ListId;
    /// DNS names of the destination.
    destination_names -> ListId = ListId;
    /// Producing system.
    emitter -> PairId = PairId;
    /// How many events the row stands for.
    weight -> u32 = |v| v;
}

impl<'a> RowRef<'a> {
    /// Nanoseconds since 1970 UTC, `None` where unknown.
    #[must_use]
    #[inline]
    pub fn time(&self) -> Option<i64> {
        let time = self.batch.columns.time[self.row];
        (time != NO_TIME).then_some(time)
    }

    /// Whether a bit of [`super::flags`] is set.
    #[must_use]
    #[inline]
    pub fn has(&self, flag: u32) -> bool {
        self.flags() & flag != 0
    }

    /// The sparse part.
    #[must_use]
    #[inline]
    pub fn extra(&self) -> Option<&'a Extra> {
        self.batch.columns.extra[self.row].as_deref()
    }

    /// Index in the batch.
    #[must_use]
    pub fn index(&self) -> usize {
        self.row
    }

    /// The batch.
    #[must_use]
    pub fn batch(&self) -> &'a FlowBatch {
        self.batch
    }

    /// The dictionaries of the batch.
    #[must_use]
    #[inline]
    pub fn dictionaries(&self) -> &'a Dictionaries {
        &self.batch.dictionaries
    }

    /// The text of an id.
    #[must_use]
    #[inline]
    pub fn str(&self, id: StrId) -> &'a str {
        self.batch.dictionaries.str(id)
    }

    /// Source endpoint, where the flow has one.
    #[must_use]
    pub fn source_endpoint(&self) -> Option<&'a Endpoint> {
        self.batch.dictionaries.endpoint(self.source())
    }

    /// Destination endpoint, where the flow has one.
    #[must_use]
    pub fn destination_endpoint(&self) -> Option<&'a Endpoint> {
        self.batch.dictionaries.endpoint(self.destination())
    }

    fn describe(&self) -> String {
        let dictionaries = self.dictionaries();
        let list = |id| dictionaries.list(id).collect::<Vec<_>>();
        let resolve = Resolve(dictionaries);
        format!(
            "time={:?} uuid={:032x} verdict={} type={} event={}/{} direction={} point={} reason={} \
             match={} drop={} {} reply={:?} ipv={} flags={:b} proto={:?} ports={}>{} ip={}>{} \
             source={:?} destination={:?} node={} node_labels={:?} summary={:?} ethernet={:?} \
             services={:?}>{:?} names={:?}>{:?} emitter={:?} weight={} extra={}",
            self.time(),
            self.uuid(),
            self.verdict(),
            self.flow_type(),
            self.event_type(),
            self.event_sub_type(),
            self.direction(),
            self.trace_point(),
            self.trace_reason(),
            self.policy_match_type(),
            self.drop_reason(),
            self.drop_reason_number(),
            self.reply(),
            self.ip_version(),
            self.flags(),
            self.protocol(),
            self.source_port(),
            self.destination_port(),
            self.str(self.source_ip()),
            self.str(self.destination_ip()),
            self.source_endpoint(),
            self.destination_endpoint(),
            self.str(self.node()),
            list(self.node_labels()),
            self.str(self.summary()),
            dictionaries.pair(self.ethernet()),
            dictionaries.service(self.source_service()),
            dictionaries.service(self.destination_service()),
            list(self.source_names()),
            list(self.destination_names()),
            dictionaries.pair(self.emitter()),
            self.weight(),
            self.extra()
                .map_or_else(String::new, |extra| resolve.extra(extra)),
        )
    }
}

/// Prints the sparse part with ids resolved: the derived text, with each
/// `StrId(n)` and `ListId(n)` replaced by what it stands for.
struct Resolve<'a>(&'a Dictionaries);

impl Resolve<'_> {
    fn extra(&self, extra: &Extra) -> String {
        let text = format!("{extra:?}");
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find("Id(") {
            let start = if rest[..at].ends_with("Str") {
                at - 3
            } else if rest[..at].ends_with("List") {
                at - 4
            } else {
                out.push_str(&rest[..at + 3]);
                rest = &rest[at + 3..];
                continue;
            };
            out.push_str(&rest[..start]);
            let end = rest[at..].find(')').map_or(rest.len(), |end| at + end + 1);
            let id = rest[at + 3..end - 1].parse().unwrap_or_default();
            if at - start == 3 {
                let _ = write!(out, "{:?}", self.0.str(StrId(id)));
            } else {
                let _ = write!(out, "{:?}", self.0.list(ListId(id)).collect::<Vec<_>>());
            }
            rest = &rest[end..];
        }
        out.push_str(rest);
        out
    }
}
