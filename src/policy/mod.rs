//! What Cilium's policies say about a connection.
//!
//! Owns reading policy objects, Cilium's own validation, the entries they become, and the
//! verdict for a subject, a peer and a port, with the rules behind it. Does not know flows,
//! files or how anything is shown.
//!
//! Base version is Cilium 1.19.4. Where its engine was run, its answer is the truth.

mod admission;
mod build;
mod cidr;
mod convert;
mod entities;
mod entry;
mod icmp;
mod options;
mod port;
mod read;
mod selector;
mod set;
mod validate;

pub use admission::{Admission, AdmissionCause, AdmissionOutcome, admit, pruned};
pub use build::TOO_LARGE;
pub use entry::{
    AuthMode, Direction, DnsRule, HeaderMatch, HttpRule, KafkaRule, L7Rules, Listener, Mismatch,
    PolicyEntry, Port, PortProtocol, PortRule, Protocol, RulePlace, Section, Subject,
};
pub use options::{AllowLocalhost, Enforcement, OptionName, Options, Version};
pub use read::{ReadGroup, ReadObject, ReadPolicy, read_document, read_object};
pub use selector::{
    CidrGroups, LabelSelector, Operator, PeerSelector, Requirement, SelectorKey, Source,
};
pub use set::{
    ObjectId, ObjectKind, PolicyObject, PolicySet, Rejection, Taint, TaintScope, Warning,
};
