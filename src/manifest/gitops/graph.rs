//! Who deploys what: the units of a tree, and the files and units each includes.
//!
//! Owns the walk up (which namespace an object ends in) and the walk down (which policies
//! a change reaches).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::document::{Document, Scope};
use super::super::kinds::is_policy_kind;
use super::super::taint::{Taint, TaintScope};
use super::unit::{Naming, Tool, Unit};

/// A file that was read.
#[derive(Clone, Debug)]
pub(in super::super) struct TreeFile {
    /// As given.
    pub name: Arc<str>,
    /// From the root of the file system.
    pub path: PathBuf,
}

/// Steps that a walk up may take over all ways; beyond it, nothing is unambiguous.
const STEPS: usize = 4096;

/// Units, files, and who includes whom.
pub(in super::super) struct Graph {
    units: Vec<Unit>,
    links: Vec<Links>,
    /// Units that include each file.
    of_file: Vec<Vec<usize>>,
    by_name: HashMap<Arc<str>, usize>,
}

#[derive(Default)]
struct Links {
    parents: Vec<usize>,
    children: Vec<usize>,
    components: Vec<usize>,
    files: Vec<usize>,
}

/// The namespace of an object on its way up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Not,
    As(Box<str>),
    Unclear,
}

impl Graph {
    pub(crate) fn new(units: Vec<Unit>, files: &[TreeFile]) -> Self {
        let by_path: BTreeMap<&Path, usize> = files
            .iter()
            .enumerate()
            .map(|(index, file)| (&*file.path, index))
            .collect();
        let mut graph = Self {
            links: units.iter().map(|_| Links::default()).collect(),
            of_file: vec![Vec::new(); files.len()],
            by_name: files
                .iter()
                .enumerate()
                .map(|(index, file)| (Arc::clone(&file.name), index))
                .collect(),
            units,
        };
        let folders: HashMap<PathBuf, usize> = graph
            .units
            .iter()
            .enumerate()
            .filter(|(_, unit)| unit.tool == Tool::Kustomize)
            .filter_map(|(index, unit)| {
                let file = files.get(*graph.by_name.get(&unit.file)?)?;
                Some((file.path.parent()?.to_owned(), index))
            })
            .collect();
        for unit in 0..graph.units.len() {
            for target in graph.units[unit].includes.clone() {
                graph.include(unit, &target, &by_path, &folders);
            }
            for target in graph.units[unit].components.clone() {
                match folders.get(&target) {
                    Some(component) => {
                        graph.adopt(unit, *component);
                        graph.links[unit].components.push(*component);
                    }
                    None => graph.units[unit].unread_component(&target),
                }
            }
        }
        graph
    }

    /// Files that units name as patches; what is in them is no object.
    pub(crate) fn patch_files(&self) -> impl Iterator<Item = &Path> {
        let files = self.units.iter().flat_map(|unit| &unit.patch_files);
        files.map(PathBuf::as_path)
    }

    fn include(
        &mut self,
        unit: usize,
        target: &Path,
        files: &BTreeMap<&Path, usize>,
        folders: &HashMap<PathBuf, usize>,
    ) {
        if let Some(file) = files.get(target) {
            self.deploy(unit, *file);
            return;
        }
        if let Some(child) = folders.get(target) {
            self.adopt(unit, *child);
            return;
        }
        let recurses = match self.units[unit].tool {
            Tool::Kustomize => return,
            Tool::Flux => true,
            Tool::Argo(recurses) => recurses,
        };
        let below = files.range(target..);
        for (path, file) in below.take_while(|(path, _)| path.starts_with(target)) {
            let Some(parent) = path.parent() else {
                continue;
            };
            if parent == target {
                self.deploy(unit, *file);
            } else if recurses {
                // A kustomization on the way takes the file in its own manner.
                let inner = parent.ancestors().take_while(|folder| *folder != target);
                match inner.filter_map(|folder| folders.get(folder)).last() {
                    Some(child) => self.adopt(unit, *child),
                    None => self.deploy(unit, *file),
                }
            }
        }
    }

    fn deploy(&mut self, unit: usize, file: usize) {
        if !self.of_file[file].contains(&unit) {
            self.of_file[file].push(unit);
            self.links[unit].files.push(file);
        }
    }

    fn adopt(&mut self, unit: usize, child: usize) {
        if unit != child && !self.links[child].parents.contains(&unit) {
            self.links[child].parents.push(unit);
            self.links[unit].children.push(child);
        }
    }

    /// Gives a document the namespace that what deploys it sets, else `fallback`; says
    /// where that leaves doubt about a policy.
    pub(crate) fn settle(&self, document: &mut Document, fallback: Option<&str>) -> Option<Taint> {
        if document.scope == Scope::Cluster {
            return None;
        }
        let written = match document.namespace() {
            None => Named::Not,
            Some(_) => match &document.scope {
                Scope::Namespace(name) => Named::As(name.clone()),
                _ => Named::Unclear,
            },
        };
        let ends = self.ends(&document.file, &written);
        let is_policy = document.kind().is_some_and(is_policy_kind);
        if let Named::As(name) = &written {
            let elsewhere = ends.iter().find(|end| **end != written);
            let other = is_policy.then_some(elsewhere).flatten()?;
            let other = match other {
                Named::As(other) => other,
                _ => "one that is not known",
            };
            let reason = format!(
                "{} says namespace {name} and is deployed to {other}; {}",
                document.title(),
                self.instead(&document.file)
            );
            return Some(taint(document, TaintScope::Everything, reason));
        }
        match (ends.len(), ends.first(), fallback) {
            (1, Some(Named::As(name)), _) => document.scope = Scope::Namespace(name.clone()),
            (_, _, Some(name)) => document.scope = Scope::Namespace(name.into()),
            _ if is_policy => {
                let names: Vec<&str> = ends
                    .iter()
                    .filter_map(|end| match end {
                        Named::As(name) => Some(&**name),
                        _ => None,
                    })
                    .collect();
                let title = document.title();
                let mut reason = format!("the namespace of {title} is not known");
                if names.len() > 1 {
                    reason = format!(
                        "{title} is deployed to several namespaces ({})",
                        names.join(", ")
                    );
                }
                reason = format!("{reason}; {}", self.instead(&document.file));
                return Some(taint(document, TaintScope::Everything, reason));
            }
            _ => {}
        }
        None
    }

