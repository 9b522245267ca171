//! Where flows come from.

pub mod file;

use std::io::{self, Write};

/// interim
pub struct LastLines(std::collections::VecDeque<Vec<u8>>, usize);
impl LastLines {
    /// interim
    pub fn new(n: usize) -> Self {
        Self(Default::default(), n)
    }
    /// interim
    pub fn push(&mut self, r: &[u8]) -> io::Result<()> {
        self.0.push_back(r.to_vec());
        if self.0.len() > self.1 {
            self.0.pop_front();
        }
        Ok(())
    }
    /// interim
    pub fn write_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.0.iter().try_for_each(|r| out.write_all(r))
    }
}
/// interim
#[derive(Default)]
pub struct Sorter(Vec<(i64, Vec<u8>)>);
impl Sorter {
    /// interim
    pub fn push(&mut self, t: i64, r: &[u8]) -> io::Result<()> {
        self.0.push((t, r.to_vec()));
        Ok(())
    }
    /// interim
    pub fn finish(mut self, mut f: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
        self.0.sort_by_key(|x| x.0);
        for (_, r) in self.0 {
            if !f(&r)? {
                break;
            }
        }
        Ok(())
    }
}
pub mod observer;
