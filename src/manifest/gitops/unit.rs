//! One kustomization, Flux `Kustomization` or Argo CD `Application`.
//!
//! Owns which of their fields include, name a namespace or change a policy. How they hang
//! together is `graph`'s.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::document::Document;
use super::super::kinds::{is_name, is_policy_kind};
use super::super::read::read;
use super::super::tree::plain_path;
use super::super::value::{Map, Node, Place, Value};

/// Something that deploys files.
#[derive(Clone, Debug)]
pub(in super::super) struct Unit {
    pub tool: Tool,
    pub file: Arc<str>,
    /// Files and folders it deploys, plain.
    pub includes: Vec<PathBuf>,
    /// Folders of components: included, and what they do is done to all it includes.
    pub components: Vec<PathBuf>,
    /// Files that look like objects and are patches.
    pub patch_files: Vec<PathBuf>,
    pub naming: Naming,
    /// What it does that may change a policy.
    pub changes: Vec<Change>,
    /// The command whose output is to be given instead.
    pub build: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Tool {
    Kustomize,
    Flux,
    /// `true` if it looks into folders below its own.
    Argo(bool),
}

/// What a unit does to namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Naming {
    Nothing,
    /// On every object, whatever it says.
    Sets(Box<str>),
    /// On those that say none.
    Fills(Box<str>),
    /// Something, and a variable in the place of its name.
    Unclear,
}

/// A field that may change what is included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Change {
    pub at: Place,
    pub what: String,
}

/// Bytes of a patch that is looked into for its kind.
const PATCH_BYTES: u64 = 1 << 20;

/// Fields of a kustomization, its own or Flux's, that change names, labels of selectors or
/// anything at all. What generates ConfigMaps and Secrets, or sets images and replicas,
/// changes no policy.
const CHANGING: [&str; 8] = [
    "namePrefix",
    "nameSuffix",
    "commonLabels",
    "replacements",
    "vars",
    "transformers",
    "generators",
    "patchesJson6902",
];

/// The kustomization that a file holds; `path` is its plain path.
pub(in super::super) fn kustomization(root: &Node, file: &Arc<str>, path: &Path) -> Option<Unit> {
    let map = root.as_map()?;
    let folder = path.parent()?;
    let shown = Path::new(&**file)
        .parent()
        .filter(|parent| *parent != Path::new(""));
    let shown = shown.unwrap_or(Path::new("."));
    let mut unit = Unit {
        tool: Tool::Kustomize,
        file: Arc::clone(file),
        includes: paths(map, "resources", folder),
        components: paths(map, "components", folder),
        patch_files: Vec::new(),
        naming: naming(map.get("namespace"), Naming::Sets),
        changes: Vec::new(),
        build: format!("kustomize build {}", shown.display()),
    };
    unit.includes.extend(paths(map, "bases", folder));
    unit.patches(map, Some(folder));
    Some(unit)
}

/// What an object deploys: one unit for a Flux `Kustomization`, one a source for an Argo CD
/// `Application`; none for any other.
pub(in super::super) fn deployments(
    document: &Document,
    path: &Path,
    is_loaded: &dyn Fn(&Path) -> bool,
) -> Vec<Unit> {
    let version = document.api_version().unwrap_or_default();
    let spec = document.root.get("spec");
    match (version.split('/').next(), document.kind()) {
        (Some("kustomize.toolkit.fluxcd.io"), Some("Kustomization")) => spec
            .and_then(Node::as_map)
            .and_then(|spec| flux(document, spec, path, is_loaded))
            .into_iter()
            .collect(),
        (Some("argoproj.io"), Some("Application")) => {
            spec.map_or_else(Vec::new, |spec| argo(document, spec, path, is_loaded))
        }
        (Some("argoproj.io"), Some("ApplicationSet")) => spec
            .and_then(|spec| spec.get("template")?.get("spec"))
            .map_or_else(Vec::new, |spec| argo(document, spec, path, is_loaded)),
        _ => Vec::new(),
    }
}

