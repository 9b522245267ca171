//! YAML and JSON documents as Kubernetes reads them.
//!
//! Owns text to values with their places, objects out of documents and lists, and which
//! files of a tree are read. What an object means is `policy`'s and `inventory`'s.

mod compose;
mod document;
mod error;
mod placeholder;
mod read;
mod scalar;
mod split;
mod value;

pub use document::Document;
pub use error::{ReadError, ReadErrorKind};
pub use placeholder::Placeholder;
pub use read::{DOCUMENT_BYTES, ReadOutcome, read};
pub use value::{Key, Map, Node, Number, Place, Value};
