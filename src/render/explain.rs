//! Why a connection is allowed or denied, for a person and for a program.
//!
//! Owns the layout: the answer first, then each direction with its deciding rule, then
//! every rule considered with what of it matches.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::escape::{self, Tab};
use super::judgement::{names_json, names_text, rule_json, verdict_name};
use crate::engine::NamesSeen;
use crate::policy::{
    Cause, Considered, Decision, Direction, Origin, PeerFit, PolicyEntry, PolicySet, PortFit,
    Redirect, Verdict,
};

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// A connection with both answers.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Who connects.
    pub from: String,
    /// To whom.
    pub to: String,
    /// IANA number.
    pub protocol: u8,
    /// Destination port, or ICMP type.
    pub port: u16,
    /// What was recorded, for a flow.
    pub recorded: Option<String>,
    /// The request, where one was asked about.
    pub request: Option<String>,
    /// What to know before believing it.
    pub note: Option<&'static str>,
    /// What a recording tells of the names of the destination, where that is not all.
    pub names: Option<NamesSeen>,
    /// The source's answer; `None` where it is no endpoint of the cluster.
    pub egress: Option<ExplainedSide>,
    /// The destination's answer.
    pub ingress: Option<ExplainedSide>,
    /// The policies.
    pub set: Arc<PolicySet>,
}

/// One direction's answer.
#[derive(Clone, Debug)]
pub struct ExplainedSide {
    /// Which.
    pub direction: Direction,
    /// The answer.
    pub decision: Decision,
    /// Rules that decided.
    pub rules: Arc<[Origin]>,
    /// Where a redirected connection goes.
    pub redirect: Option<Arc<Redirect>>,
    /// Whether the request passes the rules of layer 7.
    pub request: Option<Result<bool, Cause>>,
    /// Every rule that selects the subject.
    pub considered: Vec<Considered>,
    /// Entries that select the subject, to name those that turn on default deny.
    pub default_deny: Vec<u32>,
}

impl Explained {
    /// What is recorded of names, where the answer hangs on them.
    fn names_wanted(&self) -> Option<&NamesSeen> {
        let egress = self.egress.as_ref()?.verdict();
        self.names
            .as_ref()
            .filter(|_| egress == Verdict::Unknown(Cause::NameNotObserved))
    }
}

impl ExplainedSide {
    /// The verdict with the request's.
    fn verdict(&self) -> Verdict {
        match self.request {
            Some(Ok(false)) => Verdict::DeniedByDefault,
            Some(Err(cause)) => Verdict::Unknown(cause),
            _ => self.decision.verdict,
        }
    }
}

impl Explained {
    /// What comes of it: the first direction that does not let it pass decides.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut sides = self
            .egress
            .iter()
            .chain(&self.ingress)
            .map(ExplainedSide::verdict);
        let stops = |verdict: &Verdict| !matches!(verdict, Verdict::Allowed | Verdict::Redirected);
        // A certain denial on either side settles it, whatever the other is not known.
        let denied = self
            .egress
            .iter()
            .chain(&self.ingress)
            .map(ExplainedSide::verdict)
            .find(|verdict| matches!(verdict, Verdict::DeniedByDefault | Verdict::DeniedByRule));
        denied.or_else(|| sides.find(stops)).unwrap_or_else(|| {
            let redirected = self
                .egress
                .iter()
                .chain(&self.ingress)
                .any(|side| side.verdict() == Verdict::Redirected);
            if redirected {
                Verdict::Redirected
            } else {
                Verdict::Allowed
            }
        })
    }
}

/// As text.
#[must_use]
pub fn explanation_text(explained: &Explained, color: bool) -> Vec<u8> {
    let paint = Paint { color };
    let mut text = String::new();
    let _ = write!(
        text,
        "{} -> {} {}",
        plain(&explained.from),
        plain(&explained.to),
        port_words(explained.protocol, explained.port)
    );
    if let Some(request) = &explained.request {
        let _ = write!(text, ", {}", plain(request));
    }
    let verdict = explained.verdict();
    let _ = writeln!(text, ": {}", paint.verdict(verdict, verdict_words(verdict)));
    if let Some(recorded) = &explained.recorded {
        let _ = writeln!(text, "recorded: {}", plain(recorded));
    }
    if let Some(note) = explained.note {
        let _ = writeln!(text, "note: {note}");
    }
    if let Some(names) = explained.names_wanted() {
        let _ = writeln!(text, "names: {}", plain(&names_text(names)));
    }
    if explained.egress.is_none() && explained.ingress.is_none() {
        text.push_str("neither side is an endpoint of this cluster: no policy applies\n");
    }
    for side in explained.egress.iter().chain(&explained.ingress) {
        let subject = match side.direction {
            Direction::Egress => &explained.from,
            Direction::Ingress => &explained.to,
        };
        text.push('\n');
        side_text(&mut text, side, subject, &explained.set, paint);
    }
    text.into_bytes()
}

