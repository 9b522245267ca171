//! What to do about an incident, as values: what happened to whom, how far it could reach,
//! what to save before anybody touches it, and whether a quarantine took effect.
//!
//! Owns the timeline and the blast radius (`scope`), the list of what to save (`snapshot`)
//! and to revoke (`credentials`), what a bundle says of itself (`record`), and the watch that
//! proves a quarantine (`verify`). Applies nothing to a cluster, writes no file and shows
//! nothing.

pub mod credentials;
pub mod record;
pub mod scope;
pub mod snapshot;
pub mod verify;
