//! Flows of lines, read without anything of ours.
//!
//! Owns what a plain computation needs of them.

use jiff::Timestamp;
use serde_json::Value;

fn time_text(text: &str) -> String {
    text.parse::<Timestamp>().unwrap().to_string()
}

/// A flow of a line, read without anything of ours.
pub(super) struct Plain(pub(super) Value);

/// One side of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Side {
    pub(super) ip: String,
    pub(super) port: u64,
    pub(super) namespace: Option<String>,
    pub(super) workload: Option<String>,
    pub(super) pod: Option<String>,
    pub(super) name: Option<String>,
    pub(super) identity: Option<u64>,
    pub(super) party: Option<String>,
}

impl Side {
    /// Says who it is, by what is known.
    pub(super) fn settle(&mut self) {
        let within = |name: &String| match &self.namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.clone(),
        };
        let reserved = match self.identity {
            Some(1) => Some("host"),
            Some(4) => Some("health"),
            Some(6) => Some("remote-node"),
            Some(7) => Some("kube-apiserver"),
            _ => None,
        };
        self.party = (self.workload.as_ref().map(within))
            .or_else(|| reserved.map(str::to_owned))
            .or_else(|| self.name.clone())
            .or_else(|| {
                let pod = self.pod.as_ref()?;
                let maker = crate::flow::WorkloadName::of_pod(pod, std::iter::empty());
                Some(within(&maker.name.to_string()))
            })
            .or_else(|| Some(self.ip.clone()).filter(|ip| !ip.is_empty()));
    }
}

impl Plain {
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.0
            .pointer(path)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.0.pointer(path).and_then(Value::as_u64)
    }

    pub(super) fn time(&self) -> String {
        time_text(self.text("/time").unwrap())
    }

    pub(super) fn dropped(&self) -> bool {
        self.text("/verdict") == Some("DROPPED")
    }

    pub(super) fn reply(&self) -> bool {
        self.0
            .pointer("/is_reply")
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }

    pub(super) fn protocol(&self) -> Option<String> {
        let layer = self.0.get("l4")?.as_object()?;
        layer.keys().next().cloned()
    }

    pub(super) fn port(&self, side: &str) -> u64 {
        let Some(protocol) = self.protocol() else {
            return 0;
        };
        self.number(&format!("/l4/{protocol}/{side}_port"))
            .unwrap_or_default()
    }

    pub(super) fn side(&self, side: &str) -> Side {
        let owned = |path: &str| self.text(&format!("/{side}{path}")).map(str::to_owned);
        let mut found = Side {
            ip: self
                .text(&format!("/IP/{side}"))
                .unwrap_or_default()
                .to_owned(),
            port: self.port(side),
            namespace: owned("/namespace"),
            workload: owned("/workloads/0/name"),
            pod: owned("/pod_name"),
            name: owned("_names/0"),
            identity: self.number(&format!("/{side}/identity")),
            party: None,
        };
        found.settle();
        found
    }

    pub(super) fn is(&self, side: &str, party: &str) -> bool {
        self.side(side).party.as_deref() == Some(party)
    }

    /// The one that asks, and the one that answers, of an L7 record.
    pub(super) fn asks(&self) -> [Option<String>; 2] {
        let (source, destination) = (self.side("source").party, self.side("destination").party);
        if self.text("/l7/type") == Some("RESPONSE") {
            [destination, source]
        } else {
            [source, destination]
        }
    }
}

pub(super) fn plain(lines: &str) -> Vec<Plain> {
    lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|mut line| line.get_mut("flow").map(Value::take))
        .map(Plain)
        .collect()
}

/// What is counted of a group.
#[derive(Clone, Default)]
pub(super) struct Sum {
    pub(super) count: u64,
    pub(super) dropped: u64,
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
}

impl Sum {
    pub(super) fn add(&mut self, flow: &Plain) {
        self.count += 1;
        self.dropped += u64::from(flow.dropped());
        let time = flow.text("/time").unwrap().parse::<Timestamp>().unwrap();
        let earlier = |known: &Option<String>| {
            known
                .as_ref()
                .is_none_or(|known| time < known.parse::<Timestamp>().unwrap())
        };
        let later = |known: &Option<String>| {
            known
                .as_ref()
                .is_none_or(|known| time > known.parse::<Timestamp>().unwrap())
        };
        if earlier(&self.first) {
            self.first = Some(time.to_string());
        }
        if later(&self.last) {
            self.last = Some(time.to_string());
        }
    }
}
