//! The messages and services of `proto/`: Hubble's flow API and gRPC's health check.
//!
//! Owns the generated types and their descriptors. Does not read flows in bulk; that is
//! `wire`, which falls back on these. Enums stay open (`i32` in the messages), since a
//! newer server sends numbers that have no name here.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// The serialized descriptors of all files, well-known types included.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The descriptors of all messages, for what works on fields by name.
pub fn pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        // The bytes come from the compiler of `proto/`, so they do decode; a test holds that.
        DescriptorPool::decode(DESCRIPTORS).unwrap_or_default()
    });
    &POOL
}

/// Includes the code generated for a package, exempt from our lints.
macro_rules! package {
    ($(#[$doc:meta])* $name:ident = $file:literal) => {
        $(#[$doc])*
        #[allow(
            missing_docs,
            unreachable_pub,
            clippy::all,
            clippy::pedantic,
            reason = "generated code"
        )]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", $file));
        }
    };
}

package! {
    /// Flows, their filters, and the other events of an agent.
    flow = "flow.rs"
}
package! {
    /// The service of agents and relays, and the lines of exported files.
    observer = "observer.rs"
}
package! {
    /// What a relay says of its nodes.
    relay = "relay.rs"
}
package! {
    /// The peers of an agent.
    peer = "peer.rs"
}
package! {
    /// gRPC's health check (`grpc.health.v1`).
    health = "grpc.health.v1.rs"
}
