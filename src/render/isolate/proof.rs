//! The proof as a page: everything that stays open, everything that is cut.

use std::fmt::Write as _;

use super::Options;
use super::readme::leaks;
use super::words::{NAMED, answer, asked, assumed, capital, direction, rules, spans, undecided};
use crate::render::report::markdown::text;
use crate::render::report::words::{counted, listed};
use crate::render::thousands;
use crate::respond::quarantine::{Leak, Plan, Proof};

/// Rows of what is cut; the rest is in the JSON.
const MOST_CUTS: usize = 200;

/// The page.
#[must_use]
pub fn proof(plan: &Plan, proof: &Proof, options: &Options) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# Proof\n\n{}\n", text(&answer(plan, proof)));
    let _ = writeln!(out, "{}\n", text(&asked(proof)));
    if let Some(assumed) = assumed(proof) {
        let _ = writeln!(out, "{}\n", text(&assumed));
    }
    for one in &proof.undecided {
        let _ = writeln!(out, "- {}", text(&undecided(one)));
    }
    if !proof.undecided.is_empty() {
        out.push('\n');
    }
    leaks(&mut out, proof);
    for leak in &proof.open {
        if let Some(closing) = &leak.closed_by
            && !closing.yaml.is_empty()
        {
            let _ = writeln!(
                out,
                "{} is closed by this, which was tried:\n\n```yaml\n{}```\n",
                text(&capital(&listed(&leak.peers, NAMED))),
                closing.yaml
            );
        }
    }
    table(&mut out, "What stays open on purpose", &proof.kept);
    table(
        &mut out,
        "What only the policy of the other side holds",
        &proof.held,
    );
    cuts(&mut out, proof);
    let _ = writeln!(out, "Made at {}; times in UTC.", options.made);
    out
}

fn table(out: &mut String, title: &str, leaks: &[Leak]) {
    if leaks.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "## {title}\n\n| direction | of | peers | ports | let by | why |\n|---|---|---|---|---|---|"
    );
    for leak in leaks {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            direction(leak.direction),
            text(&listed(&leak.subjects, NAMED)),
            text(&listed(&leak.peers, NAMED)),
            text(&spans(&leak.spans)),
            text(&rules(leak)),
            leak.reason
        );
    }
    out.push('\n');
}

fn cuts(out: &mut String, proof: &Proof) {
    if proof.cuts.is_empty() {
        out.push_str("## What is cut\n\nNothing that policies permitted before.\n\n");
        return;
    }
    let _ = writeln!(
        out,
        "## What is cut\n\nPermitted before and denied now, with {}; most used first.\n\n| direction | of | peer | ports | connections seen |\n|---|---|---|---|---:|",
        counted(proof.cuts.len() as u64, "peer")
    );
    for cut in proof.cuts.iter().take(MOST_CUTS) {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            direction(cut.direction),
            text(&listed(&cut.subjects, NAMED)),
            text(&cut.peer),
            text(&spans(&cut.spans)),
            thousands(cut.seen)
        );
    }
    if proof.cuts.len() > MOST_CUTS {
        let _ = writeln!(out, "\nThe first {MOST_CUTS}; all are in the JSON.");
    }
    out.push('\n');
}