fn flux(
    document: &Document,
    spec: &Map,
    path: &Path,
    is_loaded: &dyn Fn(&Path) -> bool,
) -> Option<Unit> {
    let written = spec.get("path").and_then(Node::as_str).unwrap_or("./");
    let folder = in_repository(written, path, is_loaded)?;
    let mut unit = Unit {
        tool: Tool::Flux,
        file: Arc::clone(&document.file),
        components: paths(spec, "components", &folder),
        includes: vec![folder],
        patch_files: Vec::new(),
        naming: naming(spec.get("targetNamespace"), Naming::Sets),
        changes: Vec::new(),
        build: format!(
            "flux build kustomization {} --path {written} --kustomization-file {} --dry-run",
            document.name().unwrap_or("NAME"),
            document.file
        ),
    };
    unit.patches(spec, None);
    Some(unit)
}

fn argo(
    document: &Document,
    spec: &Node,
    path: &Path,
    is_loaded: &dyn Fn(&Path) -> bool,
) -> Vec<Unit> {
    let many = spec.get("sources").and_then(Node::as_list);
    let one = spec.get("source");
    let sources = many.unwrap_or_default().iter().chain(one);
    let destination = spec.get("destination");
    let namespace = destination.and_then(|destination| destination.get("namespace"));
    let units = sources.filter_map(|source| {
        let written = source.get("path")?.as_str()?;
        let folder = in_repository(written, path, is_loaded)?;
        let recurses = source
            .get("directory")
            .and_then(|directory| directory.get("recurse"))
            .is_some_and(|recurse| recurse.value == Value::Bool(true));
        let mut unit = Unit {
            tool: Tool::Argo(recurses),
            file: Arc::clone(&document.file),
            includes: vec![folder],
            components: Vec::new(),
            patch_files: Vec::new(),
            naming: naming(namespace, Naming::Fills),
            changes: Vec::new(),
            build: format!("argocd app manifests {}", document.name().unwrap_or("NAME")),
        };
        if let Some(options) = source.get("kustomize").and_then(Node::as_map) {
            unit.patches(options, None);
            if options.get("namespace").is_some() {
                unit.naming = naming(options.get("namespace"), Naming::Sets);
            }
            unit.change(options, "components");
        }
        if let Some(map) = source.as_map() {
            unit.change(map, "plugin");
        }
        Some(unit)
    });
    units.collect()
}

impl Unit {
    /// Notes the fields that change what is included.
    fn patches(&mut self, map: &Map, folder: Option<&Path>) {
        for field in CHANGING {
            self.change(map, field);
        }
        if let Some((at, list)) = field(map, "labels")
            && list.iter().any(|entry| {
                entry
                    .get("includeSelectors")
                    .is_some_and(|on| on.value == Value::Bool(true))
                    || entry.get("fields").is_some()
            })
        {
            self.changes.push(Change {
                at,
                what: "labels with includeSelectors".to_owned(),
            });
        }
        for name in ["patches", "patchesStrategicMerge"] {
            let Some((at, list)) = field(map, name) else {
                continue;
            };
            let files = list.iter().filter_map(|patch| patch_file(patch, folder));
            self.patch_files.extend(files);
            if list.iter().any(|patch| touches_policies(patch, folder)) {
                self.changes.push(Change {
                    at,
                    what: name.to_owned(),
                });
            }
        }
        if let Some((_, list)) = field(map, "patchesJson6902") {
            let files = list.iter().filter_map(|patch| patch_file(patch, folder));
            self.patch_files.extend(files);
        }
    }

    fn change(&mut self, map: &Map, name: &str) {
        let entry = map.entries.iter().find(|(key, _)| &*key.name == name);
        if let Some((key, value)) = entry
            && !is_empty(value)
        {
            self.changes.push(Change {
                at: key.at,
                what: name.to_owned(),
            });
        }
    }
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.entries.is_empty(),
        _ => false,
    }
}

