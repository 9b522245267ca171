//! Strict protobuf walking and writing for the hot path; prost is the oracle and the
//! fallback.

pub mod convert;
