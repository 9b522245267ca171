//! The connection flags that all commands which talk to a server share.
//!
//! Owns the flags with Hubble's names and meanings, and where a value comes from: flag,
//! then `FLOWWATCH_…`, then `HUBBLE_…`, then the default. Does not connect.

use std::{env, fmt, path::PathBuf, time::Duration};

use clap::Args;

use crate::filter::parse_go_duration;
use crate::source::observer::{
    BasicAuth, ClientFiles, ConnectConfig, Target, TargetError, TlsOptions,
};

const DEFAULT_SERVER: &str = "localhost:4245";

/// How to reach a server, as typed.
#[derive(Args, Clone, Default)]
pub struct ConnectionArgs {
    /// Address of a Hubble server: host:port, tls://host:port or unix:///path (repeatable) [default: localhost:4245]
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        help_heading = "Server"
    )]
    pub server: Vec<String>,
    /// Speak TLS
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = "Server"
    )]
    pub tls: Option<bool>,
    /// Accept any certificate of the server
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = "Server"
    )]
    pub tls_allow_insecure: Option<bool>,
    /// Files of the certificate authorities to trust instead of the system's
    #[arg(
        long,
        value_name = "FILES",
        value_delimiter = ',',
        help_heading = "Server"
    )]
    pub tls_ca_cert_files: Vec<PathBuf>,
    /// File of the certificate to show to the server
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub tls_client_cert_file: Option<PathBuf>,
    /// File of its key
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub tls_client_key_file: Option<PathBuf>,
    /// Name to expect in the server's certificate, e.g. instance.hubble-relay.cilium.io
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    pub tls_server_name: Option<String>,
    /// User name for basic authentication, over TLS only
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    pub basic_auth_username: Option<String>,
    /// Password for basic authentication
    #[arg(
        long,
        value_name = "PASSWORD",
        hide_env_values = true,
        help_heading = "Server"
    )]
    pub basic_auth_password: Option<String>,
    /// How long to wait for a connection [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Server")]
    pub timeout: Option<Duration>,
    /// How long to wait for an answer that is not a stream [default: 12s]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Server")]
    pub request_timeout: Option<Duration>,
}

/// Flags that do not go together or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionUsageError {
    /// An address that is none.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A variable that cannot be read.
    #[error("{name}={value:?} is not {wanted}")]
    Variable {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// One of two flags that need each other.
    #[error("--{given} needs --{missing}")]
    Half {
        /// The one given.
        given: &'static str,
        /// The one missing.
        missing: &'static str,
    },
    /// A flag of TLS on a connection without it.
    #[error("--{flag} needs TLS; add --tls, or tls:// in front of the address")]
    NeedsTls {
        /// The flag.
        flag: &'static str,
    },
}

/// The value of the environment for a flag: `FLOWWATCH_` before `HUBBLE_`, in front of the
/// flag's name in upper case with `_` for `-`. Empty counts as not set.
///
/// Returns the variable's name too, for errors.
#[must_use]
pub fn env_or(flag: &str) -> Option<(String, String)> {
    env_from(flag, |name| env::var(name).ok())
}

fn env_from(flag: &str, get: impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let name = flag.to_ascii_uppercase().replace('-', "_");
    ["FLOWWATCH", "HUBBLE"].iter().find_map(|prefix| {
        let name = format!("{prefix}_{name}");
        let value = get(&name).filter(|value| !value.is_empty())?;
        Some((name, value))
    })
}

impl ConnectionArgs {
    /// What the flags and the environment mean: one configuration a server.
    ///
    /// # Errors
    /// [`ConnectionUsageError`], for the first conflict found.
    pub fn plan(&self) -> Result<Vec<ConnectConfig>, ConnectionUsageError> {
        self.plan_with(&|name| env::var(name).ok())
    }

