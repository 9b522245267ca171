//! `flowwatch policy lint`: every check fires, and keeps quiet where it should.
//!
//! A file a check in `lint/cases`: documents it finds something in, and after the line
//! `# near miss` some that look alike and are right.

mod corpus;
mod engine;
mod forms;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use flowwatch::inventory::Inventory;
use flowwatch::manifest::{self, LoadOptions, STDIN};
use flowwatch::policy::Options;
use flowwatch::policy::lint::{CHECKS, LintFinding, LintInput, Suppressions, lint};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint/cases")
}

/// The findings in a text, as the command has them.
fn findings(text: &str) -> Vec<LintFinding> {
    let stdin = PathBuf::from("-");
    let loaded = manifest::load_with(&[stdin], &LoadOptions::default(), &mut text.as_bytes());
    let mut inventory = Inventory::default();
    for document in &loaded.documents {
        inventory.add(&document.root, document.scope.namespace());
    }
    let config = inventory.cilium_config.clone();
    let config = config.iter().map(|(name, value)| (&**name, &**value));
    let mut findings = lint(&LintInput {
        documents: &loaded.documents,
        errors: &loaded.errors,
        inventory: &inventory,
        options: &Options::default().with_config_map(config).unwrap(),
        complete: false,
    });
    Suppressions::read(text, STDIN.into()).apply(&mut findings);
    findings.retain(|finding| finding.suppressed.is_none());
    findings
}

fn ids(findings: &[LintFinding]) -> BTreeSet<&str> {
    findings.iter().map(|finding| finding.check.id).collect()
}

#[test]
fn every_check_finds_its_case_and_not_its_near_miss() {
    let mut wrong = Vec::new();
    for check in CHECKS {
        let path = folder().join(format!("{}.yaml", check.id));
        let text = fs::read_to_string(&path).unwrap_or_default();
        let Some((fires, near_miss)) = text.split_once("# near miss\n") else {
            wrong.push(format!("{}: no case", check.id));
            continue;
        };
        if !ids(&findings(fires)).contains(check.id) {
            wrong.push(format!(
                "{} does not fire, {:?} do",
                check.id,
                ids(&findings(fires))
            ));
        }
        if let Some(found) = findings(near_miss)
            .iter()
            .find(|finding| finding.check.id == check.id)
        {
            wrong.push(format!(
                "{} fires on the near miss: {}",
                check.id, found.message
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_case_is_of_a_check() {
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let id = name.strip_suffix(".yaml").unwrap();
        assert!(CHECKS.iter().any(|check| check.id == id), "{name}");
    }
}

#[test]
fn every_check_has_a_section_in_the_guide_and_no_section_is_of_none() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lint.md");
    let page = fs::read_to_string(path).unwrap();
    let sections: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let wanted: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(sections, wanted);
    for check in CHECKS {
        let section = page.split(&format!("### {}\n", check.id)).nth(1).unwrap();
        let first = section.trim_start().lines().next().unwrap();
        assert!(
            first.starts_with(&format!("*{}*", check.severity)),
            "{}: {first}",
            check.id
        );
    }
}

#[test]
fn findings_say_where_they_are_and_what_to_do() {
    for entry in fs::read_dir(folder()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let lines = text.lines().count() as u32;
        for part in text.split("# near miss\n") {
            for finding in findings(part) {
                assert!(
                    finding.at.line >= 1 && finding.at.line <= lines,
                    "{finding:?}"
                );
                assert!(!finding.message.is_empty() && !finding.mend.is_empty());
                for text in [&finding.message, &finding.mend] {
                    assert!(!text.ends_with('.'), "{text}");
                    assert!(
                        !text.starts_with(char::is_uppercase)
                            || text.starts_with("Cilium")
                            || text.starts_with("DNS")
                            || text.starts_with("Services"),
                        "{text}"
                    );
                }
            }
        }
    }
}

/// Scenario: a Service leads from 80 to 8080 of its pods.
/// Guarantees: the port of the Service is found whatever the peer is selected by.
#[test]
fn the_port_of_a_service_is_found_behind_every_kind_of_peer() {
    let cluster = "\
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 80, targetPort: web}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, ports: [{name: web, containerPort: 8080}]}]}
";
    let cilium = |peer: &str| {
        format!(
            "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: web, namespace: shop}}
spec:
  endpointSelector: {{matchLabels: {{app: web}}}}
  egress: [{{{peer}, toPorts: [{{ports: [{{port: '80', protocol: TCP}}]}}]}}]
{cluster}"
        )
    };
    let kubernetes = format!(
        "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: web, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  policyTypes: [Egress]
  egress: [{{to: [{{podSelector: {{matchLabels: {{app: db}}}}}}], ports: [{{port: 80}}]}}]
{cluster}"
    );
    let id = "service-port-instead-of-pod-port";
    for text in [
        cilium("toEndpoints: [{matchLabels: {app: db}}]"),
        cilium("toServices: [{k8sService: {serviceName: db, namespace: shop}}]"),
        kubernetes,
    ] {
        assert!(ids(&findings(&text)).contains(id), "{text}");
    }
    let world = cilium("toEntities: [world]");
    assert!(!ids(&findings(&world)).contains(id));
}
