//! Knobs of an incident: what the world file gives, else what the intensity comes to.
//!
//! Owns going from one intensity to several knobs. Each turns with it, a little off, so that
//! incidents of one intensity are not all the same.

use serde_json::Value;

use super::super::super::number::{Random, exp, ln};
use super::super::wanted::Given;
use super::Facts;

/// How far a knob is off, of the whole way from quiet to loud.
const OFF: f64 = 0.08;

pub(super) struct Dials<'a> {
    pub(super) intensity: f64,
    pub(super) given: &'a [(String, Given)],
    pub(super) random: &'a mut Random,
    pub(super) facts: &'a mut Facts,
}

impl Dials<'_> {
    fn given(&self, key: &str) -> Option<&Given> {
        let given = self.given.iter().find(|(known, _)| known == key);
        given.map(|(_, given)| given)
    }

    fn number(&self, key: &str) -> Option<f64> {
        match self.given(key) {
            Some(Given::Number(number)) => Some(*number),
            _ => None,
        }
    }

    fn turned(&mut self) -> f64 {
        let off = self.random.between(-OFF, OFF);
        (self.intensity + off).clamp(0.0, 1.0)
    }

    fn used(&mut self, key: &'static str, value: impl Into<Value>) {
        self.facts.knobs.push((key, value.into()));
    }

    /// From `quiet` to `loud`, each order of magnitude as far as the next.
    pub(super) fn log(&mut self, key: &'static str, (quiet, loud): (f64, f64)) -> f64 {
        let turned = self.turned();
        let drawn = exp(ln(quiet) + turned * (ln(loud) - ln(quiet)));
        let value = self.number(key).unwrap_or(drawn).max(1e-6);
        self.used(key, (value * 1e4).round() / 1e4);
        value
    }

    /// From `quiet` to `loud`, evenly.
    pub(super) fn linear(&mut self, key: &'static str, (quiet, loud): (f64, f64)) -> f64 {
        let turned = self.turned();
        let drawn = quiet + turned * (loud - quiet);
        let value = self.number(key).unwrap_or(drawn);
        self.used(key, (value * 1e4).round() / 1e4);
        value
    }

    /// As [`Dials::log`], a whole number of at least 1.
    pub(super) fn count(&mut self, key: &'static str, (quiet, loud): (f64, f64)) -> u32 {
        let turned = self.turned();
        let drawn = exp(ln(quiet) + turned * (ln(loud) - ln(quiet)));
        let value = self.number(key).unwrap_or(drawn).round().clamp(1.0, 1e6) as u32;
        self.used(key, value);
        value
    }

    /// One of some words.
    pub(super) fn word(&mut self, key: &'static str, words: &[&'static str]) -> &'static str {
        let drawn = words[self.random.below(words.len())];
        let given = match self.given(key) {
            Some(Given::Word(word)) => words.iter().find(|known| *known == word).copied(),
            _ => None,
        };
        let word = given.unwrap_or(drawn);
        self.used(key, word);
        word
    }

    /// Yes with a likelihood.
    pub(super) fn switch(&mut self, key: &'static str, likely: f64) -> bool {
        let drawn = self.random.chance(likely);
        let value = match self.given(key) {
            Some(Given::Switch(value)) => *value,
            _ => drawn,
        };
        self.used(key, value);
        value
    }
}
