//! One flow on its way into the columns, and the columns themselves.
//!
//! Owns which fields are dense columns and their types. A row is scratch space: it
//! is filled by a decoder and pushed.

use std::sync::Arc;

use super::drop::DropReason;
use super::enums::{Direction, FlowType, TracePoint, TraceReason, Verdict};
use super::extra::Extra;
use super::intern::{EndpointId, ListId, PairId, StrId};

/// `time` of a row that has none.
pub const NO_TIME: i64 = i64::MIN;

/// Bits of [`Row::flags`].
#[expect(missing_docs, reason = "flags of TCP, and what the names say")]
pub mod flags {
    pub const FIN: u32 = 1;
    pub const SYN: u32 = 1 << 1;
    pub const RST: u32 = 1 << 2;
    pub const PSH: u32 = 1 << 3;
    pub const ACK: u32 = 1 << 4;
    pub const URG: u32 = 1 << 5;
    pub const ECE: u32 = 1 << 6;
    pub const CWR: u32 = 1 << 7;
    pub const NS: u32 = 1 << 8;
    /// All TCP flags; their order is that of the fields of `TCPFlags`.
    pub const TCP_MASK: u32 = (1 << 9) - 1;
    /// The flow carries TCP flags, even if none is set.
    pub const HAS_TCP_FLAGS: u32 = 1 << 9;
    pub const HAS_L4: u32 = 1 << 10;
    pub const HAS_IP: u32 = 1 << 11;
    pub const ENCRYPTED: u32 = 1 << 12;
    pub const HAS_EVENT_TYPE: u32 = 1 << 13;
    /// The deprecated `reply` field.
    pub const LEGACY_REPLY: u32 = 1 << 14;
    /// `time` is that of the envelope: the flow has none of its own.
    pub const ENVELOPE_TIME: u32 = 1 << 15;
    /// `node` is that of the envelope: the flow has none of its own.
    pub const ENVELOPE_NODE: u32 = 1 << 16;
    pub const HAS_EMITTER: u32 = 1 << 17;
    /// The envelope does not repeat node and time of the flow: what it says instead, if
    /// anything, is in [`super::Extra::envelope`].
    pub const OTHER_ENVELOPE: u32 = 1 << 18;
    /// The trace context has a parent; only of interest where its id is empty.
    pub const HAS_TRACE_PARENT: u32 = 1 << 19;
}

/// Layer 4 protocol: which arm of `Layer4` is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "names of protocols")]
pub enum Protocol {
    /// No layer 4, or an arm this version does not know.
    #[default]
    None = 0,
    Tcp = 1,
    Udp = 2,
    Icmpv4 = 3,
    Icmpv6 = 4,
    Sctp = 5,
    Vrrp = 6,
    Igmp = 7,
}

impl Protocol {
    /// Every protocol by its number.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Tcp,
        Self::Udp,
        Self::Icmpv4,
        Self::Icmpv6,
        Self::Sctp,
        Self::Vrrp,
        Self::Igmp,
    ];

    /// The name of the arm in `Layer4`; empty for none.
    #[must_use]
    pub fn name(self) -> &'static str {
        ["", "TCP", "UDP", "ICMPv4", "ICMPv6", "SCTP", "VRRP", "IGMP"][self as usize]
    }

    /// IANA's number; 0 for none.
    #[must_use]
    pub fn iana(self) -> u8 {
        [0, 6, 17, 1, 58, 132, 112, 2][self as usize]
    }

    /// The protocol of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        Self::ALL.get(number as usize).copied().unwrap_or_default()
    }
}

/// `is_reply`, which Hubble leaves out where it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reply {
    /// Not sent.
    #[default]
    Unknown = 0,
    /// Not a reply.
    No = 1,
    /// A reply.
    Yes = 2,
}

impl Reply {
    /// Tri-state from Hubble's wrapper.
    #[must_use]
    pub fn from_option(value: Option<bool>) -> Self {
        match value {
            None => Self::Unknown,
            Some(false) => Self::No,
            Some(true) => Self::Yes,
        }
    }

    /// From a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        match number {
            1 => Self::No,
            2 => Self::Yes,
            _ => Self::Unknown,
        }
    }
}

