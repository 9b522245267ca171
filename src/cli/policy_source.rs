//! Policies as a command reads them: the files and trees that flags or the configuration file
//! name, the rest of the cluster in the same documents, and what a person must know of them.
//!
//! Owns reading once and reading again. What the flags mean is `policy_args`'s, when to read
//! again `policy_watch`'s.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Read as _, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::error::CommandError;
use super::policy_args::AgentArgs;
use super::sink::say;
use crate::archive::RecordedPolicies;
use crate::config::Config;
use crate::engine::{Given, Policies};
use crate::inventory::Inventory;
use crate::manifest::{self, Document, FILE_BYTES, Footprint, LoadError, Loaded, STDIN, Scope};
use crate::policy::{Floating, Taint, TaintScope};
use crate::render::thousands;

/// Errors and warnings shown one by one; the rest is counted.
const SHOWN: usize = 20;

/// Where policies are, and how they are read.
pub(super) struct PolicySource {
    agent: AgentArgs,
    /// As typed; empty where the configuration file says.
    typed: Vec<PathBuf>,
    config: Config,
    /// Whether an address has no other names than those given with it.
    names_complete: bool,
    /// Since when the policies are in force, in nanoseconds since 1970 UTC, if it was said.
    since: Option<i64>,
    /// Standard input: it can be read once.
    stdin: Option<Vec<u8>>,
    /// Whether they are to be recorded.
    recording: bool,
}

/// What was loaded, and what to say about it.
pub(super) struct LoadedPolicies {
    /// Ready to judge with.
    pub(super) policies: Policies,
    /// Sentences for standard error: errors, rejections, doubts.
    pub(super) remarks: Vec<String>,
    /// Whether something could not be read at all.
    pub(super) failed: bool,
    /// What the policies were made of.
    pub(super) contents: Contents,
    /// As they are recorded, where they are to be.
    pub(super) recorded: Option<RecordedPolicies>,
    /// The CronJobs among the documents.
    pub(super) cron_jobs: Vec<Document>,
}

impl LoadedPolicies {
    /// The same, unless something could not be read at all.
    ///
    /// # Errors
    /// [`CommandError`] with everything there is to say.
    pub(super) fn whole(self) -> Result<Self, CommandError> {
        if self.failed {
            return Err(CommandError::Failed(self.remarks.join("\n")));
        }
        Ok(self)
    }
}

/// What was read, to compare it with what is read later.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// A hash of each object, by what names it.
    objects: HashMap<String, u64>,
    /// Files that cannot be read, and objects that contradict each other.
    broken: BTreeSet<String>,
}

/// How many objects are not what they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) added: usize,
    pub(super) changed: usize,
    pub(super) removed: usize,
    /// How many there are now.
    pub(super) objects: usize,
}

impl PolicySource {
    /// Reads the configuration file. Without paths that were `typed`, it says where
    /// policies are.
    ///
    /// # Errors
    /// [`CommandError`] for a configuration file that cannot be taken.
    pub(super) fn new(
        agent: AgentArgs,
        typed: Vec<PathBuf>,
        names_complete: bool,
    ) -> Result<Self, CommandError> {
        Ok(Self {
            config: agent.config()?,
            agent,
            typed,
            names_complete,
            since: None,
            stdin: None,
            recording: false,
        })
    }

    /// The same, of policies that are in force since a time.
    pub(super) fn in_force_since(mut self, since: Option<i64>) -> Self {
        self.since = since;
        self
    }

    /// The same, of policies that are to be recorded.
    pub(super) fn recording(mut self) -> Self {
        self.recording = true;
        self
    }

    /// Since when they are in force, in nanoseconds since 1970 UTC, if it was said.
    pub(super) fn since(&self) -> Option<i64> {
        self.since
    }

    /// The files and trees that are read.
    pub(super) fn paths(&self) -> &[PathBuf] {
        if self.typed.is_empty() {
            &self.config.policies
        } else {
            &self.typed
        }
    }

    /// How all that is read looks from outside, the configuration file included.
    pub(super) fn footprint(&self) -> Footprint {
        let mut paths = self.paths().to_vec();
        paths.push(self.agent.config_path().to_owned());
        Footprint::of(&paths)
    }

    /// Reads the configuration file again.
    ///
    /// # Errors
    /// As [`Self::new`]; it stays as it was then.
    pub(super) fn read_config(&mut self) -> Result<(), CommandError> {
        self.config = self.agent.config()?;
        Ok(())
    }

    /// Loads the policies.
    ///
    /// # Errors
    /// [`CommandError`] for options that cannot be taken.
    pub(super) fn load(&mut self) -> Result<LoadedPolicies, CommandError> {
        let loaded = self.read()?;
        let policies = Policies::new(self.given(&loaded)?).in_force_since(self.since);
        Ok(self.loaded(&loaded, policies))
    }

