//! Findings and incidents as they stand: of a file, or as they were given out.
//!
//! Owns which line counts where several are about the same: the last one. Bounded: 200,000
//! findings; of more, the lowest scores are only counted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use super::record::{Alert, Finding, Incident, Line, VERSION};
use super::severity::Severity;
use super::suppress::Suppressions;

/// Findings that are kept.
const MOST_FINDINGS: usize = 200_000;
/// Bytes of a line.
const MOST_BYTES: u64 = 4 << 20;

/// What is wrong with a findings file.
#[derive(Debug, thiserror::Error)]
pub enum ReadFindingsError {
    /// It cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// A line that is no finding and no incident.
    #[error("{file}:{line}: {error}")]
    Line {
        /// The file.
        file: String,
        /// From 1.
        line: u64,
        /// Why.
        error: serde_json::Error,
    },
    /// A line of another version.
    #[error("{file}:{line}: version {version} of findings, this reads version {VERSION}")]
    Version {
        /// The file.
        file: String,
        /// From 1.
        line: u64,
        /// Its version.
        version: u32,
    },
    /// A line that is longer than any finding.
    #[error("{file}:{line}: a line of more than {MOST_BYTES} bytes")]
    Long {
        /// The file.
        file: String,
        /// From 1.
        line: u64,
    },
}

/// Findings and incidents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// By incident and id, with the line of the file.
    all: BTreeMap<(String, String), (Finding, u64)>,
    incidents: BTreeMap<String, Incident>,
    /// Incidents that became part of another.
    merged: BTreeMap<String, String>,
    /// Findings beyond the bound.
    beyond: u64,
}

