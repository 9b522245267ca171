//! What Cilium's policies say about a connection.
//!
//! Owns reading policy objects, Cilium's own validation, the entries they become, and the
//! verdict for a subject, a peer and a port, with the rules behind it. Does not know flows,
//! files or how anything is shown.
//!
//! Base version is Cilium 1.19.4. Where its engine was run, its answer is the truth.

mod build;
mod cidr;
mod convert;
mod entities;
mod entry;
mod gap;
mod icmp;
pub mod lint;
mod options;
mod port;
mod read;
mod selector;
mod set;
mod validate;

pub use build::Document;
pub use entry::{
    AuthMode, Direction, DnsRule, HeaderMatch, HttpRule, KafkaRule, L7Rules, Listener, Mismatch,
    PolicyEntry, Port, PortProtocol, PortRule, Protocol, RulePlace, Section, Subject,
};
pub use gap::{BroadThresholds, Gap};
pub use options::{AllowLocalhost, Enforcement, OptionError, OptionName, Options, Version};
pub use read::{ReadGroup, ReadObject, ReadPolicy, read_object};
pub use selector::{
    CidrGroups, LabelSelector, Operator, PeerSelector, Requirement, SelectorKey, Source,
};
pub use set::{
    ObjectId, ObjectKind, PolicyObject, PolicySet, Rejection, Taint, TaintScope, Warning,
};
