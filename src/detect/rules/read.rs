//! From a file to rules.
//!
//! Owns the keys and their errors, each with its line. A rule that means nothing is an error:
//! one that is passed over would be taken for a quiet one.

use super::{MOST_RULES, Over, Rule};
use crate::filter::Condition;
use crate::manifest::{KeyedError, KeyedFile, Node};

/// Why a file of rules cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// It is no YAML, or has keys or values that mean nothing.
    #[error(transparent)]
    File(#[from] KeyedError),
    /// An expression that is no condition on the fields.
    #[error("{file}:{line}: cel of rule {name}: {reason}")]
    Condition {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// The rule.
        name: String,
        /// What is wrong, as a fragment.
        reason: String,
    },
    /// A sentence with a field that is none.
    #[error("{file}:{line}: evidence of rule {name}: there is no field {{{field}}} of {over}")]
    Evidence {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// The rule.
        name: String,
        /// What is named.
        field: String,
        /// What the rule is about.
        over: &'static str,
    },
    /// Two rules of one name.
    #[error("{file}:{line}: there is a rule {name} already, at {}:{}", at.0, at.1)]
    Twice {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// The name.
        name: String,
        /// Where the other one is.
        at: (String, u32),
    },
    /// There are too many.
    #[error("{file}:{line}: more than {MOST_RULES} rules")]
    TooMany {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
    },
}

/// Severities and the probabilities that stand for them.
const SEVERITIES: [(&str, f64); 4] = [
    ("low", 1e-4),
    ("medium", 1e-6),
    ("high", 1e-8),
    ("critical", 1e-10),
];

/// Rules of a text; `known` are those that are there already.
pub(super) fn read(name: &str, text: &str, known: &[Rule]) -> Result<Vec<Rule>, RuleError> {
    let file = KeyedFile::new(name);
    let mut rules: Vec<Rule> = Vec::new();
    for document in &file.documents(text)? {
        for (key, at, value) in file.entries(&document.root, "the file")? {
            if key != "rules" {
                return Err(file.unknown(at, key, "rules").into());
            }
            let list = value.as_list();
            let list = list.ok_or_else(|| file.kind(value.at, "rules", "a list"))?;
            for node in list {
                let rule = rule(file, node)?;
                let mut all = known.iter().chain(&rules);
                if let Some(other) = all.find(|other| other.name == rule.name) {
                    return Err(RuleError::Twice {
                        file: name.to_owned(),
                        line: rule.at.1,
                        name: rule.name,
                        at: other.at.clone(),
                    });
                }
                if known.len() + rules.len() >= MOST_RULES {
                    let file = name.to_owned();
                    let line = rule.at.1;
                    return Err(RuleError::TooMany { file, line });
                }
                rules.push(rule);
            }
        }
    }
    Ok(rules)
}

fn rule(file: KeyedFile<'_>, node: &Node) -> Result<Rule, RuleError> {
    let (mut name, mut p, mut over) = (None, None, Over::Connections);
    let (mut cel, mut evidence) = (None, None);
    for (key, at, value) in file.entries(node, "a rule")? {
        let text = || {
            let text = value.as_str().filter(|text| !text.is_empty());
            text.ok_or_else(|| file.kind(value.at, key, "a text"))
        };
        match key {
            "name" => name = Some(text()?.to_owned()),
            "severity" => {
                let wanted = text()?;
                let known = SEVERITIES.iter().find(|(name, _)| *name == wanted);
                let expected = "low, medium, high or critical";
                p = Some(known.ok_or_else(|| file.kind(value.at, key, expected))?.1);
            }
            "over" => {
                let wanted = text()?;
                let expected = "connections, questions or requests";
                over = Over::ALL
                    .into_iter()
                    .find(|over| over.name() == wanted)
                    .ok_or_else(|| file.kind(value.at, key, expected))?;
            }
            "cel" => cel = Some((text()?.to_owned(), value.at.line)),
            "evidence" => evidence = Some((text()?.to_owned(), value.at.line)),
            _ => {
                let known = "name, severity, over, cel, evidence";
                return Err(file.unknown(at, &format!("rules.{key}"), known).into());
            }
        }
    }
    let missing = |key: &'static str| file.kind(node.at, "rules", key);
    let name = name.ok_or_else(|| missing("`name` in each of its entries"))?;
    let p = p.ok_or_else(|| missing("`severity` in each of its entries"))?;
    let (cel, line) = cel.ok_or_else(|| missing("`cel` in each of its entries"))?;
    let variables: Vec<_> = over
        .fields()
        .iter()
        .map(|field| (field.name, field.of))
        .collect();
    let condition =
        Condition::compile(&cel, &variables).map_err(|reason| RuleError::Condition {
            file: file.name().to_owned(),
            line,
            name: name.clone(),
            reason: reason.trim().to_owned(),
        })?;
    let (evidence, said_at) = evidence.unwrap_or_else(|| (over.usual().to_owned(), node.at.line));
    if let Some(field) = unknown_field(&evidence, over) {
        return Err(RuleError::Evidence {
            file: file.name().to_owned(),
            line: said_at,
            name,
            field,
            over: over.name(),
        });
    }
    Ok(Rule {
        name,
        at: (file.name().to_owned(), node.at.line),
        over,
        p,
        condition,
        evidence,
    })
}

/// A `{name}` of a sentence that is no field.
fn unknown_field(sentence: &str, over: Over) -> Option<String> {
    let mut rest = sentence;
    while let Some((_, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        if !over.fields().iter().any(|field| field.name == name) {
            return Some(name.to_owned());
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read("r.yaml", text, &[]).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let rule = "rules:\n- name: a\n  severity: high\n";
        for (text, wanted) in [
            ("rule: []\n".to_owned(), "r.yaml:1: unknown key 'rule'"),
            (
                "rules:\n- name: a\n  cel: \"true\"\n".to_owned(),
                "r.yaml:2: rules must be `severity`",
            ),
            (
                "rules:\n- name: a\n  severity: worst\n".to_owned(),
                "r.yaml:3: severity must be low, medium, high or critical",
            ),
            (
                format!("{rule}  cel: prt == 1\n"),
                "r.yaml:4: cel of rule a: undeclared reference to 'prt'",
            ),
            (
                format!("{rule}  cel: port == 'x'\n"),
                "r.yaml:4: cel of rule a: ",
            ),
            (format!("{rule}  cel: count\n"), "wanted \"bool\""),
            (
                format!("{rule}  over: questions\n  cel: port == 1\n"),
                "undeclared reference to 'port'",
            ),
            (
                format!("{rule}  cel: port == 1\n  evidence: \"{{prt}} was called\"\n"),
                "r.yaml:5: evidence of rule a: there is no field {prt} of connections",
            ),
            (
                format!("{rule}  cel: port == 1\n- name: a\n  severity: low\n  cel: port == 2\n"),
                "r.yaml:5: there is a rule a already, at r.yaml:2",
            ),
        ] {
            let said = error(&text);
            assert!(said.contains(wanted), "{text}: {said}");
        }
    }

    #[test]
    fn rules_are_taken_in_their_order() {
        let text = "rules:\n- {name: a, severity: low, cel: port == 1}\n\
                    - {name: b, severity: critical, cel: \"code >= 500\", over: requests}\n";
        let rules = read("r.yaml", text, &[]).unwrap();
        let shown: Vec<(&str, &str)> = rules
            .iter()
            .map(|rule| (&*rule.name, rule.over.name()))
            .collect();
        assert_eq!(shown, [("a", "connections"), ("b", "requests")]);
        assert!(rules[1].p < 1e-9);
    }
}
