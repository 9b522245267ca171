//! The one integration test binary; a module a topic.

mod golden;
mod proto;
mod render;
mod serve_hubble;
mod support;
