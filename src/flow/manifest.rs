//! The manifest of an archive: which files it has, and what is in them.
//!
//! Owns its types, its JSON and its version. Does no I/O: reading files is `source`'s,
//! writing `archive`'s. What the manifest does not name does not exist, whatever lies
//! in the folders.

mod derived;

pub(crate) use derived::hex;
pub use derived::{HOUR, PoliciesEntry, RollupEntry};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Completeness, Span};

/// Name of the file, in the archive's folder.
pub const MANIFEST_NAME: &str = "manifest.json";
/// Version of what [`Manifest::to_json`] writes.
pub const MANIFEST_VERSION: u64 = 1;
/// Nodes that are told apart in one file; the rows of further ones are there unnamed.
pub const MOST_NODES: usize = 10_000;

/// What an archive has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Program that wrote it last.
    pub generator: String,
    /// The recordings, in no order.
    pub files: Vec<FileEntry>,
    /// Journals whose rows are in `files`: if one is still there, it is to be deleted.
    pub sealed: Vec<String>,
    /// What was made of the recordings, an hour each, in no order.
    pub rollups: Vec<RollupEntry>,
    /// Policies that are or were in force, by when that began.
    pub policies: Vec<PoliciesEntry>,
    /// What was said of the agents and of how to judge beside the policies, each in the
    /// words of whoever said it. Sums are to be of these.
    pub options: Vec<String>,
}

/// One recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileEntry {
    /// Below the archive's folder, with `/`.
    pub path: String,
    /// Flows.
    pub rows: u64,
    /// Size.
    pub bytes: u64,
    /// Checksum of the whole file.
    pub crc32: u32,
    /// Earliest and latest time of a flow in nanoseconds; `None` where none has a time.
    pub span: Option<(i64, i64)>,
    /// Whether flows without a time are among them.
    pub untimed: bool,
    /// Cluster of the nodes, as in the path.
    pub cluster: String,
    /// The observing nodes.
    pub nodes: Vec<NodeEntry>,
    /// Version of the columns.
    pub schema_version: u32,
    /// Whether uuids were kept.
    pub with_uuid: bool,
    /// Lost events, states of nodes and holes, where there are any.
    pub notices: Option<NoticesEntry>,
}

/// What one node contributed to a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeEntry {
    /// Its name.
    pub name: String,
    /// Flows.
    pub rows: u64,
    /// Its first and last flow in nanoseconds.
    pub span: Option<(i64, i64)>,
}

/// The file of a recording's notices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticesEntry {
    /// Below the archive's folder, with `/`.
    pub path: String,
    /// Notices.
    pub rows: u64,
    /// Size.
    pub bytes: u64,
    /// Checksum of the whole file.
    pub crc32: u32,
    /// Events they say were lost.
    pub lost: u64,
    /// Earliest and latest time of their places in nanoseconds.
    pub span: Option<(i64, i64)>,
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON.
    #[error("the manifest is not JSON: {0}")]
    Syntax(serde_json::Error),
    /// A value is missing or of another kind.
    #[error("the manifest's {place} is missing or not what it should be")]
    Value {
        /// Where, such as `files[3].rows`.
        place: String,
    },
    /// Written by a newer program.
    #[error(
        "the manifest has version {found}, and this program reads up to {MANIFEST_VERSION}: use a newer one"
    )]
    Newer {
        /// Its version.
        found: u64,
    },
}

impl FileEntry {
    /// Whether a flow of it can be in `since..=until`. A flow without a time counts as
    /// one of 1970.
    #[must_use]
    pub fn reaches(&self, since: i64, until: i64) -> bool {
        let timed = self
            .span
            .is_some_and(|(first, last)| first <= until && last >= since);
        timed || (self.untimed && since <= 0 && until >= 0)
    }

    /// Whether a notice of it can be in `since..=until`.
    #[must_use]
    pub fn notices_reach(&self, since: i64, until: i64) -> bool {
        self.notices.as_ref().is_some_and(|notices| {
            notices
                .span
                .is_none_or(|(first, last)| first <= until && last >= since)
        })
    }
}

impl Manifest {
    /// Time of the first flow in nanoseconds, `None` where no flow has one.
    #[must_use]
    pub fn begin(&self) -> Option<i64> {
        let spans = self.files.iter().filter_map(|file| file.span);
        spans.map(|(first, _)| first).min()
    }

