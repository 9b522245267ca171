//! What is said of findings in every form.

use crate::finding::{Finding, Incident, Reading, RuleRef, Suppressed, TERMS, Term};
use crate::render::report::words::{clock, counted, duration, listed};

/// Rules that are named.
const RULES: usize = 3;

/// `2026-06-01 10:00:00 to 14:00:00 UTC (4 h)`; one time where it is one second.
pub(super) fn span(first: i64, last: i64) -> String {
    let (begin, end) = (clock(first, true), clock(last, true));
    if begin == end {
        return format!("{begin} UTC");
    }
    // A day is not said twice.
    let end = match (begin.get(..10), end.get(..10)) {
        (Some(one), Some(other)) if one == other => end.get(11..).unwrap_or(&end),
        _ => &end,
    };
    format!("{begin} to {end} UTC ({})", duration(last - first))
}

/// `8.50 = surprise 6.00 + sensitive 2.00 + exposed 0.50`.
pub(super) fn equation(score: f64, terms: &[Term]) -> String {
    let mut text = format!("{score:.2} =");
    for (at, term) in terms.iter().enumerate() {
        let sign = match (at, term.value < 0.0) {
            (0, false) => "",
            (0, true) => "-",
            (_, false) => " +",
            (_, true) => " -",
        };
        let space = if at == 0 { " " } else { "" };
        let name = term.name.replace('-', " ");
        let term = format!("{space}{sign} {name} {:.2}", term.value.abs());
        text.push_str(&term.replace("  ", " "));
    }
    text
}

/// What a term means; its name where a later version wrote it.
pub(super) fn meaning(name: &str) -> &str {
    TERMS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(name, |(_, meaning)| meaning)
}

/// What the network did with it, and by which rules: `policy gap: nothing selects shop/web,
/// and it passed`.
pub(in crate::render) fn reading(finding: &Finding) -> String {
    let rules: Vec<String> = finding.rules.iter().map(rule).collect();
    let named = if rules.is_empty() {
        &finding.policies
    } else {
        &rules
    };
    let by = |word: &str| {
        if named.is_empty() {
            String::new()
        } else {
            format!("{word} {}", listed(named, RULES))
        }
    };
    match finding.reading {
        Reading::PolicyGap if named.is_empty() => {
            "policy gap: it passed, and no policy asks about it".to_owned()
        }
        Reading::PolicyGap if finding.terms.iter().any(|term| term.name == "broad-rule") => {
            format!("policy gap: only a broad rule lets it pass, {}", by("of"))
        }
        Reading::PolicyGap => {
            format!(
                "policy gap: on one side no policy asks about it; {} let it pass",
                by("on the other")
            )
        }
        Reading::Allowed => format!("allowed{}", by(" by")),
        Reading::Attempted => format!("attempted, and denied{}", by(" by")),
        Reading::WouldBeBlocked => {
            format!("would be blocked{}; audit mode let it pass", by(" by"))
        }
        Reading::BrokenTraffic => {
            format!(
                "broken legitimate traffic: it was normal, and is denied{}",
                by(" by")
            )
        }
    }
}

/// `shop/web (web.yaml:12)`.
fn rule(rule: &RuleRef) -> String {
    if rule.file.is_empty() {
        rule.policy.clone()
    } else {
        format!("{} ({}:{})", rule.policy, rule.file, rule.line)
    }
}

/// Why nobody is told.
pub(super) fn suppressed(why: &Suppressed) -> String {
    let until = why
        .until
        .as_ref()
        .map_or(String::new(), |until| format!(", until {until}"));
    format!("{} ({}{until})", why.reason, why.by)
}

/// What was not seen of its time; `None` where nothing is known to be missing.
pub(super) fn missing(finding: &Finding) -> Option<String> {
    let completeness = finding.completeness;
    let lost = completeness.lost.unwrap_or_default();
    match completeness.share {
        None => Some("how much of its time was seen is not known".to_owned()),
        Some(share) if share < 1.0 || lost > 0 => Some(format!(
            "{:.1} % of the events of its time were seen, {} lost",
            (share * 1000.0).floor() / 10.0,
            match (completeness.lost, lost) {
                (None, _) => "an unknown number".to_owned(),
                (_, 1) => "1 event was".to_owned(),
                (_, lost) => format!("{} were", counted(lost, "event")),
            }
        )),
        Some(_) => None,
    }
}

/// What an incident is made of: `4 findings`.
pub(super) fn findings(incident: &Incident) -> String {
    counted(incident.findings.len() as u64 + incident.more, "finding")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_shown_as_sums() {
        let terms = [
            Term::new("surprise", 5.7),
            Term::new("no-policy", 1.0),
            Term::new("rollout", -1.5),
        ];
        assert_eq!(
            equation(5.2, &terms),
            "5.20 = surprise 5.70 + no policy 1.00 - rollout 1.50"
        );
        assert_eq!(meaning("surprise"), "how unlikely it is, in powers of ten");
        assert_eq!(meaning("later"), "later");
    }

    #[test]
    fn a_span_names_its_day_once() {
        let ten = 1_780_308_000_000_000_000;
        assert_eq!(span(ten, ten), "2026-06-01 10:00:00 UTC");
        let hours = |count: i64| ten + count * 3_600_000_000_000;
        assert_eq!(
            span(ten, hours(4)),
            "2026-06-01 10:00:00 to 14:00:00 UTC (4 h)"
        );
        assert_eq!(
            span(ten, hours(26)),
            "2026-06-01 10:00:00 to 2026-06-02 12:00:00 UTC (1 d 2 h)"
        );
    }
}