    fn plan_with(
        &self,
        get: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<ConnectConfig>, ConnectionUsageError> {
        let text = |flag: &'static str, typed: Option<&str>| match typed {
            Some(typed) => Some(typed.to_owned()),
            None => env_from(flag, get).map(|(_, value)| value),
        };
        let path = |flag, typed: Option<&PathBuf>| {
            typed
                .cloned()
                .or_else(|| Some(PathBuf::from(text(flag, None)?)))
        };
        let list = |flag| {
            let (_, value) = env_from(flag, get)?;
            Some(
                value
                    .split(',')
                    .map(|part| part.trim().to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        let switch = |flag, typed| match typed {
            Some(typed) => Ok(typed),
            None => read_env(flag, get, "true or false", boolean).map(Option::unwrap_or_default),
        };
        let time = |flag, typed, default| match typed {
            Some(typed) => Ok(typed),
            None => read_env(flag, get, "a duration such as 5s", |text| {
                duration(text).ok()
            })
            .map(|time| time.unwrap_or(default)),
        };

        let ca_cert_files = if self.tls_ca_cert_files.is_empty() {
            let files = list("tls-ca-cert-files").unwrap_or_default();
            files.into_iter().map(PathBuf::from).collect()
        } else {
            self.tls_ca_cert_files.clone()
        };
        let options = TlsOptions {
            allow_insecure: switch("tls-allow-insecure", self.tls_allow_insecure)?,
            ca_cert_files,
            client: both(
                (
                    "tls-client-cert-file",
                    path("tls-client-cert-file", self.tls_client_cert_file.as_ref()),
                ),
                (
                    "tls-client-key-file",
                    path("tls-client-key-file", self.tls_client_key_file.as_ref()),
                ),
            )?
            .map(|(cert, key)| ClientFiles { cert, key }),
            server_name: text("tls-server-name", self.tls_server_name.as_deref()),
        };
        let basic_auth = both(
            (
                "basic-auth-username",
                text("basic-auth-username", self.basic_auth_username.as_deref()),
            ),
            (
                "basic-auth-password",
                text("basic-auth-password", self.basic_auth_password.as_deref()),
            ),
        )?
        .map(|(username, password)| BasicAuth { username, password });
        let with_tls = switch("tls", self.tls)?;
        let servers = match (self.server.is_empty(), list("server")) {
            (false, _) => self.server.clone(),
            (true, Some(servers)) => servers,
            (true, None) => vec![DEFAULT_SERVER.to_owned()],
        };

        let mut configs = Vec::new();
        for server in servers {
            let mut config = ConnectConfig::new(server.parse::<Target>()?);
            if with_tls || config.tls.is_some() {
                config.tls = Some(options.clone());
            } else if let Some(flag) = needs_tls(&options, basic_auth.as_ref()) {
                return Err(ConnectionUsageError::NeedsTls { flag });
            }
            config.basic_auth.clone_from(&basic_auth);
            config.connect_timeout = time("timeout", self.timeout, config.connect_timeout)?;
            config.request_timeout = time(
                "request-timeout",
                self.request_timeout,
                config.request_timeout,
            )?;
            configs.push(config);
        }
        Ok(configs)
    }
}

impl fmt::Debug for ConnectionArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.basic_auth_password.as_ref().map(|_| "***");
        f.debug_struct("ConnectionArgs")
            .field("server", &self.server)
            .field("tls", &self.tls)
            .field("basic_auth_username", &self.basic_auth_username)
            .field("basic_auth_password", &password)
            .finish_non_exhaustive()
    }
}

/// The first flag that means nothing without TLS. What is trusted is harmless there.
fn needs_tls(options: &TlsOptions, auth: Option<&BasicAuth>) -> Option<&'static str> {
    if options.client.is_some() {
        Some("tls-client-cert-file")
    } else if auth.is_some() {
        Some("basic-auth-username")
    } else {
        None
    }
}

