//! A table whose columns are as wide as their widest cell.
//!
//! Owns alignment and its memory: cells wait until the last row is known, beyond a
//! bound in an unnamed temporary file. What the cells say is [`super::line`]'s.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, Write};

use memchr::{memchr_iter, memchr2_iter};

use super::line::{LineFormat, LineOptions, LineRenderer};
use crate::flow::{Notice, RowRef};

/// Bytes of cells kept in memory.
const MEMORY: usize = 8 << 20;
/// Spaces between columns.
const PADDING: usize = 3;
/// Bytes gathered before they are written.
const CHUNK: usize = 1 << 16;

/// Collects flows and losses and writes them aligned.
#[derive(Debug)]
pub struct TableWriter {
    renderer: LineRenderer,
    memory: usize,
    /// Rows as [`LineFormat::Table`] writes them.
    rows: Vec<u8>,
    /// Rows that came before those.
    spilled: Option<File>,
    /// Characters of the widest cell of each column but the last.
    widths: Vec<usize>,
}

impl TableWriter {
    /// Makes a writer of an empty table; `options.format` is taken as
    /// [`LineFormat::Table`].
    #[must_use]
    pub fn new(options: LineOptions) -> Self {
        Self::with_memory(options, MEMORY)
    }

    fn with_memory(options: LineOptions, memory: usize) -> Self {
        Self {
            renderer: LineRenderer::new(LineOptions {
                format: LineFormat::Table,
                ..options
            }),
            memory,
            rows: Vec::new(),
            spilled: None,
            widths: Vec::new(),
        }
    }

    /// Adds a flow.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn flow(&mut self, row: RowRef<'_>) -> io::Result<()> {
        let start = self.rows.len();
        self.renderer.flow(row, &mut self.rows);
        self.added(start)
    }

    /// Adds a notice of lost events; other notices are not part of a table.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn notice(&mut self, notice: &Notice) -> io::Result<()> {
        let start = self.rows.len();
        self.renderer.notice(notice, &mut self.rows);
        self.added(start)
    }

    /// Adds rows that a resumed [`LineRenderer`] of [`LineFormat::Table`] wrote.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub fn rows(&mut self, rows: &[u8]) -> io::Result<()> {
        let start = self.rows.len();
        self.renderer.header(&mut self.rows);
        measure(&mut self.widths, &self.rows[start..]);
        measure(&mut self.widths, rows);
        if self.rows.len() + rows.len() > self.memory {
            // Not copied: rows of unusual length would be in memory twice.
            self.spill()?.write_all(rows)
        } else {
            self.rows.extend_from_slice(rows);
            Ok(())
        }
    }

    /// Appends how nodes behind a relay are, for standard error.
    pub fn node_status(&mut self, notice: &Notice, out: &mut Vec<u8>) {
        self.renderer.node_status(notice, out);
    }

    /// Writes the table and forgets its rows; rows added later go on without a header.
    /// A table without rows has no header either.
    ///
    /// # Errors
    /// Those of `out` and of the temporary file.
    pub fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut aligned = Aligned {
            widths: &self.widths,
            column: 0,
            width: 0,
            text: Vec::new(),
            out,
        };
        if let Some(mut file) = self.spilled.take() {
            file.rewind()?;
            let mut file = BufReader::with_capacity(CHUNK, file);
            loop {
                let block = file.fill_buf()?;
                if block.is_empty() {
                    break;
                }
                aligned.rows(block)?;
                let length = block.len();
                file.consume(length);
            }
        }
        aligned.rows(&self.rows)?;
        aligned.flush_beyond(0)?;
        self.rows.clear();
        self.widths.clear();
        Ok(())
    }

    /// Measures the rows from `start` on and makes room where they are too many.
    fn added(&mut self, start: usize) -> io::Result<()> {
        measure(&mut self.widths, &self.rows[start..]);
        if self.rows.len() > self.memory {
            self.spill()?;
        }
        Ok(())
    }

    /// The file, after the rows in memory were moved there.
    fn spill(&mut self) -> io::Result<&mut File> {
        let file = match self.spilled.take() {
            Some(file) => self.spilled.insert(file),
            None => self.spilled.insert(tempfile::tempfile()?),
        };
        file.write_all(&self.rows)?;
        self.rows.clear();
        Ok(file)
    }
}