    /// Flows in all files.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Bytes of all files with flows and notices.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let notices = |file: &FileEntry| file.notices.as_ref().map_or(0, |notices| notices.bytes);
        self.files
            .iter()
            .map(|file| file.bytes + notices(file))
            .sum()
    }

    /// Adds the spans in which nodes were seen: from a node's first to its last flow of
    /// each file.
    pub fn watch(&self, completeness: &mut Completeness) {
        for node in self.files.iter().flat_map(|file| &file.nodes) {
            let Some((first, last)) = node.span else {
                continue;
            };
            let time = |at: i64| Timestamp::from_nanosecond(at.into());
            if let (Ok(start), Ok(end)) = (time(first), time(last.saturating_add(1)))
                && let Ok(span) = Span::new(start, end)
            {
                completeness.watch(&node.name, span);
            }
        }
    }

    /// As JSON, for people too.
    #[must_use]
    pub fn to_json(&self) -> String {
        let files: Vec<Value> = self.files.iter().map(file_to_json).collect();
        let mut whole = json!({
            "version": MANIFEST_VERSION,
            "generator": self.generator,
            "sealed_journals": self.sealed,
            "files": files,
        });
        derived::to_json(self, &mut whole);
        // A `Value` always has a text form.
        let mut text = format!("{whole:#}");
        text.push('\n');
        text
    }

    /// Reads what [`Manifest::to_json`] wrote.
    ///
    /// # Errors
    /// [`ManifestError`]; a path that leaves the archive's folder is one.
    pub fn from_json(text: &[u8]) -> Result<Self, ManifestError> {
        let whole: Value = serde_json::from_slice(text).map_err(ManifestError::Syntax)?;
        let at = Place {
            object: whole.as_object(),
            name: String::new(),
        };
        match at.number("version")? {
            MANIFEST_VERSION => {}
            found if found > MANIFEST_VERSION => return Err(ManifestError::Newer { found }),
            _ => return Err(at.wrong("version")),
        }
        let files = at.array("files")?.iter().enumerate().map(|(index, file)| {
            file_from_json(&Place {
                object: file.as_object(),
                name: format!("files[{index}]."),
            })
        });
        let sealed = at.array("sealed_journals")?.iter().map(|id| {
            id.as_str()
                .map(str::to_owned)
                .ok_or_else(|| at.wrong("sealed_journals"))
        });
        Ok(Self {
            generator: at.text("generator")?.to_owned(),
            files: files.collect::<Result<_, _>>()?,
            sealed: sealed.collect::<Result<_, _>>()?,
            rollups: derived::rollups(&at)?,
            policies: derived::policies(&at)?,
            options: derived::options(&at)?,
        })
    }
}

fn file_to_json(file: &FileEntry) -> Value {
    let mut out = json!({
        "path": file.path,
        "rows": file.rows,
        "bytes": file.bytes,
        "crc32": format!("{:08x}", file.crc32),
        "cluster": file.cluster,
        "schema_version": file.schema_version,
        "with_uuid": file.with_uuid,
        "nodes": file.nodes.iter().map(|node| {
            let mut out = json!({"name": node.name, "rows": node.rows});
            put_span(&mut out, node.span);
            out
        }).collect::<Vec<_>>(),
    });
    put_span(&mut out, file.span);
    if file.untimed {
        out["untimed"] = true.into();
    }
    if let Some(notices) = &file.notices {
        let mut entry = json!({
            "path": notices.path,
            "rows": notices.rows,
            "bytes": notices.bytes,
            "crc32": format!("{:08x}", notices.crc32),
            "lost": notices.lost,
        });
        put_span(&mut entry, notices.span);
        out["notices"] = entry;
    }
    out
}

/// Times as text: numbers of that size lose digits in other programs' JSON.
fn put_span(out: &mut Value, span: Option<(i64, i64)>) {
    if let Some((first, last)) = span {
        out["first"] = time_text(first).into();
        out["last"] = time_text(last).into();
    }
}

fn time_text(at: i64) -> String {
    match Timestamp::from_nanosecond(at.into()) {
        Ok(time) => format!("{time:.9}"),
        // Every 64-bit number of nanoseconds is a time.
        Err(_) => String::new(),
    }
}

fn file_from_json(at: &Place<'_>) -> Result<FileEntry, ManifestError> {
    let nodes = at.array("nodes")?.iter().enumerate().map(|(index, node)| {
        let at = Place {
            object: node.as_object(),
            name: format!("{}nodes[{index}].", at.name),
        };
        Ok(NodeEntry {
            name: at.text("name")?.to_owned(),
            rows: at.number("rows")?,
            span: at.span()?,
        })
    });
    let notices = match at.get("notices") {
        None => None,
        Some(notices) => {
            let at = Place {
                object: notices.as_object(),
                name: format!("{}notices.", at.name),
            };
            Some(NoticesEntry {
                path: at.path()?,
                rows: at.number("rows")?,
                bytes: at.number("bytes")?,
                crc32: at.crc32()?,
                lost: at.number("lost")?,
                span: at.span()?,
            })
        }
    };
    let version = at.number("schema_version")?;
    Ok(FileEntry {
        path: at.path()?,
        rows: at.number("rows")?,
        bytes: at.number("bytes")?,
        crc32: at.crc32()?,
        span: at.span()?,
        untimed: at.flag("untimed")?,
        cluster: at.text("cluster")?.to_owned(),
        nodes: nodes.collect::<Result<_, ManifestError>>()?,
        schema_version: u32::try_from(version).map_err(|_| at.wrong("schema_version"))?,
        with_uuid: at.flag("with_uuid")?,
        notices,
    })
}

