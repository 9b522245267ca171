//! `flowwatch query`: questions to an archive.
//!
//! Owns the arguments as typed and what they mean together. What is asked is `query`'s;
//! a program that was built without it says so.

#[cfg(feature = "polars")]
mod complete;
#[cfg(feature = "polars")]
mod prompt;
#[cfg(feature = "polars")]
mod run;
#[cfg(feature = "polars")]
mod script;
#[cfg(feature = "polars")]
mod shell;
#[cfg(feature = "polars")]
mod show;
#[cfg(feature = "polars")]
mod statements;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::error::{CommandError, UsageError};
use crate::render::RowFormat;

/// Arguments of `query`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct QueryArgs {
    /// Folder of the archive
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath, required_unless_present = "list")]
    folder: Option<PathBuf>,
    /// A query's name (see --list) and its parameters, or one SELECT over the views flows,
    /// drops, connections, edges and holes. Without one, questions are read from standard
    /// input; on a terminal, at a prompt
    #[arg(value_name = "QUESTION")]
    question: Vec<String>,
    /// List the queries that have a name
    #[arg(long, conflicts_with_all = ["question", "by", "per", "top"])]
    list: bool,
    /// Count flows by these columns: src.workload,dst.workload,port
    #[arg(
        long,
        value_name = "COLUMNS",
        value_delimiter = ',',
        conflicts_with = "question"
    )]
    by: Vec<String>,
    /// Count for each span of this length: 1m, 1h, 1d
    #[arg(long, value_name = "DURATION", value_parser = super::record::age, conflicts_with = "question")]
    per: Option<Duration>,
    /// Keep this many groups, those with the most flows
    #[arg(long, value_name = "N", conflicts_with = "question",
          value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// Only flows this CEL condition on columns holds for: verdict == "DROPPED"
    #[arg(long = "where", value_name = "EXPR")]
    condition: Option<String>,
    /// Only flows from then on: a duration back from now, or a date
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only flows up to then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Format: table, csv, json, markdown, parquet or arrow
    #[arg(short, long, value_name = "FORMAT", default_value = "table", value_parser = format)]
    output: RowFormat,
    /// Write to this file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    filters: FilterArgs,
}

/// What is said where nothing was asked.
#[cfg(feature = "polars")]
const NO_QUESTION: &str = "what is the question? --by COLUMNS, a query's name (--list shows them), \
    or a SELECT";

const EXAMPLES: &str = "\
Examples:
  Who was denied what, most first:
    flowwatch query flows/ --by src.workload,dst.workload,port --where 'verdict == \"DROPPED\"' --top 20
  Who talked to a workload:
    flowwatch query flows/ who-talked-to shop/checkout --since 24h
  SQL:
    flowwatch query flows/ 'SELECT node_name, count(*) AS flows FROM drops GROUP BY node_name'
  One question after the other, at a prompt:
    flowwatch query flows/";

/// Declares the filter flags, which are texts here: their meaning is `query`'s.
macro_rules! filters {
    ($($field:ident $flag:literal $value:literal $help:literal;)+) => {
        /// Filter flags, as those of `tail`; a repeated flag is an alternative.
        #[derive(Args)]
        #[command(next_help_heading = "Filters")]
        struct FilterArgs {
            $(#[doc = $help]
            #[arg(long = $flag, value_name = $value)]
            $field: Vec<String>,)+
        }

        impl FilterArgs {
            /// The flags that were given.
            #[cfg(feature = "polars")]
            fn given(&self) -> Vec<(String, Vec<String>)> {
                let all = [$(($flag, &self.$field)),+];
                let given = all.into_iter().filter(|(_, values)| !values.is_empty());
                given
                    .map(|(flag, values)| (flag.to_owned(), values.clone()))
                    .collect()
            }
        }
    };
}

