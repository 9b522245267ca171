//! The one integration test binary; a module a topic.

mod floors;
mod golden;
mod golden_filters;
mod corpus;
mod proto;
mod readme;
mod render;
mod samples;
mod serve_hubble;
mod support;
mod wire;
