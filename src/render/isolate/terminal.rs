//! A plan and its proof in a few lines, for whoever typed the command.

use std::fmt::Write as _;

use super::Options;
use super::words::{
    NAMED, answer, asked, direction, edge_port, ends, inward, role, rules, spans, telling,
    undecided,
};
use crate::render::report::words::{counted, harmless, listed};
use crate::render::thousands;
use crate::respond::quarantine::{Plan, Proof};
use crate::review::assert::Holds;

/// The lines.
#[must_use]
pub fn terminal(plan: &Plan, proof: &Proof, options: &Options) -> String {
    let mut out = String::new();
    let paint = match (options.color, proof.holds()) {
        (false, _) => "",
        (_, Holds::Proven) => "\x1b[32m",
        (_, Holds::Undecided) => "\x1b[33m",
        (_, Holds::Refuted) => "\x1b[31m",
    };
    let plain = if options.color { "\x1b[0m" } else { "" };
    let title = format!(
        "{} of {}, incident {}",
        plan.pattern, plan.target, plan.incident
    );
    let _ = writeln!(out, "{}", harmless(&title));
    let _ = writeln!(out, "{paint}{}{plain}", harmless(&answer(plan, proof)));
    let mut line = |text: &str| {
        let _ = writeln!(out, "{}", harmless(text));
    };
    line(&asked(proof));
    for one in &proof.undecided {
        line(&format!("  undecided: {}", undecided(one)));
    }
    for leak in telling(proof).into_iter().take(options.top) {
        line(&format!(
            "  leak {}: {} on {}, let by {}",
            direction(leak.direction),
            listed(&leak.peers, NAMED),
            spans(&leak.spans),
            rules(leak)
        ));
        if let Some(closing) = &leak.closed_by {
            line(&format!("    closed by: {}", closing.words));
            for yaml in closing.yaml.lines() {
                line(&format!("      {yaml}"));
            }
        }
    }
    for cut in proof.unmeant.iter().take(options.top) {
        line(&format!(
            "  not meant {}: {} on {} is denied now",
            direction(cut.direction),
            cut.peer,
            spans(&cut.spans)
        ));
    }
    let collateral = &proof.collateral;
    let connections: u64 = collateral.cut.iter().map(|edge| edge.connections).sum();
    line("");
    if collateral.flows {
        line(&format!(
            "Stops: {} on {}.",
            counted(connections, "recorded connection"),
            counted(collateral.cut.len() as u64, "edge")
        ));
        for edge in collateral.cut.iter().take(options.top) {
            line(&format!(
                "  {:<3} {:<40} {:<10} {:>8}  {}",
                inward(edge.inward),
                ends(edge, &collateral.cut),
                edge_port(edge),
                thousands(edge.connections),
                role(edge)
            ));
        }
        if collateral.untold > 0 {
            line(&format!(
                "Of {} it cannot be told.",
                counted(collateral.untold, "recorded connection")
            ));
        }
        if let Some((open, of)) = options.deny_all {
            line(&format!(
                "A NetworkPolicy without rules would leave {} of {} open.",
                thousands(open),
                counted(of, "edge")
            ));
        }
        line("");
    }
    line("To apply it, after a look at the policy:");
    for step in &plan.apply {
        line(&format!("  {}", step.command));
    }
    line("To take it back:");
    for step in &plan.undo {
        line(&format!("  {}", step.command));
    }
    line("");
    match &options.folder {
        Some(folder) => line(&format!("Written to {folder}; begin with README.md.")),
        None => line("Nothing was written: give --out DIR for the policy and the pages."),
    }
    out
}
