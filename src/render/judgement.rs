//! What the policies say of a flow, beside what Hubble says.
//!
//! Owns the words: after Hubble's columns the computed verdict where it differs, the rule
//! that decides with its file and line, `implicit default deny` by the policies that caused
//! it, `gap`, `drift`, `unknown` with its cause; in JSON an object `flowwatch` beside `flow`.

use std::io::Write as _;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde_json::{Value, json};

use super::escape::{self, Tab};
use crate::engine::{Agreement, Computed, Event, Judge, Judgement, NamesDoubt, NamesSeen};
use crate::policy::{
    Cause, Compiled, Direction, Gap, IdentityIndex, MatchKind, Origin, PolicySet, RedirectId,
    RulesId, Verdict,
};

/// Rules and policies named in a line; further ones are counted.
const NAMED: usize = 2;
/// Texts remembered; beyond that they are forgotten together.
const MOST_TEXTS: usize = 1 << 14;

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

/// Which judgements are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgementKind {
    /// Recorded and computed disagree.
    Drift,
    /// They disagree, and a policy is younger than the flow.
    Changed,
    /// It passed without anybody having asked for it.
    Gap,
    /// Dropped by policy.
    Drop,
    /// The verdict is not known.
    Unknown,
}

impl JudgementKind {
    /// Whether a judgement is of this kind.
    #[must_use]
    pub fn is(self, judgement: &Judgement) -> bool {
        match self {
            Self::Drift => judgement.agreement == Agreement::Drift,
            Self::Changed => judgement.agreement == Agreement::ChangedSince,
            Self::Gap => judgement.gap.is_some(),
            Self::Drop => match judgement.event {
                Event::Answer { recorded, .. } => !recorded.went_on(),
                Event::Request { allowed, .. } => !allowed,
                _ => false,
            },
            Self::Unknown => {
                matches!(judgement.agreement, Agreement::Unknown(_))
                    || judgement
                        .computed
                        .as_ref()
                        .is_some_and(|computed| matches!(computed.verdict, Verdict::Unknown(_)))
            }
        }
    }
}

/// Writes judgements. Remembers what it wrote: many flows get the same words.
#[derive(Clone, Debug)]
pub struct JudgementWriter {
    color: bool,
    tab: Tab,
    json: bool,
    texts: HashMap<Key, Vec<u8>, RandomState>,
    /// A text with what is of one flow alone.
    own: Vec<u8>,
}

/// All that the words depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    cluster: usize,
    subject: IdentityIndex,
    direction: Direction,
    verdict: Verdict,
    rules: RulesId,
    redirect: Option<RedirectId>,
    match_kind: MatchKind,
    shape: u8,
    cause: Option<Cause>,
    gap: Option<Gap>,
}

impl JudgementWriter {
    /// Writes text; in a table a tab would end the cell.
    #[must_use]
    pub fn text(color: bool, table: bool) -> Self {
        Self {
            color: color && !table,
            tab: if table { Tab::Escape } else { Tab::Keep },
            json: false,
            texts: HashMap::default(),
            own: Vec::new(),
        }
    }

    /// Writes JSON.
    #[must_use]
    pub fn json() -> Self {
        Self {
            json: true,
            ..Self::text(false, false)
        }
    }

    /// Forgets what was written: the judge has other policies now, and their numbers mean
    /// something else.
    pub fn forget(&mut self) {
        self.texts.clear();
    }

