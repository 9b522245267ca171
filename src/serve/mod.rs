//! The Observer API over recorded flows.
//!
//! Owns the recording that is served, the service, its health and where it listens; and
//! the faults that make it a test server. Does not read files (`source`) and judges
//! nothing.

mod census;
mod connection;
mod envelope;
mod faults;
#[cfg(test)]
mod harness;
mod health;
mod listen;
mod load;
mod observer;
mod outlet;
mod reader;
mod replay;
mod request;
mod ring;
mod select;
mod store;
#[cfg(test)]
mod tests;

pub use census::NodeSeen;
pub use envelope::EntryKind;
pub use faults::{Act, Fault, Overrun, Script, ScriptError, When};
pub use listen::{Address, Bound, ListenError, ServerOptions, TlsFiles, bind};
pub use load::{FileReport, load_file};
pub use replay::replay;
pub use ring::{Bounds, Entry};
pub use store::{Loaded, NotAResponse, Recording, Totals};
