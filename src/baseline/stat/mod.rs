//! The mathematics of what is unusual: pure functions and small state machines on numbers.
//!
//! Owns every probability that a detector gives. Knows no flows, workloads or time zones;
//! what is counted, and what follows from a small probability, is others'.
//!
//! A p-value here is the probability of something at least as far out, if everything is as
//! it always was. It is never 0 where the model gives a chance at all, and where an exact
//! value is out of reach the one given is too large rather than too small.

mod beta_binomial;
mod bigram;
mod combine;
mod cusum;
mod decay;
mod dispersion;
mod information;
mod letters;
mod negative_binomial;
mod periodicity;
mod rate;
mod special;
mod sprt;

pub use beta_binomial::BetaBinomial;
pub use combine::{bonferroni, cauchy};
pub use cusum::Cusum;
pub use decay::Decayed;
pub use dispersion::Dispersion;
pub use information::{Charset, Distinct, information};
pub use letters::likeness;
pub use negative_binomial::NegativeBinomial;
pub use periodicity::{Beat, LEAST_STARTS, beat, p_mad, p_variation};
pub use rate::{Expected, Level, expected};
pub use special::z_of;
pub use sprt::{Sprt, Verdict};
