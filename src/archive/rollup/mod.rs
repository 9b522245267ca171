//! Rollups: the connections of an hour, judged and summed up, for long questions.
//!
//! Owns what is summed up (`row`, `table`), the pass over flows that it takes (`pass`), how
//! it is written (`columns`), which hours have to be made again (`fresh`), making them
//! (`make`), giving them back (`read`), and the same sums for who asks before they
//! are made (`asked`). A rollup is derived: what it says follows from
//! the recordings and the policies of the archive, and it can be made again at any time.

mod asked;
mod columns;
mod fresh;
mod make;
mod pass;
mod read;
mod row;
mod table;

use crate::flow::HOUR;

pub use asked::{Asked, sum_up};
pub use columns::{ROLLUP_VERSION, encode as rollup_record, rollup_schema};
pub use fresh::{Staleness, is_settled, stale_hours, staleness};
pub use make::{Made, Maker, RollupError};
pub use read::{Rollups, read_rollup};
pub use row::{Answer, Began, Encryption, RollupKey, RollupRow, RollupSide, RollupSums};
pub use table::{MOST_ROWS, Rows};

#[cfg(test)]
mod tests;
