//! The type check that the `cel` crate does not have, and two rewrites it needs.
//!
//! Owns names and types: fields of the flow API, constants of its enums, the standard
//! functions. Where CEL would be exact and this is not, a type is `dyn` and the run
//! decides.
//!
//! Rewritten are constants (`Verdict.DROPPED` becomes 2) and presence tests on
//! messages (`has(m.f)` becomes a read of the view's field [`PRESENCE`]`f`), because
//! the crate tests presence by reading, and an unset field reads as its default. What a
//! comprehension runs over is put under the run's [`budget`].

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators,
};
use cel::parser::Expression;

use super::FLOW;
use super::budget;
use super::types::Ty;
use crate::proto;

/// What a presence test's field begins with; no field name can.
pub(super) const PRESENCE: &str = "has:";

/// The package names are looked up in.
const CONTAINER: &str = "flow";
/// Comprehensions inside comprehensions. More would let one flow cost seconds.
const MAX_NESTING: usize = 2;
/// Levels of an expression, for the stack of whoever runs it. `&&` and `||` are
/// balanced, so that a long list of alternatives has few.
const MAX_DEPTH: usize = 48;
/// Names of types, as values.
const TYPE_NAMES: [&str; 10] = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
];

/// Checks that an expression is a condition on a flow.
pub(super) fn condition(expression: &mut Expression) -> Result<(), String> {
    condition_over(expression, Vec::new())
}

/// Checks that an expression is a condition on variables of these types.
pub(super) fn condition_over(
    expression: &mut Expression,
    variables: Vec<(String, Ty)>,
) -> Result<(), String> {
    let mut check = Check {
        scope: variables,
        ..Check::default()
    };
    match check.visit(expression)? {
        Ty::Bool | Ty::Dyn => Ok(()),
        other => Err(format!("got \"{other}\", wanted \"bool\" result type")),
    }
}

#[derive(Default)]
struct Check {
    /// Variables of comprehensions, innermost last.
    scope: Vec<(String, Ty)>,
    nesting: usize,
    depth: usize,
    /// Parts of the expression seen so far.
    parts: u64,
}

type Checked = Result<Ty, String>;

impl Check {
    fn visit(&mut self, expression: &mut Expression) -> Checked {
        if self.depth >= MAX_DEPTH {
            return Err(format!("nests deeper than {MAX_DEPTH} levels"));
        }
        self.parts += 1;
        self.depth += 1;
        let checked = self.part(expression);
        self.depth -= 1;
        checked
    }

