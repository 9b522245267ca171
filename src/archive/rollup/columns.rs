//! Rollups as Parquet files.
//!
//! Owns the columns and their version, and both ways through them. Columns that `client_`
//! and `server_`, `egress_` and `ingress_` have in common are named as those of flows are
//! where they mean the same.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, StringArray,
    TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::{Int32Type, SchemaRef, TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow::error::ArrowError;

use super::row::{Answer, Began, Encryption, RollupKey, RollupRow, RollupSide, RollupSums};
use crate::connection::{Opening, Outcome, Peer};
use crate::engine::Rule;
use crate::flow::{DropReason, Protocol, join, split};
use crate::policy::Gap;

/// Version of the columns of rollups.
pub const ROLLUP_VERSION: u32 = 1;

/// What becomes of connections, by its word.
const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Forwarded, "forwarded"),
    (Outcome::RequestDenied, "request-denied"),
    (Outcome::Audited, "audited"),
    (Outcome::Dropped(DropReason(0)), "dropped"),
    (Outcome::Error, "error"),
];
/// Gaps by their words.
const GAPS: [(Gap, &str); 3] = [
    (Gap::NotSelected, "not-selected"),
    (Gap::NoDefaultDeny, "no-default-deny"),
    (Gap::OnlyBroad, "only-broad"),
];

/// A column that is missing or holds what nobody writes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("column {column} of a rollup is missing or not what it should be")]
pub(super) struct ColumnError {
    column: String,
}

/// The columns of the files.
///
/// # Errors
/// Those of Arrow, which would be a bug here.
pub fn rollup_schema() -> Result<SchemaRef, ArrowError> {
    encode(&[]).map(|record| record.schema())
}

/// Rows as columns.
///
/// # Errors
/// Those of Arrow, which would be a bug here.
pub fn encode(rows: &[RollupRow]) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let mut add = |name: &str, array: ArrayRef| columns.push((name.to_owned(), array));
    add("hour", times(rows.iter().map(|row| Some(row.hour))));
    for (end, of) in [
        ("client", (|key| &key.client) as fn(&RollupKey) -> &Peer),
        ("server", |key| &key.server),
    ] {
        let parts: Vec<PeerParts> = rows.iter().map(|row| PeerParts::of(of(&row.key))).collect();
        add(
            &format!("{end}_is"),
            texts(parts.iter().map(|parts| parts.is)),
        );
        add(
            &format!("{end}_cluster"),
            texts(parts.iter().map(|parts| parts.cluster)),
        );
        add(
            &format!("{end}_namespace"),
            texts(parts.iter().map(|parts| parts.namespace)),
        );
        add(
            &format!("{end}_workload_kind"),
            texts(parts.iter().map(|parts| parts.kind)),
        );
        add(
            &format!("{end}_name"),
            texts(parts.iter().map(|parts| &parts.name)),
        );
    }
    let ports = rows.iter().map(|row| u32::from(row.key.port));
    add("port", Arc::new(UInt32Array::from_iter_values(ports)));
    add(
        "protocol",
        texts(rows.iter().map(|row| row.key.protocol.name())),
    );
    let began = |row: &RollupRow| row.key.began.clone().unwrap_or_default();
    let is_there = rows.iter().map(|row| Some(row.key.began.is_some()));
    add("began", Arc::new(is_there.collect::<BooleanArray>()));
    let missed = rows
        .iter()
        .map(|row| Some(began(row).opening == Opening::Missed));
    add("opening_missed", Arc::new(missed.collect::<BooleanArray>()));
    add(
        "outcome",
        texts(
            rows.iter()
                .map(|row| word(&OUTCOMES, kind_of(began(row).outcome))),
        ),
    );
    let reasons = rows.iter().map(|row| match began(row).outcome {
        Outcome::Dropped(reason) => Some(reason.0),
        _ => None,
    });
    add("drop_reason", Arc::new(reasons.collect::<Int32Array>()));
    add(
        "encryption",
        texts(rows.iter().map(|row| began(row).encryption.name())),
    );
    for (direction, of) in [
        ("egress", (|began| began.egress) as fn(Began) -> RollupSide),
        ("ingress", |began| began.ingress),
    ] {
        let sides: Vec<RollupSide> = rows.iter().map(|row| of(began(row))).collect();
        add_side(direction, &sides, &mut add);
    }
    for (name, of) in SUMS {
        let sums = rows.iter().map(|row| of(&row.sums));
        add(name, Arc::new(UInt64Array::from_iter_values(sums)));
    }
    add(
        "first",
        times(rows.iter().map(|row| Some(row.sums.span()?.0))),
    );
    add(
        "last",
        times(rows.iter().map(|row| Some(row.sums.span()?.1))),
    );
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
}

