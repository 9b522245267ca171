//! YAML and JSON documents as Kubernetes reads them.
//!
//! Owns text to values with their places, objects out of documents and lists, and which
//! files of a tree are read. What an object means is `policy`'s and `inventory`'s.

mod braces;
#[cfg(test)]
mod budget_tests;
mod compose;
mod document;
mod edit;
mod error;
mod footprint;
mod gitops;
mod keyed;
mod kinds;
mod load;
mod outline;
mod patch;
mod placeholder;
mod read;
mod rename;
mod scalar;
mod split;
mod taint;
mod tree;
mod value;
mod write;

pub use document::{Document, Scope};
pub use edit::{EditError, append_item};
pub use error::{ReadError, ReadErrorKind};
pub use footprint::Footprint;
pub use keyed::{KeyedError, KeyedFile, read_keyed};
pub use kinds::is_policy_kind;
pub use load::{
    FILE_BYTES, LoadError, LoadOptions, Loaded, Repeated, STDIN, Skipped, load, load_with,
};
pub use patch::{Patch, PatchError, Step, patch};
pub use placeholder::Placeholder;
pub use read::{DOCUMENT_BYTES, ReadOutcome, read};
pub use split::document_text;
pub use taint::{Taint, TaintScope};
pub use value::{Key, Map, Node, Number, Place, Value};
pub use write::{Block, Content, Layout};
