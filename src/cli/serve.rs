//! `flowwatch serve`: recorded flows as an Observer API.

use std::{future::Future, io::Write, path::PathBuf, sync::Arc};

use clap::Args;

use crate::{
    serve::{Address, Bounds, Recording, Script, ServerOptions, TlsFiles, bind, load_file, replay},
    source::file::{Input, inputs},
};

use super::{
    error::{CommandError, UsageError},
    sink::say,
};

/// Serve recorded flows as Hubble's agents serve live ones.
#[derive(Args, Clone, Debug)]
pub(super) struct ServeArgs {
    /// Recordings to serve: files, directories, or - for standard input.
    #[arg(long = "input-file", value_name = "FILE", required = true, num_args = 1..)]
    input_files: Vec<PathBuf>,
    /// Where to listen: host:port or unix:///path; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4245")]
    listen: String,
    /// Flows to hold; of more, the oldest are left out.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().max_flows)]
    max_flows: usize,
    /// Serve TLS with this certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key_file")]
    tls_cert_file: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_key_file: Option<PathBuf>,
    /// Let in only clients with a certificate of this authority (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_client_ca_file: Option<PathBuf>,
    /// Start empty and take flows in as they once came, so many times as fast.
    #[arg(long, value_name = "X")]
    replay_speed: Option<f64>,
    /// Go wrong by a script (for tests of clients).
    #[arg(long, value_name = "FILE", hide = true)]
    faults: Option<PathBuf>,
}

/// What to serve, where and how.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    inputs: Vec<PathBuf>,
    address: Address,
    bounds: Bounds,
    options: ServerOptions,
    replay_speed: Option<f64>,
}

impl ServeArgs {
    /// What the arguments mean.
    ///
    /// # Errors
    /// [`UsageError`] for an address, number or script that means nothing.
    pub(super) fn plan(self) -> Result<Plan, UsageError> {
        let address = self.listen.parse().map_err(usage)?;
        if self.max_flows == 0 {
            return Err(UsageError::new("--max-flows must be at least 1"));
        }
        if let Some(speed) = self.replay_speed
            && !(speed > 0.0 && speed.is_finite())
        {
            return Err(UsageError::new("--replay-speed must be more than 0"));
        }
        let tls = self.tls_cert_file.zip(self.tls_key_file);
        let faults = self.faults.map(|path| script(&path)).transpose()?;
        Ok(Plan {
            inputs: self.input_files,
            address,
            bounds: Bounds {
                max_flows: self.max_flows,
                ..Bounds::default()
            },
            options: ServerOptions {
                tls: tls.map(|(cert, key)| TlsFiles {
                    cert,
                    key,
                    client_ca: self.tls_client_ca_file,
                }),
                faults,
            },
            replay_speed: self.replay_speed,
        })
    }
}

/// Serves until interrupted.
///
/// Writes the address to `out`, and what was loaded or left out to `err`.
///
/// # Errors
/// [`CommandError`] when a file cannot be opened, or the server cannot serve.
pub(super) fn run(
    plan: Plan,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CommandError::failed)?;
    runtime.block_on(serve(plan, interrupted(), out, err))
}

async fn serve(
    plan: Plan,
    shutdown: impl Future<Output = ()>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let loaded = Recording::new(plan.bounds);
    for input in inputs(&plan.inputs).map_err(CommandError::failed)? {
        load(&loaded, &input, err)?;
    }
    let totals = loaded.totals();
    let (served, to_replay) = match plan.replay_speed {
        None => (loaded, None),
        Some(speed) => (
            Recording::new(plan.bounds),
            Some((loaded.snapshot(), speed)),
        ),
    };
    let served = Arc::new(served);
    let bound = bind(&plan.address, Arc::clone(&served), &plan.options)
        .await
        .map_err(CommandError::failed)?;
    say(err, &format!("{} events are loaded", totals.held));
    // Whoever started this may not read on; serving is what they asked for.
    let _ = writeln!(out, "listening on {}", bound.address()).and_then(|()| out.flush());
    let feeder = to_replay.map(|(entries, speed)| {
        let served = Arc::clone(&served);
        tokio::spawn(async move { replay(&served, entries, speed).await })
    });
    let outcome = bound.serve(shutdown).await;
    if let Some(feeder) = feeder {
        feeder.abort();
    }
    outcome.map_err(CommandError::failed)
}

fn load(recording: &Recording, input: &Input, err: &mut dyn Write) -> Result<(), CommandError> {
    let report = load_file(recording, input).map_err(CommandError::failed)?;
    let name = input.name();
    for line in report.skips.describe(&name) {
        say(err, &line);
    }
    if report.loaded.undecodable > 0 {
        let count = report.loaded.undecodable;
        say(err, &format!("{name}: {count} records cannot be decoded"));
    }
    if report.loaded.left > 0 {
        let count = report.loaded.left;
        say(
            err,
            &format!("{name}: the {count} oldest events do not fit and are left out"),
        );
    }
    Ok(())
}

fn script(path: &PathBuf) -> Result<Script, UsageError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| UsageError::new(format!("read {}: {error}", path.display())))?;
    text.parse().map_err(usage)
}

fn usage(error: impl std::fmt::Display) -> UsageError {
    UsageError::new(error.to_string())
}

/// Completes on an interrupt or a request to terminate.
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupt.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn plan(args: &[&str]) -> Result<Plan, String> {
        let typed = ["serve", "--input-file", "x"].iter().chain(args);
        let command = Command::try_parse_from(typed).map_err(|error| error.to_string())?;
        command.args.plan().map_err(|error| error.to_string())
    }

    #[test]
    fn what_does_not_go_together_is_wrong_usage() {
        for (args, said) in [
            (&["--listen", "here"][..], "neither host:port"),
            (&["--max-flows", "0"], "at least 1"),
            (&["--replay-speed", "0"], "more than 0"),
            (&["--tls-cert-file", "x"], "--tls-key-file"),
            (&["--tls-client-ca-file", "x"], "--tls-cert-file"),
            (&["--faults", "/nowhere"], "read /nowhere"),
        ] {
            let error = plan(args).unwrap_err();
            assert!(error.contains(said), "{args:?}: {error}");
        }
        assert_eq!(plan(&[]).unwrap().address.to_string(), "127.0.0.1:4245");
    }

    #[tokio::test]
    async fn it_says_where_it_listens_and_what_it_left_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = "{\"flow\":{\"uuid\":\"a\"},\"time\":\"2026-01-01T00:00:00Z\"}\n\
                     {\"flow\":{\"uuid\":\"b\"},\"time\":\"2026-01-01T00:00:01Z\"}\n";
        std::fs::write(file.path(), lines).unwrap();
        let mut plan = plan(&["--listen", "127.0.0.1:0", "--max-flows", "1"]).unwrap();
        plan.inputs = vec![file.path().to_owned()];
        let (mut out, mut err) = (Vec::new(), Vec::new());

        serve(plan, std::future::ready(()), &mut out, &mut err)
            .await
            .unwrap();

        let (out, err) = (
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        );
        assert!(out.starts_with("listening on 127.0.0.1:"), "{out}");
        assert!(err.contains("1 oldest events do not fit"), "{err}");
        assert!(err.contains("1 events are loaded"), "{err}");
    }
}
