//! What `tail`'s arguments mean: sources, filters, bounds and form, all conflicts found.

use std::path::PathBuf;
use std::sync::Arc;

use super::TailArgs;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::format::{Output, OutputForm};
use crate::cli::policy_source::PolicySource;
use crate::cli::policy_watch::PolicyWatch;
use crate::cli::selection::{Count, Selection};
use crate::cli::time_arg;
use crate::engine::Current;
use crate::filter::Filters;
use crate::proto::flow::FlowFilter;
use crate::render::JudgementKind;
use crate::source::archive::is_archive;
use crate::source::file::{Input, inputs};
use crate::source::observer::{ConnectConfig, Needs, mask_for};

/// Flows a server is asked for when nothing is said, as Hubble does.
const UNSAID: u64 = 20;
/// Fields that resuming needs, whatever is shown.
const ALWAYS: [&str; 3] = ["time", "node_name", "uuid"];

/// How many records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    All,
    First(u64),
    Last(u64),
}

/// A resolved `tail`.
pub(super) struct Plan {
    pub(super) source: Source,
    pub(super) output: Output,
    pub(super) allow: Vec<FlowFilter>,
    pub(super) deny: Vec<FlowFilter>,
    pub(super) filters: Filters,
    pub(super) limit: Limit,
    pub(super) since: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) sort: bool,
    /// Policies to judge by.
    pub(super) judging: Option<Judging>,
    /// What to say of them.
    pub(super) remarks: Vec<String>,
    /// What reads them again when they change; not for an input that ends.
    pub(super) watch: Option<PolicyWatch>,
}

/// How flows are judged.
#[derive(Clone, Debug)]
pub(super) struct Judging {
    pub(super) policies: Arc<Current>,
    /// The kinds to show; empty for all flows.
    pub(super) only: Vec<JudgementKind>,
    /// Whether a server selects flows before they come here.
    pub(super) selected: bool,
}

/// Where flows come from.
pub(super) enum Source {
    Files(Files),
    Live(Live),
}

/// Recorded files.
pub(super) struct Files {
    pub(super) inputs: Vec<Input>,
    /// Whether to wait for what is written to them.
    pub(super) follow: bool,
}

/// Servers, and what they are asked.
pub(super) struct Live {
    pub(super) servers: Vec<ConnectConfig>,
    pub(super) follow: bool,
    /// Number of flows where no limit is given; 0 for all.
    pub(super) number: u64,
    pub(super) mask: Option<Vec<String>>,
}

impl Source {
    /// Whether more flows are waited for than there are.
    fn follows(&self) -> bool {
        match self {
            Self::Files(files) => files.follow,
            Self::Live(live) => live.follow,
        }
    }
}

/// The inputs of a path. One that is not there fails when its turn comes, so that the
/// others are read; manifests are refused at once.
fn named(path: &PathBuf) -> Result<Vec<Input>, UsageError> {
    match inputs(std::slice::from_ref(path)) {
        Err(error) if error.is_usage() => Err(UsageError::new(format!(
            "{error}: give policies by --policies"
        ))),
        Err(_) => Ok(vec![Input::File(path.clone())]),
        found => Ok(found.unwrap_or_default()),
    }
}

impl TailArgs {
    /// What the arguments mean.
    ///
    /// # Errors
    /// [`CommandError::Usage`] for whatever is wrong with them, before anything is read.
    pub(super) fn plan(&self) -> Result<Plan, CommandError> {
        let usage = |error: &dyn std::fmt::Display| UsageError::new(error.to_string());
        let (filters, (allow, deny)) = self.filters.compile()?;
        let now = time_arg::now();
        let selection = self
            .selection
            .resolve(now)
            .and_then(Selection::for_file)
            .map_err(|error| usage(&error))?;
        let mut output = self.format.plan()?;
        let policies = self.policies.source()?;
        let paths: Vec<PathBuf> = self.files.iter().chain(&self.input_file).cloned().collect();
        let source = if paths.is_empty() {
            let judged = policies.is_some() || self.detection.is_wanted();
            Source::Live(self.live(&output, selection, judged, &allow, &deny)?)
        } else {
            // Hubble masks what a server sends, and shows a file as it is.
            if let OutputForm::Json(mask) = &mut output.form {
                *mask = None;
            }
            refuse_table(&output, selection.follow)?;
            if selection.follow && paths.iter().any(|path| is_archive(path)) {
                return Err(UsageError::new("an archive cannot be followed").into());
            }
            Source::Files(Files {
                inputs: paths
                    .iter()
                    .map(named)
                    .collect::<Result<Vec<_>, _>>()?
                    .concat(),
                follow: selection.follow,
            })
        };
        let live = matches!(source, Source::Live(_));
        let selected = live && !(allow.is_empty() && deny.is_empty());
        let mut plan = Plan {
            judging: None,
            remarks: Vec::new(),
            watch: None,
            source,
            output,
            allow,
            deny,
            filters,
            limit: match selection.count {
                Count::Unsaid | Count::All => Limit::All,
                Count::First(count) => Limit::First(count),
                Count::Last(count) => Limit::Last(count),
            },
            since: selection.since,
            until: selection.until,
            sort: self.sort,
        };
        match policies {
            Some(policies) => self.judge(policies, selected, &mut plan)?,
            None if !self.only.is_empty() => {
                return Err(UsageError::new("--only goes with --policies").into());
            }
            None => {}
        }
        Ok(plan)
    }

