//! A report as sections, sentences and tables, before it has a form.
//!
//! Owns what is said and in which order; terminal, Markdown and HTML show the same. How
//! much of each table is shown is the form's.

pub(super) mod drops;
pub(super) mod findings;
pub(in crate::render) mod policies;
mod read;
pub(in crate::render) mod short;
mod traffic;

use super::Paths;
use crate::review::report::Report;

/// A report to be shown.
#[derive(Debug, Default)]
pub(in crate::render) struct Outline {
    /// What it is.
    pub(in crate::render) title: String,
    /// What a reviewer has to look at, in this order.
    pub(in crate::render) checks: Vec<Check>,
    /// The story in a few sentences.
    pub(in crate::render) short: Vec<String>,
    /// The sections, in their order.
    pub(in crate::render) sections: Vec<Section>,
}

/// Something to be looked at and ticked off.
#[derive(Debug, Default)]
pub(in crate::render) struct Check {
    /// With its figures.
    pub(in crate::render) text: String,
    /// What shows more.
    pub(in crate::render) command: Option<String>,
}

/// A section.
#[derive(Debug, Default)]
pub(in crate::render) struct Section {
    /// Stable name, for links.
    pub(in crate::render) id: &'static str,
    pub(in crate::render) title: &'static str,
    /// Sentences before the tables.
    pub(in crate::render) notes: Vec<String>,
    pub(in crate::render) tables: Vec<Table>,
}

impl Section {
    /// One of a table; `None` where that has no rows.
    pub(in crate::render) fn of(
        id: &'static str,
        title: &'static str,
        notes: &[&str],
        table: Table,
    ) -> Option<Self> {
        (!table.rows.is_empty()).then(|| Self {
            id,
            title,
            notes: notes.iter().map(|note| (*note).to_owned()).collect(),
            tables: vec![table],
        })
    }
}

/// A table.
#[derive(Debug, Default)]
pub(in crate::render) struct Table {
    pub(in crate::render) id: &'static str,
    pub(in crate::render) title: &'static str,
    pub(in crate::render) columns: Vec<Column>,
    pub(in crate::render) rows: Vec<Row>,
    /// What is not among the rows, for want of room when it was counted.
    pub(in crate::render) others: Option<String>,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(in crate::render) struct Column {
    pub(in crate::render) name: &'static str,
    /// Whether it holds numbers, which end below each other.
    pub(in crate::render) number: bool,
    /// Whether it may be cut where there is no room.
    pub(in crate::render) flexible: bool,
}

/// A row.
#[derive(Debug)]
pub(in crate::render) struct Row {
    pub(in crate::render) cells: Vec<String>,
    pub(in crate::render) tone: Tone,
    /// Lines below the row: the rules behind it, what to do next.
    pub(in crate::render) below: Vec<String>,
}

/// How a row is to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::render) enum Tone {
    #[default]
    Plain,
    Good,
    Attention,
    Bad,
}

impl Tone {
    /// A stable name.
    pub(in crate::render) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Attention => "attention",
            Self::Bad => "bad",
        }
    }
}

impl Table {
    pub(in crate::render) fn new(
        id: &'static str,
        title: &'static str,
        columns: &[Column],
    ) -> Self {
        Self {
            id,
            title,
            columns: columns.to_vec(),
            ..Self::default()
        }
    }

    pub(in crate::render) fn row(&mut self, tone: Tone, cells: Vec<String>) {
        self.rows.push(Row {
            cells,
            tone,
            below: Vec::new(),
        });
    }
}

/// A column of text.
pub(in crate::render) const fn text(name: &'static str) -> Column {
    Column {
        name,
        number: false,
        flexible: true,
    }
}

/// A column of text that is never cut.
pub(in crate::render) const fn fixed(name: &'static str) -> Column {
    Column {
        name,
        number: false,
        flexible: false,
    }
}

/// A column of numbers.
pub(in crate::render) const fn number(name: &'static str) -> Column {
    Column {
        name,
        number: true,
        flexible: false,
    }
}

/// What a report says; `paths` are those of the command, to be named in further ones.
pub(in crate::render) fn outline(report: &Report, paths: &Paths) -> Outline {
    let mut sections = vec![read::section(report)];
    sections.extend(findings::section(report, paths));
    sections.extend(drops::section(report, paths));
    sections.extend(policies::section(report));
    if report.reading.flows > 0 {
        sections.extend(traffic::sections(report));
    }
    Outline {
        title: "Flows".to_owned(),
        checks: Vec::new(),
        short: short::sentences(report),
        sections,
    }
}
