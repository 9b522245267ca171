//! Filters on small flows.
