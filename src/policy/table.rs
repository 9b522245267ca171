//! One direction of one subject's policy, laid out to be looked up.
//!
//! Owns the rows that filters become and their order. Looking them up is `lookup`'s, and
//! what a row would do in Cilium's own map is `mapstate`'s.
//!
//! Everything here rests on one observation. In Cilium's map, an entry that a broader one
//! of higher precedence covers is left out, and so is a deny that a broader deny covers.
//! So what a connection finds there, among the entries of one identity that cover it, is
//! the longest one of the highest precedence, or with denies the broadest. No map has to
//! be built to find that one; only where authentication is asked for, the order in which
//! Cilium inserts matters.

use super::filter::{Filter, FilterPort, Filters};
use super::interner::Interner;
use super::layout::Layout;
use super::port_prefix::PortPrefix;
use super::selection::SelectorId;
use super::verdict::{Origin, RedirectId, RulesId};

/// Precedence of a deny.
pub(super) const DENY: u8 = 255;
/// Precedence of an allow without redirect.
pub(super) const ALLOW: u8 = 1;

/// Authentication asked for, as the datapath keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Auth {
    /// Said by the rule itself. Counts for more than any kind.
    pub(super) explicit: bool,
    /// 0 none, 1 mutual, 2 never succeeds.
    pub(super) kind: u8,
}

/// What an entry of the policy map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MapEntry {
    pub(super) precedence: u8,
    /// Which proxy port, 0 for none: numbered by protocol, port and listener.
    pub(super) proxy: u32,
    pub(super) auth: Auth,
    pub(super) redirect: Option<RedirectId>,
}

/// An entry for everybody that a selector selects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) selector: SelectorId,
    pub(super) prefix: PortPrefix,
    pub(super) entry: MapEntry,
    pub(super) rules: RulesId,
}

/// Rows that cover the same ports, the deciding one first.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    /// For the identities that are selected.
    pub(super) rows: Box<[Row]>,
    /// For everybody.
    pub(super) wildcards: Box<[Row]>,
}

/// The rows of one protocol.
#[derive(Clone, Debug, Default)]
struct Ports {
    /// For all its ports.
    whole: List,
    /// Where each cell begins; the first at 0.
    starts: Box<[u16]>,
    cells: Box<[List]>,
}

/// A direction of a subject's policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    /// For every protocol.
    everything: List,
    protocols: Box<[(u8, Ports)]>,
    /// All rows in the order of their filters, where authentication is asked for.
    pub(super) authenticated: Option<Box<[Row]>>,
    /// Rows whose port has a name nobody known defines.
    pub(super) unresolved: Box<[Row]>,
    /// Some row is about DNS names.
    pub(super) by_name: bool,
    /// With the port of each as it was resolved.
    pub(super) filters: Box<[(Filter, Option<ResolvedPort>)]>,
}

/// First and last port, as written: see [`PortPrefix::split`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResolvedPort {
    pub(super) first: u16,
    pub(super) end: u16,
}

/// What a port's name comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// This number.
    Port(u16),
    /// Nobody defines it, or two pods define it differently.
    Nothing,
    /// Who defines it is not known.
    Unknown,
}

impl Side {
    /// Lays out the filters of a direction. `localhost` is set where the node's own host
    /// is let in.
    pub(super) fn new(
        filters: Filters,
        localhost: bool,
        interner: &Interner,
        resolve: impl Fn(&str, u8) -> Named,
        is_name: impl Fn(SelectorId) -> bool,
    ) -> Self {
        let mut layout = Layout::new(interner);
        let mut resolved = Vec::with_capacity(filters.all.len());
        for filter in filters.all {
            let port = match &filter.port {
                FilterPort::Number { first, end } => Some(ResolvedPort {
                    first: *first,
                    end: *end,
                }),
                FilterPort::Name { name, end } => match resolve(name, filter.protocol) {
                    Named::Port(first) => Some(ResolvedPort { first, end: *end }),
                    Named::Nothing => None,
                    Named::Unknown => {
                        layout.add_unresolved(&filter);
                        None
                    }
                },
            };
            if let Some(port) = port {
                layout.register(&filter, port);
            }
            resolved.push((filter, port));
        }
        for (filter, port) in &resolved {
            if let Some(port) = port {
                layout.add(filter, *port);
            }
        }
        if localhost {
            layout.rows.push(Row {
                selector: SelectorId::LOCALHOST,
                prefix: PortPrefix::ALL,
                entry: MapEntry {
                    precedence: ALLOW,
                    proxy: 0,
                    auth: Auth::default(),
                    redirect: None,
                },
                rules: interner.rules(vec![Origin::AllowLocalhost]),
            });
        }
        let rows = layout.rows;
        let authenticated = resolved
            .iter()
            .flat_map(|(filter, _)| filter.policies())
            .any(|(_, policy)| policy.auth.is_some());
        let by_name = rows.iter().any(|row| is_name(row.selector));
        let (everything, protocols) = arrange(&rows);
        Self {
            everything,
            protocols,
            authenticated: authenticated.then(|| rows.into()),
            unresolved: layout.unresolved.into(),
            by_name,
            filters: resolved.into(),
        }
    }

