//! Any bytes: the walk and prost accept the same messages and make the same columns.
#![no_main]

use std::cell::RefCell;

use flowwatch::flow::{BatchBuilder, FlowBatch};
use flowwatch::wire::walk::{push_by_prost, push_message};
use libfuzzer_sys::fuzz_target;

/// Bytes of dictionaries; small, so that they stay quick to hand over and get full.
const DICTIONARIES: usize = 64 << 10;

thread_local! {
    // Warm, so that parts are also found by their undecoded bytes.
    static BUILDERS: RefCell<[BatchBuilder; 2]> =
        RefCell::new([BatchBuilder::new(DICTIONARIES), BatchBuilder::new(DICTIONARIES)]);
}

fuzz_target!(|message: &[u8]| {
    BUILDERS.with_borrow_mut(|[walked, decoded]| {
        for _ in 0..2 {
            let one = push_message(walked, message, || unreachable!());
            let other = push_by_prost(decoded, message, || unreachable!());
            assert_eq!(one.is_ok(), other.is_ok());
        }
        same(&walked.finish(), &decoded.finish());
    });
});

fn same(walked: &FlowBatch, decoded: &FlowBatch) {
    assert_eq!(walked.len(), decoded.len());
    for row in 0..walked.len() {
        assert_eq!(walked.describe(row), decoded.describe(row));
    }
    assert_eq!(walked.notices(), decoded.notices());
}
