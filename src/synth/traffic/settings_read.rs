//! Reading a world file into the knobs.
//!
//! Owns the kinds of values. Which keys there are is `settings`', how errors are said is
//! `manifest`'s.

use std::path::Path;

use serde_json::Value as Json;

use super::settings::{
    ChurnKnobs, ConnectionKnobs, DisturbanceKnobs, DnsKnobs, Hours, ObservationKnobs,
    PlatformKnobs, RareKnobs, Settings, UserKnobs, WorldKnobs,
};
use crate::manifest::{KeyedError, KeyedFile, Node, Number, Place, Value, read_keyed};

/// Most of anything that is counted: what makes a world so large it is a mistake.
const MOST: usize = 20_000;
/// Most that anything happens.
const MOST_TIMES: u32 = 1_000;

/// A share, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(pub f64);

/// A time: a number of seconds, or one with a unit (`ms`, `s`, `m`, `h`, `d`).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Seconds(pub f64);

impl Seconds {
    /// In nanoseconds.
    #[must_use]
    pub fn nanos(self) -> i64 {
        (self.0 * 1e9) as i64
    }
}

/// How often something happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u32);

/// What can be read out of a value, or what was expected there.
pub(super) trait Knob: Sized {
    /// Its definition in the schema.
    const SHAPE: &'static str;

    fn read(node: &Node) -> Result<Self, &'static str>;

    /// As it would stand in a file.
    fn shown(&self) -> Json;
}

impl Knob for Count {
    const SHAPE: &'static str = "count";

    fn read(node: &Node) -> Result<Self, &'static str> {
        match node.value {
            Value::Number(Number::Int(number)) => u32::try_from(number).ok(),
            _ => None,
        }
        .filter(|number| *number <= MOST_TIMES)
        .map(Self)
        .ok_or("a whole number from 0 to 1000")
    }

    fn shown(&self) -> Json {
        self.0.into()
    }
}

impl Knob for usize {
    const SHAPE: &'static str = "size";

    fn shown(&self) -> Json {
        (*self).into()
    }

    fn read(node: &Node) -> Result<Self, &'static str> {
        match node.value {
            Value::Number(Number::Int(number)) => usize::try_from(number).ok(),
            _ => None,
        }
        .filter(|number| (1..=MOST).contains(number))
        .ok_or("a whole number from 1 to 20000")
    }
}

impl Knob for f64 {
    const SHAPE: &'static str = "amount";

    fn shown(&self) -> Json {
        (*self).into()
    }

    fn read(node: &Node) -> Result<Self, &'static str> {
        node.as_f64()
            .filter(|number| (0.0..=1e6).contains(number))
            .ok_or("a number from 0 to 1000000")
    }
}

impl Knob for bool {
    const SHAPE: &'static str = "switch";

    fn shown(&self) -> Json {
        (*self).into()
    }

    fn read(node: &Node) -> Result<Self, &'static str> {
        match node.value {
            Value::Bool(value) => Ok(value),
            _ => Err("true or false"),
        }
    }
}

impl Knob for Share {
    const SHAPE: &'static str = "share";

    fn shown(&self) -> Json {
        self.0.into()
    }

    fn read(node: &Node) -> Result<Self, &'static str> {
        node.as_f64()
            .filter(|share| (0.0..=1.0).contains(share))
            .map(Self)
            .ok_or("a share from 0 to 1")
    }
}

impl Knob for Seconds {
    const SHAPE: &'static str = "time";

    fn shown(&self) -> Json {
        self.0.into()
    }

    fn read(node: &Node) -> Result<Self, &'static str> {
        let seconds = match &node.value {
            Value::String(text) => seconds(text),
            _ => node.as_f64(),
        };
        seconds
            .filter(|seconds| (0.0..=1e7).contains(seconds))
            .map(Self)
            .ok_or("a time such as 30, 250ms, 5m, 2h or 3d")
    }
}

