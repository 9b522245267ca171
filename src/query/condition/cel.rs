//! Conditions in CEL on the columns of `flows`.
//!
//! Owns what of CEL there is: comparisons of a column with constants, `in`, the functions
//! on texts, `&&`, `||`, `!`. Anything else is an error that names it, never a guess.
//!
//! A column that a flow does not have is `null`, as in CEL: it equals nothing but
//! `null`, is no less and no more than anything, and contains nothing.

use cel::common::ast::{CallExpr, Expr as Cel, LiteralValue, operators};
use cel::parser::{Expression, Parser};
use jiff::Timestamp;

use super::{Comparison, Condition, Part, Test};
use crate::query::answer::guarded;
use crate::query::columns::{self, Kind, resolve};
use crate::query::error::QueryError;

/// Longest condition.
const MOST_BYTES: usize = 4096;
/// Levels of a condition.
const MOST_LEVELS: usize = 64;
/// What there is, for those who ask for more.
const SUPPORTED: &str = "a condition compares columns with constants (==, !=, <, <=, >, >=, in, \
    startsWith, endsWith, contains), joined by &&, || and !";

/// The condition that a text states.
///
/// # Errors
/// [`QueryError::Condition`] or [`QueryError::Column`].
pub(in crate::query) fn translate(text: &str) -> Result<Condition, QueryError> {
    let wrong = |reason: String| QueryError::Condition {
        text: text.to_owned(),
        reason,
    };
    if text.len() > MOST_BYTES {
        return Err(wrong(format!("longer than {MOST_BYTES} bytes")));
    }
    guarded(|| {
        let expression = Parser::new()
            .parse(text)
            .map_err(|errors| wrong(errors.to_string()))?;
        condition(&expression, 0).map_err(|problem| match problem {
            Problem::Column(error) => error,
            Problem::Unsupported(what) => wrong(format!("{what} is not supported: {SUPPORTED}")),
            Problem::Wrong(reason) => wrong(reason),
        })
    })
}

/// Why there is no condition.
enum Problem {
    Column(QueryError),
    Unsupported(String),
    Wrong(String),
}

type Translated = Result<Condition, Problem>;

fn condition(expression: &Expression, level: usize) -> Translated {
    if level > MOST_LEVELS {
        return Err(Problem::Wrong(format!(
            "nests deeper than {MOST_LEVELS} levels"
        )));
    }
    match &expression.expr {
        Cel::Literal(LiteralValue::Boolean(value)) => Ok(if *value.inner() {
            Condition::default()
        } else {
            Condition::never()
        }),
        Cel::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [inner]) => Ok(condition(inner, level + 1)?.not()),
            (name @ (operators::LOGICAL_AND | operators::LOGICAL_OR), parts) => {
                let parts = parts.iter().map(|part| condition(part, level + 1));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                if parts.is_empty() {
                    return Err(Problem::Unsupported("an empty condition".to_owned()));
                }
                Ok(if name == operators::LOGICAL_AND {
                    Condition::all(parts)
                } else {
                    Condition::Any(parts)
                })
            }
            (operators::IN, [left, right]) => within(left, right),
            (operators::NOT_EQUALS, [left, right]) => {
                Ok(compare(left, Comparison::Equal, right)?.not())
            }
            (name, [left, right]) if comparison(name).is_some() => {
                compare(left, comparison(name).unwrap_or(Comparison::Equal), right)
            }
            _ => function(call),
        },
        Cel::Ident(_) | Cel::Select(_) => {
            let column = column(expression)?;
            match columns::kind(column) {
                Kind::Bool => Ok(Condition::Is(column, Test::Flag)),
                _ => Err(Problem::Wrong(format!("{column} is not true or false"))),
            }
        }
        other => Err(Problem::Unsupported(described(other))),
    }
}

fn comparison(operator: &str) -> Option<Comparison> {
    Some(match operator {
        operators::EQUALS => Comparison::Equal,
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::LessEqual,
        operators::GREATER => Comparison::Greater,
        operators::GREATER_EQUALS => Comparison::GreaterEqual,
        _ => return None,
    })
}

