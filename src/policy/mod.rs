//! What Cilium's policies say about a connection.
//!
//! Owns reading policy objects, Cilium's own validation, the entries they become, and the
//! verdict for a subject, a peer and a port, with the rules behind it. Does not know flows,
//! files or how anything is shown.
//!
//! Base version is Cilium 1.19.4. Where its engine was run, its answer is the truth.

mod admission;
mod build;
mod cause;
mod cidr;
mod compile;
mod convert;
mod decide;
mod entities;
mod entry;
mod explain;
mod filter;
mod gap;
mod http;
mod icmp;
mod idset;
mod imply;
mod interner;
mod l7;
mod layout;
pub mod lint;
mod lookup;
mod mapstate;
mod member;
mod memo;
mod merge;
mod names;
mod options;
mod piece;
mod plan;
mod port;
mod port_prefix;
mod read;
mod redacted;
mod selection;
mod selector;
mod set;
mod subjects;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod touch;
mod validate;
mod verdict;
mod version;
mod world;
mod written;

pub use admission::{Admission, AdmissionCause, AdmissionOutcome, admit, pruned};
pub use build::TOO_LARGE;
pub use cause::Cause;
pub use compile::Compiled;
pub use entry::{
    AuthMode, Direction, DnsRule, HeaderMatch, HttpRule, KafkaRule, L7Rules, Listener, Mismatch,
    PolicyEntry, Port, PortProtocol, PortRule, Protocol, RulePlace, Section, Subject,
};
pub use explain::{Considered, PeerFit, PortFit};
pub use gap::{BroadThresholds, Gap};
pub use http::{HttpRequest, L7Request, RequestVerdict};
pub use l7::{L7Cover, PortSpan, protocol_name};
pub use memo::{Memo, Question};
pub use merge::Conflict;
pub use options::{AllowLocalhost, Enforcement, OptionError, OptionName, Options, Version};
pub use piece::{Piece, retain_at};
pub use read::{ReadGroup, ReadObject, ReadPolicy, read_document, read_object};
pub use redacted::{is_redacted_mark, redacted_mark};
pub use selector::{
    CidrGroups, LabelSelector, Operator, PeerSelector, Requirement, SelectorKey, Source,
};
pub use set::{
    Floating, ObjectId, ObjectKind, PolicyObject, PolicySet, Rejection, Taint, TaintScope, Warning,
};
pub use touch::{Touch, Touches};
pub use verdict::{Decision, MatchKind, Origin, Parser, Redirect, RedirectId, RulesId, Verdict};
pub use world::{IdentityIndex, World};
pub use written::{WrittenPart, WrittenRule, written};
