//! What an archive has beside recordings: sums of their hours, and which policies were in
//! force when.
//!
//! Owns these entries of the manifest. An archive without them, and a program that does not
//! know them, is as good as before. Whether a sum is of the recordings that are there now
//! is for `archive` to say.

use std::fmt::Write as _;

use ring::digest::{Context, SHA256};
use serde_json::{Value, json};

use super::{Manifest, ManifestError, Place, time_text};

/// Nanoseconds of an hour, the part of a cluster's flows that has a folder.
pub const HOUR: i64 = 3_600_000_000_000;
/// Bytes of a stamp: as unlikely to be met twice as a name.
const STAMP_BYTES: usize = 16;

/// The sums of the connections of one hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollupEntry {
    /// Below the archive's folder, with `/`.
    pub path: String,
    /// When the hour begins, in nanoseconds.
    pub hour: i64,
    /// Rows of sums.
    pub rows: u64,
    /// Connections that began in the hour.
    pub connections: u64,
    /// Size.
    pub bytes: u64,
    /// Checksum of the whole file.
    pub crc32: u32,
    /// Version of its columns.
    pub schema_version: u32,
    /// Hashes of the policies by which the connections were judged, in the order of time;
    /// none where nothing was judged.
    pub policies: Vec<String>,
    /// The options under which they were, as [`Manifest::options`] has them; empty where
    /// nothing was judged.
    pub options: Vec<String>,
    /// [`Manifest::stamp`] of the recordings it was made from.
    pub made_from: String,
}

/// Policies and since when they are in force, which is until the next ones are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoliciesEntry {
    /// SHA-256 of their file, in hexadecimal digits.
    pub hash: String,
    /// Since when in nanoseconds; `None` for ever.
    pub since: Option<i64>,
}

impl PoliciesEntry {
    /// Their file, below the archive's folder.
    #[must_use]
    pub fn path(&self) -> String {
        Self::path_of(&self.hash)
    }

    /// The file of the policies with a hash.
    #[must_use]
    pub fn path_of(hash: &str) -> String {
        format!("policies/{hash}.yaml")
    }
}

impl Manifest {
    /// Beginnings of the hours that have flows, in nanoseconds and in order. Flows without
    /// a time are of the first hour of 1970.
    #[must_use]
    pub fn hours(&self) -> Vec<i64> {
        let mut hours: Vec<i64> = Vec::new();
        for file in &self.files {
            hours.extend(file.span.map(|(first, _)| first.div_euclid(HOUR) * HOUR));
            hours.extend(file.untimed.then_some(0));
        }
        hours.sort_unstable();
        hours.dedup();
        hours
    }

