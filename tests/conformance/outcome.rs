//! An answer field by field, and the count of what agrees.

use std::collections::BTreeMap;
use std::fmt;

use flowwatch::policy::{
    AuthMode, Cause, Compiled, Direction, HttpRule, L7Cover, Mismatch, Options, Origin, Parser,
    Verdict,
};
use serde_json::{Map, Value, json};

use super::case::Question;

/// Differences that are shown of a field.
const SHOWN: usize = 5;

/// Our answer in the words of the data. `Null`: not told.
pub struct Answer(BTreeMap<&'static str, Value>);

/// Counts by field.
#[derive(Default)]
pub struct Tally {
    fields: BTreeMap<&'static str, Field>,
}

#[derive(Default)]
struct Field {
    compared: u64,
    equal: u64,
    unknown: u64,
    shown: Vec<String>,
}

impl Answer {
    pub fn of(compiled: &Compiled, options: &Options, question: &Question<'_>) -> Self {
        let Question {
            subject,
            direction,
            peer,
            protocol,
            port,
            ..
        } = *question;
        let decision = compiled.decide(subject, direction, peer, protocol, port);
        let redirect = decision.redirect.and_then(|id| compiled.redirect(id));
        let verdict = match decision.verdict {
            Verdict::Allowed => json!("allow"),
            Verdict::AuthRequired if redirect.is_none() => json!("allow"),
            Verdict::Redirected | Verdict::AuthRequired => json!("redirect"),
            Verdict::DeniedByRule => json!("deny_rule"),
            Verdict::DeniedByDefault => json!("deny_default"),
            Verdict::Unknown(Cause::RulesInConflict) => json!("error"),
            Verdict::Unknown(_) => Value::Null,
        };
        let mut rules: Vec<String> = compiled
            .rules(decision.rules)
            .iter()
            .map(|origin| match origin {
                Origin::Entry(index) => {
                    let set = compiled.set();
                    let entry = &set.entries[*index as usize];
                    set.objects[entry.object as usize].id.to_string()
                }
                own => own.reserved_name().expect("the agent's own").to_owned(),
            })
            .collect();
        rules.sort();
        rules.dedup();
        let auth = decision.auth.map(|mode| match mode {
            AuthMode::Disabled => "disabled",
            AuthMode::Required => "required",
            AuthMode::TestAlwaysFail => "test-always-fail",
        });
        let mut fields = BTreeMap::from([
            ("enforced", json!(decision.enforced)),
            ("match", json!(decision.match_kind as u8)),
            ("rules", json!(rules)),
            ("auth", json!(auth.unwrap_or(""))),
            ("auth_derived", json!(decision.auth_derived)),
            (
                "parser",
                json!(redirect.as_ref().map_or("", |to| to.parser.name())),
            ),
            (
                "listener",
                json!(
                    redirect
                        .as_ref()
                        .and_then(|to| to.listener.as_deref())
                        .unwrap_or("")
                ),
            ),
        ]);
        if verdict == "error" {
            let class = match compiled.conflict(subject) {
                None => "",
                Some(conflict) => conflict_class(conflict),
            };
            fields.insert("error_class", json!(class));
        }
        if verdict == "redirect" {
            let covers = compiled.l7(subject, direction, peer, protocol, port);
            let mut covers: Vec<Value> = covers
                .iter()
                .map(|cover| cover_json(cover, options))
                .collect();
            covers.sort_by_key(Value::to_string);
            covers.dedup();
            fields.insert("l7", json!(covers));
            let dns = redirect.is_some_and(|to| to.parser == Parser::Dns);
            if let Some(names) = question.query["dns"].as_array().filter(|_| dns) {
                let answers: Map<String, Value> = names
                    .iter()
                    .map(|name| {
                        let name = name.as_str().expect("a name");
                        let allowed = compiled.dns_allowed(subject, peer, protocol, port, name);
                        (name.to_owned(), json!(allowed))
                    })
                    .collect();
                fields.insert("dns_allowed", Value::Object(answers));
            }
        }
        fields.insert("verdict", verdict);
        Self(fields)
    }

    pub fn json(&self) -> Value {
        json!(self.0)
    }
}

/// Compares every field of an answer.
pub fn compare(expected: &Value, answer: &Answer, question: &Question<'_>, tally: &mut Tally) {
    let unknown = answer.0["verdict"].is_null();
    let names = [
        "enforced",
        "verdict",
        "auth",
        "auth_derived",
        "parser",
        "listener",
        "match",
        "rules",
        "l7",
        "dns_allowed",
        "error_class",
    ];
    for name in names {
        let wanted = match (name, expected.get(name)) {
            ("l7", Some(list)) if from_host(question) => Some(unasked(&canonical(list))),
            ("l7", Some(list)) => Some(canonical(list)),
            (_, Some(value)) => Some(value.clone()),
            ("auth" | "parser" | "listener", None) => Some(json!("")),
            ("auth_derived", None) => Some(json!(false)),
            ("rules", None) => Some(json!([])),
            _ => None,
        };
        let (Some(wanted), field) = (wanted, tally.fields.entry(name).or_default()) else {
            continue;
        };
        field.compared += 1;
        let mut found = answer.0.get(name).unwrap_or(&Value::Null).clone();
        if name == "l7" && from_host(question) {
            found = unasked(&found);
        }
        if unknown && name != "enforced" {
            field.unknown += 1;
        } else if found == wanted {
            field.equal += 1;
            continue;
        }
        if field.shown.len() < SHOWN {
            field.shown.push(format!(
                "{} {}->{} {}/{} {:?}: ours {found}, wanted {wanted}",
                question.case,
                question.query["from"],
                question.query["to"],
                question.query["proto"],
                question.port,
                question.direction,
            ));
        }
    }
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        for (name, theirs) in other.fields {
            let ours = self.fields.entry(name).or_default();
            ours.compared += theirs.compared;
            ours.equal += theirs.equal;
            ours.unknown += theirs.unknown;
            ours.shown.extend(theirs.shown);
        }
    }

    pub fn compared(&self) -> u64 {
        self.fields.values().map(|field| field.compared).sum()
    }

    pub fn is_perfect(&self) -> bool {
        self.fields
            .values()
            .all(|field| field.equal == field.compared)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, field) in &self.fields {
            writeln!(
                f,
                "  {name:<12} compared {:>8}  equal {:>8}  unknown {:>4}",
                field.compared, field.equal, field.unknown
            )?;
            for difference in &field.shown {
                writeln!(f, "      {difference}")?;
            }
        }
        Ok(())
    }
}

