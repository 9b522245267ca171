//! Conditions in CEL on the columns of `flows`, as the engine's expressions.
//!
//! Owns what of CEL there is: comparisons of a column with constants, `in`, the functions
//! on texts, `&&`, `||`, `!`. Anything else is an error that names it, never a guess.
//!
//! A column that a flow does not have is `null`, as in CEL: it equals nothing but
//! `null`, is no less and no more than anything, and contains nothing. A condition is
//! pushed down to what it compares (`!` included), so that null never decides.

use cel::common::ast::{CallExpr, Expr as Cel, LiteralValue, operators};
use cel::parser::{Expression, Parser};
use jiff::Timestamp;
use polars::prelude::{Expr, col, lit};

use super::answer::guarded;
use super::columns::{self, Kind, resolve, shown};
use super::error::QueryError;
use super::frame::time;

/// Longest condition.
const MOST_BYTES: usize = 4096;
/// Levels of a condition.
const MOST_LEVELS: usize = 64;
/// What there is, for those who ask for more.
const SUPPORTED: &str = "a condition compares columns with constants (==, !=, <, <=, >, >=, in, \
    startsWith, endsWith, contains), joined by &&, || and !";

/// The condition as an expression over the columns of the files.
///
/// # Errors
/// [`QueryError::Condition`] or [`QueryError::Column`].
pub(super) fn translate(text: &str) -> Result<Expr, QueryError> {
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
        condition(&expression, true, 0).map_err(|problem| match problem {
            Problem::Column(error) => error,
            Problem::Unsupported(what) => wrong(format!("{what} is not supported: {SUPPORTED}")),
            Problem::Wrong(reason) => wrong(reason),
        })
    })
}

/// Why a condition has no expression.
enum Problem {
    Column(QueryError),
    Unsupported(String),
    Wrong(String),
}

type Translated = Result<Expr, Problem>;

/// What holds where the condition has the value `wanted`.
fn condition(expression: &Expression, wanted: bool, level: usize) -> Translated {
    if level > MOST_LEVELS {
        return Err(Problem::Wrong(format!(
            "nests deeper than {MOST_LEVELS} levels"
        )));
    }
    match &expression.expr {
        Cel::Literal(LiteralValue::Boolean(value)) => Ok(lit(*value.inner() == wanted)),
        Cel::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [inner]) => condition(inner, !wanted, level + 1),
            (name @ (operators::LOGICAL_AND | operators::LOGICAL_OR), parts) => {
                let all = (name == operators::LOGICAL_AND) == wanted;
                let mut joined: Option<Expr> = None;
                for part in parts {
                    let part = condition(part, wanted, level + 1)?;
                    joined = Some(match joined {
                        None => part,
                        Some(before) if all => before.and(part),
                        Some(before) => before.or(part),
                    });
                }
                joined.ok_or_else(|| Problem::Unsupported("an empty condition".to_owned()))
            }
            (operators::IN, [left, right]) => Ok(decided(within(left, right)?, wanted)),
            (name, [left, right]) if Comparison::of(name).is_some() => {
                let comparison = Comparison::of(name).unwrap_or(Comparison::Equal);
                compare(left, comparison, right, wanted)
            }
            _ => Ok(decided(function(call)?, wanted)),
        },
        Cel::Ident(_) | Cel::Select(_) => {
            let column = column(expression)?;
            match columns::kind(column) {
                Kind::Bool => Ok(decided(col(column), wanted)),
                _ => Err(Problem::Wrong(format!("{column} is not true or false"))),
            }
        }
        other => Err(Problem::Unsupported(described(other))),
    }
}

/// Null counts as not true.
fn decided(condition: Expr, wanted: bool) -> Expr {
    if wanted {
        condition
    } else {
        condition.fill_null(lit(false)).not()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    fn of(operator: &str) -> Option<Self> {
        Some(match operator {
            operators::EQUALS => Self::Equal,
            operators::NOT_EQUALS => Self::NotEqual,
            operators::LESS => Self::Less,
            operators::LESS_EQUALS => Self::LessEqual,
            operators::GREATER => Self::Greater,
            operators::GREATER_EQUALS => Self::GreaterEqual,
            _ => return None,
        })
    }

    /// With the sides exchanged.
    fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            same => same,
        }
    }

    fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

