//! Where the key of a redaction comes from.
//!
//! Owns reading and making key files. What is in one is never shown, in errors neither.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use rand::RngCore;

use crate::cli::error::{CommandError, UsageError};
use crate::redact::Key;

/// The variable that holds a key where no file is given.
pub(super) const VARIABLE: &str = "FLOWWATCH_REDACT_KEY";
/// Random bytes of a new key.
const NEW_BYTES: usize = 32;
/// Bytes of a key file.
const MOST_BYTES: u64 = 4096;

/// The key of a file, or else of the environment.
///
/// # Errors
/// [`CommandError`] without one, for a file that cannot be read, and for a key too short.
pub(super) fn key(file: Option<&Path>, made_new: bool) -> Result<Key, CommandError> {
    match file {
        Some(path) if made_new => create(path),
        Some(path) => read(path),
        None if made_new => Err(UsageError::new("--new-key needs --key-file").into()),
        None => {
            let text = std::env::var_os(VARIABLE).unwrap_or_default();
            if text.is_empty() {
                return Err(UsageError::new(format!(
                    "a key is needed: --key-file FILE (make one with --new-key), or {VARIABLE}"
                ))
                .into());
            }
            Key::new(text.as_encoded_bytes().trim_ascii())
                .map_err(|error| CommandError::failed(format!("{VARIABLE}: {error}")))
        }
    }
}

/// Whether others than the owner can read a file.
pub(super) fn is_open_to_others(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

fn read(path: &Path) -> Result<Key, CommandError> {
    let failed = |error: &dyn std::fmt::Display| {
        CommandError::failed(format!("{}: {error}", path.display()))
    };
    let mut secret = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut secret))
        .map_err(|error| failed(&error))?;
    if secret.len() as u64 > MOST_BYTES {
        return Err(failed(&"too large for a key"));
    }
    Key::new(secret.trim_ascii()).map_err(|error| failed(&error))
}

fn create(path: &Path) -> Result<Key, CommandError> {
    let mut random = [0; NEW_BYTES];
    rand::rng().fill_bytes(&mut random);
    let digits: Vec<String> = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = digits.concat();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        })
        .map_err(|error| CommandError::failed(format!("{}: {error}", path.display())))?;
    Key::new(text.as_bytes()).map_err(CommandError::failed)
}
