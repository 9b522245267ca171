//! `flowwatch explain`: why a connection is allowed or denied.
//!
//! Owns the arguments and the order of things: who the two sides are (`side`), what is
//! asked, both directions' answers with every rule considered. The answers are `policy`'s,
//! the words `render`'s.

mod flows;
mod side;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::error::{CommandError, UsageError};
use super::format::Color;
use super::policy_args::AgentArgs;
use super::policy_source::{PolicySource, say_remarks};
use super::sink;
use crate::engine::{NamesSeen, Policies, split_url};
use crate::policy::{Direction, HttpRequest, IdentityIndex, RequestVerdict};
use crate::render::{Explained, ExplainedSide, explanation_json, explanation_text};
use side::Side;

/// Arguments of `explain`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExplainArgs {
    /// Policies, and what else is known of the cluster: files, directories, -
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    policies: Vec<PathBuf>,
    /// Recordings: where the flow is, and what is known of pods from their flows
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    flows: Vec<PathBuf>,
    /// Who connects: ns/workload, ns/key=value, an address, a name, or an entity
    #[arg(long, value_name = "SIDE", conflicts_with_all = ["flow", "uuid", "line"], requires = "to")]
    from: Option<String>,
    /// To whom, in the same forms
    #[arg(long, value_name = "SIDE", requires = "from")]
    to: Option<String>,
    /// Destination port, such as 8443/tcp, 53/udp, 8/icmp
    #[arg(long, value_name = "PORT", default_value = "443/tcp")]
    port: String,
    /// A request, such as 'GET /x' or 'GET http://host/x'
    #[arg(long, value_name = "REQUEST")]
    http: Option<String>,
    /// A query for this name
    #[arg(long, value_name = "NAME", conflicts_with = "http")]
    dns: Option<String>,
    /// Instead of a question, a recorded flow by its reference node/time/hash
    #[arg(long, value_name = "REFERENCE", group = "recorded", requires = "flows")]
    flow: Option<String>,
    /// A recorded flow by its uuid
    #[arg(long, value_name = "UUID", group = "recorded", requires = "flows")]
    uuid: Option<String>,
    /// A recorded flow by its line, as FILE:NUMBER
    #[arg(long, value_name = "FILE:NUMBER", group = "recorded", conflicts_with_all = ["http", "dns"])]
    line: Option<String>,
    /// text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    agent: AgentArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Text,
    Json,
}

const EXAMPLES: &str = "\
Examples:
  Does checkout reach payments?
    flowwatch explain --policies ./policies --from shop/checkout --to payments/payments --port 8080/tcp
  A request, and an address outside:
    flowwatch explain --policies ./policies --from shop/frontend --to shop/checkout --port 8080 --http 'GET /admin'
    flowwatch explain --policies ./policies --from shop/checkout --to 203.0.113.7 --port 443
  Why was this flow dropped?
    flowwatch explain --policies ./policies --line flows.jsonl:120";

/// A connection to explain.
struct Question {
    from: Side,
    to: Side,
    protocol: u8,
    port: u16,
    request: Option<Request>,
    /// What is known of the flow, if it is one.
    recorded: Option<String>,
    /// Cluster that the flow says it is of.
    cluster: Option<String>,
    /// Why its destination may have a name that the recording does not tell.
    names: Option<NamesSeen>,
}

/// A request over the connection.
enum Request {
    Http {
        method: String,
        path: String,
        host: String,
        headers: Vec<(String, String)>,
    },
    Dns(String),
}

impl ExplainArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// [`CommandError`] for arguments that mean nothing, files that cannot be read, or a
    /// flow that is not there.
    pub(super) fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
        if self.from.is_none() && self.flow.is_none() && self.uuid.is_none() && self.line.is_none()
        {
            return Err(UsageError::new(
                "what is to be explained? Give --from and --to, or --flow, --uuid or --line",
            )
            .into());
        }
        // A question names its sides; a flow may have been called by other names too.
        let names_complete = self.from.is_some();
        let mut source =
            PolicySource::new(self.agent.clone(), self.policies.clone(), names_complete)?;
        if source.paths().is_empty() {
            return Err(UsageError::new("which policies? Give --policies PATH").into());
        }
        let loaded = source.load()?;
        say_remarks(&loaded.remarks, err);
        if loaded.failed {
            return Err(CommandError::Said);
        }
        let policies = Arc::new(loaded.policies);
        let question = self.question(&policies)?;
        let explained = explain(&policies, &question);
        let text = match self.output {
            OutputFormat::Json => explanation_json(&explained),
            OutputFormat::Text => explanation_text(&explained, Color::Auto.wanted()),
        };
        sink::all(out, &text)
    }

    fn question(&self, policies: &Arc<Policies>) -> Result<Question, CommandError> {
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            let (protocol, port) = port(&self.port)?;
            let known = flows::endpoints(&self.flows)?;
            let side = |text: &str| Side::parse(text, policies, &known);
            return Ok(Question {
                from: side(from)?,
                to: side(to)?,
                protocol,
                port,
                request: self.request()?,
                recorded: None,
                cluster: known.cluster.clone(),
                names: None,
            });
        }
        flows::question(
            policies,
            &self.flows,
            self.flow.as_deref(),
            self.uuid.as_deref(),
            self.line.as_deref(),
        )
    }

    fn request(&self) -> Result<Option<Request>, CommandError> {
        if let Some(name) = &self.dns {
            return Ok(Some(Request::Dns(name.clone())));
        }
        let Some(text) = &self.http else {
            return Ok(None);
        };
        let (method, target) = text.split_once(' ').ok_or_else(|| {
            UsageError::new(format!("--http '{text}': expected a method and a path"))
        })?;
        let (host, path) = split_url(target);
        Ok(Some(Request::Http {
            method: method.to_owned(),
            path: path.to_owned(),
            host: host.to_owned(),
            headers: Vec::new(),
        }))
    }
}