impl Knob for Hours {
    const SHAPE: &'static str = "hours";

    fn shown(&self) -> Json {
        self.0.to_vec().into()
    }

    fn read(node: &Node) -> Result<Self, &'static str> {
        let expected = "24 numbers that are not all 0";
        let list = node.as_list().ok_or(expected)?;
        let numbers: Vec<f64> = list.iter().filter_map(Node::as_f64).collect();
        let hours: [f64; 24] = numbers.try_into().map_err(|_| expected)?;
        let all = hours.iter().all(|hour| (0.0..=1e6).contains(hour));
        if all && hours.iter().sum::<f64>() > 0.0 && list.len() == 24 {
            Ok(Self(hours))
        } else {
            Err(expected)
        }
    }
}

fn seconds(text: &str) -> Option<f64> {
    let at = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().ok()?;
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Some(number * factor)
}

/// Groups of a world file.
pub(super) const GROUPS: [&str; 10] = [
    "world",
    "users",
    "connections",
    "dns",
    "platform",
    "observation",
    "rare",
    "churn",
    "disturbances",
    "incidents",
];

impl Settings {
    /// Takes the knobs of a file over those that are set.
    ///
    /// # Errors
    /// [`KeyedError`] with the line of what is wrong.
    pub fn read(&mut self, path: &Path) -> Result<(), KeyedError> {
        let text = read_keyed(path)?;
        self.parse(&text, &path.display().to_string())
    }

