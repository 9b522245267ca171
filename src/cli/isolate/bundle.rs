//! The bundle: what is written beside the quarantine and its proof.
//!
//! Owns which pages there are and what they are made of. Their words are `render`'s.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::folder::Folder;
use super::{IsolateArgs, Read, Resolved, policy, sums};
use crate::cli::error::CommandError;
use crate::cli::sink;
use crate::engine::Policies;
use crate::finding::moment;
use crate::render::bundle as pages;
use crate::render::isolate as forms;
use crate::respond::credentials::credentials;
use crate::respond::improvement::{Nothing, Prevention};
use crate::respond::layout::Page;
use crate::respond::quarantine::{Plan, Proof, Subjects};
use crate::respond::record::{
    BundleRecord, ImprovementRef, IncidentRef, LabelRef, QuarantineRef, VERSION as RECORD_VERSION,
};
use crate::respond::scope::{radius, timeline};
use crate::respond::snapshot::{others, snapshots};
use crate::respond::{Known, SharedNames, Target};
use crate::review::assert::People;
use crate::review::reach::{Reach, Subject, reach};

/// Addresses of a target outside that are asked about.
const MOST_ADDRESSES: usize = 64;

/// What a bundle is made of.
pub(super) struct Parts<'a> {
    pub(super) args: &'a IsolateArgs,
    pub(super) resolved: &'a Resolved,
    pub(super) policies: &'a Arc<Policies>,
    pub(super) read: &'a Read,
    pub(super) plan: &'a Plan,
    pub(super) proof: &'a Proof,
    pub(super) improvement: &'a Result<Prevention, Nothing>,
}

/// Writes it; `options` learn what happened and which pages there are.
///
/// # Errors
/// [`CommandError`] where something cannot be written.
pub(super) fn write(
    folder: &Folder,
    parts: &Parts<'_>,
    options: &mut forms::Options,
) -> Result<(), CommandError> {
    let (plan, proof) = (parts.plan, parts.proof);
    let mut files = vec![
        (Page::Quarantine, policy(plan)),
        (Page::ProofData, sink::pretty(&forms::json(plan, proof))?),
        (Page::Rollback, plan.rollback.clone()),
        (Page::Record, record(parts)?),
    ];
    options.pages = vec![Page::Readme];
    if let Some(traced) = &parts.read.traced {
        let trace = &traced.trace;
        let incident = &parts.resolved.incident;
        let bundle = pages::Bundle {
            target: parts.resolved.target.typed(),
            made: i64::try_from(parts.resolved.made.as_nanosecond()).unwrap_or_default(),
            incident: incident.incident.as_ref(),
            findings: &incident.findings,
            trace,
            timeline: &timeline(trace, incident.incident.as_ref(), &incident.findings),
            radius: &radius(trace, permitted(parts)),
            snapshots: &snapshots(trace),
            more_pods: others(trace),
            credentials: &credentials(trace, Some(parts.policies)),
            improvement: parts.improvement,
            plan,
            flows: options.flows.clone(),
            policies: options.policies.clone(),
        };
        options.story = pages::story(&bundle);
        options.prevented = pages::prevented(parts.improvement);
        let improvement = pages::improvement(&bundle);
        files.extend([
            (Page::Timeline, pages::timeline(&bundle)),
            (
                Page::TraceData,
                sink::pretty(&crate::render::trace::json(trace))?,
            ),
            (Page::Reach, pages::radius(&bundle)),
            (Page::Forensics, pages::forensics(&bundle)),
        ]);
        match parts.improvement {
            Ok(prevention) => {
                let page = pages::prevention(&bundle, prevention);
                files.push((Page::Improvement, page));
            }
            Err(_) => folder.remove(Page::Improvement)?,
        }
        // What somebody filled in is not written over.
        if !folder.has(Page::Runbook) {
            files.push((Page::Runbook, pages::runbook(&bundle, &improvement)));
        }
        options.pages.extend([Page::Evidence, Page::Runbook]);
    }
    options.pages.extend(files.iter().map(|(page, _)| *page));
    options.pages.extend([Page::Proof, Page::Sums]);
    options.pages.sort();
    options.pages.dedup();
    files.push((Page::Proof, forms::proof(plan, proof, options)));
    files.push((Page::Readme, forms::readme(plan, proof, options)));
    folder.write(&files)?;
    sums::write(folder.path())
}

/// Paths as they were typed.
pub(super) fn names(paths: &[PathBuf]) -> Vec<String> {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect()
}

