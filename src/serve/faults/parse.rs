//! Scripts as JSON.
//!
//! Owns the form:
//!
//! ```json
//! {"seed": 7, "refuse_connections": 1, "not_serving_checks": 2,
//!  "overruns": [{"stream": 1, "oldest": 100}],
//!  "acts": [{"at": 10, "do": "cut", "code": 14, "message": "gone", "stream": 0},
//!           {"at": 10, "do": "cut_abruptly"},
//!           {"every": 100, "do": "repeat", "span": 5},
//!           {"chance": 0.01, "do": "reorder", "window": 8},
//!           {"at": 3, "do": "drop", "span": 5, "lost": true},
//!           {"at": 4, "do": "unknown_fields"},
//!           {"at": 5, "do": "garbage"},
//!           {"at": 6, "do": "delay", "ms": 50},
//!           {"at": 7, "do": "node_status", "state": "NODE_ERROR", "nodes": ["a"],
//!            "message": "eof"}]}
//! ```
//!
//! A key that is not known is an error: a fault misspelt would be a test that passes.

use std::{str::FromStr, time::Duration};

use serde_json::{Map, Value};
use tonic::Code;

use crate::proto::relay::NodeState;

use super::{Act, Fault, Overrun, Script, When};

/// A script that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Not JSON.
    #[error("fault script: {0}")]
    Json(#[from] serde_json::Error),
    /// Not of the form of a script.
    #[error("fault script: {place}: {problem}")]
    Form {
        /// Where: `script`, `overruns`, or an act by its number.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut top = Fields::new("script", serde_json::from_str(text)?)?;
        let mut overruns = Vec::new();
        for value in top.list("overruns")? {
            let mut fields = Fields::new("overruns", value)?;
            overruns.push(Overrun {
                stream: fields.number("stream")?,
                oldest: fields.required("oldest")? as usize,
            });
            fields.end()?;
        }
        let mut acts = Vec::new();
        for (number, value) in top.list("acts")?.into_iter().enumerate() {
            let mut fields = Fields::new(&format!("act {number}"), value)?;
            acts.push(Act {
                stream: fields.number("stream")?,
                when: fields.when()?,
                fault: fields.fault()?,
            });
            fields.end()?;
        }
        let script = Self {
            seed: top.number("seed")?.unwrap_or(0),
            refuse_connections: top.number("refuse_connections")?.unwrap_or(0),
            not_serving_checks: top.number("not_serving_checks")?.unwrap_or(0),
            overruns,
            acts,
        };
        top.end()?;
        Ok(script)
    }
}

/// The keys of an object that have not been read yet.
struct Fields {
    place: String,
    object: Map<String, Value>,
}

impl Fields {
    fn new(place: &str, value: Value) -> Result<Self, ScriptError> {
        let place = place.to_owned();
        match value {
            Value::Object(object) => Ok(Self { place, object }),
            other => Err(ScriptError::Form {
                place,
                problem: format!("{other} is not an object"),
            }),
        }
    }

    fn when(&mut self) -> Result<When, ScriptError> {
        let chance = self.object.remove("chance").map(|chance| chance.as_f64());
        match (self.number("at")?, self.number("every")?, chance) {
            (Some(at), None, None) => Ok(When::At(at)),
            (None, Some(every), None) if every > 0 => Ok(When::Every(every)),
            (None, None, Some(Some(chance))) if (0.0..=1.0).contains(&chance) => {
                Ok(When::Chance(chance))
            }
            _ => Err(self.error("needs one of at, every (1 or more) and chance (0 to 1)")),
        }
    }

