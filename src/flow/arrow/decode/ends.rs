//! The endpoints of rows.
//!
//! Owns that the eight columns of a side are one endpoint, which is looked up once for
//! rows that follow each other and put together once for all row groups.

use arrow::array::Array;
use arrow::datatypes::UInt32Type;
use hashbrown::HashMap;

use super::Decoded;
use super::input::{Input, NULL, Texts};
use super::runs::Runs;
use crate::flow::arrow::joined::{split, unpair};
use crate::flow::arrow::memory::Memory;
use crate::flow::{Endpoint, Interner, Workload};

/// Names of the columns of one side.
pub(super) struct Side {
    id: &'static str,
    identity: &'static str,
    /// Cluster, namespace, pod, labels, workloads, and the workload's name, which
    /// stands in where nothing else of them was asked for.
    texts: [&'static str; 6],
}

pub(super) const SOURCE: Side = Side {
    id: "source_endpoint_id",
    identity: "source_identity",
    texts: [
        "source_cluster",
        "source_namespace",
        "source_pod",
        "source_labels",
        "source_workloads",
        "source_workload",
    ],
};

pub(super) const DESTINATION: Side = Side {
    id: "destination_endpoint_id",
    identity: "destination_identity",
    texts: [
        "destination_cluster",
        "destination_namespace",
        "destination_pod",
        "destination_labels",
        "destination_workloads",
        "destination_workload",
    ],
};

/// What an endpoint is told from another by, inside one batch.
type EndpointKey = [u32; 8];

/// Adds the endpoint of each row; nothing where no column says anything of it.
pub(super) fn endpoints(
    input: &Input<'_>,
    interner: &mut Interner,
    memory: &mut Memory,
    side: &Side,
    into: &mut Vec<u32>,
) -> Decoded<()> {
    let ids = input.primitive::<UInt32Type>(side.id)?;
    let identities = input.primitive::<UInt32Type>(side.identity)?;
    let mut texts: [Option<Texts<'_>>; 6] = [None; 6];
    for (texts, name) in texts.iter_mut().zip(side.texts) {
        *texts = input.text(name)?;
    }
    if texts[4].is_some() {
        texts[5] = None;
    }
    if ids.is_none() && identities.is_none() && texts.iter().all(Option::is_none) {
        return Ok(());
    }
    let present = |row: usize| {
        // Both are there in every file; a projection may have left one out, or both.
        let number = ids.or(identities);
        number.map(|number| number.is_valid(row))
    };
    let rows = input.record.num_rows();
    let mut runs = Runs::new(rows);
    for numbers in [ids, identities].into_iter().flatten() {
        runs.differ(numbers.values(), numbers.nulls());
    }
    for texts in texts.iter().flatten() {
        match texts.keys {
            Some(keys) => runs.differ(keys.values(), keys.nulls()),
            None => runs.differ_all(),
        }
    }
    let mut known: HashMap<EndpointKey, u32, foldhash::fast::RandomState> = HashMap::default();
    runs.values(into, |row| {
        let mut key: EndpointKey = [0, 0, NULL, NULL, NULL, NULL, NULL, NULL];
        key[0] = ids.map_or(0, |ids| ids.value(row));
        key[1] = identities.map_or(0, |identities| identities.value(row));
        for (key, texts) in key[2..].iter_mut().zip(&texts) {
            if let Some(texts) = texts {
                *key = texts.key(row);
            }
        }
        let there = present(row).unwrap_or_else(|| key[2..].iter().any(|&key| key != NULL));
        if !there {
            return 0;
        }
        *known.entry(key).or_insert_with(|| {
            let columns = texts.iter().zip(&key[2..]);
            let columns = columns.map(|(texts, &key)| match texts {
                Some(texts) if key != NULL => Some(texts.value(key)),
                _ => None,
            });
            memory.endpoint([key[0], key[1]], columns, || {
                endpoint(interner, &texts, &key)
            })
        })
    });
    Ok(())
}

fn endpoint(interner: &mut Interner, texts: &[Option<Texts<'_>>; 6], key: &EndpointKey) -> u32 {
    let text = |at: usize| match (texts[at], key[2 + at]) {
        (Some(texts), key) if key != NULL => Some(texts.value(key)),
        _ => None,
    };
    let mut endpoint = Endpoint {
        id: key[0],
        identity: key[1],
        cluster: interner.shared(text(0).unwrap_or_default()),
        namespace: interner.shared(text(1).unwrap_or_default()),
        pod: interner.shared(text(2).unwrap_or_default()),
        ..Endpoint::default()
    };
    if let Some(labels) = text(3) {
        let labels = split(labels);
        endpoint.labels = labels.iter().map(|label| interner.shared(label)).collect();
    }
    let mut workload = |kind: &str, name: &str| {
        endpoint.workloads.push(Workload {
            name: interner.shared(name),
            kind: interner.shared(kind),
        });
    };
    if let Some(workloads) = text(4) {
        for item in split(workloads) {
            let (kind, name) = unpair(&item, '/');
            workload(&kind, name);
        }
    } else if let Some(name) = text(5) {
        workload("", name);
    }
    interner.endpoint(endpoint).0
}
