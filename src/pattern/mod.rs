//! Patterns as Cilium and Hubble mean them: RE2 expressions, name globs, label selectors.
//!
//! Owns the languages. Does not know whose pattern it is (a flag, a flow filter, a
//! policy rule) nor where the value comes from.
//!
//! Every pattern is parsed once into a value whose `matches` cannot fail; callers hand
//! in one distinct value at a time and keep the answers.

mod glob;
mod label;
mod re2;
mod selector;

pub use glob::{FqdnGlob, GlobError, NodeGlob};
pub use label::Label;
pub use re2::{Re2, Re2Error};
pub use selector::{LabelSelector, SelectorError};
