//! Sizes of traffic with a name.
//!
//! Owns which knobs of each differ from the defaults.

use super::incident::Kind;
use super::settings::Settings;
use super::settings_read::{Count, Seconds, Share};

/// A size of traffic with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// 20 workloads, 6 hours: for tests.
    Xs,
    /// 60 workloads, 3 days, 2 to 3 million events.
    S,
    /// 300 workloads, 30 days, thinned, with churn, disturbances and incidents.
    M,
    /// 2,000 workloads, 7 days.
    L,
    /// 2,000 workloads, 30 days, thinned, otherwise as M.
    Xl,
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
                users.calls = 0.45;
                (platform.probes, platform.probe_interval) = (Share(0.06), Seconds(300.0));
                (platform.scrapes, platform.scrape_interval) = (Share(0.3), Seconds(900.0));
                (platform.apiserver, platform.apiserver_interval) = (Share(0.05), Seconds(300.0));
                (platform.strays, world.metadata_denied) = (0.0, false);
                settings.live();
                720
            }
            Self::L | Self::Xl => {
                (world.namespaces, world.workloads) = (60, 2_000);
                (world.policies, world.externals, world.nodes) = (6_000, 400, 60);
                (world.replicas, users.calls) = (12, 6.0);
                (platform.probes, platform.scrapes) = (Share(0.004), Share(0.02));
                (platform.apiserver, platform.strays) = (Share(0.005), 1.0);
                if self == Self::L {
                    168
                } else {
                    (world.replicas, users.calls) = (4, 1.2);
                    (platform.probes, platform.probe_interval) = (Share(0.06), Seconds(1_800.0));
                    (platform.scrapes, platform.scrape_interval) = (Share(0.3), Seconds(3_600.0));
                    platform.apiserver = Share(0.03);
                    platform.apiserver_interval = Seconds(900.0);
                    (platform.strays, world.metadata_denied) = (0.0, false);
                    settings.live();
                    720
                }
            }
        };
        (settings, hours * HOUR)
    }
}

impl Settings {
    /// Lets the cluster live: rare edges, churn and disturbances, incidents after the first
    /// 17 of 30 days.
    fn live(&mut self) {
        const DAY: f64 = 86_400.0;
        (self.rare.edges, self.rare.domains) = (0.5, true);
        let churn = &mut self.churn;
        (churn.releases, churn.scaled, churn.drains) = (0.3, Share(0.1), 1.0);
        (churn.previews, churn.renames, churn.job_pods) = (2.0, Share(0.005), true);
        let other = &mut self.disturbances;
        (other.backend_outages, other.dns_outages) = (Count(6), Count(2));
        (other.flash_crowds, other.load_tests, other.scans) = (Count(4), Count(3), 1.0);
        (other.cdn_rotations, other.backups) = (Count(3), Count(2));
        (other.certificate_rotations, other.policy_rollouts) = (Count(3), Count(2));
        (other.observability_rollouts, other.clock_skews) = (Count(1), Count(2));
        (other.loss_periods, self.platform.cron) = (Count(2), Share(0.5));
        self.incidents.knobs.after = Seconds(17.0 * DAY);
        self.incidents.counts = [Count(3); Kind::ALL.len()];
    }
}
