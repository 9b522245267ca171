//! Rules that let more pass than was used, narrowed to what was.
//!
//! Owns which rules are loose (`loose`), what each is needed for (`fits`, `needed`), what it
//! becomes (`narrow`), and the text of files with that in it. A file says what it said before
//! but for the narrowed elements, or it is left alone. Reads no flows and writes no files.

mod fits;
mod kubernetes;
mod loose;
mod narrow;
mod needed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::{Policies, Rule};
use crate::flow::counted;
use crate::manifest::{self, Document, PatchError, patch};
use crate::policy::{AllowLocalhost, Direction, ObjectId, PolicySet};
use crate::review::observed::{Directory, Why, key_of};
use crate::review::suggest::{Broken, Replayed, Window};

pub use fits::{FitJudge, Fits};
pub use loose::LeftAlone;
pub use narrow::Narrowing;
pub use needed::{Need, Needed};

/// Loose rules of a set.
#[derive(Clone, Debug)]
pub struct Plan {
    loose: Vec<loose::Loose>,
    closing: bool,
}

/// Texts of files by name.
pub type Texts = BTreeMap<Arc<str>, String>;

/// What became of it.
#[derive(Debug, Default)]
pub struct Tightened {
    /// Rules that were narrowed, by file and line.
    pub narrowed: Vec<Narrowing>,
    /// Loose rules that were not, and why.
    pub left: Vec<LeftAlone>,
    /// Files that changed, as they were and as they are.
    pub files: Vec<(Arc<str>, String, String)>,
    /// What came of the replay.
    pub replayed: Replayed,
    /// What the recording can say.
    pub window: Window,
    /// Accepted connections.
    pub accepted: u64,
    /// Connections that are not accepted, by why.
    pub left_out: BTreeMap<Why, u64>,
    /// Connections on edges that are not told apart.
    pub beyond: u64,
}

/// Edited texts, what was narrowed in them and what was not.
#[derive(Debug, Default)]
pub struct Edited {
    /// Files that changed.
    pub texts: Texts,
    /// What was narrowed.
    pub narrowed: Vec<Narrowing>,
    /// What was not.
    pub left: Vec<LeftAlone>,
}

impl Plan {
    /// The loose rules of a set, whose objects are among the documents.
    #[must_use]
    pub fn new(documents: &[Document], set: &PolicySet) -> Self {
        Self {
            loose: loose::loose(documents, set),
            closing: false,
        }
    }

    /// Of these rules alone, and of those with these indices in the set.
    #[must_use]
    pub fn only(mut self, rules: &[Rule], more: &BTreeSet<u32>) -> Self {
        let is_meant = |id: &ObjectId, line: u32| {
            let policy = id.short();
            rules
                .iter()
                .any(|rule| rule.line == line && *rule.policy == *policy)
        };
        self.loose.retain(|one| {
            one.rules().any(|rule| more.contains(&rule)) || is_meant(&one.id, one.line)
        });
        self
    }

    /// Rules that nothing accepted needed let nobody pass any more, instead of staying as they
    /// are.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closing = true;
        self
    }

    /// Whether none is loose.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.loose.is_empty()
    }

    /// Their indices in the set.
    #[must_use]
    pub fn rules(&self) -> BTreeSet<u32> {
        self.loose.iter().flat_map(loose::Loose::rules).collect()
    }

    /// What is needed, by the first rule of each element: peers of a NetworkPolicy are rules
    /// of their own.
    #[must_use]
    pub fn gathered(&self, mut need: Need) -> Need {
        for one in &self.loose {
            for other in &one.others {
                need.merge(one.rule, *other);
            }
        }
        need
    }

    /// What each becomes, of what it was needed for.
    #[must_use]
    pub fn narrowings(
        &self,
        need: &Need,
        (documents, policies, directory): (&[Document], &Policies, &Directory),
        cluster: &Arc<str>,
    ) -> (Vec<Narrowing>, Vec<LeftAlone>) {
        let around = narrow::Surroundings {
            directory,
            cluster,
            lets_host_in: policies.options().allow_localhost != AllowLocalhost::Policy,
            documents,
        };
        let (mut made, mut left) = (Vec::new(), Vec::new());
        for one in &self.loose {
            let uses = need.uses.get(&one.rule).map_or(&[][..], Vec::as_slice);
            let made_of = if uses.is_empty() && self.closing {
                narrow::close(one, &around)
            } else {
                narrow::narrow(one, uses, &around)
            };
            match made_of {
                Ok(narrowing) => made.push(narrowing),
                Err(mut why) => {
                    let spared = need.spared.get(&one.rule).copied().unwrap_or_default();
                    if uses.is_empty() && spared > 0 {
                        why.why = format!(
                            "all {spared} accepted connections that it lets pass are let pass by other rules too"
                        );
                    }
                    left.push(why);
                }
            }
        }
        (made, left)
    }
}

