//! Connections summed up by hour.
//!
//! Owns what a connection adds to which hour, and the bound: [`MOST_ROWS`] rows an hour,
//! beyond which all that is new is counted together. Keys are numbers until an hour is
//! complete, and names from then on.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::HOUR;
use super::row::{Answer, Began, Encryption, RollupKey, RollupSide, RollupSums};
use crate::connection::{Computed, Connection, Edge, Opening, Outcome, Peers, Side};
use crate::engine::{Policies, Rule, Ruling};
use crate::flow::NO_TIME;
use crate::policy::{Cause, Direction, Gap, Verdict};

/// Rows of an hour that are told apart.
pub const MOST_ROWS: usize = 1 << 16;
/// Rules of a side that are kept.
const MOST_RULES: usize = 16;

/// Rows of an hour by their names.
pub type Rows = BTreeMap<RollupKey, RollupSums>;

/// The sums of hours that are not complete yet.
#[derive(Debug)]
pub(super) struct Tables {
    /// What begins in `from..to` is counted, and what goes on at an hour's beginning in it.
    from: i64,
    to: i64,
    hours: BTreeMap<i64, Table>,
    /// Hours before this one are complete.
    open: i64,
    most: usize,
    /// Whether an hour that `from..to` cuts begins and ends there.
    clipped: bool,
}

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<Key, RollupSums, RandomState>,
    others: RollupSums,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    edge: Edge,
    began: Option<BeganKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct BeganKey {
    opening: Opening,
    outcome: Outcome,
    encryption: Encryption,
    egress: SideKey,
    ingress: SideKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SideKey {
    recorded: Option<(i32, u32)>,
    computed: Option<Computed>,
    unknown: Option<Cause>,
    gap: Option<Gap>,
    drift: bool,
    changed: bool,
}

impl Tables {
    /// Sums of what happens in `from..to`, in nanoseconds.
    pub(super) fn new(from: i64, to: i64) -> Self {
        Self {
            from,
            to,
            hours: BTreeMap::new(),
            open: hour_of(from),
            most: MOST_ROWS,
            clipped: false,
        }
    }

    /// Takes the span for all there is to tell, where it cuts an hour too: what began
    /// before it goes on in it, and what it ends with ends there.
    pub(super) fn clipped(mut self, clipped: bool) -> Self {
        self.clipped = clipped;
        self
    }

    /// Adds a connection that has ended, to every hour that is not complete.
    pub(super) fn connection(&mut self, connection: &Connection) {
        let (first, last) = times(connection);
        let mut hour = hour_of(first).max(self.open);
        let end = hour_of(last).min(hour_of(self.to.saturating_sub(1)));
        while hour <= end {
            self.add(hour, connection);
            let Some(next) = hour.checked_add(HOUR) else {
                break;
            };
            hour = next;
        }
    }

    /// Adds to an hour a connection that is still open, as far as it is known.
    pub(super) fn open_connection(&mut self, hour: i64, connection: &Connection) {
        let (first, last) = times(connection);
        if hour_of(first) <= hour && hour <= hour_of(last) {
            self.add(hour, connection);
        }
    }

    fn add(&mut self, hour: i64, connection: &Connection) {
        let (first, last) = times(connection);
        let (mut start, mut end) = (hour, hour.saturating_add(HOUR - 1));
        if self.clipped {
            start = start.max(self.from);
            end = end.min(self.to.saturating_sub(1));
        }
        let begins = hour_of(first) == hour && first >= start;
        // What is to be counted in another stretch of the hour is not counted here.
        let at = if begins { first } else { start };
        if !(self.from..self.to).contains(&at) || last < start {
            return;
        }
        let key = Key {
            edge: connection.edge,
            began: begins.then(|| BeganKey::of(connection)),
        };
        let sums = self.hours.entry(hour).or_default().sums(key, self.most);
        let weight = connection.weight;
        let one = |yes: bool| if yes { weight } else { 0 };
        if begins {
            sums.connections += weight;
            sums.rows += connection.rows;
            sums.attempts += u64::from(connection.attempts);
            sums.answered += one(connection.answered);
            sums.exchanges += u64::from(connection.exchanges);
        } else {
            sums.ongoing += weight;
        }
        if last <= end {
            sums.resets += one(connection.reset);
        }
        if connection.first != NO_TIME {
            sums.first = sums.first.min(first.max(start));
            sums.last = sums.last.max(last.min(end));
        }
    }

    /// Takes out an hour, which is complete: nothing is added to it any more.
    pub(super) fn complete(
        &mut self,
        hour: i64,
        peers: &Peers,
        policies: Option<&Policies>,
        folder: &str,
    ) -> Rows {
        self.open = hour.saturating_add(HOUR);
        let table = self.hours.remove(&hour).unwrap_or_default();
        let mut names = Names {
            policies,
            folder,
            rulings: HashMap::default(),
        };
        let mut rows = Rows::new();
        for (key, sums) in table.rows {
            rows.entry(names.key(&key, peers)).or_default().add(&sums);
        }
        if table.others != RollupSums::default() {
            rows.entry(RollupKey::others())
                .or_default()
                .add(&table.others);
        }
        rows
    }
}

impl Table {
    fn sums(&mut self, key: Key, most: usize) -> &mut RollupSums {
        if self.rows.len() >= most && !self.rows.contains_key(&key) {
            return &mut self.others;
        }
        self.rows.entry(key).or_default()
    }
}

/// The hour of a time, by its beginning.
pub(super) fn hour_of(time: i64) -> i64 {
    time.div_euclid(HOUR).saturating_mul(HOUR)
}

/// First and last time; what has none is of 1970.
fn times(connection: &Connection) -> (i64, i64) {
    if connection.first == NO_TIME {
        (0, 0)
    } else {
        (connection.first, connection.last)
    }
}

impl BeganKey {
    fn of(connection: &Connection) -> Self {
        Self {
            opening: connection.opening,
            outcome: connection.outcome,
            encryption: Encryption::of(connection.encrypted, connection.plain),
            egress: SideKey::of(&connection.egress),
            ingress: SideKey::of(&connection.ingress),
        }
    }
}

impl SideKey {
    fn of(side: &Side) -> Self {
        let recorded = side.recorded.as_ref();
        Self {
            recorded: recorded.map(|recorded| (recorded.verdict.0, recorded.match_type)),
            computed: side.computed,
            unknown: side.unknown,
            gap: side.gap,
            drift: side.drift,
            changed: side.changed,
        }
    }
}

/// Turns numbers into names.
struct Names<'a> {
    policies: Option<&'a Policies>,
    /// How paths of files begin that are the archive's.
    folder: &'a str,
    rulings: HashMap<(Computed, bool), Arc<[Rule]>, RandomState>,
}

