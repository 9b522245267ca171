//! Sums of the files of a bundle, as `sha256sum` writes them and checks them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use crate::cli::error::CommandError;
use crate::flow::hex;
use crate::respond::layout::Page;

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 16;

/// Writes the sums of every file below a folder but themselves.
///
/// # Errors
/// [`CommandError`] with the path that cannot be read or written.
pub(super) fn write(folder: &Path) -> Result<(), CommandError> {
    let mut files = Vec::new();
    collect(folder, folder, &mut files)?;
    files.sort();
    let mut text = String::new();
    for file in files {
        let sum = sum(&folder.join(&file)).map_err(|error| failed(&folder.join(&file), &error))?;
        let name = file.display().to_string().replace('\\', "/");
        let _ = writeln!(text, "{sum}  {name}");
    }
    let path = folder.join(Page::Sums.file());
    fs::write(&path, text).map_err(|error| failed(&path, &error))
}

/// Files whose sums are not what the bundle says, or that are gone; `None` where it says
/// nothing.
pub(in crate::cli) fn differing(folder: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(folder.join(Page::Sums.file())).ok()?;
    let differs = |line: &str| {
        let (wanted, name) = line.split_once("  ")?;
        let own = sum(&folder.join(name)).ok();
        (own.as_deref() != Some(wanted)).then(|| name.to_owned())
    };
    Some(text.lines().filter_map(differs).collect())
}

fn collect(root: &Path, folder: &Path, into: &mut Vec<PathBuf>) -> Result<(), CommandError> {
    for entry in fs::read_dir(folder).map_err(|error| failed(folder, &error))? {
        let path = entry.map_err(|error| failed(folder, &error))?.path();
        if path.is_dir() {
            collect(root, &path, into)?;
        } else if let Ok(name) = path.strip_prefix(root)
            && name != Path::new(Page::Sums.file())
        {
            into.push(name.to_owned());
        }
    }
    Ok(())
}

fn sum(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut block = vec![0; BLOCK];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            break;
        }
        context.update(&block[..read]);
    }
    Ok(hex(context.finish().as_ref()))
}

fn failed(path: &Path, error: &io::Error) -> CommandError {
    CommandError::failed(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_and_a_loss_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("a"), "abc").unwrap();
        fs::write(at("sub/b"), "b").unwrap();
        assert_eq!(differing(folder.path()), None);
        write(folder.path()).unwrap();
        let text = fs::read_to_string(at(Page::Sums.file())).unwrap();
        // The sum of "abc" is the example of FIPS 180-4.
        assert!(
            text.starts_with(
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n"
            )
        );
        assert!(text.lines().nth(1).unwrap().ends_with("  sub/b"));
        assert_eq!(differing(folder.path()), Some(Vec::new()));
        fs::write(at("a"), "abd").unwrap();
        fs::remove_file(at("sub/b")).unwrap();
        let differing = differing(folder.path()).unwrap();
        assert_eq!(differing, ["a", "sub/b"]);
    }
}
