//! One flow or loss as a compact line, a dict record or the cells of a table row.
//!
//! Owns the layouts. The parts come from [`super::words`], column widths are the
//! business of [`super::table`].

use super::escape::Tab;
use super::hosts::Hosts;
use super::number;
use super::status;
use super::time::{TimeFormat, TimeWriter};
use super::words::{Side, Words, push_enum};
use crate::flow::{LostSource, NO_TIME, Notice, NoticeKind, Reply, RowRef};

/// Separates the records of a dict.
const SEPARATOR: &[u8] = b"------------\n";

/// A layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineFormat {
    /// A line a flow, the client first.
    #[default]
    Compact,
    /// A line a field.
    Dict,
    /// Cells ended by tabs, under a header: what [`super::TableWriter`] aligns.
    Table,
}

/// How flows are written.
#[derive(Clone, Copy, Debug)]
pub struct LineOptions {
    /// Layout.
    pub format: LineFormat,
    /// Format of times.
    pub time_format: TimeFormat,
    /// Whether to colour; a table never is.
    pub color: bool,
    /// Whether to show the observing node.
    pub node_name: bool,
    /// Whether to show the policies behind a policy's verdict.
    pub policy_names: bool,
    /// Names instead of addresses; false for `--numeric`.
    pub ip_translation: bool,
}

impl Default for LineOptions {
    /// What `hubble observe` does on a pipe.
    fn default() -> Self {
        Self {
            format: LineFormat::Compact,
            time_format: TimeFormat::StampMilli,
            color: false,
            node_name: false,
            policy_names: false,
            ip_translation: true,
        }
    }
}

/// Writes flows and losses one after the other.
#[derive(Clone, Debug)]
pub struct LineRenderer {
    format: LineFormat,
    node_name: bool,
    words: Words,
    hosts: Hosts,
    time: TimeWriter,
    /// Whether a record was written, so that the next one is separated from it.
    begun: bool,
}

impl LineRenderer {
    /// Makes a renderer that has written nothing yet.
    #[must_use]
    pub fn new(options: LineOptions) -> Self {
        let table = options.format == LineFormat::Table;
        Self {
            format: options.format,
            node_name: options.node_name,
            words: Words {
                color: options.color && !table,
                ip_translation: options.ip_translation,
                policy_names: options.policy_names,
                tab: if table { Tab::Escape } else { Tab::Keep },
            },
            hosts: Hosts::default(),
            time: TimeWriter::new(options.time_format),
            begun: false,
        }
    }

    /// Goes on where others have begun: without a table's header, and with a dict's
    /// separator before the first record.
    pub fn resume(&mut self) {
        self.begun = true;
    }

    /// Appends a flow.
    ///
    /// Time and node are those of the envelope where the flow has none of its own.
    pub fn flow(&mut self, row: RowRef<'_>, out: &mut Vec<u8>) {
        match self.format {
            LineFormat::Compact => self.compact(row, out),
            LineFormat::Dict => self.dict(row, out),
            LineFormat::Table => self.table(row, out),
        }
        self.begun = true;
    }

    /// Appends a notice of lost events; nothing for other notices.
    pub fn notice(&mut self, notice: &Notice, out: &mut Vec<u8>) {
        let NoticeKind::Lost {
            source,
            events,
            cpu,
            first,
            last,
        } = notice.kind
        else {
            return;
        };
        let loss = Loss {
            source,
            events,
            cpu: cpu.unwrap_or_default(),
            span: (first.is_some() || last.is_some()).then_some((first, last)),
        };
        match self.format {
            LineFormat::Compact => self.compact_loss(notice, &loss, out),
            LineFormat::Dict => self.dict_loss(notice, &loss, out),
            LineFormat::Table => self.table_loss(notice, &loss, out),
        }
        self.begun = true;
    }

    /// Appends how nodes behind a relay are, for standard error; nothing for other
    /// notices.
    ///
    /// Hubble shows `NODE_CONNECTED` and `NODE_GONE` only with `--debug`; that is up
    /// to the caller.
    pub fn node_status(&mut self, notice: &Notice, out: &mut Vec<u8>) {
        let NoticeKind::Nodes {
            state,
            names,
            message,
        } = &notice.kind
        else {
            return;
        };
        if self.format == LineFormat::Dict {
            self.separate(out);
            self.dict_time(time_of(notice), out);
            status::push_dict(out, *state, names, message);
            self.begun = true;
        } else {
            self.time.write(time_of(notice), out);
            out.extend_from_slice(b" [");
            self.words.text(out, &notice.node);
            out.extend_from_slice(b"]: ");
            status::push_line(out, *state, names, message);
        }
    }

    fn compact(&mut self, row: RowRef<'_>, out: &mut Vec<u8>) {
        let (source, destination) = (Side::source(row), Side::destination(row));
        let (left, arrow, right): (_, &[u8], _) = match row.reply() {
            Reply::Unknown => (source, b" <> ", destination),
            Reply::No => (source, b" -> ", destination),
            Reply::Yes => (destination, b" <- ", source),
        };

        self.time.write(row.time(), out);
        if self.node_name {
            out.extend_from_slice(b" [");
            self.words.text(out, row.str(row.node()));
            out.push(b']');
        }
        out.extend_from_slice(b": ");
        self.compact_side(row, left, out);
        out.extend_from_slice(arrow);
        self.compact_side(row, right, out);
        out.push(b' ');
        let words = self.words;
        words.flow_type(out, row);
        out.push(b' ');
        words.verdict(out, row);
        out.extend_from_slice(b" (");
        words.summary(out, row);
        out.extend_from_slice(b")\n");
    }

