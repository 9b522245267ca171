//! The JSON schema of a world file, made of the knobs themselves.
//!
//! Owns what kind of value stands where. A test holds `docs/schema/world.json` to it.

use serde_json::{Map, Value, json};

use super::incident::Kind;
use super::settings::Settings;

/// The schema, in draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let Settings {
        world,
        users,
        connections,
        dns,
        platform,
        observation,
        rare,
        churn,
        disturbances,
        incidents,
    } = Settings::default();
    let groups = [
        ("world", world.shapes()),
        ("users", users.shapes()),
        ("connections", connections.shapes()),
        ("dns", dns.shapes()),
        ("platform", platform.shapes()),
        ("observation", observation.shapes()),
        ("rare", rare.shapes()),
        ("churn", churn.shapes()),
        ("disturbances", disturbances.shapes()),
    ];
    let mut properties = Map::new();
    for (name, shapes) in groups {
        properties.insert(name.into(), object(&knobs(shapes)));
    }
    let mut incident = knobs(incidents.knobs.shapes());
    for kind in Kind::ALL {
        let mut count = reference("count", &0.into());
        count["description"] = kind.title().into();
        incident.insert(kind.name().into(), count);
    }
    let list = json!({
        "type": "array",
        "maxItems": 1000,
        "items": {"oneOf": Kind::ALL.map(listed)},
    });
    incident.insert("list".into(), list);
    properties.insert("incidents".into(), object(&incident));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A world of flowwatch synth",
        "description": "Every key may be left out; defaults are those of the preset XS.",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "$defs": definitions(),
    })
}

fn knobs(shapes: Vec<(&'static str, &'static str, Value)>) -> Map<String, Value> {
    let shapes = shapes.into_iter();
    let knobs = shapes.map(|(key, shape, default)| (key.into(), reference(shape, &default)));
    knobs.collect()
}

fn reference(shape: &str, default: &Value) -> Value {
    json!({"$ref": format!("#/$defs/{shape}"), "default": default})
}

fn object(properties: &Map<String, Value>) -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// An incident of a kind, in the list.
fn listed(kind: Kind) -> Value {
    let knobs = kind.knobs().iter();
    let knobs = knobs.map(|knob| ((*knob).to_owned(), json!({"$ref": "#/$defs/given"})));
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["kind"],
        "properties": {
            "kind": {"const": kind.name(), "description": kind.title()},
            "at": {"$ref": "#/$defs/time", "description": "after the beginning"},
            "workload": {"type": "string", "pattern": "^[^/]+/[^/]+$"},
            "intensity": {"$ref": "#/$defs/share"},
            "allowed": {"type": "boolean"},
            "knobs": object(&knobs.collect()),
        },
    })
}

fn definitions() -> Value {
    let time = json!([
        {"type": "number", "minimum": 0, "maximum": 1e7},
        {"type": "string", "pattern": "^[0-9.]+(ms|s|m|h|d)$"},
    ]);
    json!({
        "size": {"type": "integer", "minimum": 1, "maximum": 20_000},
        "count": {"type": "integer", "minimum": 0, "maximum": 1_000},
        "amount": {"type": "number", "minimum": 0, "maximum": 1e6},
        "switch": {"type": "boolean"},
        "share": {"type": "number", "minimum": 0, "maximum": 1},
        "time": {"oneOf": time},
        "hours": {
            "type": "array",
            "minItems": 24,
            "maxItems": 24,
            "items": {"type": "number", "minimum": 0, "maximum": 1e6},
        },
        "given": {"type": ["number", "string", "boolean"]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the file is what the knobs say; `FLOWWATCH_BLESS=1` writes it anew.
    #[test]
    fn the_schema_that_is_checked_in_is_that_of_the_knobs() {
        let path = "docs/schema/world.json";
        let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("FLOWWATCH_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap() == text,
            "{path} is old"
        );
    }
}
