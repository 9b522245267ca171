//! What was used, and rules that let just that pass.
//!
//! Owns the way from connections to rules of a CiliumNetworkPolicy: who there is with which
//! labels (`roster`, `selector`), what of a recording is accepted (`excluded`), who used what
//! (`learn`), and peers, names and requests as rules say them (`term`, `dns`, `request`,
//! `rule`). Which policies they become part of is that of `suggest` and `tighten`.

mod dns;
mod evidence;
mod excluded;
mod learn;
mod request;
mod roster;
mod rule;
mod selector;
mod term;

pub use dns::Lookups;
pub use evidence::{Evidence, between};
pub use excluded::{History, Why, is_searched};
pub use learn::{Learner, Names, Usage, Use};
pub use request::{Requests, pattern};
pub use roster::{Directory, Labels, Member, Noter, Notes, WorkloadKey, key_of};
pub(in crate::review) use rule::is_icmp;
pub use rule::{Layer7, PortKey, Rule, RuleOptions, labels, layer4, peer, ports, rules};
pub use selector::{Chosen, Selector, choose};
pub use term::{Home, Naming, Port, Term, Terms, Wanted, is_metadata, is_private};
