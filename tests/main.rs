//! The one integration test binary; a module a topic.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test says so by failing, in its helpers too"
)]
#![expect(
    unreachable_pub,
    reason = "in a binary of modules `pub` reaches no further than the binary"
)]

mod agreement;
mod analytics;
mod analyze;
mod apiserver;
mod archive;
mod churn;
mod conformance;
mod connection;
mod corpus;
mod crash;
mod detection;
mod findings;
mod floors;
mod fuzz_seeds;
mod golden;
mod golden_filters;
mod isolate;
mod labelled;
mod lint;
mod live;
mod manifest;
mod policy_coverage;
mod policy_objects;
mod proto;
#[cfg(feature = "polars")]
mod query;
mod readme;
mod recording;
mod redact;
mod reload;
mod render;
mod report;
mod samples;
mod serve_hubble;
mod simulate;
mod situations;
mod suggest;
mod support;
mod synth;
mod tail;
mod trace;
mod verify;
mod watch;
mod wire;
