//! Queries that have a name.
//!
//! Owns what each asks and its parameters. A party is written as `edges` has it: a
//! workload as `namespace/name`, a reserved identity, a DNS name, an address.

use std::time::Duration;

use polars::prelude::{DataType, Expr, LazyFrame, SortMultipleOptions, col, len, lit, when};

use super::columns::{party, shown};
use super::condition::Condition;
use super::error::QueryError;
use super::group::{bucket, greatest_first};
use super::views::{dropped, events, note, view};
use super::{Answer, Session};
use crate::flow::L7Type;

/// A query with a name.
#[derive(Debug)]
pub struct Canned {
    /// Its name.
    pub name: &'static str,
    /// Name and parameters, those in brackets optional.
    pub usage: &'static str,
    /// What it answers.
    pub about: &'static str,
    /// How many parameters it takes.
    parameters: (usize, usize),
    frame: fn(&Session, &[String]) -> Result<LazyFrame, QueryError>,
    /// Whether it counts edges.
    of_edges: bool,
    /// Whether what it does not list was not there.
    absence: bool,
}

/// Every query that has a name.
pub static CANNED: [Canned; 6] = [
    Canned {
        name: "who-talked-to",
        usage: "who-talked-to PARTY",
        about: "who reached for a party, on which ports, how often, first and last",
        parameters: (1, 1),
        frame: who_talked_to,
        of_edges: true,
        absence: false,
    },
    Canned {
        name: "timeline",
        usage: "timeline [PARTY [PERIOD]]",
        about: "flows and drops over time, of a party or of all (* for all); PERIOD is 1m if \
                not given",
        parameters: (0, 2),
        frame: timeline,
        of_edges: false,
        absence: false,
    },
    Canned {
        name: "first-seen",
        usage: "first-seen [PARTY]",
        about: "when each edge was seen first, latest first",
        parameters: (0, 1),
        frame: first_seen,
        of_edges: true,
        absence: true,
    },
    Canned {
        name: "dns",
        usage: "dns [PARTY]",
        about: "names that were asked for, by whom, how often, and how many answers were errors",
        parameters: (0, 1),
        frame: dns,
        of_edges: false,
        absence: false,
    },
    Canned {
        name: "http-errors",
        usage: "http-errors [PARTY]",
        about: "HTTP responses of 400 and more: who answered so to whom, on what",
        parameters: (0, 1),
        frame: http_errors,
        of_edges: false,
        absence: false,
    },
    Canned {
        name: "loss",
        usage: "loss",
        about: "what is missing: holes by node and cause",
        parameters: (0, 0),
        frame: loss,
        of_edges: false,
        absence: true,
    },
];

/// Answers a query by its name.
pub(super) fn answer(
    session: &Session,
    name: &str,
    parameters: &[String],
) -> Result<Answer, QueryError> {
    let canned = CANNED.iter().find(|canned| canned.name == name);
    let canned = canned.ok_or_else(|| QueryError::Name {
        name: name.to_owned(),
    })?;
    let (least, most) = canned.parameters;
    let problem = match parameters.len() {
        given if given < least => "a parameter is missing",
        given if given > most => "there are too many parameters",
        _ => "",
    };
    if !problem.is_empty() {
        return Err(QueryError::Parameters {
            usage: canned.usage,
            problem: problem.to_owned(),
        });
    }
    let mut answer = Answer::new((canned.frame)(session, parameters)?)?;
    answer.absence = canned.absence;
    answer.party = parameters.first().filter(|text| *text != "*").cloned();
    if canned.of_edges {
        answer.notes.extend(note(session, "edges"));
    }
    Ok(answer)
}

fn is(column: &str, text: &str) -> Expr {
    col(column).eq(lit(text.to_owned()))
}

/// What is told of an edge beside who, to whom and how often.
const COUNTS: [&str; 7] = [
    "ongoing",
    "denied",
    "dropped",
    "attempts",
    "flows",
    "first_seen",
    "last_seen",
];

fn edges(session: &Session) -> Result<LazyFrame, QueryError> {
    view(session, "edges", &Condition::default())
}

fn who_talked_to(session: &Session, parameters: &[String]) -> Result<LazyFrame, QueryError> {
    let mut edges = edges(session)?;
    for party in parameters {
        edges = edges.filter(is("destination", party));
    }
    let columns = ["source", "destination", "port", "protocol", "connections"];
    let columns = columns.into_iter().chain(COUNTS);
    Ok(
        greatest_first(edges, &["connections", "source", "port", "protocol"])
            .select(columns.map(col).collect::<Vec<_>>()),
    )
}

fn first_seen(session: &Session, parameters: &[String]) -> Result<LazyFrame, QueryError> {
    let mut edges = edges(session)?;
    for party in parameters {
        edges = edges.filter(is("source", party).or(is("destination", party)));
    }
    let order = ["first_seen", "source", "destination", "port", "protocol"];
    let columns =
        order
            .into_iter()
            .chain(["last_seen", "connections", "ongoing", "denied", "dropped"]);
    Ok(greatest_first(edges, &order).select(columns.map(col).collect::<Vec<_>>()))
}

