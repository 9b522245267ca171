//! The one integration test binary; a module a topic.

mod floors;
mod golden;
mod golden_filters;
mod proto;
mod readme;
mod render;
mod samples;
mod support;
mod wire;
