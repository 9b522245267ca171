//! The knobs of synthetic traffic, their defaults and the presets.
//!
//! Owns every key of a world file and what may stand there. How the file is read is
//! `settings_read`'s; what the knobs do is explained in `docs/synth.md`.

use super::super::WorldSize;
use super::settings_read::{Knob, Seconds, Share};
use crate::manifest::Node;

/// Declares a group of knobs: a struct, its defaults and how a key is read.
macro_rules! knobs {
    ($(#[$doc:meta])* $group:ident { $($(#[$key_doc:meta])* $key:ident : $type:ty = $default:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $group {
            $($(#[$key_doc])* pub $key: $type,)+
        }

        impl Default for $group {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $group {
            pub(super) const KEYS: &'static str = concat!($(stringify!($key), " "),+);

            /// Sets a key. `None` for one that does not exist; else what was expected, where
            /// the value is none.
            pub(super) fn set(&mut self, key: &str, node: &Node) -> Option<Result<(), &'static str>> {
                match key {
                    $(stringify!($key) => Some(<$type as Knob>::read(node).map(|value| self.$key = value)),)+
                    _ => None,
                }
            }
        }
    };
}

knobs! {
    /// Who is there.
    WorldKnobs {
        /// Namespaces, `kube-system` not counted.
        namespaces: usize = 6,
        /// Workloads of the applications, the cluster's DNS included.
        workloads: usize = 20,
        /// Policies, about; those for the platform not counted.
        policies: usize = 60,
        /// Addresses outside.
        externals: usize = 12,
        /// Nodes.
        nodes: usize = 3,
        /// Pods of a workload, at most.
        replicas: usize = 4,
        /// Whether pods of different nodes reach each other through a tunnel.
        tunnel: bool = true,
    }
}

knobs! {
    /// How much users ask for.
    UserKnobs {
        /// Calls between workloads a second, on average over a week.
        calls: f64 = 0.8,
        /// How busy each hour of a day (UTC) is beside the others, 24 numbers.
        hours: Hours = Hours::default(),
        /// How busy a day of the weekend is beside one of the week.
        weekend: f64 = 0.6,
        /// Least shape of the gamma noise of five minutes: the smaller, the burstier.
        noise_low: f64 = 2.0,
        /// Greatest shape.
        noise_high: f64 = 20.0,
    }
}

knobs! {
    /// What connections are like.
    ConnectionKnobs {
        /// Share of calls that go over pooled connections.
        keep_alive: Share = Share(0.7),
        /// Median life of a pooled connection.
        lifetime: Seconds = Seconds(60.0),
        /// Spread of its logarithm; 3.2 makes a tenth live longer than an hour.
        lifetime_sigma: f64 = 3.2,
        /// Most that one lives.
        lifetime_most: Seconds = Seconds(21_600.0),
        /// Share of calls that are tried again.
        retries: Share = Share(0.02),
        /// Median time a workload takes for a call.
        latency: Seconds = Seconds(0.006),
        /// Spread of its logarithm.
        latency_sigma: f64 = 0.9,
        /// Share of HTTP requests that no rule was written for.
        odd_requests: Share = Share(0.01),
    }
}

knobs! {
    /// How names are looked up.
    DnsKnobs {
        /// How long answers about Services hold.
        cluster_ttl: Seconds = Seconds(30.0),
        /// How long answers about names outside hold.
        external_ttl: Seconds = Seconds(300.0),
        /// How long answers about content networks hold.
        cdn_ttl: Seconds = Seconds(60.0),
        /// Share of names outside that are content networks.
        cdn: Share = Share(0.15),
        /// Addresses of a content network that take turns.
        cdn_addresses: usize = 16,
        /// Whether clients ask with the search suffixes first, as `ndots:5` makes them.
        search: bool = true,
    }
}

knobs! {
    /// What the platform itself does.
    PlatformKnobs {
        /// Share of workloads that the kubelet probes over the network.
        probes: Share = Share(0.15),
        /// Between two probes of a pod.
        probe_interval: Seconds = Seconds(10.0),
        /// Share of workloads that Prometheus scrapes.
        scrapes: Share = Share(0.3),
        /// Between two scrapes of a pod; every second target is scraped half as often.
        scrape_interval: Seconds = Seconds(15.0),
        /// Share of workloads that talk to the API server.
        apiserver: Share = Share(0.1),
        /// Between two requests of theirs.
        apiserver_interval: Seconds = Seconds(30.0),
        /// Share of workloads nobody calls that run on a schedule.
        cron: Share = Share(0.5),
        /// Calls a day of each workload that nobody has written a policy for.
        strays: f64 = 6.0,
    }
}

knobs! {
    /// How Hubble sees it.
    ObservationKnobs {
        /// Between two events of one direction of a connection (`monitor-aggregation-interval`).
        tick: Seconds = Seconds(5.0),
        /// Most that a node's clock is off, either way.
        skew: Seconds = Seconds(2.0),
        /// Share of endpoints that are known by their identity only.
        missing_metadata: Share = Share(0.005),
        /// Share of traces of which it is not known whether they are replies.
        unknown_reply: Share = Share(0.005),
        /// Bursts of lost events a day and node.
        losses: f64 = 1.0,
        /// Median length of a burst.
        loss_length: Seconds = Seconds(3.0),
        /// Share of the events of a burst that are lost.
        loss_share: Share = Share(0.7),
    }
}

/// All knobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `world`
    pub world: WorldKnobs,
    /// `users`
    pub users: UserKnobs,
    /// `connections`
    pub connections: ConnectionKnobs,
    /// `dns`
    pub dns: DnsKnobs,
    /// `platform`
    pub platform: PlatformKnobs,
    /// `observation`
    pub observation: ObservationKnobs,
}

/// How busy each hour of a day is.
#[derive(Clone, Debug, PartialEq)]
pub struct Hours(pub [f64; 24]);

impl Default for Hours {
    /// A morning, a dip at noon, an afternoon, a quiet night.
    fn default() -> Self {
        Self([
            0.25, 0.2, 0.18, 0.18, 0.22, 0.35, 0.6, 0.95, 1.35, 1.65, 1.75, 1.65, 1.4, 1.5, 1.7,
            1.75, 1.65, 1.5, 1.35, 1.25, 1.1, 0.85, 0.55, 0.37,
        ])
    }
}

/// A size of traffic with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// 20 workloads, 6 hours: for tests.
    Xs,
    /// 60 workloads, 3 days, 2 to 3 million events.
    S,
    /// 300 workloads, 30 days, thinned.
    M,
    /// 2,000 workloads, 7 days.
    L,
}

