//! D10: data carried away in the names that DNS is asked for.
//!
//! Measures, for each workload and registered domain, how much information there is in names
//! that were not asked before: distinct names × length × entropy of their characters (after
//! ibHH, arXiv 2307.02614). Hubble shows names in full, so this is measured, not guessed;
//! without visibility of DNS it is blind and says so.
//!
//! Null hypothesis: what usual domains carry in an hour has a Pareto tail: 1 % of them more
//! than [`USUAL`] bytes, falling with the fourth power; of five minutes a half of that. A
//! domain that was seen for long has its own usual maximum instead, if that is more. All
//! domains that are new to a workload are also judged together, so that spreading over many
//! of them does not help. The smaller p counts, times the number of looks.
//!
//! Names of the cluster and reverse look-ups do not count: nobody outside gets them. Names
//! that come again carry nothing. Content delivery and telemetry with names that come again
//! have a usual maximum after a day. Cannot see data in the answers, in types or in timing.
//!
//! Bounded: [`MOST_PAIRS`] pairs, [`MOST_DOMAINS`] of one workload, each with at most twice
//! [`MOST_NAMES`] hashes of names and a sketch.

mod pair;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    Blindness, Detector, Kind, Observation, Passed, Scene, Tested, figures, gate, places, words,
};
use crate::baseline::{DAY, DnsGroup, HOUR, Tick};
use crate::connection::PeerId;
use pair::{Pair, p_of};

/// Pairs of a workload and a domain that are followed.
const MOST_PAIRS: usize = 1 << 14;
/// Domains of one workload.
const MOST_DOMAINS: usize = 64;
/// Hashes of names of a pair, in each of two generations.
const MOST_NAMES: usize = 256;
/// Bytes an hour that 1 % of usual domains carry.
const USUAL: f64 = 300.0;
/// What is more probable is not said.
const P: f64 = 3e-5;
/// Nothing is less probable.
const LEAST_P: f64 = 1e-12;
/// A domain is new to a workload for so long.
const YOUNG: i64 = 2 * DAY;

/// Detects exfiltration over DNS.
#[derive(Debug, Default)]
pub struct Exfiltration {
    /// By workload and domain; the domain of all that are new to it is empty.
    pairs: BTreeMap<(PeerId, Arc<str>), Pair>,
    /// Hypotheses tested since that was last asked.
    tests: Tested,
}

impl Detector for Exfiltration {
    fn kind(&self) -> Kind {
        Kind::DnsExfiltration
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let mut touched: BTreeSet<(PeerId, Arc<str>)> = BTreeSet::new();
        let all: Arc<str> = Arc::default();
        for group in &tick.dns {
            let Some(name) = carried(group) else {
                continue;
            };
            if !gate::is_workload(group.client, scene) {
                continue;
            }
            let own = (group.client, group.registered.clone());
            self.make_room(&own, tick.start);
            let pair = self.pairs.entry(own.clone()).or_default();
            pair.add(name, group, tick.start);
            let young = pair.first().saturating_add(YOUNG) > tick.start
                && !is_known(group.client, &group.registered, scene);
            touched.insert(own);
            if young {
                let sum = (group.client, all.clone());
                self.make_room(&sum, tick.start);
                // The whole name: labels of different domains must not be taken for one.
                let pair = self.pairs.entry(sum.clone()).or_default();
                pair.add_of(name, &group.query, group, tick.start);
                touched.insert(sum);
            }
        }
        self.tests.count(touched.len() as u64);
        let mut told: BTreeSet<PeerId> = BTreeSet::new();
        // Domains first, then all of them together, which is said only where none of them is.
        for (client, domain) in touched.iter().rev() {
            if domain.is_empty() && told.contains(client) {
                continue;
            }
            let Some(pair) = self.pairs.get_mut(&(*client, domain.clone())) else {
                continue;
            };
            let usual = pair.usual();
            let p = p_of(pair, usual);
            self.tests.check(1);
            self.tests.note(p);
            if p < P && pair.is_fresh(tick.start) {
                told.insert(*client);
                out.push(say(*client, domain, pair, (p.max(LEAST_P), usual), scene));
            }
        }
        self.sweep(tick.start);
    }

    fn tested(&mut self) -> Tested {
        self.tests.take()
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        gate::no_dns(Kind::DnsExfiltration, scene)
    }

    fn held(&self) -> usize {
        let names = self.pairs.values().map(Pair::held);
        self.pairs.len() + names.sum::<usize>()
    }
}

