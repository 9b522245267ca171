//! Further figures of evidence: shares, rates, bytes, lists.
//!
//! Owns how they are rounded. Peers, counts and times are `words`'.

use super::words;

/// `97.8 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 {
        "below 0.1 %".to_owned()
    } else if percent >= 10.0 && (percent - percent.round()).abs() < 0.05 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// `0.4`, `3.2`, `118`: a number to what matters of it.
pub(super) fn about(number: f64) -> String {
    if number >= 10.0 {
        words::number(number.round() as u64)
    } else if number >= 0.1 || number <= 0.0 {
        let text = format!("{number:.1}");
        text.strip_suffix(".0").unwrap_or(&text).to_owned()
    } else {
        "below 0.1".to_owned()
    }
}

/// `310 B`, `2.5 kB`, `118 kB`.
pub(super) fn bytes(number: f64) -> String {
    if number < 1_000.0 {
        format!("{number:.0} B")
    } else if number < 10_000.0 {
        format!("{:.1} kB", number / 1e3)
    } else if number < 1e6 {
        format!("{:.0} kB", number / 1e3)
    } else {
        format!("{:.1} MB", number / 1e6)
    }
}

/// `a`, `a and b`, `a, b and 3 more`: at most three by name.
pub(super) fn list<T: AsRef<str>>(names: &[T], all: usize) -> String {
    let shown: Vec<&str> = names.iter().take(3).map(AsRef::as_ref).collect();
    let more = all.saturating_sub(shown.len());
    match (shown.split_last(), more) {
        (None, _) => String::new(),
        (Some((one, [])), 0) => (*one).to_owned(),
        (Some((last, rest)), 0) => format!("{} and {last}", rest.join(", ")),
        _ => format!(
            "{} and {} more",
            shown.join(", "),
            words::number(more as u64)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_as_people_do() {
        assert_eq!(
            [percent(0.9782), percent(0.0), percent(0.5), percent(1e-5)],
            ["97.8 %", "0.0 %", "50 %", "below 0.1 %"]
        );
        assert_eq!(
            [about(0.41), about(3.0), about(1_234.4), about(0.01)],
            ["0.4", "3", "1,234", "below 0.1"]
        );
        assert_eq!(
            [bytes(310.0), bytes(2_500.0), bytes(118_000.0)],
            ["310 B", "2.5 kB", "118 kB"]
        );
    }

    #[test]
    fn lists_name_three_at_most() {
        assert_eq!(list(&["a"], 1), "a");
        assert_eq!(list(&["a", "b", "c"], 3), "a, b and c");
        assert_eq!(list(&["a", "b", "c", "d"], 9), "a, b, c and 6 more");
        assert_eq!(list::<&str>(&[], 0), "");
    }
}
