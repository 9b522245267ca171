//! Names and addresses that others know to be bad.
//!
//! Owns reading such lists and finding what is on them. `p` is 1e-6 by decree; an edge that a
//! person approved is not told. A list is as good as who made it: each finding names it, and
//! the line.
//!
//! A list is text, one domain, address or prefix a line; `#` begins a comment; lines of
//! hosts files (`0.0.0.0 bad.example`) are taken. A domain stands for everything under it.
//! Connections count, and questions to DNS for a listed name. What comes in from a listed
//! address is not looked at: flows have it as the world. Blind for names where neither flows
//! nor DNS show them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::IpNet;

use super::account::Account;
use super::gate::{self, Place};
use super::novel::{Asked, Told};
use super::{Blindness, Detector, Kind, Observation, Scene, words};
use crate::baseline::{Group, Status, Tick};
use crate::connection::{Peer, PeerId};

/// By decree.
const P: f64 = 1e-6;
/// Entries of all lists.
const MOST_ENTRIES: usize = 1 << 22;
/// Shortest prefixes that are taken: shorter ones are most of the world.
const SHORTEST: (u8, u8) = (8, 16);

/// Lists of names and addresses.
#[derive(Debug, Default)]
pub struct Lists {
    names: Vec<Arc<str>>,
    domains: HashMap<Box<str>, At, RandomState>,
    prefixes: HashMap<IpNet, At, RandomState>,
    /// Lengths that prefixes have, of IPv4 and IPv6.
    lengths: [BTreeSet<u8>; 2],
}

/// The list of an entry, by its number, and its line.
type At = (u16, u32);

/// Where an entry stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entered {
    /// Name of the list: its file.
    pub list: Arc<str>,
    /// Line, from 1.
    pub line: u32,
}

/// A list that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is neither a domain nor an address nor a prefix.
    #[error("{list}:{line}: `{text}` {why}")]
    Line {
        /// Name of the list.
        list: Arc<str>,
        /// Line, from 1.
        line: usize,
        /// What it says, cut at 60 characters.
        text: String,
        /// What is wrong, as a fragment.
        why: &'static str,
    },
    /// All lists together have too many entries.
    #[error("{list}:{line}: more than {MOST_ENTRIES} entries in all lists")]
    TooMany {
        /// Name of the list.
        list: Arc<str>,
        /// Line, from 1.
        line: usize,
    },
}

impl Lists {
    /// Adds the list in a file.
    ///
    /// # Errors
    /// [`ListError`] with file and line; entries before that are kept.
    pub fn read(&mut self, path: &Path) -> Result<(), ListError> {
        let text = std::fs::read_to_string(path).map_err(|source| ListError::Read {
            path: path.to_owned(),
            source,
        })?;
        self.add(&path.display().to_string(), &text)
    }

    /// Adds a list.
    ///
    /// # Errors
    /// [`ListError`] with name and line; entries before that are kept.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), ListError> {
        let list: Arc<str> = name.into();
        self.names.push(list.clone());
        let number = (self.names.len() - 1).min(usize::from(u16::MAX)) as u16;
        for (at, line) in text.lines().enumerate() {
            let text = line.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            let entry = entry(text).map_err(|why| ListError::Line {
                list: list.clone(),
                line: at + 1,
                text: text.chars().take(60).collect(),
                why,
            })?;
            if self.len() >= MOST_ENTRIES {
                let line = at + 1;
                return Err(ListError::TooMany { list, line });
            }
            let place = (number, u32::try_from(at + 1).unwrap_or(u32::MAX));
            match entry {
                Entry::Domain(domain) => {
                    self.domains.entry(domain.into()).or_insert(place);
                }
                Entry::Prefix(prefix) => {
                    let family = usize::from(prefix.addr().is_ipv6());
                    self.lengths[family].insert(prefix.prefix_len());
                    self.prefixes.entry(prefix).or_insert(place);
                }
            }
        }
        Ok(())
    }

    /// Entries of all lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.domains.len() + self.prefixes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where a name is entered, itself or by a domain it is under; the first list counts.
    #[must_use]
    pub fn of_name(&self, name: &str) -> Option<Entered> {
        let mut rest = name;
        loop {
            if let Some(at) = self.domains.get(rest) {
                return self.entered(*at);
            }
            rest = rest.split_once('.')?.1;
        }
    }

    fn entered(&self, (list, line): At) -> Option<Entered> {
        let list = self.names.get(usize::from(list))?.clone();
        Some(Entered { list, line })
    }

    /// Where an address is entered; of several prefixes the longest counts.
    #[must_use]
    pub fn of_address(&self, address: IpAddr) -> Option<Entered> {
        let family = usize::from(address.is_ipv6());
        self.lengths[family].iter().rev().find_map(|length| {
            let prefix = IpNet::new(address, *length).ok()?.trunc();
            self.entered(*self.prefixes.get(&prefix)?)
        })
    }
}

