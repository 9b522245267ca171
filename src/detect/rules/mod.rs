//! Rules that people wrote for their cluster, as conditions in CEL over what a minute holds.
//!
//! A rule is a rule: `p` is its severity, by decree (1e-4 low, 1e-6 medium, 1e-8 high, 1e-10
//! critical), and neither the surroundings nor shadow days change that. What it fits is told
//! for an hour for each client, destination and port, then no more; an edge that a person
//! approved is told all the same, for the rule is a person's, too.
//!
//! Sees what `fields` lists and nothing else. An expression that fails for some values (an
//! index that is not there, a division by zero) does not fit them; how often that was is told
//! as blindness. Bounded: [`MOST_RULES`] rules, each with what it has told.

mod fields;
mod read;

use std::collections::BTreeMap;
use std::path::Path;

use super::account::Account;
use super::gate::Place;
use super::novel::Told;
use super::{Blindness, Detector, Kind, Observation, Scene, words};
use crate::baseline::Tick;
use crate::filter::{Condition, Variable};
use fields::{Over, Row};
pub use read::RuleError;

/// Rules of all files.
const MOST_RULES: usize = 256;

/// Rules, as files have them.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

/// One rule.
#[derive(Clone, Debug)]
struct Rule {
    /// Its name, which no other has.
    name: String,
    /// File and line it stands at.
    at: (String, u32),
    /// What it is about.
    over: Over,
    /// Probability by decree, by its severity.
    p: f64,
    /// What it fits.
    condition: Condition,
    /// What is said, with `{field}` for what a field has.
    evidence: String,
}

impl Rules {
    /// Adds the rules in a file.
    ///
    /// # Errors
    /// [`RuleError`] with file and line; no rule of that file is kept.
    pub fn read(&mut self, path: &Path) -> Result<(), RuleError> {
        let text = crate::manifest::read_keyed(path)?;
        self.add(&path.display().to_string(), &text)
    }

    /// Adds rules of a text; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Rules::read`].
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), RuleError> {
        let rules = read::read(name, text, &self.0)?;
        self.0.extend(rules);
        Ok(())
    }
}

/// Detects what rules fit.
#[derive(Debug)]
pub struct Ruled {
    rules: Vec<Rule>,
    states: Vec<State>,
    /// For each [`Over`], which of its fields are asked for.
    wanted: [Vec<bool>; 3],
}

#[derive(Debug, Default)]
struct State {
    told: Told,
    evaluated: u64,
    failed: u64,
    reason: String,
}

impl Ruled {
    /// A detector for these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let Rules(rules) = rules;
        let wanted = Over::ALL.map(|over| {
            let own = |rule: &&Rule| rule.over == over;
            let fields = over.fields().iter();
            fields
                .map(|field| {
                    let placeholder = format!("{{{}}}", field.name);
                    rules.iter().filter(own).any(|rule| {
                        rule.condition.mentions(field.name) || rule.evidence.contains(&placeholder)
                    })
                })
                .collect()
        });
        Self {
            states: rules.iter().map(|_| State::default()).collect(),
            rules,
            wanted,
        }
    }

    /// What fits of one kind of rows.
    fn rows(&mut self, over: Over, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        if self.rules.iter().all(|rule| rule.over != over) {
            return;
        }
        let wanted = &self.wanted[over as usize];
        // By rule and place, so that one story of several fates is told once.
        let mut found: BTreeMap<(usize, Place), (Account, Fits)> = BTreeMap::new();
        for row in Row::all(over, tick) {
            let values = row.values(scene, wanted);
            for (number, rule) in self.rules.iter().enumerate() {
                if rule.over != over {
                    continue;
                }
                let state = &mut self.states[number];
                state.evaluated += 1;
                match rule.condition.holds(&values) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(reason) => {
                        state.failed += 1;
                        state.reason = reason;
                        continue;
                    }
                }
                let (account, fits) = found
                    .entry((number, row.place()))
                    .or_insert_with(|| (Account::default(), Fits::of(&row, rule, &values)));
                match row {
                    Row::Connections(group) => account.add(group),
                    _ => fits.more(&row),
                }
            }
        }
        for ((number, place), (account, fits)) in found {
            let (client, key, port, protocol) = place;
            let rule = &self.rules[number];
            let told = &mut self.states[number].told;
            if !told.tells((client, key, Some((port, protocol))), fits.first) {
                continue;
            }
            let mut one = account.observation(Kind::Rule, client);
            if over != Over::Connections {
                (one.from, one.to, one.n) = (fits.first, fits.first, fits.count);
            }
            (one.peer, one.port) = (Some(key), Some((port, protocol)));
            (one.p, one.fixed) = (rule.p, true);
            one.observed = one.n as f64;
            one.key.clone_from(&rule.name);
            let (file, line) = &rule.at;
            one.evidence.push(format!(
                "{}: rule {} ({file}:{line}) fits.",
                fits.sentence, rule.name
            ));
            if over == Over::Connections {
                one.evidence.push(account.verdict());
            }
            one.normal = format!(
                "if {} may do this, say so in the rule, or suppress it with a reason",
                words::who(scene.peers, client)
            );
            out.push(one);
        }
    }
}

