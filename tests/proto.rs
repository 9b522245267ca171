//! The generated messages against the flow API's names and numbers, and against loss.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing, in its helpers too"
)]

use flowwatch::proto;
use prost_reflect::MessageDescriptor;

mod loss;
mod names;

fn message(name: &str) -> MessageDescriptor {
    proto::pool()
        .get_message_by_name(name)
        .unwrap_or_else(|| panic!("{name} is not in the pool"))
}
