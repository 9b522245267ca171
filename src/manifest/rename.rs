//! Names of files as a person knows them, where they were read from a copy.
//!
//! Owns going over everything that carries the name of a file.

use std::collections::HashMap;
use std::sync::Arc;

use super::load::{LoadError, Loaded};

impl Loaded {
    /// Gives files other names: `rename` says the name of each, once.
    pub fn rename(&mut self, rename: &mut dyn FnMut(&str) -> String) {
        let mut known: HashMap<Arc<str>, Arc<str>> = HashMap::new();
        let mut one = |file: &mut Arc<str>| {
            let name = known
                .entry(Arc::clone(file))
                .or_insert_with(|| rename(file).into());
            *file = Arc::clone(name);
        };
        for document in &mut self.documents {
            one(&mut document.file);
        }
        for taint in &mut self.taints {
            one(&mut taint.file);
        }
        for repeated in &mut self.repeated {
            one(&mut repeated.kept.0);
            one(&mut repeated.ignored.0);
        }
        for error in &mut self.errors {
            match error {
                LoadError::Read(error) => one(&mut error.file),
                LoadError::Io { file, .. }
                | LoadError::TooLarge { file, .. }
                | LoadError::NotUtf8 { file, .. } => one(file),
                LoadError::Conflict { first, second, .. } => {
                    one(&mut first.0);
                    one(&mut second.0);
                }
            }
        }
        for taint in &mut self.taints {
            // What could not be read is told with the name that was read.
            for (before, after) in &known {
                if taint.reason.contains(&**before) {
                    taint.reason = taint.reason.replace(&**before, after);
                }
            }
        }
    }
}
