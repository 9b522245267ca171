//! One file a command: arguments as typed, a resolved plan, the calls.

pub mod flow_filter;
pub mod selection;
pub mod time_arg;
