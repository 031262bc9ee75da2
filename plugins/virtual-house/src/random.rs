//! Chance that repeats: a small seeded generator (SplitMix64, after Steele, Lea and Flood 2014).

use serde::{Deserialize, Serialize};

/// The generator. Its state is part of the house, so that a restart goes on where it stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 (included) to 1 (excluded).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From -1 to 1.
    pub(crate) fn noise(&mut self) -> f64 {
        self.unit() * 2.0 - 1.0
    }

    /// Whether something that happens `per_hour` times an hour happens within `seconds`.
    pub(crate) fn happens(&mut self, per_hour: f64, seconds: f64) -> bool {
        self.unit() < 1.0 - (-per_hour * seconds / 3600.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.unit()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        assert!(numbers(7).iter().all(|n| (0.0..1.0).contains(n)));
    }

    #[test]
    fn what_happens_twice_an_hour_happens_so() {
        let mut random = Random::new(1);
        let times = (0..360_000).filter(|_| random.happens(2.0, 1.0)).count();
        assert!((150..=250).contains(&times), "{times} times in 100 hours");
    }
}
