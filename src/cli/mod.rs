//! One file a command: arguments as typed, a resolved plan, the calls.

mod error;
mod format;
mod sink;
mod tail;

use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand};

/// Network flows of Hubble and Cilium: shown, explained, compared with policy.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show flows, from recordings or live
    #[command(visible_alias = "observe")]
    Tail(Box<tail::TailArgs>),
}

/// Parses the arguments of the process, runs the command, and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(error::USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let mut out = std::io::stdout();
    let mut err = std::io::stderr();
    let interrupted = AtomicBool::new(false);
    let result = match &cli.command {
        Command::Tail(args) => args.run(&mut out, &mut err, &interrupted),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            sink::say(&mut err, &format!("flowwatch: {error}"));
            error.code()
        }
    }
}
