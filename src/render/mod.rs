//! How flows are shown.
