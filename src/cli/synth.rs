//! `flowwatch synth`: flows of a synthetic cluster, with what really happened.
//!
//! Owns where they go: lines, a file of truth, policies, a server. What happens in the
//! cluster is `synth`'s.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::error::{CommandError, UsageError};
use super::serve::interrupted;
use super::sink::{self, SinkError, say};
use crate::flow::FlowBatch;
use crate::serve::{Address, Bounds, Recording, ServerOptions, bind};
use crate::synth::{Preset, Settings, Traffic};
use crate::wire::json_write::wire_to_json;
use crate::wire::restore::{notice_to_wire, row_to_wire};
use crate::wire::shape;

const EXAMPLES: &str = "\
Examples:
  flowwatch synth --out flows.jsonl --truth truth.jsonl --policies cluster/
  flowwatch tail flows.jsonl --policies cluster/ --only drop
  flowwatch synth --preset S --seed 7 --duration 1d --world world.yaml --out -
  flowwatch synth --serve 127.0.0.1:4245 --rate 200 --duration 10m";

/// A Monday.
const START: &str = "2026-01-05T00:00:00Z";
/// Bytes of lines that are written at once.
const CHUNK: usize = 256 << 10;
/// Flows that a server takes in together: few, so that they come as they would.
const SERVED_TOGETHER: usize = 64;
/// Longest sleep before it is looked whether to stop.
const NAP: Duration = Duration::from_millis(100);

/// Arguments of `synth`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct SynthArgs {
    /// Size of the cluster and how long it is watched: XS 20 workloads and 6 hours, S 60 and
    /// 3 days, M 300 and 30 days, L 2,000 and 7 days
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
}

/// What was made.
#[derive(Default)]
struct Made {
    lines: Vec<u8>,
    wire: Vec<u8>,
}

