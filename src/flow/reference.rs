//! The name of a flow: `node/time_ns/tuple-hash`.
//!
//! Computable from stored columns alone, so that it survives an archive without
//! uuids. The hash is FNV-1a (64 bits, Fowler, Noll and Vo) over the 5-tuple as
//! text, so that it means the same in every version and on every machine.

use std::fmt;

use super::batch::RowRef;
use super::fnv::Fnv;
use super::row::Protocol;

/// Names one flow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowReference {
    /// Observing node.
    pub node: String,
    /// Nanoseconds since 1970 UTC, 0 where the flow has no time.
    pub time: i64,
    /// Hash of the 5-tuple.
    pub tuple: u64,
}

impl FlowReference {
    /// The reference of a row.
    #[must_use]
    pub fn of(row: RowRef<'_>) -> Self {
        Self {
            node: row.str(row.node()).to_owned(),
            time: row.time().unwrap_or_default(),
            tuple: tuple_hash(row),
        }
    }
}

impl fmt::Display for FlowReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{:016x}", self.node, self.time, self.tuple)
    }
}

/// Hash of protocol, addresses and ports of a row.
#[must_use]
pub fn tuple_hash(row: RowRef<'_>) -> u64 {
    hash_of(
        row.protocol(),
        (row.str(row.source_ip()), row.source_port()),
        (row.str(row.destination_ip()), row.destination_port()),
    )
}

/// The same of its parts: address and port of both sides.
pub(super) fn hash_of(protocol: Protocol, source: (&str, u32), destination: (&str, u32)) -> u64 {
    let mut hash = Fnv::default();
    hash.add(protocol.name().as_bytes());
    for (address, port) in [source, destination] {
        hash.add(address.as_bytes());
        hash.add(&port.to_le_bytes());
    }
    hash.value()
}

#[cfg(test)]
mod tests {
    use crate::flow::{BatchBuilder, FlowReference, Protocol, Row};

    #[test]
    fn a_reference_is_stable_and_tells_ports_apart() {
        let mut builder = BatchBuilder::default();
        for source_port in [1, 2] {
            let row = Row {
                time: 5,
                node: builder.interner().text("c/n"),
                source_ip: builder.interner().text("10.0.0.1"),
                destination_ip: builder.interner().text("10.0.0.2"),
                protocol: Protocol::Tcp,
                source_port,
                destination_port: 80,
                ..Row::default()
            };
            builder.push(row, || unreachable!());
        }
        let batch = builder.finish();
        let names: Vec<String> = batch
            .rows()
            .map(|row| FlowReference::of(row).to_string())
            .collect();
        assert_eq!(names[0], "c/n/5/ede8673f219ad503");
        assert_ne!(names[0], names[1]);
    }
}
