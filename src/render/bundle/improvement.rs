//! The text of the fifth step: what policy would have prevented it.

use std::fmt::Write as _;

use super::words::{commands, item};
use super::{Bundle, prevented};
use crate::render::report::words::{listed, rfc3339};
use crate::render::tighten::becomes;
use crate::render::trace::far;
use crate::respond::improvement::Prevention;
use crate::review::trace::Way;

/// The step as text: what passed that nobody expected and through which rules, what would have
/// prevented it, and the command that narrows all rules.
#[must_use]
pub fn improvement(bundle: &Bundle<'_>) -> String {
    let mut out = String::new();
    let trace = bundle.trace;
    let mut passed: Vec<String> = Vec::new();
    let mut rules: Vec<String> = Vec::new();
    for link in trace.own(Way::Out) {
        if link.passed() == 0 || !trace.is_new(link.seen()) {
            continue;
        }
        passed.push(far(link));
        for rule in link.ruled.iter().flat_map(|side| &side.ruling.rules) {
            let rule = crate::render::report::words::rule(rule);
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    if passed.is_empty() {
        out.push_str("Nothing new passed: the policies held, or it came by what was normal.\n\n");
    } else {
        out.push_str(&crate::render::report::markdown::text(&format!(
            "New, and let through: {}.",
            listed(&passed, 8)
        )));
        if rules.is_empty() {
            out.push_str(" No rule was asked, or none was given.\n\n");
        } else {
            let by = format!(" By {}.", listed(&rules, 6));
            out.push_str(&crate::render::report::markdown::text(&by));
            out.push_str("\n\n");
        }
    }
    out.push_str(&prevented(bundle.improvement));
    out.push_str("\n\n");
    if let Ok(prevention) = bundle.improvement {
        changes(&mut out, prevention);
    }
    out.push_str("Which rules of all of them are wider than what was used before, and what narrows them:\n\n");
    let policies = if bundle.policies.is_empty() {
        "POLICIES".to_owned()
    } else {
        bundle.policies.join(" ")
    };
    let flows = bundle.flows.join(" ");
    let mut tighten = format!("flowwatch policy tighten {policies} --flows {flows}");
    if let Some(start) = bundle.trace.incident.and_then(rfc3339) {
        let _ = write!(tighten, " --until {start}");
    }
    commands(&mut out, [tighten.as_str()]);
    out.push('\n');
    out
}

/// What is narrowed and made.
fn changes(out: &mut String, prevention: &Prevention) {
    for one in prevention.changed.iter().flat_map(|one| &one.narrowed) {
        let line = format!(
            "{} ({}:{}): {}",
            one.id.short(),
            one.file,
            one.line,
            becomes(one)
        );
        item(out, &line);
    }
    let drafts = prevention.made.iter().flat_map(|made| &made.settled.drafts);
    for draft in drafts.filter(|draft| !draft.is_empty()) {
        item(out, &format!("{}: a new policy", draft.id.short()));
    }
    out.push('\n');
}