fn compare(
    left: &Expression,
    comparison: Comparison,
    right: &Expression,
    wanted: bool,
) -> Translated {
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
        if comparison.is_order() {
            return Err(Problem::Wrong(
                "null is no less and no more than anything".to_owned(),
            ));
        }
        let is_null = (comparison == Comparison::Equal) == wanted;
        // Names of 0 are null, and nothing else of a named column is.
        let value = shown(column);
        return Ok(if is_null {
            value.is_null()
        } else {
            value.is_not_null()
        });
    }
    let (value, constant) = operands(column, constant, comparison.is_order())?;
    let (comparison, wanted) = match comparison {
        Comparison::NotEqual => (Comparison::Equal, !wanted),
        other => (other, wanted),
    };
    let condition = match comparison {
        Comparison::Equal | Comparison::NotEqual => value.eq(constant),
        Comparison::Less => value.lt(constant),
        Comparison::LessEqual => value.lt_eq(constant),
        Comparison::Greater => value.gt(constant),
        Comparison::GreaterEqual => value.gt_eq(constant),
    };
    Ok(decided(condition, wanted))
}

/// The column as stored, and the constant as that type.
fn operands(
    column: &'static str,
    constant: &Expression,
    order: bool,
) -> Result<(Expr, Expr), Problem> {
    let mismatch = || {
        Problem::Wrong(format!(
            "{column} cannot be compared with {}",
            described(&constant.expr)
        ))
    };
    let constant = match (columns::kind(column), &constant.expr) {
        (Kind::Named(names), Cel::Literal(LiteralValue::String(text))) if !order => {
            let number = names.number(text.inner()).ok_or_else(|| {
                Problem::Wrong(format!("{:?} is no value of {column}", text.inner()))
            })?;
            return Ok(columns::number(column, number.into()));
        }
        (Kind::Text, Cel::Literal(LiteralValue::String(text))) => {
            return Ok((shown(column), lit(text.inner().to_owned())));
        }
        (Kind::Number, Cel::Literal(LiteralValue::Int(number))) => {
            return Ok(columns::number(column, *number.inner()));
        }
        (Kind::Number, Cel::Literal(LiteralValue::UInt(number))) => {
            let number = i64::try_from(*number.inner()).map_err(|_| mismatch())?;
            return Ok(columns::number(column, number));
        }
        (Kind::Bool, Cel::Literal(LiteralValue::Boolean(value))) if !order => lit(*value.inner()),
        (Kind::Time, Cel::Literal(LiteralValue::String(text))) => time(moment(text.inner())?),
        (Kind::Time, Cel::Call(call)) if call.func_name == "timestamp" && call.target.is_none() => {
            match call.args.as_slice() {
                [
                    Expression {
                        expr: Cel::Literal(LiteralValue::String(text)),
                        ..
                    },
                ] => time(moment(text.inner())?),
                _ => return Err(mismatch()),
            }
        }
        _ => return Err(mismatch()),
    };
    Ok((col(column), constant))
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
    let mut any = lit(false);
    for element in &list.elements {
        let (value, constant) = operands(column, element, false)?;
        any = any.or(value.eq(constant));
    }
    Ok(any)
}

/// `column.startsWith("text")` and the like.
fn function(call: &CallExpr) -> Translated {
    let name = call.func_name.as_str();
    let unsupported = || Problem::Unsupported(format!("{}()", name.trim_matches('_')));
    let (Some(target), [argument]) = (&call.target, call.args.as_slice()) else {
        return Err(unsupported());
    };
    if !matches!(name, "startsWith" | "endsWith" | "contains") {
        return Err(unsupported());
    }
    let column = column(target)?;
    if !matches!(columns::kind(column), Kind::Text | Kind::Named(_)) {
        return Err(Problem::Wrong(format!("{column} is no text")));
    }
    let Cel::Literal(LiteralValue::String(text)) = &argument.expr else {
        return Err(unsupported());
    };
    let text = lit(text.inner().to_owned());
    let texts = shown(column).str();
    Ok(match name {
        "startsWith" => texts.starts_with(text),
        "endsWith" => texts.ends_with(text),
        _ => texts.contains_literal(text),
    })
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