fn timeline(session: &Session, parameters: &[String]) -> Result<LazyFrame, QueryError> {
    let mut flows = session.flows(&Condition::default())?;
    if let Some(text) = parameters.first().filter(|text| *text != "*") {
        let this = |side: &str| party(side).eq(lit(text.clone()));
        flows = flows.filter(this("source").or(this("destination")));
    }
    let per = match parameters.get(1) {
        None => Duration::from_mins(1),
        Some(text) => period(text).ok_or_else(|| QueryError::Parameters {
            usage: "timeline [PARTY [PERIOD]]",
            problem: format!("{text:?} is no period such as 1m or 1h"),
        })?,
    };
    let weight = || col("weight").cast(DataType::UInt64);
    let options = SortMultipleOptions::new().with_nulls_last(true);
    Ok(flows
        .group_by([bucket(per)])
        .agg([
            len().cast(DataType::UInt64).alias("flows"),
            events().alias("events"),
            when(dropped())
                .then(weight())
                .otherwise(lit(0_u64))
                .sum()
                .alias("dropped"),
        ])
        .sort(["time"], options))
}

/// A length of time above nothing.
fn period(text: &str) -> Option<Duration> {
    let nanoseconds = crate::filter::parse_go_duration(text)?;
    let period = Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
    (!period.is_zero()).then_some(period)
}

/// Who asks, on requests and responses: a response goes to the one that asked.
fn client_and_server() -> (Expr, Expr) {
    let response = || col("l7_type").eq(lit(L7Type::RESPONSE.0));
    let client = when(response())
        .then(party("destination"))
        .otherwise(party("source"));
    let server = when(response())
        .then(party("source"))
        .otherwise(party("destination"));
    (client.alias("client"), server.alias("server"))
}

fn count_where(condition: Expr) -> Expr {
    when(condition.fill_null(lit(false)))
        .then(lit(1_u64))
        .otherwise(lit(0_u64))
        .sum()
}

fn dns(session: &Session, parameters: &[String]) -> Result<LazyFrame, QueryError> {
    let (client, _) = client_and_server();
    let mut flows = session
        .flows(&Condition::default())?
        .filter(col("dns_query").is_not_null())
        .select([
            client,
            col("dns_query").alias("query"),
            col("time"),
            col("l7_type"),
            col("dns_rcode"),
        ]);
    for party in parameters {
        flows = flows.filter(is("client", party));
    }
    let response = || col("l7_type").eq(lit(L7Type::RESPONSE.0));
    let error = |code: u32| response().and(col("dns_rcode").eq(lit(code)));
    let counted = flows.group_by([col("client"), col("query")]).agg([
        count_where(col("l7_type").eq(lit(L7Type::REQUEST.0))).alias("requests"),
        count_where(response()).alias("responses"),
        count_where(response().and(col("dns_rcode").gt(lit(0_u32)))).alias("errors"),
        count_where(error(3)).alias("nxdomain"),
        col("time").min().alias("first_seen"),
        col("time").max().alias("last_seen"),
    ]);
    Ok(greatest_first(counted, &["requests", "client", "query"]))
}

fn http_errors(session: &Session, parameters: &[String]) -> Result<LazyFrame, QueryError> {
    let (client, server) = client_and_server();
    let mut flows = session
        .flows(&Condition::default())?
        .filter(col("http_code").gt_eq(lit(400_u32)))
        .select([
            client,
            server,
            shown("http_method").alias("method"),
            shown("http_url").alias("url"),
            col("http_code").alias("code"),
            col("time"),
        ]);
    for party in parameters {
        flows = flows.filter(is("client", party).or(is("server", party)));
    }
    let keys = ["client", "server", "method", "url", "code"];
    let counted = flows.group_by(keys.map(col)).agg([
        len().cast(DataType::UInt64).alias("responses"),
        col("time").min().alias("first_seen"),
        col("time").max().alias("last_seen"),
    ]);
    Ok(greatest_first(
        counted,
        &["responses", "client", "server", "method", "url", "code"],
    ))
}

fn loss(session: &Session, _parameters: &[String]) -> Result<LazyFrame, QueryError> {
    let holes = view(session, "holes", &Condition::default())?;
    let unknown = col("events").is_null().any(true);
    let counted = holes.group_by([col("node_name"), col("cause")]).agg([
        len().cast(DataType::UInt64).alias("holes"),
        // A hole without a count makes the sum unknown.
        when(unknown)
            .then(lit(polars::prelude::NULL).cast(DataType::UInt64))
            .otherwise(col("events").sum())
            .alias("events"),
        col("start").min(),
        col("end").max(),
    ]);
    Ok(greatest_first(counted, &["holes", "node_name", "cause"]))
}
