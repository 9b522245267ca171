//! What a WHERE asks of flows, as a condition on stored columns.
//!
//! Owns the part of it that is understood. The engine answers the whole WHERE on what
//! columns show; a hint only says which flows need not be looked at, because the WHERE does
//! not hold of them: comparisons with names become comparisons with numbers, times choose
//! files. So it may be weaker than the WHERE, and nothing depends on it but time.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sqlparser::ast::{
    BinaryOperator, Expr, Select, TableFactor, UnaryOperator, Value, ValueWithSpan,
};

use crate::query::columns::{self, Kind};
use crate::query::condition::{Comparison, Condition, Part, Test};

/// Views whose rows are flows.
pub(in crate::query) const OF_FLOWS: [&str; 2] = ["flows", "drops"];
/// What reading of a time in a text may be off by: fractions are the engine's.
const SLACK: i64 = 1_000_000_000;

/// Hints of a statement, one for each time that it names a view alone.
#[derive(Debug, Default)]
pub(super) struct Hints(Vec<(&'static str, Condition)>);

impl Hints {
    /// Takes a SELECT; one over several tables says nothing here.
    pub(super) fn select(&mut self, select: &Select) {
        let [table] = select.from.as_slice() else {
            return;
        };
        let TableFactor::Table { name, alias, .. } = &table.relation else {
            return;
        };
        let [name] = name.0.as_slice() else {
            return;
        };
        let Some(name) = name.as_ident().map(|name| name.value.as_str()) else {
            return;
        };
        let Some(&view) = OF_FLOWS.iter().find(|view| **view == name) else {
            return;
        };
        if !table.joins.is_empty() {
            return;
        }
        let own = alias.as_ref().map_or(name, |alias| &alias.name.value);
        let hint = select.selection.as_ref().and_then(|of| condition(of, own));
        self.0.push((view, hint.unwrap_or_default()));
    }

    /// What all rows of a view fulfil that matter somewhere, of `uses` in the statement.
    pub(super) fn of(&self, view: &str, uses: usize) -> Condition {
        let hints = self.0.iter().filter(|(of, _)| *of == view);
        let mut hints: Vec<Condition> = hints.map(|(_, hint)| hint.clone()).collect();
        if hints.len() != uses || hints.iter().any(Condition::is_everything) {
            return Condition::default();
        }
        match hints.pop() {
            Some(only) if hints.is_empty() => only,
            last => {
                hints.extend(last);
                Condition::Any(hints)
            }
        }
    }
}

/// What holds wherever the expression is true; `None` where nothing is known.
fn condition(expression: &Expr, own: &str) -> Option<Condition> {
    match expression {
        Expr::Nested(inner) => condition(inner, own),
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::And => match (condition(left, own), condition(right, own)) {
                (Some(left), Some(right)) => Some(left.and(right)),
                (one, other) => one.or(other),
            },
            BinaryOperator::Or => Some(condition(left, own)?.or(condition(right, own)?)),
            BinaryOperator::NotEq => {
                let (column, _, test) = compared(left, Comparison::Equal, right, own)?;
                // Nothing is not equal, but not unequal either.
                Some(Condition::present(column).and(test.not()))
            }
            op => Some(compared(left, comparison(op)?, right, own)?.2),
        },
        Expr::InList {
            expr,
            list,
            negated: false,
        } => {
            let each = list.iter().map(|one| {
                let compared = compared(expr, Comparison::Equal, one, own)?;
                Some(compared.2)
            });
            Some(Condition::Any(each.collect::<Option<Vec<_>>>()?))
        }
        Expr::Between {
            expr,
            negated: false,
            low,
            high,
        } => {
            let (.., low) = compared(expr, Comparison::GreaterEqual, low, own)?;
            let (.., high) = compared(expr, Comparison::LessEqual, high, own)?;
            Some(low.and(high))
        }
        Expr::Like {
            negated: false,
            any: false,
            expr,
            pattern,
            escape_char: None,
        } => like(column(expr, own)?, pattern),
        Expr::IsNull(inner) => Some(Condition::Is(column(inner, own)?, Test::Absent)),
        Expr::IsNotNull(inner) => Some(Condition::present(column(inner, own)?)),
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
            let column = column(expression, own)?;
            (columns::kind(column) == Kind::Bool).then_some(Condition::Is(column, Test::Flag))
        }
        _ => None,
    }
}

