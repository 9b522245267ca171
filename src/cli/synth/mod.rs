//! `flowwatch synth`: flows of a synthetic cluster, with what really happened.
//!
//! Owns the arguments and where the truth goes. Where flows go is `outlets`' and `served`'s,
//! what happens in the cluster is `synth`'s.

mod outlets;
mod score;
mod served;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use self::outlets::{Labels, Outlet};
use super::error::{CommandError, UsageError};
use super::sink::say;
use crate::serve::Address;
use crate::synth::{Preset, Settings, Traffic};

const EXAMPLES: &str = "\
Examples:
  flowwatch synth --out flows.jsonl --truth truth.jsonl --policies cluster/
  flowwatch tail flows.jsonl --policies cluster/ --only drop
  flowwatch synth --preset S --seed 7 --duration 1d --world world.yaml --out -
  flowwatch synth --preset M --seed 3 --archive month/ --incidents truth/
  flowwatch synth score findings.jsonl truth/incidents.json
  flowwatch synth --serve 127.0.0.1:4245 --rate 200 --duration 10m";

/// A Monday.
const START: &str = "2026-01-05T00:00:00Z";
/// Arguments of `synth`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct SynthArgs {
    #[command(subcommand)]
    command: Option<SynthCommand>,
    /// Size of the cluster and how long it is watched: XS 20 workloads and 6 hours, S 60 and
    /// 3 days, M 300 and 30 days, L 2,000 and 7 days, XL 2,000 and 30 days; M and XL with
    /// churn, disturbances and incidents
    #[arg(long, value_enum, default_value_t = PresetArg::Xs, ignore_case = true)]
    preset: PresetArg,
    /// Which of all clusters of that size
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Knobs that differ from the preset, as YAML (see docs/synth.md)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    world: Option<PathBuf>,
    /// When it begins, RFC 3339 [default: 2026-01-05T00:00:00Z, with --serve now]
    #[arg(long, value_name = "TIME")]
    start: Option<Timestamp>,
    /// How long it lasts: 90s, 10m, 6h, 3d [default: by the preset]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    duration: Option<u64>,
    /// Begin nothing new after so many flows
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    flows: u64,
    /// Write flows as JSON lines here, - for standard output [default: -, if nothing else is asked for]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Write flows into this archive, which must be new or empty
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, conflicts_with_all = ["out", "serve"])]
    archive: Option<PathBuf>,
    /// Write what happened into this directory: incidents, changes, labels of flows
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, conflicts_with = "serve")]
    incidents: Option<PathBuf>,
    /// Write here how many connections each edge really had, as JSON lines
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    truth: Option<PathBuf>,
    /// Write the policies and the rest of the cluster into this directory
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    policies: Option<PathBuf>,
    /// Serve the flows as an Observer, as they come
    #[arg(long, value_name = "ADDRESS", conflicts_with = "out")]
    serve: Option<String>,
    /// Serve so many flows a second instead of as fast as they happen
    #[arg(long, value_name = "N", requires = "serve")]
    rate: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PresetArg {
    #[value(name = "XS")]
    Xs,
    #[value(name = "S")]
    S,
    #[value(name = "M")]
    M,
    #[value(name = "L")]
    L,
    #[value(name = "XL")]
    Xl,
}

#[derive(Subcommand, Debug)]
enum SynthCommand {
    /// Hold findings against what really happened
    Score(score::ScoreArgs),
}