    /// Loads the policies, with what they are made of, for whoever makes others of it.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(super) fn load_given(&mut self) -> Result<(LoadedPolicies, Given), CommandError> {
        let loaded = self.read()?;
        let given = self.given(&loaded)?;
        let policies = Policies::new(given.clone()).in_force_since(self.since);
        Ok((self.loaded(&loaded, policies), given))
    }

    /// Loads the policies in place of others, of whose contents those are.
    ///
    /// # Errors
    /// [`CommandError`] for options that cannot be taken, and for whatever cannot be read
    /// and could be before.
    pub(super) fn load_again(
        &mut self,
        before: &Policies,
        contents: &Contents,
    ) -> Result<LoadedPolicies, CommandError> {
        if self.paths().is_empty() {
            return Err(CommandError::failed("nothing names policies any more"));
        }
        let loaded = self.read()?;
        let broken = |error: &&LoadError| !contents.broken.contains(&what_is_broken(error));
        if let Some(error) = loaded.errors.iter().find(broken) {
            return Err(CommandError::failed(error));
        }
        let policies = before
            .succeeded_by(self.given(&loaded)?)
            .in_force_since(self.since);
        Ok(self.loaded(&loaded, policies))
    }

    fn read(&mut self) -> Result<Loaded, CommandError> {
        let options = self.agent.load_options(None);
        let wanted = self.paths().iter().any(|path| path.as_os_str() == "-");
        if wanted && self.stdin.is_none() {
            let mut bytes = Vec::new();
            // One byte more than is taken, so that too much is told from enough.
            let limited = &mut io::stdin().take(FILE_BYTES + 1);
            limited
                .read_to_end(&mut bytes)
                .map_err(|error| CommandError::failed(format!("{STDIN}: {error}")))?;
            self.stdin = Some(bytes);
        }
        let mut stdin = self.stdin.as_deref().unwrap_or_default();
        Ok(manifest::load_with(self.paths(), &options, &mut stdin))
    }

    fn given(&self, loaded: &Loaded) -> Result<Given, CommandError> {
        let given = given(&self.agent, &self.config, loaded)?;
        Ok(Given {
            names_complete: self.names_complete,
            ..given
        })
    }
}

impl PolicySource {
    fn loaded(&self, loaded: &Loaded, policies: Policies) -> LoadedPolicies {
        LoadedPolicies {
            recorded: self
                .recording
                .then(|| RecordedPolicies::new(&loaded.documents, &loaded.taints)),
            remarks: remarks(loaded, &policies),
            failed: loaded
                .errors
                .iter()
                .any(|error| matches!(error, LoadError::Io { .. })),
            contents: Contents::of(loaded),
            cron_jobs: loaded
                .documents
                .iter()
                .filter(|document| document.kind() == Some("CronJob"))
                .cloned()
                .collect(),
            policies,
        }
    }
}

impl Contents {
    fn of(loaded: &Loaded) -> Self {
        let mut objects: HashMap<String, u64> = HashMap::new();
        for document in &loaded.documents {
            let mut hasher = DefaultHasher::new();
            document.root.hash_content(&mut hasher);
            // Several may have one name where no namespace is known.
            let sum = objects.entry(name_of(document)).or_default();
            *sum = sum.wrapping_add(hasher.finish());
        }
        Self {
            objects,
            broken: loaded.errors.iter().map(what_is_broken).collect(),
        }
    }

    /// What is not as it was before.
    pub(super) fn since(&self, before: &Self) -> Changes {
        let mut changes = Changes {
            objects: self.objects.len(),
            ..Changes::default()
        };
        for (name, hash) in &self.objects {
            match before.objects.get(name) {
                None => changes.added += 1,
                Some(known) if known != hash => changes.changed += 1,
                Some(_) => {}
            }
        }
        let names = before.objects.keys();
        changes.removed = names
            .filter(|name| !self.objects.contains_key(*name))
            .count();
        changes
    }
}

impl Changes {
    /// What to say of them, when reading and compiling took so long.
    pub(super) fn line(self, took: Duration) -> String {
        let [added, changed, removed, objects] =
            [self.added, self.changed, self.removed, self.objects].map(|count| count as u64);
        format!(
            "policies reloaded: {} added, {} changed, {} removed, {} object{} now, \
             read and compiled in {} ms",
            thousands(added),
            thousands(changed),
            thousands(removed),
            thousands(objects),
            if objects == 1 { "" } else { "s" },
            thousands(took.as_millis() as u64),
        )
    }
}

fn name_of(document: &Document) -> String {
    let version = document.api_version().unwrap_or_default();
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let title = document.title();
    if document.scope == Scope::Unknown {
        format!("{group}/{title} in {}", document.file)
    } else {
        format!("{group}/{title}")
    }
}

