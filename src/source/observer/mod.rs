//! The live source: flows of an agent or a relay over gRPC.
//!
//! Owns the connection (addresses, TLS, credentials, errors that say what helps), the
//! request (filters, field masks), and the stream: reconnect, resume without doubles,
//! holes where something is missing. Does not decode flows, that is `wire`, nor merge
//! servers.

mod client;
mod codec;
mod config;
mod connect;
#[cfg(test)]
mod cuts;
mod error;
mod holes;
mod mask;
mod peek;
mod probe;
mod request;
mod resume;
mod session;
mod socket;
mod target;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tls;

pub use client::{Answer, ObserverSource, ServerVersion};
pub use codec::RawStream;
pub use config::{Backoff, BasicAuth, ClientFiles, ConnectConfig, TlsOptions};
pub use error::ConnectError;
pub use mask::{Needs, mask_for};
pub use request::FlowQuery;
pub use session::Event;
pub use target::{Target, TargetError};
