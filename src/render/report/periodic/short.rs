//! The review in a few sentences.

use super::checks::kinds_of_drops;
use super::seen::{missing, period};
use super::{Kind, Review};
use crate::render::report::words::{counted, listed};
use crate::render::thousands;

pub(super) fn title(review: &Review<'_>) -> String {
    let kind = match review.kind {
        Kind::Weekly => "Weekly",
        Kind::Quarterly => "Quarterly",
    };
    format!("{kind} flow review, {}", period(&review.comparison.later))
}

pub(super) fn sentences(review: &Review<'_>) -> Vec<String> {
    let comparison = review.comparison;
    let clusters: Vec<&str> = review
        .report
        .reading
        .clusters
        .iter()
        .map(AsRef::as_ref)
        .collect();
    let of = if clusters.is_empty() {
        String::new()
    } else {
        format!(" of {}", listed(&clusters, 3))
    };
    let mut said = vec![format!(
        "{}{of}, against {}.",
        period(&comparison.later),
        period(&comparison.earlier)
    )];
    said.extend(completeness(review));
    said.push(connections(review));
    if comparison.is_quiet() {
        said.push(if comparison.earlier.is_whole() && comparison.later.is_whole() {
            "Nothing changed: no new edge, none that vanished, no new name outside, no new kind of drop.".to_owned()
        } else {
            "No change was seen, in what was watched: no edge, no name outside, no kind of drop that was not there before.".to_owned()
        });
    } else if comparison.is_comparable() {
        said.extend(changes(review));
    }
    said.extend(policies(review));
    said
}

fn completeness(review: &Review<'_>) -> Vec<String> {
    let comparison = review.comparison;
    let both = [
        ("earlier", &comparison.earlier),
        ("later", &comparison.later),
    ];
    if !comparison.is_comparable() {
        let mut said: Vec<String> = both
            .iter()
            .filter(|(_, one)| !one.is_there())
            .map(|(name, one)| {
                format!("Of the {name} period ({}) nothing is in the archive: what is new and what vanished cannot be told.", period(one))
            })
            .collect();
        said.extend(
            both.iter()
                .filter(|(_, one)| one.is_there())
                .filter_map(|(name, one)| {
                    Some(format!("Of the {name} period: {}.", missing(one)?))
                }),
        );
        return said;
    }
    let parts: Vec<String> = both
        .iter()
        .filter_map(|(name, one)| {
            Some(format!(
                "Not all of the {name} period was seen: {}.",
                missing(one)?
            ))
        })
        .collect();
    if parts.is_empty() {
        vec!["Both periods were seen whole, as far as flows tell.".to_owned()]
    } else {
        parts
    }
}

fn connections(review: &Review<'_>) -> String {
    let comparison = review.comparison;
    let before = |count: u64| {
        if comparison.earlier.is_there() {
            format!(" ({} before)", thousands(count))
        } else {
            String::new()
        }
    };
    format!(
        "{}{}, {} denied by policy{}.",
        counted(comparison.connections.1, "connection"),
        before(comparison.connections.0),
        thousands(comparison.denied.1),
        before(comparison.denied.0)
    )
}

fn changes(review: &Review<'_>) -> Option<String> {
    let comparison = review.comparison;
    let is_new = comparison.earlier.is_whole();
    let word =
        |yes: bool, certain: &'static str, seen: &'static str| if yes { certain } else { seen };
    let mut parts = Vec::new();
    let new = word(is_new, "new", "not seen before");
    if !comparison.names.is_empty() {
        let names = counted(comparison.names.len() as u64, "name");
        parts.push(format!("{names} outside {new}"));
    }
    if !comparison.edges.is_empty() {
        parts.push(format!(
            "{} {new}",
            counted(comparison.edges.len() as u64, "edge")
        ));
    }
    if !comparison.gone.is_empty() {
        let gone = word(comparison.later.is_whole(), "vanished", "not seen any more");
        parts.push(format!(
            "{} {gone}",
            counted(comparison.gone.len() as u64, "edge")
        ));
    }
    if !comparison.drops.is_empty() {
        parts.push(format!("drops of {}", kinds_of_drops(comparison)));
    }
    let gaps = comparison.new_gaps().count();
    if gaps > 0 {
        parts.push(format!("{} {new}", counted(gaps as u64, "gap")));
    }
    (!parts.is_empty()).then(|| format!("Changes: {}.", parts.join("; ")))
}

fn policies(review: &Review<'_>) -> Option<String> {
    review.policies?;
    let comparison = review.comparison;
    let (equal, drift) = comparison.compared;
    Some(match drift {
        0 if equal > 0 => {
            "Every recorded verdict that could be compared is what the policies say.".to_owned()
        }
        0 => "No recorded verdict could be compared with the policies.".to_owned(),
        1 => "1 recorded verdict differs from what the policies say.".to_owned(),
        drift => format!(
            "{} recorded verdicts differ from what the policies say.",
            thousands(drift)
        ),
    })
}