    /// Where other lists begin to apply, protocol above port, ascending from 0.
    pub(super) fn cells(&self) -> Vec<u32> {
        let mut starts = vec![0];
        for (number, ports) in &self.protocols {
            let protocol = u32::from(*number) << 16;
            starts.push(protocol);
            starts.extend(
                ports
                    .starts
                    .iter()
                    .map(|start| protocol | u32::from(*start)),
            );
            starts.push(protocol + (1 << 16));
        }
        starts.retain(|start| *start < 1 << 24);
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// The lists whose rows cover a connection: those of its port, its protocol and all.
    #[inline]
    pub(super) fn lists(&self, protocol: u8, port: u16) -> [Option<&List>; 3] {
        let ports = self
            .protocols
            .iter()
            .find(|(number, _)| *number == protocol)
            .map(|(_, ports)| ports);
        let cell = ports.and_then(|ports| {
            let cell = ports.starts.partition_point(|start| *start <= port);
            ports.cells.get(cell.checked_sub(1)?)
        });
        [
            cell,
            ports.map(|ports| &ports.whole),
            Some(&self.everything),
        ]
    }
}

impl MapEntry {
    /// Whether the datapath could not tell them apart.
    pub(super) fn is_like(self, other: Self) -> bool {
        self.precedence == other.precedence && self.proxy == other.proxy && self.auth == other.auth
    }

    pub(super) fn is_deny(self) -> bool {
        self.precedence == DENY
    }
}

/// Sorts rows into lists by the ports they cover.
fn arrange(rows: &[Row]) -> (List, Box<[(u8, Ports)]>) {
    let (everything, rest): (Vec<Row>, Vec<Row>) =
        rows.iter().partition(|row| row.prefix == PortPrefix::ALL);
    let mut numbers: Vec<u8> = rest.iter().map(|row| row.prefix.protocol()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let protocols = numbers
        .into_iter()
        .map(|number| {
            let (whole, ports): (Vec<Row>, Vec<Row>) = rest
                .iter()
                .filter(|row| row.prefix.protocol() == number)
                .partition(|row| row.prefix.length() == 8);
            (number, Ports::new(whole, &ports))
        })
        .collect();
    (List::new(everything), protocols)
}

impl Ports {
    fn new(whole: Vec<Row>, rows: &[Row]) -> Self {
        let mut starts = Vec::new();
        let mut cells = Vec::new();
        if !rows.is_empty() {
            starts.push(0);
            for row in rows {
                let (first, last) = row.prefix.ports();
                starts.push(first);
                starts.extend(last.checked_add(1));
            }
            starts.sort_unstable();
            starts.dedup();
            let mut covering: Vec<Vec<Row>> = vec![Vec::new(); starts.len()];
            for row in rows {
                let (first, last) = row.prefix.ports();
                let from = starts.partition_point(|start| *start < first);
                let to = starts.partition_point(|start| *start <= last);
                for cell in covering.iter_mut().take(to).skip(from) {
                    cell.push(*row);
                }
            }
            cells = covering.into_iter().map(List::new).collect();
        }
        Self {
            whole: List::new(whole),
            starts: starts.into(),
            cells: cells.into(),
        }
    }
}

impl List {
    fn new(rows: Vec<Row>) -> Self {
        let (mut wildcards, mut rows): (Vec<Row>, Vec<Row>) = rows
            .into_iter()
            .partition(|row| row.selector == SelectorId::EVERYONE);
        rows.sort_by_key(Row::rank);
        wildcards.sort_by_key(Row::rank);
        Self {
            rows: rows.into(),
            wildcards: wildcards.into(),
        }
    }
}

impl Row {
    /// Which of the rows of one identity decides: the one of lowest rank. Rows of equal
    /// rank are one entry of the map.
    #[inline]
    pub(super) fn rank(&self) -> (u8, u8) {
        let length = self.prefix.length();
        let breadth = if self.entry.is_deny() {
            length
        } else {
            u8::MAX - length
        };
        (u8::MAX - self.entry.precedence, breadth)
    }
}
