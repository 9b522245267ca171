//! Which part of the flows to show: how many, from which end, of which time.
//!
//! Owns `--all --last --first --follow --since --until` and their conflicts. Does not
//! apply them; files and servers do so differently.

use clap::Args;

use super::time_arg::{TimeArgError, parse_time};

/// Most flows that the end of a file is kept for.
pub const MAX_LAST_OF_FILE: u64 = 1_000_000;

/// The flags, as typed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Selectors")]
pub struct SelectionArgs {
    /// Get all flows of the server's buffer
    #[arg(long)]
    pub all: bool,
    /// Get the newest N flows
    #[arg(long, value_name = "N")]
    pub last: Option<u64>,
    /// Get the oldest N flows
    #[arg(long, value_name = "N")]
    pub first: Option<u64>,
    /// Follow new flows as they come
    #[arg(long, short)]
    pub follow: bool,
    /// Only flows since a time: 5m ago, 2006-01-02, or an RFC 3339 time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Only flows until a time, as --since; ignored with --follow
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
}

/// What the flags mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// How many.
    pub count: Count,
    /// Whether to go on with what comes.
    pub follow: bool,
    /// Inclusive lower bound, nanoseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Inclusive upper bound; `None` when following.
    pub until: Option<i64>,
}

/// How many flows, from which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Nothing was said: all of a file, and of a server what it is usually asked for.
    Unsaid,
    /// All there is.
    All,
    /// The oldest.
    First(u64),
    /// The newest.
    Last(u64),
}

/// Flags that make no selection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// Two flags that exclude each other.
    #[error("cannot set both --{0} and --{1}")]
    Conflict(&'static str, &'static str),
    /// A time that is none.
    #[error("failed to parse the {bound} time: {source}")]
    Time {
        /// `since` or `until`.
        bound: &'static str,
        /// What is wrong.
        source: TimeArgError,
    },
    /// More of a file's end than is kept.
    #[error("--last must be <= {MAX_LAST_OF_FILE}, got {0}")]
    LastOfFile(u64),
}

impl SelectionArgs {
    /// What the flags mean at `now`, in nanoseconds since 1970 UTC. 0 flows is unsaid.
    ///
    /// # Errors
    /// [`SelectionError`] for a conflict or a time that is none.
    pub fn resolve(&self, now: i64) -> Result<Selection, SelectionError> {
        let last = self.last.filter(|&count| count > 0);
        let first = self.first.filter(|&count| count > 0);
        if first.is_some() {
            for (set, other) in [
                (last.is_some(), "last"),
                (self.all, "all"),
                (self.follow, "follow"),
            ] {
                if set {
                    return Err(SelectionError::Conflict("first", other));
                }
            }
        }
        let time = |bound, text: &Option<String>| {
            text.as_deref()
                .map(|text| parse_time(text, now))
                .transpose()
                .map_err(|source| SelectionError::Time { bound, source })
        };
        let since = time("since", &self.since)?;
        let until = time("until", &self.until)?;
        Ok(Selection {
            count: match (self.all, first, last) {
                (true, ..) => Count::All,
                (_, Some(count), _) => Count::First(count),
                (_, _, Some(count)) => Count::Last(count),
                _ => Count::Unsaid,
            },
            follow: self.follow,
            since,
            until: until.filter(|_| !self.follow),
        })
    }
}

impl Selection {
    /// Checks that a file can be read so.
    ///
    /// # Errors
    /// [`SelectionError::LastOfFile`]: the end of a file is kept in memory.
    pub fn for_file(self) -> Result<Self, SelectionError> {
        match self.count {
            Count::Last(count) if count > MAX_LAST_OF_FILE => {
                Err(SelectionError::LastOfFile(count))
            }
            _ => Ok(self),
        }
    }

    /// Whether a time is within the bounds. No time is 1970, as in Hubble.
    #[must_use]
    pub fn covers(&self, time: Option<i64>) -> bool {
        let time = time.unwrap_or(0);
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_exclude_the_newest_all_and_following() {
        let with = |change: fn(&mut SelectionArgs)| {
            let mut args = SelectionArgs {
                first: Some(3),
                ..SelectionArgs::default()
            };
            change(&mut args);
            args.resolve(0)
        };
        let conflict = |other| Err(SelectionError::Conflict("first", other));
        assert_eq!(with(|args| args.last = Some(4)), conflict("last"));
        assert_eq!(with(|args| args.all = true), conflict("all"));
        assert_eq!(with(|args| args.follow = true), conflict("follow"));
        assert_eq!(
            with(|args| args.last = Some(0)).unwrap().count,
            Count::First(3)
        );
    }

    #[test]
    fn following_has_no_end() {
        let args = SelectionArgs {
            follow: true,
            since: Some("1s".to_owned()),
            until: Some("1s".to_owned()),
            ..SelectionArgs::default()
        };
        let selection = args.resolve(5_000_000_000).unwrap();
        assert_eq!(selection.since, Some(4_000_000_000));
        assert_eq!(selection.until, None);
        assert!(selection.covers(Some(4_000_000_000)));
        assert!(!selection.covers(None));
    }

    #[test]
    fn the_end_of_a_file_is_bounded() {
        let args = SelectionArgs {
            last: Some(2_000_000),
            ..SelectionArgs::default()
        };
        assert_eq!(
            args.resolve(0).unwrap().for_file(),
            Err(SelectionError::LastOfFile(2_000_000))
        );
    }
}