impl Findings {
    /// Reads a findings file; `file` names it in errors. Empty lines are none.
    ///
    /// # Errors
    /// [`ReadFindingsError`] with the first line that is wrong.
    pub fn read(from: &mut dyn BufRead, file: &str) -> Result<Self, ReadFindingsError> {
        let mut all = Self::default();
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            let read = std::io::Read::take(&mut *from, MOST_BYTES + 1)
                .read_until(b'\n', &mut bytes)
                .map_err(|error| ReadFindingsError::Read {
                    file: file.to_owned(),
                    error,
                })?;
            if read == 0 {
                break;
            }
            if read as u64 > MOST_BYTES {
                return Err(ReadFindingsError::Long {
                    file: file.to_owned(),
                    line,
                });
            }
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let one: Line =
                serde_json::from_slice(&bytes).map_err(|error| ReadFindingsError::Line {
                    file: file.to_owned(),
                    line,
                    error,
                })?;
            let version = match &one {
                Line::Finding(finding) => finding.version,
                Line::Incident(incident) => incident.version,
            };
            if version != VERSION {
                return Err(ReadFindingsError::Version {
                    file: file.to_owned(),
                    line,
                    version,
                });
            }
            all.take_at(one, line);
        }
        Ok(all)
    }

    /// Takes a line in.
    pub fn take(&mut self, line: Line) {
        self.take_at(line, 0);
    }

    fn take_at(&mut self, line: Line, at: u64) {
        match line {
            Line::Finding(mut finding) => {
                let incident = self.current(&finding.incident).to_owned();
                finding.incident = incident;
                let key = (finding.incident.clone(), finding.id.clone());
                self.all.insert(key, (*finding, at));
                if self.all.len() > MOST_FINDINGS + MOST_FINDINGS / 4 {
                    self.bound();
                }
            }
            Line::Incident(incident) => match &incident.merged {
                Some(into) => self.merge(&incident.id, into),
                None => {
                    self.incidents.insert(incident.id.clone(), *incident);
                }
            },
        }
    }

    /// Every incident, the worst first: by score, then the latest.
    #[must_use]
    pub fn incidents(&self) -> Vec<&Incident> {
        let mut all: Vec<&Incident> = self.incidents.values().collect();
        all.sort_by(|one, other| {
            other
                .score
                .total_cmp(&one.score)
                .then_with(|| other.first.cmp(&one.first))
                .then_with(|| one.id.cmp(&other.id))
        });
        all
    }

    /// The incident of an id.
    #[must_use]
    pub fn incident(&self, id: &str) -> Option<&Incident> {
        self.incidents.get(self.current(id))
    }

    /// The findings of an incident, by time.
    pub fn of<'a>(&'a self, incident: &'a Incident) -> impl Iterator<Item = &'a Finding> + 'a {
        let mut all: Vec<&Finding> = self
            .all
            .range((incident.id.clone(), String::new())..)
            .take_while(|((id, _), _)| *id == incident.id)
            .map(|(_, (finding, _))| finding)
            .collect();
        all.sort_by_key(|finding| (finding.first, &finding.id));
        all.into_iter()
    }

    /// Every finding, by time, with its line in the file, 0 where it is of none.
    #[must_use]
    pub fn findings(&self) -> Vec<(&Finding, u64)> {
        let mut all: Vec<(&Finding, u64)> = self
            .all
            .values()
            .map(|(finding, line)| (finding, *line))
            .collect();
        all.sort_by_key(|(finding, _)| (finding.first, &finding.id, &finding.incident));
        all
    }

    /// The findings of an id, in every incident.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Vec<&Finding> {
        let all = self.all.values().map(|(finding, _)| finding);
        let mut found: Vec<&Finding> = all.filter(|finding| finding.id == id).collect();
        found.sort_by_key(|finding| finding.first);
        found
    }

    /// The ids that begin with a text, of findings and incidents.
    #[must_use]
    pub fn ids(&self, prefix: &str) -> BTreeSet<&str> {
        let findings = self.all.keys().map(|(_, id)| id.as_str());
        let incidents = self.incidents.keys().map(String::as_str);
        findings
            .chain(incidents)
            .filter(|id| id.starts_with(prefix))
            .collect()
    }

    /// How many incidents there are of each severity that people were told of, from low.
    #[must_use]
    pub fn raised(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for incident in self
            .incidents
            .values()
            .filter(|one| one.alert == Alert::Raised)
        {
            counts[incident.severity as usize] += 1;
        }
        counts
    }

    /// Findings beyond the bound.
    #[must_use]
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.incidents.is_empty()
    }

    /// Applies what is known and meant by now: a file may be older than the suppressions.
    /// An incident all of whose findings are meant alerts nobody.
    pub fn suppress(&mut self, suppressions: &Suppressions) {
        let mut touched: BTreeMap<&str, bool> = BTreeMap::new();
        for ((incident, _), (finding, _)) in &mut self.all {
            if finding.suppressed.is_none() {
                finding.suppressed = suppressions.covers(finding);
            }
            let all = touched.entry(incident).or_insert(true);
            *all &= finding.suppressed.is_some();
        }
        for (id, all) in touched {
            if let Some(incident) = self.incidents.get_mut(id).filter(|_| all) {
                incident.alert = Alert::Suppressed;
            }
        }
    }

    /// Keeps the incidents that a question is about, and their findings.
    pub fn retain(&mut self, mut keep: impl FnMut(&Incident, &[&Finding]) -> bool) {
        let gone: BTreeSet<String> = self
            .incidents
            .values()
            .filter(|incident| !keep(incident, &self.of(incident).collect::<Vec<_>>()))
            .map(|incident| incident.id.clone())
            .collect();
        self.incidents.retain(|id, _| !gone.contains(id));
        let incidents = &self.incidents;
        self.all
            .retain(|(incident, _), _| incidents.contains_key(incident));
    }

    /// The worst severity of what people were told of.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        let raised = self
            .incidents
            .values()
            .filter(|incident| incident.alert == Alert::Raised);
        raised.map(|incident| incident.severity).max()
    }

    /// The incident that an id stands for by now.
    fn current<'a>(&'a self, id: &'a str) -> &'a str {
        let mut id = id;
        // As many steps as there are merges, should a file go in a circle.
        for _ in 0..=self.merged.len() {
            match self.merged.get(id) {
                Some(into) => id = into,
                None => break,
            }
        }
        id
    }

    fn merge(&mut self, id: &str, into: &str) {
        if id == into {
            return;
        }
        self.merged.insert(id.to_owned(), into.to_owned());
        self.incidents.remove(id);
        let into = self.current(into).to_owned();
        let moved: Vec<((String, String), (Finding, u64))> = self
            .all
            .extract_if((id.to_owned(), String::new()).., |(incident, _), _| {
                incident == id
            })
            .collect();
        for ((_, finding), (mut one, line)) in moved {
            one.incident.clone_from(&into);
            self.all.insert((into.clone(), finding), (one, line));
        }
    }

    fn bound(&mut self) {
        let mut scores: Vec<f64> = self.all.values().map(|(one, _)| one.score).collect();
        let gone = scores.len().saturating_sub(MOST_FINDINGS);
        if gone == 0 {
            return;
        }
        let lowest = *scores.select_nth_unstable_by(gone - 1, f64::total_cmp).1;
        let mut left = gone;
        self.all.retain(|_, (one, _)| {
            let goes = left > 0 && one.score <= lowest;
            left -= usize::from(goes);
            !goes
        });
        self.beyond += (gone - left) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::testing::{finding, lines, name, seen, workload};

    fn file(lines: &[Line]) -> String {
        let lines: Vec<String> = lines
            .iter()
            .map(|line| serde_json::to_string(line).unwrap())
            .collect();
        lines.join("\n")
    }

    fn read(text: &str) -> Result<Findings, ReadFindingsError> {
        Findings::read(&mut text.as_bytes(), "f.jsonl")
    }

    fn some() -> Vec<Line> {
        lines(vec![
            seen("scan", workload("a/a"), None, 1e-6),
            seen("beacon", workload("b/b"), Some(name("x.example")), 1e-7),
        ])
    }

    #[test]
    fn what_is_written_is_read_back() {
        let lines = some();
        let all = read(&file(&lines)).unwrap();
        assert_eq!(all.incidents().len(), 2);
        assert_eq!(all.findings().len(), 2);
        assert_eq!(all.findings().iter().map(|(_, line)| *line).max(), Some(2));
        let worst = all.incidents()[0];
        assert_eq!(all.of(worst).next().unwrap().kind, "beacon");
        assert_eq!(all.worst(), Some(Severity::Medium));
        assert_eq!(all.ids("").len(), 4);
        for line in lines {
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
        }
    }

    #[test]
    fn the_last_line_counts() {
        let mut lines = some();
        let Line::Incident(mut later) = lines.last().unwrap().clone() else {
            panic!()
        };
        later.title = "later".to_owned();
        lines.push(Line::Incident(later.clone()));
        let all = read(&file(&lines)).unwrap();
        assert_eq!(all.incident(&later.id).unwrap().title, "later");
        assert_eq!(all.incidents().len(), 2);
    }

    /// Scenario: an incident becomes part of another, and a line of a finding that still
    /// names it comes after that.
    #[test]
    fn findings_move_with_their_incident() {
        let mut lines = some();
        let incidents: Vec<Incident> = lines
            .iter()
            .filter_map(|line| match line {
                Line::Incident(incident) => Some((**incident).clone()),
                Line::Finding(_) => None,
            })
            .collect();
        let [into, gone] = &incidents[..] else {
            panic!()
        };
        let late = lines.iter().find_map(|line| match line {
            Line::Finding(finding) if finding.incident == gone.id => Some(finding.clone()),
            _ => None,
        });
        let mut merged = gone.clone();
        merged.merged = Some(into.id.clone());
        lines.push(Line::Incident(Box::new(merged)));
        lines.push(Line::Finding(late.unwrap()));
        let all = read(&file(&lines)).unwrap();
        assert_eq!(all.incidents().len(), 1);
        assert_eq!(all.of(into).count(), 2);
        assert_eq!(all.incident(&gone.id).unwrap().id, into.id);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let good = file(&some()[..1]);
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(error("{}").starts_with("f.jsonl:1: missing field `type`"));
        assert!(error(&format!("{good}\n\nx\n")).starts_with("f.jsonl:3: expected value"));
        let other = good.replace("\"type\":\"finding\"", "\"type\":\"flow\"");
        assert!(error(&other).contains("unknown variant `flow`, expected `finding` or `incident`"));
        let version = good.replace("\"version\":1", "\"version\":7");
        assert_eq!(
            error(&version),
            "f.jsonl:1: version 7 of findings, this reads version 1"
        );
        let time = good.replace("2026-06-01T10:00:00Z", "yesterday");
        assert!(
            error(&time).contains("'yesterday' is no time"),
            "{}",
            error(&time)
        );
        assert!(read("\n \n").unwrap().is_empty());
    }

    #[test]
    fn a_file_is_suppressed_by_what_is_known_now() {
        let mut all = Findings::default();
        some().into_iter().for_each(|line| all.take(line));
        let text = "suppressions:\n- {kind: beacon, reason: meant}\n";
        all.suppress(&Suppressions::parse(text, "s").unwrap());
        let alerts: Vec<Alert> = all.incidents().iter().map(|one| one.alert).collect();
        assert_eq!(alerts, [Alert::Suppressed, Alert::Raised]);
        all.retain(|incident, findings| {
            incident.alert == Alert::Raised && findings.iter().all(|one| one.kind == "scan")
        });
        assert_eq!(all.findings().len(), 1);
    }

    #[test]
    fn any_number_of_findings_is_bounded() {
        let mut all = Findings::default();
        let mut one = finding(&seen("scan", workload("a/a"), None, 1e-6));
        let count = MOST_FINDINGS + MOST_FINDINGS / 4 + 1;
        for at in 0..count {
            one.id = format!("{at:016x}");
            one.score = at as f64;
            all.take(Line::Finding(Box::new(one.clone())));
        }
        assert_eq!(all.all.len(), MOST_FINDINGS);
        assert_eq!(all.beyond(), (count - MOST_FINDINGS) as u64);
        assert!(all.by_id(&format!("{:016x}", count - 1)).len() == 1);
        assert!(all.by_id(&format!("{:016x}", 0)).is_empty());
    }
}
