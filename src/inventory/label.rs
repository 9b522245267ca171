//! A label of Cilium: `source:key=value`.
//!
//! Owns taking its text apart as Cilium does. Which labels are wanted is a selector's.

use std::fmt;
use std::sync::Arc;

/// A label, owned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// Who gave it: `k8s`, `reserved`, `cidr`, `fqdn`, `node`, ...
    pub source: Arc<str>,
    /// Its name.
    pub key: Arc<str>,
    /// Empty where there is none.
    pub value: Arc<str>,
}

impl Label {
    /// Takes `source:key=value` apart; any text is some label.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let label = crate::pattern::Label::parse(text);
        Self::new(label.source, label.key, label.value)
    }

    /// A label of three parts.
    #[must_use]
    pub fn new(source: &str, key: &str, value: &str) -> Self {
        Self {
            source: source.into(),
            key: key.into(),
            value: value.into(),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.key)?;
        if !self.value.is_empty() {
            write!(f, "={}", self.value)?;
        }
        Ok(())
    }
}
