//! What reports on the use of rules have in common: rules in short, what a recording cannot
//! show, options.
//!
//! Owns these words. The reports are `unused`, `broad` and `redundant`.

use serde_json::{Value, json};

use super::report::words::{clock, counted, duration, percent, spans_days};
use super::report::{self, outline::Outline};
use super::thousands;
use crate::policy::{ObjectId, WrittenPart, WrittenRule};
use crate::review::report::Reading;
use crate::review::usage::{Doubt, Use, Withdrawn};

/// How a report on rules is shown.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether to colour.
    pub color: bool,
    /// Rows of a table, where a form does not show all.
    pub top: usize,
    /// What the person asked to fail on and is there, as sentences.
    pub failing: Vec<String>,
}

/// An outline for a terminal.
pub(super) fn terminal(outline: &Outline, options: &Options) -> String {
    let mut text = String::new();
    report::terminal::write(&mut text, outline, &layout(options));
    text
}

/// An outline as Markdown.
pub(super) fn markdown(outline: &Outline, options: &Options) -> String {
    let mut text = String::new();
    report::markdown::write(&mut text, outline, &layout(options));
    text
}

fn layout(options: &Options) -> report::Options {
    report::Options {
        width: options.width,
        color: options.color,
        top: options.top,
        paths: report::Paths::default(),
    }
}

/// `shop/web spec.ingress[0]`.
pub(super) fn name(policy: &ObjectId, rule: &WrittenRule) -> String {
    format!("{} {}", policy.short(), rule.path)
}

/// `file.yaml:12`.
pub(super) fn place(file: &str, line: u32) -> String {
    format!("{file}:{line}")
}

/// What a rule says, short: `from app=web on 8080/TCP`.
pub(super) fn says(rule: &WrittenRule) -> String {
    if rule.isolation {
        return format!("nothing: default deny of {}", rule.direction.name());
    }
    let (from, deny) = match rule.direction {
        crate::policy::Direction::Ingress => ("from", rule.deny),
        crate::policy::Direction::Egress => ("to", rule.deny),
    };
    let some = |parts: &[WrittenPart], none: &str| match parts {
        [] => none.to_owned(),
        [only] => only.text.clone(),
        [first, rest @ ..] => format!("{} and {} more", first.text, rest.len()),
    };
    let mut text = format!(
        "{}{from} {}",
        if deny { "deny " } else { "" },
        some(&rule.peers, "anybody")
    );
    if !rule.ports.is_empty() {
        text.push_str(" on ");
        text.push_str(&some(&rule.ports, ""));
    }
    text
}

/// The window of a recording: `153 connections of 4 min 19 s (… to …)`.
pub(super) fn window(connections: u64, reading: &Reading) -> String {
    let span = reading.seen.span().map(|(first, last)| {
        format!(
            " of {} ({} to {})",
            duration(last - first),
            clock(first, true),
            clock(last, spans_days(reading.seen))
        )
    });
    format!(
        "{}{}",
        counted(connections, "connection"),
        span.unwrap_or_default()
    )
}

/// Why nothing is claimed, a fragment.
pub(super) fn withdrawn(why: &Withdrawn) -> String {
    match why {
        Withdrawn::NoFlows => "no connection was recorded".to_owned(),
        Withdrawn::Short { window, least } => format!(
            "the recording is only {} long, and a claim takes {} (--min-window {} accepts that)",
            duration(*window),
            duration(*least),
            accepted_window(*window)
        ),
        Withdrawn::Unseen { share, lost } => {
            let lost = match lost {
                Some(0) => String::new(),
                Some(lost) => format!(" and {} lost", counted(*lost, "event")),
                None => " and events were lost, nobody knows how many".to_owned(),
            };
            let accepted = (share * 1000.0).floor().min(999.0) / 10.0;
            format!(
                "only {} of the time was seen on all nodes{lost} (--min-seen {accepted} accepts that)",
                percent(*share)
            )
        }
        Withdrawn::Skipped(lines) => format!("{} could not be read", counted(*lines, "line")),
        Withdrawn::Unread => "recordings were not read to their end".to_owned(),
        Withdrawn::Filtered => "filters leave flows out".to_owned(),
        Withdrawn::LeftOut(count) => {
            format!("there was no room for {}", counted(*count, "flow"))
        }
        Withdrawn::Masked(sentence) => format!("the recording is masked: {sentence}"),
    }
}

