//! What changed from one period to the next, in its forms.
//!
//! Owns what a review says and in which order: what is most urgent first, each with who,
//! since when, how often, what the policies say and what shows more. Layout is that of all
//! reports. That something is new is said only where nothing is missing of the period
//! before; else it was not seen.

mod checks;
mod drops;
mod json;
mod policies;
mod seen;
mod short;
mod traffic;

use super::Options;
use super::outline::Outline;
use crate::review::coverage::Coverage;
use crate::review::periodic::{Comparison, PolicyReview};
use crate::review::report::Report;

pub use json::{VERSION, json};

/// How much is reviewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What changed.
    Weekly,
    /// The policies too.
    Quarterly,
}

/// What a review is made of.
#[derive(Clone, Copy, Debug)]
pub struct Review<'a> {
    /// How much is reviewed.
    pub kind: Kind,
    /// What changed.
    pub comparison: &'a Comparison,
    /// What the later period tells.
    pub report: &'a Report,
    /// What was used of the policies, where they were given.
    pub policies: Option<&'a PolicyReview>,
    /// What they cover, where it was asked for.
    pub coverage: Option<&'a Coverage>,
}

impl Kind {
    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::Quarterly => "quarterly",
        }
    }
}

/// The review for a terminal.
#[must_use]
pub fn terminal(review: &Review<'_>, options: &Options) -> String {
    let mut text = String::new();
    super::terminal::write(&mut text, &outline(review, options), options);
    text
}

/// The review as Markdown: made for a ticket or a wiki.
#[must_use]
pub fn markdown(review: &Review<'_>, options: &Options) -> String {
    let mut text = String::new();
    super::markdown::write(&mut text, &outline(review, options), options);
    text
}

/// The review as one page of HTML, with the map of the later period.
#[must_use]
pub fn html(review: &Review<'_>, options: &Options) -> String {
    let mut text = String::new();
    super::html::write(&mut text, review.report, &outline(review, options));
    text
}

fn outline(review: &Review<'_>, options: &Options) -> Outline {
    let paths = &options.paths;
    let mut sections = Vec::new();
    sections.extend(policies::drifts(review, paths));
    sections.extend(traffic::names(review, paths));
    sections.extend(traffic::edges(review, paths));
    sections.extend(drops::drops(review, paths));
    sections.extend(policies::gaps(review, paths));
    sections.extend(traffic::gone(review, paths));
    sections.extend(policies::coverage(review));
    sections.extend(policies::used(review));
    sections.extend(policies::unknown(review));
    sections.push(seen::section(review));
    Outline {
        title: short::title(review),
        checks: checks::checks(review, paths),
        short: short::sentences(review),
        sections,
    }
}
