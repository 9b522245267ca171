//! See `unused` for what is counted.
