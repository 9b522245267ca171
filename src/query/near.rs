//! The name that was meant, where the one that was typed is none.
//!
//! Owns what is near enough to be worth saying.

/// Most names that are offered.
const MOST: usize = 2;

/// Names that a typed one is near to, joined by "or": those that differ by little, else
/// those that it is a part of (`namespace` is one of either side).
pub(super) fn near<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let typed = typed.trim().to_lowercase();
    let mut slips: Vec<(usize, &str)> = Vec::new();
    let mut parts: Vec<&str> = Vec::new();
    for name in names {
        let lower = name.to_lowercase();
        let far = strsim::osa_distance(&typed, &lower);
        if far <= typed.chars().count().div_ceil(4).min(3) {
            slips.push((far, name));
        } else if typed.len() > 2 && lower.contains(&typed)
            || name.len() > 3 && typed.contains(&lower)
        {
            parts.push(name);
        }
    }
    let least = slips.iter().map(|(far, _)| *far).min();
    let best: Vec<&str> = match least {
        Some(least) => {
            let nearest = slips.into_iter().filter(|(far, _)| *far == least);
            nearest.map(|(_, name)| name).collect()
        }
        None => parts,
    };
    (!best.is_empty()).then(|| best[..best.len().min(MOST)].join(" or "))
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn a_slip_is_mended_and_a_part_is_completed() {
        let names = [
            "source_workload",
            "source_namespace",
            "destination_namespace",
            "verdict",
        ];
        for (typed, wanted) in [
            ("source_wrokload", Some("source_workload")),
            ("VERDICT", Some("verdict")),
            ("verdct", Some("verdict")),
            (
                "namespace",
                Some("source_namespace or destination_namespace"),
            ),
            ("latency", None),
            ("", None),
        ] {
            assert_eq!(near(typed, names).as_deref(), wanted, "{typed}");
        }
    }
}