fn conflict_class(conflict: flowwatch::policy::Conflict) -> &'static str {
    use flowwatch::policy::Conflict;
    match conflict {
        Conflict::Parser => "conflict_parser",
        Conflict::Auth => "conflict_auth",
        Conflict::Listener => "conflict_listener",
        Conflict::ServerNames => "conflict_sni",
        Conflict::ListenerKind => "listener_kind",
        Conflict::Tls => "tls_context",
    }
}

fn from_host(question: &Question<'_>) -> bool {
    question.direction == Direction::Ingress && question.query["from"] == 1
}

/// Without the entries that let the node's own host pass. Whether Cilium adds one for a
/// filter hangs on the order in which it first computed its endpoints, and in the data that
/// order shows.
fn unasked(list: &Value) -> Value {
    let list = list.as_array().cloned().unwrap_or_default();
    let asked = |item: &Value| item.as_object().is_none_or(|item| item.len() > 1);
    Value::Array(list.into_iter().filter(asked).collect())
}

/// The list without what only people read, in one order.
fn canonical(list: &Value) -> Value {
    let mut list = list.as_array().cloned().unwrap_or_default();
    for item in &mut list {
        if let Some(item) = item.as_object_mut() {
            item.remove("selector");
            item.sort_keys();
            for value in item.values_mut() {
                if let Some(values) = value.as_array_mut() {
                    for value in values.iter_mut() {
                        value.sort_all_objects();
                    }
                    values.sort_by_key(Value::to_string);
                }
            }
        }
    }
    list.sort_by_key(Value::to_string);
    // Selectors that ask for the same are one here.
    list.dedup();
    Value::Array(list)
}

