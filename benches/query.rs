//! What does a question to an archive cost, beside DuckDB on the same files?
//!
//! Asks five questions of every row: flows by verdict, the pairs of workloads with the most
//! drops, a workload by the hour, DNS names by client, HTTP errors by path. The archive is
//! the folder `FLOWWATCH_BENCH_ARCHIVE`, or one that is made of a synthetic cluster. DuckDB
//! is the Python package of `FLOWWATCH_BENCH_PYTHON` (`python3` if not set), with as many
//! threads. The two take turns on files that are in memory; their answers have to be
//! equal. Prints medians and ratios (target: none above 2). Says so where there is no
//! DuckDB.
//!
//! Then: what does it spare to have connections summed up? Edges from rollups beside edges
//! from rows, whose answers have to be equal too (target: at least 10 times faster).
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

#[cfg(feature = "polars")]
mod beside {
    use std::io::{BufRead, BufReader, Write};
    use std::ops::ControlFlow;
    use std::path::{Path, PathBuf};
    use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
    use std::time::{Duration, Instant};

    use flowwatch::flow::Verdict;
    use flowwatch::query::{Grouping, Selection, Session};
    use flowwatch::render::{RowFormat, RowWriter};
    use serde_json::Value;

    const ROUNDS: usize = 7;
    /// Flows of the synthetic archive.
    const FLOWS: &str = "2000000";
    /// Answers one question a line: the seconds and the rows, as JSON.
    const SERVER: &str = "
import duckdb, json, sys, time
connection = duckdb.connect()
connection.execute('SET threads = ' + sys.argv[1])
connection.execute('SET TimeZone = \\'UTC\\'')
for line in sys.stdin:
    began = time.perf_counter()
    rows = connection.execute(json.loads(line)).fetchall()
    took = time.perf_counter() - began
    print(json.dumps([took, rows], default=str), flush=True)
";

    /// How we are asked.
    enum Ours {
        Sql(String),
        /// `--by --per 1h` of the flows that a condition holds for.
        Hourly(String),
    }

    /// A question in the words of both, and its name.
    struct Question {
        name: &'static str,
        ours: Ours,
        theirs: String,
    }

