//! Where in an object something is: `spec.ingress[0].fromCIDR[1]`.
//!
//! Owns the text of a path. Paths live on the stack and are written out only when something
//! is wrong.

use std::fmt;

/// A path, as a chain of steps back to the object.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) enum Path<'p> {
    /// The object itself.
    Root,
    /// A field of what is above.
    Field(&'p Path<'p>, &'p str),
    /// An item of the list above.
    Item(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    /// A field below.
    pub(in crate::policy) fn field(&'p self, name: &'p str) -> Self {
        Self::Field(self, name)
    }

    /// An item below.
    pub(in crate::policy) fn item(&'p self, index: usize) -> Self {
        Self::Item(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Path::Root, name) => f.write_str(name),
            Self::Field(above, name) => write!(f, "{above}.{name}"),
            Self::Item(above, index) => write!(f, "{above}[{index}]"),
        }
    }
}
