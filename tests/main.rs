//! The one integration test binary; a module a topic.

mod golden;
mod golden_filters;
mod proto;
mod render;
mod support;
mod wire;
