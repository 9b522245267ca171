//! What tests share: running the program, and finding data that is not checked in.

mod running;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

pub use running::Running;

/// A run of the program, built up and then checked.
pub struct Run {
    args: Vec<String>,
    stdin: Vec<u8>,
    env: Vec<(String, String)>,
}

/// What a run gave.
pub struct Ran {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error as text.
    pub stderr: String,
    /// Exit code, -1 for a signal.
    pub code: i32,
    line: String,
}

/// Starts a run of `flowwatch`.
pub fn flowwatch() -> Run {
    Run {
        args: Vec::new(),
        stdin: Vec::new(),
        env: Vec::new(),
    }
}

impl Run {
    /// Arguments, split at white space.
    pub fn args(mut self, args: &str) -> Self {
        self.args.extend(args.split_whitespace().map(str::to_owned));
        self
    }

    /// One argument as it is.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// A path as an argument.
    pub fn path(self, path: impl AsRef<std::path::Path>) -> Self {
        self.arg(path.as_ref().display().to_string())
    }

    /// Standard input.
    pub fn stdin(mut self, text: impl AsRef<[u8]>) -> Self {
        self.stdin = text.as_ref().to_vec();
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command, for tests that talk to it while it runs.
    pub fn command(&self) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("flowwatch"));
        command
            .args(&self.args)
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        for (name, _) in std::env::vars() {
            if name.starts_with("HUBBLE_")
                || (name.starts_with("FLOWWATCH_") && name != "FLOWWATCH_LOG")
            {
                command.env_remove(name);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs to the end.
    pub fn run(self) -> Ran {
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let text = self.stdin.clone();
        let writer = std::thread::spawn(move || {
            let _ = stdin.write_all(&text);
        });
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Ran {
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            code: status.code().unwrap_or(-1),
            line: self.args.join(" "),
        }
    }
}

impl Ran {
    /// Standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard output as lines.
    pub fn lines(&self) -> Vec<&str> {
        self.text().lines().collect()
    }

    /// Checks the exit code.
    #[track_caller]
    pub fn exit(self, code: i32) -> Self {
        assert_eq!(self.code, code, "flowwatch {}\n{}", self.line, self.stderr);
        self
    }

    /// Checks that standard output holds a text.
    #[track_caller]
    pub fn stdout_contains(self, text: &str) -> Self {
        assert!(
            self.text().contains(text),
            "flowwatch {}\n{}\n{}",
            self.line,
            self.text(),
            self.stderr
        );
        self
    }

    /// Checks that standard output is empty.
    #[track_caller]
    pub fn prints_nothing(self) -> Self {
        assert!(
            self.stdout.is_empty(),
            "flowwatch {}\n{}",
            self.line,
            self.text()
        );
        self
    }

    /// Checks that standard error holds a text.
    #[track_caller]
    pub fn stderr_contains(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "flowwatch {}\n{}",
            self.line,
            self.stderr
        );
        self
    }
}

/// A folder of shared data: `variable`, or `../shared/<name>` beside the project.
/// Says so and returns `None` where there is none.
pub fn shared(variable: &str, name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map_or_else(
        || {
            PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("../shared")
                .join(name)
        },
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "skipped: no {name} data ({variable} is not set, {} does not exist)",
        folder.display()
    );
    None
}
