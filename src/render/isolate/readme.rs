//! The first page of a bundle: read in a minute, typed from.

use std::fmt::Write as _;

use super::Options;
use super::words::{
    NAMED, answer, asked, assumed, capital, direction, edge_port, ends, established, inward, label,
    last, probes, role, rules, spans, telling, undecided,
};
use crate::render::report::markdown::{code, text};
use crate::render::report::words::{clock, counted, listed};
use crate::render::thousands;
use crate::respond::layout::Page;
use crate::respond::quarantine::{CutEdge, Plan, Proof};

/// The page.
#[must_use]
pub fn readme(plan: &Plan, proof: &Proof, options: &Options) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "# Incident {}: cut off {}\n",
        text(&plan.incident),
        text(&plan.target.to_string())
    );
    let _ = writeln!(out, "**{}**\n", text(&answer(plan, proof)));
    let _ = writeln!(
        out,
        "Pattern: {}, which {}. To be looked at again: {}. Nothing was applied.\n",
        plan.pattern,
        plan.pattern.purpose(),
        plan.expires
    );
    out.push_str(&options.story);
    not_proven(&mut out, proof);
    leaks(&mut out, proof);
    steps(&mut out, plan, options);
    hit(&mut out, proof, options);
    open(&mut out, proof);
    back(&mut out, plan, options);
    if !options.prevented.is_empty() {
        let _ = writeln!(
            out,
            "## What would have prevented it\n\n{}\n",
            options.prevented
        );
    }
    gitops(&mut out, plan);
    files(&mut out, options);
    known(&mut out, proof, options);
    out
}

fn not_proven(out: &mut String, proof: &Proof) {
    if proof.undecided.is_empty() {
        return;
    }
    out.push_str("## What is not proven\n\n");
    for one in &proof.undecided {
        let _ = writeln!(out, "- {}", text(&undecided(one)));
    }
    out.push('\n');
}

pub(super) fn leaks(out: &mut String, proof: &Proof) {
    if !proof.open.is_empty() {
        out.push_str("## What leaks\n\n| direction | peers | ports | let by | closed by |\n|---|---|---|---|---|\n");
        for leak in telling(proof) {
            let closing = leak.closed_by.as_ref();
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                direction(leak.direction),
                text(&listed(&leak.peers, NAMED)),
                text(&spans(&leak.spans)),
                text(&rules(leak)),
                text(&closing.map(|one| one.words.clone()).unwrap_or_default()),
            );
        }
        out.push('\n');
    }
    if !proof.unmeant.is_empty() {
        out.push_str("## What is denied and was not to be touched\n\n");
        for cut in proof.unmeant.iter().take(NAMED) {
            let _ = writeln!(
                out,
                "- {} {}: {}",
                direction(cut.direction),
                text(&cut.peer),
                text(&spans(&cut.spans))
            );
        }
        let _ = writeln!(out, "\n{} in all.\n", thousands(proof.unmeant.len() as u64));
    }
}

fn steps(out: &mut String, plan: &Plan, options: &Options) {
    out.push_str("## What to type\n\nLook at the policy first.");
    if options.pages.contains(&Page::Forensics) {
        let file = Page::Forensics.file();
        let _ = write!(out, " Save what a restart takes: [{file}]({file}).");
    }
    out.push_str(" In the folder of this page:\n\n");
    for (number, step) in plan.apply.iter().enumerate() {
        let _ = writeln!(
            out,
            "{}. {}\n   {}",
            number + 1,
            code(&step.command),
            text(&step.why)
        );
    }
    if options.pages.contains(&Page::Record) {
        let _ = writeln!(
            out,
            "{}. {}\n   It watches that it took effect, and says what still gets through.",
            plan.apply.len() + 1,
            code("flowwatch verify . --server RELAY:4245")
        );
    }
    out.push('\n');
}