    /// What there is to say; empty where there is nothing. Text without a line end, or one
    /// JSON object. The judge is the one that judged.
    pub fn write(&mut self, judgement: &Judgement, judge: &Judge) -> &[u8] {
        let Some(computed) = &judgement.computed else {
            return if self.json {
                br#"{"agreement":"not compared"}"#
            } else {
                b""
            };
        };
        let key = Key {
            cluster: computed.cluster,
            subject: computed.subject,
            direction: computed.direction,
            verdict: computed.verdict,
            rules: computed.decision.rules,
            redirect: computed.decision.redirect,
            match_kind: computed.decision.match_kind,
            shape: shape(judgement),
            cause: match judgement.agreement {
                Agreement::Unknown(cause) => Some(cause),
                _ => None,
            },
            gap: judgement.gap,
        };
        if !self.texts.contains_key(&key) {
            if self.texts.len() >= MOST_TEXTS {
                self.texts.clear();
            }
            let compiled = judge.policies(computed.cluster).read();
            let text = if self.json {
                object(judgement, computed, &compiled)
                    .to_string()
                    .into_bytes()
            } else {
                self.line(judgement, computed, &compiled)
            };
            drop(compiled);
            self.texts.insert(key, text);
        }
        let text = self.texts.get(&key).map_or(&b""[..], Vec::as_slice);
        let Some(seen) = &judgement.names else {
            return text;
        };
        self.own.clear();
        self.own.extend_from_slice(text);
        if self.json {
            self.own.pop();
            let _ = write!(self.own, r#","names":{}}}"#, names_json(seen));
        } else {
            escape::push(&mut self.own, &format!(" ({})", names_text(seen)), self.tab);
        }
        &self.own
    }

    fn line(&self, judgement: &Judgement, computed: &Computed, compiled: &Compiled) -> Vec<u8> {
        let mut out = Vec::new();
        let passed_by = matches!(judgement.event, Event::Passed { .. });
        match (judgement.agreement, computed.verdict) {
            (Agreement::Unknown(cause), _) | (_, Verdict::Unknown(cause)) => {
                let _ = write!(out, "unknown: {cause}");
                if let Cause::PolicyUnreadable(taint) = cause {
                    self.taint(&mut out, compiled.set(), taint);
                }
            }
            (Agreement::Drift, _) => {
                self.word(&mut out, RED, "drift");
                out.extend_from_slice(b": computed ");
                self.verdict(&mut out, computed, compiled);
            }
            (Agreement::ChangedSince, _) => {
                out.extend_from_slice(b"changed since: computed ");
                self.verdict(&mut out, computed, compiled);
                if let Some(changed) = &judgement.changed {
                    escape::push(&mut out, &format!("; {changed}"), self.tab);
                }
            }
            // Denied, and yet it came by: no event says that policy was asked.
            (_, verdict) if passed_by && !verdict.passes() => {
                out.extend_from_slice(b"computed ");
                self.verdict(&mut out, computed, compiled);
            }
            _ if judgement.gap.is_none() => self.reason(&mut out, computed, compiled),
            _ => {}
        }
        if let Some(gap) = judgement.gap {
            if !out.is_empty() {
                out.extend_from_slice(b"; ");
            }
            self.word(&mut out, YELLOW, "gap");
            out.extend_from_slice(b": ");
            match gap {
                Gap::NotSelected => {
                    let _ = write!(out, "no policy for {}", computed.direction.name());
                }
                Gap::NoDefaultDeny => {
                    let _ = write!(out, "no default deny for {}", computed.direction.name());
                }
                Gap::OnlyBroad => {
                    out.extend_from_slice(b"only broad rules: ");
                    self.rules(&mut out, computed, compiled);
                }
            }
        }
        out
    }

    /// `allowed by …`, `denied by …`, `implicit default deny by …`.
    fn verdict(&self, out: &mut Vec<u8>, computed: &Computed, compiled: &Compiled) {
        match computed.verdict {
            Verdict::Allowed if !computed.decision.enforced => {
                let _ = write!(out, "allowed, no policy for {}", computed.direction.name());
                return;
            }
            Verdict::Allowed => out.extend_from_slice(b"allowed by "),
            Verdict::Redirected => {
                let _ = write!(out, "redirected to {} by ", parser(computed, compiled));
            }
            Verdict::AuthRequired => out.extend_from_slice(b"authentication required by "),
            Verdict::DeniedByRule | Verdict::DeniedByDefault | Verdict::Unknown(_) => {}
        }
        self.reason(out, computed, compiled);
    }

    /// The rule that decides, or what denies without one.
    fn reason(&self, out: &mut Vec<u8>, computed: &Computed, compiled: &Compiled) {
        match computed.verdict {
            Verdict::DeniedByRule => {
                out.extend_from_slice(b"denied by ");
                self.rules(out, computed, compiled);
            }
            Verdict::DeniedByDefault if computed.decision.verdict == Verdict::Redirected => {
                let _ = write!(out, "no {} rule fits, of ", parser(computed, compiled));
                self.rules(out, computed, compiled);
            }
            Verdict::DeniedByDefault => {
                out.extend_from_slice(b"implicit default deny");
                let causes = default_deny(computed, compiled);
                if !causes.is_empty() {
                    out.extend_from_slice(b" by ");
                    self.entries(out, compiled.set(), &causes);
                }
            }
            Verdict::Allowed | Verdict::Redirected | Verdict::AuthRequired => {
                self.rules(out, computed, compiled);
            }
            Verdict::Unknown(_) => {}
        }
    }

    fn rules(&self, out: &mut Vec<u8>, computed: &Computed, compiled: &Compiled) {
        let rules = compiled.rules(computed.decision.rules);
        let entries: Vec<u32> = rules
            .iter()
            .filter_map(|origin| match origin {
                Origin::Entry(index) => Some(*index),
                _ => None,
            })
            .collect();
        if entries.is_empty() {
            let name = match rules.first() {
                Some(Origin::AllowLocalhost) => "allow-localhost",
                _ if !computed.decision.enforced => "no policy",
                _ => "no default deny",
            };
            out.extend_from_slice(name.as_bytes());
        } else {
            self.entries(out, compiled.set(), &entries);
        }
    }

    /// `shop/web (web.yaml:12), shop/all (all.yaml:3) and 2 more`.
    fn entries(&self, out: &mut Vec<u8>, set: &PolicySet, entries: &[u32]) {
        let mut names: Vec<String> = entries
            .iter()
            .filter_map(|index| {
                let entry = set.entries.get(*index as usize)?;
                let object = set.objects.get(entry.object as usize)?;
                let name = object.id.short();
                Some(format!("{name} ({}:{})", object.file, entry.rule.at.line))
            })
            .collect();
        names.sort();
        names.dedup();
        for (index, name) in names.iter().take(NAMED).enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            escape::push(out, name, self.tab);
        }
        if names.len() > NAMED {
            let _ = write!(out, " and {} more", names.len() - NAMED);
        }
    }

