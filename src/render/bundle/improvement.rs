//! The text of the fifth step: what policy would have prevented it.

use super::Bundle;
use super::words::commands;
use crate::render::report::words::listed;
use crate::render::trace::far;
use crate::review::trace::Way;

/// The step as text: what passed that nobody expected and through which rules, and the command
/// that narrows them.
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
    out.push_str("Which rules are wider than what is used, and what narrows them:\n\n");
    let policies = if bundle.policies.is_empty() {
        "POLICIES".to_owned()
    } else {
        bundle.policies.join(" ")
    };
    let flows = bundle.flows.join(" ");
    let tighten = format!("flowwatch policy tighten {policies} --flows {flows}");
    commands(&mut out, [tighten.as_str()]);
    out.push('\n');
    out
}
