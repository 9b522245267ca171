//! `flowwatch tail`: flows from recordings or a server, one line each.
//!
//! Owns the arguments of the command. Their meaning is `plan`'s, the work that of
//! `files` and `live`.

mod files;
mod order;
mod plan;
mod tally;
mod writer;

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use clap::Args;

use super::error::CommandError;
use super::format::FormatArgs;
use crate::filter::Filters;
use crate::source::file::inputs;
use plan::{Limit, Plan};

/// Arguments of `tail`.
#[derive(Args, Debug)]
pub struct TailArgs {
    /// Recordings to read: files, directories of exporter rotations, or - for standard input.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The same, by Hubble's name.
    #[arg(long, value_name = "FILE")]
    input_file: Vec<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
}

impl TailArgs {
    fn plan(&self) -> Result<Plan, CommandError> {
        let paths: Vec<PathBuf> = self.files.iter().chain(&self.input_file).cloned().collect();
        Ok(Plan {
            inputs: inputs(&paths).map_err(CommandError::failed)?,
            output: self.format.plan()?,
            filters: Filters::compile(&[], &[]).map_err(CommandError::failed)?,
            limit: Limit::All,
            since: None,
            until: None,
            sort: false,
        })
    }

    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    pub fn run(
        &self,
        out: &mut dyn Write,
        err: &mut dyn Write,
        interrupted: &AtomicBool,
    ) -> Result<(), CommandError> {
        let plan = self.plan()?;
        files::run(&plan, &plan.inputs, out, err, interrupted)
    }
}