fn comparison(operator: &BinaryOperator) -> Option<Comparison> {
    Some(match operator {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterEqual,
        _ => return None,
    })
}

/// A column of the view, by the name it has there.
fn column(expression: &Expr, own: &str) -> Option<&'static str> {
    let name = match expression {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, name] if table.value == own => name,
            _ => return None,
        },
        Expr::Nested(inner) => return column(inner, own),
        _ => return None,
    };
    columns::known(&name.value)
}

/// A comparison of a column with a constant, either way round.
fn compared(
    left: &Expr,
    comparison: Comparison,
    right: &Expr,
    own: &str,
) -> Option<(&'static str, Comparison, Condition)> {
    let (column, comparison, constant) = match (column(left, own), column(right, own)) {
        (Some(column), None) => (column, comparison, right),
        (None, Some(column)) => (column, comparison.turned(), left),
        _ => return None,
    };
    let test = match (columns::kind(column), constant_of(constant)?) {
        (Kind::Named(names), Constant::Text(text)) if comparison == Comparison::Equal => {
            let shows = |number: &i32| names.name(*number).as_deref() == Some(text);
            match names.number(text).filter(shows) {
                Some(number) => Condition::number(column, number.into()),
                None => Condition::never(),
            }
        }
        (Kind::Text, Constant::Text(text)) => {
            Condition::Is(column, Test::Text(comparison, text.to_owned()))
        }
        (Kind::Number, Constant::Number(number)) => {
            Condition::Is(column, Test::Number(comparison, number))
        }
        (Kind::Time, Constant::Text(text)) => about(column, comparison, time(text)?),
        _ => return None,
    };
    Some((column, comparison, test))
}

/// A time that is only about known.
fn about(column: &'static str, comparison: Comparison, at: i64) -> Condition {
    let after = Test::Time(Comparison::GreaterEqual, at.saturating_sub(SLACK));
    let before = Test::Time(Comparison::LessEqual, at.saturating_add(SLACK));
    let (after, before) = (Condition::Is(column, after), Condition::Is(column, before));
    match comparison {
        Comparison::Equal => after.and(before),
        Comparison::Less | Comparison::LessEqual => before,
        Comparison::Greater | Comparison::GreaterEqual => after,
    }
}

enum Constant<'a> {
    Text(&'a str),
    Number(i64),
}

fn constant_of(expression: &Expr) -> Option<Constant<'_>> {
    match expression {
        Expr::Value(ValueWithSpan { value, .. }) => match value {
            Value::SingleQuotedString(text) => Some(Constant::Text(text)),
            Value::Number(text, false) => text.parse().ok().map(Constant::Number),
            _ => None,
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => match constant_of(expr)? {
            Constant::Number(number) => Some(Constant::Number(-number)),
            Constant::Text(_) => None,
        },
        _ => None,
    }
}

/// `2026-06-16`, `2026-06-16T14:10:00`, `2026-06-16 14:10:00.5`: those the engine takes for
/// times of UTC.
fn time(text: &str) -> Option<i64> {
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | 'T' | ' ');
    if !text.chars().all(plain) || text.matches('-').count() != 2 {
        return None;
    }
    let whole = match text.len() {
        10 => format!("{text}T00:00:00"),
        19.. => text.replacen(' ', "T", 1),
        _ => return None,
    };
    let time: DateTime = whole.parse().ok()?;
    let time = time.to_zoned(TimeZone::UTC).ok()?;
    i64::try_from(time.timestamp().as_nanosecond()).ok()
}

