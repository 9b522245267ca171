//! Strict protobuf walking and writing for the hot path; prost is the oracle and the
//! fallback.

mod check;
pub mod convert;
#[cfg(test)]
pub(crate) mod generate;
mod json_error;
mod json_memo;
pub mod json_read;
mod json_scalar;
mod json_text;
pub mod json_write;
pub mod mask;
mod pieces;
mod put;
pub(crate) mod read;
mod record;
pub mod restore;
mod rfc3339;
pub mod row_write;
pub mod shape;
pub mod walk;
