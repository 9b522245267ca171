//! Sums of a comparison, and the rows it is told in.

use std::sync::Arc;

use super::{Change, Fit, Outcome, Sums};
use crate::connection::{ExchangeKind, Side};
use crate::policy::Verdict;
use crate::review::report::Seen;

/// Flows that are named of a row.
const MOST_REFERENCES: usize = 3;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Request {
    Dns(Arc<str>),
    Http(Arc<str>, Arc<str>, Arc<str>),
    Other(Arc<str>),
}

/// What is counted of a row.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) count: u64,
    pub(super) forwarded: u64,
    pub(super) seen: Seen,
    pub(super) references: Vec<(Arc<str>, i64, u64)>,
}

impl Sums {
    pub(super) fn add(
        &mut self,
        base: Outcome,
        head: Outcome,
        change: Option<Change>,
        weight: u64,
    ) {
        if let Some(change) = change {
            *self.changed.entry(change).or_default() += weight;
            if change != Change::OtherRule {
                return;
            }
        }
        match (base, head) {
            (_, Outcome::Unknown(cause)) => *self.unknown.entry(cause).or_default() += weight,
            (_, Outcome::Passes) => self.pass += weight,
            (_, Outcome::Denied) => self.denied += weight,
            (_, Outcome::NeedsAuthentication) => self.authenticated += weight,
            (_, Outcome::NotAsked) => self.not_asked += weight,
        }
    }
}

impl Fit {
    pub(in crate::review) fn side(&mut self, side: &Side, weight: u64) {
        let Some(computed) = &side.computed else {
            return;
        };
        let is_unknown = matches!(computed.verdict, Verdict::Unknown(_)) || side.unknown.is_some();
        if side.recorded.is_none() || is_unknown {
            return;
        }
        let count = match (side.drift, side.changed) {
            (true, _) => &mut self.drift,
            (false, true) => &mut self.changed,
            (false, false) => &mut self.equal,
        };
        *count += weight;
    }

    /// Share of the compared sides that agree, 0 to 1; `None` where none was compared.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let compared = self.equal + self.drift;
        (compared > 0).then(|| self.equal as f64 / compared as f64)
    }
}

impl Row {
    pub(super) fn refer(&mut self, reference: &(Arc<str>, i64, u64)) {
        let earlier = |one: &(Arc<str>, i64, u64), other: &(Arc<str>, i64, u64)| {
            (one.1, &one.0, one.2) < (other.1, &other.0, other.2)
        };
        let at = self
            .references
            .iter()
            .position(|known| earlier(reference, known))
            .unwrap_or(self.references.len());
        if at < MOST_REFERENCES {
            self.references.insert(at, reference.clone());
            self.references.truncate(MOST_REFERENCES);
        }
    }
}

impl Request {
    pub(super) fn of(kind: &ExchangeKind) -> Self {
        match kind {
            ExchangeKind::Dns { query, .. } => Self::Dns(query.clone()),
            ExchangeKind::Http {
                method, host, path, ..
            } => Self::Http(method.clone(), host.clone(), path.clone()),
            ExchangeKind::Other(name) => Self::Other(name.clone()),
        }
    }
}

impl From<Request> for ExchangeKind {
    fn from(request: Request) -> Self {
        match request {
            Request::Dns(query) => Self::Dns {
                query,
                types: "".into(),
                code: 0,
            },
            Request::Http(method, host, path) => Self::Http {
                method,
                host,
                path,
                code: 0,
            },
            Request::Other(name) => Self::Other(name),
        }
    }
}
