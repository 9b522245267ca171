//! FNV-1a, 64 bits (Fowler, Noll and Vo): hashes that are written down.
//!
//! Owns the one hash that means the same in every version and on every machine. Tables in
//! memory take quicker ones.

/// A hash on its way.
#[derive(Clone, Debug)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds a field and a separator, so that two fields cannot run together.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().chain(&[0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The hash of what was added.
    pub(crate) fn value(&self) -> u64 {
        self.0
    }
}
