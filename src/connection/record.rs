//! A connection and an exchange, as they come out of the fold.
//!
//! Owns their fields and what each means. How rows become them is `fold`'s.

use std::net::IpAddr;
use std::sync::Arc;

use super::peer::Edge;
use crate::flow::{DropReason, Protocol, Verdict as FlowVerdict};
use crate::policy::{Cause, Decision, Direction, Gap, IdentityIndex, Verdict};

/// The 5-tuple, client first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    /// Layer 4.
    pub protocol: Protocol,
    /// Who opened it; `None` where the flows carry no address.
    pub client: Option<IpAddr>,
    /// Port of the client, 0 where there is none.
    pub client_port: u16,
    /// Who was called.
    pub server: Option<IpAddr>,
    /// Port of the server; the type for ICMP.
    pub server_port: u16,
}

/// Whether the beginning of a connection was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Opening {
    /// Its first packet is among the flows: a SYN, a new entry of connection tracking, a
    /// policy verdict, a denial, or the first datagram in its window.
    Seen,
    /// It was open before the first flow of it, or went on after it was let go of.
    #[default]
    Missed,
}

/// What became of a connection. The worst that was seen counts, as long as nothing of the
/// server came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Forwarded, as far as was seen.
    #[default]
    Forwarded,
    /// A proxy refused at least one request; the connection itself was let pass.
    RequestDenied,
    /// Would have been denied; audit mode let it pass.
    Audited,
    /// Dropped, and nothing came back.
    Dropped(DropReason),
    /// Verdict ERROR.
    Error,
}

/// What a recorded event of one direction said, the first decisive one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recorded {
    /// Hubble's verdict.
    pub verdict: FlowVerdict,
    /// Why it was dropped, 0 where it was not.
    pub drop_reason: DropReason,
    /// `policy_match_type`, 0 where the event says none.
    pub match_type: u32,
    /// Policies Hubble names, `namespace/name` or `name`, sorted.
    pub policies: Arc<[Arc<str>]>,
}

/// What the policies say about one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Computed {
    /// The cluster whose policies were asked, as the judge counts them.
    pub cluster: u32,
    /// Whose policies, in that cluster.
    pub subject: IdentityIndex,
    /// The decision about the connection.
    pub decision: Decision,
    /// The verdict: that of the decision unless something about the flow leaves it unknown.
    pub verdict: Verdict,
}

/// One direction of a connection: the client's egress or the server's ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// The node that observed it, empty where none did.
    pub node: Arc<str>,
    /// What Hubble recorded about policy.
    pub recorded: Option<Recorded>,
    /// What the policies say.
    pub computed: Option<Computed>,
    /// Passed with nobody having asked for it.
    pub gap: Option<Gap>,
    /// Recorded and computed verdict disagree, and both are certain.
    pub drift: bool,
    /// They disagree, and the flow is older than a policy that takes part.
    pub changed: bool,
    /// Recorded, and not to be compared: why.
    pub unknown: Option<Cause>,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Addresses and ports.
    pub tuple: Tuple,
    /// Names and port.
    pub edge: Edge,
    /// Time of the first flow in nanoseconds, [`crate::flow::NO_TIME`] where none has one.
    pub first: i64,
    /// Time of the last flow.
    pub last: i64,
    /// Whether its beginning was seen.
    pub opening: Opening,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether anything came back from the server.
    pub answered: bool,
    /// Whether client and server are certain; else they are as the first flow has them.
    pub oriented: bool,
    /// Packets that asked for it: the SYN and its retries, denied packets. A verdict and
    /// a drop of one packet are one. 0 where the beginning was missed.
    pub attempts: u32,
    /// How many connections the record stands for: 1, or what an aggregated row says.
    pub weight: u64,
    /// Flows folded into it.
    pub rows: u64,
    /// Ticks of 5 s in which it was seen.
    pub busy: u32,
    /// Reset by either side.
    pub reset: bool,
    /// Reset by the server, before anything else came back.
    pub refused: bool,
    /// Closed or reset.
    pub closed: bool,
    /// Some flow says that it was encrypted.
    pub encrypted: bool,
    /// Some flow that could have said so (host and network trace points) says that it was
    /// not.
    pub plain: bool,
    /// The client's side.
    pub egress: Side,
    /// The server's side.
    pub ingress: Side,
    /// Service that was called, `namespace/name`, empty where no flow says.
    pub service: Arc<str>,
    /// Reference of its first flow: node, time, tuple hash.
    pub reference: (Arc<str>, i64, u64),
    /// Exchanges of layer 7 on it.
    pub exchanges: u32,
    /// One flow that says neither addresses nor endpoints: it stands for itself, and others
    /// may be of the same connection.
    pub alone: bool,
}

/// What a judge says of one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgedSide {
    /// The direction that was judged.
    pub direction: Direction,
    /// What the policies say; `None` where they were not asked.
    pub computed: Option<Computed>,
    /// Passed with nobody having asked for it.
    pub gap: Option<Gap>,
    /// Recorded and computed verdict disagree, and both are certain.
    pub drift: bool,
    /// They disagree, and the flow is older than a policy that takes part.
    pub changed: bool,
    /// Recorded, and not to be compared: why.
    pub unknown: Option<Cause>,
}

/// What comes out of the fold.
#[derive(Clone, Debug, PartialEq)]
pub enum Folded {
    /// A connection as it was [`super::OPENING`] after it began, or when it ended before.
    /// Each one comes once, before it comes as ended; only where that is asked for.
    Opened(Connection),
    /// A connection that has ended, or was let go of.
    Connection(Connection),
    /// A request and its response.
    Exchange(Exchange),
}

/// A request and its response.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// On which edge.
    pub edge: Edge,
    /// When it was first seen, in nanoseconds.
    pub time: i64,
    /// When nothing more of it was waited for: some seconds after its response, or a minute
    /// after it began.
    pub settled: i64,
    /// Time to the response in nanoseconds, 0 unknown.
    pub latency: u64,
    /// Whether a response was seen.
    pub answered: bool,
    /// Whether the proxy refused it.
    pub denied: bool,
    /// How many exchanges the record stands for.
    pub weight: u64,
    /// What was asked and answered.
    pub kind: ExchangeKind,
}

/// What an exchange was about.
#[derive(Clone, Debug, PartialEq)]
pub enum ExchangeKind {
    /// DNS.
    Dns {
        /// The name asked for, lower case, no last dot.
        query: Arc<str>,
        /// Types asked for, such as `A`.
        types: Arc<str>,
        /// Response code, 0 for none and for success; see `answered`.
        code: u32,
    },
    /// HTTP.
    Http {
        /// Method.
        method: Arc<str>,
        /// Host, empty where the URL has none.
        host: Arc<str>,
        /// Path without its query.
        path: Arc<str>,
        /// Status, 0 where no response was seen.
        code: u32,
    },
    /// Something else, by its name (`kafka`, or what the proxy calls it).
    Other(Arc<str>),
}
