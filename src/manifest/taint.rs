//! What could not be read and may hide a rule.
//!
//! Owns how far each such thing reaches. What a verdict makes of it is `policy`'s.

use std::sync::Arc;

use super::document::{Document, Scope};
use super::error::ReadError;
use super::kinds::{is_cluster_wide, is_policy_kind};
use super::read::holds_policy;
use super::value::Place;

/// Something unread that may hide a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taint {
    /// Whose verdicts it might change.
    pub scope: TaintScope,
    /// File.
    pub file: Arc<str>,
    /// Where in the file.
    pub at: Place,
    /// What is the matter, a lower-case fragment.
    pub reason: String,
}

/// How far a taint reaches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaintScope {
    /// Subjects of one namespace.
    Namespace(Arc<str>),
    /// Every subject: cluster-wide, or the namespace is not known.
    Everything,
}

impl From<&Scope> for TaintScope {
    fn from(scope: &Scope) -> Self {
        match scope {
            Scope::Namespace(name) => Self::Namespace((&**name).into()),
            Scope::Cluster | Scope::Unknown => Self::Everything,
        }
    }
}

/// The taint of a document that could not be read, if it may hold a policy.
pub(super) fn of_error(error: &ReadError) -> Option<Taint> {
    if !may_hold_policy(&error.lost_kinds) {
        return None;
    }
    Some(Taint {
        scope: lost_scope(&error.lost_kinds, error.lost_namespace.as_deref()),
        file: Arc::clone(&error.file),
        at: error.at,
        reason: match &error.placeholder {
            Some(placeholder) => format!(
                "{} ({} at {} is not filled in)",
                error.kind, placeholder.text, placeholder.at
            ),
            None => error.kind.to_string(),
        },
    })
}

/// The taint of a file of which nothing is known.
pub(super) fn of_file(file: &Arc<str>, reason: String) -> Taint {
    Taint {
        scope: TaintScope::Everything,
        file: Arc::clone(file),
        at: Place::default(),
        reason,
    }
}

/// The taint of an object that was read and is not to be taken literally.
pub(super) fn of_document(document: &Document) -> Option<Taint> {
    if !document.kind().is_some_and(is_policy_kind) {
        return None;
    }
    if let Some(placeholder) = &document.placeholder {
        return Some(Taint {
            scope: (&document.scope).into(),
            file: Arc::clone(&document.file),
            at: placeholder.at,
            reason: format!(
                "{} of {} is not filled in; give the rendered manifests instead",
                placeholder.text,
                document.title()
            ),
        });
    }
    None
}

/// Whether one of the kinds named holds policies, or is itself left open.
pub(super) fn may_hold_policy(kinds: &[Box<str>]) -> bool {
    kinds.iter().any(|kind| holds_policy(kind))
}

/// How far text reaches of which only kinds and perhaps a namespace are known.
pub(super) fn lost_scope(kinds: &[Box<str>], namespace: Option<&str>) -> TaintScope {
    match namespace {
        Some(name) if kinds.len() == 1 && !is_cluster_wide(&kinds[0]) => {
            TaintScope::Namespace(name.into())
        }
        _ => TaintScope::Everything,
    }
}
