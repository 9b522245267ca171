//! flowwatch: a network-flow analyzer for Hubble and Cilium.
//!
//! A room a module, in the order data flows; a room imports only from rooms above it
//! (a test holds this). `ARCHITECTURE.md` says what each is for.

pub mod flow;

pub mod proto;

pub mod wire;

pub mod pattern;

pub mod manifest;

pub mod filter;

pub mod source;

pub mod inventory;

pub mod policy;

pub mod connection;

pub mod baseline;

pub mod detect;

pub mod finding;

pub mod engine;

pub mod archive;

#[cfg(feature = "polars")]
pub mod query;

pub mod review;

pub mod respond;

pub mod synth;

pub mod redact;

pub mod render;

pub mod serve;

pub mod config;

pub mod cli;
