//! Conditions over named values that are no flow: CEL for others.
//!
//! Owns compiling and running them; the language, its bounds and its type check are those of
//! conditions on flows. What the values mean is the caller's.

use std::sync::Arc;

use cel::common::types::{CelBool, CelInt, CelList, CelString};
use cel::common::value::Val;
use cel::parser::Expression;
use cel::{Context, Value};

use super::types::Ty;
use super::{ENVIRONMENT, budget, check, compiled, judged};

/// What type a variable has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableType {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A text.
    Text,
    /// A list of texts.
    Texts,
}

/// A value of a variable.
#[derive(Clone, Debug, PartialEq)]
pub enum Variable {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(Arc<str>),
    /// A list of texts.
    Texts(Vec<Arc<str>>),
}

/// A checked condition.
#[derive(Clone, Debug)]
pub struct Condition {
    expression: Expression,
    /// Which of the variables it mentions, by their places.
    mentions: Vec<(usize, &'static str)>,
}

impl Condition {
    /// Parses and checks an expression over these variables.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment: syntax, a name that is none of the variables, a
    /// type that does not fit, a result that is not true or false.
    pub fn compile(text: &str, variables: &[(&'static str, VariableType)]) -> Result<Self, String> {
        compiled(text, |mut expression| {
            let known = variables.iter();
            let known = known.map(|(name, of)| ((*name).to_owned(), of.ty()));
            check::condition_over(&mut expression, known.collect())?;
            let mentions = variables.iter().enumerate();
            let mentions = mentions
                .filter(|(_, (name, _))| has_word(text, name))
                .map(|(at, (name, _))| (at, *name));
            let condition = Self {
                mentions: mentions.collect(),
                expression,
            };
            let empty: Vec<Variable> = variables.iter().map(|(_, of)| of.empty()).collect();
            condition.try_out(&empty)?;
            Ok(condition)
        })
    }

    /// Whether it holds for these values, which are in the order of the variables.
    ///
    /// # Errors
    /// What went wrong, as a fragment: an index that is not there, a division by zero, too
    /// many steps.
    pub fn holds(&self, values: &[Variable]) -> Result<bool, String> {
        let context = self.context(values);
        budget::begin();
        match Value::resolve_val(&self.expression, &context) {
            Ok(value) => Ok(value
                .downcast_ref::<CelBool>()
                .is_some_and(|answer| *answer.inner())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether it mentions a variable.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        self.mentions.iter().any(|(_, known)| *known == name)
    }

    fn try_out(&self, values: &[Variable]) -> Result<(), String> {
        let context = self.context(values);
        budget::begin();
        judged(Value::resolve_val(&self.expression, &context))
    }

    fn context<'v>(&self, values: &'v [Variable]) -> Context<'v, 'v> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for (at, name) in &self.mentions {
            if let Some(value) = values.get(*at) {
                context.add_variable_as_val(*name, value.shown());
            }
        }
        context
    }
}

/// Whether a word of a text could be this name.
fn has_word(text: &str, name: &str) -> bool {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .any(|word| word == name)
}

impl VariableType {
    fn ty(self) -> Ty {
        match self {
            Self::Bool => Ty::Bool,
            Self::Int => Ty::Int,
            Self::Text => Ty::Text,
            Self::Texts => Ty::List(Box::new(Ty::Text)),
        }
    }

    fn empty(self) -> Variable {
        match self {
            Self::Bool => Variable::Bool(false),
            Self::Int => Variable::Int(0),
            Self::Text => Variable::Text(Arc::default()),
            Self::Texts => Variable::Texts(Vec::new()),
        }
    }
}

impl Variable {
    fn shown(&self) -> Box<dyn Val> {
        match self {
            Self::Bool(value) => Box::new(CelBool::from(*value)),
            Self::Int(value) => Box::new(CelInt::from(*value)),
            Self::Text(value) => Box::new(CelString::from(value.to_string())),
            Self::Texts(values) => {
                let values = values.iter();
                let values = values
                    .map(|value| Box::new(CelString::from(value.to_string())) as Box<dyn Val>);
                Box::new(CelList::from(values.collect::<Vec<_>>()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIABLES: &[(&str, VariableType)] = &[
        ("client", VariableType::Text),
        ("port", VariableType::Int),
        ("outside", VariableType::Bool),
        ("addresses", VariableType::Texts),
    ];

    fn values(port: i64) -> Vec<Variable> {
        vec![
            Variable::Text("shop/web".into()),
            Variable::Int(port),
            Variable::Bool(true),
            Variable::Texts(vec!["192.0.2.1".into()]),
        ]
    }

    #[test]
    fn a_condition_holds_or_not() {
        for (text, holds) in [
            ("port == 22 && outside", true),
            ("client.startsWith('shop/') && port < 23", true),
            ("addresses.exists(a, a == '192.0.2.1')", true),
            ("client.matches('^ops/')", false),
            ("port in [23, 24]", false),
        ] {
            let condition = Condition::compile(text, VARIABLES).unwrap();
            assert_eq!(condition.holds(&values(22)), Ok(holds), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, why) in [
            ("port == 'a'", "overload"),
            ("prot == 22", "undeclared reference to 'prot'"),
            ("port + 1", "wanted \"bool\""),
            ("port ==", "Syntax"),
            ("client.nosuch()", "undeclared reference to 'nosuch'"),
            ("_flow.verdict == 1", "_flow"),
        ] {
            let error = Condition::compile(text, VARIABLES).unwrap_err();
            assert!(
                error.to_lowercase().contains(&why.to_lowercase()),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn what_fails_for_some_values_is_an_error_then() {
        let condition = Condition::compile("10 / port > 1", VARIABLES).unwrap();
        assert_eq!(condition.holds(&values(5)), Ok(true));
        assert!(condition.holds(&values(0)).is_err());
    }
}
