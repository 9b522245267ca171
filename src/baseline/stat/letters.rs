//! Whether a name looks like one that a person made.
//!
//! Owns the score of a label by its pairs of characters. It is a hint and no proof: people
//! make strange names and machines can make pretty ones.

use super::bigram::{BIGRAMS, KINDS};

/// Scale of the table.
const UNIT: f64 = 20.0;

/// Mean log-likelihood ratio a character, natural, of a label being a name that a person
/// made against letters and digits at random: above 0 it is like a name. Names of software
/// packages have 0.86 ± 0.38; twelve letters at random −0.95 ± 0.53, hexadecimal −1.24.
/// 0 for an empty label.
#[must_use]
pub fn likeness(label: &str) -> f64 {
    let mut before = KINDS;
    let (mut sum, mut length) = (0.0, 0.0);
    for byte in label.bytes() {
        let this = match byte.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => usize::from(letter - b'a'),
            b'0'..=b'9' => 26,
            _ => 27,
        };
        sum += f64::from(BIGRAMS[before][this]) / UNIT;
        length += 1.0;
        before = this;
    }
    if length > 0.0 { sum / length } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn names_of_known_services_look_made() {
        for name in [
            "google",
            "amazonaws",
            "githubusercontent",
            "kubernetes",
            "cloudfront",
            "datadoghq",
            "stripe",
            "pagerduty",
        ] {
            assert!(likeness(name) > 0.3, "{name}: {}", likeness(name));
        }
        assert!(likeness("").abs() < 1e-12);
        assert!((likeness("Google") - likeness("google")).abs() < 1e-12);
    }

    #[test]
    fn letters_at_random_do_not() {
        let mut random = ChaCha8Rng::seed_from_u64(12);
        for alphabet in ["abcdefghijklmnopqrstuvwxyz", "0123456789abcdef"] {
            let alphabet = alphabet.as_bytes();
            let made: usize = (0..1_000)
                .filter(|_| {
                    let label: String = (0..12)
                        .map(|_| char::from(alphabet[random.random_range(0..alphabet.len())]))
                        .collect();
                    likeness(&label) > 0.0
                })
                .count();
            assert!(made < 60, "{made} of 1000 look made");
        }
    }

    #[test]
    fn each_row_is_a_distribution() {
        for row in BIGRAMS {
            let sum: f64 = row
                .iter()
                .enumerate()
                .map(|(at, &ratio)| {
                    let random = if at == 26 { 10.0 / 36.0 } else { 1.0 / 36.0 };
                    (f64::from(ratio) / UNIT).exp() * random
                })
                .sum();
            assert!((sum - 1.0).abs() < 0.05, "{sum}");
        }
    }
}
