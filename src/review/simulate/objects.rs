//! Which policies two sets differ in.
//!
//! Owns comparing objects by name and content, wherever they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::{ObjectId, PolicyEntry, PolicySet};

/// How an object differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectChanged {
    /// Only the second set has it.
    Added,
    /// Both have it, and it says something else.
    Changed,
    /// Only the first set has it.
    Removed,
}

/// An object that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectChange {
    /// Which.
    pub id: ObjectId,
    /// How.
    pub changed: ObjectChanged,
    /// Where it is written: in the second set, or in the first where that has it alone.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Connections of the recording that its rules decided about, under either set.
    pub connections: u64,
}

/// What is known of an object of a set: where it is, and what it says.
type Told<'a> = (&'a Arc<str>, u32, Vec<String>);

/// The objects that differ, by name. Those that a set does not enforce say nothing in it.
#[must_use]
pub fn compare(base: &PolicySet, head: &PolicySet) -> Vec<ObjectChange> {
    let (before, after) = (told(base), told(head));
    let mut changes = Vec::new();
    let one = |id: &ObjectId, changed, (file, line, _): &Told<'_>| ObjectChange {
        id: id.clone(),
        changed,
        file: Arc::clone(file),
        line: *line,
        connections: 0,
    };
    for (id, now) in &after {
        match before.get(id) {
            None => changes.push(one(id, ObjectChanged::Added, now)),
            Some(then) if then.2 != now.2 => changes.push(one(id, ObjectChanged::Changed, now)),
            Some(_) => {}
        }
    }
    for (id, then) in &before {
        if !after.contains_key(id) {
            changes.push(one(id, ObjectChanged::Removed, then));
        }
    }
    changes.sort_by(|one, other| one.id.cmp(&other.id));
    changes
}

fn told(set: &PolicySet) -> BTreeMap<ObjectId, Told<'_>> {
    let mut objects: BTreeMap<ObjectId, Told<'_>> = BTreeMap::new();
    for (index, object) in (0_u32..).zip(&set.objects) {
        if object.rejection.is_some() {
            continue;
        }
        let entries = set.entries.iter().filter(|entry| entry.object == index);
        let told = objects
            .entry(object.id.clone())
            .or_insert_with(|| (&object.file, object.at.line, Vec::new()));
        told.2
            .extend(entries.map(|entry| format!("{:?}", without_places(entry))));
    }
    objects
}

fn without_places(entry: &PolicyEntry) -> PolicyEntry {
    let mut entry = entry.clone();
    entry.object = 0;
    entry.rule.at = crate::manifest::Place::default();
    for port in entry.ports.iter_mut().flat_map(|rule| &mut rule.ports) {
        port.at = crate::manifest::Place::default();
    }
    entry
}

impl ObjectChanged {
    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}
