//! One file a command: arguments as typed, a resolved plan, the calls.

pub mod connection;
