//! The filter flags of `tail`, which are those of `hubble observe`.
//!
//! Owns the flags and their translation to `FlowFilter` messages, as Hubble's client
//! translates them. What the messages mean is `filter`'s.
//!
//! The order of flags matters to `--not`, so the flags are not fields: [`FlowFilterArgs`]
//! keeps them as typed.

mod build;
mod error;
mod flags;
mod raw;
mod values;

#[cfg(test)]
mod tests;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::error::UsageError;
use crate::filter::Filters;
use crate::proto::flow as pb;

pub use error::{FlagError, RawFilterError};
pub use raw::write_raw_filters;

use build::Builder;
use flags::{Flag, GROUPS};

/// The filter flags, as typed. To be flattened into a command.
#[derive(Clone, Debug, Default)]
pub struct FlowFilterArgs {
    /// Flags with their values, in order; switches have an empty one.
    typed: Vec<(&'static str, String)>,
    allowlist: Vec<String>,
    denylist: Vec<String>,
    print_raw_filters: bool,
}

/// Filters to allow and filters to deny.
pub type AllowAndDeny = (Vec<pb::FlowFilter>, Vec<pb::FlowFilter>);

impl FlowFilterArgs {
    /// The filters of the flags and the environment, compiled, and as they are sent.
    ///
    /// # Errors
    /// [`UsageError`] for flags that make no filter, and for filters that mean nothing.
    pub(super) fn compile(&self) -> Result<(Filters, AllowAndDeny), UsageError> {
        let usage = |error: &dyn std::fmt::Display| UsageError::new(error.to_string());
        let (allow, deny) = self
            .filters(|name| std::env::var(name).ok())
            .map_err(|error| usage(&error))?;
        let filters = Filters::compile(&allow, &deny).map_err(|error| usage(&error))?;
        Ok((filters, (allow, deny)))
    }

    /// The filters of the flags, then the raw ones.
    ///
    /// `environment` answers for `FLOWWATCH_ALLOWLIST` and `FLOWWATCH_DENYLIST`, then
    /// Hubble's names for them, where the flag is not given.
    ///
    /// # Errors
    /// [`FlagError`] for flags that make no filter. Most values are only judged when
    /// the filters are compiled.
    pub fn filters(
        &self,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<AllowAndDeny, FlagError> {
        let mut builder = Builder::default();
        for (flag, value) in &self.typed {
            builder.flag(flag, value)?;
        }
        let (mut allow, mut deny) = builder.finish()?;
        for (flag, name, given, filters) in [
            (ALLOWLIST, "ALLOWLIST", &self.allowlist, &mut allow),
            (DENYLIST, "DENYLIST", &self.denylist, &mut deny),
        ] {
            let inherited = || {
                environment(&format!("FLOWWATCH_{name}"))
                    .or_else(|| environment(&format!("HUBBLE_{name}")))
            };
            if given.is_empty()
                && let Some(value) = inherited()
            {
                filters.extend(raw::parse(flag, &value)?);
            }
            for value in given {
                filters.extend(raw::parse(flag, value)?);
            }
        }
        Ok((allow, deny))
    }

    /// Whether to print the filters instead of flows, see [`write_raw_filters`].
    #[must_use]
    pub fn print_raw_filters(&self) -> bool {
        self.print_raw_filters
    }
}

const ALLOWLIST: &str = "allowlist";
const DENYLIST: &str = "denylist";
const PRINT_RAW_FILTERS: &str = "print-raw-filters";
const RAW_HEADING: &str = "Raw filters";

impl Args for FlowFilterArgs {
    fn augment_args(mut command: Command) -> Command {
        for (heading, flags) in GROUPS {
            for flag in *flags {
                command = command.arg(arg(flag).help_heading(*heading));
            }
        }
        for (name, help) in [
            (
                ALLOWLIST,
                "Show flows that match a filter given as JSON [env: FLOWWATCH_ALLOWLIST]",
            ),
            (
                DENYLIST,
                "Hide flows that match a filter given as JSON [env: FLOWWATCH_DENYLIST]",
            ),
        ] {
            command = command.arg(
                Arg::new(name)
                    .long(name)
                    .value_name("JSON")
                    .action(ArgAction::Append)
                    .allow_hyphen_values(true)
                    .help(help)
                    .help_heading(RAW_HEADING),
            );
        }
        command.arg(
            Arg::new(PRINT_RAW_FILTERS)
                .long(PRINT_RAW_FILTERS)
                .action(ArgAction::SetTrue)
                .help("Print the filters as configuration and exit")
                .help_heading(RAW_HEADING),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FlowFilterArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut typed = Vec::new();
        for flag in GROUPS.iter().flat_map(|(_, flags)| *flags) {
            let indices = matches.indices_of(flag.name).into_iter().flatten();
            let values = matches.get_many::<String>(flag.name).into_iter().flatten();
            for (index, value) in indices.zip(values) {
                typed.push((index, flag.name, value.clone()));
            }
        }
        typed.sort_by_key(|(index, ..)| *index);
        let raw = |name| {
            let values = matches.get_many::<String>(name).into_iter().flatten();
            values.cloned().collect()
        };
        Ok(Self {
            typed: typed
                .into_iter()
                .map(|(_, flag, value)| (flag, value))
                .collect(),
            allowlist: raw(ALLOWLIST),
            denylist: raw(DENYLIST),
            print_raw_filters: matches.get_flag(PRINT_RAW_FILTERS),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Every occurrence keeps its place, so a switch appends an empty value too.
fn arg(flag: &Flag) -> Arg {
    let arg = Arg::new(flag.name)
        .long(flag.name)
        .short(flag.short)
        .action(ArgAction::Append)
        .help(flag.help);
    match flag.value {
        Some(name) => arg.value_name(name).allow_hyphen_values(true),
        None => arg.num_args(0).default_missing_value(""),
    }
}
