//! `flowwatch status` and `flowwatch list`: what a server says of itself.
//!
//! Owns the arguments and which call answers them. The layouts are `render::server`'s.

use std::io::Write;

use clap::{Args, Subcommand, ValueEnum};
use prost::Message;
use serde_json::{Value, json};

use super::connection::ConnectionArgs;
use super::error::{CommandError, UsageError};
use super::sink;
use crate::proto::observer::{Namespace, Node};
use crate::render::server;
use crate::source::observer::{ConnectConfig, ConnectError, ObserverSource};
use crate::wire::json_write::wire_to_json;
use crate::wire::shape;

/// Arguments of `status`.
#[derive(Args)]
pub(crate) struct StatusArgs {
    /// Format
    #[arg(short, long, value_name = "FORMAT", default_value = "compact")]
    output: StatusFormat,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StatusFormat {
    Compact,
    Dict,
    #[value(alias = "jsonpb")]
    Json,
    #[value(alias = "tab")]
    Table,
}

/// Arguments of `list`.
#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Nodes behind a relay
    #[command(visible_alias = "node")]
    Nodes(ListedArgs),
    /// Namespaces seen in flows of the last hour
    #[command(visible_alias = "namespace", alias = "ns")]
    Namespaces(ListedArgs),
}

#[derive(Args)]
struct ListedArgs {
    /// Format; wide is a table with more columns
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ListFormat,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    Table,
    Wide,
    Json,
}

impl StatusArgs {
    /// Runs the command against every server given.
    ///
    /// # Errors
    /// [`CommandError`] for a server that does not answer.
    pub(crate) fn run(&self, out: &mut dyn Write) -> Result<(), CommandError> {
        let mut text = Vec::new();
        for config in plan(&self.connection)? {
            let name = config.target.to_string();
            let answer = ask(async {
                let source = ObserverSource::connect(config).await?;
                source.server_status().await
            })?;
            match self.output {
                StatusFormat::Compact => {
                    text.extend_from_slice(format!("Healthcheck (via {name}): Ok\n").as_bytes());
                    text.extend_from_slice(server::status_compact(&answer.value).as_bytes());
                }
                StatusFormat::Dict => {
                    text.extend_from_slice(server::status_dict(&answer.value).as_bytes());
                }
                StatusFormat::Table => {
                    text.extend_from_slice(server::status_table(&answer.value).as_bytes());
                }
                StatusFormat::Json => {
                    text.extend_from_slice(
                        message(&answer.value, "observer.ServerStatusResponse")?
                            .to_string()
                            .as_bytes(),
                    );
                    text.push(b'\n');
                }
            }
        }
        sink::all(out, &text)
    }
}

impl ListArgs {
    /// Runs the command; what several servers list is listed together.
    ///
    /// # Errors
    /// [`CommandError`] for a server that does not answer.
    pub(crate) fn run(&self, out: &mut dyn Write) -> Result<(), CommandError> {
        let text = match &self.what {
            What::Nodes(args) => {
                let mut nodes: Vec<Node> = Vec::new();
                for config in plan(&args.connection)? {
                    nodes.extend(
                        ask(async { ObserverSource::connect(config).await?.nodes().await })?.value,
                    );
                }
                match args.output {
                    ListFormat::Json => array(&nodes, "observer.Node")?,
                    format => server::nodes_table(&nodes, format == ListFormat::Wide),
                }
            }
            What::Namespaces(args) => {
                let mut namespaces: Vec<Namespace> = Vec::new();
                for config in plan(&args.connection)? {
                    namespaces.extend(
                        ask(async { ObserverSource::connect(config).await?.namespaces().await })?
                            .value,
                    );
                }
                match args.output {
                    ListFormat::Json => array(&namespaces, "observer.Namespace")?,
                    format => server::namespaces_table(&namespaces, format == ListFormat::Wide),
                }
            }
        };
        sink::all(out, text.as_bytes())
    }
}

fn plan(connection: &ConnectionArgs) -> Result<Vec<ConnectConfig>, UsageError> {
    connection
        .plan()
        .map_err(|error| UsageError::new(error.to_string()))
}

/// Runs one exchange with a server to its end.
fn ask<T>(exchange: impl Future<Output = Result<T, ConnectError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::failed)?;
    runtime.block_on(exchange).map_err(CommandError::failed)
}

/// A message as JSON with Hubble's names.
fn message(message: &impl Message, name: &str) -> Result<Value, CommandError> {
    let mut text = Vec::new();
    if let Some(shape) = shape::by_full_name(name) {
        wire_to_json(shape, &message.encode_to_vec(), &mut text).map_err(CommandError::failed)?;
    }
    serde_json::from_slice(&text).map_err(CommandError::failed)
}

/// Messages as an indented array.
fn array(messages: &[impl Message], name: &str) -> Result<String, CommandError> {
    let values: Result<Vec<Value>, CommandError> =
        messages.iter().map(|item| message(item, name)).collect();
    sink::pretty(&json!(values?))
}
