//! The one integration test binary; a module a topic.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says so by failing, in its helpers too"
)]

mod corpus;
mod floors;
mod fuzz_seeds;
mod golden;
mod golden_filters;
mod proto;
mod readme;
mod render;
mod samples;
mod serve_hubble;
mod support;
mod wire;
