//! What happened, in order.

use super::Bundle;
use super::words::{head, heading, inline, item, row};
use crate::connection::{ExchangeKind, Peer};
use crate::render::report::words::{clock, counted, duration, peer, spans_days};
use crate::render::trace::{far, markdown, verdict};
use crate::respond::scope::Happened;
use crate::review::trace::{Asked, Link, Way};

/// Rows of the tables behind the timeline.
const TOP: usize = 100;

/// The page.
#[must_use]
pub fn timeline(bundle: &Bundle<'_>) -> String {
    let mut out = format!(
        "# What happened around {}\n",
        crate::render::report::markdown::text(&bundle.target)
    );
    let days = spans_days(bundle.trace.window);
    heading(&mut out, 2, "In order");
    head(&mut out, &["time (UTC)", "what", "shown by"]);
    for moment in &bundle.timeline.moments {
        let (what, shown) = told(&moment.what);
        row(&mut out, &[clock(moment.at, days), what, shown]);
    }
    if bundle.timeline.left_out > 0 {
        item(
            &mut out,
            &format!(
                "{} less telling are left out: the tables below have them.",
                counted(bundle.timeline.left_out, "moment")
            ),
        );
    }
    out.push_str("\nA flow is named by its node, time and hash: `tail` shows it with ");
    out.push_str(&inline("--since TIME"));
    out.push_str(".\n");
    let options = crate::render::trace::Options {
        top: TOP,
        ..crate::render::trace::Options::default()
    };
    // The trace has a title of its own; here it is a part.
    let tables = markdown(bundle.trace, &options);
    for line in tables.lines() {
        out.push('\n');
        if line.starts_with('#') {
            out.push('#');
        }
        out.push_str(line);
    }
    out.push('\n');
    out
}

/// What happened, and what shows it.
fn told(what: &Happened) -> (String, String) {
    match what {
        Happened::RecordingBegins => ("the recording begins".to_owned(), String::new()),
        Happened::RecordingEnds => ("the recording ends".to_owned(), String::new()),
        Happened::IncidentBegins(title) => {
            let title = title
                .as_ref()
                .map_or(String::new(), |title| format!(": {title}"));
            (format!("the incident begins{title}"), String::new())
        }
        Happened::Found(finding) => (
            format!("{} ({})", finding.title, finding.severity),
            finding.flows.first().cloned().unwrap_or_default(),
        ),
        Happened::FirstSeen(link) => (
            first_seen(link),
            link.references
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
        Happened::Denied(link, count) => (
            format!(
                "nothing gets through to {} from here on, the first is {}",
                counted(*count as u64, "new target"),
                far(link)
            ),
            link.references
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
        Happened::Refused(asked) => (
            format!(
                "the proxy refuses {} of {} to {}, {} in all",
                request(asked),
                peer(&asked.client),
                peer(&asked.server),
                counted(asked.denied, "time")
            ),
            String::new(),
        ),
        Happened::NewName(asked) => (
            format!("it asks for {} for the first time", request(asked)),
            String::new(),
        ),
        Happened::Hole(node, hole) => {
            let length = hole.span.end().duration_since(hole.span.start());
            let events = match hole.events {
                Some(events) => format!("{} missing", counted(events, "event")),
                None => "events missing, nobody knows how many".to_owned(),
            };
            (
                format!(
                    "{node}: {events}, over {} ({})",
                    duration(i64::try_from(length.as_nanos()).unwrap_or(i64::MAX)),
                    hole.cause
                ),
                String::new(),
            )
        }
    }
}

fn first_seen(link: &Link) -> String {
    let far = far(link);
    let addresses: Vec<String> = match link.far() {
        Peer::Name(_) => link
            .far_addresses()
            .some
            .iter()
            .map(ToString::to_string)
            .collect(),
        _ => Vec::new(),
    };
    let at = if addresses.is_empty() {
        String::new()
    } else {
        format!(" ({})", addresses.join(", "))
    };
    let what = match link.way {
        Way::In => format!("{far} calls it for the first time"),
        Way::Out => format!("it calls {far}{at} for the first time"),
        Way::Within => format!("its own call each other on {far} for the first time"),
    };
    format!(
        "{what}: {}, {}",
        counted(link.sum.connections, "connection"),
        verdict(link)
    )
}

fn request(asked: &Asked) -> String {
    match &asked.kind {
        ExchangeKind::Dns { query, .. } => format!("the name {query}"),
        ExchangeKind::Http { method, path, .. } => format!("{method} {path}"),
        ExchangeKind::Other(name) => name.to_string(),
    }
}
