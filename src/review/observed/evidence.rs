//! What was seen of something that is to be allowed.
//!
//! Owns the sums and the sentence for them. Bounded: further addresses and Services are
//! counted as more.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use crate::baseline::HOUR;
use crate::flow::{NO_TIME, counted};
use crate::review::report::Seen;

/// Addresses that are told apart of each end.
const MOST_ADDRESSES: usize = 256;
/// Services that are named.
const MOST_SERVICES: usize = 4;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Connections.
    pub count: u64,
    /// From when to when.
    pub seen: Seen,
    /// Hours in which one began. One that is told late counts for the hour before, so that
    /// there are never more than there were.
    pub hours: u32,
    last_hour: i64,
    /// Addresses of clients, up to a bound.
    pub clients: BTreeSet<IpAddr>,
    /// Addresses of servers, up to a bound.
    pub servers: BTreeSet<IpAddr>,
    /// There are more addresses than are told apart.
    pub more: bool,
    /// Services that were called, `namespace/name`.
    pub services: BTreeSet<Arc<str>>,
}

impl Evidence {
    /// Takes something in that began and ended.
    pub fn add(&mut self, count: u64, first: i64, last: i64) {
        self.count += count;
        self.seen.at(first);
        self.seen.at(last);
        if first == NO_TIME {
            return;
        }
        let hour = first.div_euclid(HOUR);
        if self.hours == 0 || hour > self.last_hour {
            self.hours += 1;
            self.last_hour = hour;
        }
    }

    /// Notes the addresses of both ends.
    pub fn ends(&mut self, client: Option<IpAddr>, server: Option<IpAddr>) {
        for (known, address) in [(&mut self.clients, client), (&mut self.servers, server)] {
            let Some(address) = address else { continue };
            if known.len() < MOST_ADDRESSES {
                known.insert(address);
            } else if !known.contains(&address) {
                self.more = true;
            }
        }
    }

    /// Notes the Service that was called.
    pub fn service(&mut self, service: &Arc<str>) {
        if !service.is_empty() && self.services.len() < MOST_SERVICES {
            self.services.insert(service.clone());
        }
    }

    /// Takes in what was seen of something that is allowed together with this.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.seen.merge(other.seen);
        self.hours = self.hours.max(other.hours);
        self.more |= other.more;
        for (known, addresses) in [
            (&mut self.clients, &other.clients),
            (&mut self.servers, &other.servers),
        ] {
            for address in addresses {
                if known.len() < MOST_ADDRESSES {
                    known.insert(*address);
                } else if !known.contains(address) {
                    self.more = true;
                }
            }
        }
        for service in &other.services {
            self.service(service);
        }
    }

    /// `412 connections, 2026-06-16 14:00 to 14:20, from 2 addresses`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = counted(self.count, "connection", "connections");
        if let Some((first, last)) = self.seen.span() {
            text.push_str(", ");
            text.push_str(&between(first, last));
        }
        let clients = self.clients.len() as u64;
        if clients > 1 || self.more {
            let more = if self.more { "more than " } else { "" };
            let _ = write!(
                text,
                ", from {more}{}",
                counted(clients, "address", "addresses")
            );
        }
        let services: Vec<&str> = self.services.iter().map(AsRef::as_ref).collect();
        match services.as_slice() {
            [] => {}
            [one] => {
                let _ = write!(text, ", as Service {one}");
            }
            many => {
                let _ = write!(text, ", as Services {}", many.join(" and "));
            }
        }
        text
    }
}

/// `2026-06-16 14:00 to 14:20`, `2026-06-16 14:00 to 2026-06-18 09:12`, in UTC, to the
/// minute.
#[must_use]
pub fn between(first: i64, last: i64) -> String {
    let at = |time: i64, form: &str| {
        jiff::Timestamp::from_nanosecond(i128::from(time))
            .map_or_else(|_| "?".to_owned(), |time| time.strftime(form).to_string())
    };
    let (day, end_day) = (at(first, "%Y-%m-%d"), at(last, "%Y-%m-%d"));
    let (time, end) = (at(first, "%H:%M"), at(last, "%H:%M"));
    if day != end_day {
        format!("{day} {time} to {end_day} {end}")
    } else if time == end {
        format!("{day} {time}")
    } else {
        format!("{day} {time} to {end}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000_000;

    #[test]
    fn evidence_reads_as_a_sentence() {
        let mut evidence = Evidence::default();
        evidence.add(1, 0, MINUTE);
        assert_eq!(
            evidence.sentence(),
            "1 connection, 1970-01-01 00:00 to 00:01"
        );
        evidence.add(1_411, 90 * MINUTE, 25 * HOUR);
        for last in [1, 2, 2] {
            evidence.ends(Some(IpAddr::from([10, 0, 0, last])), None);
        }
        evidence.service(&"shop/web".into());
        assert_eq!(
            evidence.sentence(),
            "1,412 connections, 1970-01-01 00:00 to 1970-01-02 01:00, from 2 addresses, as Service shop/web"
        );
        assert_eq!(evidence.hours, 2);
    }

    #[test]
    fn an_hour_that_comes_late_is_not_counted_again() {
        let mut evidence = Evidence::default();
        for hour in [3, 1, 3, 4] {
            evidence.add(1, hour * HOUR, hour * HOUR);
        }
        assert_eq!(evidence.hours, 2);
    }
}