    fn part(&mut self, expression: &mut Expression) -> Checked {
        if let Expr::Select(_) = &expression.expr
            && let Some(number) = self.constant(&expression.expr)
        {
            expression.expr = Expr::Literal(LiteralValue::Int(i64::from(number).into()));
            return Ok(Ty::Int);
        }
        match &mut expression.expr {
            Expr::Unspecified => Err("empty expression".to_owned()),
            Expr::Literal(literal) => Ok(literal_type(literal)),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let mut elements = Vec::with_capacity(list.elements.len());
                for element in &mut list.elements {
                    elements.push(self.visit(element)?);
                }
                Ok(Ty::List(Box::new(common(&elements))))
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.visit(&mut entry.key)?;
                        self.visit(&mut entry.value)?;
                    }
                }
                Ok(Ty::Map)
            }
            Expr::Struct(message) => Err(format!(
                "making messages is not supported: {}",
                message.type_name
            )),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn variable(&self, name: &str) -> Option<&Ty> {
        self.scope
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, ty)| ty)
    }

    fn ident(&self, name: &str) -> Checked {
        if let Some(ty) = self.variable(name) {
            return Ok(ty.clone());
        }
        if name == FLOW {
            return proto::pool()
                .get_message_by_name("flow.Flow")
                .map(Ty::Message)
                .ok_or_else(|| "the flow API has no flow".to_owned());
        }
        if TYPE_NAMES.contains(&name) {
            return Ok(Ty::Type);
        }
        Err(format!(
            "undeclared reference to '{name}' (in container '{CONTAINER}')"
        ))
    }

    /// The number behind `Verdict.DROPPED` or `flow.Verdict.DROPPED`.
    fn constant(&self, expr: &Expr) -> Option<i32> {
        let mut segments = Vec::new();
        let mut at = expr;
        let root = loop {
            match at {
                Expr::Select(select) if !select.test => {
                    segments.push(select.field.as_str());
                    at = &select.operand.expr;
                }
                Expr::Ident(name) => break name.trim_start_matches('.'),
                _ => return None,
            }
        };
        if root == FLOW || self.variable(root).is_some() {
            return None;
        }
        segments.push(root);
        segments.reverse();
        let value = segments.pop()?;
        let name = segments.join(".");
        let pool = proto::pool();
        pool.get_enum_by_name(&format!("{CONTAINER}.{name}"))
            .or_else(|| pool.get_enum_by_name(&name))
            .filter(|found| found.package_name() == CONTAINER)?
            .get_value_by_name(value)
            .map(|value| value.number())
    }

    fn select(&mut self, select: &mut SelectExpr) -> Checked {
        match self.visit(&mut select.operand)? {
            Ty::Message(message) => {
                let field = message
                    .get_field_by_name(&select.field)
                    .ok_or_else(|| format!("undefined field '{}'", select.field))?;
                if select.test {
                    select.test = false;
                    select.field.insert_str(0, PRESENCE);
                    return Ok(Ty::Bool);
                }
                Ok(Ty::of_field(&field))
            }
            Ty::Map | Ty::Dyn if select.test => Ok(Ty::Bool),
            Ty::Map | Ty::Dyn => Ok(Ty::Dyn),
            other => Err(format!("type '{other}' does not support field selection")),
        }
    }

    fn comprehension(&mut self, comprehension: &mut ComprehensionExpr) -> Checked {
        // One more level, for the call around it.
        self.depth += 1;
        let range = self.visit(&mut comprehension.iter_range);
        self.depth -= 1;
        let element = match range? {
            Ty::List(element) => *element,
            Ty::Map | Ty::Dyn => Ty::Dyn,
            other => {
                return Err(format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                ));
            }
        };
        if self.nesting == MAX_NESTING {
            return Err(format!(
                "more than {MAX_NESTING} comprehensions inside each other"
            ));
        }
        self.nesting += 1;
        let parts = self.parts;
        let depth = self.scope.len();
        let start = match self.visit(&mut comprehension.accu_init)? {
            Ty::List(_) => Ty::List(Box::new(Ty::Dyn)),
            other => other,
        };
        self.scope.push((comprehension.accu_var.clone(), start));
        self.scope.push((comprehension.iter_var.clone(), element));
        if let Some(second) = &comprehension.iter_var2 {
            self.scope.push((second.clone(), Ty::Dyn));
        }
        self.visit(&mut comprehension.loop_cond)?;
        let step = self.visit(&mut comprehension.loop_step)?;
        self.scope.truncate(depth);
        self.scope.push((comprehension.accu_var.clone(), step));
        let result = self.visit(&mut comprehension.result);
        self.scope.truncate(depth);
        self.nesting -= 1;
        budget::bound(&mut comprehension.iter_range, self.parts - parts);
        result
    }

    fn call(&mut self, call: &mut CallExpr) -> Checked {
        let mut args = Vec::with_capacity(call.args.len() + 1);
        if let Some(target) = &mut call.target {
            args.push(self.visit(target)?);
        }
        for arg in &mut call.args {
            args.push(self.visit(arg)?);
        }
        operator(&call.func_name, &args)
            .or_else(|| function(&call.func_name, call.target.is_some(), &args))
            .unwrap_or_else(|| {
                Err(format!(
                    "undeclared reference to '{}' (in container '{CONTAINER}')",
                    call.func_name
                ))
            })
    }
}

fn literal_type(literal: &LiteralValue) -> Ty {
    match literal {
        LiteralValue::Boolean(_) => Ty::Bool,
        LiteralValue::Bytes(_) => Ty::Bytes,
        LiteralValue::Double(_) => Ty::Double,
        LiteralValue::Int(_) => Ty::Int,
        LiteralValue::Null => Ty::Null,
        LiteralValue::String(_) => Ty::Text,
        LiteralValue::UInt(_) => Ty::Uint,
    }
}

/// The type all have, else `dyn`.
fn common(types: &[Ty]) -> Ty {
    match types {
        [first, rest @ ..] if rest.iter().all(|ty| ty == first) => first.clone(),
        _ => Ty::Dyn,
    }
}