enum Entry {
    Domain(String),
    Prefix(IpNet),
}

/// What a line says.
fn entry(text: &str) -> Result<Entry, &'static str> {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let text = match words.next() {
        // A hosts file.
        Some(second) if matches!(first, "0.0.0.0" | "127.0.0.1" | "::" | "::1") => second,
        Some(_) => return Err("is more than one word"),
        None => first,
    };
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Entry::Prefix(address.into()));
    }
    if let Ok(prefix) = text.parse::<IpNet>() {
        let shortest = match prefix {
            IpNet::V4(_) => SHORTEST.0,
            IpNet::V6(_) => SHORTEST.1,
        };
        if prefix.prefix_len() < shortest {
            return Err("is most of the world");
        }
        return Ok(Entry::Prefix(prefix.trunc()));
    }
    let domain = text
        .trim_start_matches("*.")
        .trim_matches('.')
        .to_ascii_lowercase();
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(plain)
    };
    if !domain.split('.').all(is_label) {
        return Err("is neither a domain nor an address nor a prefix");
    }
    if psl::domain_str(&domain).is_none() {
        return Err("is a suffix that everybody is under, or no domain");
    }
    Ok(Entry::Domain(domain))
}

/// Detects what is on lists. Holds what it has told: see [`Told`] and [`Asked`].
#[derive(Debug)]
pub struct Listed {
    lists: Arc<Lists>,
    told: Told,
    asked: Asked,
}

impl Listed {
    /// A detector for these lists.
    #[must_use]
    pub fn new(lists: Arc<Lists>) -> Self {
        Self {
            lists,
            told: Told::default(),
            asked: Asked::default(),
        }
    }

    /// What a group goes to that is on a list, and the list.
    fn find(&self, group: &Group, scene: &Scene<'_>) -> Option<(String, Entered)> {
        let named = match scene.peers.get(group.server) {
            Peer::Name(name) => self.lists.of_name(name).map(|at| (name.to_string(), at)),
            _ => None,
        };
        if named.is_some() || !gate::is_outside(group.key, scene) {
            return named;
        }
        group.servers.kept.iter().find_map(|address| {
            let at = self.lists.of_address(*address)?;
            Some((address.to_string(), at))
        })
    }

    /// Names on lists that were asked for, whatever the answer was.
    fn questions(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let mut asked: BTreeMap<(PeerId, &Arc<str>), (u64, i64, Entered)> = BTreeMap::new();
        for group in &tick.dns {
            let Some(at) = self.lists.of_name(&group.query) else {
                continue;
            };
            let sum = asked
                .entry((group.client, &group.query))
                .or_insert((0, group.first, at));
            sum.0 += group.count;
            sum.1 = sum.1.min(group.first);
        }
        for ((client, name), (count, first, at)) in asked {
            if !self.asked.tells(client, name, first) {
                continue;
            }
            let who = words::who(scene.peers, client);
            let mut one = Account::default().observation(Kind::Listed, client);
            (one.from, one.to, one.n) = (first, first, count);
            (one.p, one.fixed, one.observed) = (P, true, count as f64);
            one.evidence.push(format!(
                "{who} asked DNS {} for {name}: it is on {}:{}.",
                words::count(count, "time", "times"),
                at.list,
                at.line
            ));
            one.key = format!("{} {name}", at.list);
            one.normal = format!("if {name} is on the list by mistake, take it out");
            out.push(one);
        }
    }
}