    fn taint(&self, out: &mut Vec<u8>, set: &PolicySet, taint: u32) {
        if let Some(taint) = set.taints.get(taint as usize) {
            let text = format!(" ({}:{}: {})", taint.file, taint.at.line, taint.reason);
            escape::push(out, &text, self.tab);
        }
    }

    fn word(&self, out: &mut Vec<u8>, color: &str, word: &str) {
        let _ = if self.color {
            write!(out, "{color}{word}{RESET}")
        } else {
            write!(out, "{word}")
        };
    }
}

/// What is recorded of names, and what would be enough.
pub(super) fn names_text(seen: &NamesSeen) -> String {
    let node = match &*seen.node {
        "" => "an unnamed node",
        node => node,
    };
    match seen.doubt {
        NamesDoubt::OtherNode => {
            format!("seen on {node}, and the DNS of the endpoint's node counts")
        }
        NamesDoubt::Selected => "a filter keeps DNS from being received".to_owned(),
        NamesDoubt::NotRecorded => format!("no DNS of {node} without a hole before"),
        NamesDoubt::TooShort { since, needed } => format!(
            "DNS of {node} recorded from {}, more than {needed} s are needed",
            utc(since)
        ),
        NamesDoubt::Expired => "a name it had has expired, a connection may keep it".to_owned(),
        NamesDoubt::Labels => "its labels are not recorded, or are of another name".to_owned(),
    }
}

pub(super) fn names_json(seen: &NamesSeen) -> Value {
    let mut object = json!({"node": &*seen.node, "why": names_text(seen)});
    if let NamesDoubt::TooShort { since, needed } = seen.doubt {
        object["recorded_from"] = json!(utc(since));
        object["needed_seconds"] = json!(needed);
    }
    object
}

/// RFC 3339, to the second where it is whole.
pub(super) fn utc(nanoseconds: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanoseconds))
        .map_or_else(|_| nanoseconds.to_string(), |time| time.to_string())
}

/// Which words are chosen, beside what the verdict says.
fn shape(judgement: &Judgement) -> u8 {
    let agreement = match judgement.agreement {
        Agreement::Equal => 0,
        Agreement::Drift => 1,
        Agreement::Unknown(_) => 2,
        Agreement::NotCompared => 3,
        Agreement::ChangedSince => 16,
    };
    let event = match judgement.event {
        Event::Answer { .. } => 0,
        Event::Request { .. } => 4,
        Event::Passed { .. } => 8,
        Event::Apart(_) => 12,
    };
    agreement | event
}