impl SynthArgs {
    /// Makes the flows and writes or serves them.
    ///
    /// # Errors
    /// [`CommandError`] for a world file or address that means nothing, or a file that
    /// cannot be written.
    pub(super) fn run(self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
        if let Some(SynthCommand::Score(score)) = &self.command {
            return score.run(out);
        }
        let traffic = self.traffic()?;
        if let Some(folder) = &self.policies {
            write_cluster(folder, &traffic)?;
        }
        if let Some(address) = &self.serve {
            let address: Address = address
                .parse()
                .map_err(|error| UsageError::new(format!("{error}")))?;
            if self
                .rate
                .is_some_and(|rate| !(rate > 0.0 && rate.is_finite()))
            {
                return Err(UsageError::new("--rate must be more than 0").into());
            }
            let traffic = served::serve_at(&address, traffic, self.rate, out)?;
            return self.finish(&traffic, Duration::ZERO, err);
        }
        let lines = self.out.as_deref();
        let beside = self.truth.is_some() || self.incidents.is_some();
        if lines.is_none() && self.archive.is_none() && !beside && self.policies.is_some() {
            return Ok(());
        }
        let began = Instant::now();
        let mut labels = Labels::into(self.incidents.as_deref())?;
        let traffic = match (&self.archive, lines) {
            (Some(folder), _) => Outlet::archive(folder)?.take(traffic, &mut labels)?,
            (None, Some(path)) if path.as_os_str() != "-" => {
                Outlet::file(path)?.take(traffic, &mut labels)?
            }
            (None, None) if beside => Outlet::Nothing.take(traffic, &mut labels)?,
            _ => Outlet::Lines(out).take(traffic, &mut labels)?,
        };
        labels.finish()?;
        self.finish(&traffic, began.elapsed(), err)
    }

    fn traffic(&self) -> Result<Traffic, CommandError> {
        let preset = match self.preset {
            PresetArg::Xs => Preset::Xs,
            PresetArg::S => Preset::S,
            PresetArg::M => Preset::M,
            PresetArg::L => Preset::L,
            PresetArg::Xl => Preset::Xl,
        };
        let (mut settings, seconds): (Settings, u64) = preset.settings();
        if let Some(world) = &self.world {
            settings.read(world).map_err(CommandError::failed)?;
        }
        let start = match (self.start, &self.serve) {
            (Some(start), _) => start,
            (None, Some(_)) => Timestamp::now(),
            (None, None) => START.parse().map_err(CommandError::failed)?,
        };
        let start = i64::try_from(start.as_nanosecond())
            .map_err(|_| UsageError::new("--start is outside of what nanoseconds can tell"))?;
        let seconds = self.duration.unwrap_or(seconds);
        let traffic = Traffic::new(&settings, self.seed, start, seconds);
        Ok(traffic
            .map_err(CommandError::failed)?
            .stopping_after(self.flows))
    }

    /// Writes the truth and says what was made.
    fn finish(
        &self,
        traffic: &Traffic,
        took: Duration,
        err: &mut dyn Write,
    ) -> Result<(), CommandError> {
        let truth = traffic.truth();
        if let Some(path) = &self.truth {
            std::fs::write(path, truth.json_lines()).map_err(|error| failed(path, &error))?;
        }
        if let Some(folder) = &self.incidents {
            for (name, what) in [
                ("incidents.json", traffic.incidents()),
                ("changes.json", traffic.changes()),
            ] {
                let path = folder.join(name);
                let text = serde_json::to_string_pretty(&what).map_err(CommandError::failed)?;
                std::fs::write(&path, text + "\n").map_err(|error| failed(&path, &error))?;
            }
        }
        let (mut edges, mut opened, mut denied) = (0_u64, 0, 0);
        for (_, counts) in truth.edges() {
            edges += 1;
            opened += counts.opened;
            denied += counts.denied;
        }
        let flows = traffic.flows();
        let rate = flows as f64 / took.as_secs_f64().max(1e-6);
        say(
            err,
            &format!(
                "{flows} flows of {opened} connections ({denied} denied) on {edges} edges, made in {:.1} s ({rate:.0}/s)",
                took.as_secs_f64()
            ),
        );
        Ok(())
    }
}

/// Writes what `--policies` of other commands reads.
fn write_cluster(folder: &Path, traffic: &Traffic) -> Result<(), CommandError> {
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for (name, text) in [
        ("policies.yaml", traffic.policies()),
        ("cluster.yaml", traffic.documents()),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::failed(format!("write {}: {error}", path.display()))
}

/// Seconds of `90s`, `10m`, `6h`, `3d`.
fn seconds(text: &str) -> Result<u64, String> {
    let expected = || format!("'{text}' is no duration such as 90s, 10m, 6h or 3d");
    let unit = text.chars().last().ok_or_else(expected)?;
    let number = &text[..text.len() - unit.len_utf8()];
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(factor).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("3d"), Ok(259_200));
        for text in [
            "",
            "6",
            "h",
            "1.5h",
            "-1h",
            "\u{e4}",
            "99999999999999999999d",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