impl Detector for Listed {
    fn kind(&self) -> Kind {
        Kind::Listed
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        self.questions(tick, scene, out);
        let mut found: BTreeMap<Place, (Account, (String, Entered))> = BTreeMap::new();
        for group in tick.groups.iter().filter(|group| group.fate.is_new()) {
            let place = gate::place(group);
            let (client, key, port, protocol) = place;
            let approved = scene.model.decided(client, key, port, protocol);
            if approved == Some(Status::Approved) {
                continue;
            }
            let Some(hit) = self.find(group, scene) else {
                continue;
            };
            let (account, before) = found
                .entry(place)
                .or_insert_with(|| (Account::default(), hit.clone()));
            account.add(group);
            if hit < *before {
                *before = hit;
            }
        }
        for (place, (account, (what, at))) in found {
            let (client, key, port, protocol) = place;
            if !self
                .told
                .tells((client, key, Some((port, protocol))), account.from)
            {
                continue;
            }
            let who = words::who(scene.peers, client);
            let mut one = gate::observation(Kind::Listed, &place, &account, P);
            one.evidence.push(format!(
                "{who} called {what} on {port}/{} {}: it is on {}:{}.",
                protocol.name(),
                words::count(account.count, "time", "times"),
                at.list,
                at.line,
            ));
            one.evidence.push(account.verdict());
            one.key = at.list.to_string();
            one.normal = format!("if {what} is on the list by mistake, approve the edge");
            out.push(one);
        }
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        gate::no_dns(Kind::Listed, scene)
    }

    fn held(&self) -> usize {
        self.told.held() + self.asked.held()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;
    use crate::baseline::{Fate, HOUR};

    fn lists() -> Lists {
        let mut lists = Lists::default();
        let text = "# bad\nevil.example\n*.worse.example.com # all of it\n203.0.113.0/24\n\
                    203.0.113.9\n0.0.0.0 hosts.example\n2001:db8:bad::/48\n\n";
        lists.add("bad.txt", text).unwrap();
        lists
    }

    #[test]
    fn names_are_found_by_their_domains_and_addresses_by_their_prefixes() {
        let lists = lists();
        assert_eq!(lists.len(), 6);
        for name in [
            "evil.example",
            "a.b.evil.example",
            "worse.example.com",
            "hosts.example",
        ] {
            assert!(lists.of_name(name).is_some(), "{name}");
        }
        for name in ["notevil.example", "example", "example.com"] {
            assert!(lists.of_name(name).is_none(), "{name}");
        }
        for (address, listed) in [
            ("203.0.113.77", true),
            ("203.0.114.1", false),
            ("2001:db8:bad:1::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(lists.of_address(address.parse().unwrap()).is_some(), listed);
        }
    }

    #[test]
    fn a_line_that_cannot_be_taken_is_an_error_with_its_place() {
        for (line, why) in [
            ("http://evil.example/x", "is neither a domain"),
            ("com", "is a suffix"),
            ("0.0.0.0/0", "is most of the world"),
            ("two words", "is more than one word"),
            ("ünicode.example", "is neither a domain"),
        ] {
            let text = format!("ok.example\n{line}\n");
            let error = Lists::default().add("list", &text).unwrap_err();
            let said = error.to_string();
            assert!(
                said.starts_with("list:2: `") && said.contains(why),
                "{said}"
            );
        }
    }

    #[test]
    fn a_call_is_told_with_its_list() {
        let mut stage = Stage::default();
        let mut detector = Listed::new(Arc::new(lists()));
        let seen = stage.observe(
            &mut detector,
            &[
                ("shop/web", "c2.evil.example", 443, Fate::Answered),
                ("shop/web", "good.example", 443, Fate::Answered),
            ],
        );
        assert_eq!(seen.len(), 1);
        assert_eq!(
            seen[0].evidence[0],
            "shop/web (Deployment) called c2.evil.example on 443/TCP 1 time: it is on bad.txt:2."
        );
        assert_eq!(seen[0].key, "bad.txt");
    }

    #[test]
    fn a_question_for_a_listed_name_is_told_once() {
        let mut stage = Stage::default();
        let mut detector = Listed::new(Arc::new(lists()));
        let (client, server) = (
            stage.scenery.peer("shop/web"),
            stage.scenery.peer("kube-system/dns"),
        );
        let mut ask = |hour: i64| {
            let start = stage.now + hour * HOUR;
            let group = crate::baseline::DnsGroup {
                client,
                server,
                port: 53,
                query: "a.worse.example.com".into(),
                raw: true,
                registered: "example.com".into(),
                types: "A".into(),
                code: 3,
                answered: true,
                count: 2,
                first: start,
            };
            let tick = Tick {
                start,
                dns: vec![group],
                ..Tick::default()
            };
            stage.play(&mut detector, &tick)
        };
        let seen = ask(0);
        assert_eq!(
            seen[0].evidence[0],
            "shop/web (Deployment) asked DNS 2 times for a.worse.example.com: it is on bad.txt:3."
        );
        assert!(ask(2).is_empty());
    }
}
