//! The flags of how flows are shown, the same for every command that shows them.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};

use super::error::UsageError;
use crate::render::{LineFormat, LineOptions, TimeFormat};
use crate::wire::mask::FieldMask;
use crate::wire::shape;

/// Output flags as typed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct FormatArgs {
    /// Format: compact, dict, json, jsonpb or table.
    #[arg(short, long, value_name = "FORMAT", default_value = "compact")]
    output: String,
    /// Format of times; ignored for JSON.
    #[arg(long, value_name = "FORMAT", default_value = "StampMilli",
          value_parser = clap::builder::PossibleValuesParser::new(TIME_FORMATS))]
    time_format: String,
    /// Show the observing node.
    #[arg(long)]
    print_node_name: bool,
    /// Show the policies behind a policy verdict.
    #[arg(long)]
    print_policy_names: bool,
    /// Show addresses instead of names.
    #[arg(long)]
    numeric: bool,
    /// Show names instead of addresses.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true",
          require_equals = true, action = clap::ArgAction::Set)]
    ip_translation: bool,
    /// When to colour.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Fields to show, for JSON only (time,verdict,source.pod_name,…).
    #[arg(long, value_name = "PATHS", value_delimiter = ',')]
    field_mask: Vec<String>,
    /// Say nothing on standard error but errors.
    #[arg(short, long)]
    quiet: bool,
    /// Do not show the state of nodes on standard error.
    #[arg(short, long)]
    silent_errors: bool,
}

const TIME_FORMATS: [&str; 9] = [
    "StampMilli",
    "YearMonthDay",
    "YearMonthDayHour",
    "YearMonthDayHourMinute",
    "RFC3339",
    "RFC3339Milli",
    "RFC3339Micro",
    "RFC3339Nano",
    "RFC1123Z",
];

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// What is shown and how.
#[derive(Clone, Debug)]
pub(super) struct Output {
    /// The form of a flow.
    pub form: OutputForm,
    /// Whether standard error is for errors only.
    pub quiet: bool,
    /// Whether the state of nodes is left out.
    pub silent_errors: bool,
}

/// The form of a flow.
#[derive(Clone, Debug)]
pub(super) enum OutputForm {
    /// Text.
    Lines(LineOptions),
    /// A JSON object a line.
    Json(Option<FieldMask>),
}

impl OutputForm {
    /// The options of a table, whose lines can be written only at the end.
    #[must_use]
    pub(super) fn table(&self) -> Option<LineOptions> {
        match self {
            Self::Lines(options) if options.format == LineFormat::Table => Some(*options),
            _ => None,
        }
    }

    /// Whether it is text records under each other.
    #[must_use]
    pub(super) fn is_dict(&self) -> bool {
        matches!(self, Self::Lines(options) if options.format == LineFormat::Dict)
    }

    /// Whether rows have to keep what they were decoded from.
    #[must_use]
    pub(super) fn needs_raw(&self) -> bool {
        matches!(self, Self::Json(_))
    }
}

impl FormatArgs {
    /// The fields of `--field-mask`, as typed.
    #[must_use]
    pub(super) fn field_mask(&self) -> &[String] {
        &self.field_mask
    }

    /// What the flags mean.
    ///
    /// # Errors
    /// [`UsageError`] for a format or field that does not exist, or a mask without JSON.
    pub(super) fn plan(&self) -> Result<Output, UsageError> {
        let format = match self.output.to_ascii_lowercase().as_str() {
            "compact" => Some(LineFormat::Compact),
            "dict" => Some(LineFormat::Dict),
            "table" | "tab" => Some(LineFormat::Table),
            "json" | "jsonpb" => None,
            _ => {
                return Err(UsageError::new(format!(
                    "invalid output format: {}",
                    self.output
                )));
            }
        };
        if format.is_some() && !self.field_mask.is_empty() {
            return Err(UsageError::new("--field-mask goes with -o json only"));
        }
        let form = match format {
            None if self.field_mask.is_empty() => OutputForm::Json(None),
            None => {
                let mask = FieldMask::parse(&self.field_mask, shape::flow())
                    .map_err(|error| UsageError::new(format!("invalid --field-mask: {error}")))?;
                OutputForm::Json(Some(mask))
            }
            Some(format) => OutputForm::Lines(LineOptions {
                format,
                time_format: self
                    .time_format
                    .parse::<TimeFormat>()
                    .map_err(|error| UsageError::new(error.to_string()))?,
                color: self.color.wanted(),
                node_name: self.print_node_name,
                policy_names: self.print_policy_names,
                ip_translation: self.ip_translation && !self.numeric,
            }),
        };
        Ok(Output {
            form,
            quiet: self.quiet,
            silent_errors: self.silent_errors,
        })
    }
}

impl Color {
    /// Whether standard output is to be coloured.
    pub(super) fn wanted(self) -> bool {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                std::io::stdout().is_terminal()
                    && !set("NO_COLOR")
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}
