//! Trees as each tool lays them out: what is read, in which namespace, and what is left
//! in doubt.

use std::path::{Path, PathBuf};

use flowwatch::manifest::{
    LoadError, LoadOptions, Loaded, Scope, TaintScope, is_policy_kind, load, load_with,
};

use crate::support::shared;

fn tree(name: &str) -> Loaded {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gitops");
    load(&[root.join(name)], &LoadOptions::default())
}

/// Names of policies, with their namespace or `?`.
fn policies(loaded: &Loaded) -> Vec<String> {
    let documents = loaded.documents.iter();
    let policies = documents.filter(|document| document.kind().is_some_and(is_policy_kind));
    let title = |title: String| title.split_once('/').unwrap().1.to_owned();
    let mut policies: Vec<_> = policies.map(|document| title(document.title())).collect();
    policies.sort();
    policies
}

/// Taints as `scope file:line reason`, the file without its folders.
fn taints(loaded: &Loaded) -> Vec<String> {
    let taints = loaded.taints.iter().map(|taint| {
        let scope = match &taint.scope {
            TaintScope::Namespace(name) => name,
            TaintScope::Everything => "*",
        };
        let file = taint.file.rsplit('/').next().unwrap();
        format!("{scope} {file}:{} {}", taint.at.line, taint.reason)
    });
    let mut taints: Vec<_> = taints.collect();
    taints.sort();
    taints
}

#[test]
fn a_plain_tree_is_read_literally() {
    let loaded = tree("plain");

    assert_eq!(policies(&loaded), ["?/loose", "shop/front"]);
    assert_eq!(loaded.skipped.not_objects, 1);
    assert_eq!(loaded.repeated.len(), 1);
    assert_eq!(loaded.repeated[0].object, "CiliumNetworkPolicy/shop/front");
    assert_eq!(loaded.files_read, 5);
    let taints = taints(&loaded);
    assert_eq!(taints.len(), 2, "{taints:#?}");
    assert!(taints[0].starts_with("* nameless.yaml:1 the namespace of"));
    assert!(taints[1].starts_with("cart broken.yaml:4 "), "{taints:#?}");
    assert!(
        taints[1].ends_with("({{ name }} at 4:9 is not filled in)"),
        "{taints:#?}"
    );
    assert!(matches!(&loaded.errors[..], [LoadError::Read(error)] if error.document == 0));
}

#[test]
fn a_namespace_that_is_given_is_the_last_word() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gitops");
    let options = LoadOptions {
        namespace: Some("mine".into()),
    };
    let loaded = load(
        &[root.join("plain/nameless.yaml"), root.join("two-overlays")],
        &options,
    );
    assert_eq!(policies(&loaded), ["mine/api", "mine/loose"]);
    assert!(loaded.taints.is_empty(), "{:?}", loaded.taints);
}

#[test]
fn an_overlay_names_the_namespace_of_its_base() {
    let loaded = tree("kustomize");
    assert_eq!(policies(&loaded), ["shop/api"]);
    assert_eq!(taints(&loaded), [""; 0]);
    assert_eq!(loaded.skipped.kustomizations, 2);
}

#[test]
fn two_overlays_of_one_base_leave_its_namespace_open() {
    let loaded = tree("two-overlays");
    assert_eq!(policies(&loaded), ["?/api"]);
    let taints = taints(&loaded);
    assert_eq!(taints.len(), 1);
    assert!(
        taints[0].contains("several namespaces (shop, staging)"),
        "{taints:?}"
    );
    assert!(
        taints[0].contains("two-overlays/base | flowwatch ... -`"),
        "{taints:?}"
    );
}

#[test]
fn what_changes_a_policy_taints_it_and_what_does_not_does_not() {
    let loaded = tree("patched");
    assert_eq!(policies(&loaded), ["cart/cart", "shop/api"]);
    assert_eq!(loaded.skipped.patches, 1);
    let taints = taints(&loaded);
    assert_eq!(taints.len(), 2, "{taints:#?}");
    // The component that the harmless one includes is not harmless.
    assert!(taints[0].starts_with("cart kustomization.yaml:3 namePrefix may change"));
    assert!(
        taints[0].contains("patched/harmless | flowwatch ... -`"),
        "{taints:?}"
    );
    assert!(taints[1].starts_with("shop kustomization.yaml:4 patches may change"));
}

