//! What a bundle says of itself, for whoever verifies it later: `bundle.json`.
//!
//! Owns the form. Within a version fields are only added; `docs/schema/bundle.json` is the
//! schema. Which pages there are is `layout`'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the form.
pub const VERSION: u32 = 1;

/// A bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleRecord {
    /// [`VERSION`].
    pub version: u32,
    /// Whom it is about, as it is typed.
    pub target: String,
    /// Workloads that the target is, `namespace/name`.
    pub workloads: Vec<String>,
    /// When it was made, RFC 3339.
    pub made: String,
    /// The incident, where there is one.
    pub incident: Option<IncidentRef>,
    /// What is to be applied.
    pub quarantine: QuarantineRef,
    /// Agent options under which it was proven, as `--cilium-option` and the like take them.
    pub options: Vec<String>,
    /// The recorded flows, where they were written down.
    pub evidence: Option<EvidenceRef>,
    /// What would have prevented it; `None` in bundles of before there was any.
    #[serde(default)]
    pub improvement: Option<ImprovementRef>,
}

/// Policies that would have prevented an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImprovementRef {
    /// The file in the bundle; `None` where no policy is made.
    pub file: Option<String>,
    /// Why none is made.
    pub why: Option<String>,
    /// The policies that are narrowed or made, `namespace/name` or `name`.
    pub policies: Vec<String>,
    /// Accepted connections before the incident that were replayed.
    pub accepted: u64,
    /// Those of them that pass.
    pub pass: u64,
    /// Connections that were new with the incident and passed.
    pub new: u64,
    /// Those of them that would have been denied.
    pub denied: u64,
    /// Those of the denied of which that hangs on an address having no other name than flows
    /// show.
    pub by_name: u64,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentRef {
    /// Its id in the findings file; empty where none tells it.
    pub id: String,
    /// In one line; empty where nothing tells it.
    pub title: String,
    /// When it began, RFC 3339; empty where nobody said.
    pub start: String,
}

/// A quarantine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QuarantineRef {
    /// The pattern, by its name.
    pub pattern: String,
    /// Files of its policies, in the bundle.
    pub files: Vec<String>,
    /// Its policies, `namespace/name`, or `name` where they are clusterwide.
    pub policies: Vec<String>,
    /// The label that the target is to carry, where there is one.
    pub label: Option<LabelRef>,
    /// When it is to be looked at again, RFC 3339.
    pub expires: Option<String>,
    /// What was proven of it: `proven`, `undecided` or `refuted`.
    pub proof: String,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelRef {
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}

/// Recorded flows of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRef {
    /// The archive, in the bundle.
    pub path: String,
    /// Flows.
    pub flows: u64,
    /// First and last time, RFC 3339; `None` where no flow has a time.
    pub first: Option<String>,
    /// Last.
    pub last: Option<String>,
    /// Share of node-time that was seen, 0 to 1; `None` unknown.
    pub share: Option<f64>,
    /// Events known to be lost; `None` unknown.
    pub lost: Option<u64>,
    /// Where they are from, as they were named.
    pub sources: Vec<String>,
    /// Flows of each node.
    pub nodes: BTreeMap<String, u64>,
}

/// What is wrong with `bundle.json`.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is no such file.
    #[error("{file}: {cause}")]
    Form {
        /// The file.
        file: String,
        /// Why.
        cause: serde_json::Error,
    },
    /// It is of another version.
    #[error("{file}: version {version} of bundles, this reads version {VERSION}")]
    Version {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
}

impl BundleRecord {
    /// Reads the text of `file`.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn parse(text: &str, file: &str) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let form = |cause| RecordError::Form {
            file: file.to_owned(),
            cause,
        };
        let Versioned { version } = serde_json::from_str(text).map_err(form)?;
        if version != VERSION {
            return Err(RecordError::Version {
                file: file.to_owned(),
                version,
            });
        }
        serde_json::from_str(text).map_err(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_what_is_wrong_is_named() {
        let record = BundleRecord {
            version: VERSION,
            target: "shop/checkout".to_owned(),
            workloads: vec!["shop/checkout".to_owned()],
            made: "2026-06-16T14:20:00Z".to_owned(),
            incident: None,
            quarantine: QuarantineRef::default(),
            options: vec!["cluster-name=shop-prod".to_owned()],
            evidence: None,
            improvement: Some(ImprovementRef::default()),
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(BundleRecord::parse(&text, "b").unwrap(), record);
        let newer = text.replace("\"version\":1", "\"version\":9");
        let error = BundleRecord::parse(&newer, "b").unwrap_err().to_string();
        assert_eq!(error, "b: version 9 of bundles, this reads version 1");
        let error = BundleRecord::parse("{}", "b").unwrap_err().to_string();
        assert!(error.starts_with("b: missing field `version`"), "{error}");
    }
}
