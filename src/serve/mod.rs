//! The Observer API over recorded flows.
