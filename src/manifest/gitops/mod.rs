//! What deploys a file, as far as the tree says it: kustomize, Flux, Argo CD.
//!
//! Owns the namespace these give an object, and what they change beyond that, which taints
//! the policies they include. Rendered manifests are the contract; nothing is rendered
//! here, a tree is taken literally as far as that is unambiguous.

mod graph;
mod unit;

pub(super) use graph::{Graph, TreeFile};
pub(super) use unit::{Unit, deployments, kustomization};
