//! How to reach a server: the resolved form of the connection flags.
//!
//! Owns the values and keeps secrets out of `Debug`. Does not read files nor flags.

use std::{fmt, path::PathBuf, time::Duration};

use super::target::Target;

/// How to reach one server.
#[derive(Clone, Debug)]
pub struct ConnectConfig {
    /// Where it listens.
    pub target: Target,
    /// TLS, where it is to be spoken.
    pub tls: Option<TlsOptions>,
    /// Credentials, sent over TLS only.
    pub basic_auth: Option<BasicAuth>,
    /// Bound on name resolution, TCP, TLS and the first answer together.
    pub connect_timeout: Duration,
    /// Bound on calls that have one answer.
    pub request_timeout: Duration,
    /// Pauses between attempts to reconnect.
    pub backoff: Backoff,
}

/// The pauses between attempts to reconnect: they double from `min` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
}

/// What is trusted, and what is shown to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Accept any certificate.
    pub allow_insecure: bool,
    /// Authorities to trust instead of the system's.
    pub ca_cert_files: Vec<PathBuf>,
    /// What to show to a server that asks who we are.
    pub client: Option<ClientFiles>,
    /// The name to expect instead of the host.
    pub server_name: Option<String>,
}

/// Files of a client's certificate chain and key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// The chain, own certificate first.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// A name and password for HTTP's basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl ConnectConfig {
    /// Reaches `target` with the defaults; TLS where the address asks for it.
    #[must_use]
    pub fn new(target: Target) -> Self {
        let tls = target.asks_for_tls().then(TlsOptions::default);
        Self {
            target,
            tls,
            basic_auth: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(12),
            backoff: Backoff::default(),
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min: Duration::from_secs(1),
            max: Duration::from_mins(1),
        }
    }
}

impl Backoff {
    /// The pause before attempt `failures + 1`, jittered by a quarter so that many
    /// clients of one server do not return together.
    pub(super) fn pause(self, failures: u32) -> Duration {
        let doubled = self.min.saturating_mul(1 << failures.min(16));
        let jitter = rand::random_range(0.75..1.25);
        doubled
            .min(self.max)
            .mul_f64(jitter)
            .clamp(self.min, self.max)
    }
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth")
            .field("username", &self.username)
            .field("password", &"***")
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_password() {
        let auth = BasicAuth {
            username: "ann".into(),
            password: "s3cret".into(),
        };
        assert!(!format!("{auth:?}").contains("s3cret"));
    }

    #[test]
    fn pauses_grow_and_stay_within_their_bounds() {
        let backoff = Backoff::default();
        for failures in 0..100 {
            let pause = backoff.pause(failures);
            assert!(pause >= backoff.min && pause <= backoff.max);
        }
        assert!(backoff.pause(10) >= Duration::from_secs(45));
        assert!(backoff.pause(0) < Duration::from_secs(2));
    }
}