fn hit(out: &mut String, proof: &Proof, options: &Options) {
    let collateral = &proof.collateral;
    out.push_str("## Who is hit\n\n");
    for replicas in &collateral.replicas {
        let line = match replicas.of {
            0 => format!(
                "{}: no pod of it is known by name, so how many are hit is not known.",
                replicas.workload
            ),
            of if replicas.hit.len() == of => format!(
                "{}: all of its known pods, {} ({}). It is down for its clients.",
                replicas.workload,
                thousands(of as u64),
                listed(&replicas.hit, NAMED)
            ),
            of => format!(
                "{}: {} of its {} known pods ({}).",
                replicas.workload,
                replicas.hit.len(),
                of,
                listed(&replicas.hit, NAMED)
            ),
        };
        let _ = writeln!(out, "- {}", text(&line));
    }
    if let Some((open, of)) = options.deny_all {
        let _ = writeln!(
            out,
            "- A NetworkPolicy without rules, the deny-all of most guides, would leave {} of {} open that flows show: policies allow them.",
            thousands(open),
            counted(of, "edge")
        );
    }
    for sentence in probes(proof)
        .into_iter()
        .map(str::to_owned)
        .chain(label(proof))
    {
        let _ = writeln!(out, "- {}", text(&sentence));
    }
    for overlap in &collateral.overlap {
        let _ = writeln!(
            out,
            "- {}",
            text(&format!(
                "{} is selected, too: {}.",
                overlap.workload, overlap.why
            ))
        );
    }
    if !collateral.shared.is_empty() {
        let names = listed(&collateral.shared, NAMED);
        let _ = writeln!(
            out,
            "- {}",
            text(&format!(
                "The addresses are also those of {names}: these stop, too."
            ))
        );
    }
    if !collateral.flows {
        out.push_str("- No flows were given, so who uses it is not known.\n\n");
        return;
    }
    out.push('\n');
    table(
        out,
        "Connections that flows show and that stop",
        &collateral.cut,
        options.top,
    );
    table(
        out,
        "Connections that go on",
        &collateral.goes_on,
        options.top,
    );
    if collateral.cut.is_empty() {
        out.push_str("No connection that flows show stops.\n\n");
    }
    if collateral.untold > 0 {
        let _ = writeln!(
            out,
            "Of {} it cannot be told.\n",
            counted(collateral.untold, "connection")
        );
    }
    let unused = proof.cuts.iter().filter(|cut| cut.seen == 0).count();
    if unused > 0 {
        let _ = writeln!(
            out,
            "{} more that policies permitted and no flow shows are closed, too: see the proof.\n",
            counted(unused as u64, "way")
        );
    }
}

fn table(out: &mut String, title: &str, edges: &[CutEdge], top: usize) {
    if edges.is_empty() {
        return;
    }
    let connections: u64 = edges.iter().map(|edge| edge.connections).sum();
    let _ = writeln!(
        out,
        "{title}: {} on {}.\n\n| | peer | port | what | connections | last seen |\n|---|---|---|---|---:|---|",
        counted(connections, "connection"),
        counted(edges.len() as u64, "edge"),
    );
    for edge in edges.iter().take(top) {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            inward(edge.inward),
            text(&ends(edge, edges)),
            edge_port(edge),
            role(edge),
            thousands(edge.connections),
            last(edge)
        );
    }
    if edges.len() > top {
        let _ = writeln!(out, "\nThe first {top} of {} edges.", edges.len());
    }
    out.push('\n');
}

fn open(out: &mut String, proof: &Proof) {
    out.push_str("## What stays open\n\n");
    let mut reasons: Vec<(&str, &str)> = proof
        .kept
        .iter()
        .map(|leak| (direction(leak.direction), leak.reason))
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    for (direction, reason) in reasons {
        let _ = writeln!(out, "- {}: {}", direction, text(reason));
    }
    for sentence in established(proof) {
        let _ = writeln!(out, "- {}", text(&sentence));
    }
    out.push_str("- What is on a node's own network is no pod to policies; credentials that were taken work from anywhere.\n\n");
}

fn back(out: &mut String, plan: &Plan, options: &Options) {
    out.push_str("## To take it back\n\n");
    for step in &plan.undo {
        let _ = writeln!(out, "- {}\n  {}", code(&step.command), text(&step.why));
    }
    if options.pages.contains(&Page::Record) {
        let _ = writeln!(
            out,
            "- {}\n  It watches that the way is free again.",
            code("flowwatch verify . --rolled-back --server RELAY:4245")
        );
    }
    out.push('\n');
}

fn gitops(out: &mut String, plan: &Plan) {
    out.push_str("## With Argo CD or Flux\n\n");
    for note in &plan.gitops {
        let _ = writeln!(out, "- {}", text(note));
    }
    out.push('\n');
}

fn files(out: &mut String, options: &Options) {
    if options.pages.is_empty() {
        return;
    }
    out.push_str("## Files\n\n| file | what it is |\n|---|---|\n");
    for page in &options.pages {
        let _ = writeln!(out, "| {} | {} |", page.file(), page.purpose());
    }
    out.push('\n');
}

fn known(out: &mut String, proof: &Proof, options: &Options) {
    out.push_str("## How this is known\n\n");
    let _ = writeln!(out, "- {}", text(&asked(proof)));
    if let Some(assumed) = assumed(proof) {
        let _ = writeln!(out, "- {}", text(&assumed));
    }
    if proof.skipped > 0 {
        let _ = writeln!(
            out,
            "- {} that are not to be touched were too many to be compared.",
            capital(&counted(proof.skipped, "pair"))
        );
    }
    let _ = writeln!(
        out,
        "- Policies: {}.",
        text(&listed(&options.policies, NAMED))
    );
    if let Some((first, last)) = options.seen {
        let _ = writeln!(
            out,
            "- Flows: {}; {} from {} to {}.",
            text(&listed(&options.flows, NAMED)),
            thousands(options.read),
            clock(first, true),
            clock(last, true)
        );
    }
    for missing in &options.missing {
        let _ = writeln!(out, "- {}", text(missing));
    }
    let _ = writeln!(
        out,
        "\nMade by flowwatch {} at {}; times in UTC.",
        env!("CARGO_PKG_VERSION"),
        options.made
    );
}