/// The name of a sum's column, and the sum.
type Sum = (&'static str, fn(&RollupSums) -> u64);

/// The sums by the names of their columns.
const SUMS: [Sum; 7] = [
    ("connections", |sums| sums.connections),
    ("ongoing", |sums| sums.ongoing),
    ("rows", |sums| sums.rows),
    ("attempts", |sums| sums.attempts),
    ("answered", |sums| sums.answered),
    ("resets", |sums| sums.resets),
    ("exchanges", |sums| sums.exchanges),
];

fn add_side(direction: &str, sides: &[RollupSide], add: &mut impl FnMut(&str, ArrayRef)) {
    let name = |column: &str| format!("{direction}_{column}");
    let recorded = sides.iter().map(|side| Some(side.recorded?.0));
    add(&name("verdict"), Arc::new(recorded.collect::<Int32Array>()));
    let kinds = sides.iter().map(|side| Some(side.recorded?.1));
    add(
        &name("match_type"),
        Arc::new(kinds.collect::<UInt32Array>()),
    );
    let computed = sides
        .iter()
        .map(|side| side.computed.map_or("", Answer::name));
    add(&name("computed"), texts(computed));
    add(&name("cause"), texts(sides.iter().map(|side| &*side.cause)));
    let policies = sides
        .iter()
        .map(|side| join(side.rules.iter().map(|rule| &*rule.policy)));
    add(
        &name("policies"),
        Arc::new(policies.collect::<StringArray>()),
    );
    let places = sides.iter().map(|side| {
        let places: Vec<String> = side.rules.iter().map(place).collect();
        join(places.iter().map(String::as_str))
    });
    add(&name("rules"), Arc::new(places.collect::<StringArray>()));
    let gaps = sides
        .iter()
        .map(|side| side.gap.map_or("", |gap| word(&GAPS, gap)));
    add(&name("gap"), texts(gaps));
    let drifts = sides.iter().map(|side| Some(side.drift));
    add(&name("drift"), Arc::new(drifts.collect::<BooleanArray>()));
    let changed = sides.iter().map(|side| Some(side.changed));
    add(
        &name("changed"),
        Arc::new(changed.collect::<BooleanArray>()),
    );
}

/// `policies/HASH.yaml:12`; empty for what is the agent's own.
fn place(rule: &Rule) -> String {
    if rule.file.is_empty() {
        String::new()
    } else {
        format!("{}:{}", rule.file, rule.line)
    }
}

/// A peer as texts.
struct PeerParts<'a> {
    is: &'static str,
    cluster: &'a str,
    namespace: &'a str,
    kind: &'a str,
    name: String,
}

impl<'a> PeerParts<'a> {
    fn of(peer: &'a Peer) -> Self {
        let named = |is, name: &str| Self {
            is,
            cluster: "",
            namespace: "",
            kind: "",
            name: name.to_owned(),
        };
        match peer {
            Peer::Workload {
                cluster,
                namespace,
                kind,
                name,
            } => Self {
                is: "workload",
                cluster,
                namespace,
                kind,
                name: name.to_string(),
            },
            Peer::Entity(name) => named("entity", name),
            Peer::Name(name) => named("name", name),
            Peer::Prefix(prefix) => named("prefix", &prefix.to_string()),
            Peer::Unknown => named("unknown", ""),
            Peer::Others => named("others", ""),
        }
    }
}

fn kind_of(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Dropped(_) => Outcome::Dropped(DropReason(0)),
        outcome => outcome,
    }
}