fn parser(computed: &Computed, compiled: &Compiled) -> String {
    computed
        .decision
        .redirect
        .and_then(|redirect| compiled.redirect(redirect))
        .map_or_else(
            || "a proxy".to_owned(),
            |redirect| redirect.parser.name().to_owned(),
        )
}

/// The first entry of each policy that turns on default deny for the subject.
fn default_deny(computed: &Computed, compiled: &Compiled) -> Vec<u32> {
    let set = compiled.set();
    let mut objects = Vec::new();
    compiled
        .selecting(computed.subject, computed.direction)
        .into_iter()
        .filter(|index| {
            let Some(entry) = set.entries.get(*index as usize) else {
                return false;
            };
            // One element of a policy is enough to name it.
            let first = entry.default_deny && !objects.contains(&entry.object);
            if first {
                objects.push(entry.object);
            }
            first
        })
        .collect()
}

/// The word for a verdict, in JSON and reports.
#[must_use]
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allowed => "allowed",
        Verdict::Redirected => "redirected",
        Verdict::DeniedByRule => "denied-by-rule",
        Verdict::DeniedByDefault => "denied-by-default",
        Verdict::AuthRequired => "auth-required",
        Verdict::Unknown(_) => "unknown",
    }
}

fn object(judgement: &Judgement, computed: &Computed, compiled: &Compiled) -> Value {
    let set = compiled.set();
    let rules = compiled.rules(computed.decision.rules);
    let mut object = json!({
        "agreement": judgement.agreement.name(),
        "direction": computed.direction.name(),
        "verdict": verdict_name(computed.verdict),
        "enforced": computed.decision.enforced,
        "match": computed.decision.match_kind as u8,
        "rules": rules.iter().map(|origin| rule_json(set, *origin)).collect::<Vec<_>>(),
    });
    let cause = match (judgement.agreement, computed.verdict) {
        (Agreement::Unknown(cause), _) | (_, Verdict::Unknown(cause)) => Some(cause),
        _ => None,
    };
    if let Some(cause) = cause {
        object["cause"] = json!(cause.to_string());
        object["hint"] = json!(cause.hint());
        if let Cause::PolicyUnreadable(taint) = cause
            && let Some(taint) = set.taints.get(taint as usize)
        {
            object["unreadable"] = json!({
                "file": &*taint.file, "line": taint.at.line, "reason": taint.reason,
            });
        }
    }
    if let Some(changed) = &judgement.changed {
        object["changed"] = json!({
            "policy": changed.policy.as_ref().map(|policy| json!({
                "kind": policy.kind.name(),
                "namespace": &*policy.namespace,
                "name": &*policy.name,
            })),
            "time": changed.when(),
        });
    }
    if computed.verdict == Verdict::DeniedByDefault
        && computed.decision.verdict == Verdict::DeniedByDefault
    {
        let causes = default_deny(computed, compiled);
        object["default_deny_by"] = causes
            .iter()
            .map(|index| rule_json(set, Origin::Entry(*index)))
            .collect();
    }
    if computed.decision.redirect.is_some() {
        object["parser"] = json!(parser(computed, compiled));
    }
    if let Some(option) = computed.decision.assumed {
        object["assumed"] = json!(option.name());
    }
    if let Some(gap) = judgement.gap {
        object["gap"] = json!(gap_name(gap));
    }
    object
}

/// The word for a gap, in JSON and reports.
#[must_use]
pub fn gap_name(gap: Gap) -> &'static str {
    match gap {
        Gap::NotSelected => "no policy",
        Gap::NoDefaultDeny => "no default deny",
        Gap::OnlyBroad => "only broad rules",
    }
}

/// A rule by its object and place.
pub(super) fn rule_json(set: &PolicySet, origin: Origin) -> Value {
    let Origin::Entry(index) = origin else {
        return json!({"name": origin.reserved_name()});
    };
    let Some(entry) = set.entries.get(index as usize) else {
        return Value::Null;
    };
    let Some(object) = set.objects.get(entry.object as usize) else {
        return Value::Null;
    };
    json!({
        "kind": object.id.kind.name(),
        "namespace": &*object.id.namespace,
        "name": &*object.id.name,
        "file": &*object.file,
        "line": entry.rule.at.line,
        "rule": entry.rule.to_string(),
    })
}