impl Names<'_> {
    fn key(&mut self, key: &Key, peers: &Peers) -> RollupKey {
        RollupKey {
            client: peers.get(key.edge.client).clone(),
            server: peers.get(key.edge.server).clone(),
            port: key.edge.port,
            protocol: key.edge.protocol,
            began: key.began.map(|began| Began {
                opening: began.opening,
                outcome: began.outcome,
                encryption: began.encryption,
                egress: self.side(&began.egress, Direction::Egress),
                ingress: self.side(&began.ingress, Direction::Ingress),
            }),
        }
    }

    fn side(&mut self, side: &SideKey, direction: Direction) -> RollupSide {
        let cause = match side.computed.map(|computed| computed.verdict) {
            Some(Verdict::Unknown(cause)) => Some(cause),
            _ => side.unknown,
        };
        RollupSide {
            recorded: side.recorded,
            computed: side.computed.map(|computed| computed.verdict.into()),
            cause: cause.map_or_else(Arc::default, |cause| cause.to_string().into()),
            rules: match &side.computed {
                Some(computed) if Answer::from(computed.verdict) != Answer::Unknown => {
                    self.rules(computed, direction)
                }
                _ => Arc::default(),
            },
            gap: side.gap,
            drift: side.drift,
            changed: side.changed,
        }
    }

    fn rules(&mut self, computed: &Computed, direction: Direction) -> Arc<[Rule]> {
        let Self {
            policies,
            folder,
            rulings,
        } = self;
        let key = (*computed, direction == Direction::Egress);
        let rules = rulings.entry(key).or_insert_with(|| {
            let ruling = policies.map(|policies| Ruling::of(policies, computed, direction));
            let rules = ruling.map(|ruling| ruling.rules).unwrap_or_default();
            let rules = rules.into_iter().take(MOST_RULES).map(|rule| Rule {
                file: match rule.file.strip_prefix(*folder) {
                    Some(file) => file.trim_start_matches('/').into(),
                    None => rule.file,
                },
                ..rule
            });
            rules.collect()
        });
        rules.clone()
    }
}
