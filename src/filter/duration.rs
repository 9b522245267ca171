//! Durations as Go writes them: `1h30m`, `1.5h`, `-300ms`, `0`.

/// Nanoseconds of a duration; `None` for what Go refuses, 64 bits overrun included.
///
/// A number with an optional fraction and a unit (`ns`, `us`, `ms`, `s`, `m`, `h`), any
/// number of times, with one sign in front. A bare `0` needs no unit.
#[must_use]
pub fn parse_go_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = if let Some(rest) = text.strip_prefix('-') {
        (true, rest)
    } else {
        (false, text.strip_prefix('+').unwrap_or(text))
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (part, after) = component(rest)?;
        total = total.checked_add(part)?;
        rest = after;
    }
    if negative {
        0i64.checked_sub_unsigned(total)
    } else {
        i64::try_from(total).ok()
    }
}

/// One number with its unit, in nanoseconds, and what follows.
fn component(text: &str) -> Option<(u64, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let unit: u64 = match &rest[..end] {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // Digits beyond the nanosecond of the largest unit cannot matter.
    let mut scale: u128 = 1;
    let mut part: u128 = 0;
    for digit in fraction.bytes().take(18) {
        scale *= 10;
        part = part * 10 + u128::from(digit - b'0');
    }
    let part = u64::try_from(part * u128::from(unit) / scale).ok()?;
    Some((whole.checked_mul(unit)?.checked_add(part)?, &rest[end..]))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_grammar_of_durations() {
        for (text, nanos) in [
            ("90s", 90_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("-.5s", -500_000_000),
            ("+1.s", 1_000_000_000),
            ("1\u{b5}s2ns", 1_002),
            ("0", 0),
            ("-0", 0),
            ("0.1ns", 0),
            ("2562047h47m16.854775807s", i64::MAX),
        ] {
            assert_eq!(parse_go_duration(text), Some(nanos), "{text}");
        }
    }

    #[test]
    fn what_go_refuses() {
        for text in [
            "",
            "-",
            "+-1s",
            "1",
            "1d",
            ".s",
            "s",
            "1 s",
            "1S",
            "00",
            "2562047h47m17s",
            "1h ",
            "99999999999999999999s",
        ] {
            assert_eq!(parse_go_duration(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), close in "[-+.0-9hmsun\u{b5}]{0,30}") {
            let _ = parse_go_duration(&text);
            let _ = parse_go_duration(&close);
        }
    }
}
