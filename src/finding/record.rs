//! A finding and an incident as they are written down: one JSON object a line.
//!
//! Owns their fields and what each means; `docs/schema/findings.json` is their schema, and a
//! test holds the two together. Within a version fields are only added. How they come to be
//! is `desk`'s, how they are shown is `render`'s.

use serde::{Deserialize, Serialize};

use super::kind::{KindInfo, Tactic};
use super::moment;
use super::party::Party;
use super::severity::{Severity, Term};
use crate::detect::Passed;

/// Version of the form.
pub const VERSION: u32 = 1;

/// A line of a findings file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Line {
    /// A finding. A later line with the same `id` and `incident` replaces an earlier one.
    Finding(Box<Finding>),
    /// An incident. A later line with the same `id` replaces an earlier one.
    Incident(Box<Incident>),
}

/// One observation, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// [`VERSION`].
    pub version: u32,
    /// The fingerprint: 16 hexadecimal digits, the same for the same thing in every run.
    pub id: String,
    /// The detector, `D1`.
    pub detector: String,
    /// What it found, `new-edge`.
    pub kind: String,
    /// In one line.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// The sum of the terms.
    pub score: f64,
    /// What the score is made of.
    pub terms: Vec<Term>,
    /// Begin, in nanoseconds since 1970 UTC.
    #[serde(with = "moment")]
    pub first: i64,
    /// End.
    #[serde(with = "moment")]
    pub last: i64,
    /// When it was first given out: the end of the minute that told it.
    #[serde(with = "moment")]
    pub raised: i64,
    /// Who did it.
    pub subject: Party,
    /// With whom; `None` where there are many.
    pub peer: Option<Party>,
    /// On which port.
    pub port: Option<u16>,
    /// On which protocol.
    pub protocol: Option<String>,
    /// How likely it is without a reason: calibrated, where there is enough to do so.
    pub p: f64,
    /// As the detector had it.
    pub p_raw: f64,
    /// A rule's weight, which no data calibrates.
    #[serde(default)]
    pub fixed: bool,
    /// What the network did with it.
    pub passed: Passed,
    /// What that means together with its being unusual.
    pub reading: Reading,
    /// Policies that Hubble names.
    pub policies: Vec<String>,
    /// The rules that decided, of the policies that were given.
    pub rules: Vec<RuleRef>,
    /// What was seen.
    pub evidence: Evidence,
    /// Flows that show it, `node/time_ns/hash`.
    pub flows: Vec<String>,
    /// How much of its time was seen.
    pub completeness: Completeness,
    /// Techniques of ATT&CK it may be part of.
    pub attack: Vec<String>,
    /// What would make it normal.
    pub normal: String,
    /// A command that shows it.
    pub observe: String,
    /// The incident it belongs to.
    pub incident: String,
    /// Why it is no alert, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppressed>,
}

/// Findings that tell one story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// [`VERSION`].
    pub version: u32,
    /// 16 hexadecimal digits: that of its first finding and its time.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// The sum of the terms.
    pub score: f64,
    /// What the score is made of.
    pub terms: Vec<Term>,
    /// The p-values of its findings, combined.
    pub p: f64,
    /// Begin.
    #[serde(with = "moment")]
    pub first: i64,
    /// End, so far.
    #[serde(with = "moment")]
    pub last: i64,
    /// In one line.
    pub title: String,
    /// Who did it.
    pub subjects: Vec<Party>,
    /// Its steps, by time.
    pub stages: Vec<Step>,
    /// The findings it is made of.
    pub findings: Vec<String>,
    /// Techniques of ATT&CK it may be part of.
    pub attack: Vec<String>,
    /// Whether anybody is to be told.
    pub alert: Alert,
    /// Counts what is worth telling again: a much smaller p, another technique.
    #[serde(default)]
    pub revision: u32,
    /// Findings beyond the bound of one incident.
    #[serde(default)]
    pub more: u64,
    /// The incident it turned out to be a part of; then nothing else of it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
}

