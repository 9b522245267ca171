//! Kubernetes label selectors, as Hubble's label filters read them.
//!
//! Owns what a requirement means for a set of Cilium labels; `parse` owns the text.
//! Endpoint labels (`k8s:app=x`) and node labels (`zone=a`) are matched alike.

mod parse;

use super::label::{Label, Prefix, UNSPEC};

/// A parsed selector: all its requirements have to hold. An empty one holds for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// Why a selector is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// A token that cannot stand where it does.
    #[error("found '{found}', expected: {expected}")]
    Unexpected {
        /// The token; empty at the end of the text.
        found: String,
        /// What could stand there.
        expected: &'static str,
    },
    /// Not a label key, after its source (`any` where none is given) was put before it.
    #[error("unable to parse requirement: invalid key \"{key}\": {reason}")]
    Key {
        /// The key with its source, joined by a dot.
        key: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// Not a label value.
    #[error("unable to parse requirement: invalid value \"{value}\": {reason}")]
    Value {
        /// The value.
        value: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
}

impl LabelSelector {
    /// Parses a selector such as `app in (a, b), k8s:env!=prod, !reserved:world`.
    ///
    /// # Errors
    /// [`SelectorError`] for what Hubble refuses.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::requirements(text).map(|requirements| Self { requirements })
    }

    /// Whether the labels fulfil every requirement.
    pub fn matches<'a>(&self, labels: impl Iterator<Item = &'a str> + Clone) -> bool {
        let labels = labels.map(Label::parse);
        self.requirements
            .iter()
            .all(|requirement| requirement.matches(labels.clone()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: Key,
    test: Test,
}

/// Which labels a requirement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// Of any source.
    Any(String),
    /// Of one source.
    Of { source: String, key: String },
    /// Prefixes inside this one; `None` is not a prefix and finds nothing.
    Cidr(Option<Prefix>),
}

/// What is asked of the label found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    /// It is there with one of these values.
    In(Vec<String>),
    /// It is missing or has none of these values.
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

impl Requirement {
    fn matches<'a>(&self, labels: impl Iterator<Item = Label<'a>>) -> bool {
        let value = self.key.lookup(labels);
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Missing => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
            Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
            Test::Greater(bound) => value.and_then(number).is_some_and(|n| n > *bound),
            Test::Less(bound) => value.and_then(number).is_some_and(|n| n < *bound),
        }
    }
}

impl Key {
    /// Takes a key apart whose source is before its first dot.
    fn parse(dotted: &str) -> Self {
        let (source, key) = dotted.split_once('.').unwrap_or(("any", dotted));
        match source {
            "any" | UNSPEC => Self::Any(key.to_owned()),
            "cidr" => Self::Cidr(Prefix::from_key(key)),
            _ => Self::Of {
                source: source.to_owned(),
                key: key.to_owned(),
            },
        }
    }

    /// The value of the first label with this key. Cilium keeps labels sorted by key, so
    /// where several can fit (only prefixes), the first by key it is.
    fn lookup<'a>(&self, mut labels: impl Iterator<Item = Label<'a>>) -> Option<&'a str> {
        let found = match self {
            Self::Any(key) => labels.find(|label| label.key == key),
            Self::Of { source, key } => {
                labels.find(|label| label.source == source && label.key == key)
            }
            Self::Cidr(None) => None,
            Self::Cidr(Some(prefix)) => labels
                .filter(|label| label.source == "cidr")
                .filter(|label| Prefix::from_key(label.key).is_some_and(|own| prefix.covers(own)))
                .min_by_key(|label| label.key),
        };
        found.map(|label| label.value)
    }
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests;
