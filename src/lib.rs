//! flowwatch: a network-flow analyzer for Hubble and Cilium.

pub mod pattern;
