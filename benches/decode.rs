//! Decoding: wire bytes and JSON lines to columns.
fn main() {}
