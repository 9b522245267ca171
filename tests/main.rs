//! The one integration test binary; a module a topic.

mod floors;
mod golden;
mod proto;
mod readme;
mod render;
mod samples;
mod support;
