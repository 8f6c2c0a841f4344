//! Random numbers of the model, from one seed.

use lanspread_core::swarm::Rng;

/// Generator of uniform, normal and exponential numbers.
#[derive(Debug)]
pub struct Random {
    bits: Rng,
    /// Second number of a pair of normal numbers.
    spare: Option<f64>,
}

impl Random {
    /// Returns a generator; the same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self { bits: Rng::new(seed), spare: None }
    }

    /// Returns a uniform number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.bits.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a uniform number in `0..end`; `end` must not be zero.
    pub fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    /// Returns a standard normal number (polar form of the Box–Muller transform).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = (-2.0 * square.ln() / square).sqrt();
                self.spare = Some(y * scale);
                return x * scale;
            }
        }
    }

    /// Returns an exponentially distributed number with the given mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}
