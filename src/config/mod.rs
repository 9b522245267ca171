//! The configuration file, `flowwatch.yaml`.
//!
//! Owns its keys, their meaning and its errors, each with the line. Flags and environment
//! go before it; that order is kept where they meet.

mod error;
mod file;

pub use error::ConfigError;
pub use file::{CiliumConfig, Config, FILE_NAME};
