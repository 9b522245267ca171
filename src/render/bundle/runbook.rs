//! The page to fill in while it goes on: isolate, investigate, remediate, document, improve.

use std::fmt::Write as _;

use super::Bundle;
use super::words::{commands, heading};
use crate::render::report::markdown::text;
use crate::render::report::words::clock;

/// The page; `improvement` is the text of its fifth step.
#[must_use]
pub fn runbook(bundle: &Bundle<'_>, improvement: &str) -> String {
    let mut out = format!("# Runbook: {}\n\n", text(&bundle.target));
    let incident = bundle
        .incident
        .map_or_else(|| "____________".to_owned(), |one| format!("`{}`", one.id));
    let _ = writeln!(
        out,
        "Incident {incident} · bundle made {} UTC · led by ____________ · told to ____________",
        clock(bundle.made, true)
    );
    heading(&mut out, 2, "1. Isolate");
    step(
        &mut out,
        "What a restart takes is saved ([60-forensics.md](60-forensics.md))",
    );
    step(
        &mut out,
        "The proof is read: what stays open and what breaks is taken in ([40-proof.md](40-proof.md))",
    );
    step(&mut out, "Whoever is cut off knows it: ____________");
    for one in &bundle.plan.apply {
        step(&mut out, &text(&one.why));
        commands(&mut out, [one.command.as_str()]);
    }
    step(&mut out, "It is verified. Time to effect: ____________");
    commands(&mut out, ["flowwatch verify . --server RELAY:4245"]);
    heading(&mut out, 2, "2. Investigate");
    step(
        &mut out,
        "The timeline is read, and what is missing in it ([10-timeline.md](10-timeline.md)). Began really at: ____________",
    );
    step(&mut out, "How it got in: ____________");
    step(
        &mut out,
        "What it reached is looked at, hop by hop ([20-reach.md](20-reach.md)). Taken over besides: ____________",
    );
    step(
        &mut out,
        "What it could reach and has not yet is watched: ____________",
    );
    heading(&mut out, 2, "3. Remediate");
    step(
        &mut out,
        "Credentials are revoked ([60-forensics.md](60-forensics.md))",
    );
    step(
        &mut out,
        "The hole is closed: image, dependency, configuration: ____________",
    );
    step(
        &mut out,
        "Pods are replaced from a clean image; those under quarantine are kept or deleted: ____________",
    );
    step(
        &mut out,
        "The quarantine is taken back, and that is verified",
    );
    let undo = bundle.plan.undo.iter();
    commands(&mut out, undo.map(|one| one.command.as_str()));
    heading(&mut out, 2, "4. Document");
    step(
        &mut out,
        "This folder is kept whole, with its sums ([SHA256SUMS](SHA256SUMS))",
    );
    step(&mut out, "Who was told, when: ____________");
    step(&mut out, "What went well, what did not: ____________");
    heading(&mut out, 2, "5. Improve");
    out.push_str(improvement);
    step(
        &mut out,
        "The change is replayed before it is merged (`flowwatch simulate`)",
    );
    step(
        &mut out,
        "What was found and is meant is said (`flowwatch findings ack`); what was missed has an owner: ____________",
    );
    out
}

fn step(out: &mut String, line: &str) {
    let _ = writeln!(out, "- [ ] {line}");
}
