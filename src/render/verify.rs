//! Whether a quarantine took effect, as text and as JSON.
//!
//! Owns the forms. The schema of the JSON is `docs/schema/verify.json`. Decides nothing.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::report::words::{clock, counted, duration, harmless, port, rfc3339};
use super::thousands;
use crate::respond::record::BundleRecord;
use crate::respond::verify::{Answer, Side, Verified};

/// Goes up when a field of the JSON changes its meaning or goes.
pub const VERSION: u32 = 1;
/// Rows of a table.
const MOST: usize = 20;

/// What came of it, for a person.
#[must_use]
pub fn text(verified: &Verified, bundle: &BundleRecord, rolled_back: bool, color: bool) -> String {
    let mut out = String::new();
    let paint = match (color, verified.answer) {
        (false, _) => "",
        (_, Answer::Proven) => "\x1b[32m",
        (_, Answer::Undecided) => "\x1b[33m",
        (_, Answer::Refuted) => "\x1b[31m",
    };
    let plain = if color { "\x1b[0m" } else { "" };
    let what = if rolled_back {
        "is no longer cut off by"
    } else {
        "is cut off by"
    };
    let _ = writeln!(
        out,
        "{paint}{}{plain}  {} {what} {}",
        verified.answer.name(),
        harmless(&bundle.target),
        harmless(&bundle.quarantine.policies.join(", "))
    );
    for line in &verified.why {
        let _ = writeln!(out, "  {}", harmless(line));
    }
    if let Some(line) = effect(verified, rolled_back) {
        let _ = writeln!(out, "  {line}");
    }
    sides(&mut out, verified);
    survivors(&mut out, verified);
    if verified.replies > 0 {
        let _ = writeln!(
            out,
            "  {} went on: replies are not checked.",
            crate::flow::counted(verified.replies, "reply", "replies")
        );
    }
    if let Some((first, last)) = verified.watched {
        let _ = writeln!(
            out,
            "  Watched {} to {} UTC: {} of the target{}.",
            clock(first, true),
            clock(last, false),
            counted(verified.flows, "flow"),
            holes(verified)
        );
    }
    out
}

/// How it stands, in one line.
#[must_use]
pub fn status(verified: &Verified) -> String {
    let why = verified.why.first().map_or("", String::as_str);
    format!("{} so far: {}", verified.answer.name(), harmless(why))
}

/// The same for programs.
#[must_use]
pub fn json(verified: &Verified, bundle: &BundleRecord, rolled_back: bool) -> Value {
    json!({
        "version": VERSION,
        "target": bundle.target,
        "policies": bundle.quarantine.policies,
        "rolled_back": rolled_back,
        "result": verified.answer.name(),
        "why": verified.why,
        "watched": {
            "first": verified.watched.and_then(|(first, _)| rfc3339(first)),
            "last": verified.watched.and_then(|(_, last)| rfc3339(last)),
            "flows": verified.flows,
            "holes": verified.holes.0,
            "lost": verified.holes.1,
        },
        "since": verified.since.and_then(rfc3339),
        "effect_seconds": {
            "least": verified.took.map(|(least, _)| least as f64 / 1e9),
            "most": verified.took.map(|(_, most)| most as f64 / 1e9),
        },
        "sides": verified.sides.iter().map(side).collect::<Vec<_>>(),
        "survivors": verified.survivors.iter().map(|one| json!({
            "who": &*one.who,
            "direction": one.direction.name(),
            "peer": one.peer,
            "port": one.port,
            "protocol": one.protocol.name(),
            "flows": one.flows,
            "first": rfc3339(one.first),
            "last": rfc3339(one.last),
            "by_proxy": one.by_proxy,
            "flow": one.reference,
        })).collect::<Vec<_>>(),
        "replies": verified.replies,
        "unsure": verified.unsure,
    })
}

fn side(side: &Side) -> Value {
    json!({
        "who": &*side.who,
        "direction": side.direction.name(),
        "result": side.answer.name(),
        "passed": side.passed,
        "last_passed": side.last_passed.and_then(rfc3339),
        "dropped": side.dropped,
        "named": side.named,
        "first_dropped": side.first_dropped.and_then(rfc3339),
        "last_dropped": side.last_dropped.and_then(rfc3339),
    })
}

fn effect(verified: &Verified, rolled_back: bool) -> Option<String> {
    let (least, most) = verified.took?;
    let since = clock(verified.since?, false);
    let what = if rolled_back {
        "The first that went on came"
    } else {
        "The last that got through came"
    };
    Some(if rolled_back {
        format!("{what} {} after {since}.", duration(most))
    } else if least == 0 {
        format!("In effect within {} of {since}.", duration(most))
    } else {
        format!(
            "{what} {} after {since}, the first drop after it {}.",
            duration(least),
            duration(most)
        )
    })
}

fn sides(out: &mut String, verified: &Verified) {
    if verified.sides.is_empty() {
        return;
    }
    let width = verified
        .sides
        .iter()
        .take(MOST)
        .map(|side| side.who.chars().count())
        .max()
        .unwrap_or(0);
    let _ = writeln!(
        out,
        "  {:width$}  DIRECTION  RESULT     DROPPED  BY NAME  GOT THROUGH  LAST",
        "WHO"
    );
    for side in verified.sides.iter().take(MOST) {
        let last = side
            .last_passed
            .map_or(String::new(), |time| clock(time, false));
        let _ = writeln!(
            out,
            "  {:width$}  {:9}  {:9}  {:>7}  {:>7}  {:>11}  {last}",
            harmless(&side.who),
            side.direction.name(),
            side.answer.name(),
            thousands(side.dropped),
            thousands(side.named),
            thousands(side.passed),
        );
    }
    if verified.sides.len() > MOST {
        let _ = writeln!(out, "  and {} more", verified.sides.len() - MOST);
    }
}

fn survivors(out: &mut String, verified: &Verified) {
    if verified.survivors.is_empty() {
        return;
    }
    let _ = writeln!(out, "  Got through:");
    for one in verified.survivors.iter().take(MOST) {
        let by = if one.by_proxy { ", by the proxy" } else { "" };
        let _ = writeln!(
            out,
            "    {} {} {} {}: {}, last {}{by} ({})",
            harmless(&one.who),
            one.direction.name(),
            harmless(&one.peer),
            port(one.port, one.protocol),
            counted(one.flows, "flow"),
            clock(one.last, false),
            harmless(&one.reference)
        );
    }
    if verified.survivors.len() > MOST {
        let _ = writeln!(out, "    and {} more", verified.survivors.len() - MOST);
    }
}

fn holes(verified: &Verified) -> String {
    match verified.holes {
        (0, _) => String::new(),
        (count, Some(events)) => format!(
            ", {} with {} lost on its nodes",
            counted(count, "hole"),
            counted(events, "event")
        ),
        (count, None) => format!(", {} on its nodes", counted(count, "hole")),
    }
}
