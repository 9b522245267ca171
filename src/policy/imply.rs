//! When everybody that one selector selects is selected by another one too, whoever there
//! may be.
//!
//! Owns the proof over what selectors ask for. It is about any labels, addresses and names
//! there could be, not about those that are known. `false` means that it was not proven.

use ipnet::IpNet;

use super::member::world_label;
use super::names::{NamePattern, canonical};
use super::options::Options;
use super::redacted::is_redacted_mark;
use super::selector::{LabelSelector, Operator, PeerSelector, Requirement, Source};

impl LabelSelector {
    /// Whether everything that this selects is selected by `other` too.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        other
            .requirements()
            .all(|wanted| self.requirements().any(|asked| implies(asked, wanted)))
    }

    /// Whether nothing is selected by both.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        self.requirements().any(|one| {
            other
                .requirements()
                .any(|two| contradict(one, two) || contradict(two, one))
        })
    }

    fn asks_for_nothing(&self) -> bool {
        self.labels.is_empty() && self.expressions.is_empty()
    }
}

impl PeerSelector {
    /// Whether it selects everybody, the unknown identity too.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        match self {
            Self::Everyone => true,
            Self::Labels(selector) => selector.asks_for_nothing(),
            _ => false,
        }
    }

    /// Whether everybody that this selects is selected by `other` too.
    #[must_use]
    pub fn is_within(&self, other: &Self, options: &Options) -> bool {
        if self == other || other.is_everybody() {
            return true;
        }
        match (self, other) {
            (Self::Labels(narrow), Self::Labels(wide)) => narrow.is_within(wide),
            (
                Self::Cidr { prefix, except },
                Self::Cidr {
                    prefix: wide,
                    except: left_out,
                },
            ) => is_prefix_within((prefix, except), (wide, left_out)),
            // What is outside carries the label of its world; nodes only where prefixes are
            // matched against them.
            (Self::Cidr { prefix, .. }, Self::Labels(wide)) => {
                !options.cidr_match_nodes && is_world_of(wide, prefix, options)
            }
            (
                Self::Fqdn { name, .. },
                Self::Fqdn {
                    name: other_name,
                    pattern,
                },
            ) => {
                !name.is_empty()
                    && ![name, other_name, pattern]
                        .into_iter()
                        .any(|text| is_redacted_mark(text))
                    && NamePattern::of_selector(other_name, pattern, options.version)
                        .matches(&canonical(name))
            }
            _ => false,
        }
    }
}

/// Whether a label with which `asked` holds makes `wanted` hold too. Keys are the same only
/// with the same source: the first label of any source is not that of one.
fn implies(asked: &Requirement, wanted: &Requirement) -> bool {
    if asked.key != wanted.key || is_prefix_key(asked) {
        return asked == wanted;
    }
    implies_of_label(asked, wanted)
}

/// The same of two requirements about the same label, whatever their keys say of sources.
pub(super) fn implies_of_label(asked: &Requirement, wanted: &Requirement) -> bool {
    let wants = |value| wanted.values.contains(value);
    match (asked.operator, wanted.operator) {
        (Operator::In, Operator::In) => asked.values.iter().all(wants),
        (Operator::In, Operator::NotIn) => !asked.values.iter().any(wants),
        (Operator::In | Operator::Exists, Operator::Exists)
        | (Operator::DoesNotExist, Operator::DoesNotExist | Operator::NotIn) => true,
        (Operator::NotIn, Operator::NotIn) => wanted
            .values
            .iter()
            .all(|value| asked.values.contains(value)),
        _ => false,
    }
}

/// Keys of prefixes find labels of others.
fn is_prefix_key(requirement: &Requirement) -> bool {
    matches!(&requirement.key.source, Source::Of(source) if &**source == "cidr")
}

fn contradict(one: &Requirement, other: &Requirement) -> bool {
    if one.key != other.key || is_prefix_key(one) {
        return false;
    }
    contradict_of_label(one, other)
}

/// Whether no label fits two requirements about it, as far as the first says; to be asked
/// both ways.
pub(super) fn contradict_of_label(one: &Requirement, other: &Requirement) -> bool {
    let both = |value| other.values.contains(value);
    match (one.operator, other.operator) {
        (Operator::In, Operator::In) => !one.values.iter().any(both),
        (Operator::In, Operator::NotIn) => one.values.iter().all(both),
        (Operator::In | Operator::Exists, Operator::DoesNotExist) => true,
        _ => false,
    }
}

/// A prefix of length 0 is everything outside, and not an address more: it is only within
/// another of length 0.
fn is_prefix_within(narrow: (&IpNet, &[IpNet]), wide: (&IpNet, &[IpNet])) -> bool {
    let (prefix, except) = narrow;
    let (other, left_out) = wide;
    if !other.contains(prefix) {
        return false;
    }
    left_out
        .iter()
        .all(|gap| !gap.contains(prefix) && !prefix.contains(gap) || is_left_out(gap, except))
}