/// The type of an operator's result; `None` for what is no operator.
fn operator(name: &str, args: &[Ty]) -> Option<Checked> {
    let mismatch = || Some(Err(no_overload(name, args)));
    let all = |wanted: &Ty| args.iter().all(|ty| ty.is(wanted));
    match (name, args) {
        (operators::LOGICAL_AND | operators::LOGICAL_OR, [_, _])
        | (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [_]) => {
            if all(&Ty::Bool) {
                return Some(Ok(Ty::Bool));
            }
        }
        (operators::CONDITIONAL, [condition, left, right]) => {
            if condition.is(&Ty::Bool) && left.fits(right) {
                return Some(Ok(common(&[left.clone(), right.clone()])));
            }
        }
        (operators::EQUALS | operators::NOT_EQUALS, [Ty::Message(_), Ty::Message(_)]) => {
            return Some(Err("comparing messages is not supported".to_owned()));
        }
        (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => {
            if left.fits(right) {
                return Some(Ok(Ty::Bool));
            }
        }
        (
            operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS,
            [left, right],
        ) => {
            if left.fits(right) && left.is_ordered() && right.is_ordered() {
                return Some(Ok(Ty::Bool));
            }
        }
        (operators::IN, [element, Ty::List(of)]) => {
            if element.fits(of) {
                return Some(Ok(Ty::Bool));
            }
        }
        (operators::IN, [_, Ty::Map | Ty::Dyn]) => return Some(Ok(Ty::Bool)),
        (operators::INDEX, [Ty::List(of), index]) => {
            if index.is(&Ty::Int) || index.is(&Ty::Uint) {
                return Some(Ok((**of).clone()));
            }
        }
        (operators::INDEX, [Ty::Map | Ty::Dyn, _]) => return Some(Ok(Ty::Dyn)),
        (operators::NEGATE, [only]) => {
            if matches!(only, Ty::Int | Ty::Double | Ty::Dyn) {
                return Some(Ok(only.clone()));
            }
        }
        (
            operators::ADD
            | operators::SUBSTRACT
            | operators::MULTIPLY
            | operators::DIVIDE
            | operators::MODULO,
            [left, right],
        ) => {
            if let Some(result) = arithmetic(name, left, right) {
                return Some(Ok(result));
            }
        }
        (operators::INDEX | operators::IN, _) => {}
        _ => return None,
    }
    mismatch()
}

fn arithmetic(name: &str, left: &Ty, right: &Ty) -> Option<Ty> {
    match (left, right) {
        (Ty::Nullable(left), right) => return arithmetic(name, left, right),
        (left, Ty::Nullable(right)) => return arithmetic(name, left, right),
        (Ty::Dyn, _) | (_, Ty::Dyn) => return Some(Ty::Dyn),
        _ => {}
    }
    let add = name == operators::ADD;
    let subtract = name == operators::SUBSTRACT;
    match (left, right) {
        (Ty::Int, Ty::Int) => Some(Ty::Int),
        (Ty::Uint, Ty::Uint) => Some(Ty::Uint),
        (Ty::Double, Ty::Double) if name != operators::MODULO => Some(Ty::Double),
        (Ty::Text, Ty::Text) if add => Some(Ty::Text),
        (Ty::Bytes, Ty::Bytes) if add => Some(Ty::Bytes),
        (Ty::List(left), Ty::List(right)) if add => Some(Ty::List(Box::new(common(&[
            (**left).clone(),
            (**right).clone(),
        ])))),
        (Ty::Time, Ty::Span) if add || subtract => Some(Ty::Time),
        (Ty::Span, Ty::Time) if add => Some(Ty::Time),
        (Ty::Span, Ty::Span) if add || subtract => Some(Ty::Span),
        (Ty::Time, Ty::Time) if subtract => Some(Ty::Span),
        _ => None,
    }
}

/// The type of a standard function's result; `None` for a name there is not.
fn function(name: &str, member: bool, args: &[Ty]) -> Option<Checked> {
    let texts = |count: usize| args.len() == count && args.iter().all(|ty| ty.is(&Ty::Text));
    let one_of = |wanted: &[Ty]| args.len() == 1 && wanted.iter().any(|ty| args[0].is(ty));
    let any_list = Ty::List(Box::new(Ty::Dyn));
    let (fits, result) = match name {
        "size" => (one_of(&[Ty::Text, Ty::Bytes, any_list, Ty::Map]), Ty::Int),
        "contains" | "startsWith" | "endsWith" => (member && texts(2), Ty::Bool),
        "matches" => (texts(2), Ty::Bool),
        "int" => (
            one_of(&[Ty::Int, Ty::Uint, Ty::Double, Ty::Text, Ty::Time]),
            Ty::Int,
        ),
        "uint" => (one_of(&[Ty::Int, Ty::Uint, Ty::Double, Ty::Text]), Ty::Uint),
        "double" => (
            one_of(&[Ty::Int, Ty::Uint, Ty::Double, Ty::Text]),
            Ty::Double,
        ),
        "bool" => (one_of(&[Ty::Bool, Ty::Text]), Ty::Bool),
        "bytes" => (one_of(&[Ty::Bytes, Ty::Text]), Ty::Bytes),
        "string" => (
            one_of(&[
                Ty::Bool,
                Ty::Int,
                Ty::Uint,
                Ty::Double,
                Ty::Text,
                Ty::Bytes,
                Ty::Time,
                Ty::Span,
            ]),
            Ty::Text,
        ),
        "timestamp" => (one_of(&[Ty::Text, Ty::Int, Ty::Time]), Ty::Time),
        "duration" => (one_of(&[Ty::Text, Ty::Span]), Ty::Span),
        "type" => (args.len() == 1, Ty::Type),
        "dyn" => (args.len() == 1, Ty::Dyn),
        "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek"
        | "getDayOfYear" => (member && one_of(&[Ty::Time]), Ty::Int),
        "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds" => {
            (member && one_of(&[Ty::Time, Ty::Span]), Ty::Int)
        }
        _ => return None,
    };
    Some(if fits {
        Ok(result)
    } else {
        Err(no_overload(name, args))
    })
}

fn no_overload(name: &str, args: &[Ty]) -> String {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    format!(
        "found no matching overload for '{name}' applied to '({})'",
        args.join(", ")
    )
}
