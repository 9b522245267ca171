//! Flows into the folders of an archive, as one transaction.
//!
//! Owns which recording a row goes to: `cluster=NAME/date=YYYY-MM-DD/hour=HH/`, and how
//! many are open. Nothing of it exists until its entries are committed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::part::Part;
use crate::flow::{Collector, Encoder, FileEntry, FlowBatch, HOUR, NO_TIME, Notice, StrId};
use crate::source::archive::{ArchiveError, NOTICES_ENDING, PART_ENDING};

/// Recordings that are written at once.
const MOST_OPEN: usize = 24;
/// Rows that wait in all of them.
const MOST_WAITING: usize = 512 << 10;
/// Clusters that have a folder of their own; the others share one.
const MOST_CLUSTERS: usize = 64;
/// Bytes of a cluster's name in its folder's.
const MOST_NAME: usize = 100;
/// Bytes of dictionaries.
const DICTIONARY_BYTES: usize = 32 << 20;
/// The cluster of nodes whose name says none, as Cilium calls it.
const DEFAULT_CLUSTER: &str = "default";
/// The cluster of those beyond [`MOST_CLUSTERS`].
const OTHER_CLUSTER: &str = "other";

/// How flows are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriterOptions {
    /// Whether uuids are kept: 16 bytes a flow.
    pub with_uuid: bool,
}

/// Writes flows into new recordings of an archive.
pub struct FlowWriter {
    folder: PathBuf,
    /// Begins the name of every file.
    name: String,
    options: WriterOptions,
    collector: Collector,
    encoder: Encoder,
    open: Vec<OpenPart>,
    done: Vec<FileEntry>,
    /// Paths of all recordings without their endings, until they are whole.
    stems: Vec<String>,
    clusters: Vec<String>,
    rows: u64,
    /// Time of the row before, for notices that have none.
    last: i64,
    last_cluster: Option<usize>,
    /// Goes on with every use, to know which part was used last.
    clock: u64,
}

struct OpenPart {
    cluster: usize,
    hour: i64,
    used: u64,
    part: Part,
}

impl FlowWriter {
    /// Writes below `folder`; names of files begin with `name`, which must be new.
    #[must_use]
    pub fn new(folder: &Path, name: String, options: WriterOptions) -> Self {
        Self {
            folder: folder.to_owned(),
            name,
            options,
            collector: Collector::new(DICTIONARY_BYTES),
            encoder: Encoder::new(options.with_uuid),
            open: Vec::new(),
            done: Vec::new(),
            stems: Vec::new(),
            clusters: Vec::new(),
            rows: 0,
            last: NO_TIME,
            last_cluster: None,
            clock: 0,
        }
    }

    /// Flows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes the flows and notices of a batch.
    ///
    /// # Errors
    /// [`ArchiveError`] when a file cannot be written; what was pushed is then lost with
    /// the writer.
    pub fn push(&mut self, batch: &FlowBatch) -> Result<(), ArchiveError> {
        self.push_some(batch, |_| true)
    }

    /// Takes the flows of a batch for whose rows `kept` says yes, and its notices.
    ///
    /// # Errors
    /// As [`FlowWriter::push`].
    pub fn push_some(
        &mut self,
        batch: &FlowBatch,
        kept: impl Fn(usize) -> bool,
    ) -> Result<(), ArchiveError> {
        if self.collector.is_full() {
            self.write_all()?;
            self.collector.reset();
        }
        let mut partitioned = self.partitioned(batch);
        for (_, rows) in &mut partitioned {
            rows.retain(|row| kept(*row as usize));
            self.rows += rows.len() as u64;
        }
        partitioned.retain(|(_, rows)| !rows.is_empty());
        self.notices(batch)?;
        for (key, rows) in partitioned {
            let at = self.part(key)?;
            let open = &mut self.open[at];
            open.part
                .push(&mut self.collector, &mut self.encoder, batch, &rows)?;
        }
        let waiting: usize = self.open.iter().map(|open| open.part.waiting()).sum();
        if waiting > MOST_WAITING
            && let Some(open) = self.open.iter_mut().max_by_key(|open| open.part.waiting())
        {
            open.part.write(&mut self.collector, &mut self.encoder)?;
        }
        Ok(())
    }

    /// Takes a notice at the time `at`.
    ///
    /// # Errors
    /// As [`FlowWriter::push`].
    pub fn notice(&mut self, at: i64, notice: Notice) -> Result<(), ArchiveError> {
        // Lost events name nodes without their cluster: that of the flows around them.
        let cluster = match self.last_cluster {
            Some(cluster) if !notice.node.contains('/') => cluster,
            _ => self.cluster(cluster_of(&notice.node)),
        };
        let part = self.part((cluster, hour_of(at)))?;
        self.open[part].part.notice(at, notice);
        Ok(())
    }

    /// Closes every file, and says what is in them.
    ///
    /// # Errors
    /// As [`FlowWriter::push`].
    pub fn finish(mut self) -> Result<Vec<FileEntry>, ArchiveError> {
        for open in std::mem::take(&mut self.open) {
            self.close(open)?;
        }
        self.stems.clear();
        Ok(std::mem::take(&mut self.done))
    }

    fn notices(&mut self, batch: &FlowBatch) -> Result<(), ArchiveError> {
        for notice in batch.notices() {
            let before = notice.before_row.checked_sub(1);
            let row = before.and_then(|row| batch.row(row).time());
            let at = match notice.time {
                NO_TIME => row.unwrap_or(self.last),
                time => time,
            };
            let mut kept = notice.clone();
            kept.raw = None;
            self.notice(at, kept)?;
        }
        if let Some(time) = batch
            .len()
            .checked_sub(1)
            .and_then(|row| batch.row(row).time())
        {
            self.last = time;
        }
        Ok(())
    }