    /// `files` is what DuckDB reads, `workload` one that the archive has.
    fn questions(files: &str, workload: &str) -> [Question; 5] {
        let dropped = Verdict::DROPPED.0;
        let names = (0..16).filter_map(|number| Some((number, Verdict(number).name()?)));
        let names: Vec<String> = names
            .map(|(number, name)| format!(" WHEN {number} THEN '{name}'"))
            .collect();
        let names = names.concat();
        let pairs = "source_namespace, source_workload, destination_namespace, \
                     destination_workload";
        [
            Question {
                name: "flows by verdict",
                ours: Ours::Sql(
                    "SELECT verdict, COUNT(*) AS n FROM flows GROUP BY verdict".to_owned(),
                ),
                theirs: format!(
                    "SELECT CASE verdict{names} END, n FROM \
                     (SELECT verdict, count(*) AS n FROM {files} GROUP BY verdict)"
                ),
            },
            Question {
                name: "20 pairs dropped most",
                ours: Ours::Sql(format!(
                    "SELECT {pairs}, COUNT(*) AS n FROM drops GROUP BY {pairs} \
                     ORDER BY n DESC, {pairs} LIMIT 20"
                )),
                theirs: format!(
                    "SELECT {pairs}, count(*) AS n FROM {files} WHERE verdict = {dropped} \
                     GROUP BY {pairs} ORDER BY n DESC, {} LIMIT 20",
                    pairs
                        .split(", ")
                        .map(|column| format!("{column} NULLS LAST"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            },
            Question {
                name: "a workload by the hour",
                ours: Ours::Hourly(format!("src.workload == '{workload}'")),
                theirs: format!(
                    "SELECT strftime(date_trunc('hour', time::TIMESTAMP), \
                     '%Y-%m-%dT%H:%M:%SZ'), count(*), sum(weight)::BIGINT FROM {files} \
                     WHERE source_workload = '{workload}' GROUP BY 1"
                ),
            },
            Question {
                name: "outer DNS names by client",
                ours: Ours::Sql(
                    "SELECT DISTINCT source_namespace, source_workload, dns_query FROM flows \
                     WHERE dns_query IS NOT NULL AND dns_query NOT LIKE '%.cluster.local.'"
                        .to_owned(),
                ),
                theirs: format!(
                    "SELECT DISTINCT source_namespace, source_workload, dns_query FROM {files} \
                     WHERE dns_query IS NOT NULL AND dns_query NOT LIKE '%.cluster.local.'"
                ),
            },
            Question {
                name: "HTTP errors by path",
                ours: Ours::Sql(
                    "SELECT http_url, http_code, COUNT(*) AS n FROM flows \
                     WHERE http_code >= 400 GROUP BY http_url, http_code"
                        .to_owned(),
                ),
                theirs: format!(
                    "SELECT http_url, http_code, count(*) FROM {files} \
                     WHERE http_code >= 400 GROUP BY 1, 2"
                ),
            },
        ]
    }

    /// DuckDB in a process of its own, so that its start is not counted.
    struct Duck {
        child: Child,
        asks: ChildStdin,
        answers: BufReader<ChildStdout>,
    }

    impl Duck {
        fn start(threads: usize) -> Option<Self> {
            let python = std::env::var("FLOWWATCH_BENCH_PYTHON").unwrap_or("python3".to_owned());
            let there = Command::new(&python)
                .args(["-c", "import duckdb"])
                .stderr(Stdio::null())
                .status();
            if !there.is_ok_and(|status| status.success()) {
                return None;
            }
            let mut child = Command::new(python)
                .args(["-c", SERVER, &threads.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            Some(Self {
                asks: child.stdin.take().unwrap(),
                answers: BufReader::new(child.stdout.take().unwrap()),
                child,
            })
        }

        fn ask(&mut self, sql: &str) -> (Duration, Vec<String>) {
            writeln!(self.asks, "{}", Value::from(sql)).unwrap();
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            let answer: Value = serde_json::from_str(&line).unwrap();
            let took = Duration::from_secs_f64(answer[0].as_f64().unwrap());
            let rows = answer[1].as_array().unwrap();
            (took, sorted(rows.iter().map(Value::to_string)))
        }
    }

    impl Drop for Duck {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn sorted(rows: impl Iterator<Item = String>) -> Vec<String> {
        let mut rows: Vec<String> = rows.collect();
        rows.sort_unstable();
        rows
    }

    /// Asks from the beginning: opening the archive is part of a question.
    fn ask(folder: &Path, question: &Ours) -> (Duration, Vec<String>) {
        let began = Instant::now();
        let mut selection = Selection::default();
        if let Ours::Hourly(condition) = question {
            selection.condition = Some(condition.clone());
        }
        let session = Session::open(folder, selection).unwrap();
        let hourly = Grouping {
            per: Some(Duration::from_hours(1)),
            ..Grouping::default()
        };
        let answer = match question {
            Ours::Sql(sql) => session.sql(sql),
            Ours::Hourly(_) => session.group(&hourly),
        };
        let answer = answer.unwrap();
        let schema = answer.schema();
        let fields = schema.fields().iter();
        let names: Vec<String> = fields.map(|field| field.name().clone()).collect();
        let mut batches = Vec::new();
        let ran = answer.run(|batch| {
            batches.push(batch.clone());
            ControlFlow::Continue(())
        });
        let took = began.elapsed();
        ran.unwrap();
        let mut bytes = Vec::new();
        let mut writer = RowWriter::new(RowFormat::Json, schema, &mut bytes).unwrap();
        for batch in &batches {
            writer.batch(batch).unwrap();
        }
        writer.finish().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let rows = text.lines().map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let values = names.iter().map(|name| row[name.as_str()].clone());
            Value::Array(values.collect()).to_string()
        });
        (took, sorted(rows))
    }

    pub(super) fn run() {
        let (folder, _kept) = archive();
        let session = Session::open(&folder, Selection::default()).unwrap();
        let manifest = session.archive().manifest();
        println!(
            "{} flows in {} files",
            manifest.rows(),
            manifest.files.len()
        );
        let paths = manifest.files.iter().map(|file| folder.join(&file.path));
        let paths: Vec<String> = paths
            .map(|path| format!("'{}'", path.display().to_string().replace('\'', "''")))
            .collect();
        let files = format!("read_parquet([{}], union_by_name = true)", paths.join(", "));
        let workloads = session.workloads().unwrap();
        let busy = workloads
            .get(workloads.len() / 2)
            .expect("it names a workload");
        let workload = busy.rsplit('/').next().unwrap();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut duck = Duck::start(threads);
        if duck.is_none() {
            println!("not compared: no Python with DuckDB (FLOWWATCH_BENCH_PYTHON)");
        }
        for Question { name, ours, theirs } in questions(&files, workload) {
            // The first of each warms the files.
            let (_, rows) = ask(&folder, &ours);
            let (mut mine, mut others) = (Vec::new(), Vec::new());
            if let Some(duck) = &mut duck {
                let (_, expected) = duck.ask(&theirs);
                assert_eq!(rows, expected, "{name}");
            }
            for _ in 0..ROUNDS {
                mine.push(ask(&folder, &ours).0);
                if let Some(duck) = &mut duck {
                    others.push(duck.ask(&theirs).0);
                }
            }
            let mine = median(&mut mine);
            let rows = rows.len();
            if others.is_empty() {
                println!("{name}: {:.1} ms, {rows} rows", mine * 1e3);
            } else {
                let others = median(&mut others);
                println!(
                    "{name}: {:.1} ms, DuckDB {:.1} ms, ratio {:.2} (target at most 2), {rows} rows",
                    mine * 1e3,
                    others * 1e3,
                    mine / others
                );
            }
        }
        edges(&folder);
    }

    /// The same question about connections, by hours that are summed up and by rows.
    fn edges(folder: &Path) {
        let keys = "source, destination, port, protocol, source_kind, destination_kind";
        let from_rollups = format!("SELECT {keys}, connections, ongoing FROM edges");
        let from_rows = format!(
            "SELECT {keys}, SUM(CASE WHEN ongoing THEN 0 ELSE connections END), \
             SUM(CASE WHEN ongoing THEN connections ELSE 0 END) FROM connections GROUP BY {keys}"
        );
        let session = Session::open(folder, Selection::default()).unwrap();
        if let Some(note) = session.sql(&from_rollups).unwrap().notes.first() {
            println!("edges from rollups: not compared: {note}");
            return;
        }
        let (rollups, rows) = (Ours::Sql(from_rollups), Ours::Sql(from_rows));
        let (_, expected) = ask(folder, &rows);
        assert_eq!(ask(folder, &rollups).1, expected);
        let (mut by_rollups, mut by_rows) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            by_rollups.push(ask(folder, &rollups).0);
            by_rows.push(ask(folder, &rows).0);
        }
        let (by_rollups, by_rows) = (median(&mut by_rollups), median(&mut by_rows));
        println!(
            "edges from rollups: {:.1} ms, from rows {:.1} ms, {:.1} times faster (target at \
             least 10), {} edges",
            by_rollups * 1e3,
            by_rows * 1e3,
            by_rows / by_rollups,
            expected.len()
        );
    }

    fn median(times: &mut [Duration]) -> f64 {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    }

    /// The archive to ask, and what keeps it there.
    fn archive() -> (PathBuf, Option<tempfile::TempDir>) {
        if let Some(folder) = std::env::var_os("FLOWWATCH_BENCH_ARCHIVE") {
            return (PathBuf::from(folder).canonicalize().unwrap(), None);
        }
        let folder = tempfile::tempdir().unwrap();
        let recorded = folder.path().join("archive");
        let program = || Command::new(env!("CARGO_BIN_EXE_flowwatch"));
        let mut synth = program()
            .args(["synth", "--preset", "s", "--flows", FLOWS])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut record = program();
        record
            .args(["record", "-q", "-"])
            .arg("--archive")
            .arg(&recorded);
        record.stdin(synth.stdout.take().unwrap());
        assert!(record.status().unwrap().success());
        assert!(synth.wait().unwrap().success());
        let mut rollup = program();
        rollup.args(["archive", "rollup"]).arg(&recorded);
        rollup.stdout(Stdio::null());
        assert!(rollup.status().unwrap().success());
        assert!(Path::new(&recorded).is_dir());
        (recorded, Some(folder))
    }
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    #[cfg(feature = "polars")]
    beside::run();
    #[cfg(not(feature = "polars"))]
    println!("skipped: built without the feature `polars`");
}
