//! What policies are evaluated against, besides flows.
//!
//! Owns the input's shape: identities, and how much of what exists they are.

use crate::inventory::Identity;

/// The cluster as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Who is there. Index in this list is the index that decisions are asked with.
    pub identities: Vec<Identity>,
    /// Every name that DNS gave for an address is with its identity: an address without a
    /// fitting name has none. Otherwise rules about names leave verdicts unknown.
    pub names_complete: bool,
    /// Every pod that has named ports is among the identities. Otherwise a name nobody
    /// defines leaves verdicts unknown.
    pub ports_complete: bool,
}

/// Who is asked about: the index of an identity, or of a class of outside addresses that
/// no policy tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityIndex(pub u32);
