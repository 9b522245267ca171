//! The text of the fifth step: what policy would have prevented it.

use super::Bundle;
use super::words::{commands, heading};
use crate::render::report::words::{listed, peer, port};
use crate::review::trace::Way;

/// What is known of a better policy.
#[derive(Clone, Debug, Default)]
pub struct Improvement {
    /// YAML of policies that allow what was accepted and no more; empty where none was made.
    pub suggestion: String,
    /// What replaying it gave, as sentences.
    pub replay: Vec<String>,
}

/// The step as text: what passed that nobody expected and through which rules, and what
/// narrows them. Without a suggestion it says the command that makes one.
#[must_use]
pub fn improvement(bundle: &Bundle<'_>, known: &Improvement) -> String {
    let mut out = String::new();
    let trace = bundle.trace;
    let mut passed: Vec<String> = Vec::new();
    let mut rules: Vec<String> = Vec::new();
    for link in trace.own(Way::Out) {
        if link.passed() == 0 || !trace.is_new(link.seen()) {
            continue;
        }
        passed.push(format!(
            "{}:{}",
            peer(link.far()),
            port(link.port, link.protocol)
        ));
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
    if known.suggestion.is_empty() {
        out.push_str("Which rules are wider than what is used, and what narrows them:\n\n");
        let policies = if bundle.policies.is_empty() {
            "POLICIES".to_owned()
        } else {
            bundle.policies.join(" ")
        };
        let flows = bundle.flows.join(" ");
        let tighten = format!("flowwatch policy tighten {policies} --flows {flows}");
        commands(&mut out, [tighten.as_str()]);
    } else {
        heading(&mut out, 3, "Policies that would have prevented it");
        for line in &known.replay {
            super::words::item(&mut out, line);
        }
        out.push_str("\n```yaml\n");
        out.push_str(&known.suggestion.replace("```", "` ` `"));
        out.push_str("```\n");
    }
    out.push('\n');
    out
}
