//! Policies that would have prevented an incident, and what a replay says of them.
//!
//! Owns which links are to be prevented (those that began with the incident and passed), what
//! let them pass, and what became of them under other policies. What is narrowed and made is
//! `review`'s, who replays hands in what came of it. Where nothing honest can be said,
//! [`Nothing`] says why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::connection::{ExchangeKind, Peer};
use crate::engine::{Rule, Ruling};
use crate::flow::{Protocol, counted};
use crate::manifest::{Document, document_text};
use crate::policy::{Cause, Direction, Origin, Verdict};
use crate::review::simulate::{Change, ChangeRow, Outcome, Simulation, What};
use crate::review::suggest::{Replayed, Suggested, Window};
use crate::review::tighten::{LeftAlone, Narrowing, Tightened};
use crate::review::trace::{Link, Trace, Way};

/// Edges beside the incident's that are named.
const MOST_BESIDE: usize = 20;

/// Policies that would have denied what was new.
#[derive(Debug)]
pub struct Prevention {
    /// When the incident began, in nanoseconds since 1970 UTC.
    pub start: i64,
    /// What the recordings can say of the time before.
    pub before: Window,
    /// Documents of files in which rules were narrowed.
    pub changed: Vec<Changed>,
    /// Policies that were made where there was none.
    pub made: Option<Suggested>,
    /// The time before it once more, under the new policies.
    pub replayed: Replayed,
    /// What was new and passed, and what becomes of it.
    pub links: Vec<Prevented>,
    /// What else passed since and would have been denied.
    pub beside: Vec<Beside>,
    /// Connections of that kind on edges that are not named.
    pub more_beside: u64,
}

/// A document in which rules were narrowed.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Its file.
    pub file: Arc<str>,
    /// As it would be, as a document by itself.
    pub text: String,
    /// Its namespace, where what deploys it says that and it does not.
    pub deployed_to: Option<String>,
    /// The rules.
    pub narrowed: Vec<Narrowing>,
}

/// A link that was new, under the new policies.
#[derive(Clone, Debug)]
pub struct Prevented {
    /// It.
    pub link: Link,
    /// Its connections that would have been denied, of those that passed.
    pub denied: u64,
    /// That hangs on its address having no other name than flows show: DNS was not seen for
    /// long enough to know.
    pub hangs_on_names: bool,
    /// Why not all of them would have been, a fragment.
    pub why: Option<String>,
}

/// An edge that would have been denied and is none of the incident's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Who opens connections.
    pub client: Peer,
    /// Who takes them.
    pub server: Peer,
    /// Port of the server.
    pub port: u16,
    /// Layer 4.
    pub protocol: Protocol,
    /// A look-up or request, by the name or the method and path; `None` for connections.
    pub request: Option<String>,
    /// How many passed.
    pub count: u64,
}

/// What let links pass.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Causes {
    /// Rules of either side.
    pub rules: Vec<Rule>,
    /// Workloads, by namespace and name, and the direction in which no policy decides about
    /// them.
    pub open: BTreeSet<(Arc<str>, Arc<str>, Direction)>,
}

impl Prevention {
    /// Connections that were new and passed: how many would have been denied, and all.
    #[must_use]
    pub fn denied(&self) -> (u64, u64) {
        let denied = self.links.iter().map(|one| one.denied).sum();
        let all = self.links.iter().map(|one| one.link.passed()).sum();
        (denied, all)
    }

    /// The policies that are narrowed or made, `namespace/name` or `name`, each once.
    #[must_use]
    pub fn policies(&self) -> Vec<String> {
        let changed = self.changed.iter().flat_map(|one| &one.narrowed);
        let drafts = self.made.iter().flat_map(|made| &made.settled.drafts);
        let drafts = drafts.filter(|draft| !draft.is_empty());
        let ids = changed.map(|one| &one.id).chain(drafts.map(|one| &one.id));
        let names: BTreeSet<String> = ids.map(crate::policy::ObjectId::short).collect();
        names.into_iter().collect()
    }
}

