//! Incidents as a world file asks for them, one by one.
//!
//! Owns the keys below `incidents` and an entry of its list. What a kind of incident does
//! with its knobs is `incident`'s.

use super::incident::Kind;
use super::settings::{IncidentKnobs, Incidents};
use super::settings_read::{Knob as _, Seconds, Share};
use crate::manifest::{KeyedError, KeyedFile, Node, Place, Value};

/// Most incidents that are listed.
const MOST_LISTED: usize = 1_000;
const KEYS: &str = "kind, at, workload, intensity, allowed, knobs";

/// The value of a knob.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// A number, or a time in seconds.
    Number(f64),
    /// A word.
    Word(String),
    /// Yes or no.
    Switch(bool),
}

/// One incident; what is `None` is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What it is.
    pub kind: Kind,
    /// After the beginning.
    pub at: Option<Seconds>,
    /// The foothold, as `namespace/name`.
    pub workload: Option<String>,
    /// 0 is the quietest of the grid, 1 the loudest.
    pub intensity: Option<f64>,
    /// Whether policies let it through, where there is a choice.
    pub allowed: Option<bool>,
    /// Knobs of the kind, over what the intensity gives.
    pub knobs: Vec<(String, Given)>,
}

impl Wanted {
    /// One of which only the kind is known.
    #[must_use]
    pub fn any(kind: Kind) -> Self {
        Self {
            kind,
            at: None,
            workload: None,
            intensity: None,
            allowed: None,
            knobs: Vec::new(),
        }
    }
}

impl Incidents {
    /// Takes what stands at a key of `incidents`.
    pub(super) fn read(
        &mut self,
        (key, at): (&str, Place),
        node: &Node,
        file: KeyedFile<'_>,
    ) -> Result<(), KeyedError> {
        let full = format!("incidents.{key}");
        let value = |expected| file.kind(node.at, &full, expected);
        if let Some(kind) = Kind::named(key) {
            self.counts[kind as usize] = super::settings_read::Count::read(node).map_err(value)?;
            return Ok(());
        }
        if key == "list" {
            let expected = "a list of 1000 incidents at most";
            let list = node.as_list().ok_or_else(|| value(expected))?;
            if list.len() > MOST_LISTED {
                return Err(value(expected));
            }
            self.list = list
                .iter()
                .map(|node| one(node, file))
                .collect::<Result<_, _>>()?;
            return Ok(());
        }
        if let Some(outcome) = self.knobs.set(key, node) {
            return outcome.map_err(value);
        }
        let known = IncidentKnobs::KEYS.split_whitespace();
        let known: Vec<&str> = known.chain(["A1 to A17", "list"]).collect();
        Err(file.unknown(at, &full, &known.join(", ")))
    }
}

fn one(node: &Node, file: KeyedFile<'_>) -> Result<Wanted, KeyedError> {
    const AT: &str = "incidents.list";
    let mut wanted: Option<Wanted> = None;
    for (key, _, value) in file.entries(node, AT)? {
        if key == "kind" {
            let kind = value.as_str().and_then(Kind::named);
            let kind = kind.ok_or_else(|| file.kind(value.at, "kind", "one of A1 to A17"))?;
            wanted = Some(Wanted::any(kind));
        }
    }
    let Some(mut wanted) = wanted else {
        return Err(file.kind(node.at, AT, "a mapping with a kind"));
    };
    for (key, at, value) in file.entries(node, AT)? {
        let wrong = |expected| file.kind(value.at, &format!("{AT}.{key}"), expected);
        match key {
            "kind" => {}
            "at" => wanted.at = Some(Seconds::read(value).map_err(wrong)?),
            "intensity" => wanted.intensity = Some(Share::read(value).map_err(wrong)?.0),
            "allowed" => wanted.allowed = Some(bool::read(value).map_err(wrong)?),
            "workload" => {
                let name = value.as_str().filter(|name| name.contains('/'));
                let name = name.ok_or_else(|| wrong("namespace/name"))?;
                wanted.workload = Some(name.to_owned());
            }
            "knobs" => {
                for (knob, _, value) in file.entries(value, "knobs")? {
                    let given = given(value).ok_or_else(|| {
                        let expected = "a number, a time, a word, true or false";
                        file.kind(value.at, &format!("knobs.{knob}"), expected)
                    })?;
                    wanted.knobs.push((knob.to_owned(), given));
                }
            }
            _ => return Err(file.unknown(at, &format!("{AT}.{key}"), KEYS)),
        }
    }
    Ok(wanted)
}

fn given(node: &Node) -> Option<Given> {
    match &node.value {
        Value::Bool(value) => Some(Given::Switch(*value)),
        Value::String(text) => Some(match Seconds::read(node) {
            Ok(seconds) => Given::Number(seconds.0),
            Err(_) => Given::Word(text.to_string()),
        }),
        _ => node
            .as_f64()
            .filter(|number| (0.0..=1e7).contains(number))
            .map(Given::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::*;

    fn error(text: &str) -> String {
        let mut settings = Settings::default();
        settings.parse(text, "w.yaml").unwrap_err().to_string()
    }

    #[test]
    fn incidents_are_counted_by_kind_or_listed() {
        let mut settings = Settings::default();
        let text = "incidents:\n  A4: 2\n  after: 2d\n  list:\n  - kind: A5\n    at: 3h\n    workload: shop/web\n    intensity: 0.5\n    knobs: {rate: 10, encoding: hex, bypass: false, period: 5m}\n";
        settings.parse(text, "w.yaml").unwrap();
        let incidents = settings.incidents;
        assert_eq!(incidents.counts[Kind::A4 as usize].0, 2);
        assert_eq!(incidents.knobs.after, Seconds(172_800.0));
        let one = &incidents.list[0];
        assert_eq!((one.kind, one.at), (Kind::A5, Some(Seconds(10_800.0))));
        assert_eq!(one.workload.as_deref(), Some("shop/web"));
        let words = [
            ("rate", Given::Number(10.0)),
            ("encoding", Given::Word("hex".into())),
            ("bypass", Given::Switch(false)),
            ("period", Given::Number(300.0)),
        ];
        assert_eq!(one.knobs, words.map(|(key, value)| (key.to_owned(), value)));
    }

    #[test]
    fn what_is_wrong_with_an_incident_is_said_with_its_line() {
        assert_eq!(
            error("incidents:\n  A18: 1\n"),
            "w.yaml:2: unknown key 'incidents.A18', expected one of: after, intensity_low, intensity_high, allowed, A1 to A17, list"
        );
        assert_eq!(
            error("incidents:\n  list:\n  - at: 3h\n"),
            "w.yaml:3: incidents.list must be a mapping with a kind"
        );
        assert!(error("incidents:\n  list:\n  - kind: A1\n    att: 3\n").starts_with("w.yaml:4:"));
        assert!(error("incidents: {A1: -1}\n").contains("from 0 to 1000"));
        assert!(error("incidents: {list: [{kind: A1, workload: x}]}\n").contains("namespace/name"));
    }
}
