//! What a flow is once it is inside: columns, dictionaries and the words for them.
//!
//! Owns the schema and its version, [`FlowBatch`] and its builder, ids and
//! interners, the enums of Hubble's flow API as open numbers, drop classes, holes
//! and completeness, the reference that names a flow, how workloads are named, and how counts
//! are written. Does no I/O and knows no
//! encoding: `wire` and `source` fill the builder.

mod arrow;
mod away;
mod batch;
mod builder;
mod collect;
mod completeness;
mod drop;
mod enums;
mod extra;
mod fnv;
mod intern;
mod manifest;
mod recent;
mod reference;
mod row;
mod shared;
mod stored;
mod thousands;
mod url;
mod wanted;
mod workload;

pub use self::arrow::{
    Coded, DecodeError, Encoder, MOST_NUMBERS, NO_VALUE, ONE_WORKLOAD, RowRuns, SCHEMA_VERSION,
    column_type, is_decoded, join, notice_schema, notices_from, notices_to, schema, split,
};
pub use away::Away;
pub use batch::{Dictionaries, FlowBatch, Loss, Notice, NoticeKind, Raw, RowRef};
pub use builder::{BatchBuilder, DEFAULT_DICTIONARY_BYTES, MAX_ROWS};
pub use collect::{Collector, LooseRows};
pub(crate) use completeness::known_node;
pub use completeness::{Completeness, Hole, HoleCause, InvertedSpan, Seen, Span};
pub use drop::{DropClass, DropReason};
pub use enums::{
    AuthType, CaptureEnum, Direction, EventType, FlowType, L7Type, LostSource, NodeState,
    SockPoint, TracePoint, TraceReason, Verdict, identity_name,
};
pub use extra::{
    Aggregate, Dns, Envelope, Extensions, Extra, File, Header, Http, Icmp, Kafka, L7, L7Record,
    Policy, Seconds, Service, Tunnel,
};
pub(crate) use fnv::Fnv;
pub(crate) use intern::RawKind;
pub use intern::{Endpoint, Interner, Workload};
pub use intern::{EndpointId, ListId, PairId, StrId};
pub(crate) use manifest::hex;
pub use manifest::{
    FileEntry, HOUR, MANIFEST_NAME, MANIFEST_VERSION, MOST_NODES, Manifest, ManifestError,
    NodeEntry, NoticesEntry, PoliciesEntry, RollupEntry,
};
pub(crate) use recent::same;
pub use reference::{FlowReference, tuple_hash};
pub use row::{NO_TIME, Protocol, Reply, Row, flags};
pub use stored::{Decoder, Gathered, StoredRows};
pub use thousands::{counted, thousands};
pub use url::split_url;
pub use wanted::Wanted;
pub use workload::{WorkloadName, template_hash};
