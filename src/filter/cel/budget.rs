//! What one run of an expression may cost.
//!
//! Owns the bounds on steps and on what a comprehension runs over. The length of an
//! expression bounds neither: `map(x, x + x)` behind another doubles the text each
//! time, and a comprehension inside another multiplies the steps.

use std::cell::Cell;

use cel::common::ast::{CallExpr, Expr, LiteralValue};
use cel::common::types::{CelBytes, CelInt, CelList, CelMap, CelString, DYN_TYPE, INT_TYPE};
use cel::common::value::Val;
use cel::parser::Expression;
use cel::{DeclarationError, Env, ExecutionError};

/// Parts of the expression that one run may evaluate inside comprehensions.
const MAX_STEPS: u64 = 1 << 18;
/// Bytes and elements, at all levels, of what a comprehension runs over.
const MAX_SIZE: u64 = 1 << 16;
/// The function around what a comprehension runs over; nobody can write its name.
const BOUND: &str = "@bound";

thread_local! {
    /// Steps that are left; `None` when the run has asked for more.
    static LEFT: Cell<Option<u64>> = const { Cell::new(Some(MAX_STEPS)) };
}

/// Begins a run.
pub(super) fn begin() {
    LEFT.set(Some(MAX_STEPS));
}

/// Whether the run has asked for more than there was.
pub(super) fn is_exceeded() -> bool {
    LEFT.get().is_none()
}

/// Takes steps from those that are left.
pub(super) fn spend(steps: u64) -> Result<(), ExecutionError> {
    let left = LEFT.get().and_then(|left| left.checked_sub(steps));
    LEFT.set(left);
    match left {
        Some(_) => Ok(()),
        None => Err(ExecutionError::function_error(
            "comprehension",
            "the expression takes too many steps or too much memory",
        )),
    }
}

/// Makes an expression that a comprehension runs over pay for it: `steps` an element.
pub(super) fn bound(range: &mut Expression, steps: u64) {
    let inner = std::mem::take(range);
    range.id = inner.id;
    let steps = Expression {
        id: inner.id,
        expr: Expr::Literal(LiteralValue::Int((steps as i64).into())),
    };
    range.expr = Expr::Call(CallExpr {
        func_name: BOUND.to_owned(),
        target: None,
        args: vec![steps, inner],
    });
}

/// Declares what [`bound`] calls.
pub(super) fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(BOUND, "fw_bound", vec![INT_TYPE, DYN_TYPE], |mut args| {
        let (Some(range), Some(steps)) = (args.pop(), args.pop()) else {
            return Err(ExecutionError::missing_argument_or_target());
        };
        let steps = steps
            .downcast_ref::<CelInt>()
            .map_or(1, |steps| steps.inner().unsigned_abs());
        let mut left = Some(MAX_SIZE);
        take_size(range.as_ref(), &mut left);
        let elements = range.as_sizer().map_or(0, |sizer| {
            sizer.size().inner().unsigned_abs().saturating_mul(steps)
        });
        // More than all of them where the size is beyond its bound.
        spend(left.map_or(u64::MAX, |_| elements))?;
        Ok(range)
    })
}

/// Takes what a value holds from `left`, which is `None` once that is too much.
fn take_size(value: &dyn Val, left: &mut Option<u64>) {
    let own = if let Some(text) = value.downcast_ref::<CelString>() {
        text.inner().len()
    } else if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        bytes.inner().len()
    } else {
        0
    };
    *left = left.and_then(|left| left.checked_sub(own as u64 + 1));
    if left.is_none() {
        return;
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        for element in list.inner() {
            take_size(element.as_ref(), left);
        }
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        for (key, value) in map.inner() {
            take_size(key.inner(), left);
            take_size(value.as_ref(), left);
        }
    }
}
