//! Broad rules as SARIF 2.1.0: each at its line.

use serde_json::Value;

use super::outline::allows;
use crate::render::report::words::counted;
use crate::render::sarif as log;
use crate::render::usage::{name, window};
use crate::review::broad::Broad;

/// The page that says what each rule means.
const GUIDE: &str = "docs/analytics.md";

/// The log: one run.
#[must_use]
pub fn sarif(broad: &Broad) -> Value {
    let seen = window(broad.connections, &broad.reading);
    let results: Vec<Value> = broad
        .rules
        .iter()
        .map(|rule| {
            let (id, level) = if rule.gap {
                ("broad-gap", "warning")
            } else {
                ("broad-rule", "note")
            };
            let text = format!(
                "{} allows {}; in {seen} {} on {} used it, and {} passed only by it.",
                name(&rule.policy, &rule.rule),
                allows(rule),
                counted(rule.peers.len() as u64, "peer"),
                counted(rule.ports.len() as u64, "port"),
                counted(rule.only, "connection"),
            );
            let place = log::location(&rule.file, u64::from(rule.rule.at.line), 0);
            let parts = [&*rule.policy.to_string(), &rule.rule.path];
            log::result(id, level, &text, &place, &parts)
        })
        .collect();
    let rules = [
        log::rule(
            "broad-gap",
            "The rule names neither whom nor what",
            GUIDE,
            "warning",
        ),
        log::rule("broad-rule", "The rule is broad in one way", GUIDE, "note"),
    ];
    log::log(&rules, &results)
}