/// An object and where it is.
struct Place<'a> {
    object: Option<&'a Map<String, Value>>,
    name: String,
}

impl<'a> Place<'a> {
    fn wrong(&self, key: &str) -> ManifestError {
        ManifestError::Value {
            place: format!("{}{key}", self.name),
        }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.object?.get(key)
    }

    fn read<T>(
        &self,
        key: &str,
        of: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, ManifestError> {
        self.get(key).and_then(of).ok_or_else(|| self.wrong(key))
    }

    fn number(&self, key: &str) -> Result<u64, ManifestError> {
        self.read(key, Value::as_u64)
    }

    fn text(&self, key: &str) -> Result<&'a str, ManifestError> {
        self.read(key, Value::as_str)
    }

    fn array(&self, key: &str) -> Result<&'a [Value], ManifestError> {
        self.read(key, |value| value.as_array().map(Vec::as_slice))
    }

    /// False where it is missing.
    fn flag(&self, key: &str) -> Result<bool, ManifestError> {
        match self.get(key) {
            None => Ok(false),
            Some(_) => self.read(key, Value::as_bool),
        }
    }

    fn crc32(&self) -> Result<u32, ManifestError> {
        self.read("crc32", |value| {
            u32::from_str_radix(value.as_str()?, 16).ok()
        })
    }

    /// The objects of a list that may be missing.
    fn objects(&self, key: &'a str) -> Result<Vec<Place<'a>>, ManifestError> {
        if self.get(key).is_none() {
            return Ok(Vec::new());
        }
        let objects = self.array(key)?.iter().enumerate();
        Ok(objects
            .map(|(index, object)| Place {
                object: object.as_object(),
                name: format!("{}{key}[{index}].", self.name),
            })
            .collect())
    }

    fn time(&self, key: &str) -> Result<i64, ManifestError> {
        self.read(key, |value| {
            let time: Timestamp = value.as_str()?.parse().ok()?;
            i64::try_from(time.as_nanosecond()).ok()
        })
    }

    /// A path that stays below the archive's folder.
    fn path(&self) -> Result<String, ManifestError> {
        let path = self.text("path")?;
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if path.contains(['\\', '\0']) || !path.split('/').all(plain) {
            return Err(self.wrong("path"));
        }
        Ok(path.to_owned())
    }

    fn span(&self) -> Result<Option<(i64, i64)>, ManifestError> {
        if self.get("first").is_none() && self.get("last").is_none() {
            return Ok(None);
        }
        Ok(Some((self.time("first")?, self.time("last")?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            generator: "flowwatch 0.1.0".to_owned(),
            sealed: vec!["0007".to_owned()],
            files: vec![FileEntry {
                path: "cluster=c/date=2026-06-01/hour=10/a.parquet".to_owned(),
                rows: 3,
                bytes: 1000,
                crc32: 0xdead_beef,
                span: Some((1_780_308_000_000_000_001, 1_780_308_000_000_000_002)),
                untimed: true,
                cluster: "c".to_owned(),
                nodes: vec![NodeEntry {
                    name: "c/n".to_owned(),
                    rows: 3,
                    span: None,
                }],
                schema_version: 2,
                with_uuid: true,
                notices: Some(NoticesEntry {
                    path: "cluster=c/date=2026-06-01/hour=10/a.notices.parquet".to_owned(),
                    rows: 1,
                    bytes: 20,
                    crc32: 1,
                    lost: 9,
                    span: Some((i64::MIN + 1, i64::MAX)),
                }),
            }],
            ..Manifest::default()
        }
    }

    #[test]
    fn a_manifest_comes_back() {
        let manifest = manifest();
        let text = manifest.to_json();
        assert_eq!(Manifest::from_json(text.as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        let text = manifest().to_json();
        for (from, to, says) in [
            ("\"version\": 1", "\"version\": 2", "use a newer one"),
            ("\"rows\": 3", "\"rows\": -3", "files[0].rows"),
            ("cluster=c/date", "../date", ".path"),
            ("\"path\": \"cluster", "\"path\": \"/cluster", "files[0]."),
            ("\"files\"", "\"folders\"", "files"),
            ("deadbeef", "deadbeefs", "files[0].crc32"),
        ] {
            let text = text.replace(from, to);
            let error = Manifest::from_json(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
        assert!(Manifest::from_json(b"{").is_err());
    }

    #[test]
    fn a_file_reaches_its_times_and_1970_where_some_have_none() {
        let file = FileEntry {
            span: Some((100, 200)),
            ..FileEntry::default()
        };
        assert!(file.reaches(200, 300) && file.reaches(0, 100) && file.reaches(120, 130));
        assert!(!file.reaches(201, 300) && !file.reaches(0, 99));
        let untimed = FileEntry {
            untimed: true,
            ..file
        };
        assert!(untimed.reaches(0, 99) && !untimed.reaches(201, 300));
    }
}