fn compare(left: &Expression, comparison: Comparison, right: &Expression) -> Translated {
    let (column, comparison, constant) = match (column_of(left)?, column_of(right)?) {
        (Some(column), None) => (column, comparison, right),
        (None, Some(column)) => (column, comparison.turned(), left),
        (Some(_), Some(_)) => {
            return Err(Problem::Unsupported("comparing two columns".to_owned()));
        }
        (None, None) => {
            return Err(Problem::Unsupported("comparing two constants".to_owned()));
        }
    };
    if matches!(constant.expr, Cel::Literal(LiteralValue::Null)) {
        if comparison != Comparison::Equal {
            return Err(Problem::Wrong(
                "null is no less and no more than anything".to_owned(),
            ));
        }
        return Ok(Condition::Is(column, Test::Absent));
    }
    test(column, comparison, constant)
}

/// A comparison of a column with a constant, as what the column holds.
fn test(column: &'static str, comparison: Comparison, constant: &Expression) -> Translated {
    let order = comparison != Comparison::Equal;
    let mismatch = || {
        Problem::Wrong(format!(
            "{column} cannot be compared with {}",
            described(&constant.expr)
        ))
    };
    let test = match (columns::kind(column), &constant.expr) {
        (Kind::Named(names), Cel::Literal(LiteralValue::String(text))) if !order => {
            let number = names.number(text.inner()).ok_or_else(|| {
                Problem::Wrong(format!("{:?} is no value of {column}", text.inner()))
            })?;
            Test::Number(comparison, number.into())
        }
        (Kind::Text, Cel::Literal(LiteralValue::String(text))) => {
            Test::Text(comparison, text.inner().to_owned())
        }
        (Kind::Number, Cel::Literal(LiteralValue::Int(number))) => {
            Test::Number(comparison, *number.inner())
        }
        (Kind::Number, Cel::Literal(LiteralValue::UInt(number))) => {
            let number = i64::try_from(*number.inner()).map_err(|_| mismatch())?;
            Test::Number(comparison, number)
        }
        (Kind::Bool, Cel::Literal(LiteralValue::Boolean(value))) if !order => {
            let is = Condition::Is(column, Test::Flag);
            return Ok(if *value.inner() {
                is
            } else {
                is.not().and(Condition::present(column))
            });
        }
        (Kind::Time, Cel::Literal(LiteralValue::String(text))) => {
            Test::Time(comparison, moment(text.inner())?)
        }
        (Kind::Time, Cel::Call(call)) if call.func_name == "timestamp" && call.target.is_none() => {
            match call.args.as_slice() {
                [
                    Expression {
                        expr: Cel::Literal(LiteralValue::String(text)),
                        ..
                    },
                ] => Test::Time(comparison, moment(text.inner())?),
                _ => return Err(mismatch()),
            }
        }
        _ => return Err(mismatch()),
    };
    Ok(Condition::Is(column, test))
}

fn moment(text: &str) -> Result<i64, Problem> {
    let time: Timestamp = text
        .parse()
        .map_err(|error| Problem::Wrong(format!("{text:?} is no time: {error}")))?;
    i64::try_from(time.as_nanosecond())
        .map_err(|_| Problem::Wrong(format!("{text:?} is beyond the clock")))
}

/// `column in [constants]`.
fn within(left: &Expression, right: &Expression) -> Translated {
    let column = column(left)?;
    let Cel::List(list) = &right.expr else {
        return Err(Problem::Unsupported(format!(
            "in {}",
            described(&right.expr)
        )));
    };
    let elements = list.elements.iter();
    let tests = elements.map(|element| test(column, Comparison::Equal, element));
    Ok(Condition::Any(tests.collect::<Result<Vec<_>, _>>()?))
}

