//! Reading findings and truth.
//!
//! Owns the fields that are needed of both files, and errors with their line. Other fields
//! may be there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::Fields;
use super::party::Party;
use crate::finding::Severity;

/// Why a file cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// It is not JSON.
    #[error("{file}:{line}: {error}")]
    Json {
        /// The file.
        file: String,
        /// From 1 on.
        line: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// A field is missing or means nothing.
    #[error("{file}:{line}: {what} has no {field}")]
    Field {
        /// The file.
        file: String,
        /// From 1 on; of the truth, the number of the incident.
        line: usize,
        /// What it is.
        what: &'static str,
        /// The field.
        field: &'static str,
    },
    /// The file is of another version.
    #[error("{file}:{line}: version {version} is not known, 1 is")]
    Version {
        /// The file.
        file: String,
        /// From 1 on.
        line: usize,
        /// Its version.
        version: u64,
    },
}

/// A finding, as far as it is compared.
#[derive(Clone, Debug)]
pub(super) struct OneFinding {
    pub(super) detector: String,
    pub(super) kind: String,
    pub(super) subject: Option<Party>,
    pub(super) peer: Option<Party>,
    pub(super) first: i64,
    pub(super) last: i64,
    /// When it was first told.
    pub(super) told: i64,
    /// Calibrated; rules whose weight no data calibrates have none.
    pub(super) p: Option<f64>,
}

/// An incident that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// By which it is ranked.
    pub score: f64,
    /// Nanoseconds since 1970.
    pub first: i64,
    /// Nanoseconds since 1970.
    pub last: i64,
    /// In one line.
    pub title: String,
    pub(super) subjects: Vec<Party>,
    pub(super) findings: Vec<OneFinding>,
}

/// A findings file.
#[derive(Clone, Debug, Default)]
pub struct FoundFile {
    /// Its incidents; those that became part of another or are suppressed left out. A finding
    /// without an incident is one of its own.
    pub incidents: Vec<Found>,
}

/// An incident that was.
#[derive(Clone, Debug)]
pub(super) struct Was {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) subject: Party,
    pub(super) peers: Vec<Party>,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) intensity: f64,
    pub(super) detectors: Vec<String>,
}

/// A change that was.
#[derive(Clone, Debug)]
pub(super) struct WasChange {
    pub(super) kind: String,
    pub(super) subject: Option<Party>,
    pub(super) at: i64,
    pub(super) end: i64,
}

/// The file of incidents that `flowwatch synth --incidents` writes.
#[derive(Clone, Debug, Default)]
pub struct TruthFile {
    /// What it is the truth of, nanoseconds since 1970.
    pub span: (i64, i64),
    pub(super) incidents: Vec<Was>,
    pub(super) changes: Vec<WasChange>,
}

impl FoundFile {
    /// Reads JSON lines: findings and incidents; lines of other types are left out. A later
    /// line with the same id replaces an earlier one, but for when it was first told.
    ///
    /// # Errors
    /// [`ScoreError`] with the line.
    pub fn read(text: &str, file: &str) -> Result<Self, ScoreError> {
        let mut findings: BTreeMap<(String, String), OneFinding> = BTreeMap::new();
        let mut incidents: BTreeMap<String, Option<Found>> = BTreeMap::new();
        let mut merged: BTreeMap<String, String> = BTreeMap::new();
        let mut alone: Vec<(String, Found)> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            if text.trim().is_empty() {
                continue;
            }
            let value: Value = serde_json::from_str(text).map_err(|error| ScoreError::Json {
                file: file.to_owned(),
                line,
                error,
            })?;
            let what = match value.get("type").and_then(Value::as_str) {
                Some("finding") => "finding",
                Some("incident") => "incident",
                Some(_) => continue,
                None => "line",
            };
            let fields = Fields {
                file,
                line,
                what,
                value: &value,
            };
            fields.text("type")?;
            let version = value.get("version").and_then(Value::as_u64);
            match version {
                Some(1) => {}
                None => return Err(fields.missing("version")),
                Some(version) => {
                    return Err(ScoreError::Version {
                        file: file.to_owned(),
                        line,
                        version,
                    });
                }
            }
            let id = fields.text("id")?.to_owned();
            if what == "incident" {
                if let Some(into) = value.get("merged").and_then(Value::as_str) {
                    merged.insert(id.clone(), into.to_owned());
                }
                incidents.insert(id.clone(), incident(&fields, id)?);
                continue;
            }
            let incident = fields.value.get("incident").and_then(Value::as_str);
            let incident = incident.unwrap_or_default().to_owned();
            let mut one = finding(&fields)?;
            if incident.is_empty() {
                let known = alone.iter().position(|(known, _)| *known == id);
                let found = on_its_own(&fields, &id, one)?;
                match known {
                    Some(at) => alone[at].1 = found,
                    None => alone.push((id, found)),
                }
                continue;
            }
            let key = (incident, id);
            if let Some(before) = findings.get(&key) {
                one.told = one.told.min(before.told);
            }
            findings.insert(key, one);
        }
        let mut all: Vec<Found> = alone.into_iter().map(|(_, found)| found).collect();
        let mut members: BTreeMap<String, Vec<OneFinding>> = BTreeMap::new();
        for ((mut incident, _), one) in findings {
            // What became part of another has its findings there, over several steps.
            for _ in 0..merged.len() {
                match merged.get(&incident) {
                    Some(into) => incident.clone_from(into),
                    None => break,
                }
            }
            members.entry(incident).or_default().push(one);
        }
        for (id, found) in incidents {
            if let Some(mut found) = found {
                found.findings = members.remove(&id).unwrap_or_default();
                all.push(found);
            }
        }
        all.sort_by(|one, two| (one.first, &one.id).cmp(&(two.first, &two.id)));
        Ok(Self { incidents: all })
    }
}

