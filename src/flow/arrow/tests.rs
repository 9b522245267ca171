//! Rows through Arrow and back.

use super::{COLUMNS, Encoder, Memory, decode, schema};
use crate::flow::row::Columns;
use crate::flow::{BatchBuilder, Dictionaries, FlowBatch, Interner};
use crate::wire::generate::{Generator, cases};
use crate::wire::walk::push_message;

fn generated(seed: u64, messages: usize) -> FlowBatch {
    let mut generator = Generator::new(seed, 0);
    let mut builder = BatchBuilder::default();
    for _ in 0..messages {
        let message = generator.response();
        push_message(&mut builder, &message, || unreachable!()).unwrap();
    }
    builder.finish()
}

fn described(batch: &FlowBatch) -> Vec<String> {
    (0..batch.len()).map(|row| batch.describe(row)).collect()
}

/// Guarantees: whatever an encoder writes as a flow comes back from its columns whole.
#[test]
fn rows_come_back_from_their_columns() {
    let mut rows = 0;
    for seed in 0..cases(60) {
        let batch = generated(seed, 200);
        let order: Vec<u32> = (0..batch.len() as u32).rev().collect();
        let record = Encoder::new(true).encode(&batch, &order).unwrap();
        let mut interner = Interner::new(1 << 24);
        let mut columns = {
            let spare = Columns::default();
            decode(&mut interner, &mut Memory::default(), &record, spare).unwrap()
        };
        columns.complete();
        let back = FlowBatch {
            columns,
            dictionaries: Dictionaries::of(&mut interner).into(),
            ..FlowBatch::default()
        };
        let mut expected = described(&batch);
        expected.reverse();
        assert_eq!(described(&back), expected);
        rows += back.len();
    }
    assert!(rows > 5000, "{rows}");
}

#[test]
fn names_are_plain_and_come_once() {
    let mut names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(schema(true).fields().len(), names.len());
    assert_eq!(schema(false).fields().len(), names.len() - 1);
    for name in &names {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.bytes().all(plain), "{name}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), COLUMNS.len());
}
