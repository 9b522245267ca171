//! One file a command: arguments as typed, a resolved plan, the calls.

mod analyze;
mod archive;
mod baseline;
pub mod connection;
mod detecting;
mod error;
mod explain;
mod findings;
pub mod flow_filter;
mod fold;
mod format;
mod generate;
mod held;
mod incident;
mod isolate;
mod passing;
mod pieces;
mod policy;
mod policy_args;
mod policy_source;
mod policy_watch;
mod progress;
mod query;
mod record;
mod redact;
mod report;
mod rollup;
pub mod selection;
mod serve;
mod server_info;
mod signal;
mod simulate;
mod sink;
mod synth;
mod tail;
pub mod time_arg;
mod trace;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use error::CommandError;
use signal::Interrupt;

/// Network flows of Hubble and Cilium: shown, explained, compared with policy.
#[derive(Parser)]
#[command(
    name = "flowwatch",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show flows, of recordings or live
    #[command(visible_alias = "observe")]
    Tail(Box<tail::TailArgs>),
    /// Report on recorded flows: drops, policies, who talks to whom
    Analyze(Box<analyze::AnalyzeArgs>),
    /// Say what changed, for the weekly and the quarterly review
    Report(Box<report::ReportArgs>),
    /// Say what other policies would have done to recorded connections
    Simulate(Box<simulate::SimulateArgs>),
    /// Write a quarantine for somebody, and prove what it does before anybody applies it
    Isolate(Box<isolate::IsolateArgs>),
    /// Say why a connection is allowed or denied
    Explain(Box<explain::ExplainArgs>),
    /// Say who talked to somebody, in and out, and on from there
    Trace(Box<trace::TraceArgs>),
    /// Say whether the quarantine of a bundle took effect
    Verify(Box<verify::VerifyArgs>),
    /// Look at what was found: incidents, findings, what is known and meant
    Findings(findings::FindingsArgs),
    /// Record flows into a columnar archive
    Record(Box<record::RecordArgs>),
    /// Look after an archive
    Archive(archive::ArchiveArgs),
    /// Ask an archive: counts, SQL, queries with a name
    Query(Box<query::QueryArgs>),
    /// Learn what is normal, and keep it as a file to review
    Baseline(baseline::BaselineArgs),
    /// Serve recorded flows as an Observer API
    Serve(Box<serve::ServeArgs>),
    /// Look at policies: what is wrong with them, what they cover
    Policy(policy::PolicyArgs),
    /// Ask a server how it is
    Status(server_info::StatusArgs),
    /// List nodes or namespaces of a server
    List(server_info::ListArgs),
    /// Replace names and addresses in recordings and policies, to share them
    Redact(Box<redact::RedactArgs>),
    /// Make flows of a synthetic cluster
    Synth(Box<synth::SynthArgs>),
    /// Write completions for a shell
    Completions(generate::CompletionsArgs),
    /// Write man pages
    Man(generate::ManArgs),
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
    let result = match cli.command {
        Command::Tail(args) => args.run(&mut out, &mut err, &Interrupt::listen()),
        Command::Analyze(args) => args.run(&mut out, &mut err, &Interrupt::listen()),
        Command::Report(args) => args.run(&mut out, &mut err, &Interrupt::listen()),
        Command::Simulate(args) => args.run(&mut out, &mut err, &Interrupt::listen()),
        Command::Isolate(args) => args.run(&mut out, &mut err, &Interrupt::listen()),
        Command::Explain(args) => args.run(&mut out, &mut err),
        Command::Trace(args) => args.run(&mut out, &mut err, &Interrupt::listen()),
        Command::Verify(args) => args.run(&mut out, &mut err, &Interrupt::listen()),
        Command::Findings(args) => args.run(&mut out, &mut err),
        Command::Record(args) => args.run(&mut err, &Interrupt::listen()),
        Command::Archive(args) => args.run(&mut out, &mut err),
        Command::Query(args) => args.run(&mut out, &mut err),
        Command::Baseline(args) => args.run(&mut out, &mut err, &Interrupt::listen()),
        Command::Serve(args) => args
            .plan()
            .map_err(CommandError::from)
            .and_then(|plan| serve::run(plan, &mut out, &mut err)),
        Command::Policy(args) => args.run(&mut out, &mut err, &Interrupt::listen()),
        Command::Status(args) => args.run(&mut out),
        Command::List(args) => args.run(&mut out),
        Command::Redact(args) => args.run(&mut out, &mut err, &Interrupt::listen()),
        Command::Synth(args) => args.run(&mut out, &mut err),
        Command::Completions(args) => args.run(Cli::command(), &mut out),
        Command::Man(args) => args.run(Cli::command()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ (CommandError::Said | CommandError::Found)) => error.code(),
        Err(error) => {
            sink::say(&mut err, &format!("flowwatch: {error}"));
            error.code()
        }
    }
}
