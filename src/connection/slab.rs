//! Values that few connections have, by number, so that the others need no room for them.
//!
//! Owns giving numbers out and taking them back.

use super::pool::NONE;

/// The values.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T: Default> Slab<T> {
    /// The value of a number, which is given out where it is [`NONE`]. `None` for a number
    /// that is not of this slab.
    pub(super) fn at(&mut self, number: &mut u32) -> Option<&mut T> {
        if *number == NONE {
            *number = if let Some(free) = self.free.pop() {
                free
            } else {
                self.slots.push(T::default());
                (self.slots.len() - 1) as u32
            };
        }
        self.slots.get_mut(*number as usize)
    }

    /// The value of a number; `None` for [`NONE`].
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.slots.get(number as usize)
    }

    /// Takes a number back.
    pub(super) fn release(&mut self, number: u32) {
        if let Some(slot) = self.slots.get_mut(number as usize) {
            *slot = T::default();
            self.free.push(number);
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_taken_back_is_given_out_empty() {
        let mut slab = Slab::<u8>::default();
        let (mut one, mut two) = (NONE, NONE);
        *slab.at(&mut one).unwrap() = 1;
        *slab.at(&mut two).unwrap() = 2;
        assert_eq!(slab.at(&mut one), Some(&mut 1));
        assert_eq!((slab.get(two), slab.get(NONE)), (Some(&2), None));
        slab.release(one);
        slab.release(NONE);
        assert_eq!(slab.held(), 1);
        let mut three = NONE;
        assert_eq!(slab.at(&mut three), Some(&mut 0));
        assert_eq!(three, one);
    }
}