/// Why no policy is made.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Nothing {
    /// There are no recordings.
    #[error("no flows were given, so that nobody knows what was normal")]
    NoFlows,
    /// It is not known when it began.
    #[error(
        "nobody said when the incident began: give its findings file, or --incident-start TIME"
    )]
    NoStart,
    /// The recordings do not begin before it.
    #[error(
        "the recordings do not begin before the incident, so that nobody knows what was normal"
    )]
    NothingBefore,
    /// They cannot be read again.
    #[error("standard input and pipes are read once: give files")]
    ReadOnce,
    /// The target did nothing that it did not do before.
    #[error(
        "the target talked to nobody new since the incident began: what it did is like accepted history"
    )]
    NothingNew,
    /// Nothing that it did anew passed.
    #[error("the policies held: of what was new since the incident began nothing passed ({0})")]
    Denied(String),
    /// What was made would not have stopped it.
    #[error("no policy that keeps what was used before would have stopped it: {0}")]
    NotPrevented(String),
    /// What was made does not stand its replay.
    #[error("what was made does not stand its replay: {0}")]
    Unproven(String),
}

/// The links that began with the incident and passed.
///
/// # Errors
/// [`Nothing`] where there are none, or nobody knows which.
pub fn began(trace: &Trace) -> Result<Vec<&Link>, Nothing> {
    if trace.incident.is_none() {
        return Err(Nothing::NoStart);
    }
    if trace.watched_before().is_none() {
        return Err(Nothing::NothingBefore);
    }
    let own = trace.hops.iter().take(1).flat_map(|hop| &hop.links);
    let (passed, stopped): (Vec<&Link>, Vec<&Link>) = own
        .filter(|link| trace.is_new(link.seen()))
        .partition(|link| link.passed() > 0);
    if !passed.is_empty() {
        return Ok(passed);
    }
    let denied: u64 = stopped.iter().map(|link| link.sum.denied).sum();
    if denied > 0 {
        let denied = counted(denied, "connection was denied", "connections were denied");
        return Err(Nothing::Denied(denied));
    }
    Err(Nothing::NothingNew)
}

/// What let links pass, on either side; a workload without a policy counts where it is the
/// target's side.
#[must_use]
pub fn causes(links: &[&Link]) -> Causes {
    let mut causes = Causes::default();
    for link in links {
        for (direction, ruling) in passing(link) {
            let rules = ruling.rules.iter().filter(|rule| !rule.file.is_empty());
            for rule in rules {
                if !causes.rules.contains(rule) {
                    causes.rules.push(rule.clone());
                }
            }
            if is_open(ruling)
                && let Some((namespace, name, own)) = side(link)
                && own == direction
            {
                causes.open.insert((namespace, name, own));
            }
        }
    }
    causes.rules.sort();
    causes
}

/// The documents in which rules were narrowed, of those that were given.
#[must_use]
pub fn changed(tightened: &Tightened, given: &[Document]) -> Vec<Changed> {
    let mut by_document: BTreeMap<(&Arc<str>, usize), Vec<&Narrowing>> = BTreeMap::new();
    for one in &tightened.narrowed {
        if let Some(document) = given.get(one.document()) {
            let key = (&document.file, document.index);
            by_document.entry(key).or_default().push(one);
        }
    }
    let mut changed = Vec::new();
    for ((file, index), narrowed) in by_document {
        let after = tightened.files.iter().find(|(name, ..)| name == file);
        let Some(text) = after.and_then(|(.., after)| document_text(after, index)) else {
            continue;
        };
        let first = narrowed.first().and_then(|one| given.get(one.document()));
        let deployed_to = first.and_then(|document| {
            let says = document.root.get("metadata")?.get("namespace").is_some();
            let namespace = document.scope.namespace()?;
            (!says && document.item.is_none()).then(|| namespace.to_owned())
        });
        changed.push(Changed {
            file: file.clone(),
            text,
            deployed_to,
            narrowed: narrowed.into_iter().cloned().collect(),
        });
    }
    changed
}

