//! The walk against prost, on whatever bytes.

use super::*;
use crate::flow::FlowBatch;
use crate::wire::generate::{Generator, cases};

/// Messages that go through one pair of builders before their columns are compared.
const GROUP: usize = 64;

/// Both ways of decoding, each with dictionaries of its own that stay warm.
#[derive(Default)]
struct Pair {
    walked: BatchBuilder,
    decoded: BatchBuilder,
}

impl Pair {
    /// Decodes every message twice, in between the others, and compares everything.
    fn compare(&mut self, messages: &[Vec<u8>]) -> usize {
        let mut accepted = 0;
        for round in 0..2 {
            for message in messages {
                let walked = push_message(&mut self.walked, message, || unreachable!());
                let decoded = push_by_prost(&mut self.decoded, message, || unreachable!());
                assert_eq!(
                    walked.is_ok(),
                    decoded.is_ok(),
                    "round {round}: {message:?}"
                );
                accepted += usize::from(decoded.is_ok());
            }
        }
        let (walked, decoded) = (self.walked.finish(), self.decoded.finish());
        assert_eq!(walked.notices(), decoded.notices());
        assert_eq!(walked.len(), decoded.len());
        for row in 0..walked.len() {
            assert_eq!(walked.describe(row), decoded.describe(row), "{messages:?}");
        }
        accepted
    }
}

fn check(seed: u64, oddity: u64, damage: bool) -> usize {
    let mut pair = Pair::default();
    let mut generator = Generator::new(seed, oddity);
    let mut accepted = 0;
    for _ in 0..4 {
        let messages: Vec<Vec<u8>> = (0..GROUP)
            .map(|_| {
                let mut message = generator.response();
                if damage {
                    generator.damage(&mut message, &[0, 1, 2, 0x0a, 0x12, 0x7f, 0x80, 0xff]);
                }
                message
            })
            .collect();
        accepted += pair.compare(&messages);
    }
    accepted
}

#[test]
fn the_walk_agrees_with_prost_on_what_an_encoder_writes() {
    for seed in 0..cases(40) {
        assert_eq!(check(seed, 0, false), 4 * 2 * GROUP);
    }
}

#[test]
fn the_walk_agrees_with_prost_on_what_no_encoder_writes() {
    for seed in 0..cases(40) {
        assert!(check(seed, 10, false) > 0);
        check(seed, 100, false);
    }
}

#[test]
fn the_walk_agrees_with_prost_on_damaged_messages() {
    for seed in 0..cases(40) {
        check(seed, 0, true);
        check(seed, 10, true);
    }
}

/// A group inside a sub-message, nested `depth` deep.
fn groups(depth: usize) -> Vec<u8> {
    let mut groups = vec![0x7b; depth];
    groups.extend(std::iter::repeat_n(0x7c, depth));
    groups
}

/// Guarantees: prost's limit of nesting counts from the whole message, also where a part
/// is decoded alone.
#[test]
fn groups_nested_to_the_limit_are_refused_where_prost_refuses_them() {
    // Endpoint, Ethernet, L7 and a policy; UDP in between.
    for path in [&[8][..], &[4], &[15], &[21_001], &[6, 2], &[6, 5], &[39, 2]] {
        let messages: Vec<Vec<u8>> = (90..=101)
            .map(|depth| {
                let mut body = groups(depth);
                for &number in path.iter().rev() {
                    let mut outer = Vec::new();
                    prost::encoding::bytes::encode(number, &body, &mut outer);
                    body = outer;
                }
                let mut message = Vec::new();
                prost::encoding::bytes::encode(1, &body, &mut message);
                message
            })
            .collect();
        Pair::default().compare(&messages);
    }
}

fn only_row(builder: &mut BatchBuilder) -> String {
    let batch: FlowBatch = builder.finish();
    assert_eq!(batch.len(), 1);
    batch.describe(0)
}

/// Guarantees: a flow that is known by parts from other flows is the flow it would be alone.
#[test]
fn warm_dictionaries_change_nothing() {
    let mut generator = Generator::new(7, 0);
    let messages: Vec<Vec<u8>> = (0..GROUP).map(|_| generator.response()).collect();
    let mut warm = BatchBuilder::default();
    for message in &messages {
        push_message(&mut warm, message, || unreachable!()).unwrap();
    }
    warm.finish();
    for message in &messages {
        let mut cold = BatchBuilder::default();
        push_message(&mut cold, message, || unreachable!()).unwrap();
        push_message(&mut warm, message, || unreachable!()).unwrap();
        if cold.len() == 1 {
            assert_eq!(only_row(&mut warm), only_row(&mut cold));
        } else {
            assert_eq!(warm.finish().notices(), cold.finish().notices());
        }
    }
}