#[test]
fn flux_names_the_namespace_of_what_it_points_at() {
    let loaded = tree("flux");
    assert_eq!(
        policies(&loaded),
        ["cart/${APP}", "checkout/checkout", "search/search"]
    );
    let taints = taints(&loaded);
    assert_eq!(taints.len(), 2, "{taints:#?}");
    assert!(
        taints[0].starts_with("cart policy.yaml:4 ${APP} of"),
        "{taints:#?}"
    );
    assert!(
        taints[1].starts_with("search apps.yaml:30 patches may change"),
        "{taints:#?}"
    );
    assert!(taints[1].contains("flux build kustomization search --path ./apps/search"));
}

#[test]
fn argo_fills_in_the_namespace_of_its_destination() {
    let loaded = tree("argo");
    assert_eq!(
        policies(&loaded),
        ["?/deeper", "cart/cart", "other/web", "shop/api"]
    );
    let taints = taints(&loaded);
    assert_eq!(taints.len(), 2, "{taints:#?}");
    assert!(taints[0].contains("deeper is not known"), "{taints:#?}");
    assert!(
        taints[1].starts_with("cart shop.yaml:17 namePrefix may change"),
        "{taints:#?}"
    );
    assert!(
        taints[1].contains("argocd app manifests cart"),
        "{taints:#?}"
    );
}

#[test]
fn a_template_taints_only_where_it_seems_to_hold_a_policy() {
    let loaded = tree("helm");
    assert_eq!(policies(&loaded), [""; 0]);
    assert_eq!(loaded.skipped.templates, 2);
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    let taints = taints(&loaded);
    assert_eq!(taints.len(), 1, "{taints:#?}");
    assert!(taints[0].starts_with("* policy.yaml:1 "), "{taints:#?}");
    assert!(taints[0].contains("helm template"), "{taints:#?}");
}

#[test]
fn two_policies_of_one_name_are_an_error_that_names_both() {
    let text = |port: u16| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: a\n  \
             namespace: shop\nspec:\n  ingress:\n  - ports:\n    - port: {port}\n"
        )
    };
    let stdin = format!("{}---\n{}---\n{}", text(80), text(80), text(81));
    let loaded = load_with(
        &[PathBuf::from("-")],
        &LoadOptions::default(),
        &mut stdin.as_bytes(),
    );
    assert_eq!(loaded.documents.len(), 1);
    assert_eq!(loaded.repeated.len(), 1);
    assert_eq!(
        loaded.errors[0].to_string(),
        "NetworkPolicy/shop/a is defined differently at <stdin>:1:1 and <stdin>:21:1"
    );
    assert_eq!(loaded.taints[0].scope, TaintScope::Namespace("shop".into()));
}

#[test]
fn what_is_no_text_or_not_there_is_an_error_of_its_file() {
    let loaded = load_with(
        &[PathBuf::from("-"), PathBuf::from("no/such/file.yaml")],
        &LoadOptions::default(),
        &mut &b"a: 1\nb: \xff\n"[..],
    );
    let errors: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors[0], "<stdin>:2:4: not UTF-8");
    assert!(errors[1].starts_with("no/such/file.yaml: "), "{errors:?}");
}

/// Scenario: all policies of thirteen real repositories, as far as they are kept.
/// Guarantees: the API server's readers and ours agree on which files can be read at all,
/// and every policy without a namespace is tainted.
#[test]
fn real_trees_are_read_whole() {
    let Some(corpus) = shared("FLOWWATCH_CORPUS", "corpus") else {
        println!("skipped: no corpus; FLOWWATCH_CORPUS may name its folder");
        return;
    };
    let started = std::time::Instant::now();
    let loaded = load(&[corpus.join("policies")], &LoadOptions::default());
    println!("{} files in {:?}", loaded.files_read, started.elapsed());

    let unread: Vec<&str> = loaded
        .errors
        .iter()
        .filter_map(|error| match error {
            LoadError::Read(error) => Some(&*error.file),
            LoadError::Conflict { .. } => None,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(unread.len(), 8, "{unread:#?}");
    assert!(
        unread
            .iter()
            .all(|file| file.contains("connectivity/builder/manifests"))
    );
    assert_eq!(loaded.files_read, 956);
    let policies = loaded
        .documents
        .iter()
        .filter(|document| document.kind().is_some_and(is_policy_kind));
    let (unknown, known): (Vec<_>, Vec<_>) =
        policies.partition(|document| document.scope == Scope::Unknown);
    assert!(known.len() > 400, "{}", known.len());
    for document in unknown {
        let tainted = loaded.taints.iter().any(|taint| {
            taint.scope == TaintScope::Everything
                && taint.file == document.file
                && taint.at == document.at()
        });
        assert!(tainted, "{} in {}", document.title(), document.file);
    }
}
