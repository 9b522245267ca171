//! What is in which namespace, so that nothing is compared with all of the cluster.
//!
//! Owns the index. What is in no namespace, or in one that nobody knows, is a candidate for
//! every selector.

use std::collections::HashMap;
use std::sync::Arc;

use super::selectors::NAMESPACE;
use crate::policy::selector::{LabelSelector, Operator};

/// Indices of things by their namespace.
#[derive(Debug, Default)]
pub(super) struct Places {
    of: HashMap<Arc<str>, Vec<usize>>,
    elsewhere: Vec<usize>,
    count: usize,
}

impl Places {
    /// Takes the next thing, in a namespace or anywhere.
    pub(super) fn push(&mut self, namespace: Option<&str>) {
        let index = self.count;
        self.count += 1;
        match namespace {
            Some(namespace) => self.of.entry(namespace.into()).or_default().push(index),
            None => self.elsewhere.push(index),
        }
    }

    /// Everything that a selector can be about, each once.
    pub(super) fn candidates<'i>(
        &'i self,
        selector: &'i LabelSelector,
    ) -> Box<dyn Iterator<Item = usize> + 'i> {
        match asked(selector) {
            None => Box::new(0..self.count),
            Some(namespaces) => {
                let inside = namespaces.iter().filter_map(|name| self.of.get(name));
                let inside = inside.flatten().copied();
                Box::new(inside.chain(self.elsewhere.iter().copied()))
            }
        }
    }
}

/// The namespaces that a selector is limited to, where it is.
fn asked(selector: &LabelSelector) -> Option<&[Arc<str>]> {
    selector
        .requirements()
        .find(|requirement| {
            &*requirement.key.name == NAMESPACE
                && requirement.operator == Operator::In
                && requirement.values.iter().all(|value| !value.is_empty())
        })
        .map(|requirement| &*requirement.values)
}