/// What a rule fits at a place.
struct Fits {
    sentence: String,
    first: i64,
    count: u64,
}

impl Fits {
    fn of(row: &Row<'_>, rule: &Rule, values: &[Variable]) -> Self {
        Self {
            sentence: rule.over.filled(&rule.evidence, values),
            first: row.first(),
            // The row itself is counted by `more`.
            count: 0,
        }
    }

    fn more(&mut self, row: &Row<'_>) {
        self.first = self.first.min(row.first());
        self.count += row.count();
    }
}

impl Detector for Ruled {
    fn kind(&self) -> Kind {
        Kind::Rule
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        for over in Over::ALL {
            self.rows(over, tick, scene, out);
        }
    }

    fn blind(&self, _: &Scene<'_>) -> Option<Blindness> {
        let failing = self.rules.iter().zip(&self.states);
        let (rule, state) = failing
            .filter(|(_, state)| state.failed > 0)
            .max_by_key(|(_, state)| state.failed)?;
        Some(Blindness {
            kind: Kind::Rule,
            why: format!(
                "rule {} could not be asked for {} of {}: {}",
                rule.name,
                words::number(state.failed),
                words::count(state.evaluated, "row", "rows"),
                state.reason
            ),
            share: state.failed as f64 / state.evaluated as f64,
        })
    }

    fn held(&self) -> usize {
        let told = self.states.iter().map(|state| state.told.held());
        self.rules.len() + told.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;
    use crate::baseline::Fate;

    fn rules(text: &str) -> Ruled {
        let mut rules = Rules::default();
        rules.add("rules.yaml", text).unwrap();
        Ruled::new(rules)
    }

    #[test]
    fn what_a_rule_fits_is_told_with_its_words_and_place() {
        let mut stage = Stage::default();
        let mut detector = rules(
            "rules:\n\
             - name: ssh out\n  severity: high\n  \
               cel: outside && port == 22 && !known\n  \
               evidence: \"{client} opened {count} SSH connection(s) to {server}\"\n\
             - name: many\n  severity: low\n  cel: count > 1000\n",
        );
        let calls = [
            ("shop/web", "git.example.com", 22, Fate::Answered),
            ("shop/web", "git.example.com", 443, Fate::Answered),
            ("shop/web", "data/db", 22, Fate::Answered),
        ];
        let seen = stage.observe(&mut detector, &calls);
        let [one] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert_eq!((one.p, one.fixed, &*one.key), (1e-8, true, "ssh out"));
        assert_eq!(
            one.evidence[0],
            "shop/web opened 1 SSH connection(s) to git.example.com: rule ssh out \
             (rules.yaml:2) fits."
        );
        assert!(detector.blind(&stage_scene(&stage)).is_none());
    }

    #[test]
    fn questions_and_requests_have_rules_too() {
        let mut stage = Stage::default();
        let mut detector = rules(
            "rules:\n\
             - name: onion\n  severity: medium\n  over: questions\n  \
               cel: query.endsWith('.onion') && code == 3\n",
        );
        let (client, server) = (
            stage.scenery.peer("shop/web"),
            stage.scenery.peer("kube-system/dns"),
        );
        let tick = Tick {
            start: stage.now,
            dns: vec![crate::baseline::DnsGroup {
                client,
                server,
                port: 53,
                query: "abc.onion".into(),
                raw: true,
                registered: "abc.onion".into(),
                types: "A".into(),
                code: 3,
                answered: true,
                count: 2,
                first: stage.now,
            }],
            ..Tick::default()
        };
        let seen = stage.play(&mut detector, &tick);
        assert_eq!(seen.len(), 1);
        assert_eq!(
            seen[0].evidence[0],
            "shop/web asked kube-system/dns 2 times for abc.onion (A, code 3): rule onion \
             (rules.yaml:2) fits."
        );
        assert_eq!(seen[0].n, 2);
    }

    #[test]
    fn what_cannot_be_asked_is_told_as_blindness() {
        let mut stage = Stage::default();
        let mut detector = rules("rules:\n- name: share\n  severity: low\n  cel: 10 / days > 1\n");
        stage.observe(&mut detector, &[("a/a", "b/b", 1, Fate::Answered)]);
        let blind = stage.blind(&detector).unwrap();
        assert!(
            blind
                .why
                .starts_with("rule share could not be asked for 1 of 1 row: ")
        );
        assert!((blind.share - 1.0).abs() < 1e-9);
    }

    fn stage_scene(stage: &Stage) -> Scene<'_> {
        Scene {
            peers: stage.scenery.peers(),
            model: &stage.model,
            sight: &stage.sight,
            now: stage.now,
        }
    }
}
