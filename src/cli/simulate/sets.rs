//! Two sets of policies, ready to judge by, and how they differ without any flow.
//!
//! Owns what is in force of the second one: a cluster that refuses an object keeps the one
//! it has. What flows show is `review::simulate`'s.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::tree::{LoadedTree, Tree};
use crate::cli::error::CommandError;
use crate::cli::policy_args::AgentArgs;
use crate::cli::policy_source::{given, remarks, say_remarks};
use crate::cli::sink::say;
use crate::config::Config;
use crate::engine::{Alteration, Alterations, Altered, Given, Policies};
use crate::manifest::{Document, LoadError};
use crate::policy::lint::{LintFinding, LintInput, Suppressions, lint};
use crate::policy::{PeerSelector, PolicySet, Requirement};
use crate::review::simulate::{Kept, ObjectChange, compare, keep};

/// Labels of namespaces in the identity of their pods.
const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
/// The one that every namespace has.
const OWN_NAME: &str = "kubernetes.io/metadata.name";

/// Two sets of policies.
pub(super) struct Sets {
    pub(super) base: Arc<Policies>,
    pub(super) head: Arc<Policies>,
    /// What they are called.
    pub(super) names: (String, String),
    /// What names of files begin with that are of a revision.
    pub(super) prefixes: Vec<String>,
    pub(super) objects: Vec<ObjectChange>,
    pub(super) kept: Vec<Kept>,
    pub(super) lint: Vec<LintFinding>,
    /// All documents, for the jobs among them.
    pub(super) documents: Vec<Document>,
    pub(super) alterations: Vec<Alteration>,
    remarks: [Vec<String>; 2],
}

impl Sets {
    /// Loads both, with the documents of `cluster` in each.
    ///
    /// # Errors
    /// [`CommandError`] for what cannot be opened, and for a namespace of which too little
    /// is known.
    pub(super) fn load(
        base: &Tree,
        head: &Tree,
        cluster: &[PathBuf],
        mut alterations: Vec<Alteration>,
        agent: &AgentArgs,
    ) -> Result<Self, CommandError> {
        let options = agent.load_options(None);
        let config = agent.config()?;
        let base = base.load(cluster, &options)?;
        let head = head.load(cluster, &options)?;
        let before = judged(&base, agent, &config)?;
        let mut after = judged(&head, agent, &config)?;
        let lint = new_findings((&base, &before), (&head, &after));
        let kept = keep(
            &before.documents,
            &mut after.documents,
            &after.inventory.services(),
            &after.options,
        );
        let documents = head
            .loaded
            .documents
            .iter()
            .chain(&base.loaded.documents)
            .cloned()
            .collect();
        let inventories = [before.inventory.clone(), after.inventory.clone()];
        let base_policies = Policies::new(before);
        let head_policies = Policies::new(after);
        let (base_set, head_set) = (base_policies.any_set(), head_policies.any_set());
        for alteration in &mut alterations {
            if let Altered::Namespace(name, labels) = &mut alteration.change {
                let known = inventories
                    .iter()
                    .rev()
                    .find_map(|inventory| inventory.namespaces.get(name));
                *labels = match known {
                    Some(known) => known.clone(),
                    None if asks_for_namespaces(&head_set) => {
                        return Err(CommandError::failed(format!(
                            "--move: policies ask for labels of namespaces, and those of {name} are not known: give its manifest by --with"
                        )));
                    }
                    None => vec![(OWN_NAME.into(), name.clone())],
                };
            }
        }
        let texts = [
            remarks(&base.loaded, &base_policies),
            remarks(&head.loaded, &head_policies),
        ];
        let [mut of_base, mut of_head] = texts;
        of_base.extend(base.remarks);
        of_head.extend(head.remarks);
        // What is the same in both is said once.
        of_head.retain(|remark| !of_base.contains(remark));
        Ok(Self {
            objects: compare(&base_set, &head_set),
            base: Arc::new(base_policies.beside(&head_set)),
            head: Arc::new(
                head_policies
                    .beside(&base_set)
                    .altering(Alterations::new(alterations.clone())),
            ),
            names: (base.name, head.name),
            prefixes: [base.prefix, head.prefix].into_iter().flatten().collect(),
            kept,
            lint,
            documents,
            alterations,
            remarks: [of_base, of_head],
        })
    }

    /// Says what of the sets a person must know before believing a verdict.
    pub(super) fn say(&self, err: &mut dyn Write) {
        for (name, remarks) in [("base", &self.remarks[0]), ("head", &self.remarks[1])] {
            if !remarks.is_empty() {
                say(err, &format!("{name}:"));
                say_remarks(remarks, err);
            }
        }
    }
}

/// What a tree gives to judge with.
fn judged(tree: &LoadedTree, agent: &AgentArgs, config: &Config) -> Result<Given, CommandError> {
    let unread = tree
        .loaded
        .errors
        .iter()
        .find(|error| matches!(error, LoadError::Io { .. }));
    if let Some(error) = unread {
        return Err(CommandError::failed(error));
    }
    given(agent, config, &tree.loaded)
}

/// Whether a selector asks for a label of a namespace other than its name.
fn asks_for_namespaces(set: &PolicySet) -> bool {
    let asks = |requirement: &Requirement| {
        requirement
            .key
            .name
            .strip_prefix(NAMESPACE_LABELS)
            .is_some_and(|key| key != OWN_NAME)
    };
    set.entries.iter().any(|entry| {
        let peers = entry.peers.iter().flatten();
        entry.subject.selector.requirements().any(asks)
            || peers.into_iter().any(|peer| match peer {
                PeerSelector::Labels(selector) => selector.requirements().any(asks),
                _ => false,
            })
    })
}

/// Findings of `policy lint` about the second set that the first does not have: the same
/// check of the same field of the same object is the same finding, wherever it is written.
fn new_findings(base: (&LoadedTree, &Given), head: (&LoadedTree, &Given)) -> Vec<LintFinding> {
    let find = |(tree, given): (&LoadedTree, &Given)| {
        let mut findings = lint(&LintInput {
            documents: &tree.loaded.documents,
            errors: &tree.loaded.errors,
            inventory: &given.inventory,
            options: &given.options,
            complete: given.complete,
        });
        let files: BTreeSet<Arc<str>> = findings
            .iter()
            .map(|finding| finding.file.clone())
            .collect();
        for file in files {
            let text = match tree.texts.get(&*file) {
                Some(text) => text.clone(),
                None => fs::read_to_string(&*file).unwrap_or_default(),
            };
            Suppressions::read(&text, file).apply(&mut findings);
        }
        findings.retain(|finding| finding.suppressed.is_none());
        findings
    };
    let key = |finding: &LintFinding| {
        (
            finding.check.id,
            finding.object.clone(),
            finding.field.clone(),
            finding.message.clone(),
        )
    };
    let known: BTreeSet<_> = find(base).iter().map(key).collect();
    let mut found = find(head);
    found.retain(|finding| !known.contains(&key(finding)));
    found
}
