//! The one integration test binary; a module a topic.

mod proto;
mod render;
mod samples;
