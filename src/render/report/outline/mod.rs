//! A report as sections, sentences and tables, before it has a form.
//!
//! Owns what is said and in which order; terminal, Markdown and HTML show the same. How
//! much of each table is shown is the form's.

pub(super) mod drops;
pub(super) mod findings;
pub(super) mod policies;
mod read;
mod short;
mod traffic;

use super::Paths;
use crate::review::report::Report;

/// A report to be shown.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// What it is.
    pub(super) title: String,
    /// What a reviewer has to look at, in this order.
    pub(super) checks: Vec<Check>,
    /// The story in a few sentences.
    pub(super) short: Vec<String>,
    /// The sections, in their order.
    pub(super) sections: Vec<Section>,
}

/// Something to be looked at and ticked off.
#[derive(Debug, Default)]
pub(super) struct Check {
    /// With its figures.
    pub(super) text: String,
    /// What shows more.
    pub(super) command: Option<String>,
}

/// A section.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// Stable name, for links.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// Sentences before the tables.
    pub(super) notes: Vec<String>,
    pub(super) tables: Vec<Table>,
}

/// A table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    /// What is not among the rows, for want of room when it was counted.
    pub(super) others: Option<String>,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Whether it holds numbers, which end below each other.
    pub(super) number: bool,
    /// Whether it may be cut where there is no room.
    pub(super) flexible: bool,
}

/// A row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    pub(super) tone: Tone,
    /// Lines below the row: the rules behind it, what to do next.
    pub(super) below: Vec<String>,
}

/// How a row is to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Good,
    Attention,
    Bad,
}

impl Tone {
    /// A stable name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Attention => "attention",
            Self::Bad => "bad",
        }
    }
}

impl Table {
    pub(in crate::render::report) fn new(
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

    pub(in crate::render::report) fn row(&mut self, tone: Tone, cells: Vec<String>) {
        self.rows.push(Row {
            cells,
            tone,
            below: Vec::new(),
        });
    }
}

/// A column of text.
pub(super) const fn text(name: &'static str) -> Column {
    Column {
        name,
        number: false,
        flexible: true,
    }
}

/// A column of text that is never cut.
pub(super) const fn fixed(name: &'static str) -> Column {
    Column {
        name,
        number: false,
        flexible: false,
    }
}

/// A column of numbers.
pub(super) const fn number(name: &'static str) -> Column {
    Column {
        name,
        number: true,
        flexible: false,
    }
}

/// What a report says; `paths` are those of the command, to be named in further ones.
pub(super) fn outline(report: &Report, paths: &Paths) -> Outline {
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
