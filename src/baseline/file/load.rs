//! A baseline: the model, its names and the file it is from.
//!
//! Owns putting file and statistics together, and taking them apart again. What the file
//! says counts: an edge that a person took out of it is not known, whatever statistics say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::statistics::{self, Row, StatisticsError};
use super::text::{peer_text, port_text};
use super::write::of_model;
use super::{BaselineFile, CallEntry};
use crate::baseline::{
    DAY, Decision, EdgeProfile, HOUR, Held, Listener, Model, ModelOptions, NameProfile, Names,
    Pending, Rates, Shadow, Stage, WorkloadProfile,
};
use crate::connection::{Edge, Peer, PeerId};
use crate::manifest::{KeyedError, read_keyed};

/// A baseline that can be learned on, and judged by.
#[derive(Debug, Default)]
pub struct Baseline {
    /// What is normal.
    pub model: Model,
    /// Names of its numbers.
    pub names: Names,
    /// What detectors said on the days that were only watched, where there were any.
    pub shadow: Option<Shadow>,
    /// The file it is from; without one it is new.
    pub file: Option<BaselineFile>,
    /// Text of that file.
    pub text: Option<String>,
    /// What is to be said of it.
    pub remarks: Vec<String>,
}

/// Why a baseline cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file.
    #[error(transparent)]
    File(#[from] KeyedError),
    /// Statistics.
    #[error(transparent)]
    Statistics(#[from] StatisticsError),
}

/// Where statistics of a baseline file are: beside it, `….parquet` for `….yaml`.
#[must_use]
pub fn statistics_path(path: &Path) -> PathBuf {
    path.with_extension("parquet")
}

impl Baseline {
    /// Reads a file and what is beside it. Statistics that are not there are no error: the
    /// remarks say what that means.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let text = read_keyed(path)?;
        let file = super::read(&text, &path.display().to_string())?;
        let beside = match &file.statistics {
            Some(name) => path.parent().unwrap_or(Path::new("")).join(name),
            None => statistics_path(path),
        };
        let mut remarks = Vec::new();
        let rows = if beside.is_file() {
            statistics::read(&beside)?
        } else {
            remarks.push(format!(
                "{}: there are no statistics beside it ({}): what is known is judged by the \
                 days in the file, rates by nothing",
                path.display(),
                beside.display()
            ));
            Vec::new()
        };
        let mut baseline = Self::of(&file, &rows);
        baseline.remarks = remarks;
        baseline.shadow.clone_from(&file.shadow);
        baseline.file = Some(file);
        baseline.text = Some(text);
        Ok(baseline)
    }

    /// The text of its file by now, and the rows of its statistics, which are in a file of
    /// this name.
    #[must_use]
    pub fn text(&self, statistics: Option<&str>) -> String {
        let mut file = of_model(&self.model, &self.names, self.file.as_ref());
        file.statistics = statistics.map(str::to_owned);
        file.shadow.clone_from(&self.shadow);
        super::write(&file, self.text.as_deref())
    }

    /// Writes statistics.
    ///
    /// # Errors
    /// [`StatisticsError`].
    pub fn write_statistics(&self, path: &Path) -> Result<(), StatisticsError> {
        statistics::write(path, &self.rows())
    }

    fn rows(&self) -> Vec<Row> {
        let peers = self.names.peers();
        let name = |id: PeerId| peer_text(peers.get(id), "");
        let mut rows = Vec::new();
        for (edge, profile) in self.model.edges() {
            let port = port_text((edge.port, edge.protocol));
            let (client, to) = (name(edge.client), name(edge.server));
            rows.push(Row::edge(&client, &to, &port, profile));
        }
        for (id, _) in self.model.workloads() {
            rows.extend(Row::workload(&name(id), id, &self.model));
        }
        for id in self.model.servers() {
            for one in self.model.listeners(id) {
                let port = port_text((one.port, one.protocol));
                rows.push(Row::listener(&name(id), &port, one));
            }
        }
        rows.sort_by(|a, b| (&a.client, &a.to, &a.port).cmp(&(&b.client, &b.to, &b.port)));
        rows
    }

    fn of(file: &BaselineFile, rows: &[Row]) -> Self {
        let mut loading = Loading {
            baseline: Self {
                model: Model::new(ModelOptions::default()),
                ..Self::default()
            },
            learned: file.learned.unwrap_or_default(),
            edges: HashMap::default(),
            workloads: HashMap::default(),
            listeners: HashMap::default(),
        };
        for row in rows {
            let port = row.port.as_deref().unwrap_or_default();
            if row.is_edge() {
                let to = row.to.as_deref().unwrap_or_default();
                loading.edges.insert((&row.client, to, port), row);
            } else if row.is_workload() {
                loading.workloads.insert(&row.client, row);
            } else {
                loading.listeners.insert((&row.client, port), row);
            }
        }
        loading.take(file);
        loading.baseline
    }
}