/// Writes narrowings into the texts of their files; `without` are rules that are left as they
/// are, and why.
#[must_use]
pub fn edit(
    texts: &Texts,
    documents: &[Document],
    narrowings: &[Narrowing],
    without: &BTreeMap<u32, String>,
) -> Edited {
    let mut edited = Edited::default();
    // From the last element of a list to the first, so that places stay what they are.
    let mut order: Vec<&Narrowing> = narrowings.iter().collect();
    order.sort_by_key(|one| (one.document, std::cmp::Reverse(one.element)));
    for one in order {
        let left = |why: String| LeftAlone {
            id: one.id.clone(),
            file: one.file.clone(),
            line: one.line,
            why,
        };
        if let Some(why) = without.get(&one.rule) {
            edited.left.push(left(why.clone()));
            continue;
        }
        let document = &documents[one.document];
        let Some(text) = edited
            .texts
            .get(&document.file)
            .or_else(|| texts.get(&document.file))
        else {
            edited.left.push(left("it is of no file".to_owned()));
            continue;
        };
        let place = (document.index, document.item);
        match patch(text, place, &one.patches) {
            Ok(new) => {
                edited.texts.insert(document.file.clone(), new);
                edited.narrowed.push(one.clone());
            }
            Err(error) => edited.left.push(left(reason(&error))),
        }
    }
    edited
        .narrowed
        .sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    edited
}

fn reason(error: &PatchError) -> String {
    format!("it cannot be edited and everything else kept: {error}")
}

/// The documents with those of edited files in their place, in the namespaces they are in.
///
/// # Errors
/// The file that does not read back.
pub fn documents(before: &[Document], edited: &Texts) -> Result<Vec<Document>, String> {
    let mut read: BTreeMap<&Arc<str>, Vec<Document>> = BTreeMap::new();
    for (file, text) in edited {
        let outcome = manifest::read(text, file.clone());
        if let Some(error) = outcome.errors.first() {
            return Err(error.to_string());
        }
        read.insert(file, outcome.documents);
    }
    Ok(before
        .iter()
        .map(|document| {
            let again = read.get(&document.file).and_then(|list| {
                list.iter()
                    .find(|other| (other.index, other.item) == (document.index, document.item))
            });
            match again {
                Some(again) => Document {
                    scope: document.scope.clone(),
                    ..again.clone()
                },
                None => document.clone(),
            }
        })
        .collect())
}

/// Which narrowings made something accepted break: those that were needed for it, else all of
/// its direction that may be about it. Returns their rules with the reason.
#[must_use]
pub fn too_narrow(
    broken: &[Broken],
    narrowings: &[Narrowing],
    need: &Need,
) -> BTreeMap<u32, String> {
    let mut found = BTreeMap::new();
    for one in broken {
        for direction in &one.sides {
            let why = format!(
                "narrowed, it would deny {} -> {}:{}{}",
                one.client,
                one.server,
                one.port,
                one.request
                    .as_ref()
                    .map(|request| format!(" {request}"))
                    .unwrap_or_default()
            );
            let of_direction = narrowings
                .iter()
                .filter(|narrowing| narrowing.direction == *direction);
            let needed: Vec<u32> = of_direction
                .clone()
                .filter(|narrowing| {
                    let uses = need.uses.get(&narrowing.rule).into_iter().flatten();
                    uses.into_iter().any(|other| {
                        other.client == one.client
                            && other.server == one.server
                            && (other.port, other.protocol) == (one.port, one.protocol)
                    })
                })
                .map(|narrowing| narrowing.rule)
                .collect();
            let subject = match direction {
                Direction::Ingress => &one.server,
                Direction::Egress => &one.client,
            };
            let namespace = key_of(subject).map(|key| key.1).unwrap_or_default();
            let rules = if needed.is_empty() {
                of_direction
                    .filter(|narrowing| {
                        narrowing.id.namespace.is_empty() || narrowing.id.namespace == namespace
                    })
                    .map(|narrowing| narrowing.rule)
                    .collect()
            } else {
                needed
            };
            for rule in rules {
                found.entry(rule).or_insert_with(|| why.clone());
            }
        }
    }
    found
}

impl Tightened {
    /// What is not proven, as sentences.
    #[must_use]
    pub fn unproven(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        let open = self.replayed.open_connections;
        if open > 0 && self.replayed.newly_undecided > 0 && !self.narrowed.is_empty() {
            sentences.push(format!(
                "undecided: whether {} would still pass",
                counted(open, "accepted connection", "accepted connections")
            ));
        }
        let broken = self.replayed.more_broken;
        if broken > 0 {
            sentences.push(format!(
                "{} would be denied on more edges than are told apart: take a shorter time by --since",
                counted(
                    broken,
                    "accepted connection or request",
                    "accepted connections or requests"
                )
            ));
        }
        let more_open = self.replayed.more_open && self.replayed.newly_undecided > 0;
        if self.beyond > 0 || more_open {
            sentences.push(
                "there are more edges than are told apart: take a shorter time by --since"
                    .to_owned(),
            );
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_beyond_the_bound_is_not_proven() {
        let mut tightened = Tightened::default();
        assert!(tightened.unproven().is_empty());
        tightened.replayed.more_broken = 1;
        assert_eq!(
            tightened.unproven(),
            [
                "1 accepted connection or request would be denied on more edges than are told apart: take a shorter time by --since"
            ]
        );
    }

    #[test]
    fn edges_beyond_the_bound_that_nothing_is_known_of_are_not_proven() {
        let mut tightened = Tightened::default();
        tightened.replayed.more_open = true;
        // What could not be told before is no news.
        assert!(tightened.unproven().is_empty());
        tightened.replayed.newly_undecided = 1;
        assert_eq!(
            tightened.unproven(),
            ["there are more edges than are told apart: take a shorter time by --since"]
        );
    }
}
