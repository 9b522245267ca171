//! A report as one page: no network, no other file.
//!
//! Owns the page: map, timeline and tables, with a filter, sorting and a switch between
//! light and dark. Without scripts everything is still there to read and to print. All
//! text from outside is escaped.

use std::fmt::Write as _;

use super::map;
use super::outline::{Check, Outline, Section, Table};
use super::words::{clock, spans_days};
use crate::review::report::{Report, Timeline};

/// Rows of a table in the page: it has to stay small enough to be opened.
const MOST_ROWS: usize = 2000;
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Size of the timeline.
const WIDTH: usize = 1200;
const HEIGHT: usize = 120;

pub(in crate::render) fn write(out: &mut String, report: &Report, outline: &Outline) {
    let title = if outline.checks.is_empty() {
        title(report)
    } else {
        escape(&outline.title)
    };
    page(out, &title, outline, |out| {
        picture(out, report);
        timeline(out, &report.timeline, spans_days(report.reading.seen));
    });
}

/// The page of an outline, under a title that is escaped, with what `pictures` draws.
pub(in crate::render) fn page(
    out: &mut String,
    title: &str,
    outline: &Outline,
    pictures: impl FnOnce(&mut String),
) {
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
<header><h1>{title}</h1><input id=\"filter\" type=\"search\" placeholder=\"Filter: press /\" aria-label=\"Filter rows and map\">\
<button id=\"theme\" type=\"button\">Light / dark</button></header>\n<main>\n"
    );
    out.push_str("<nav aria-label=\"Sections\">");
    let mut drawn = String::new();
    pictures(&mut drawn);
    let map = (!drawn.is_empty()).then_some(("map", "Map"));
    let sections = outline.sections.iter();
    for (id, name) in map
        .into_iter()
        .chain(sections.map(|section| (section.id, section.title)))
    {
        let _ = write!(out, "<a href=\"#{id}\">{name}</a>");
    }
    out.push_str("</nav>\n<section class=\"short\" aria-label=\"In short\">");
    for sentence in &outline.short {
        let _ = write!(out, "<p>{}</p>", escape(sentence));
    }
    out.push_str("</section>\n");
    checks(out, &outline.checks);
    out.push_str(&drawn);
    for section in &outline.sections {
        self::section(out, section);
    }
    let _ = write!(
        out,
        "<footer>flowwatch {}; times in UTC</footer>\n</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    );
}

/// Text as it may stand in an element or in an attribute in double quotes.
pub(in crate::render) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            char if char.is_control() => out.push('\u{fffd}'),
            // These turn the direction of what follows them.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

fn title(report: &Report) -> String {
    let cluster: Vec<&str> = report
        .reading
        .clusters
        .iter()
        .map(AsRef::as_ref)
        .take(2)
        .collect();
    let day = report
        .reading
        .seen
        .span()
        .map_or(String::new(), |(first, _)| clock(first, true));
    let title = format!(
        "Flows {} {}",
        cluster.join(", "),
        day.get(..16).unwrap_or_default()
    );
    escape(
        title
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .as_str(),
    )
}

fn picture(out: &mut String, report: &Report) {
    let svg = map::svg(report);
    if svg.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<h2 id=\"map\">Map</h2>\n<p class=\"legend\">Callers stand left of those they call; choose one to see its own.\
<b style=\"color:var(--good)\"></b>forwarded<b style=\"color:var(--attention)\"></b>gap, audit or few refused\
<b style=\"color:var(--bad)\"></b>some refused<b style=\"color:var(--bad);border-top-style:dashed\"></b>all refused</p>\n\
<div class=\"picture\" tabindex=\"0\" aria-label=\"Service map\">{svg}</div>\n"
    );
}

