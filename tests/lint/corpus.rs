//! Real policies: what is known to be wrong with them is found, and little else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use flowwatch::inventory::Inventory;
use flowwatch::manifest::{self, LoadOptions};
use flowwatch::policy::Options;
use flowwatch::policy::lint::{LintFinding, LintInput, Severity, lint};

fn corpus() -> Option<PathBuf> {
    let path = std::env::var_os("FLOWWATCH_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    let path = path.join("policies");
    if !path.is_dir() {
        println!("skipped: no corpus of policies at {}", path.display());
        return None;
    }
    Some(path)
}

fn findings(repository: &Path) -> Vec<LintFinding> {
    let loaded = manifest::load(&[repository.to_owned()], &LoadOptions::default());
    let mut inventory = Inventory::default();
    for document in &loaded.documents {
        inventory.add(&document.root, document.scope.namespace());
    }
    lint(&LintInput {
        documents: &loaded.documents,
        errors: &loaded.errors,
        inventory: &inventory,
        options: &Options::default(),
        complete: false,
    })
}

#[test]
fn the_corpus_gives_what_was_judged_by_hand() {
    let Some(corpus) = corpus() else { return };
    let started = Instant::now();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut repositories = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        repositories += 1;
        for finding in findings(&entry.unwrap().path()) {
            if finding.severity > Severity::Info {
                *counts.entry(finding.check.id).or_default() += 1;
            }
        }
    }
    println!(
        "{repositories} repositories in {:?}: {counts:?}",
        started.elapsed()
    );
    assert_eq!(repositories, 13);
    let count = |id: &str| counts.get(id).copied().unwrap_or_default();
    // Five files with a colon for the dot, and one where fields are the other kind's.
    assert_eq!(count("label-key-source"), 75);
    assert_eq!(count("cilium-fields-in-networkpolicy"), 1);
    // Objects that Cilium has never enforced.
    assert_eq!(count("unsupported-kind"), 158);
    // None of the rest is common: a check that fires often on real policies is wrong.
    for (id, count) in counts {
        let expected = matches!(id, "label-key-source" | "unsupported-kind");
        assert!(expected || count <= 12, "{id}: {count}");
    }
}
