//! The knobs of synthetic traffic and their defaults.
//!
//! Owns every key of a world file and what may stand there. How the file is read is
//! `settings_read`'s, the presets are `preset`'s; what the knobs do is explained in `docs/synth.md`.

use super::super::WorldSize;
use super::incident::Kind;
use super::settings_read::{Count, Knob, Seconds, Share};
use super::wanted::Wanted;
use crate::manifest::Node;

/// How much a clock is off that is wrong, in nanoseconds.
pub(super) const CLOCK_JUMP: i64 = 8_000_000_000;

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

            /// Key, kind of value and default of each knob, for the schema.
            pub(super) fn shapes(&self) -> Vec<(&'static str, &'static str, serde_json::Value)> {
                vec![$((stringify!($key), <$type as Knob>::SHAPE, self.$key.shown())),+]
            }

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
        /// Whether nobody may ask the cloud's metadata service; else only namespaces that
        /// deny by default may not.
        metadata_denied: bool = true,
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

knobs! {
    /// Edges that are hardly ever used.
    RareKnobs {
        /// How many a workload, on average.
        edges: f64 = 0.0,
        /// Between two connections of the rarest; each order of magnitude is as likely.
        seldom: Seconds = Seconds(5_184_000.0),
        /// Between two connections of the most frequent.
        often: Seconds = Seconds(3_600.0),
        /// Share that leads outside.
        outside: Share = Share(0.25),
        /// Registered domains outside have names of their own, instead of eight for all.
        domains: bool = false,
    }
}

knobs! {
    /// What changes in a cluster that works.
    ChurnKnobs {
        /// Releases a workload and week, in working hours.
        releases: f64 = 0.0,
        /// Share of releases that add an edge.
        adds: Share = Share(0.15),
        /// Share of releases that drop one.
        drops: Share = Share(0.05),
        /// Share of releases that change labels, and so the identity.
        relabels: Share = Share(0.03),
        /// Between two pods of a release.
        rollout: Seconds = Seconds(40.0),
        /// Share of workloads whose pods follow the load.
        scaled: Share = Share(0.0),
        /// Drained nodes a week.
        drains: f64 = 0.0,
        /// Preview namespaces a week.
        previews: f64 = 0.0,
        /// Median life of one.
        preview_life: Seconds = Seconds(172_800.0),
        /// Renamed workloads a week, as a share of all.
        renames: Share = Share(0.0),
        /// Each run of a CronJob has a pod of its own.
        job_pods: bool = false,
    }
}

knobs! {
    /// What happens without malice and looks as if: how often each, over the whole time.
    DisturbanceKnobs {
        /// None before this.
        after: Seconds = Seconds(0.0),
        /// A server refuses connections, or does not answer.
        backend_outages: Count = Count(0),
        /// The cluster's DNS fails.
        dns_outages: Count = Count(0),
        /// Users of an entry come `crowd` times as often.
        flash_crowds: Count = Count(0),
        /// See `flash_crowds`.
        crowd: f64 = 8.0,
        /// A load generator calls an entry.
        load_tests: Count = Count(0),
        /// Authorised scans a week.
        scans: f64 = 0.0,
        /// A content network answers with other addresses from then on.
        cdn_rotations: Count = Count(0),
        /// A workload begins to back up to a new bucket every night.
        backups: Count = Count(0),
        /// Certificates are rotated: connections of a namespace are made anew.
        certificate_rotations: Count = Count(0),
        /// A policy goes wrong and breaks an edge until it is taken back.
        policy_rollouts: Count = Count(0),
        /// Every workload begins to call a collector, namespace by namespace.
        observability_rollouts: Count = Count(0),
        /// The clock of a node is 8 s off for an hour.
        clock_skews: Count = Count(0),
        /// Hubble loses events for some hours, on all nodes.
        loss_periods: Count = Count(0),
        /// Share that is lost then.
        loss: Share = Share(0.05),
    }
}

knobs! {
    /// What is common to incidents.
    IncidentKnobs {
        /// None before this.
        after: Seconds = Seconds(0.0),
        /// Least intensity: 0 is the quietest of each grid, 1 the loudest.
        intensity_low: Share = Share(0.0),
        /// Greatest.
        intensity_high: Share = Share(1.0),
        /// Share of incidents that policies let through, where there is a choice.
        allowed: Share = Share(0.7),
    }
}

/// How many incidents of each kind, and those that are written down one by one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incidents {
    /// What is common to all.
    pub knobs: IncidentKnobs,
    /// Drawn incidents of each kind, in the order of [`Kind::ALL`].
    pub counts: [Count; Kind::ALL.len()],
    /// Incidents as they are wanted.
    pub list: Vec<Wanted>,
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
    /// `rare`
    pub rare: RareKnobs,
    /// `churn`
    pub churn: ChurnKnobs,
    /// `disturbances`
    pub disturbances: DisturbanceKnobs,
    /// `incidents`
    pub incidents: Incidents,
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

impl Settings {
    /// How much a clock can be off, in nanoseconds.
    pub(super) fn margin(&self) -> i64 {
        let jump = if self.disturbances.clock_skews.0 > 0 {
            CLOCK_JUMP
        } else {
            0
        };
        self.observation.skew.nanos() + jump
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
