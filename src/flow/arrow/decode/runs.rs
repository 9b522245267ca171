//! Where rows that follow each other differ.
//!
//! Owns comparing each row of a column with the one before it, many at a time. Rows of a
//! recording are sorted by their ends, so that most say of them what the row before said.

use arrow::buffer::NullBuffer;

/// Marks the rows that may differ from the one before; the first one does.
pub(super) struct Runs(Vec<bool>);

impl Runs {
    /// No row differs yet but the first.
    pub(super) fn new(rows: usize) -> Self {
        let mut begins = vec![false; rows];
        if let Some(first) = begins.first_mut() {
            *first = true;
        }
        Self(begins)
    }

    /// Takes a column in. What is below nulls is compared too, which marks rows in vain at
    /// worst.
    pub(super) fn differ(&mut self, values: &[u32], nulls: Option<&NullBuffer>) {
        let befores = values.iter();
        let pairs = values.iter().skip(1).zip(befores);
        for (begins, (value, before)) in self.0.iter_mut().skip(1).zip(pairs) {
            *begins |= value != before;
        }
        let Some(nulls) = nulls else { return };
        let mut last = 0;
        let words = nulls.inner().bit_chunks();
        for (at, word) in words.iter_padded().enumerate() {
            let mut differs = word ^ (word << 1 | last);
            last = word >> 63;
            while differs != 0 {
                let row = at * 64 + differs.trailing_zeros() as usize;
                differs &= differs - 1;
                if let Some(begins) = self.0.get_mut(row) {
                    *begins = true;
                }
            }
        }
    }

    /// Every row may differ.
    pub(super) fn differ_all(&mut self) {
        self.0.fill(true);
    }

    /// Adds a value a row: made by `make` where a row differs, else that of the row before.
    pub(super) fn values(&self, into: &mut Vec<u32>, mut make: impl FnMut(usize) -> u32) {
        let mut last = 0;
        let values = self.0.iter().enumerate().map(|(row, &begins)| {
            if begins {
                last = make(row);
            }
            last
        });
        into.extend(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn values_of_runs_are_those_of_rows(
            rows in proptest::collection::vec((0..3_u32, proptest::bool::weighted(0.7)), 0..300),
        ) {
            let values: Vec<u32> = rows.iter().map(|(value, _)| *value).collect();
            let nulls: NullBuffer = rows.iter().map(|(_, there)| *there).collect::<Vec<_>>().into();
            let of = |row: usize| if nulls.is_valid(row) { values[row] + 1 } else { 0 };
            let mut runs = Runs::new(rows.len());
            runs.differ(&values, Some(&nulls));
            let expected: Vec<u32> = (0..rows.len()).map(of).collect();
            let mut found = Vec::new();
            runs.values(&mut found, of);
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
