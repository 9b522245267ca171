//! Rows through Arrow and back.

use super::{COLUMNS, Encoder, Memory, decode, schema};
use crate::flow::row::Columns;
use crate::flow::{BatchBuilder, Decoder, Dictionaries, FlowBatch, Gathered, Interner};
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

/// Guarantees: rows that say the same share what is put together once, and only they do.
#[test]
fn rows_that_say_the_same_come_back_alike() {
    for seed in 0..cases(20) {
        let batch = generated(seed, 60);
        let rows = batch.len() as u32;
        let order: Vec<u32> = (0..3 * rows).map(|at| at * 7 % rows).collect();
        let record = Encoder::new(false).encode(&batch, &order).unwrap();
        let mut decoder = Decoder::new(1 << 24);
        // The second time into the memory of the first.
        for _ in 0..2 {
            let mut part = decoder.decode(&record).unwrap();
            let mut gathered = Gathered::default();
            let all: Vec<u32> = (0..order.len() as u32).collect();
            gathered.add(&mut part, &all);
            let back = gathered.finish();
            for (at, &row) in order.iter().enumerate() {
                let (found, expected) = (back.row(at), batch.row(row as usize));
                let mut columns = [found, expected].map(|row| row.batch().describe(row.index()));
                // Uuids are not kept.
                for text in &mut columns {
                    let end = text.find(" verdict=").unwrap();
                    let start = text.find(" uuid=").unwrap();
                    text.replace_range(start..end, "");
                }
                if expected.extra().is_none_or(|extra| extra.uuid.is_none()) {
                    assert_eq!(columns[0], columns[1]);
                }
            }
            decoder.recycle(part);
        }
    }
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
