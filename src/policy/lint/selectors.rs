//! What two selectors, or a selector and some labels, have to do with each other.
//!
//! Owns three-valued answers: what is not known may be so, and a check then keeps quiet.

use crate::inventory::Label;
use crate::policy::imply::{contradict_of_label, implies_of_label};
use crate::policy::selector::{LabelSelector, Operator, Requirement, Source};

/// Label of the namespace an endpoint is in.
pub(super) const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// What labels of that namespace begin with.
pub(super) const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
/// Label of the cluster an endpoint is in.
pub(super) const CLUSTER: &str = "io.cilium.k8s.policy.cluster";

/// Whether something is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Selected {
    No,
    Maybe,
    Yes,
}

/// Whether a selector selects what has these labels. `unknown` are the names of labels
/// that it may or may not have.
pub(super) fn selects(
    selector: &LabelSelector,
    labels: &[Label],
    unknown: impl Fn(&str) -> bool,
) -> Selected {
    selector
        .requirements()
        .filter(|requirement| !is_unwritten(requirement))
        .map(|requirement| {
            if unknown(&requirement.key.name) {
                Selected::Maybe
            } else if holds(requirement, labels) {
                Selected::Yes
            } else {
                Selected::No
            }
        })
        .min()
        .unwrap_or(Selected::Yes)
}

/// Whether one requirement holds for these labels.
pub(super) fn holds(requirement: &Requirement, labels: &[Label]) -> bool {
    let mut found = labels.iter().filter(|label| {
        label.key == requirement.key.name
            && match &requirement.key.source {
                Source::Any => true,
                Source::Of(source) => *source == label.source,
            }
    });
    let listed = |label: &Label| requirement.values.contains(&label.value);
    match requirement.operator {
        Operator::In => found.any(listed),
        Operator::NotIn => !found.any(listed),
        Operator::Exists => found.next().is_some(),
        Operator::DoesNotExist => found.next().is_none(),
    }
}

/// Whether two selectors can never select the same endpoint.
pub(super) fn disjoint(a: &LabelSelector, b: &LabelSelector) -> bool {
    a.requirements()
        .filter(|requirement| !is_unwritten(requirement))
        .any(|a| {
            b.requirements()
                .filter(|requirement| !is_unwritten(requirement))
                .any(|b| contradict(a, b) || contradict(b, a))
        })
}

/// Whether everything that `narrow` selects is selected by `wide` too, as far as the text
/// of both says: labels are told apart by their names, and not by where they are from.
pub(super) fn within(narrow: &LabelSelector, wide: &LabelSelector) -> bool {
    wide.requirements()
        .filter(|requirement| !is_unwritten(requirement))
        .all(|wanted| {
            narrow
                .requirements()
                .any(|asked| asked.key.name == wanted.key.name && implies_of_label(asked, wanted))
        })
}

/// The namespace of a policy that nobody knows, as it gets into a selector.
fn is_unwritten(requirement: &Requirement) -> bool {
    &*requirement.key.name == NAMESPACE
        && requirement.operator == Operator::In
        && requirement.values.iter().all(|value| value.is_empty())
}

fn contradict(a: &Requirement, b: &Requirement) -> bool {
    let same_source = match (&a.key.source, &b.key.source) {
        (Source::Any, _) | (_, Source::Any) => true,
        (Source::Of(a), Source::Of(b)) => a == b,
    };
    if a.key.name != b.key.name || !same_source {
        return false;
    }
    contradict_of_label(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::selector::SelectorKey;

    fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
        Requirement {
            key: SelectorKey {
                source: Source::Any,
                name: key.into(),
            },
            operator,
            values: values.iter().map(|value| (*value).into()).collect(),
        }
    }

    fn selector(expressions: Vec<Requirement>) -> LabelSelector {
        LabelSelector {
            labels: Vec::new(),
            expressions,
        }
    }

    #[test]
    fn selectors_that_ask_for_different_values_of_a_label_are_disjoint() {
        let a = selector(vec![requirement("app", Operator::In, &["a"])]);
        let b = selector(vec![requirement("app", Operator::In, &["b"])]);
        let c = selector(vec![requirement("tier", Operator::In, &["b"])]);
        let no_app = selector(vec![requirement("app", Operator::DoesNotExist, &[])]);
        assert!(disjoint(&a, &b));
        assert!(disjoint(&no_app, &a));
        assert!(!disjoint(&a, &a));
        assert!(!disjoint(&a, &c));
        assert!(!disjoint(&a, &LabelSelector::default()));
    }

    #[test]
    fn what_is_unknown_may_be_selected() {
        let asked = selector(vec![
            requirement(NAMESPACE, Operator::In, &["shop"]),
            requirement("app", Operator::In, &["web"]),
        ]);
        let web = [Label::new("k8s", "app", "web")];
        let unknown = |key: &str| key == NAMESPACE;
        assert_eq!(selects(&asked, &web, unknown), Selected::Maybe);
        assert_eq!(selects(&asked, &web, |_| false), Selected::No);
        assert_eq!(selects(&asked, &[], unknown), Selected::No);
    }
}