/// A step of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it is in an attack.
    pub stage: Tactic,
    /// When it began.
    #[serde(with = "moment")]
    pub at: i64,
    /// The finding that says so.
    pub finding: String,
}

/// Who is told of an incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alert {
    /// Told.
    Raised,
    /// Would be told, and is over the day's budget: in the list, by its score.
    Ranked,
    /// Below medium: in the list.
    #[default]
    Quiet,
    /// Somebody said that it is meant.
    Suppressed,
}

/// What it means that something passed, or did not, when it is unusual, or is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// Unusual, and a rule for it lets it pass.
    #[default]
    Allowed,
    /// Unusual, and passes because nobody asked: nothing selects the endpoint, or a broad
    /// rule does.
    PolicyGap,
    /// Unusual, and denied.
    Attempted,
    /// Unusual, and denied once audit mode is off.
    WouldBeBlocked,
    /// Normal, and denied.
    BrokenTraffic,
}

/// A rule, where a person finds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleRef {
    /// `namespace/name`, or the agent's own name for what is its own.
    pub policy: String,
    /// File, empty where there is none.
    pub file: String,
    /// Line, 0 where there is none.
    pub line: u32,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Sentences.
    pub text: Vec<String>,
    /// What was counted, where that is one number.
    pub observed: Option<f64>,
    /// What was expected.
    pub expected: Option<f64>,
    /// Connections or requests behind it.
    pub count: u64,
}

/// How much of a span was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Completeness {
    /// Share of node-time, 0 to 1; `None` unknown.
    pub share: Option<f64>,
    /// Events lost; `None` unknown.
    pub lost: Option<u64>,
}

/// Why something is no alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressed {
    /// In somebody's words.
    pub reason: String,
    /// Until when, RFC 3339; `None` without an end.
    pub until: Option<String>,
    /// File and line that say so.
    pub by: String,
}

impl Finding {
    /// What it is with whom: `vault/vault:8200/TCP`.
    #[must_use]
    pub fn target(&self) -> Option<String> {
        target(self.peer.as_ref(), self.port, self.protocol.as_deref())
    }

    /// The catalogue's entry of its kind; `None` for one of a later version.
    #[must_use]
    pub fn info(&self) -> Option<&'static KindInfo> {
        KindInfo::of(&self.kind)
    }
}

/// `vault/vault:8200/TCP`, `world`, `port 8443/TCP`.
pub(super) fn target(
    peer: Option<&Party>,
    port: Option<u16>,
    protocol: Option<&str>,
) -> Option<String> {
    let port = match (port, protocol) {
        (Some(port), Some(protocol)) if !protocol.is_empty() => Some(format!("{port}/{protocol}")),
        (Some(port), _) => Some(port.to_string()),
        (None, _) => None,
    };
    match (peer, port) {
        (Some(peer), Some(port)) => Some(format!("{peer}:{port}")),
        (Some(peer), None) => Some(peer.to_string()),
        (None, Some(port)) => Some(format!("port {port}")),
        (None, None) => None,
    }
}

impl Alert {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Ranked => "ranked",
            Self::Quiet => "quiet",
            Self::Suppressed => "suppressed",
        }
    }
}

impl Reading {
    /// What it is called in text.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::PolicyGap => "policy gap",
            Self::Attempted => "attempted, denied",
            Self::WouldBeBlocked => "would be blocked",
            Self::BrokenTraffic => "broken legitimate traffic",
        }
    }
}

impl Tactic {
    /// What it is called in text.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Change => "change",
            Self::Access => "access",
            Self::Evasion => "evasion",
            Self::Credentials => "credentials",
            Self::Discovery => "discovery",
            Self::Movement => "lateral movement",
            Self::Control => "command and control",
            Self::Exfiltration => "exfiltration",
            Self::Impact => "impact",
        }
    }
}