impl SynthArgs {
    /// Makes the flows and writes or serves them.
    ///
    /// # Errors
    /// [`CommandError`] for a world file or address that means nothing, or a file that
    /// cannot be written.
    pub(super) fn run(self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), CommandError> {
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
            return self.serve_at(&address, traffic, out, err);
        }
        if self.out.is_none() && self.truth.is_none() && self.policies.is_some() {
            return Ok(());
        }
        let began = Instant::now();
        let traffic = match &self.out {
            Some(path) if path.as_os_str() != "-" => {
                let file = File::create(path).map_err(|error| failed(path, &error))?;
                write_lines(traffic, &mut BufWriter::new(file))?
            }
            None if self.truth.is_some() => without_lines(traffic),
            _ => write_lines(traffic, out)?,
        };
        self.finish(&traffic, began.elapsed(), err)
    }

    fn traffic(&self) -> Result<Traffic, CommandError> {
        let preset = match self.preset {
            PresetArg::Xs => Preset::Xs,
            PresetArg::S => Preset::S,
            PresetArg::M => Preset::M,
            PresetArg::L => Preset::L,
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

    fn serve_at(
        &self,
        address: &Address,
        traffic: Traffic,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), CommandError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(CommandError::failed)?;
        let recording = Arc::new(Recording::new(Bounds::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let traffic = runtime.block_on(async {
            let options = ServerOptions::default();
            let bound = bind(address, Arc::clone(&recording), &options)
                .await
                .map_err(CommandError::failed)?;
            // Whoever started this may not read on; serving is what they asked for.
            let _ = writeln!(out, "listening on {}", bound.address()).and_then(|()| out.flush());
            let pace = Pace::new(self.rate);
            let feeder = {
                let (recording, stop) = (Arc::clone(&recording), Arc::clone(&stop));
                tokio::task::spawn_blocking(move || feed(traffic, &recording, pace, &stop))
            };
            let served = bound.serve(interrupted()).await;
            stop.store(true, Ordering::Relaxed);
            served.map_err(CommandError::failed)?;
            feeder.await.map_err(CommandError::failed)
        })?;
        self.finish(&traffic, Duration::ZERO, err)
    }
}

/// When a flow is due.
#[derive(Clone, Copy)]
struct Pace {
    rate: Option<f64>,
    began: Instant,
}

impl Pace {
    fn new(rate: Option<f64>) -> Self {
        Self {
            rate,
            began: Instant::now(),
        }
    }

    /// How long after the first flow, which has the time `first`.
    fn due(self, flows: u64, time: i64, first: i64) -> Duration {
        match self.rate {
            Some(rate) => Duration::try_from_secs_f64(flows as f64 / rate).unwrap_or(Duration::MAX),
            None => Duration::from_nanos(time.saturating_sub(first).max(0) as u64),
        }
    }

    /// Sleeps until then; false where it is to stop before.
    fn wait(self, due: Duration, stop: &AtomicBool) -> bool {
        loop {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = due.saturating_sub(self.began.elapsed());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}

/// Hands flows to a server as they are due.
fn feed(traffic: Traffic, recording: &Recording, pace: Pace, stop: &AtomicBool) -> Traffic {
    let mut traffic = traffic.in_batches_of(SERVED_TOGETHER);
    let mut first = None;
    let mut flows = 0;
    while let Some(batch) = traffic.next_batch() {
        let mut go_on = true;
        each(&batch, |message, time| {
            let time = time.unwrap_or_default();
            let first = *first.get_or_insert(time);
            go_on = go_on && pace.wait(pace.due(flows, time, first), stop);
            flows += 1;
            if go_on {
                // It was encoded here, so it decodes.
                let _ = recording.push(Bytes::copy_from_slice(message));
            }
        });
        if !go_on {
            break;
        }
        traffic.recycle(batch);
    }
    traffic
}

/// Every response of a batch, in order, with its time.
fn each(batch: &FlowBatch, mut take: impl FnMut(&[u8], Option<i64>)) {
    let mut wire = Vec::new();
    let mut notices = batch.notices().iter().peekable();
    for at in 0..=batch.len() {
        while let Some(notice) = notices.next_if(|notice| notice.before_row <= at) {
            wire.clear();
            if notice_to_wire(notice, &mut wire) {
                take(&wire, Some(notice.time));
            }
        }
        if at < batch.len() {
            wire.clear();
            let row = batch.row(at);
            row_to_wire(row, &mut wire);
            take(&wire, row.time());
        }
    }
}

/// Writes all flows as JSON lines. A reader that closes the pipe has seen enough.
fn write_lines(mut traffic: Traffic, out: &mut dyn Write) -> Result<Traffic, CommandError> {
    let mut made = Made::default();
    while let Some(batch) = traffic.next_batch() {
        each(&batch, |message, _| {
            made.wire.clear();
            made.wire.extend_from_slice(message);
            // Everything in it was made here: it has a text form.
            if wire_to_json(shape::get_flows_response(), &made.wire, &mut made.lines).is_ok() {
                made.lines.push(b'\n');
            }
        });
        traffic.recycle(batch);
        if made.lines.len() >= CHUNK {
            match sink::write(out, &made.lines) {
                Ok(()) => made.lines.clear(),
                Err(SinkError::Closed) => return Ok(traffic),
                Err(error) => return Err(CommandError::failed(error)),
            }
        }
    }
    sink::all(out, &made.lines)?;
    Ok(traffic)
}

fn without_lines(mut traffic: Traffic) -> Traffic {
    while let Some(batch) = traffic.next_batch() {
        traffic.recycle(batch);
    }
    traffic
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

    #[test]
    fn the_pace_is_the_rate_or_that_of_the_flows() {
        let second = 1_000_000_000;
        assert_eq!(
            Pace::new(Some(200.0)).due(100, 9 * second, 0),
            Duration::from_millis(500)
        );
        assert_eq!(
            Pace::new(None).due(100, 9 * second, 2 * second),
            Duration::from_secs(7)
        );
    }
}
