//! What to do about an incident, as values: whom it is about, how to cut it off, what that
//! cut really does.
//!
//! Owns the words of a response: the target, the quarantine and its proof, the files of a
//! bundle. Applies nothing to a cluster, writes no file and shows nothing; `render` and `cli`
//! do the last two.

mod known;
pub mod layout;
mod pod;
pub mod quarantine;
mod target;
mod traffic;

pub use known::Known;
pub use pod::KnownPod;
pub use target::{Target, TargetError};
pub use traffic::{SharedNames, TargetEdge, Traffic, Watched};