/// Patterns that are a part of a text, and something or nothing around it.
fn like(column: &'static str, pattern: &Expr) -> Option<Condition> {
    let Constant::Text(pattern) = constant_of(pattern)? else {
        return None;
    };
    let (front, part) = match pattern.strip_prefix('%') {
        Some(part) => (true, part),
        None => (false, pattern),
    };
    let (back, part) = match part.strip_suffix('%') {
        Some(part) => (true, part),
        None => (false, part),
    };
    if part.is_empty() || part.contains(['%', '_', '\\']) {
        return None;
    }
    let part = match (front, back) {
        (true, true) => Test::Part(Part::Contains, part.to_owned()),
        (true, false) => Test::Part(Part::Ends, part.to_owned()),
        (false, true) => Test::Part(Part::Begins, part.to_owned()),
        (false, false) => return None,
    };
    let is_text = matches!(columns::kind(column), Kind::Text | Kind::Named(_));
    is_text.then_some(Condition::Is(column, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::sql::check;

    fn hint(sql: &str) -> Condition {
        let mut uses = check(sql).unwrap();
        assert_eq!(uses.len(), 1, "{sql}");
        uses.remove(0).hint
    }

    #[test]
    fn names_become_numbers_and_texts_stay() {
        let verdict = Condition::number("verdict", 2);
        for sql in [
            "SELECT * FROM flows WHERE verdict = 'DROPPED'",
            "SELECT * FROM flows WHERE ('DROPPED' = verdict)",
            "SELECT * FROM flows AS f WHERE f.verdict = 'DROPPED' AND length(http_url) > 3",
            "SELECT COUNT(*) FROM flows WHERE flows.verdict = 'DROPPED' GROUP BY node_name",
        ] {
            assert_eq!(hint(sql), verdict, "{sql}");
        }
        assert_eq!(
            hint("SELECT * FROM flows WHERE verdict <> 'DROPPED' AND source_workload LIKE 'a%'"),
            Condition::present("verdict")
                .and(verdict.clone().not())
                .and(Condition::Is(
                    "source_workload",
                    Test::Part(Part::Begins, "a".to_owned())
                ))
        );
        // The digits of a number that has a name are not its name.
        for sql in [
            "SELECT * FROM flows WHERE verdict = '2'",
            "SELECT * FROM flows WHERE verdict IN ('2', 'dropped')",
        ] {
            assert!(hint(sql).wanted() != verdict.wanted(), "{sql}");
        }
    }

    #[test]
    fn what_is_not_understood_says_nothing() {
        for sql in [
            "SELECT * FROM flows",
            "SELECT * FROM flows WHERE NOT verdict = 'DROPPED'",
            "SELECT * FROM flows WHERE verdict = 'DROPPED' OR length(http_url) > 3",
            "SELECT * FROM flows f JOIN flows g ON f.time = g.time WHERE f.verdict = 'DROPPED'",
            "SELECT * FROM flows WHERE other.verdict = 'DROPPED'",
            "SELECT * FROM flows WHERE verdict < 'DROPPED'",
            "SELECT * FROM flows WHERE time > '2026-06-16T14:10:00+02:00'",
            "SELECT * FROM flows WHERE verdict = 'DROPPED' UNION SELECT * FROM flows",
            "SELECT * FROM edges WHERE port = 1",
        ] {
            assert!(hint(sql).is_everything(), "{sql}");
        }
    }

    #[test]
    fn times_choose_files() {
        let at = |text: &str| {
            let time: jiff::Timestamp = text.parse().unwrap();
            time.as_nanosecond() as i64
        };
        let (from, to) =
            hint("SELECT * FROM flows WHERE time >= '2026-06-16 14:10:00' AND time < '2026-06-17'")
                .window();
        assert_eq!(from, at("2026-06-16T14:09:59Z"));
        assert_eq!(to, at("2026-06-17T00:00:01Z"));
        let (from, to) = hint(
            "SELECT * FROM flows WHERE time BETWEEN '2026-06-16' AND '2026-06-17' \
             UNION ALL SELECT * FROM flows WHERE time = '2026-06-20T01:02:03.5'",
        )
        .window();
        assert_eq!(from, at("2026-06-15T23:59:59Z"));
        assert_eq!(to, at("2026-06-20T01:02:04.5Z"));
    }
}