/// What an error is about, wherever in a file it is.
fn what_is_broken(error: &LoadError) -> String {
    match error {
        LoadError::Read(error) => error.file.to_string(),
        LoadError::Io { file, .. }
        | LoadError::TooLarge { file, .. }
        | LoadError::NotUtf8 { file, .. } => file.to_string(),
        LoadError::Conflict { object, .. } => object.clone(),
    }
}

/// What documents give to judge with: policies, what they tell of the cluster, options.
///
/// # Errors
/// [`CommandError`] for options that cannot be taken.
pub(super) fn given(
    agent: &AgentArgs,
    config: &Config,
    loaded: &Loaded,
) -> Result<Given, CommandError> {
    let mut inventory = Inventory::default();
    let mut documents = Vec::new();
    for document in &loaded.documents {
        if !inventory.add(&document.root, document.scope.namespace()) {
            documents.push(document.clone());
        }
    }
    Ok(Given {
        documents,
        taints: loaded.taints.iter().map(taint).collect(),
        options: agent.options(config, &inventory)?,
        inventory,
        strict: agent.is_strict(),
        complete: agent.is_complete(),
        names_complete: false,
    })
}

/// What could not be read, in the words of policies.
fn taint(taint: &manifest::Taint) -> Taint {
    Taint {
        scope: match &taint.scope {
            manifest::TaintScope::Namespace(name) => TaintScope::Namespace(name.clone()),
            manifest::TaintScope::Everything => TaintScope::Everything,
        },
        file: taint.file.clone(),
        at: taint.at,
        reason: taint.reason.clone(),
        unmodelled: false,
    }
}

/// What a person must know before believing a verdict.
pub(super) fn remarks(loaded: &Loaded, policies: &Policies) -> Vec<String> {
    let mut remarks: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    for repeated in &loaded.repeated {
        remarks.push(format!(
            "{}:{}: {} is there twice, first at {}:{}",
            repeated.ignored.0,
            repeated.ignored.1,
            repeated.object,
            repeated.kept.0,
            repeated.kept.1
        ));
    }
    let set = policies.any_set();
    let said = |taint: &Taint| {
        loaded.errors.iter().any(|error| {
            let text = error.to_string();
            text.starts_with(&format!("{}:{}:", taint.file, taint.at.line))
                || (taint.at.line == 0 && text.starts_with(&*taint.file))
        })
    };
    for taint in set.taints.iter().filter(|taint| !said(taint)) {
        remarks.push(format!(
            "{}:{}: {}; verdicts it might change are unknown",
            taint.file, taint.at.line, taint.reason
        ));
    }
    let mut floating: Vec<&Floating> = set.floating.iter().collect();
    floating.dedup_by(|one, other| one.id == other.id && one.file == other.file);
    for policy in floating {
        remarks.push(format!(
            "{}:{}: nothing says in which namespace {} {} is (give --policy-namespace or render the tree); verdicts of whom it might select are unknown",
            policy.file,
            policy.at.line,
            policy.id.kind.name(),
            policy.id.name
        ));
    }
    for object in &set.objects {
        if let Some(rejection) = &object.rejection {
            remarks.push(format!(
                "{}:{}: Cilium rejects {}, {}: {}",
                object.file, rejection.at.line, object.id, rejection.field, rejection.message
            ));
        }
    }
    remarks
}

/// Says the first of the remarks, and how many there are more.
pub(super) fn say_remarks(remarks: &[String], err: &mut dyn Write) {
    for remark in remarks.iter().take(SHOWN) {
        say(err, &format!("policies: {remark}"));
    }
    if remarks.len() > SHOWN {
        say(
            err,
            &format!(
                "policies: {} more; `flowwatch policy lint` shows all",
                remarks.len() - SHOWN
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(text: &str) -> Contents {
        let options = manifest::LoadOptions::default();
        Contents::of(&manifest::load_with(
            &["-".into()],
            &options,
            &mut text.as_bytes(),
        ))
    }

    fn object(name: &str, rest: &str) -> String {
        format!(
            "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
             metadata: {{name: {name}, namespace: shop}}\n{rest}\n"
        )
    }

    #[test]
    fn objects_are_compared_by_name_and_content_and_not_by_place() {
        let [a, b] = ["a", "b"].map(|name| object(name, "spec: {endpointSelector: {}, x: 1}"));
        let before = contents(&format!("{a}{b}"));
        let moved = a.replace("endpointSelector: {}, x: 1", "x: 1, endpointSelector: {}");
        let c = object("c", "spec: {}");
        let after = contents(&format!("# moved\n{c}{moved}"));
        let changes = after.since(&before);
        assert_eq!((changes.added, changes.changed, changes.removed), (1, 0, 1));
        assert_eq!(changes.objects, 2);
        let after = contents(&format!("{}{b}", a.replace("x: 1", "x: 2")));
        assert_eq!(after.since(&before).changed, 1);
    }
}