/// What becomes of links under the new policies, by a replay of the time since; `left` are
/// rules that were not narrowed, `skipped` says why no policy is made for a workload.
#[must_use]
pub fn prevented(
    links: &[&Link],
    since: &Simulation,
    tightened: &Tightened,
    made: Option<&Suggested>,
) -> Vec<Prevented> {
    let one = |link: &&Link| {
        let denied = newly_denied(link, since);
        let rows = since.rows.iter().filter(|row| is_of(row, link));
        let unknown = rows.filter_map(|row| match row.outcomes.1 {
            Outcome::Unknown(cause) if row.change == Change::NewlyUnknown => Some(cause),
            _ => None,
        });
        let unknown: Vec<Cause> = unknown.collect();
        let why = (denied < link.passed()).then(|| match unknown.first() {
            Some(cause) => format!("it cannot be told whether it would pass ({cause})"),
            None => why(link, tightened, made),
        });
        Prevented {
            link: (*link).clone(),
            denied,
            hangs_on_names: unknown.contains(&Cause::NameNotObserved),
            why,
        }
    };
    links.iter().map(one).collect()
}

/// What becomes of those that hang on names, by a replay that takes the names flows show for
/// all there are. One that passes even then hangs on nothing.
pub fn by_names(prevented: &mut [Prevented], since: &Simulation) {
    for one in prevented.iter_mut().filter(|one| one.hangs_on_names) {
        let denied = newly_denied(&one.link, since);
        one.hangs_on_names = denied > one.denied;
        one.denied = denied.max(one.denied);
        if one.denied == one.link.passed() {
            one.why = None;
        }
    }
}

/// Connections of a link that passed and would have been denied.
fn newly_denied(link: &Link, since: &Simulation) -> u64 {
    let rows = since.rows.iter().filter(|row| is_of(row, link));
    let rows = rows.filter(|row| row.change == Change::NewlyDenied);
    let denied: u64 = rows.map(|row| row.forwarded).sum();
    denied.min(link.passed())
}

/// What else passed since and would have been denied, and how many of them are not named.
#[must_use]
pub fn beside(links: &[&Link], since: &Simulation) -> (Vec<Beside>, u64) {
    let mut beside: Vec<Beside> = Vec::new();
    let others = since.others.get(&Change::NewlyDenied);
    let mut more = others.copied().unwrap_or_default();
    let denied = since.rows.iter().filter(|row| {
        let of_incident = links.iter().any(|link| is_of(row, link));
        row.change == Change::NewlyDenied && row.forwarded > 0 && !of_incident
    });
    for row in denied {
        let request = match &row.what {
            What::Connections => None,
            What::Requests(ExchangeKind::Dns { query, .. }) => Some(query.to_string()),
            What::Requests(ExchangeKind::Http { method, path, .. }) => {
                Some(format!("{method} {path}"))
            }
            What::Requests(ExchangeKind::Other(name)) => Some(name.to_string()),
        };
        let known = beside.iter().position(|one| {
            one.request == request
                && (&one.client, &one.server) == (&row.client, &row.server)
                && (one.port, one.protocol) == (row.port, row.protocol)
        });
        match known {
            Some(at) => beside[at].count += row.forwarded,
            None if beside.len() < MOST_BESIDE => beside.push(Beside {
                client: row.client.clone(),
                server: row.server.clone(),
                port: row.port,
                protocol: row.protocol,
                request,
                count: row.forwarded,
            }),
            None => more += row.forwarded,
        }
    }
    (beside, more)
}