type Given<T> = (&'static str, Option<T>);

/// Both values, or neither.
fn both<T>(first: Given<T>, second: Given<T>) -> Result<Option<(T, T)>, ConnectionUsageError> {
    match (first, second) {
        ((_, Some(first)), (_, Some(second))) => Ok(Some((first, second))),
        ((_, None), (_, None)) => Ok(None),
        ((given, Some(_)), (missing, None)) | ((missing, None), (given, Some(_))) => {
            Err(ConnectionUsageError::Half { given, missing })
        }
    }
}

fn read_env<T>(
    flag: &str,
    get: &dyn Fn(&str) -> Option<String>,
    wanted: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ConnectionUsageError> {
    match env_from(flag, get) {
        None => Ok(None),
        Some((name, value)) => match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(ConnectionUsageError::Variable {
                name,
                value,
                wanted,
            }),
        },
    }
}

/// A boolean as Go reads it.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A duration as Go writes it: numbers with units, `1m30s`, `500ms`, `1.5h`.
fn duration(text: &str) -> Result<Duration, String> {
    parse_go_duration(text)
        .and_then(|nanoseconds| u64::try_from(nanoseconds).ok())
        .map(Duration::from_nanos)
        .ok_or_else(|| format!("{text:?} is not a duration such as 5s or 1m30s"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        connection: ConnectionArgs,
    }

    fn plan(
        flags: &str,
        variables: &[(&str, &str)],
    ) -> Result<Vec<ConnectConfig>, ConnectionUsageError> {
        let words = std::iter::once("x").chain(flags.split_whitespace());
        let command = Command::try_parse_from(words).unwrap();
        command.connection.plan_with(&|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn server(flags: &str, variables: &[(&str, &str)]) -> String {
        plan(flags, variables).unwrap()[0].target.to_string()
    }

    #[test]
    fn a_flag_beats_our_variable_beats_hubbles_beats_the_default() {
        let hubble = ("HUBBLE_SERVER", "h:1");
        let ours = ("FLOWWATCH_SERVER", "f:1");
        assert_eq!(server("", &[]), "localhost:4245");
        assert_eq!(server("", &[hubble]), "h:1");
        assert_eq!(server("", &[hubble, ours]), "f:1");
        assert_eq!(server("--server a:1", &[hubble, ours]), "a:1");
    }

    #[test]
    fn servers_add_up_and_have_tls_each_for_itself() {
        let configs = plan("--server a:1 --server tls://b:2 --tls-server-name n", &[]).unwrap();
        assert!(configs[0].tls.is_none());
        let tls = configs[1].tls.as_ref().unwrap();
        assert_eq!(tls.server_name.as_deref(), Some("n"));
    }

    #[test]
    fn the_switches_of_tls_are_read_as_hubble_does() {
        let insecure = |flags, variables: &[_]| {
            let configs = plan(flags, variables).unwrap();
            configs[0]
                .tls
                .as_ref()
                .is_some_and(|tls| tls.allow_insecure)
        };
        assert!(insecure("--tls --tls-allow-insecure", &[]));
        assert!(insecure(
            "--tls=true",
            &[("HUBBLE_TLS_ALLOW_INSECURE", "1")]
        ));
        assert!(!insecure("--tls=false", &[("HUBBLE_TLS", "true")]));
        let error = plan("", &[("HUBBLE_TLS", "maybe")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"HUBBLE_TLS="maybe" is not true or false"#
        );
    }

    #[test]
    fn halves_and_credentials_without_tls_are_errors() {
        for (flags, expected) in [
            (
                "--tls --tls-client-cert-file c",
                "--tls-client-cert-file needs --tls-client-key-file",
            ),
            (
                "--tls --basic-auth-password p",
                "--basic-auth-password needs --basic-auth-username",
            ),
            (
                "--basic-auth-username u --basic-auth-password p",
                "--basic-auth-username needs TLS; add --tls, or tls:// in front of the address",
            ),
            (
                "--server http://a",
                r#"server address "http://a" has an unknown scheme "http"; known are tls://, unix:// and dns:///"#,
            ),
        ] {
            assert_eq!(plan(flags, &[]).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn timeouts_are_durations_of_go() {
        let configs = plan("--timeout 1m30s --request-timeout 250ms", &[]).unwrap();
        assert_eq!(configs[0].connect_timeout, Duration::from_secs(90));
        assert_eq!(configs[0].request_timeout, Duration::from_millis(250));
        for bad in ["", "5", "s", "5 s", "1e3s", "-5s", "1..5s"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_does_not_show_the_password() {
        let command = Command::try_parse_from(["x", "--basic-auth-password", "s3cret"]).unwrap();
        assert!(!format!("{:?}", command.connection).contains("s3cret"));
    }
}