    /// Names the recordings that may have flows of `since..=until`: another stamp, other
    /// recordings.
    #[must_use]
    pub fn stamp(&self, since: i64, until: i64) -> String {
        let files = self.files.iter();
        let mut paths: Vec<&str> = files
            .filter(|file| file.reaches(since, until))
            .map(|file| file.path.as_str())
            .collect();
        paths.sort_unstable();
        let mut hash = Context::new(&SHA256);
        for path in paths {
            hash.update(path.as_bytes());
            hash.update(b"\n");
        }
        hex(&hash.finish().as_ref()[..STAMP_BYTES])
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn to_json(manifest: &Manifest, whole: &mut Value) {
    if !manifest.rollups.is_empty() {
        let rollups = manifest.rollups.iter().map(|rollup| {
            let mut entry = json!({
                "path": rollup.path,
                "hour": time_text(rollup.hour),
                "rows": rollup.rows,
                "connections": rollup.connections,
                "bytes": rollup.bytes,
                "crc32": format!("{:08x}", rollup.crc32),
                "schema_version": rollup.schema_version,
                "policies": rollup.policies,
                "made_from": rollup.made_from,
            });
            put_options(&mut entry, &rollup.options);
            entry
        });
        whole["rollups"] = rollups.collect();
    }
    put_options(whole, &manifest.options);
    if !manifest.policies.is_empty() {
        let policies = manifest.policies.iter().map(|policies| {
            let mut entry = json!({"hash": policies.hash});
            if let Some(since) = policies.since {
                entry["since"] = time_text(since).into();
            }
            entry
        });
        whole["policies"] = policies.collect();
    }
}

fn put_options(out: &mut Value, options: &[String]) {
    if !options.is_empty() {
        out["options"] = options.into();
    }
}

/// The options of an object; none where it says nothing of them.
pub(super) fn options(at: &Place<'_>) -> Result<Vec<String>, ManifestError> {
    if at.get("options").is_none() {
        return Ok(Vec::new());
    }
    let options = at.array("options")?.iter().map(|option| {
        let option = option.as_str().map(str::to_owned);
        option.ok_or_else(|| at.wrong("options"))
    });
    options.collect()
}

pub(super) fn rollups(whole: &Place<'_>) -> Result<Vec<RollupEntry>, ManifestError> {
    let rollups = whole.objects("rollups")?;
    let rollups = rollups.iter().map(|at| {
        let version = at.number("schema_version")?;
        let policies = at.array("policies")?.iter().map(|hash| {
            let hash = hash.as_str().filter(|hash| is_hash(hash));
            hash.map(str::to_owned).ok_or_else(|| at.wrong("policies"))
        });
        Ok(RollupEntry {
            path: at.path()?,
            hour: at.time("hour")?,
            rows: at.number("rows")?,
            connections: at.number("connections")?,
            bytes: at.number("bytes")?,
            crc32: at.crc32()?,
            schema_version: u32::try_from(version).map_err(|_| at.wrong("schema_version"))?,
            policies: policies.collect::<Result<_, _>>()?,
            options: options(at)?,
            made_from: at.text("made_from")?.to_owned(),
        })
    });
    rollups.collect()
}

pub(super) fn policies(whole: &Place<'_>) -> Result<Vec<PoliciesEntry>, ManifestError> {
    let policies = whole.objects("policies")?;
    let policies = policies.iter().map(|at| {
        let hash = at.text("hash")?;
        if !is_hash(hash) {
            return Err(at.wrong("hash"));
        }
        let since = match at.get("since") {
            None => None,
            Some(_) => Some(at.time("since")?),
        };
        Ok(PoliciesEntry {
            hash: hash.to_owned(),
            since,
        })
    });
    policies.collect()
}

/// It names a file: nothing but digits may.
fn is_hash(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 64 && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::FileEntry;

    fn file(path: &str, span: (i64, i64)) -> FileEntry {
        FileEntry {
            path: path.to_owned(),
            span: Some(span),
            ..FileEntry::default()
        }
    }

    fn manifest() -> Manifest {
        Manifest {
            files: vec![
                file("a/1", (HOUR, 2 * HOUR - 1)),
                file("a/2", (5 * HOUR + 3, 5 * HOUR + 9)),
            ],
            rollups: vec![RollupEntry {
                path: "rollup/a".to_owned(),
                hour: HOUR,
                rows: 1,
                connections: 2,
                bytes: 3,
                crc32: 4,
                schema_version: 5,
                policies: vec!["0f".repeat(32)],
                options: vec!["enable-policy=always".to_owned()],
                made_from: "6".to_owned(),
            }],
            policies: vec![
                PoliciesEntry {
                    hash: "0f".repeat(32),
                    since: None,
                },
                PoliciesEntry {
                    hash: "1e".repeat(32),
                    since: Some(7),
                },
            ],
            options: vec!["enable-policy=always".to_owned(), "strict".to_owned()],
            ..Manifest::default()
        }
    }

    #[test]
    fn what_was_made_comes_back() {
        let manifest = manifest();
        let text = manifest.to_json();
        assert_eq!(Manifest::from_json(text.as_bytes()).unwrap(), manifest);
        for (from, to, says) in [
            ("rollup/a", "../a", "rollups[0].path"),
            ("1e1e", "/e1e", "policies[1].hash"),
            ("\"rows\": 1", "\"rows\": \"1\"", "rollups[0].rows"),
            ("\"enable-policy=always\"", "7", "rollups[0].options"),
            ("\"strict\"", "7", "manifest's options"),
        ] {
            let error = Manifest::from_json(text.replace(from, to).as_bytes()).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn a_stamp_is_of_the_files_that_reach_a_span() {
        let mut manifest = manifest();
        let (near, all) = (manifest.stamp(0, 4 * HOUR), manifest.stamp(0, 9 * HOUR));
        assert_ne!(near, all);
        manifest.files.reverse();
        assert_eq!(manifest.stamp(0, 9 * HOUR), all);
        manifest.files.push(file("a/3", (5 * HOUR, 5 * HOUR)));
        assert_ne!(manifest.stamp(0, 9 * HOUR), all);
        assert_eq!(manifest.stamp(0, 4 * HOUR), near);
        assert_eq!(manifest.hours(), [HOUR, 5 * HOUR]);
    }
}
