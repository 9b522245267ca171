//! A small cluster, for tests of what policies say of it.
//!
//! Owns its objects and reading policies beside them. What is asked is the tests'.

use crate::engine::{Given, Policies};
use crate::inventory::Inventory;
use crate::manifest;

/// `shop/web` and `shop/db`, and their namespace.
pub(super) const PODS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: []}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  template:
    metadata: {labels: {app: db}}
    spec: {containers: []}
";

/// Policies and objects of a text, all in one cluster.
pub(super) fn policies(text: &str) -> Policies {
    let mut inventory = Inventory::default();
    let mut documents = Vec::new();
    for mut document in manifest::read(text, "all.yaml".into()).documents {
        if let Some(namespace) = document.namespace().map(str::to_owned) {
            document.scope = manifest::Scope::Namespace(namespace.into());
        }
        if !inventory.add(&document.root, document.scope.namespace()) {
            documents.push(document);
        }
    }
    Policies::new(Given {
        documents,
        inventory,
        complete: true,
        ..Given::default()
    })
}
