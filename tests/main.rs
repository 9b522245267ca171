//! The one integration test binary; a module a topic.

mod golden_filters;
mod proto;