/// Connections over time as bars: forwarded below, denied and dropped on top.
fn timeline(out: &mut String, timeline: &Timeline, days: bool) {
    let most = timeline.steps.iter().map(|step| step.connections).max();
    let Some(most) = most.filter(|most| *most > 0) else {
        return;
    };
    let _ = write!(
        out,
        "<h3>Connections over time</h3>\n<div class=\"picture\"><svg class=\"time\" viewBox=\"0 0 {WIDTH} {}\" width=\"100%\" role=\"img\" aria-label=\"Connections over time\">",
        HEIGHT + 24
    );
    let width = WIDTH as f64 / timeline.steps.len() as f64;
    let height = |count: u64| count as f64 / most as f64 * (HEIGHT - 12) as f64;
    for (at, step) in timeline.steps.iter().enumerate() {
        let begin = timeline.start + timeline.width * at as i64;
        let (x, bar) = (at as f64 * width, (width - 1.0).max(0.6));
        let mut top = HEIGHT as f64;
        let forwarded = step.connections - (step.denied + step.dropped).min(step.connections);
        for (class, count) in [
            ("", forwarded),
            (" denied", step.denied),
            (" dropped", step.dropped),
        ] {
            if count == 0 {
                continue;
            }
            top -= height(count);
            let _ = write!(
                out,
                "<rect class=\"bar{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{bar:.1}\" height=\"{:.1}\"><title>{}: {} connections, {} denied, {} dropped</title></rect>",
                height(count),
                clock(begin, days),
                step.connections,
                step.denied,
                step.dropped
            );
        }
    }
    let _ = write!(
        out,
        "<line class=\"axis\" x1=\"0\" y1=\"{HEIGHT}\" x2=\"{WIDTH}\" y2=\"{HEIGHT}\"/>"
    );
    let ticks = 6;
    for tick in 0..=ticks {
        let at = timeline.start + timeline.width * (timeline.steps.len() * tick / ticks) as i64;
        let anchor = match tick {
            0 => "start",
            _ if tick == ticks => "end",
            _ => "middle",
        };
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            WIDTH * tick / ticks,
            HEIGHT + 16,
            clock(at, days)
        );
    }
    out.push_str("</svg></div>\n");
}

/// What a reviewer ticks off, on screen or on paper.
fn checks(out: &mut String, checks: &[Check]) {
    if checks.is_empty() {
        return;
    }
    out.push_str("<h2 id=\"checklist\">Checklist</h2>\n<section class=\"short\">");
    for check in checks {
        let _ = write!(
            out,
            "<p><label><input type=\"checkbox\"> {}</label>",
            escape(&check.text)
        );
        if let Some(command) = &check.command {
            let _ = write!(out, "<br><code>{}</code>", escape(command));
        }
        out.push_str("</p>");
    }
    out.push_str("<p>Reviewed by: ____________________ on: ____________</p></section>\n");
}

fn section(out: &mut String, section: &Section) {
    let _ = writeln!(
        out,
        "<h2 id=\"{}\">{}</h2>",
        section.id,
        escape(section.title)
    );
    for note in &section.notes {
        let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(note));
    }
    for table in &section.tables {
        self::table(out, table);
    }
}

fn table(out: &mut String, table: &Table) {
    let _ = write!(
        out,
        "<h3 id=\"t-{}\">{}</h3>\n<div class=\"scroll\"><table aria-labelledby=\"t-{}\"><thead><tr>",
        table.id,
        escape(table.title),
        table.id
    );
    for column in &table.columns {
        let class = if column.number { " class=\"n\"" } else { "" };
        let _ = write!(
            out,
            "<th scope=\"col\"{class}><button type=\"button\">{}</button></th>",
            escape(column.name)
        );
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in table.rows.iter().take(MOST_ROWS) {
        let _ = write!(out, "<tr class=\"{}\">", row.tone.name());
        for (at, column) in table.columns.iter().enumerate() {
            let text = row.cells.get(at).map_or("", String::as_str);
            out.push_str(match (column.number, column.flexible) {
                (true, _) => "<td class=\"n\">",
                (_, false) => "<td class=\"k\">",
                _ => "<td>",
            });
            out.push_str(&escape(text));
            if at == 0 {
                for below in &row.below {
                    let _ = write!(out, "<span class=\"below\">{}</span>", escape(below));
                }
            }
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div><p class=\"left\"></p>\n");
    if table.rows.len() > MOST_ROWS {
        let _ = writeln!(
            out,
            "<p class=\"others\">The first {MOST_ROWS} of {}; -o json has all</p>",
            table.rows.len()
        );
    }
    if let Some(others) = &table.others {
        let _ = writeln!(out, "<p class=\"others\">And {}</p>", escape(others));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_an_element_or_an_attribute() {
        let text = escape("</script><img src=x onerror='a' \"b\">&\u{1b}\u{202e}");
        assert_eq!(
            text,
            "&lt;/script&gt;&lt;img src=x onerror=&#39;a&#39; &quot;b&quot;&gt;&amp;\u{fffd}\u{fffd}"
        );
    }
}