/// Why a link that nothing was done about goes on, or went on under what was made.
#[must_use]
pub fn why(link: &Link, tightened: &Tightened, made: Option<&Suggested>) -> String {
    let mut verdicts = link.ruled.iter().map(|side| side.ruling.verdict);
    let doubt = verdicts.find_map(|verdict| match verdict {
        Verdict::Unknown(cause) => Some(cause),
        _ => None,
    });
    let mut unknown = true;
    for (_, ruling) in passing(link) {
        unknown = false;
        for rule in &ruling.rules {
            let is_it = |id: &crate::policy::ObjectId, line: u32| {
                line == rule.line && *id.short() == *rule.policy
            };
            let lets = format!("{} ({}:{}) lets it pass", rule.policy, rule.file, rule.line);
            let left: Option<&LeftAlone> =
                tightened.left.iter().find(|one| is_it(&one.id, one.line));
            if let Some(left) = left {
                return format!("{lets}, and {}", left.why);
            }
            if tightened
                .narrowed
                .iter()
                .any(|one| is_it(&one.id, one.line))
            {
                return format!("{lets}, and what was used before needs that too");
            }
            if !rule.file.is_empty() {
                return format!("{lets}, and names whom it means: there is nothing to narrow");
            }
        }
    }
    if let Some(cause) = doubt {
        return format!("what the policies say of it is not known ({cause})");
    }
    if unknown {
        return "what the policies say of it is not known".to_owned();
    }
    let Some((namespace, name, direction)) = side(link) else {
        return "no policy decides about it".to_owned();
    };
    let who = format!("{namespace}/{name}");
    let skipped = made.and_then(|made| {
        let mut skipped = made.settled.skipped.iter();
        skipped.find(|one| one.workload.1 == namespace && one.workload.2 == name)
    });
    if let Some(skipped) = skipped {
        return format!("no policy is made for {who}: {}", skipped.why);
    }
    let mut drafts = made.iter().flat_map(|made| &made.settled.drafts);
    let withheld = drafts.find_map(|draft| {
        let is_of =
            |key: &crate::review::observed::WorkloadKey| key.1 == namespace && key.2 == name;
        let mut withheld = draft.withheld.iter();
        let of_side = withheld.find(|(way, _)| *way == direction);
        of_side.filter(|_| draft.members.iter().any(is_of))
    });
    match withheld {
        Some((_, why)) => format!("the policy made for {who} is withheld: {why}"),
        None => format!("a policy made for {who} lets it pass"),
    }
}

/// The first of them, and how many more there are.
#[must_use]
pub fn reasons(links: &[Prevented]) -> String {
    let mut whys: Vec<&str> = Vec::new();
    for why in links.iter().filter_map(|one| one.why.as_deref()) {
        if !whys.contains(&why) {
            whys.push(why);
        }
    }
    match whys.as_slice() {
        [] => "nothing of it is left".to_owned(),
        [one] => (*one).to_owned(),
        [first, rest @ ..] => format!("{first}; and {} more reasons", rest.len()),
    }
}

/// What the policies say of each side that they let pass.
fn passing(link: &Link) -> impl Iterator<Item = (Direction, &Ruling)> {
    link.ruled
        .iter()
        .filter(|side| side.ruling.verdict.passes() || side.ruling.verdict == Verdict::AuthRequired)
        .map(|side| (side.direction, &side.ruling))
}

/// Whether nothing but the agent's own allowance for endpoints without a policy decided.
fn is_open(ruling: &Ruling) -> bool {
    let open = [Origin::AllowAnyIngress, Origin::AllowAnyEgress].map(Origin::reserved_name);
    ruling
        .rules
        .iter()
        .all(|rule| open.contains(&Some(&*rule.policy)))
}

/// The workload that a policy for it would be about, and its direction: the target, else who
/// talks to it.
fn side(link: &Link) -> Option<(Arc<str>, Arc<str>, Direction)> {
    let client = (&link.client, Direction::Egress);
    let server = (&link.server, Direction::Ingress);
    let order = match link.way {
        Way::In => [server, client],
        Way::Out | Way::Within => [client, server],
    };
    order.into_iter().find_map(|(peer, direction)| match peer {
        Peer::Workload {
            namespace, name, ..
        } if !namespace.is_empty() && !name.is_empty() => {
            Some((namespace.clone(), name.clone(), direction))
        }
        _ => None,
    })
}

/// Whether a row is about connections of a link.
fn is_of(row: &ChangeRow, link: &Link) -> bool {
    row.what == What::Connections
        && (&row.client, &row.server) == (&link.client, &link.server)
        && (row.port, row.protocol) == (link.port, link.protocol)
}
