//! Records to standard output: all of them, the first N, the last N, or sorted by time.

use std::io::{self, Write};

use super::plan::{Limit, Plan};
use super::writer::Text;
use crate::cli::sink::{self, SinkError};
use crate::render::TableWriter;
use crate::source::sort::{ExternalSorter, order_key};
use crate::source::spill::{LastLines, SpillError};

/// Before every record of a dict but the first.
const DICT_SEPARATOR: &[u8] = b"------------\n";
/// Bytes that sorting keeps in memory.
const SORT_MEMORY: usize = 32 << 20;

/// Takes texts in the order of their pieces and writes their records.
pub(super) struct Ordered<'a> {
    target: Target<'a>,
    /// Records that may still be written.
    left: u64,
    kept: Kept,
}

/// Records that can be written only at the end.
enum Kept {
    Nothing,
    Last(LastLines),
    Sorted {
        sorter: ExternalSorter,
        arrival: u64,
        /// How many of the end are wanted.
        last: u64,
    },
}

impl<'a> Ordered<'a> {
    pub(super) fn new(plan: &Plan, out: &'a mut dyn Write) -> Self {
        let table = plan.output.form.table();
        Self {
            target: Target {
                table: table.map(TableWriter::new),
                strip: if plan.output.form.is_dict() {
                    DICT_SEPARATOR.len()
                } else {
                    0
                },
                out,
            },
            left: match plan.limit {
                Limit::First(count) => count,
                _ => u64::MAX,
            },
            kept: match plan.limit {
                _ if plan.sort => Kept::Sorted {
                    sorter: ExternalSorter::new(SORT_MEMORY),
                    arrival: 0,
                    last: match plan.limit {
                        Limit::Last(count) => count,
                        _ => u64::MAX,
                    },
                },
                Limit::Last(count) => Kept::Last(LastLines::new(count as usize)),
                _ => Kept::Nothing,
            },
        }
    }

    /// Writes everything: the server has counted.
    pub(super) fn unlimited(plan: &Plan, out: &'a mut dyn Write) -> Self {
        Self {
            left: u64::MAX,
            kept: Kept::Nothing,
            ..Self::new(plan, out)
        }
    }

    /// Takes the text of the next piece; whether nothing more is wanted.
    pub(super) fn text(&mut self, text: &Text) -> Result<bool, SinkError> {
        match &mut self.kept {
            Kept::Nothing => {
                let records = (text.ends.len() as u64).min(self.left);
                self.left -= records;
                let end = records
                    .checked_sub(1)
                    .map_or(0, |at| text.ends[at as usize] as usize);
                sink::write(&mut self.target, &text.out[..end])?;
                Ok(self.left == 0)
            }
            Kept::Last(last) => {
                for (_, record) in text.records() {
                    last.push(record).map_err(spill)?;
                }
                Ok(false)
            }
            Kept::Sorted {
                sorter, arrival, ..
            } => {
                let mut key = Vec::new();
                for (time, record) in text.records() {
                    // By time alone, then in the order of the input.
                    order_key(&mut key, Some(time), "", 0, *arrival);
                    sorter.push(&key, record).map_err(spill)?;
                    *arrival += 1;
                }
                Ok(false)
            }
        }
    }

    /// Writes what was kept so far, and from now on everything as it comes.
    pub(super) fn release(&mut self) -> Result<(), SinkError> {
        if let Kept::Last(mut last) = std::mem::replace(&mut self.kept, Kept::Nothing) {
            last.write_to(&mut self.target).map_err(spill)?;
        }
        self.flush()
    }

    /// Passes on what was written so far, for a reader who waits for it.
    pub(super) fn flush(&mut self) -> Result<(), SinkError> {
        self.target.out.flush().map_err(SinkError::from)
    }

    /// Writes what was kept for the end.
    pub(super) fn finish(mut self) -> Result<(), SinkError> {
        let target = &mut self.target;
        match self.kept {
            Kept::Nothing => {}
            Kept::Last(mut last) => last.write_to(target).map_err(spill)?,
            Kept::Sorted {
                sorter,
                arrival,
                last,
            } => {
                let mut sorted = sorter.finish().map_err(spill)?;
                for _ in last..arrival {
                    sorted.next_record().map_err(spill)?;
                }
                while self.left > 0
                    && let Some(record) = sorted.next_record().map_err(spill)?
                {
                    self.left -= 1;
                    target.write_all(record)?;
                }
            }
        }
        if let Some(table) = &mut target.table {
            table.finish(target.out)?;
        }
        target.out.flush().map_err(SinkError::from)
    }
}

fn spill(error: SpillError) -> SinkError {
    match error {
        SpillError::Output(error) => error.into(),
        other => SinkError::Write(std::io::Error::other(other)),
    }
}

/// Where records go: straight out, or into a table first.
struct Target<'a> {
    table: Option<TableWriter>,
    /// Bytes of the first record that are not written: the separator before it.
    strip: usize,
    out: &'a mut dyn Write,
}

impl Write for Target<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if let Some(table) = &mut self.table {
            table.rows(text)?;
            return Ok(text.len());
        }
        let strip = std::mem::take(&mut self.strip).min(text.len());
        self.out.write_all(&text[strip..])?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
