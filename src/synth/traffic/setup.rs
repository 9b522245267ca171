//! Making ready: policies of a world compiled, and what a world file asks for checked.
//!
//! Owns both. What is planned is `plan`'s.

use std::sync::Arc;

use super::super::world::{Workload, World};
use super::TrafficError;
use super::cast::Cast;
use super::plan::Plan;
use super::rounds::FIRST_MARK;
use crate::manifest;
use crate::policy::{Compiled, Options, PolicySet, World as Known};

/// What a plan asks for that this world has not.
pub(super) fn check(world: &World, plan: &Plan) -> Result<(), TrafficError> {
    if plan.incidents.len() >= usize::from(FIRST_MARK) {
        return Err(TrafficError::Incidents(plan.incidents.len()));
    }
    for incident in &plan.incidents {
        let known = incident.kind.knobs();
        for (knob, _) in &incident.knobs {
            if !known.contains(&knob.as_str()) {
                return Err(TrafficError::Knob {
                    kind: incident.kind.name(),
                    knob: knob.clone(),
                    known: known.join(", "),
                });
            }
        }
        if let Some(name) = &incident.workload {
            let is = |workload: &Workload| {
                let namespace = &world.namespaces[workload.namespace].name;
                *name == format!("{namespace}/{}", workload.name)
            };
            if !world.workloads.iter().any(is) {
                return Err(TrafficError::Workload(name.clone()));
            }
        }
    }
    Ok(())
}

pub(super) fn policies(world: &World, forgotten: Option<(usize, usize)>) -> String {
    let mut documents = world.platform_policies();
    documents.extend(world.policies_without(forgotten));
    documents.join("---\n")
}

pub(super) fn compiled(
    world: &World,
    cast: &Cast,
    forgotten: Option<(usize, usize)>,
) -> Result<Compiled, TrafficError> {
    let read = manifest::read(&policies(world, forgotten), "policies.yaml".into());
    if let Some(error) = read.errors.first() {
        let place = format!("line {}: {}", error.at.line, error.kind);
        return Err(TrafficError::Policies(place));
    }
    let mut options = Options::default();
    options.set("cluster-name", &world.cluster)?;
    options.set("enable-ipv6", "false")?;
    let set = PolicySet::build(&read.documents, &world.services(), &[], &options);
    let known = Known {
        identities: cast.identities.clone(),
        names_complete: true,
        ports_complete: true,
    };
    Ok(Compiled::new(Arc::new(set), &known, &options))
}
