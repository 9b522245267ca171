//! Names of services outside.
//!
//! Owns making them up, of words, below top-level domains that nobody owns, so that each has
//! a registered domain of its own. Those of incidents are made here too: a name alone gives
//! nothing away.

use std::sync::Arc;

use super::super::super::number::mix;

const FIRST: [&str; 32] = [
    "acorn", "amber", "atlas", "beacon", "birch", "cedar", "cloud", "coral", "delta", "ember",
    "falcon", "fjord", "harbor", "hazel", "indigo", "ivory", "jasper", "lumen", "maple", "meadow",
    "nimbus", "onyx", "orbit", "pebble", "quartz", "raven", "saffron", "summit", "tidal", "umber",
    "velvet", "willow",
];
const SECOND: [&str; 16] = [
    "api", "base", "cast", "desk", "flow", "forge", "grid", "hub", "labs", "mail", "metrics",
    "pay", "stack", "track", "ware", "works",
];
const HOSTS: [&str; 10] = [
    "api", "app", "cdn", "eu", "events", "gateway", "ingest", "login", "status", "www",
];
const ENDINGS: [&str; 3] = ["example", "test", "invalid"];

/// The name of the external of a number.
pub(in super::super) fn domain(number: u64, seed: u64) -> Arc<str> {
    let bits = mix(number.wrapping_mul(0x9e37_79b9).wrapping_add(seed) | 1 << 58);
    let of = |list: &[&'static str], bits: u64| list[(bits % list.len() as u64) as usize];
    // Two words leave 512 domains; a number makes the rest different.
    let more = match bits >> 40 & 3 {
        0 => String::new(),
        _ => (number % 97).to_string(),
    };
    format!(
        "{}.{}{}{more}.{}",
        of(&HOSTS, bits),
        of(&FIRST, bits >> 8),
        of(&SECOND, bits >> 16),
        of(&ENDINGS, bits >> 24)
    )
    .into()
}
