//! Files and trees to the objects in them.
//!
//! Owns which documents count, which are skipped and why, and what the tree leaves in
//! doubt. How a text is read is `read`'s, which files there are is `tree`'s.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{Document, Scope};
use super::error::ReadError;
use super::gitops::{Graph, TreeFile, Unit, deployments, kustomization};
use super::kinds::is_unique;
use super::read::{glimpse, read};
use super::split::parts;
use super::taint::{self, Taint};
use super::tree::{Found, KUSTOMIZATIONS, files, plain_path};
use super::value::Place;

/// Bytes of one file or of standard input. What a large cluster holds fits.
pub const FILE_BYTES: u64 = 64 << 20;

/// The name of standard input as a file.
pub const STDIN: &str = "<stdin>";

/// What a caller knows that the files do not say.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The namespace of objects that name none, where no kustomization, Flux or Argo CD
    /// object of the tree gives them one.
    pub namespace: Option<Box<str>>,
}

/// What a set of files and trees holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The objects, in order of files; [`Document::scope`] is settled.
    pub documents: Vec<Document>,
    /// What could not be read, or contradicts itself.
    pub errors: Vec<LoadError>,
    /// What was not read, or not literally, and may hide a rule. Every policy whose
    /// namespace stays unknown is among them.
    pub taints: Vec<Taint>,
    /// Objects that are there twice with one content; the first is kept.
    pub repeated: Vec<Repeated>,
    /// Files that were opened.
    pub files_read: usize,
    /// What was passed over.
    pub skipped: Skipped,
}

/// Counts of what was passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Documents without `apiVersion` and `kind`, such as the values of a chart.
    pub not_objects: usize,
    /// Files of charts that are templates.
    pub templates: usize,
    /// Kustomizations, read for what they include.
    pub kustomizations: usize,
    /// Objects in files that a kustomization uses as patches.
    pub patches: usize,
}

/// An object that is there twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// `Kind/namespace/name`.
    pub object: String,
    /// File and place of the one that is kept.
    pub kept: (Arc<str>, Place),
    /// File and place of the one that is not.
    pub ignored: (Arc<str>, Place),
}

/// What is wrong with a file or with two objects.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A document is not readable.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file or folder cannot be opened or read.
    #[error("{file}: {source}")]
    Io {
        /// As given.
        file: Arc<str>,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than we read.
    #[error("{file}: larger than {limit} bytes")]
    TooLarge {
        /// As given.
        file: Arc<str>,
        /// Our bound.
        limit: u64,
    },
    /// A file is no text.
    #[error("{file}:{at}: not UTF-8")]
    NotUtf8 {
        /// As given.
        file: Arc<str>,
        /// The first byte that is none.
        at: Place,
    },
    /// Two objects of one kind, namespace and name differ.
    #[error("{object} is defined differently at {}:{} and {}:{}", .first.0, .first.1, .second.0, .second.1)]
    Conflict {
        /// `Kind/namespace/name`.
        object: String,
        /// File and place of the one that is kept.
        first: (Arc<str>, Place),
        /// File and place of the other.
        second: (Arc<str>, Place),
    },
}

/// Reads files and trees of manifests; `-` is standard input.
///
/// Nothing stops at an error: what can be read is, and the rest is in
/// [`Loaded::errors`] and, as far as it may hide a rule, in [`Loaded::taints`].
#[must_use]
pub fn load(paths: &[PathBuf], options: &LoadOptions) -> Loaded {
    load_with(paths, options, &mut io::stdin())
}

/// As [`load`], with `stdin` in place of standard input.
pub fn load_with(paths: &[PathBuf], options: &LoadOptions, stdin: &mut dyn Read) -> Loaded {
    let mut loader = Loader::default();
    for path in paths {
        if path.as_os_str() == "-" {
            loader.text(STDIN.into(), PathBuf::new(), &mut *stdin);
            continue;
        }
        let mut failed = Vec::new();
        let found = files(path, &mut |path, source| {
            failed.push((path.to_owned(), source));
        });
        for found in found {
            loader.file(&found);
        }
        for (path, source) in failed {
            let file: Arc<str> = path.display().to_string().into();
            loader.lost(
                &file,
                LoadError::Io {
                    file: Arc::clone(&file),
                    source,
                },
            );
        }
    }
    loader.finish(options)
}

#[derive(Default)]
struct Loader {
    loaded: Loaded,
    files: Vec<TreeFile>,
    kustomizations: Vec<Unit>,
    opened: HashSet<PathBuf>,
}

impl Loader {
    fn file(&mut self, found: &Found) {
        let plain = plain_path(&found.path);
        if !self.opened.insert(plain.clone()) {
            return;
        }
        let name: Arc<str> = found.path.display().to_string().into();
        match (File::open(&found.path), &found.template_of) {
            (Ok(mut file), None) => self.text(name, plain, &mut file),
            (Ok(mut file), Some(chart)) => self.template(&name, chart, &mut file),
            (Err(source), _) => {
                let file = Arc::clone(&name);
                self.lost(&name, LoadError::Io { file, source });
            }
        }
    }

    /// Notes a file of which nothing is known: it may hold any rule.
    fn lost(&mut self, file: &Arc<str>, error: LoadError) {
        self.loaded
            .taints
            .push(taint::of_file(file, error.to_string()));
        self.loaded.errors.push(error);
    }