    /// What every change to included policies leaves in doubt.
    pub(crate) fn changes(&self, documents: &[Document]) -> Vec<Taint> {
        let mut policies: HashMap<usize, Vec<&Document>> = HashMap::new();
        for document in documents {
            if document.kind().is_some_and(is_policy_kind)
                && let Some(file) = self.by_name.get(&document.file)
            {
                policies.entry(*file).or_default().push(document);
            }
        }
        let mut taints = Vec::new();
        for (index, unit) in self.units.iter().enumerate() {
            let mut reached = None;
            for (owner, change) in self.with_components(index).flat_map(|owner| {
                let owner = &self.units[owner];
                owner.changes.iter().map(move |change| (owner, change))
            }) {
                let reached = reached.get_or_insert_with(|| self.reached(index, &policies));
                let Some(first) = reached.first() else { break };
                let more = match reached.len() - 1 {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let reason = format!(
                    "{} may change {}{more}; give the rendered manifests: `{} | flowwatch ... -`",
                    change.what,
                    first.title(),
                    unit.build
                );
                for scope in scopes(reached) {
                    taints.push(Taint {
                        scope,
                        file: Arc::clone(&owner.file),
                        at: change.at,
                        reason: reason.clone(),
                    });
                }
            }
        }
        taints.sort();
        taints.dedup();
        taints
    }

    fn with_components(&self, unit: usize) -> impl Iterator<Item = usize> {
        std::iter::once(unit).chain(self.links[unit].components.iter().copied())
    }

    fn reached<'a>(
        &self,
        unit: usize,
        policies: &HashMap<usize, Vec<&'a Document>>,
    ) -> Vec<&'a Document> {
        let mut seen = BTreeSet::from([unit]);
        let mut waiting = vec![unit];
        let mut files = BTreeSet::new();
        while let Some(unit) = waiting.pop() {
            files.extend(&self.links[unit].files);
            let children = self.links[unit].children.iter();
            waiting.extend(children.filter(|child| seen.insert(**child)));
        }
        let found = files.iter().filter_map(|file| policies.get(file));
        found.flatten().copied().collect()
    }

    /// The namespaces that an object of a file ends in, one for each way up.
    fn ends(&self, file: &Arc<str>, written: &Named) -> BTreeSet<Named> {
        let mut ends = BTreeSet::new();
        let mut steps = STEPS;
        for unit in self
            .by_name
            .get(file)
            .map_or(&[][..], |file| &self.of_file[*file])
        {
            self.climb(
                *unit,
                written.clone(),
                &mut Vec::new(),
                &mut steps,
                &mut ends,
            );
        }
        ends
    }

    fn climb(
        &self,
        unit: usize,
        named: Named,
        way: &mut Vec<usize>,
        steps: &mut usize,
        ends: &mut BTreeSet<Named>,
    ) {
        if *steps == 0 {
            ends.insert(Named::Unclear);
            return;
        }
        *steps -= 1;
        let named = match (&self.units[unit].naming, named) {
            (Naming::Nothing, named)
            | (Naming::Fills(_), named @ (Named::As(_) | Named::Unclear)) => named,
            (Naming::Sets(name) | Naming::Fills(name), _) => Named::As(name.clone()),
            (Naming::Unclear, _) => Named::Unclear,
        };
        way.push(unit);
        let mut top = true;
        for parent in &self.links[unit].parents {
            if !way.contains(parent) {
                top = false;
                self.climb(*parent, named.clone(), way, steps, ends);
            }
        }
        way.pop();
        if top {
            ends.insert(named);
        }
    }

    /// What to do where a file alone does not say enough.
    fn instead(&self, file: &Arc<str>) -> String {
        let units = self.by_name.get(file).map(|file| &self.of_file[*file]);
        match units.and_then(|units| units.first()) {
            Some(unit) => format!(
                "give the rendered manifests: `{} | flowwatch ... -`",
                self.units[*unit].build
            ),
            None => "name the namespace by flag, or give the rendered manifests".to_owned(),
        }
    }
}

impl Unit {
    fn unread_component(&mut self, folder: &Path) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        self.changes.push(super::unit::Change {
            at: super::super::value::Place { line: 1, column: 1 },
            what: format!("component {name}, which was not read,"),
        });
    }
}

fn scopes(documents: &[&Document]) -> BTreeSet<TaintScope> {
    let scopes: BTreeSet<TaintScope> = documents
        .iter()
        .map(|document| TaintScope::from(&document.scope))
        .collect();
    if scopes.contains(&TaintScope::Everything) {
        return BTreeSet::from([TaintScope::Everything]);
    }
    scopes
}

fn taint(document: &Document, scope: TaintScope, reason: String) -> Taint {
    Taint {
        scope,
        file: Arc::clone(&document.file),
        at: document.at(),
        reason,
    }
}
