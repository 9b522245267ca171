//! Where values are in the column that is being made.
//!
//! Owns looking up each value of a column once: ids by their number in memory that lasts,
//! large numbers by a hash.

use hashbrown::HashMap;

/// Numbers below it, such as ports, are looked up by themselves.
const SMALL: u32 = 1 << 16;

/// Where a value of a dictionary is in the array that is being made.
#[derive(Debug, Default)]
pub(super) struct Places {
    places: Vec<(u32, u32)>,
    round: u32,
}

impl Places {
    /// Forgets everything, at no cost.
    pub(super) fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.places.clear();
            self.round = 1;
        }
    }

    /// The place of an id; `add` is called for one that is new and says which it gets.
    #[inline]
    pub(super) fn place(&mut self, id: u32, add: impl FnOnce() -> u32) -> u32 {
        let at = id as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, (0, 0));
        }
        let (round, place) = &mut self.places[at];
        if *round != self.round {
            *round = self.round;
            *place = add();
        }
        *place
    }
}

/// Numbers that were found, with their places.
pub(super) struct Numbers<'a> {
    pub(super) values: Vec<u32>,
    /// By the number, for small ones.
    small: &'a mut Places,
    others: HashMap<u32, u32, foldhash::fast::RandomState>,
}

impl<'a> Numbers<'a> {
    pub(super) fn new(small: &'a mut Places) -> Self {
        small.begin();
        Self {
            values: Vec::new(),
            small,
            others: HashMap::default(),
        }
    }

    pub(super) fn place(&mut self, bits: u32) -> u32 {
        let Self {
            values,
            small,
            others,
        } = self;
        let add = || {
            values.push(bits);
            values.len() as u32 - 1
        };
        if bits < SMALL {
            small.place(bits, add)
        } else {
            *others.entry(bits).or_insert_with(add)
        }
    }
}