fn side_text(
    text: &mut String,
    side: &ExplainedSide,
    subject: &str,
    set: &PolicySet,
    paint: Paint,
) {
    let word = side.direction.name();
    let verdict = side.verdict();
    let _ = write!(
        text,
        "{word} of {}: {}",
        plain(subject),
        paint.verdict(verdict, &reason(side, set))
    );
    text.push('\n');
    if let Verdict::Unknown(cause) = verdict {
        let _ = writeln!(text, "  to resolve it: {}", cause.hint());
    }
    if let Some(option) = side.decision.assumed {
        let _ = writeln!(text, "  assumes the default of {}", option.name());
    }
    let mut rows: Vec<[String; 4]> = Vec::new();
    for considered in &side.considered {
        let Some(entry) = set.entries.get(considered.entry as usize) else {
            continue;
        };
        let Some(object) = set.objects.get(entry.object as usize) else {
            continue;
        };
        let mark = if considered.decides {
            "=>"
        } else if fits(*considered) {
            " +"
        } else {
            " -"
        };
        rows.push([
            mark.to_owned(),
            format!("{} {}", name(set, entry), entry.rule),
            format!("{}:{}", plain(&object.file), entry.rule.at.line),
            fit_words(*considered, entry),
        ]);
    }
    if rows.is_empty() {
        return;
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let (names, places) = (width(1), width(2));
    // Those that decide first, then those that fit.
    rows.sort_by_key(|row| match row[0].as_str() {
        "=>" => 0,
        " +" => 1,
        _ => 2,
    });
    for [mark, rule, place, words] in &rows {
        let line = format!("  {mark} {rule:names$}  {place:places$}  {words}");
        if mark == " -" {
            let _ = writeln!(text, "{}", paint.dim(&line));
        } else {
            let _ = writeln!(text, "{line}");
        }
    }
}

/// The answer of one side in words.
fn reason(side: &ExplainedSide, set: &PolicySet) -> String {
    let rules: Vec<String> = side
        .rules
        .iter()
        .filter_map(|origin| match origin {
            Origin::Entry(index) => set
                .entries
                .get(*index as usize)
                .map(|entry| name(set, entry)),
            Origin::AllowLocalhost => Some("allow-localhost".to_owned()),
            Origin::AllowAnyIngress | Origin::AllowAnyEgress => None,
        })
        .collect();
    let mut rules = rules;
    rules.sort();
    rules.dedup();
    let by = if rules.is_empty() {
        String::new()
    } else {
        format!(" by {}", rules.join(", "))
    };
    let proxy = side
        .redirect
        .as_ref()
        .map_or("a proxy", |redirect| redirect.parser.name());
    match (side.request, side.decision.verdict) {
        (Some(Ok(false)), _) => {
            format!(
                "request denied: no {proxy} rule of {} fits it",
                rules.join(", ")
            )
        }
        (Some(Err(cause)), _) | (None, Verdict::Unknown(cause)) => {
            format!("unknown: {cause}{}", unreadable(cause, set))
        }
        (_, Verdict::Allowed) if !side.decision.enforced => {
            "allowed: no policy selects it".to_owned()
        }
        (_, Verdict::Allowed) if by.is_empty() => "allowed: no default deny".to_owned(),
        (_, Verdict::Allowed) => format!("allowed{by}"),
        (Some(Ok(true)), Verdict::Redirected) => {
            format!("allowed through the {proxy} proxy{by}")
        }
        (_, Verdict::Redirected) => format!("redirected to the {proxy} proxy{by}"),
        (_, Verdict::DeniedByRule) => format!("denied{by}"),
        (_, Verdict::DeniedByDefault) => {
            let mut names: Vec<String> = side
                .default_deny
                .iter()
                .filter_map(|index| set.entries.get(*index as usize))
                .filter(|entry| entry.default_deny)
                .map(|entry| name(set, entry))
                .collect();
            names.sort();
            names.dedup();
            if names.is_empty() {
                "implicit default deny".to_owned()
            } else {
                format!("implicit default deny by {}", names.join(", "))
            }
        }
        (_, Verdict::AuthRequired) => format!("authentication required{by}"),
        (_, Verdict::Unknown(cause)) => format!("unknown: {cause}{}", unreadable(cause, set)),
    }
}

fn unreadable(cause: Cause, set: &PolicySet) -> String {
    let Cause::PolicyUnreadable(taint) = cause else {
        return String::new();
    };
    set.taints
        .get(taint as usize)
        .map_or_else(String::new, |taint| {
            format!(
                " ({}:{}: {})",
                plain(&taint.file),
                taint.at.line,
                plain(&taint.reason)
            )
        })
}

fn fits(considered: Considered) -> bool {
    matches!(considered.peer, PeerFit::Anybody | PeerFit::Fits)
        && matches!(considered.port, PortFit::Any | PortFit::Fits)
}

fn fit_words(considered: Considered, entry: &PolicyEntry) -> String {
    let peer = match considered.peer {
        PeerFit::Anybody => "any peer",
        PeerFit::Fits => "peer fits",
        PeerFit::Other => "another peer",
        PeerFit::Nobody => "nobody",
    };
    let port = match considered.port {
        PortFit::Any => "any port",
        PortFit::Fits => "port fits",
        PortFit::Other => "another port",
        PortFit::UnknownName => "port name not known",
    };
    let kind = if entry.deny { "deny" } else { "allow" };
    if considered.peer == PeerFit::Nobody {
        return format!("{kind}: nobody");
    }
    format!("{kind}: {peer}, {port}")
}

fn name(set: &PolicySet, entry: &PolicyEntry) -> String {
    let Some(object) = set.objects.get(entry.object as usize) else {
        return String::new();
    };
    plain(&object.id.short())
}

fn plain(text: &str) -> String {
    let mut out = Vec::new();
    escape::push(&mut out, text, Tab::Escape);
    String::from_utf8_lossy(&out).into_owned()
}

fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allowed => "allowed",
        Verdict::Redirected => "allowed, through a proxy",
        Verdict::DeniedByRule | Verdict::DeniedByDefault => "denied",
        Verdict::AuthRequired => "allowed with authentication only",
        Verdict::Unknown(_) => "unknown",
    }
}