/// Rows on their way out. They come in blocks of any size: a row of unusual length is never
/// in memory as a whole.
struct Aligned<'a> {
    widths: &'a [usize],
    /// The cell that is being written, and how wide it is so far.
    column: usize,
    width: usize,
    /// What waits to be written.
    text: Vec<u8>,
    out: &'a mut dyn Write,
}

impl Aligned<'_> {
    fn rows(&mut self, block: &[u8]) -> io::Result<()> {
        let mut start = 0;
        for end in memchr2_iter(b'\t', b'\n', block) {
            self.part(&block[start..end])?;
            start = end + 1;
            match (block[end], self.widths.get(self.column)) {
                (b'\t', Some(&widest)) => {
                    self.spaces(widest + PADDING - self.width.min(widest))?;
                    self.column += 1;
                }
                (b'\t', None) => self.text.push(b'\t'),
                _ => {
                    self.text.push(b'\n');
                    self.column = 0;
                }
            }
            self.width = 0;
        }
        self.part(&block[start..])
    }

    /// A cell, or a part of it.
    fn part(&mut self, part: &[u8]) -> io::Result<()> {
        self.width += characters(part);
        for part in part.chunks(CHUNK) {
            self.text.extend_from_slice(part);
            self.flush_beyond(CHUNK)?;
        }
        Ok(())
    }

    fn spaces(&mut self, mut count: usize) -> io::Result<()> {
        while count > 0 {
            let some = count.min(CHUNK);
            self.text.resize(self.text.len() + some, b' ');
            self.flush_beyond(CHUNK)?;
            count -= some;
        }
        Ok(())
    }

    fn flush_beyond(&mut self, bytes: usize) -> io::Result<()> {
        if self.text.len() > bytes {
            self.out.write_all(&self.text)?;
            self.text.clear();
        }
        Ok(())
    }
}

/// Widens columns to the cells of `rows`.
fn measure(widths: &mut Vec<usize>, rows: &[u8]) {
    for row in rows.split_inclusive(|&byte| byte == b'\n') {
        for (column, cell) in cells(row).enumerate() {
            let width = characters(cell);
            match widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
}

/// The cells of a row that end in a tab: all but the last.
fn cells(row: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b'\t', row).map(move |end| {
        let cell = &row[start..end];
        start = end + 1;
        cell
    })
}

/// Characters of UTF-8 text.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{BatchBuilder, FlowBatch, Row, flags};

    fn batch(rows: usize) -> FlowBatch {
        let mut builder = BatchBuilder::default();
        for number in 0..rows {
            let row = Row {
                source_ip: builder.interner().text(&"\u{e9}".repeat(number % 40)),
                summary: builder.interner().text("a\tb\nc"),
                flags: flags::HAS_IP,
                ..Row::default()
            };
            builder.push(row, || unreachable!());
        }
        builder.finish()
    }

    fn table(batch: &FlowBatch, memory: usize) -> String {
        let mut table = TableWriter::with_memory(LineOptions::default(), memory);
        for row in batch.rows() {
            table.flow(row).unwrap();
        }
        let mut out = Vec::new();
        table.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_by_characters_and_cells_cannot_break_out() {
        assert_eq!(
            table(&batch(8), MEMORY).lines().nth(8).unwrap(),
            "N/A         \u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}                 UNKNOWN   VERDICT_UNKNOWN   a\\tb\\nc"
        );
        assert_eq!(table(&batch(8), MEMORY).lines().count(), 9);
    }

    #[test]
    fn a_table_that_went_to_disk_is_the_same() {
        let batch = batch(3000);
        assert_eq!(table(&batch, 1000), table(&batch, MEMORY));
    }

    #[test]
    fn rows_that_go_to_disk_uncopied_are_in_their_place() {
        let batch = batch(300);
        let options = LineOptions {
            format: LineFormat::Table,
            ..LineOptions::default()
        };
        let mut renderer = LineRenderer::new(options);
        renderer.resume();
        for memory in [0, 1000, MEMORY] {
            let mut table = TableWriter::with_memory(options, memory);
            for row in batch.rows() {
                let mut text = Vec::new();
                renderer.flow(row, &mut text);
                table.rows(&text).unwrap();
            }
            let mut out = Vec::new();
            table.finish(&mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), self::table(&batch, MEMORY));
        }
    }

    #[test]
    fn a_table_without_rows_is_empty() {
        assert_eq!(table(&batch(0), MEMORY), "");
    }
}