impl Exfiltration {
    /// Lets the least telling domain of a workload go where there are too many.
    fn make_room(&mut self, place: &(PeerId, Arc<str>), now: i64) {
        if self.pairs.contains_key(place) {
            return;
        }
        let from = (place.0, Arc::<str>::default());
        let own = self
            .pairs
            .range(from..)
            .take_while(|((client, _), _)| *client == place.0)
            .filter(|((_, domain), _)| !domain.is_empty());
        let mut least: Option<(f64, Arc<str>)> = None;
        let mut count = 0;
        for ((_, domain), pair) in own {
            count += 1;
            let weight = pair.weight(now);
            if least.as_ref().is_none_or(|(least, _)| weight < *least) {
                least = Some((weight, domain.clone()));
            }
        }
        if count >= MOST_DOMAINS
            && let Some((_, domain)) = least
        {
            self.pairs.remove(&(place.0, domain));
        }
    }

    fn sweep(&mut self, now: i64) {
        if self.pairs.len() <= MOST_PAIRS {
            return;
        }
        self.pairs.retain(|_, pair| pair.last() + DAY > now);
        if self.pairs.len() > MOST_PAIRS {
            let mut rank: Vec<(u64, (PeerId, Arc<str>))> = self
                .pairs
                .iter()
                .map(|(place, pair)| (pair.weight(now) as u64, place.clone()))
                .collect();
            rank.sort_unstable();
            for (_, place) in &rank[..rank.len() - MOST_PAIRS * 3 / 4] {
                self.pairs.remove(place);
            }
        }
    }
}

/// What a name says beside its registered domain, where it can go outside at all.
fn carried(group: &DnsGroup) -> Option<&str> {
    if places::is_internal_name(&group.query) {
        return None;
    }
    let before = group.query.strip_suffix(&*group.registered)?;
    let name = before.strip_suffix('.')?;
    (!name.is_empty()).then_some(name)
}

/// Whether the baseline knows a domain of a workload for some days.
fn is_known(client: PeerId, domain: &str, scene: &Scene<'_>) -> bool {
    scene
        .model
        .workload(client)
        .and_then(|workload| workload.names.get(domain))
        .is_some_and(|name| name.first.saturating_add(YOUNG) < scene.now)
}

fn say(
    client: PeerId,
    domain: &str,
    pair: &Pair,
    (p, usual): (f64, f64),
    scene: &Scene<'_>,
) -> Observation {
    let who = words::who(scene.peers, client);
    let names = pair.names();
    let lasted = pair.last().saturating_sub(pair.since()).max(1);
    let (where_to, key) = if domain.is_empty() {
        ("domains that are new to it".to_owned(), "new domains")
    } else {
        (domain.to_owned(), domain)
    };
    let mut evidence = vec![
        format!(
            "{who} asked for {} under {where_to} (on average {} characters of {:.1} bit): about {} \
             of data in {}.",
            words::count(names.round() as u64, "different name", "different names"),
            pair.length().round(),
            pair.entropy(),
            figures::bytes(pair.total()),
            words::span(lasted),
        ),
        format!(
            "{} in the last hour; usual are below {}.",
            figures::bytes(pair.hour()),
            figures::bytes(usual)
        ),
    ];
    let odd = pair.odd_types();
    if odd > 0.1 {
        evidence.push(format!(
            "{} of the questions are for TXT, NULL or CNAME.",
            figures::percent(odd)
        ));
    }
    if pair.longest() >= 40 {
        evidence.push(format!(
            "The longest label has {} of 63 characters.",
            pair.longest()
        ));
    }
    Observation {
        kind: Kind::DnsExfiltration,
        subject: client,
        peer: None,
        port: None,
        from: pair.since(),
        to: pair.last(),
        p,
        fixed: false,
        observed: pair.hour(),
        expected: usual,
        n: names.round() as u64,
        evidence,
        normal: format!(
            "if {where_to} is a service with such names (content delivery, a block list), accept \
             the finding; else deny the domain by policy and look at what {who} runs"
        ),
        samples: Vec::new(),
        passed: Passed::Allowed,
        gap: false,
        policies: Vec::new(),
        rules: Vec::new(),
        key: key.to_owned(),
    }
}

/// Nanoseconds that are looked at together.
const WINDOW: i64 = HOUR;

#[cfg(test)]
mod tests;