/// A list below a key, with the key's place.
fn field<'a>(map: &'a Map, name: &str) -> Option<(Place, &'a [Node])> {
    let (key, value) = map.entries.iter().find(|(key, _)| &*key.name == name)?;
    Some((key.at, value.as_list()?))
}

fn naming(namespace: Option<&Node>, known: fn(Box<str>) -> Naming) -> Naming {
    match namespace.and_then(Node::as_str) {
        None | Some("") => Naming::Nothing,
        Some(name) if is_name(name) => known(name.into()),
        Some(_) => Naming::Unclear,
    }
}

fn paths(map: &Map, name: &str, folder: &Path) -> Vec<PathBuf> {
    let entries = map.get(name).and_then(Node::as_list).unwrap_or_default();
    let texts = entries.iter().filter_map(Node::as_str);
    // What is fetched from elsewhere is not here to be read.
    let local = texts.filter(|text| !text.contains("://") && !text.starts_with("git@"));
    local.map(|text| plain_path(&folder.join(text))).collect()
}

fn patch_file(patch: &Node, folder: Option<&Path>) -> Option<PathBuf> {
    let path = match patch.as_str() {
        Some(text) => (!text.contains('\n')).then_some(text)?,
        None => patch.get("path")?.as_str()?,
    };
    Some(plain_path(&folder?.join(path)))
}

/// Whether a patch may change a policy: it says so, or does not say what it changes.
fn touches_policies(patch: &Node, folder: Option<&Path>) -> bool {
    let text = match (patch.as_str(), patch.get("patch").and_then(Node::as_str)) {
        (Some(text), _) if text.contains('\n') => Some(text.to_owned()),
        (_, Some(text)) => Some(text.to_owned()),
        _ => patch_file(patch, folder).and_then(|path| small_file(&path)),
    };
    if let Some(target) = patch.get("target") {
        return match target.get("kind").and_then(Node::as_str) {
            Some(kind) => touches_kind(kind, text.as_deref()),
            None => true,
        };
    }
    let Some(text) = text else { return true };
    let outcome = read(&text, Arc::from("patch"));
    let kinds = outcome.documents.iter().map(Document::kind);
    let touches = |kind: Option<&str>| kind.is_none_or(|kind| touches_kind(kind, Some(&text)));
    !outcome.errors.is_empty() || outcome.documents.is_empty() || kinds.into_iter().any(touches)
}

/// Whether a patch to a kind matters: a policy, an expression instead of a name, or what
/// deploys policies and is told another namespace, path or patch.
fn touches_kind(kind: &str, patch: Option<&str>) -> bool {
    if !kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) || is_policy_kind(kind) {
        return true;
    }
    let deploys = matches!(kind, "Kustomization" | "Application" | "ApplicationSet");
    let telling = [
        "amespace",
        "path:",
        "/path",
        "patches",
        "components",
        "name",
    ];
    deploys && patch.is_none_or(|patch| telling.iter().any(|word| patch.contains(word)))
}

fn small_file(path: &Path) -> Option<String> {
    let file = std::fs::File::open(path).ok()?;
    let mut text = String::new();
    file.take(PATCH_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The folder that a path from the root of a repository means: below the folder with
/// `.git`, where there is such a folder (a repository may be kept inside another), else
/// below the outermost one above the file where something was read.
fn in_repository(written: &str, file: &Path, is_loaded: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let relative = written.trim_start_matches("./").trim_start_matches('/');
    let relative = if relative == "." { "" } else { relative };
    if relative.contains("{{") || relative.contains("${") {
        return None;
    }
    let folders: Vec<&Path> = file.ancestors().skip(1).collect();
    let repository = folders.iter().find(|folder| folder.join(".git").exists());
    if let Some(repository) = repository {
        let folder = plain_path(&repository.join(relative));
        if folder.exists() {
            return Some(folder);
        }
    }
    if relative.is_empty() {
        return None;
    }
    let candidates = folders.iter().rev();
    let mut candidates = candidates.map(|folder| plain_path(&folder.join(relative)));
    candidates.find(|folder| is_loaded(folder))
}
