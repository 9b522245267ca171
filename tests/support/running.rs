//! A run of the program that goes on while the test talks to it.
//!
//! Everything that waits has a limit, and a run that is dropped is ended.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Ran, Run};

/// How long anything is waited for on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, running.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    /// What was taken of standard output so far.
    taken: String,
    reading: Vec<JoinHandle<()>>,
    line: String,
}

impl Run {
    /// Starts, with pipes that the test holds.
    pub fn start(&self) -> Running {
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let reading_out = thread::spawn(move || {
            let mut line = String::new();
            while stdout.read_line(&mut line).is_ok_and(|length| length > 0) {
                if send.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let text = Arc::clone(&stderr);
        let mut pipe = child.stderr.take().unwrap();
        let reading_err = thread::spawn(move || {
            let mut block = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut block) {
                let more = String::from_utf8_lossy(&block[..length]);
                text.lock().unwrap().push_str(&more);
            }
        });
        Running {
            stdin: child.stdin.take(),
            child,
            lines,
            stderr,
            taken: String::new(),
            reading: vec![reading_out, reading_err],
            line: self.args.join(" "),
        }
    }
}

impl Running {
    /// Writes to its standard input, which stays open.
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// The next line of standard output, without its end.
    #[track_caller]
    pub fn next_line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.taken.push_str(&line);
                line.trim_end_matches('\n').to_owned()
            }
            Err(error) => panic!(
                "flowwatch {}: no line ({error})\n{}",
                self.line,
                self.said()
            ),
        }
    }

    /// Whether nothing comes on standard output for a moment.
    pub fn is_silent(&mut self) -> bool {
        match self.lines.recv_timeout(Duration::from_millis(300)) {
            Ok(line) => {
                self.taken.push_str(&line);
                false
            }
            Err(_) => true,
        }
    }

    /// Waits until standard error holds a text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.said().contains(text) {
            assert!(
                Instant::now() < until,
                "flowwatch {}: never said {text:?}\n{}",
                self.line,
                self.said()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Standard error so far.
    pub fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Closes standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end, with standard input as it is.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < until,
                "flowwatch {} does not end\n{}",
                self.line,
                self.said()
            );
            thread::sleep(Duration::from_millis(5));
        };
        for reading in std::mem::take(&mut self.reading) {
            reading.join().unwrap();
        }
        let rest: String = self.lines.try_iter().collect();
        self.taken.push_str(&rest);
        Ran {
            stdout: std::mem::take(&mut self.taken).into_bytes(),
            stderr: self.said(),
            code: status.code().unwrap_or(-1),
            line: self.line.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, or the test failed and there is nothing more to say.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
