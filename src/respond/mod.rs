//! What to do about an incident, as values: whom it is about, what happened and how far it
//! reaches, how to cut it off, what that cut really does, and whether it took effect.
//!
//! Owns the words of a response: who is known (`known`) and what they did (`traffic`), the
//! timeline and the blast radius (`scope`), the quarantine and its proof, what to save
//! (`snapshot`) and to revoke (`credentials`), the files of a bundle (`layout`) and what it
//! says of itself (`record`), what would have prevented it (`improvement`), the watch that proves a quarantine (`verify`). Applies nothing
//! to a cluster, writes no file and shows nothing; `render` and `cli` do the last two.

pub mod credentials;
pub mod improvement;
mod known;
pub mod layout;
mod pod;
pub mod quarantine;
pub mod record;
pub mod scope;
pub mod snapshot;
mod traffic;
pub mod verify;

pub use crate::review::trace::{Target, TargetError};
pub use known::Known;
pub use pod::KnownPod;
pub use traffic::{SharedNames, TargetEdge, Traffic, Watched};