/// Whether a part is in one that is left out anyway.
fn is_left_out(gap: &IpNet, except: &[IpNet]) -> bool {
    except.iter().any(|own| own.contains(gap))
}

fn is_world_of(selector: &LabelSelector, prefix: &IpNet, options: &Options) -> bool {
    let v4 = matches!(prefix, IpNet::V4(_));
    let label = world_label(v4, options);
    let mut requirements = selector.requirements();
    let (Some(only), None) = (requirements.next(), requirements.next()) else {
        return false;
    };
    matches!(&only.key.source, Source::Of(source) if &**source == "reserved")
        && &*only.key.name == label
        && match only.operator {
            Operator::In => only.values.iter().any(|value| value.is_empty()),
            Operator::Exists => true,
            Operator::NotIn | Operator::DoesNotExist => false,
        }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::SelectorKey;

    fn asks(key: &str, operator: Operator, values: &[&str]) -> Requirement {
        Requirement {
            key: SelectorKey {
                source: Source::Any,
                name: key.into(),
            },
            operator,
            values: values.iter().map(|value| Arc::from(*value)).collect(),
        }
    }

    fn all(expressions: &[Requirement]) -> LabelSelector {
        LabelSelector {
            labels: Vec::new(),
            expressions: expressions.to_vec(),
        }
    }

    /// Guarantees: a proof over what is asked for agrees with trying every value, and finds
    /// all there is to find for one label.
    #[test]
    fn what_one_label_implies_is_found_by_trying_all_its_values() {
        let lists: [&[&str]; 4] = [&["a"], &["b"], &["a", "b"], &["a", "b", "c"]];
        let mut asked: Vec<Requirement> = vec![
            asks("k", Operator::Exists, &[]),
            asks("k", Operator::DoesNotExist, &[]),
        ];
        for list in lists {
            asked.push(asks("k", Operator::In, list));
            asked.push(asks("k", Operator::NotIn, list));
        }
        // Another value stands for all that nobody names.
        let values = [None, Some("a"), Some("b"), Some("c"), Some("other")];
        let holds = |requirement: &Requirement, value: Option<&str>| {
            let listed = value
                .is_some_and(|value| requirement.values.iter().any(|wanted| **wanted == *value));
            match requirement.operator {
                Operator::In => listed,
                Operator::NotIn => !listed,
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        };
        for one in &asked {
            for other in &asked {
                let within = values
                    .iter()
                    .all(|value| !holds(one, *value) || holds(other, *value));
                let apart = values
                    .iter()
                    .all(|value| !holds(one, *value) || !holds(other, *value));
                let (narrow, wide) = (
                    all(std::slice::from_ref(one)),
                    all(std::slice::from_ref(other)),
                );
                assert_eq!(narrow.is_within(&wide), within, "{one:?} {other:?}");
                assert_eq!(narrow.excludes(&wide), apart, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_prefix_is_within_one_that_leaves_no_more_out() {
        let cidr = |prefix: &str, except: &[&str]| PeerSelector::Cidr {
            prefix: prefix.parse().unwrap(),
            except: except.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let options = Options::default();
        let within = |one: &PeerSelector, other: &PeerSelector| one.is_within(other, &options);
        let whole = cidr("10.0.0.0/8", &[]);
        let holed = cidr("10.0.0.0/8", &["10.1.0.0/16"]);
        assert!(within(&cidr("10.1.0.0/16", &[]), &whole));
        assert!(!within(&whole, &cidr("10.1.0.0/16", &[])));
        assert!(within(&holed, &whole));
        assert!(!within(&whole, &holed));
        assert!(within(&cidr("10.0.0.0/8", &["10.0.0.0/9"]), &holed));
        assert!(within(&cidr("10.2.0.0/16", &[]), &holed));
        assert!(!within(&cidr("10.1.2.0/24", &[]), &holed));
        assert!(within(&whole, &PeerSelector::Everyone));
    }

    #[test]
    fn a_name_is_within_a_pattern_that_it_fits() {
        let name = |name: &str, pattern: &str| PeerSelector::Fqdn {
            name: name.into(),
            pattern: pattern.into(),
        };
        let options = Options::default();
        let within = |one: &PeerSelector, other: &PeerSelector| one.is_within(other, &options);
        assert!(within(
            &name("a.example.com", ""),
            &name("", "*.example.com")
        ));
        assert!(!within(
            &name("a.b.example.com", ""),
            &name("", "*.example.com")
        ));
        assert!(!within(
            &name("", "*.example.com"),
            &name("a.example.com", "")
        ));
    }
}