/// `None` for one that became part of another, or that somebody said is meant.
fn incident(fields: &Fields<'_>, id: String) -> Result<Option<Found>, ScoreError> {
    let gone = fields.value.get("merged").is_some_and(Value::is_string);
    let alert = fields.value.get("alert").and_then(Value::as_str);
    if gone || alert == Some("suppressed") {
        return Ok(None);
    }
    Ok(Some(Found {
        id,
        severity: fields.severity()?,
        score: fields.number("score")?,
        first: fields.time("first")?,
        last: fields.time("last")?,
        title: fields.text("title").unwrap_or_default().to_owned(),
        subjects: fields.parties("subjects"),
        findings: Vec::new(),
    }))
}

fn finding(fields: &Fields<'_>) -> Result<OneFinding, ScoreError> {
    let last = fields.time("last")?;
    let fixed = fields.value.get("fixed").and_then(Value::as_bool);
    Ok(OneFinding {
        detector: fields.text("detector")?.to_owned(),
        kind: fields.text("kind")?.to_owned(),
        subject: fields.party("subject"),
        peer: fields.party("peer"),
        first: fields.time("first")?,
        last,
        told: fields.time("raised").unwrap_or(last),
        p: fields.number("p").ok().filter(|_| fixed != Some(true)),
    })
}

fn on_its_own(fields: &Fields<'_>, id: &str, one: OneFinding) -> Result<Found, ScoreError> {
    Ok(Found {
        id: id.to_owned(),
        severity: fields.severity()?,
        score: fields.number("score")?,
        first: one.first,
        last: one.last,
        title: fields.text("title").unwrap_or(&one.kind).to_owned(),
        subjects: one.subject.iter().cloned().collect(),
        findings: vec![one],
    })
}

impl TruthFile {
    /// Reads a file of incidents.
    ///
    /// # Errors
    /// [`ScoreError`].
    pub fn read(text: &str, file: &str) -> Result<Self, ScoreError> {
        let value: Value = serde_json::from_str(text).map_err(|error| ScoreError::Json {
            file: file.to_owned(),
            line: error.line(),
            error,
        })?;
        let fields = |what, line, value| Fields {
            file,
            line,
            what,
            value,
        };
        let whole = fields("truth", 1, &value);
        let version = whole.number("version")? as u64;
        if version != 1 {
            return Err(ScoreError::Version {
                file: file.to_owned(),
                line: 1,
                version,
            });
        }
        let span = value.get("span").ok_or_else(|| whole.missing("span"))?;
        let span = fields("span", 1, span);
        let list = |field: &'static str| {
            let list = value.get(field).and_then(Value::as_array);
            list.ok_or_else(|| whole.missing(field))
        };
        let mut truth = Self {
            span: (span.time("start")?, span.time("end")?),
            ..Self::default()
        };
        for (number, value) in (1..).zip(list("incidents")?) {
            let one = fields("incident", number, value);
            truth.incidents.push(Was {
                id: one.text("id")?.to_owned(),
                kind: one.text("kind")?.to_owned(),
                subject: one.party("subject").ok_or_else(|| one.missing("subject"))?,
                peers: one.parties("peers"),
                start: one.time("start")?,
                end: one.time("end")?,
                intensity: one.number("intensity")?,
                detectors: one.texts("detectors"),
            });
        }
        for (number, value) in (1..).zip(list("changes")?) {
            let one = fields("change", number, value);
            truth.changes.push(WasChange {
                kind: one.text("kind")?.to_owned(),
                subject: one.party("subject"),
                at: one.time("at")?,
                end: one.time("end")?,
            });
        }
        Ok(truth)
    }
}
