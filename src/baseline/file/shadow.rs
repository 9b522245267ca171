//! Shadow days in the file, both ways.
//!
//! Owns the keys below `shadow` and their form. What the figures mean is
//! [`crate::baseline::Shadow`]'s.

use std::fmt::Write as _;

use super::text::{parse_day, scalar, time_text};
use crate::baseline::{Anchors, Shadow, ShadowKind};
use crate::manifest::{KeyedError, KeyedFile, Node, Number, Value};

/// The keys, as errors list them.
const KEYS: &str = "from, to, incidents, budget, medium, high, critical, kinds";
/// Those of a kind.
const KIND_KEYS: &str = "kind, tests, findings, least, mean, spread, checked, below";

/// Reads the value of `shadow`.
pub(super) fn read(file: KeyedFile<'_>, node: &Node) -> Result<Shadow, KeyedError> {
    let mut shadow = Shadow::default();
    let (mut from, mut to) = (None, None);
    for (key, at, value) in file.entries(node, "shadow")? {
        match key {
            "from" => from = Some(time(file, value, "shadow.from")?),
            "to" => to = Some(time(file, value, "shadow.to")?),
            "incidents" => shadow.incidents = count(file, value, "shadow.incidents")?,
            "budget" => shadow.budget = number(file, value, "shadow.budget")?,
            "medium" => shadow.anchors.medium = number(file, value, "shadow.medium")?,
            "high" => shadow.anchors.high = number(file, value, "shadow.high")?,
            "critical" => shadow.anchors.critical = number(file, value, "shadow.critical")?,
            "kinds" => {
                let list = value
                    .as_list()
                    .ok_or_else(|| file.kind(value.at, "shadow.kinds", "a list"))?;
                for node in list {
                    shadow.kinds.push(kind(file, node)?);
                }
            }
            _ => return Err(file.unknown(at, &format!("shadow.{key}"), KEYS)),
        }
    }
    shadow.span = from
        .zip(to)
        .filter(|(from, to)| from < to)
        .ok_or_else(|| file.kind(node.at, "shadow", "`from`, and `to` after it"))?;
    let Anchors {
        medium,
        high,
        critical,
    } = shadow.anchors;
    if !(0.0 < medium && medium < high && high < critical) {
        return Err(file.kind(
            node.at,
            "shadow",
            "medium below high, and high below critical",
        ));
    }
    Ok(shadow)
}

fn kind(file: KeyedFile<'_>, node: &Node) -> Result<ShadowKind, KeyedError> {
    let mut kind = ShadowKind::default();
    for (key, at, value) in file.entries(node, "shadow.kinds")? {
        let name = format!("shadow.kinds.{key}");
        match key {
            "kind" => {
                let text = value.as_str();
                let text = text.ok_or_else(|| file.kind(value.at, &name, "a text"))?;
                text.clone_into(&mut kind.kind);
            }
            "tests" => kind.tests = count(file, value, &name)?,
            "findings" => kind.findings = count(file, value, &name)?,
            "least" => kind.least = number(file, value, &name)?,
            "mean" => kind.mean = number(file, value, &name)?,
            "spread" => kind.spread = number(file, value, &name)?,
            "checked" => kind.checked = count(file, value, &name)?,
            "below" => {
                let two = value.as_list().filter(|list| list.len() == 2);
                let two = two.ok_or_else(|| file.kind(value.at, &name, "a list of two counts"))?;
                for (own, node) in kind.below.iter_mut().zip(two) {
                    *own = count(file, node, &name)?;
                }
            }
            _ => return Err(file.unknown(at, &name, KIND_KEYS)),
        }
    }
    if kind.kind.is_empty() {
        return Err(file.kind(node.at, "shadow.kinds", "`kind` in each of its entries"));
    }
    Ok(kind)
}

fn time(file: KeyedFile<'_>, node: &Node, key: &str) -> Result<i64, KeyedError> {
    let time = node.as_str().and_then(parse_day);
    time.ok_or_else(|| {
        file.kind(
            node.at,
            key,
            "a day such as 2026-01-05, or an RFC 3339 time",
        )
    })
}

fn count(file: KeyedFile<'_>, node: &Node, key: &str) -> Result<u64, KeyedError> {
    match &node.value {
        Value::Number(Number::Int(count)) => u64::try_from(*count).ok(),
        Value::Number(Number::Unsigned(count)) => Some(*count),
        _ => None,
    }
    .ok_or_else(|| file.kind(node.at, key, "a count"))
}

fn number(file: KeyedFile<'_>, node: &Node, key: &str) -> Result<f64, KeyedError> {
    node.as_f64()
        .filter(|number| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| file.kind(node.at, key, "a number that is not negative"))
}

/// Writes it.
pub(super) fn write(out: &mut String, shadow: &Shadow) {
    let (from, to) = (time_text(shadow.span.0), time_text(shadow.span.1));
    let Anchors {
        medium,
        high,
        critical,
    } = shadow.anchors;
    out.push_str("shadow:\n");
    let _ = writeln!(out, "  from: {from}\n  to: {to}");
    let _ = writeln!(out, "  incidents: {}", shadow.incidents);
    let _ = writeln!(out, "  budget: {}", shadow.budget);
    let _ = writeln!(out, "  medium: {medium:.2}\n  high: {high:.2}");
    let _ = writeln!(out, "  critical: {critical:.2}");
    if !shadow.kinds.is_empty() {
        out.push_str("  kinds:\n");
    }
    for kind in &shadow.kinds {
        let _ = writeln!(
            out,
            "  - {{kind: {}, tests: {}, findings: {}, least: {:.2}, mean: {:.2}, spread: {:.2}, \
             checked: {}, below: [{}, {}]}}",
            scalar(&kind.kind),
            kind.tests,
            kind.findings,
            kind.least,
            kind.mean,
            kind.spread,
            kind.checked,
            kind.below[0],
            kind.below[1],
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::baseline::file::read;
    use crate::baseline::write_baseline;

    const FILE: &str = "\
baseline: 1
shadow:
  from: 2026-01-19T00:00:00Z
  to: 2026-01-22T00:00:00Z
  incidents: 7
  budget: 2
  medium: 4.31
  high: 6.40
  critical: 8.12
  kinds:
  - {kind: new-edge, tests: 1203, findings: 6, least: 2.10, mean: 0.62, spread: 0.40, checked: 1203, below: [3, 0]}
workloads:
";

    #[test]
    fn what_is_written_is_read_back() {
        let file = read(FILE, "b.yaml").unwrap();
        let shadow = file.shadow.as_ref().unwrap();
        assert!((shadow.days() - 3.0).abs() < 1e-9);
        assert_eq!(
            (shadow.kinds[0].checked, shadow.kinds[0].below),
            (1203, [3, 0])
        );
        let text = write_baseline(&file, Some(FILE));
        assert_eq!(text, FILE);
    }

    #[test]
    fn what_makes_no_sense_is_said_with_its_line() {
        for (old, new, line) in [
            ("high: 6.40", "high: 4.00", 3),
            ("findings: 6", "findings: -6", 11),
            ("budget: 2", "budge: 2", 6),
            ("to: 2026-01-22T00:00:00Z", "to: 2026-01-12T00:00:00Z", 3),
            ("below: [3, 0]", "below: [3]", 11),
        ] {
            let error = read(&FILE.replace(old, new), "b.yaml").unwrap_err();
            let error = error.to_string();
            assert!(error.contains(&format!("b.yaml:{line}")), "{new}: {error}");
        }
    }
}
