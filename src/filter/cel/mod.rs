//! CEL expressions over a flow: `_flow.verdict == Verdict.DROPPED`.
//!
//! Owns compiling (parse, check, rewrite) and running. `check` knows the types, `view`
//! shows a row as the message `flow.Flow`, `clock` has timestamps and durations,
//! `budget` bounds a run.
//!
//! Nothing of a row is copied beforehand: the interpreter asks the view for the fields
//! that the expression mentions, as it goes.

mod budget;
mod check;
mod clock;
mod condition;
mod layer4;
mod part;
mod record;
mod types;
mod view;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::thread;

use cel::common::types::{BOOL_TYPE, CelBool, CelString, STRING_TYPE};
use cel::common::value::CowVal;
use cel::parser::Expression;
use cel::{Context, DeclarationError, Env, ExecutionError, Value};

pub use self::condition::{Condition, Variable, VariableType};
use self::view::Message;
use super::FilterError;
use crate::flow::{BatchBuilder, Raw, Row, RowRef};
use crate::pattern::Re2;

/// Longest expression, as in Hubble.
const MAX_EXPRESSION: usize = 4096;
/// Stack for compiling the longest expression: over ten times what it takes.
const COMPILE_STACK: usize = 64 << 20;
/// Patterns of `matches()` a thread keeps compiled.
const MAX_PATTERNS: usize = 32;
/// What compiling one of them costs of a run's budget; an expression without a
/// comprehension has no room for as many as would use it up.
const PATTERN_STEPS: u64 = 1000;
/// The name of the flow in an expression.
const FLOW: &str = "_flow";

/// The expressions of one filter, any of which may hold.
#[derive(Clone, Debug)]
pub(super) struct Expressions(Vec<Expression>);

impl Expressions {
    /// Parses and checks the expressions.
    pub(super) fn compile(texts: &[String]) -> Result<Self, FilterError> {
        let compiled: Result<Vec<Expression>, FilterError> = texts
            .iter()
            .map(|text| {
                compile(text).map_err(|reason| FilterError::Cel {
                    expression: text.clone(),
                    reason,
                })
            })
            .collect();
        compiled.map(Self)
    }

    /// Whether one of them holds. An error ends the search, as in Hubble: no match.
    pub(super) fn matches(&self, row: RowRef<'_>) -> bool {
        let context = context(row);
        for expression in &self.0 {
            budget::begin();
            match Value::resolve_val(expression, &context) {
                Ok(value) => match value.downcast_ref::<CelBool>() {
                    Some(answer) if *answer.inner() => return true,
                    Some(_) => {}
                    None => return false,
                },
                Err(_) => return false,
            }
        }
        false
    }
}

/// The checked expression, with enum constants and presence tests resolved.
fn compile(text: &str) -> Result<Expression, String> {
    compiled(text, |mut expression| {
        check::condition(&mut expression)?;
        try_out(&expression)?;
        Ok(expression)
    })
}

/// What is made of a parsed expression, on a stack that is large enough for the longest.
fn compiled<T: Send>(
    text: &str,
    check: impl FnOnce(Expression) -> Result<T, String> + Send,
) -> Result<T, String> {
    if text.len() > MAX_EXPRESSION {
        return Err(format!("longer than {MAX_EXPRESSION} bytes"));
    }
    // The parser recurses over chains (`1+1+..`) before the check can refuse them.
    thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(COMPILE_STACK)
            .spawn_scoped(scope, || {
                let program = ENVIRONMENT
                    .compile(text)
                    .map_err(|errors| errors.to_string())?;
                check(program.expression().clone())
            })
            .map_err(|error| format!("no thread to compile it: {error}"))?
            .join()
            .unwrap_or_else(|_| Err("the parser gave up".to_owned()))
    })
}

/// Runs an expression on an empty flow, for what the check cannot know. Errors that
/// depend on the data (an index out of bounds, a missing key) say nothing.
fn try_out(expression: &Expression) -> Result<(), String> {
    let mut builder = BatchBuilder::default();
    builder.push(Row::default(), || Raw::Message(bytes::Bytes::new()));
    let batch = builder.finish();
    budget::begin();
    let context = context(batch.row(0));
    judged(Value::resolve_val(expression, &context))
}

/// Whether an expression that was run on nothing may be run on anything.
fn judged(outcome: Result<CowVal<'_, '_>, ExecutionError>) -> Result<(), String> {
    if budget::is_exceeded() {
        return Err("it takes too many steps or too much memory".to_owned());
    }
    match outcome {
        Ok(value) if *value.get_type() == BOOL_TYPE => Ok(()),
        Ok(value) => Err(format!(
            "got {:?}, wanted \"bool\" result type",
            value.get_type().name()
        )),
        Err(
            error @ (ExecutionError::UndeclaredReference(_)
            | ExecutionError::NoSuchOverload(_)
            | ExecutionError::InvalidArgumentCount { .. }
            | ExecutionError::UnexpectedType { .. }
            | ExecutionError::ValuesNotComparable(..)),
        ) => Err(error.to_string()),
        Err(_) => Ok(()),
    }
}

fn context(row: RowRef<'_>) -> Context<'_, '_> {
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    context.add_variable_as_val(FLOW, Box::new(Message::flow(row)));
    context
}

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::default();
    if let Ok(standard) = standard() {
        env = standard;
    }
    Arc::new(env)
});

/// The standard library, with what the crate leaves out without its features: times,
/// and `matches` (which is to be RE2 anyway).
fn standard() -> Result<Env, DeclarationError> {
    let mut env = Env::stdlib().with_optional_support(false);
    clock::declare(&mut env)?;
    budget::declare(&mut env)?;
    env.add_overload(
        "matches",
        "matches",
        vec![STRING_TYPE, STRING_TYPE],
        matches,
    )?;
    env.add_member_overload(
        "matches",
        "matches_string",
        STRING_TYPE,
        vec![STRING_TYPE],
        matches,
    )?;
    Ok(env)
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the signature of a CEL function"
)]
fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    thread_local! {
        static PATTERNS: RefCell<HashMap<String, Option<Re2>>> = RefCell::default();
    }
    let [text, pattern] = args.as_slice() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let (Some(text), Some(pattern)) = (
        text.downcast_ref::<CelString>(),
        pattern.downcast_ref::<CelString>(),
    ) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let is_known = PATTERNS.with_borrow(|patterns| patterns.contains_key(pattern.inner()));
    if !is_known {
        budget::spend(PATTERN_STEPS)?;
    }
    let answer = PATTERNS.with_borrow_mut(|patterns| {
        if !is_known {
            if patterns.len() >= MAX_PATTERNS {
                patterns.clear();
            }
            patterns.insert(
                pattern.inner().to_owned(),
                Re2::one_of(MAX_PATTERNS, pattern.inner()).ok(),
            );
        }
        let regex = patterns.get(pattern.inner())?.as_ref()?;
        Some(regex.is_match(text.inner()))
    });
    match answer {
        Some(answer) => Ok(CowVal::owned(CelBool::from(answer))),
        None => Err(ExecutionError::function_error(
            "matches",
            format!("invalid pattern {:?}", pattern.inner()),
        )),
    }
}

#[cfg(test)]
mod tests;