/// Which columns say something of some row: a flag each, in their order, the sparse part
/// last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telling([bool; COLUMNS + 1]);

/// Declares [`Row`], the columns and the way between them in one place.
macro_rules! columns {
    ($($(#[$doc:meta])* $field:ident : $row_type:ty => $column_type:ty = $convert:expr;)+) => {
        /// One flow, decoded. `Default` is the empty flow.
        #[derive(Clone, Debug)]
        pub struct Row {
            $($(#[$doc])* pub $field: $row_type,)+
            /// Sparse fields; `None` for most rows.
            pub extra: Option<Arc<Extra>>,
        }

        /// Dense columns.
        const COLUMNS: usize = [$(stringify!($field)),+].len();

        /// The dense columns of a batch; once complete, all of one length.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Columns {
            $(pub(crate) $field: Vec<$column_type>,)+
            pub(crate) extra: Vec<Option<Arc<Extra>>>,
            /// Rows that were added. A column that lags behind has nothing to say of those
            /// it lacks, as most fields have of most flows.
            rows: usize,
        }

        impl Columns {
            pub(crate) fn with_capacity(rows: usize) -> Self {
                Self {
                    $($field: Vec::with_capacity(rows),)+
                    extra: Vec::with_capacity(rows),
                    rows: 0,
                }
            }

            /// Begins with rows that say nothing: every column lags behind.
            pub(crate) fn begin(&mut self, rows: usize) {
                self.clear();
                self.rows = rows;
            }

            /// Which columns say something of some row.
            pub(crate) fn telling(&self) -> Telling {
                let empty = Row::default();
                let flags = [
                    $({
                        let empty = $convert(empty.$field);
                        self.$field.iter().any(|&value| value != empty)
                    },)+
                    self.extra.iter().any(Option::is_some),
                ];
                Telling(flags)
            }

            /// The rows that `order` names, in that order, added to `into`, of which the
            /// columns that have nothing to say lag behind. The sparse part is moved: a
            /// row can be taken once.
            pub(crate) fn take(&mut self, order: &[u32], telling: &Telling, into: &mut Self) {
                let empty = Row::default();
                let before = into.rows;
                let mut flags = telling.0.iter();
                $(if flags.next() == Some(&true) {
                    into.$field.resize(before, $convert(empty.$field));
                    into.$field.extend(order.iter().map(|&row| self.$field[row as usize]));
                })+
                if flags.next() == Some(&true) {
                    into.extra.resize(before, None);
                    into.extra
                        .extend(order.iter().map(|&row| self.extra[row as usize].take()));
                }
                into.rows += order.len();
            }

            /// Counts rows that were put into the columns that tell something of them.
            pub(crate) fn add_rows(&mut self, rows: usize) {
                self.rows += rows;
            }

            pub(crate) fn rows(&self) -> usize {
                self.rows
            }

            /// Adds rows, one column after the other, and leaves them empty.
            pub(crate) fn extend(&mut self, rows: &mut [Row]) {
                let empty = Row::default();
                let before = self.rows;
                $({
                    let empty = $convert(empty.$field);
                    let values = rows.iter().map(|row| $convert(row.$field));
                    if values.clone().any(|value| value != empty) {
                        self.$field.resize(before, empty);
                        self.$field.extend(values);
                    }
                })+
                if rows.iter().any(|row| row.extra.is_some()) {
                    self.extra.resize(before, None);
                    self.extra.extend(rows.iter_mut().map(|row| row.extra.take()));
                }
                self.rows += rows.len();
                rows.fill_with(Row::default);
            }

            /// Brings the columns that lag behind to the length of the others.
            pub(crate) fn complete(&mut self) {
                let empty = Row::default();
                $(self.$field.resize(self.rows, $convert(empty.$field));)+
                self.extra.resize(self.rows, None);
            }

            pub(crate) fn clear(&mut self) {
                $(self.$field.clear();)+
                self.extra.clear();
                self.rows = 0;
            }
        }
    };
}

columns! {
    /// Nanoseconds since 1970 UTC, [`NO_TIME`] where unknown.
    time: i64 => i64 = |v: i64| v;
    /// The uuid's 128 bits, 0 where absent or not a uuid.
    uuid: u128 => i128 = |v: u128| v as i128;
    /// Recorded verdict.
    verdict: Verdict => i32 = |v: Verdict| v.0;
    /// Layer.
    flow_type: FlowType => i32 = |v: FlowType| v.0;
    /// Monitor type.
    event_type: i32 => i32 = |v: i32| v;
    /// Monitor sub-type.
    event_sub_type: i32 => i32 = |v: i32| v;
    /// Direction of the connection.
    direction: Direction => i32 = |v: Direction| v.0;
    /// Trace point.
    trace_point: TracePoint => i32 = |v: TracePoint| v.0;
    /// Connection-tracking state.
    trace_reason: TraceReason => i32 = |v: TraceReason| v.0;
    /// How a policy matched.
    policy_match_type: u32 => u32 = |v: u32| v;
    /// `drop_reason_desc`.
    drop_reason: DropReason => i32 = |v: DropReason| v.0;
    /// The deprecated numeric `drop_reason`.
    drop_reason_number: u32 => u32 = |v: u32| v;
    /// Whether the packet is a reply.
    reply: Reply => u8 = |v: Reply| v as u8;
    /// 0 none, 4 and 6 as Hubble numbers them: 1 and 2.
    ip_version: i32 => i32 = |v: i32| v;
    /// See [`flags`].
    flags: u32 => u32 = |v: u32| v;
    /// Layer 4.
    protocol: Protocol => u8 = |v: Protocol| v as u8;
    /// Source port, 0 where there is none.
    source_port: u32 => u32 = |v: u32| v;
    /// Destination port, 0 where there is none.
    destination_port: u32 => u32 = |v: u32| v;
    /// Source address as sent.
    source_ip: StrId => u32 = |v: StrId| v.0;
    /// Destination address as sent.
    destination_ip: StrId => u32 = |v: StrId| v.0;
    /// Source endpoint.
    source: EndpointId => u32 = |v: EndpointId| v.0;
    /// Destination endpoint.
    destination: EndpointId => u32 = |v: EndpointId| v.0;
    /// Observing node.
    node: StrId => u32 = |v: StrId| v.0;
    /// Labels of the observing node.
    node_labels: ListId => u32 = |v: ListId| v.0;
    /// Hubble's one-line summary.
    summary: StrId => u32 = |v: StrId| v.0;
    /// MAC addresses, source and destination.
    ethernet: PairId => u32 = |v: PairId| v.0;
    /// Source service, name and namespace.
    source_service: PairId => u32 = |v: PairId| v.0;
    /// Destination service, name and namespace.
    destination_service: PairId => u32 = |v: PairId| v.0;
    /// DNS names of the source.
    source_names: ListId => u32 = |v: ListId| v.0;
    /// DNS names of the destination.
    destination_names: ListId => u32 = |v: ListId| v.0;
    /// Producing system, name and version.
    emitter: PairId => u32 = |v: PairId| v.0;
    /// How many events the row stands for.
    weight: u32 => u32 = |v: u32| v;
}

impl Default for Row {
    fn default() -> Self {
        Self {
            time: NO_TIME,
            uuid: 0,
            verdict: Verdict::default(),
            flow_type: FlowType::default(),
            event_type: 0,
            event_sub_type: 0,
            direction: Direction::default(),
            trace_point: TracePoint::default(),
            trace_reason: TraceReason::default(),
            policy_match_type: 0,
            drop_reason: DropReason::default(),
            drop_reason_number: 0,
            reply: Reply::Unknown,
            ip_version: 0,
            flags: 0,
            protocol: Protocol::None,
            source_port: 0,
            destination_port: 0,
            source_ip: StrId(0),
            destination_ip: StrId(0),
            source: EndpointId(0),
            destination: EndpointId(0),
            node: StrId(0),
            node_labels: ListId(0),
            summary: StrId(0),
            ethernet: PairId(0),
            source_service: PairId(0),
            destination_service: PairId(0),
            source_names: ListId(0),
            destination_names: ListId(0),
            emitter: PairId(0),
            weight: 1,
            extra: None,
        }
    }
}

impl Row {
    /// The sparse part, made when first asked for.
    pub fn extra(&mut self) -> &mut Extra {
        Arc::make_mut(self.extra.get_or_insert_default())
    }
}