    /// Takes the knobs of a text; `file` names it in errors.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn parse(&mut self, text: &str, file: &str) -> Result<(), KeyedError> {
        let file = KeyedFile::new(file);
        for document in &file.documents(text)? {
            self.groups(&document.root, file)?;
        }
        self.check(file)
    }

    fn groups(&mut self, root: &Node, file: KeyedFile<'_>) -> Result<(), KeyedError> {
        for (group, at, node) in file.entries(root, "the file")? {
            if !GROUPS.contains(&group) {
                return Err(file.unknown(at, group, &GROUPS.join(", ")));
            }
            for (key, at, value) in file.entries(node, group)? {
                let known = match group {
                    "world" => (self.world.set(key, value), WorldKnobs::KEYS),
                    "users" => (self.users.set(key, value), UserKnobs::KEYS),
                    "connections" => (self.connections.set(key, value), ConnectionKnobs::KEYS),
                    "dns" => (self.dns.set(key, value), DnsKnobs::KEYS),
                    "platform" => (self.platform.set(key, value), PlatformKnobs::KEYS),
                    "observation" => (self.observation.set(key, value), ObservationKnobs::KEYS),
                    "rare" => (self.rare.set(key, value), RareKnobs::KEYS),
                    "churn" => (self.churn.set(key, value), ChurnKnobs::KEYS),
                    "disturbances" => (self.disturbances.set(key, value), DisturbanceKnobs::KEYS),
                    _ => {
                        self.incidents.read((key, at), value, file)?;
                        continue;
                    }
                };
                match known {
                    (Some(Ok(())), _) => {}
                    (Some(Err(expected)), _) => {
                        return Err(file.kind(value.at, &format!("{group}.{key}"), expected));
                    }
                    (None, known) => {
                        let known = known.split_whitespace().collect::<Vec<_>>().join(", ");
                        return Err(file.unknown(at, &format!("{group}.{key}"), &known));
                    }
                }
            }
        }
        Ok(())
    }

    /// What single values cannot tell.
    fn check(&self, file: KeyedFile<'_>) -> Result<(), KeyedError> {
        let place = Place::default();
        let users = &self.users;
        if users.noise_low < 1.0 || users.noise_high < users.noise_low {
            let expected = "from 1 up, and not above users.noise_high";
            return Err(file.kind(place, "users.noise_low", expected));
        }
        let observation = &self.observation;
        if observation.skew.0 > 10.0 || observation.tick.0 <= 0.0 {
            let expected = "at most 10 s, and observation.tick more than 0";
            return Err(file.kind(place, "observation.skew", expected));
        }
        let intervals = [
            ("platform.probe_interval", self.platform.probe_interval),
            ("platform.scrape_interval", self.platform.scrape_interval),
            (
                "platform.apiserver_interval",
                self.platform.apiserver_interval,
            ),
            ("dns.cdn_ttl", self.dns.cdn_ttl),
            ("rare.often", self.rare.often),
            ("churn.rollout", self.churn.rollout),
        ];
        for (key, interval) in intervals {
            if interval.0 < 0.1 {
                return Err(file.kind(place, key, "at least 100 ms"));
            }
        }
        if self.rare.seldom < self.rare.often {
            return Err(file.kind(place, "rare.seldom", "no less than rare.often"));
        }
        if self.disturbances.crowd > 100.0 {
            return Err(file.kind(place, "disturbances.crowd", "100 at most"));
        }
        let incidents = &self.incidents.knobs;
        if incidents.intensity_low > incidents.intensity_high {
            let expected = "no more than incidents.intensity_high";
            return Err(file.kind(place, "incidents.intensity_low", expected));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let mut settings = Settings::default();
        settings.parse(text, "w.yaml").unwrap_err().to_string()
    }

    #[test]
    fn knobs_are_taken_over_the_defaults() {
        let mut settings = Settings::default();
        let text = "world: {workloads: 7, tunnel: false}\nconnections:\n  lifetime: 2m\n  latency: 250ms\n";
        settings.parse(text, "w.yaml").unwrap();
        assert_eq!(settings.world.workloads, 7);
        assert!(!settings.world.tunnel);
        assert_eq!(settings.connections.lifetime, Seconds(120.0));
        assert_eq!(settings.connections.latency, Seconds(0.25));
        assert_eq!(settings.dns, Settings::default().dns);
    }

    #[test]
    fn the_guide_shows_every_key_with_its_default() {
        let page = std::fs::read_to_string("docs/synth.md").unwrap();
        let yaml = page.split("```yaml\n").nth(1).unwrap();
        let yaml = yaml.split("```").next().unwrap();
        let mut settings = Settings {
            world: WorldKnobs {
                workloads: 1,
                ..WorldKnobs::default()
            },
            ..Settings::default()
        };
        settings.parse(yaml, "docs/synth.md").unwrap();
        assert_eq!(settings.incidents.list.len(), 1);
        settings.incidents.list.clear();
        assert_eq!(settings, Settings::default());
        let keys = [
            WorldKnobs::KEYS,
            UserKnobs::KEYS,
            ConnectionKnobs::KEYS,
            DnsKnobs::KEYS,
            PlatformKnobs::KEYS,
            ObservationKnobs::KEYS,
            RareKnobs::KEYS,
            ChurnKnobs::KEYS,
            DisturbanceKnobs::KEYS,
        ];
        for key in keys.iter().flat_map(|keys| keys.split_whitespace()) {
            assert!(yaml.contains(&format!("  {key}:")), "{key}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        assert_eq!(
            error("world: {}\nworlds: {}\n"),
            "w.yaml:2: unknown key 'worlds', expected one of: world, users, connections, dns, platform, observation, rare, churn, disturbances, incidents"
        );
        assert!(error("dns:\n  ttl: 3\n").starts_with("w.yaml:2: unknown key 'dns.ttl'"));
        assert!(error("more: {a: 1}\n").starts_with("w.yaml:1: unknown key 'more'"));
        assert_eq!(
            error("observation:\n\n  losses: many\n"),
            "w.yaml:3: observation.losses must be a number from 0 to 1000000"
        );
        assert_eq!(
            error("platform: {probes: 2}\n"),
            "w.yaml:1: platform.probes must be a share from 0 to 1"
        );
        assert!(error("users: {hours: [1, 2]}\n").contains("24 numbers"));
        assert!(error("a: [").starts_with("w.yaml:1:"));
    }
}