fn port_words(protocol: u8, port: u16) -> String {
    match protocol {
        6 => format!("{port}/TCP"),
        17 => format!("{port}/UDP"),
        132 => format!("{port}/SCTP"),
        1 => format!("ICMP type {port}"),
        58 => format!("ICMPv6 type {port}"),
        other => format!("protocol {other}"),
    }
}

#[derive(Clone, Copy)]
struct Paint {
    color: bool,
}

impl Paint {
    fn verdict(self, verdict: Verdict, words: &str) -> String {
        let color = match verdict {
            Verdict::Allowed | Verdict::Redirected => GREEN,
            Verdict::DeniedByRule | Verdict::DeniedByDefault | Verdict::AuthRequired => RED,
            Verdict::Unknown(_) => YELLOW,
        };
        self.with(color, words)
    }

    fn dim(self, words: &str) -> String {
        self.with(DIM, words)
    }

    fn with(self, color: &str, words: &str) -> String {
        if self.color {
            format!("{color}{words}{RESET}")
        } else {
            words.to_owned()
        }
    }
}

/// As one JSON object.
#[must_use]
pub fn explanation_json(explained: &Explained) -> Vec<u8> {
    let side = |side: &Option<ExplainedSide>| match side {
        None => Value::Null,
        Some(side) => side_json(side, &explained.set),
    };
    let mut object = json!({
        "from": explained.from,
        "to": explained.to,
        "protocol": explained.protocol,
        "port": explained.port,
        "request": explained.request,
        "recorded": explained.recorded,
        "note": explained.note,
        "verdict": verdict_name(explained.verdict()),
        "egress": side(&explained.egress),
        "ingress": side(&explained.ingress),
    });
    if let Some(names) = explained.names_wanted() {
        object["names"] = names_json(names);
    }
    let mut text = serde_json::to_vec_pretty(&object).unwrap_or_default();
    text.push(b'\n');
    text
}

fn side_json(side: &ExplainedSide, set: &PolicySet) -> Value {
    let verdict = side.verdict();
    let considered: Vec<Value> = side
        .considered
        .iter()
        .filter_map(|considered| {
            let entry = set.entries.get(considered.entry as usize)?;
            let mut rule = rule_json(set, Origin::Entry(considered.entry));
            rule["effect"] = json!(if entry.deny { "deny" } else { "allow" });
            rule["peer"] = json!(match considered.peer {
                PeerFit::Anybody => "any",
                PeerFit::Fits => "fits",
                PeerFit::Other => "other",
                PeerFit::Nobody => "nobody",
            });
            rule["ports"] = json!(match considered.port {
                PortFit::Any => "any",
                PortFit::Fits => "fits",
                PortFit::Other => "other",
                PortFit::UnknownName => "unknown name",
            });
            rule["decides"] = json!(considered.decides);
            rule["default_deny"] = json!(entry.default_deny);
            Some(rule)
        })
        .collect();
    let mut object = json!({
        "verdict": verdict_name(verdict),
        "reason": reason(side, set),
        "enforced": side.decision.enforced,
        "match": side.decision.match_kind as u8,
        "rules": side.rules.iter().map(|origin| rule_json(set, *origin)).collect::<Vec<_>>(),
        "considered": considered,
    });
    if let Verdict::Unknown(cause) = verdict {
        object["cause"] = json!(cause.to_string());
        object["hint"] = json!(cause.hint());
    }
    if let Some(redirect) = &side.redirect {
        object["parser"] = json!(redirect.parser.name());
    }
    if let Some(option) = side.decision.assumed {
        object["assumed"] = json!(option.name());
    }
    object
}