    /// The rows of a batch by where they go.
    fn partitioned(&mut self, batch: &FlowBatch) -> Vec<((usize, i64), Vec<u32>)> {
        let mut found: Vec<((usize, i64), Vec<u32>)> = Vec::new();
        let mut clusters: HashMap<StrId, usize, foldhash::fast::RandomState> = HashMap::default();
        let mut last = (StrId(0), usize::MAX);
        let mut at = usize::MAX;
        for row in batch.rows() {
            let node = row.node();
            if last != (node, last.1) || last.1 == usize::MAX {
                let cluster = if let Some(&cluster) = clusters.get(&node) {
                    cluster
                } else {
                    let cluster = self.cluster(cluster_of(row.str(node)));
                    clusters.insert(node, cluster);
                    cluster
                };
                last = (node, cluster);
            }
            let key = (last.1, hour_of(row.time().unwrap_or(NO_TIME)));
            if found.get(at).is_none_or(|(same, _)| *same != key) {
                let known = found.iter().position(|(same, _)| *same == key);
                at = known.unwrap_or(found.len());
                if known.is_none() {
                    found.push((key, Vec::with_capacity(batch.len())));
                }
            }
            found[at].1.push(row.index() as u32);
        }
        if let Some(((cluster, _), _)) = found.get(at) {
            self.last_cluster = Some(*cluster);
        }
        found
    }

    fn cluster(&mut self, name: &str) -> usize {
        let known = |clusters: &[String], name: &str| clusters.iter().position(|own| own == name);
        if let Some(at) = known(&self.clusters, name) {
            return at;
        }
        if self.clusters.len() >= MOST_CLUSTERS {
            if let Some(at) = known(&self.clusters, OTHER_CLUSTER) {
                return at;
            }
            self.clusters.push(OTHER_CLUSTER.to_owned());
        } else {
            self.clusters.push(name.to_owned());
        }
        self.clusters.len() - 1
    }

    /// The part of a cluster and an hour, opened if it is not.
    fn part(&mut self, (cluster, hour): (usize, i64)) -> Result<usize, ArchiveError> {
        self.clock += 1;
        let same = |open: &OpenPart| open.cluster == cluster && open.hour == hour;
        if let Some(at) = self.open.iter().position(same) {
            self.open[at].used = self.clock;
            return Ok(at);
        }
        if self.open.len() >= MOST_OPEN {
            let oldest = self
                .open
                .iter()
                .enumerate()
                .min_by_key(|(_, open)| open.used);
            if let Some((at, _)) = oldest {
                let open = self.open.swap_remove(at);
                self.close(open)?;
            }
        }
        let number = self.done.len() + self.open.len();
        let name = &self.clusters[cluster];
        let stem = format!("{}/{}-{number:04}", folder(name, hour), self.name);
        self.stems.push(stem.clone());
        let part = Part::new(&self.folder, stem, name.clone(), self.options.with_uuid);
        self.open.push(OpenPart {
            cluster,
            hour,
            used: self.clock,
            part,
        });
        Ok(self.open.len() - 1)
    }

    fn close(&mut self, open: OpenPart) -> Result<(), ArchiveError> {
        let entry = open.part.finish(&mut self.collector, &mut self.encoder)?;
        self.done.push(entry);
        Ok(())
    }

    fn write_all(&mut self) -> Result<(), ArchiveError> {
        for open in &mut self.open {
            open.part.write(&mut self.collector, &mut self.encoder)?;
        }
        Ok(())
    }
}

impl Drop for FlowWriter {
    /// Removes the files of what was not finished: where a disk is full they are in the way.
    fn drop(&mut self) {
        for stem in &self.stems {
            for ending in [PART_ENDING, NOTICES_ENDING] {
                // What is left is removed at the next start.
                let _ = std::fs::remove_file(self.folder.join(format!("{stem}{ending}")));
            }
        }
    }
}

/// Hours since 1970; what has no time is of 1970.
fn hour_of(time: i64) -> i64 {
    if time == NO_TIME {
        0
    } else {
        time.div_euclid(HOUR)
    }
}

/// The cluster of a node, whose name begins with it.
fn cluster_of(node: &str) -> &str {
    match node.split_once('/') {
        Some((cluster, _)) if !cluster.is_empty() => cluster,
        _ => DEFAULT_CLUSTER,
    }
}

/// The folder of a cluster and an hour.
fn folder(cluster: &str, hour: i64) -> String {
    let start = i128::from(hour) * i128::from(HOUR);
    format!("cluster={}/{}", escaped(cluster), hour_folder(start))
}

/// The folder of an hour, by the nanoseconds of its beginning.
pub(super) fn hour_folder(start: i128) -> String {
    // Hours of 64-bit nanoseconds are times.
    let time = Timestamp::from_nanosecond(start).unwrap_or_default();
    let time = time.to_zoned(TimeZone::UTC);
    format!("date={}/hour={:02}", time.date(), time.hour())
}

/// A name that is safe in a path, and different for different names but for long ones.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if out.len() >= MOST_NAME {
            break;
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_safe_and_in_utc() {
        assert_eq!(
            folder("prod", 494_530),
            "cluster=prod/date=2026-06-01/hour=10"
        );
        assert_eq!(
            folder("../a b", -1),
            "cluster=..%2Fa%20b/date=1969-12-31/hour=23"
        );
        assert_eq!(cluster_of("prod/node-1"), "prod");
        assert_eq!(cluster_of("node-1"), "default");
        assert_eq!(cluster_of("/node-1"), "default");
    }
}