    fn compact_side(&mut self, row: RowRef<'_>, side: Side, out: &mut Vec<u8>) {
        let words = self.words;
        if let Some((name, identity)) = self.hosts.get(words, row, side) {
            words.known_host(out, name, side);
            out.push(b' ');
            out.extend_from_slice(identity);
        } else {
            words.host(out, row, side);
            out.push(b' ');
            words.identity(out, row, side);
        }
    }

    fn compact_loss(&mut self, notice: &Notice, loss: &Loss, out: &mut Vec<u8>) {
        self.time.write(time_of(notice), out);
        out.extend_from_slice(b" EVENTS LOST: ");
        loss.push_source(out);
        out.push(b' ');
        loss.push_cpu(out);
        out.push(b' ');
        self.loss_count(loss, out);
        out.push(b'\n');
    }

    fn dict(&mut self, row: RowRef<'_>, out: &mut Vec<u8>) {
        self.separate(out);
        self.dict_time(row.time(), out);
        let words = self.words;
        if self.node_name {
            dict_node(words, row.str(row.node()), out);
        }
        out.extend_from_slice(b"     SOURCE: ");
        words.host(out, row, Side::source(row));
        out.extend_from_slice(b"\nDESTINATION: ");
        words.host(out, row, Side::destination(row));
        out.extend_from_slice(b"\n       TYPE: ");
        words.flow_type(out, row);
        out.extend_from_slice(b"\n    VERDICT: ");
        words.verdict(out, row);
        out.extend_from_slice(b"\n    SUMMARY: ");
        words.summary(out, row);
        out.push(b'\n');
    }

    fn dict_loss(&mut self, notice: &Notice, loss: &Loss, out: &mut Vec<u8>) {
        self.separate(out);
        self.dict_time(time_of(notice), out);
        if self.node_name {
            dict_node(self.words, &notice.node, out);
        }
        out.extend_from_slice(b"     SOURCE: ");
        loss.push_source(out);
        out.extend_from_slice(b"\n       TYPE: EVENTS LOST\n    VERDICT: -\n    SUMMARY: ");
        loss.push_cpu(out);
        out.extend_from_slice(b" - ");
        self.loss_count(loss, out);
        out.push(b'\n');
    }

    fn table(&mut self, row: RowRef<'_>, out: &mut Vec<u8>) {
        self.header(out);
        self.time.write(row.time(), out);
        let words = self.words;
        if self.node_name {
            out.push(b'\t');
            words.text(out, row.str(row.node()));
        }
        out.push(b'\t');
        words.host(out, row, Side::source(row));
        out.push(b'\t');
        words.host(out, row, Side::destination(row));
        out.push(b'\t');
        words.flow_type(out, row);
        out.push(b'\t');
        words.verdict(out, row);
        out.push(b'\t');
        words.summary(out, row);
        out.push(b'\n');
    }

    fn table_loss(&mut self, notice: &Notice, loss: &Loss, out: &mut Vec<u8>) {
        self.header(out);
        self.time.write(time_of(notice), out);
        if self.node_name {
            out.push(b'\t');
            self.words.text(out, &notice.node);
        }
        out.push(b'\t');
        loss.push_source(out);
        out.extend_from_slice(b"\t-\tEVENTS LOST\t-\t");
        loss.push_cpu(out);
        out.extend_from_slice(b" - ");
        self.loss_count(loss, out);
        out.push(b'\n');
    }

    /// The header of a table, once.
    pub(super) fn header(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        out.extend_from_slice(b"TIMESTAMP\t");
        if self.node_name {
            out.extend_from_slice(b"NODE\t");
        }
        out.extend_from_slice(b"SOURCE\tDESTINATION\tTYPE\tVERDICT\tSUMMARY\n");
    }

    fn separate(&self, out: &mut Vec<u8>) {
        if self.begun {
            out.extend_from_slice(SEPARATOR);
        }
    }

    fn dict_time(&mut self, time: Option<i64>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"  TIMESTAMP: ");
        self.time.write(time, out);
        out.push(b'\n');
    }

    fn loss_count(&mut self, loss: &Loss, out: &mut Vec<u8>) {
        number::push(out, loss.events);
        if let Some((first, last)) = loss.span {
            out.extend_from_slice(b" (first: ");
            self.time.write(first, out);
            out.extend_from_slice(b", last: ");
            self.time.write(last, out);
            out.push(b')');
        }
    }
}

/// What [`NoticeKind::Lost`] says.
struct Loss {
    source: LostSource,
    events: u64,
    cpu: i32,
    span: Option<(Option<i64>, Option<i64>)>,
}

impl Loss {
    fn push_source(&self, out: &mut Vec<u8>) {
        push_enum(out, self.source.name(), self.source.0);
    }

    fn push_cpu(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"CPU(");
        number::push_signed(out, self.cpu);
        out.push(b')');
    }
}

fn dict_node(words: Words, node: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"       NODE: ");
    words.text(out, node);
    out.push(b'\n');
}

fn time_of(notice: &Notice) -> Option<i64> {
    (notice.time != NO_TIME).then_some(notice.time)
}
