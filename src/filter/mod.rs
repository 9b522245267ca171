//! Hubble's flow filters, compiled to columns.