    /// Reads the documents of a file; an empty path is that of no file.
    fn text(&mut self, name: Arc<str>, path: PathBuf, from: &mut dyn Read) {
        let Some(text) = self.contents(&name, from) else {
            return;
        };
        let is_kustomization = path
            .file_name()
            .is_some_and(|file| KUSTOMIZATIONS.iter().any(|known| file == *known));
        let outcome = read(&text, Arc::clone(&name));
        for error in outcome.errors {
            self.loaded.taints.extend(taint::of_error(&error));
            self.loaded.errors.push(error.into());
        }
        for document in outcome.documents {
            if is_kustomization {
                self.loaded.skipped.kustomizations += 1;
                let unit = kustomization(&document.root, &name, &path);
                self.kustomizations.extend(unit);
            } else if document.is_object() {
                self.loaded.documents.push(document);
            } else {
                self.loaded.skipped.not_objects += 1;
            }
        }
        self.files.push(TreeFile { name, path });
    }

    /// Looks what a template seems to hold.
    fn template(&mut self, name: &Arc<str>, chart: &Path, from: &mut dyn Read) {
        let Some(text) = self.contents(name, from) else {
            return;
        };
        self.loaded.skipped.templates += 1;
        for part in parts(&text) {
            let (kinds, namespace) = glimpse(part.text);
            if taint::may_hold_policy(&kinds) {
                self.loaded.taints.push(Taint {
                    scope: taint::lost_scope(&kinds, namespace.as_deref()),
                    file: Arc::clone(name),
                    at: Place {
                        line: part.line,
                        column: 1,
                    },
                    reason: format!(
                        "the template of a chart seems to hold a {}; give its output instead: \
                         `helm template {} | flowwatch ... -`",
                        kinds.first().map_or("policy", |kind| kind),
                        chart.display()
                    ),
                });
            }
        }
    }

    fn contents(&mut self, name: &Arc<str>, from: &mut dyn Read) -> Option<String> {
        self.loaded.files_read += 1;
        let file = Arc::clone(name);
        let mut bytes = Vec::new();
        if let Err(source) = from.take(FILE_BYTES + 1).read_to_end(&mut bytes) {
            self.lost(name, LoadError::Io { file, source });
            return None;
        }
        if bytes.len() as u64 > FILE_BYTES {
            let limit = FILE_BYTES;
            self.lost(name, LoadError::TooLarge { file, limit });
            return None;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(error) => {
                let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let good = String::from_utf8_lossy(good);
                let line = good.rsplit('\n').next().unwrap_or_default();
                let at = Place {
                    line: good.matches('\n').count() as u32 + 1,
                    column: line.chars().count() as u32 + 1,
                };
                self.lost(name, LoadError::NotUtf8 { file, at });
                None
            }
        }
    }

    fn finish(self, options: &LoadOptions) -> Loaded {
        let Self {
            mut loaded,
            files,
            kustomizations: mut units,
            ..
        } = self;
        let paths: BTreeSet<&Path> = files.iter().map(|file| &*file.path).collect();
        let is_loaded = |folder: &Path| {
            let next = paths.range(folder..).next();
            next.is_some_and(|path| path.starts_with(folder))
        };
        let by_name: HashMap<&str, &Path> = files
            .iter()
            .map(|file| (&*file.name, &*file.path))
            .collect();
        for document in &loaded.documents {
            if let Some(path) = by_name.get(&*document.file) {
                units.extend(deployments(document, path, &is_loaded));
            }
        }
        let graph = Graph::new(units, &files);
        let patches: HashSet<&Path> = graph.patch_files().collect();
        let all = loaded.documents.len();
        loaded.documents.retain(|document| {
            let path = by_name.get(&*document.file);
            path.is_none_or(|path| !patches.contains(path))
        });
        loaded.skipped.patches = all - loaded.documents.len();
        let namespace = options.namespace.as_deref();
        for document in &mut loaded.documents {
            loaded.taints.extend(graph.settle(document, namespace));
            loaded.taints.extend(taint::of_document(document));
        }
        loaded.taints.extend(graph.changes(&loaded.documents));
        loaded.drop_repeated();
        loaded
    }
}

impl Loaded {
    /// Keeps one of several objects with one name. Where no namespace is known, two
    /// objects are not known to be one.
    fn drop_repeated(&mut self) {
        let mut first: HashMap<(String, String), usize> = HashMap::new();
        let mut kept: Vec<Document> = Vec::with_capacity(self.documents.len());
        for document in std::mem::take(&mut self.documents) {
            let known = document.scope != Scope::Unknown && document.name().is_some();
            if !known || !document.kind().is_some_and(is_unique) {
                kept.push(document);
                continue;
            }
            let version = document.api_version().unwrap_or_default();
            let group = version.rsplit_once('/').map_or("", |(group, _)| group);
            let object = document.title();
            match first.get(&(group.to_owned(), object.clone())) {
                None => {
                    first.insert((group.to_owned(), object), kept.len());
                    kept.push(document);
                }
                Some(index) => {
                    let other = &kept[*index];
                    let kept = (Arc::clone(&other.file), other.at());
                    let ignored = (Arc::clone(&document.file), document.at());
                    if other.root.says_the_same(&document.root) {
                        self.repeated.push(Repeated {
                            object,
                            kept,
                            ignored,
                        });
                    } else {
                        self.taints.push(Taint {
                            scope: (&document.scope).into(),
                            file: Arc::clone(&ignored.0),
                            at: ignored.1,
                            reason: format!(
                                "{object} is defined differently at {}:{}",
                                kept.0, kept.1
                            ),
                        });
                        self.errors.push(LoadError::Conflict {
                            object,
                            first: kept,
                            second: ignored,
                        });
                    }
                }
            }
        }
        self.documents = kept;
    }
}
