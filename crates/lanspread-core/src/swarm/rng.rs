//! Seeded randomness, so that every run can be replayed.

/// SplitMix64 generator for breaking ties, not for secrets.
///
/// Source: Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, 2014.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Creates a generator. Equal seeds give equal sequences.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number of the sequence.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Returns a number below `end`, or 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias of a multiply-shift is below 2^-32 for every range that is drawn from here.
        ((u128::from(self.next_u64()) * u128::from(end)) >> 64) as u64
    }

    /// Returns true with the given probability, from 0.0 to 1.0.
    pub fn chance(&mut self, probability: f64) -> bool {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64 <= probability
    }
}

/// Spreads the bits of a number with the finaliser of SplitMix64.
pub(super) const fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expects the numbers that were published with the reference implementation, so a seed replays a run on any
    /// machine.
    #[test]
    fn seed_gives_the_published_numbers() {
        let mut rng = Rng::new(1_234_567);
        let numbers: Vec<u64> = (0..5).map(|_| rng.next_u64()).collect();
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(numbers, published);
    }

    #[test]
    fn chance_matches_its_probability() {
        let mut rng = Rng::new(7);
        let mut times = |probability| (0..10_000).filter(|_| rng.chance(probability)).count();
        assert_eq!((times(0.0), times(1.0)), (0, 10_000));
        let quarter = times(0.25);
        assert!((2300..2700).contains(&quarter), "{quarter}");
    }
}
