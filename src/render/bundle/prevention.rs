//! The policies that would have prevented an incident, as a file of YAML with what they rest on
//! above them, and the sentence of it for other pages.

use std::fmt::Write as _;

use super::Bundle;
use crate::render::report::words::{clock, counted, duration, harmless, listed, peer, port};
use crate::render::tighten::{becomes, replay};
use crate::render::trace::far;
use crate::render::{suggest, thousands};
use crate::respond::improvement::{Changed, Nothing, Prevented, Prevention};
use crate::respond::layout::Page;

/// Names in one sentence.
const NAMED: usize = 4;
/// How long what is normal takes to be seen, in nanoseconds.
const WEEK: i64 = 7 * 24 * 3_600_000_000_000;

/// The file.
#[must_use]
pub fn prevention(bundle: &Bundle<'_>, prevention: &Prevention) -> String {
    let mut out = String::new();
    head(&mut out, bundle, prevention);
    for one in &prevention.changed {
        out.push_str("---\n");
        document(&mut out, one);
    }
    if let Some(made) = &prevention.made {
        for (at, draft) in made.settled.drafts.iter().enumerate() {
            if !draft.is_empty() {
                out.push_str("---\n");
                out.push_str(&suggest::document(made, at));
            }
        }
    }
    out
}

/// What would have prevented it, or why nothing is said: one line of Markdown.
#[must_use]
pub fn prevented(answer: &Result<Prevention, Nothing>) -> String {
    let prevention = match answer {
        Ok(prevention) => prevention,
        Err(nothing) => {
            return crate::render::report::markdown::text(&format!(
                "No policy is made: {nothing}."
            ));
        }
    };
    let (denied, all) = prevention.denied();
    let stopped = prevention.links.iter().filter(|one| one.denied > 0);
    let names: Vec<String> = stopped.map(|one| far(&one.link)).collect();
    let file = Page::Improvement.file();
    let rest = format!(
        "would have denied {} of {} that began with the incident ({}); replayed on what came before it, {}.",
        thousands(denied),
        counted(all, "connection"),
        listed(&names, NAMED),
        replay(&prevention.replayed.accepted, "")
    );
    let hangs = prevention.links.iter().find(|one| one.hangs_on_names);
    let rest = match hangs {
        Some(one) => format!("{rest} It holds {}.", condition(one)),
        None => rest,
    };
    let rest = crate::render::report::markdown::text(&rest);
    format!("[{file}]({file}) {rest}")
}

fn head(out: &mut String, bundle: &Bundle<'_>, prevention: &Prevention) {
    let what = match bundle.incident {
        Some(incident) => format!("incident {} of {}", incident.id, bundle.target),
        None => format!("the incident of {}", bundle.target),
    };
    comment(out, &format!("Policies that would have prevented {what}."));
    comment(
        out,
        "Nothing was applied. Read them, and put them where your policies are.",
    );
    out.push_str("#\n");
    comment(
        out,
        &format!(
            "Learned from {}: all of it before the incident began, {} UTC.",
            suggest::between_words(&prevention.before),
            clock(prevention.start, true)
        ),
    );
    let span = prevention.before.seen.span();
    if let Some(length) = span.map(|(first, last)| last - first)
        && length < WEEK
    {
        comment(
            out,
            &format!(
                "What is needed less often than every {} may be missing in them.",
                duration(length)
            ),
        );
    }
    comment(
        out,
        &format!(
            "Replay of that time: {}.",
            replay(&prevention.replayed.accepted, "")
        ),
    );
    comment(out, "Replay since, of what was new and passed:");
    for one in &prevention.links {
        comment(out, &format!("  {}", outcome(one)));
    }
    if prevention.beside.is_empty() && prevention.more_beside == 0 {
        comment(
            out,
            "Nothing else that passed since would have been denied.",
        );
        return;
    }
    comment(
        out,
        "Also denied since, although it passed and is not among that:",
    );
    for one in &prevention.beside {
        let to = port(one.port, one.protocol);
        let (client, server) = (peer(&one.client), peer(&one.server));
        let count = match &one.request {
            Some(request) => format!("{request}, {}", counted(one.count, "time")),
            None => counted(one.count, "connection"),
        };
        comment(out, &format!("  {client} -> {server}:{to}: {count}"));
    }
    if prevention.more_beside > 0 {
        let more = thousands(prevention.more_beside);
        comment(out, &format!("  and {more} more"));
    }
}

/// `shop/checkout -> q7x2-sync.edge.example:443/TCP: 23 of 23 connections denied`.
fn outcome(one: &Prevented) -> String {
    let link = &one.link;
    let mut text = format!(
        "{} -> {}:{}: {} of {} denied",
        peer(&link.client),
        peer(&link.server),
        port(link.port, link.protocol),
        thousands(one.denied),
        counted(link.passed(), "connection")
    );
    if one.hangs_on_names {
        let _ = write!(text, ", {}", condition(one));
    }
    if let Some(why) = &one.why {
        let _ = write!(text, ": {why}");
    }
    text
}

/// What a denial by name hangs on.
fn condition(one: &Prevented) -> String {
    let addresses: Vec<String> = one
        .link
        .servers
        .some
        .iter()
        .map(ToString::to_string)
        .collect();
    format!(
        "as long as {} has no other name that is allowed, which takes more DNS than was recorded to rule out",
        listed(&addresses, NAMED)
    )
}

fn document(out: &mut String, changed: &Changed) {
    comment(out, &format!("{}, with narrower rules.", changed.file));
    for one in &changed.narrowed {
        comment(out, &format!("Line {} of it: {}.", one.line, becomes(one)));
    }
    if let Some(namespace) = &changed.deployed_to {
        comment(
            out,
            &format!("Its namespace, {namespace}, is that of whatever deploys it."),
        );
    }
    out.push_str(&changed.text);
}

/// A line of a comment, which nothing in it ends.
fn comment(out: &mut String, line: &str) {
    let line = harmless(&line.replace(['\n', '\r'], " "));
    let _ = writeln!(out, "# {line}");
}