fn cover_json(cover: &L7Cover, options: &Options) -> Value {
    let mut json = Map::new();
    let mut put = |name: &str, value: Value| {
        let empty = value.as_array().is_some_and(Vec::is_empty)
            || value.as_str().is_some_and(str::is_empty)
            || value == json!(false);
        if !empty {
            json.insert(name.to_owned(), value);
        }
    };
    let sorted = |values: Vec<Value>| {
        let mut values = values;
        for value in &mut values {
            value.sort_all_objects();
        }
        values.sort_by_key(Value::to_string);
        json!(values)
    };
    put("ports", json!(cover.ports.to_string()));
    put("parser", json!(cover.parser().map_or("", Parser::name)));
    put("listener", json!(cover.listener().unwrap_or("")));
    put("deny", json!(cover.deny()));
    put("http", sorted(cover.http().iter().map(http_json).collect()));
    put(
        "dns",
        sorted(
            cover
                .dns()
                .iter()
                .map(|rule| texts(&[("matchName", &rule.name), ("matchPattern", &rule.pattern)]))
                .collect(),
        ),
    );
    if !cover.dns().is_empty() {
        let expression = cover.dns_expression(options.version);
        put(
            "dns_regex",
            json!(expression.unwrap_or_else(|| "(?:)".to_owned())),
        );
    }
    put(
        "kafka",
        sorted(
            cover
                .kafka()
                .iter()
                .map(|rule| {
                    texts(&[
                        ("role", &rule.role),
                        ("apiKey", &rule.api_key),
                        ("apiVersion", &rule.api_version),
                        ("clientID", &rule.client_id),
                        ("topic", &rule.topic),
                    ])
                })
                .collect(),
        ),
    );
    put(
        "l7",
        sorted(
            cover
                .generic()
                .iter()
                .map(|rule| {
                    let pairs: Vec<(&str, &str)> =
                        rule.iter().map(|(key, value)| (&**key, &**value)).collect();
                    let object: Map<String, Value> = pairs
                        .iter()
                        .map(|(key, value)| ((*key).to_owned(), json!(value)))
                        .collect();
                    Value::Object(object)
                })
                .collect(),
        ),
    );
    put("l7proto", json!(cover.generic_parser().unwrap_or("")));
    put(
        "server_names",
        sorted(cover.server_names().map(|name| json!(name)).collect()),
    );
    json.sort_keys();
    Value::Object(json)
}

fn texts(fields: &[(&str, &str)]) -> Value {
    let object: Map<String, Value> = fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    Value::Object(object)
}

fn http_json(rule: &HttpRule) -> Value {
    let mut json = texts(&[
        ("path", &rule.path),
        ("method", &rule.method),
        ("host", &rule.host),
    ]);
    if !rule.headers.is_empty() {
        let headers: Vec<&str> = rule.headers.iter().map(AsRef::as_ref).collect();
        json["headers"] = json!(headers);
    }
    let matches: Vec<Value> = rule
        .header_matches
        .iter()
        .map(|header| {
            let mismatch = match header.mismatch {
                Mismatch::Fail => "",
                Mismatch::Log => "LOG",
                Mismatch::Add => "ADD",
                Mismatch::Delete => "DELETE",
                Mismatch::Replace => "REPLACE",
            };
            let mut json = texts(&[
                ("mismatch", mismatch),
                ("name", &header.name),
                ("value", &header.value),
            ]);
            if let Some((namespace, name)) = header
                .secret
                .as_ref()
                .and_then(|secret| secret.split_once('/'))
            {
                json["secret"] = texts(&[("namespace", namespace), ("name", name)]);
            }
            json
        })
        .collect();
    if !matches.is_empty() {
        json["headerMatches"] = json!(matches);
    }
    json
}
