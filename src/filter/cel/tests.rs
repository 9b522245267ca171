//! What CEL expressions mean, on small flows.