    fn fault(&mut self) -> Result<Fault, ScriptError> {
        let fault = self.text("do")?;
        Ok(match fault.as_deref() {
            Some("cut") => {
                let code = self.number("code")?.unwrap_or(Code::Unavailable as u64);
                Fault::Cut {
                    code: Code::from(code as i32),
                    message: self.text("message")?.unwrap_or_default(),
                }
            }
            Some("cut_abruptly") => Fault::CutAbruptly,
            Some("repeat") => Fault::Repeat(self.required("span")? as usize),
            Some("reorder") => Fault::Reorder(self.required("window")? as usize),
            Some("drop") => Fault::Drop {
                span: self.required("span")?,
                lost: match self.object.remove("lost") {
                    None => false,
                    Some(Value::Bool(lost)) => lost,
                    Some(other) => return Err(self.error(&format!("lost is {other}"))),
                },
            },
            Some("unknown_fields") => Fault::UnknownFields,
            Some("garbage") => Fault::Garbage,
            Some("delay") => Fault::Delay(Duration::from_millis(self.required("ms")?)),
            Some("node_status") => {
                let state = self.text("state")?.unwrap_or_default();
                let Some(state) = NodeState::from_str_name(&state) else {
                    return Err(self.error(&format!("no node state is called `{state}`")));
                };
                let mut nodes = Vec::new();
                for node in self.list("nodes")? {
                    match node {
                        Value::String(node) => nodes.push(node),
                        other => return Err(self.error(&format!("{other} is not a node"))),
                    }
                }
                Fault::NodeStatus {
                    state,
                    nodes,
                    message: self.text("message")?.unwrap_or_default(),
                }
            }
            Some(other) => return Err(self.error(&format!("no fault is called `{other}`"))),
            None => return Err(self.error("needs do")),
        })
    }

    fn required(&mut self, key: &str) -> Result<u64, ScriptError> {
        let number = self.number(key)?;
        number.ok_or_else(|| self.error(&format!("needs {key}")))
    }

    fn number(&mut self, key: &str) -> Result<Option<u64>, ScriptError> {
        match self.object.remove(key) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.error(&format!("{key} is {value}, not a count"))),
            },
        }
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, ScriptError> {
        match self.object.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(&format!("{key} is {other}, not a text"))),
        }
    }

    fn list(&mut self, key: &str) -> Result<Vec<Value>, ScriptError> {
        match self.object.remove(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values),
            Some(other) => Err(self.error(&format!("{key} is {other}, not a list"))),
        }
    }

    fn end(&self) -> Result<(), ScriptError> {
        match self.object.keys().next() {
            None => Ok(()),
            Some(key) => Err(self.error(&format!("does not know `{key}`"))),
        }
    }

    fn error(&self, problem: &str) -> ScriptError {
        ScriptError::Form {
            place: self.place.clone(),
            problem: problem.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_whole() {
        let script: Script = r#"{"seed": 7, "refuse_connections": 1,
            "overruns": [{"oldest": 9}],
            "acts": [{"at": 2, "do": "cut", "message": "gone", "stream": 1},
                     {"every": 3, "do": "drop", "span": 4, "lost": true},
                     {"chance": 0.5, "do": "delay", "ms": 20}]}"#
            .parse()
            .unwrap();
        let act = |stream, when, fault| Act {
            stream,
            when,
            fault,
        };
        let cut = Fault::Cut {
            code: Code::Unavailable,
            message: "gone".to_owned(),
        };
        let drop = Fault::Drop {
            span: 4,
            lost: true,
        };
        assert_eq!(
            script,
            Script {
                seed: 7,
                refuse_connections: 1,
                not_serving_checks: 0,
                overruns: vec![Overrun {
                    stream: None,
                    oldest: 9
                }],
                acts: vec![
                    act(Some(1), When::At(2), cut),
                    act(None, When::Every(3), drop),
                    act(
                        None,
                        When::Chance(0.5),
                        Fault::Delay(Duration::from_millis(20))
                    ),
                ],
            }
        );
    }

    #[test]
    fn what_is_misspelt_is_refused_with_its_place() {
        for (text, said) in [
            ("{", "fault script: EOF"),
            (r#"{"sed": 1}"#, "script: does not know `sed`"),
            (r#"{"acts": [{"do": "cut"}]}"#, "act 0: needs one of at"),
            (
                r#"{"acts": [{"at": 1, "do": "cutt"}]}"#,
                "no fault is called `cutt`",
            ),
            (
                r#"{"acts": [{"at": 1, "do": "drop"}]}"#,
                "act 0: needs span",
            ),
            (
                r#"{"acts": [{"at": 1, "do": "garbage", "span": 1}]}"#,
                "know `span`",
            ),
        ] {
            let error = text.parse::<Script>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