    /// Reads the policies, before any flow is.
    fn judge(
        &self,
        mut source: PolicySource,
        selected: bool,
        plan: &mut Plan,
    ) -> Result<(), CommandError> {
        let seen = plan.source.follows().then(|| source.footprint());
        let loaded = source.load()?.whole()?;
        let policies = Arc::new(Current::new(loaded.policies));
        plan.watch = seen.map(|seen| {
            let (contents, remarks) = (loaded.contents, &loaded.remarks);
            PolicyWatch::new(source, policies.clone(), seen, contents, remarks)
        });
        plan.remarks = loaded.remarks;
        plan.judging = Some(Judging {
            policies,
            only: self.only.iter().map(|only| only.kind()).collect(),
            selected,
        });
        Ok(())
    }

    fn live(
        &self,
        output: &Output,
        selection: Selection,
        judged: bool,
        allow: &[FlowFilter],
        deny: &[FlowFilter],
    ) -> Result<Live, CommandError> {
        if self.sort {
            return Err(UsageError::new("--sort goes with recordings only").into());
        }
        let servers = self
            .connection
            .plan()
            .map_err(|error| UsageError::new(error.to_string()))?;
        let bounded = selection.until.is_some() || selection.count != Count::Unsaid;
        let follow = selection.follow || !(self.no_follow || bounded);
        refuse_table(output, follow)?;
        let number = match selection.count {
            Count::Unsaid if !follow && selection.since.is_none() && selection.until.is_none() => {
                UNSAID
            }
            // Hubble's own way to ask for the whole ring.
            Count::All => u64::MAX,
            _ => 0,
        };
        Ok(Live {
            servers,
            follow,
            number,
            mask: self.mask(output, judged, allow, deny),
        })
    }

    /// The fields to ask for: those shown, those filtered by, and those resuming needs.
    fn mask(
        &self,
        output: &Output,
        judged: bool,
        allow: &[FlowFilter],
        deny: &[FlowFilter],
    ) -> Option<Vec<String>> {
        let filters: Vec<FlowFilter> = allow.iter().chain(deny).cloned().collect();
        match &output.form {
            OutputForm::Lines(_) if !self.use_default_field_masks => None,
            OutputForm::Lines(_) if judged => judged_mask(&filters),
            OutputForm::Lines(options) if options.policy_names => {
                mask_for(Needs::LinesAndPolicies, &filters)
            }
            OutputForm::Lines(_) => mask_for(Needs::Lines, &filters),
            OutputForm::Json(None) => None,
            OutputForm::Json(Some(_)) => {
                let mut paths: Vec<String> = self.format.field_mask().to_vec();
                paths.extend(ALWAYS.iter().map(|&path| path.to_owned()));
                if judged {
                    paths.extend(judged_mask(&filters)?);
                }
                if !filters.is_empty() {
                    paths.extend(mask_for(Needs::Lines, &filters)?);
                }
                paths.sort();
                paths.dedup();
                Some(paths)
            }
        }
    }
}

/// What judging needs of a flow.
fn judged_mask(filters: &[FlowFilter]) -> Option<Vec<String>> {
    let mut paths = mask_for(Needs::LinesAndPolicies, filters)?;
    paths.push("node_labels".to_owned());
    paths.sort();
    paths.dedup();
    Some(paths)
}

fn refuse_table(output: &Output, follow: bool) -> Result<(), UsageError> {
    if follow && output.form.table().is_some() {
        return Err(UsageError::new(
            "a table needs an end: give --no-follow, --last, --first, --all or --until",
        ));
    }
    Ok(())
}