/// Whom the policies let the target reach, and who may reach it.
fn permitted(parts: &Parts<'_>) -> Option<Reach> {
    let known = &parts.read.known;
    let subjects = subjects(&parts.plan.target, known, &parts.read.watched.names);
    if subjects.is_empty() {
        return None;
    }
    let mut people = People::of(parts.policies, known.cluster());
    for pod in known.pods().filter(|pod| !pod.host_network) {
        people.know(
            pod.namespace.clone(),
            pod.workload.clone(),
            pod.identity.labels.clone(),
        );
    }
    Some(reach(&subjects, parts.policies, &people))
}

/// Who the target is, as policies see it: each set of labels once, and each address with the
/// names that flows show of it.
fn subjects(target: &Target, known: &Known, names: &SharedNames) -> Vec<Subject> {
    let named = |is_meant: &dyn Fn(IpAddr, &BTreeSet<Arc<str>>) -> bool| {
        let all = names
            .iter()
            .filter(|(address, names)| is_meant(**address, names));
        let subjects = all.map(|(address, names)| Subject::named(*address, names.clone()));
        subjects.take(MOST_ADDRESSES).collect::<Vec<_>>()
    };
    match target {
        Target::Address(prefix) => {
            let mut subjects = named(&|address, _| prefix.contains(&address));
            if subjects.is_empty() || prefix.prefix_len() < prefix.max_prefix_len() {
                subjects.push(Subject::address(prefix.addr()));
            }
            return subjects;
        }
        Target::Name(name) => return named(&|_, names| names.contains(name)),
        _ => {}
    }
    let mut subjects: Vec<Subject> = Vec::new();
    for pod in known.meant(target).filter(|pod| !pod.host_network) {
        let subject = Subject::pod(pod.name(), pod.identity.labels.iter().cloned());
        if !subjects
            .iter()
            .any(|one| one.identity.labels == subject.identity.labels)
        {
            subjects.push(subject);
        }
    }
    subjects
}

/// What the bundle says of itself.
fn record(parts: &Parts<'_>) -> Result<String, CommandError> {
    let (plan, known) = (parts.plan, &parts.read.known);
    let incident = &parts.resolved.incident;
    let mut workloads: Vec<String> = known
        .meant(&plan.target)
        .map(crate::respond::KnownPod::workload_name)
        .collect();
    workloads.sort();
    workloads.dedup();
    let start = incident.start.map(moment::text);
    let record = BundleRecord {
        version: RECORD_VERSION,
        target: plan.target.typed(),
        workloads,
        made: parts.resolved.made.to_string(),
        incident: (incident.incident.is_some() || start.is_some()).then(|| IncidentRef {
            id: incident
                .incident
                .as_ref()
                .map_or_else(|| plan.incident.to_string(), |one| one.id.clone()),
            title: incident
                .incident
                .as_ref()
                .map_or_else(String::new, |one| one.title.clone()),
            start: start.unwrap_or_default(),
        }),
        quarantine: QuarantineRef {
            pattern: plan.pattern.name().to_owned(),
            files: vec![Page::Quarantine.file().to_owned()],
            policies: plan
                .manifests
                .iter()
                .map(|manifest| manifest.object.short())
                .collect(),
            label: match plan.subjects {
                Subjects::Labelled { key } => Some(LabelRef {
                    key: key.to_owned(),
                    value: plan.incident.to_string(),
                }),
                _ => None,
            },
            expires: Some(plan.expires.to_string()),
            proof: parts.proof.holds().name().to_owned(),
        },
        options: parts.args.policies.agent().said()?,
        evidence: parts
            .read
            .traced
            .as_ref()
            .and_then(|traced| traced.evidence.clone()),
        improvement: Some(improvement(parts.improvement)),
    };
    let value = serde_json::to_value(&record).map_err(CommandError::failed)?;
    sink::pretty(&value)
}

/// What it says of what would have prevented it.
fn improvement(answer: &Result<Prevention, Nothing>) -> ImprovementRef {
    match answer {
        Err(nothing) => ImprovementRef {
            why: Some(nothing.to_string()),
            ..ImprovementRef::default()
        },
        Ok(prevention) => {
            let (denied, new) = prevention.denied();
            let by_name = prevention.links.iter().filter(|one| one.hangs_on_names);
            let accepted = &prevention.replayed.accepted;
            ImprovementRef {
                file: Some(Page::Improvement.file().to_owned()),
                why: None,
                policies: prevention.policies(),
                accepted: accepted.all(),
                pass: accepted.pass + accepted.authenticated,
                new,
                denied,
                by_name: by_name.map(|one| one.denied).sum(),
            }
        }
    }
}
