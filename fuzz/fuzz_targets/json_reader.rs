//! Any bytes as a piece of a file: no panic, and a line alone gives what the general
//! reader makes of it.
#![no_main]

use std::cell::RefCell;

use bytes::Bytes;
use flowwatch::flow::BatchBuilder;
use flowwatch::source::file::{Chunk, LineDecoder};
use flowwatch::wire::json_read::{Record, record_to_wire};
use flowwatch::wire::walk::push_by_prost;
use libfuzzer_sys::fuzz_target;

/// Bytes of dictionaries; small, so that they stay quick to hand over and get full.
const DICTIONARIES: usize = 64 << 10;

thread_local! {
    static DECODERS: RefCell<(LineDecoder, BatchBuilder)> = RefCell::new((
        LineDecoder::new(BatchBuilder::new(DICTIONARIES)),
        BatchBuilder::new(DICTIONARIES),
    ));
}

fuzz_target!(|text: &[u8]| {
    DECODERS.with_borrow_mut(|(decoder, builder)| {
        let chunk = Chunk {
            bytes: Bytes::copy_from_slice(text),
            dropped: 0,
            damaged: None,
        };
        for _ in 0..2 {
            let mut rows = Vec::new();
            decoder.decode(&chunk, |_, batch| {
                rows.extend((0..batch.len()).map(|row| batch.describe(row)));
            });
            // One object alone on one line; others are a file's business.
            let line = text.trim_ascii();
            if line.first() != Some(&b'{') || line.contains(&b'\n') {
                continue;
            }
            let Ok(Record::Response(wire) | Record::BareFlow(wire)) = record_to_wire(line) else {
                continue;
            };
            let accepted = push_by_prost(builder, &wire, || unreachable!());
            let batch = builder.finish();
            assert!(accepted.is_ok());
            let expected: Vec<String> = (0..batch.len()).map(|row| batch.describe(row)).collect();
            assert_eq!(rows, expected);
        }
    });
});
