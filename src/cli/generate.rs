//! What is generated from the arguments themselves: shell completions and man pages.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use super::error::CommandError;

/// Arguments of `completions`.
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// Shell to complete in
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// Directory to write the pages to; made where it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl CompletionsArgs {
    /// Writes the completions of `command`.
    ///
    /// # Errors
    /// [`CommandError`] where `out` cannot be written.
    pub(super) fn run(
        &self,
        mut command: Command,
        out: &mut dyn Write,
    ) -> Result<(), CommandError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "flowwatch", &mut script);
        super::sink::all(out, &script)
    }
}

impl ManArgs {
    /// Writes a page for every command.
    ///
    /// # Errors
    /// [`CommandError`], which names the path.
    pub(super) fn run(&self, command: Command) -> Result<(), CommandError> {
        let failed = |path: &Path, error: io::Error| {
            CommandError::failed(format!("write {}: {error}", path.display()))
        };
        fs::create_dir_all(&self.directory).map_err(|error| failed(&self.directory, error))?;
        let mut command = command.disable_help_subcommand(true);
        command.build();
        let mut pages = vec![("flowwatch".to_owned(), command)];
        while let Some((name, command)) = pages.pop() {
            for inner in command
                .get_subcommands()
                .filter(|inner| !inner.is_hide_set())
            {
                pages.push((format!("{name}-{}", inner.get_name()), inner.clone()));
            }
            let mut page = Vec::new();
            let path = self.directory.join(format!("{name}.1"));
            clap_mangen::Man::new(command.clone().name(name))
                .render(&mut page)
                .and_then(|()| fs::write(&path, page))
                .map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_gets_a_page() {
        let directory = tempfile::tempdir().unwrap();
        let args = ManArgs {
            directory: directory.path().join("man1"),
        };
        args.run(
            Command::new("flowwatch")
                .subcommand(Command::new("list").subcommand(Command::new("nodes"))),
        )
        .unwrap();
        for page in ["flowwatch.1", "flowwatch-list.1", "flowwatch-list-nodes.1"] {
            let text = fs::read_to_string(args.directory.join(page)).unwrap();
            assert!(text.contains(page.trim_end_matches(".1")), "{page}");
        }
    }
}