/// A length as an argument, not longer than it is. Below a minute it is exact: what is shown
/// is rounded, and half a second less than that would look like a mistake.
fn accepted_window(nanos: i64) -> String {
    const SECOND: i64 = 1_000_000_000;
    match nanos / SECOND {
        seconds @ 1..60 if nanos % SECOND == 0 => format!("{seconds}s"),
        0..60 => format!("{}ms", nanos / 1_000_000),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3_600),
    }
}

/// A stable name of why nothing is claimed.
fn withdrawn_name(why: &Withdrawn) -> &'static str {
    match why {
        Withdrawn::NoFlows => "no-flows",
        Withdrawn::Short { .. } => "short",
        Withdrawn::Unseen { .. } => "unseen",
        Withdrawn::Skipped(_) => "skipped",
        Withdrawn::Unread => "unread",
        Withdrawn::Filtered => "filtered",
        Withdrawn::LeftOut(_) => "left-out",
        Withdrawn::Masked(_) => "masked",
    }
}

/// Why something may be needed, a fragment.
pub(super) fn doubt(doubt: &Doubt, count: u64) -> String {
    match doubt {
        Doubt::Unknown(cause) if count > 0 => format!(
            "{} that may need it unknown: {cause}",
            counted(count, "connection")
        ),
        Doubt::Unknown(cause) => format!("flows that may need it are unknown: {cause}"),
        Doubt::Unjudged => format!(
            "{} that may need it could not be judged",
            counted(count, "connection")
        ),
        Doubt::Drift => format!(
            "{} of its subjects passed that these policies deny",
            counted(count, "connection")
        ),
        Doubt::Job(name) => format!("{name} may need it and was not seen"),
        Doubt::NoRequests => "no request was recorded that it could be about".to_owned(),
        Doubt::AllRefused => "none of the rules beside it let a request pass".to_owned(),
    }
}

/// The doubts about something, joined; where there are none of its own, those about all.
pub(super) fn doubts(usage: &Use, others: &str) -> String {
    let texts: Vec<String> = usage
        .doubts
        .iter()
        .map(|(reason, count)| doubt(reason, *count))
        .collect();
    if texts.is_empty() {
        return others.to_owned();
    }
    texts.join("; ")
}

/// Why nothing is claimed, for programs.
pub(super) fn withdrawn_json(why: &[Withdrawn]) -> Value {
    why.iter()
        .map(|why| json!({"reason": withdrawn_name(why), "text": withdrawn(why)}))
        .collect()
}

/// A policy for programs.
pub(super) fn policy_json(policy: &ObjectId) -> Value {
    json!({
        "kind": policy.kind.name(),
        "namespace": &*policy.namespace,
        "name": &*policy.name,
    })
}

/// A rule for programs.
pub(super) fn rule_json(policy: &ObjectId, file: &str, rule: &WrittenRule) -> Value {
    json!({
        "policy": policy_json(policy),
        "path": rule.path,
        "file": file,
        "line": rule.at.line,
        "direction": rule.direction.name(),
        "deny": rule.deny,
        "says": says(rule),
    })
}

/// `12 (3 alone)`, empty for nothing.
pub(super) fn amount(usage: &Use) -> String {
    match (usage.alone, usage.alone + usage.shared) {
        (_, 0) => String::new(),
        (0, all) => thousands(all),
        (alone, all) if alone == all => thousands(all),
        (alone, all) => format!("{} ({} alone)", thousands(all), thousands(alone)),
    }
}