fn word<T: Copy + PartialEq>(words: &[(T, &'static str)], value: T) -> &'static str {
    let found = words.iter().find(|(known, _)| *known == value);
    found.map_or("", |(_, word)| word)
}

fn texts<T: AsRef<str>>(texts: impl Iterator<Item = T>) -> ArrayRef {
    // No text is none: columns that say nothing cost nothing.
    let texts = texts.map(|text| Some(text).filter(|text| !text.as_ref().is_empty()));
    Arc::new(texts.collect::<StringArray>())
}

fn times(times: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    let times = times.collect::<TimestampNanosecondArray>();
    Arc::new(times.with_timezone("UTC"))
}

/// The rows of columns.
pub(super) fn decode(record: &RecordBatch) -> Result<Vec<RollupRow>, ColumnError> {
    let columns = Columns { record };
    (0..record.num_rows()).map(|row| columns.row(row)).collect()
}

struct Columns<'a> {
    record: &'a RecordBatch,
}

impl Columns<'_> {
    fn row(&self, row: usize) -> Result<RollupRow, ColumnError> {
        let mut sums = RollupSums::default();
        let numbers: [&mut u64; 7] = [
            &mut sums.connections,
            &mut sums.ongoing,
            &mut sums.rows,
            &mut sums.attempts,
            &mut sums.answered,
            &mut sums.resets,
            &mut sums.exchanges,
        ];
        for (number, (name, _)) in numbers.into_iter().zip(SUMS) {
            *number = self.sum(name, row)?;
        }
        if let (Some(first), Some(last)) = (self.time("first", row)?, self.time("last", row)?) {
            (sums.first, sums.last) = (first, last);
        }
        Ok(RollupRow {
            hour: self.time("hour", row)?.ok_or_else(|| wrong("hour"))?,
            key: self.key(row)?,
            sums,
        })
    }

    fn key(&self, row: usize) -> Result<RollupKey, ColumnError> {
        let protocol = self.text("protocol", row)?;
        let protocol = Protocol::ALL
            .into_iter()
            .find(|known| known.name() == protocol);
        let port = self.number("port", row)?.unwrap_or_default();
        Ok(RollupKey {
            client: self.peer("client", row)?,
            server: self.peer("server", row)?,
            port: u16::try_from(port).map_err(|_| wrong("port"))?,
            protocol: protocol.ok_or_else(|| wrong("protocol"))?,
            began: if self.flag("began", row)? {
                Some(self.began(row)?)
            } else {
                None
            },
        })
    }

    fn began(&self, row: usize) -> Result<Began, ColumnError> {
        let outcome = find(&OUTCOMES, self.text("outcome", row)?);
        let outcome = match outcome.ok_or_else(|| wrong("outcome"))? {
            Outcome::Dropped(_) => {
                let reason = self.signed("drop_reason", row)?;
                Outcome::Dropped(DropReason(reason.unwrap_or_default()))
            }
            outcome => outcome,
        };
        let encryption = self.text("encryption", row)?;
        let encryption = Encryption::ALL
            .into_iter()
            .find(|known| known.name() == encryption);
        Ok(Began {
            opening: if self.flag("opening_missed", row)? {
                Opening::Missed
            } else {
                Opening::Seen
            },
            outcome,
            encryption: encryption.ok_or_else(|| wrong("encryption"))?,
            egress: self.side("egress", row)?,
            ingress: self.side("ingress", row)?,
        })
    }

    fn side(&self, direction: &str, row: usize) -> Result<RollupSide, ColumnError> {
        let name = |column: &str| format!("{direction}_{column}");
        let recorded = self.signed(&name("verdict"), row)?;
        let match_type = self.number(&name("match_type"), row)?;
        let computed = match self.text(&name("computed"), row)? {
            "" => None,
            word => {
                let known = Answer::ALL.into_iter().find(|known| known.name() == word);
                Some(known.ok_or_else(|| wrong(&name("computed")))?)
            }
        };
        let gap = match self.text(&name("gap"), row)? {
            "" => None,
            word => Some(find(&GAPS, word).ok_or_else(|| wrong(&name("gap")))?),
        };
        Ok(RollupSide {
            recorded: recorded.map(|verdict| (verdict, match_type.unwrap_or_default())),
            computed,
            cause: self.text(&name("cause"), row)?.into(),
            rules: self.rules(direction, row)?,
            gap,
            drift: self.flag(&name("drift"), row)?,
            changed: self.flag(&name("changed"), row)?,
        })
    }

    fn rules(&self, direction: &str, row: usize) -> Result<Arc<[Rule]>, ColumnError> {
        let (policies, places) = (
            format!("{direction}_policies"),
            format!("{direction}_rules"),
        );
        let array = self.strings(&policies)?;
        if array.is_null(row) {
            return Ok(Arc::default());
        }
        let names = split(array.value(row));
        let at = split(self.text(&places, row)?);
        if names.len() != at.len() {
            return Err(wrong(&places));
        }
        let rules = names.into_iter().zip(at).map(|(policy, place)| {
            let (file, line) = match place.rsplit_once(':') {
                Some((file, line)) => (file, line.parse().map_err(|_| wrong(&places))?),
                None => ("", 0),
            };
            Ok(Rule {
                policy: policy.into(),
                file: file.into(),
                line,
            })
        });
        rules.collect()
    }

    fn peer(&self, end: &str, row: usize) -> Result<Peer, ColumnError> {
        let part = |column: &str| self.text(&format!("{end}_{column}"), row);
        let name = part("name")?;
        Ok(match part("is")? {
            "workload" => Peer::Workload {
                cluster: part("cluster")?.into(),
                namespace: part("namespace")?.into(),
                kind: part("workload_kind")?.into(),
                name: name.into(),
            },
            "entity" => Peer::Entity(name.into()),
            "name" => Peer::Name(name.into()),
            "prefix" => {
                let prefix = name.parse();
                Peer::Prefix(prefix.map_err(|_| wrong(&format!("{end}_name")))?)
            }
            "unknown" => Peer::Unknown,
            "others" => Peer::Others,
            _ => return Err(wrong(&format!("{end}_is"))),
        })
    }

    fn column(&self, name: &str) -> Result<&dyn Array, ColumnError> {
        let column = self.record.column_by_name(name);
        column.map(AsRef::as_ref).ok_or_else(|| wrong(name))
    }

    fn strings(&self, name: &str) -> Result<&StringArray, ColumnError> {
        let column = self.column(name)?.as_string_opt::<i32>();
        column.ok_or_else(|| wrong(name))
    }

    /// Empty where there is none.
    fn text(&self, name: &str, row: usize) -> Result<&str, ColumnError> {
        let strings = self.strings(name)?;
        Ok(if strings.is_null(row) {
            ""
        } else {
            strings.value(row)
        })
    }

    fn flag(&self, name: &str, row: usize) -> Result<bool, ColumnError> {
        let column = self.column(name)?.as_boolean_opt();
        let column = column.ok_or_else(|| wrong(name))?;
        Ok(column.is_valid(row) && column.value(row))
    }

    fn sum(&self, name: &str, row: usize) -> Result<u64, ColumnError> {
        let column = self.column(name)?.as_primitive_opt::<UInt64Type>();
        let column = column.ok_or_else(|| wrong(name))?;
        Ok(if column.is_null(row) {
            0
        } else {
            column.value(row)
        })
    }

    fn number(&self, name: &str, row: usize) -> Result<Option<u32>, ColumnError> {
        let column = self.column(name)?.as_primitive_opt::<UInt32Type>();
        let column = column.ok_or_else(|| wrong(name))?;
        Ok(column.is_valid(row).then(|| column.value(row)))
    }

    fn signed(&self, name: &str, row: usize) -> Result<Option<i32>, ColumnError> {
        let column = self.column(name)?.as_primitive_opt::<Int32Type>();
        let column = column.ok_or_else(|| wrong(name))?;
        Ok(column.is_valid(row).then(|| column.value(row)))
    }

    fn time(&self, name: &str, row: usize) -> Result<Option<i64>, ColumnError> {
        let column = self
            .column(name)?
            .as_primitive_opt::<TimestampNanosecondType>();
        let column = column.ok_or_else(|| wrong(name))?;
        Ok(column.is_valid(row).then(|| column.value(row)))
    }
}

fn find<T: Copy>(words: &[(T, &'static str)], word: &str) -> Option<T> {
    let found = words.iter().find(|(_, known)| *known == word);
    found.map(|(value, _)| *value)
}

fn wrong(column: &str) -> ColumnError {
    ColumnError {
        column: column.to_owned(),
    }
}