/// Both directions' answers.
fn explain(policies: &Policies, question: &Question) -> Explained {
    let cluster = policies.cluster(question.cluster.as_deref());
    let index = |side: &Side| match side.identity() {
        Some(identity) => cluster.index(identity.clone(), side.is_outside()),
        None => cluster.nobody(),
    };
    let (from, to) = (index(&question.from), index(&question.to));
    let compiled = cluster.read();
    let side = |direction, subject: IdentityIndex, peer: IdentityIndex| {
        // What is no endpoint of the cluster has no policy of its own.
        compiled.is_endpoint(subject).then(|| {
            let (protocol, port) = (question.protocol, question.port);
            let mut decision = compiled.decide(subject, direction, peer, protocol, port);
            if policies.strict() {
                decision = decision.strict();
            }
            let request = question.request.as_ref().and_then(|request| {
                request_verdict(
                    request,
                    &compiled,
                    (subject, direction, peer),
                    (protocol, port),
                    &decision,
                )
            });
            ExplainedSide {
                direction,
                considered: compiled.explain(subject, direction, peer, (protocol, port), &decision),
                default_deny: compiled.selecting(subject, direction),
                redirect: decision.redirect.and_then(|id| compiled.redirect(id)),
                rules: compiled.rules(decision.rules),
                decision,
                request,
            }
        })
    };
    Explained {
        from: question.from.to_string(),
        to: question.to.to_string(),
        protocol: question.protocol,
        port: question.port,
        recorded: question.recorded.clone(),
        note: note(question),
        names: question.names.clone(),
        request: question.request.as_ref().map(Request::words),
        egress: side(Direction::Egress, from, to),
        ingress: side(Direction::Ingress, to, from),
        set: compiled.set().clone(),
    }
}

/// What to know before believing it.
fn note(question: &Question) -> Option<&'static str> {
    if question.to.is_name_only() || question.from.is_name_only() {
        Some("a name has no address here: rules on prefixes are judged for none")
    } else if question.recorded.is_none()
        && (question.from.is_outside() || question.to.is_outside())
    {
        Some("no document knows the address: it is taken as outside the cluster")
    } else {
        None
    }
}

fn answer(verdict: RequestVerdict) -> Result<bool, crate::policy::Cause> {
    match verdict {
        RequestVerdict::Allowed => Ok(true),
        RequestVerdict::Denied => Ok(false),
        RequestVerdict::Unknown(cause) => Err(cause),
    }
}

/// Whether the rules of layer 7 let the request pass; `None` where they are not asked.
fn request_verdict(
    request: &Request,
    compiled: &crate::policy::Compiled,
    (subject, direction, peer): (IdentityIndex, Direction, IdentityIndex),
    (protocol, port): (u8, u16),
    decision: &crate::policy::Decision,
) -> Option<Result<bool, crate::policy::Cause>> {
    decision.redirect?;
    match request {
        Request::Dns(name) => (direction == Direction::Egress)
            .then(|| answer(compiled.dns_query(subject, peer, protocol, port, name))),
        Request::Http {
            method,
            path,
            host,
            headers,
        } => {
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let request = HttpRequest {
                method: given(method),
                path: given(path),
                host: given(host),
                headers: (!headers.is_empty()).then_some(&headers),
            };
            let verdict = compiled.http_request(subject, direction, peer, protocol, port, &request);
            Some(answer(verdict))
        }
    }
}

impl Request {
    fn words(&self) -> String {
        match self {
            Self::Http {
                method, path, host, ..
            } => format!("{method} {host}{path}"),
            Self::Dns(name) => format!("query for {name}"),
        }
    }
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// `8443/tcp`, `53/udp`, `8/icmp`; TCP where no protocol is given.
fn port(text: &str) -> Result<(u8, u16), UsageError> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => 6,
        "udp" => 17,
        "sctp" => 132,
        "icmp" | "icmpv4" => 1,
        "icmpv6" => 58,
        _ => {
            return Err(UsageError::new(format!(
                "--port {text}: protocol must be tcp, udp, sctp, icmp or icmpv6"
            )));
        }
    };
    let number = number
        .parse()
        .map_err(|_| UsageError::new(format!("--port {text}: {number} is not a port")))?;
    Ok((protocol, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_read_with_its_protocol() {
        assert_eq!(port("8443/tcp"), Ok((6, 8443)));
        assert_eq!(port("53/UDP"), Ok((17, 53)));
        assert_eq!(port("80"), Ok((6, 80)));
        assert_eq!(port("8/icmp"), Ok((1, 8)));
        assert!(port("http/tcp").is_err());
        assert!(port("80/quic").is_err());
    }
}