struct Loading<'a> {
    baseline: Baseline,
    learned: (i64, i64),
    edges: HashMap<(&'a str, &'a str, &'a str), &'a Row, RandomState>,
    workloads: HashMap<&'a str, &'a Row, RandomState>,
    listeners: HashMap<(&'a str, &'a str), &'a Row, RandomState>,
}

impl Loading<'_> {
    fn take(&mut self, file: &BaselineFile) {
        // Workloads first: they say the kinds that destinations leave open.
        let names = &mut self.baseline.names;
        let ids: Vec<PeerId> = file
            .workloads
            .iter()
            .map(|entry| names.intern(entry.peer.clone()))
            .collect();
        for entry in &file.workloads {
            let targets = entry.calls.iter().filter_map(|call| call.to.clone());
            let held = entry.held.iter().map(|held| held.to.clone());
            for peer in targets.chain(held) {
                names.intern(peer);
            }
        }
        self.baseline.model.meet(self.baseline.names.peers());
        for (entry, id) in file.workloads.iter().zip(&ids) {
            let name = peer_text(&entry.peer, "");
            if matches!(entry.peer, Peer::Workload { .. }) && entry.stage.is_some() {
                let profile = self.profile(&name, entry);
                self.baseline.model.put_workload(*id, profile);
            }
            for call in &entry.calls {
                self.call(*id, &name, call);
            }
            for port in &entry.listens {
                let listener = self.listener(&name, *port);
                self.baseline.model.put_listener(*id, listener);
            }
            for held in &entry.held {
                let server = self.baseline.names.intern(held.to.clone());
                let since = held.since.unwrap_or(self.learned.0);
                let edge = Edge {
                    client: *id,
                    server,
                    port: held.port.0,
                    protocol: held.port.1,
                };
                let pending = Pending {
                    first: since,
                    last: self.learned.1,
                    count: 0,
                    why: match &*held.why {
                        "young" => Held::Young,
                        "change" => Held::Change,
                        "incident" => Held::Incident,
                        _ => Held::Flagged,
                    },
                };
                self.baseline.model.put_pending(edge, pending);
            }
        }
        if file.learned.is_some() {
            self.baseline.model.put_span(self.learned);
        }
    }

    fn profile(&self, name: &str, entry: &super::WorkloadEntry) -> WorkloadProfile {
        let row = self.workloads.get(name);
        let (first, last, _) = row.map_or((self.learned.0, self.learned.1, 0), |row| row.seen());
        let known = |names: &[Arc<str>]| {
            let profile = NameProfile {
                first,
                last,
                count: 1,
                failed: 0,
            };
            names.iter().map(|name| (name.clone(), profile)).collect()
        };
        WorkloadProfile {
            first,
            last,
            rates: row.map_or_else(Rates::default, |row| row.rates()),
            verdicts: row.map(|row| row.verdicts()).unwrap_or_default(),
            names: known(&entry.names),
            requests: known(&entry.requests),
            declared: entry.stage.unwrap_or(Stage::Cold),
            ..WorkloadProfile::default()
        }
    }

    fn call(&mut self, client: PeerId, name: &str, call: &CallEntry) {
        let to = call.to.clone().map(|peer| self.baseline.names.intern(peer));
        let (Some(server), Some((port, protocol))) = (to, call.port) else {
            let decision = Decision {
                key: to,
                port: call.port,
                status: call.status,
            };
            self.baseline.model.decide(client, decision);
            return;
        };
        let to_text = peer_text(self.baseline.names.peers().get(server), "");
        let port_name = port_text((port, protocol));
        let row = self
            .edges
            .get(&(name, to_text.as_str(), port_name.as_str()));
        let first = call.since.unwrap_or(self.learned.1);
        let mut profile = EdgeProfile::new(first, call.status);
        profile.days = call.days;
        // Without figures it was there as often as it takes.
        profile.hours = call.days.saturating_mul(2);
        if call.days > 0 {
            profile.last = self.learned.1.max(first);
            profile.last_day = (profile.last - 1).div_euclid(DAY);
            profile.last_hour = (profile.last - 1).div_euclid(HOUR);
        }
        profile.decayed = profile.last;
        if let Some(row) = row {
            row.fill_edge(&mut profile);
        }
        let edge = Edge {
            client,
            server,
            port,
            protocol,
        };
        self.baseline.model.insert(edge, profile);
    }

    fn listener(&self, name: &str, (port, protocol): (u16, crate::flow::Protocol)) -> Listener {
        let port_name = port_text((port, protocol));
        let row = self.listeners.get(&(name, port_name.as_str()));
        let (first, last, days) = row.map_or((self.learned.0, self.learned.1, 1), |row| row.seen());
        Listener {
            port,
            protocol,
            first,
            last,
            days,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::testing::{Scenery, minute};
    use crate::baseline::{Fate, Tick};

    /// A model of two workloads over three days.
    fn learned() -> Baseline {
        let mut scenery = Scenery::default();
        let mut model = Model::default();
        for at in 0..3 * 24 * 4 {
            let time = minute(at * 15);
            let mut groups = vec![
                scenery.group("shop/cart", "data/db", 5432, time, Fate::Answered),
                scenery.group("shop/web", "shop/cart", 80, time, Fate::Answered),
                scenery.group("shop/web", "192.0.2.0/24", 443, time, Fate::Answered),
                scenery.group("shop/web", "host", 10250, time, Fate::Answered),
            ];
            groups.sort_by_key(|group| (group.client, group.key, group.port));
            let tick = Tick {
                start: time,
                groups,
                ..Tick::default()
            };
            model.learn(&tick, &[], scenery.peers());
        }
        Baseline {
            model,
            names: scenery.names,
            ..Baseline::default()
        }
    }

    fn shown(baseline: &Baseline) -> Vec<String> {
        let peers = baseline.names.peers();
        let mut shown: Vec<String> = baseline
            .model
            .edges()
            .map(|(edge, profile)| {
                let (client, server) = (peers.get(edge.client), peers.get(edge.server));
                format!("{client} {server} {} {profile:?}", edge.port)
            })
            .collect();
        for (id, profile) in baseline.model.workloads() {
            let stage = baseline.model.stage(id);
            let rates = profile.rates.all();
            let name = peers.get(id);
            let counts = (profile.trials, profile.activity, profile.once);
            shown.push(format!("{name} {stage} {rates:?} {counts:?}"));
        }
        for id in baseline.model.servers() {
            let name = peers.get(id);
            shown.push(format!("{name} {:?}", baseline.model.listeners(id)));
        }
        shown.sort();
        shown
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.yaml");
        let baseline = learned();
        std::fs::write(&path, baseline.text(Some("b.parquet"))).unwrap();
        baseline.write_statistics(&statistics_path(&path)).unwrap();

        let again = Baseline::read(&path).unwrap();
        assert!(again.remarks.is_empty());
        assert_eq!(shown(&baseline), shown(&again));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(again.text(Some("b.parquet")), text);
    }

    #[test]
    fn without_statistics_the_file_still_says_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.yaml");
        let baseline = learned();
        std::fs::write(&path, baseline.text(None)).unwrap();
        let mut again = Baseline::read(&path).unwrap();
        assert!(again.remarks[0].contains("no statistics"));
        assert_eq!(again.model.edges().count(), 4);
        let web = again
            .names
            .intern(crate::baseline::parse_peer("shop/web", "").unwrap());
        assert_eq!(again.model.stage(web), Stage::Shadow);
    }
}