/// `column.startsWith("text")` and the like.
fn function(call: &CallExpr) -> Translated {
    let name = call.func_name.as_str();
    let unsupported = || Problem::Unsupported(format!("{}()", name.trim_matches('_')));
    let (Some(target), [argument]) = (&call.target, call.args.as_slice()) else {
        return Err(unsupported());
    };
    let part = match name {
        "startsWith" => Part::Begins,
        "endsWith" => Part::Ends,
        "contains" => Part::Contains,
        _ => return Err(unsupported()),
    };
    let column = column(target)?;
    if !matches!(columns::kind(column), Kind::Text | Kind::Named(_)) {
        return Err(Problem::Wrong(format!("{column} is no text")));
    }
    let Cel::Literal(LiteralValue::String(text)) = &argument.expr else {
        return Err(unsupported());
    };
    let test = Test::Part(part, text.inner().to_owned());
    Ok(Condition::Is(column, test))
}

fn column(expression: &Expression) -> Result<&'static str, Problem> {
    column_of(expression)?.ok_or_else(|| Problem::Unsupported(described(&expression.expr)))
}

/// The column that an expression names; `None` where it names none.
fn column_of(expression: &Expression) -> Result<Option<&'static str>, Problem> {
    let mut names = Vec::new();
    let mut at = &expression.expr;
    loop {
        match at {
            Cel::Ident(name) => {
                names.push(name.as_str());
                break;
            }
            Cel::Select(select) if !select.test => {
                names.push(select.field.as_str());
                at = &select.operand.expr;
            }
            _ => return Ok(None),
        }
    }
    names.reverse();
    resolve(&names.join(".")).map(Some).map_err(Problem::Column)
}

/// What a part of an expression is, for an error.
fn described(expression: &Cel) -> String {
    match expression {
        Cel::Unspecified => "nothing".to_owned(),
        Cel::Call(call) => format!("{}()", call.func_name.trim_matches('_')),
        Cel::Comprehension(_) => "a comprehension".to_owned(),
        Cel::Ident(name) => name.clone(),
        Cel::List(_) => "a list".to_owned(),
        Cel::Literal(LiteralValue::String(text)) => format!("{:?}", text.inner()),
        Cel::Literal(LiteralValue::Int(number)) => number.inner().to_string(),
        Cel::Literal(LiteralValue::Boolean(value)) => value.inner().to_string(),
        Cel::Literal(_) => "this constant".to_owned(),
        Cel::Map(_) => "a map".to_owned(),
        Cel::Select(select) => format!("field {}", select.field),
        Cel::Struct(_) => "a message".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_of_cel_is_translated() {
        for text in [
            "verdict == \"DROPPED\"",
            "verdict != 'DROPPED' && !(port in [80, 443])",
            "src.workload.startsWith('a') || dst.namespace == null",
            "is_reply",
            "!is_reply",
            "is_reply == false",
            "time >= timestamp('2026-06-16T14:00:00Z')",
            "time < '2026-06-16T14:00:00Z'",
            "80 < port",
            "http.url.contains(\"it's\")",
            "drop_reason in ['POLICY_DENIED']",
            "true",
        ] {
            assert!(
                translate(text).is_ok(),
                "{text}: {:?}",
                translate(text).err()
            );
        }
    }

    #[test]
    fn anything_else_is_named() {
        for (text, named) in [
            ("verdict == \"DROPED\"", "DROPED"),
            ("verdict < \"DROPPED\"", "cannot be compared"),
            ("port == '80'", "cannot be compared"),
            ("port == src.port", "two columns"),
            ("wrokload == 'x'", "wrokload"),
            ("src.workload.matches('x')", "matches()"),
            ("size(src.workload) > 3", "size"),
            ("port", "not true or false"),
            ("has(src.workload)", "supported"),
            ("[1].exists(x, x == 1)", "comprehension"),
            ("port + 1 == 81", "supported"),
            ("time > 'yesterday'", "no time"),
            ("read_csv('/etc/passwd')", "read_csv"),
            ("src.workload == 'x", ""),
            ("", ""),
        ] {
            let error = translate(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
        let deep = format!("{}is_reply{}", "!(".repeat(200), ")".repeat(200));
        assert!(translate(&deep).is_err());
        assert!(translate(&"(".repeat(4000)).is_err());
    }
}
