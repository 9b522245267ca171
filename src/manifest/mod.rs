//! YAML and JSON documents as Kubernetes reads them.
//!
//! Owns text to values with their places, objects out of documents and lists, and which
//! files of a tree are read. What an object means is `policy`'s and `inventory`'s.

mod value;

pub use value::{Key, Map, Node, Number, Place, Value};