impl Preset {
    /// The knobs and the length in seconds.
    #[must_use]
    pub fn settings(self) -> (Settings, u64) {
        const HOUR: u64 = 3_600;
        let mut settings = Settings::default();
        let Settings {
            world,
            users,
            platform,
            ..
        } = &mut settings;
        let hours = match self {
            Self::Xs => 6,
            Self::S => {
                (world.namespaces, world.workloads) = (10, 60);
                (world.policies, world.externals, world.nodes) = (180, 40, 5);
                users.calls = 0.42;
                (platform.probes, platform.scrapes) = (Share(0.02), Share(0.05));
                (platform.apiserver, platform.strays) = (Share(0.03), 2.0);
                72
            }
            Self::M => {
                (world.namespaces, world.workloads) = (25, 300);
                (world.policies, world.externals, world.nodes) = (900, 80, 12);
                users.calls = 0.6;
                (platform.probes, platform.scrapes) = (Share(0.004), Share(0.01));
                (platform.apiserver, platform.strays) = (Share(0.01), 1.0);
                720
            }
            Self::L => {
                (world.namespaces, world.workloads) = (60, 2_000);
                (world.policies, world.externals, world.nodes) = (6_000, 400, 60);
                (world.replicas, users.calls) = (12, 6.0);
                (platform.probes, platform.scrapes) = (Share(0.004), Share(0.02));
                (platform.apiserver, platform.strays) = (Share(0.005), 1.0);
                168
            }
        };
        (settings, hours * HOUR)
    }
}

impl WorldKnobs {
    pub(super) fn size(&self) -> WorldSize {
        WorldSize {
            namespaces: self.namespaces,
            workloads: self.workloads,
            policies: self.policies,
            externals: self.externals,
        }
    }
}
