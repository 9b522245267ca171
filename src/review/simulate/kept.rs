//! Objects of a second set that a cluster would refuse.
//!
//! Owns what is in force in their place: the version that the first set has, as in a cluster
//! where the new one is refused; nothing where there is none. Who refuses is said: the API
//! server does not store what its schema forbids, and an agent does not take over what it
//! cannot import.

use std::sync::Arc;

use crate::inventory::Service;
use crate::manifest::{Document, Place};
use crate::policy::{
    AdmissionOutcome, ObjectId, Options, ReadObject, TOO_LARGE, admit, read_document,
};

/// An object that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub id: ObjectId,
    /// File.
    pub file: Arc<str>,
    /// Where in the file.
    pub at: Place,
    /// Who refuses it.
    pub by: Refuser,
    /// The field and what is wrong with it.
    pub reason: String,
    /// Whether the version of the first set stays in force; else nothing is.
    pub base_stays: bool,
}

/// Who refuses an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuser {
    /// It is not stored.
    ApiServer,
    /// It is stored, and no agent imports it.
    Agent,
}

impl Refuser {
    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "the API server",
            Self::Agent => "Cilium",
        }
    }
}

/// Puts the version of the first set in place of what a cluster refuses of the second, and
/// says which those are. Only those that could be read are looked at: the others are taints.
/// What both sets have alike is no news, whatever a cluster would say of it.
pub fn keep(
    base: &[Document],
    head: &mut Vec<Document>,
    services: &[Service],
    options: &Options,
) -> Vec<Kept> {
    let mut kept = Vec::new();
    let mut in_place = Vec::new();
    head.retain(|document| {
        let Some((id, at, by, reason)) = refused(document, services, options) else {
            return true;
        };
        let before = base
            .iter()
            .find(|other| named(other).is_some_and(|other| other == id));
        if before.is_some_and(|before| before.root.says_the_same(&document.root)) {
            return true;
        }
        // What the server refuses changes nothing, whatever is stored; an agent has only
        // what it could import.
        let before = before.filter(|before| {
            by == Refuser::ApiServer || refused(before, services, options).is_none()
        });
        kept.push(Kept {
            id,
            file: document.file.clone(),
            at,
            by,
            reason,
            base_stays: before.is_some(),
        });
        in_place.extend(before.cloned());
        // What an agent cannot import stays as what it is: an object that is not enforced.
        before.is_none() && by == Refuser::Agent
    });
    head.extend(in_place);
    kept
}

/// The policy that a document is; `None` for what is none, or cannot be read.
pub(in crate::review) fn named(document: &Document) -> Option<ObjectId> {
    match read_document(document) {
        ReadObject::Policy(policy) => Some(policy.id),
        _ => None,
    }
}

/// What names an object, where and by whom it is refused, and why.
type Refusal = (ObjectId, Place, Refuser, String);

fn refused(document: &Document, services: &[Service], options: &Options) -> Option<Refusal> {
    if document.placeholder.is_some() {
        return None;
    }
    let ReadObject::Policy(policy) = read_document(document) else {
        return None;
    };
    if let Err(rejection) = policy.entries(services, options) {
        if rejection.class == TOO_LARGE {
            return None;
        }
        let reason = said(&rejection.field, &rejection.message);
        return Some((policy.id, rejection.at, Refuser::Agent, reason));
    }
    let admission = admit(&document.root)?;
    // Unknown fields are refused only where a client asks for that.
    if admission.outcome != AdmissionOutcome::Invalid {
        return None;
    }
    let cause = admission.causes.first();
    let at = cause.map_or(document.at(), |cause| cause.at);
    let reason = cause.map_or_else(
        || "it is not valid".to_owned(),
        |cause| said(&cause.field, &cause.message),
    );
    Some((policy.id, at, Refuser::ApiServer, reason))
}

fn said(field: &str, message: &str) -> String {
    if field.is_empty() {
        message.to_owned()
    } else {
        format!("{field}: {message}")
    }
}