filters! {
    verdict "verdict" "VERDICT" "Flows with this verdict: FORWARDED, DROPPED, ...";
    drop_reason "drop-reason-desc" "REASON" "Drops for this reason: POLICY_DENIED";
    direction "traffic-direction" "DIRECTION" "Flows of this direction: ingress, egress";
    kind "type" "TYPE" "Flows of an event type: capture, drop, l7, policy-verdict, trace, trace-sock";
    protocol "protocol" "NAME" "Flows of a protocol: tcp, udp, sctp, icmp, dns, http, ...";
    ip_version "ip-version" "VERSION" "Flows of this IP version: v4, v6";
    node_name "node-name" "NODE" "Flows seen on this node: cluster/node";
    http_status "http-status" "STATUS" "HTTP responses with this status: 404, 5+";
    http_method "http-method" "METHOD" "HTTP flows with this method";
    namespace "namespace" "NS" "Flows from or to pods of this namespace";
    from_namespace "from-namespace" "NS" "Flows from pods of this namespace";
    to_namespace "to-namespace" "NS" "Flows to pods of this namespace";
    pod "pod" "[NS/]PREFIX" "Flows from or to pods whose name begins so";
    from_pod "from-pod" "[NS/]PREFIX" "Flows from pods whose name begins so";
    to_pod "to-pod" "[NS/]PREFIX" "Flows to pods whose name begins so";
    workload "workload" "[KIND/]NAME" "Flows from or to this workload";
    from_workload "from-workload" "[KIND/]NAME" "Flows from this workload";
    to_workload "to-workload" "[KIND/]NAME" "Flows to this workload";
    ip "ip" "IP" "Flows from or to this address";
    from_ip "from-ip" "IP" "Flows from this address";
    to_ip "to-ip" "IP" "Flows to this address";
    port "port" "PORT" "Flows from or to this port";
    from_port "from-port" "PORT" "Flows from this port";
    to_port "to-port" "PORT" "Flows to this port";
    identity "identity" "IDENTITY" "Flows from or to this identity: a number, world, host";
    from_identity "from-identity" "IDENTITY" "Flows from this identity";
    to_identity "to-identity" "IDENTITY" "Flows to this identity";
}

fn format(text: &str) -> Result<RowFormat, String> {
    let known = RowFormat::NAMES.iter().find(|(name, _)| *name == text);
    known.map(|(_, format)| *format).ok_or_else(|| {
        let names: Vec<&str> = RowFormat::NAMES.iter().map(|(name, _)| *name).collect();
        format!("one of {}", names.join(", "))
    })
}

/// What is asked.
#[cfg_attr(
    not(feature = "polars"),
    expect(dead_code, reason = "there is nothing to ask")
)]
enum Question {
    /// On standard input.
    Later,
    Sql(String),
    Named(String, Vec<String>),
    Group {
        by: Vec<String>,
        per: Option<Duration>,
        top: Option<u32>,
    },
}

impl QueryArgs {
    fn question(&self) -> Result<Question, UsageError> {
        if let Some((first, rest)) = self.question.split_first() {
            // A name is one word; SQL has a space, or is wrong anyway.
            let is_name = !first.trim().contains(char::is_whitespace);
            if is_name {
                return Ok(Question::Named(first.trim().to_owned(), rest.to_vec()));
            }
            if !rest.is_empty() {
                return Err(UsageError::new(
                    "SQL is one argument: put it between quotes",
                ));
            }
            return Ok(Question::Sql(first.clone()));
        }
        if self.by.is_empty() && self.per.is_none() && self.top.is_none() {
            return Ok(Question::Later);
        }
        if self.per.is_some_and(|per| per.is_zero()) {
            return Err(UsageError::new("--per has to be longer than nothing"));
        }
        Ok(Question::Group {
            by: self.by.clone(),
            per: self.per,
            top: self.top,
        })
    }

    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`], whose code is the exit code.
    #[cfg(feature = "polars")]
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
        run::run(self, out, err)
    }

    /// Says that there is nothing to run.
    ///
    /// # Errors
    /// [`CommandError`], always.
    #[cfg(not(feature = "polars"))]
    pub(super) fn run(
        &self,
        _out: &mut dyn Write,
        _err: &mut dyn Write,
    ) -> Result<(), CommandError> {
        if !self.list {
            self.question()?;
        }
        Err(CommandError::failed(
            "this flowwatch was built without `query`: build it with the feature `polars`",
        ))
    }
}
