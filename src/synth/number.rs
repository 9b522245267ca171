//! Random numbers and the few functions they need, the same on every machine.
//!
//! Owns the generator and the distributions. Nothing here calls the system's mathematical
//! library, whose last digits differ between systems: only operations that IEEE 754 defines
//! to the last bit are used, so a seed gives the same bytes everywhere.

/// A generator (xoshiro256**) seeded by splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: [u64; 4],
    /// The second of two normal numbers that were drawn together.
    spare: Option<f64>,
}

impl Random {
    /// A generator for one use: `stream` keeps those of one seed apart.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut state = seed ^ mix(stream.wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        };
        Self {
            state: [next(), next(), next(), next()],
            spare: None,
        }
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// From 0 up to, not including, 1.
    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `count`; 0 for a count of 0.
    #[inline]
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }

    /// One of a list that is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len())).copied()
    }

    #[inline]
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    /// Each order of magnitude as likely as the next.
    pub(crate) fn log_uniform(&mut self, low: f64, high: f64) -> f64 {
        let (low, high) = (ln(low), ln(high));
        exp(self.between(low, high))
    }

    /// Mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -ln(1.0 - self.unit())
    }

    /// Mean 0, deviation 1 (Marsaglia's polar method).
    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (self.between(-1.0, 1.0), self.between(-1.0, 1.0));
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = (-2.0 * ln(square) / square).sqrt();
                self.spare = Some(y * scale);
                return x * scale;
            }
        }
    }

    pub(crate) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * exp(sigma * self.normal())
    }

    /// Gamma of mean 1 (Marsaglia and Tsang); shapes below 1 count as 1.
    pub(crate) fn gamma(&mut self, shape: f64) -> f64 {
        let d = shape.max(1.0) - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = 1.0 + c * x;
            if v <= 0.0 {
                continue;
            }
            let v = v * v * v;
            if ln(1.0 - self.unit()) < 0.5 * x * x + d - d * v + d * ln(v) {
                return d * v / (d + 1.0 / 3.0);
            }
        }
    }
}

/// Spreads a number over all bits (the finalizer of splitmix64).
pub(crate) fn mix(value: u64) -> u64 {
    let mixed = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// The natural logarithm of a positive, normal number; 0 counts as the smallest of these.
pub(crate) fn ln(value: f64) -> f64 {
    let bits = value.max(f64::MIN_POSITIVE).to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut part = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    if part > std::f64::consts::SQRT_2 {
        part *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), where the series is short.
    let s = (part - 1.0) / (part + 1.0);
    let square = s * s;
    let series = (0..10).rev().fold(0.0, |sum, term| {
        sum * square + 1.0 / (2.0 * f64::from(term) + 1.0)
    });
    2.0 * s * series + exponent as f64 * std::f64::consts::LN_2
}

/// The exponential function; what is too large or small for a normal number is clamped.
pub(crate) fn exp(value: f64) -> f64 {
    let value = value.clamp(-700.0, 700.0);
    let twos = (value / std::f64::consts::LN_2 + 1024.5) as i64 - 1024;
    let rest = value - twos as f64 * std::f64::consts::LN_2;
    let series = (1..=14)
        .rev()
        .fold(1.0, |sum, term| 1.0 + sum * rest / f64::from(term));
    series * f64::from_bits(((twos + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_and_exponential_are_those_of_the_library_but_for_the_last_digits() {
        let mut random = Random::new(1, 1);
        for _ in 0..10_000 {
            let x = random.log_uniform(1e-9, 1e9);
            assert!((ln(x) - x.ln()).abs() < 1e-13 * (1.0 + x.ln().abs()), "{x}");
            let y = random.between(-40.0, 40.0);
            assert!((exp(y) / y.exp() - 1.0).abs() < 1e-13, "{y}");
        }
    }

    #[test]
    fn draws_have_the_means_and_spreads_of_their_distributions() {
        let mut random = Random::new(7, 2);
        let mut of = |draw: fn(&mut Random) -> f64| {
            let draws: Vec<f64> = (0..40_000).map(|_| draw(&mut random)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let square = |draw: &f64| (draw - mean) * (draw - mean);
            let variance = draws.iter().map(square).sum::<f64>() / draws.len() as f64;
            (mean, variance)
        };
        let near = |(mean, variance): (f64, f64), wanted: (f64, f64)| {
            assert!((mean - wanted.0).abs() < 0.03, "mean {mean}");
            assert!((variance - wanted.1).abs() < 0.05, "variance {variance}");
        };
        near(of(Random::unit), (0.5, 1.0 / 12.0));
        near(of(Random::normal), (0.0, 1.0));
        near(of(Random::exponential), (1.0, 1.0));
        near(of(|random| random.gamma(4.0)), (1.0, 0.25));
    }

    #[test]
    fn a_seed_gives_these_numbers_on_every_machine() {
        let mut random = Random::new(42, 0);
        let first: Vec<u64> = (0..2).map(|_| random.next()).collect();
        let mut again = Random::new(42, 0);
        assert_eq!(first, [again.next(), again.next()]);
        assert_ne!(first[0], Random::new(42, 1).next());
        assert_eq!(ln(2.0).to_bits(), std::f64::consts::LN_2.to_bits());
    }
}
