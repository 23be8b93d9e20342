//! Random numbers that are determined by a name and a seed: the same tensor name and seed give the same values here and
//! in `scripts/goldens`, so that golden outputs need no committed weights.

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// A counter-based generator: element `i` is splitmix64's finaliser of `seed + (i + 1) * GAMMA`.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of `name` under `seed`: FNV-1a of the name, mixed with the seed.
    pub fn named(name: &str, seed: u64) -> Self {
        let hash = name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
        Self { state: hash ^ seed.wrapping_mul(GAMMA) }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [-1, 1) with 24 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 40) as f64 / f64::from(1u32 << 24) * 2.0 - 1.0
    }

    /// Uniform in 0..bound, for bound > 0 (the bias is below bound / 2^64).
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound.max(1) as u64) as usize
    }

    /// `len` values, each `offset + scale * u` with u uniform in [-1, 1).
    pub fn tensor(&mut self, len: usize, offset: f64, scale: f64) -> Vec<f32> {
        (0..len).map(|_| (offset + scale * self.unit()) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_values_are_those_of_the_published_algorithms() {
        // FNV-1a of "" is its offset basis; splitmix64 seeded with 0 starts with this constant.
        let mut random = Random { state: 0 };
        assert_eq!(random.bits(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(Random::named("", 0).state, 0xCBF2_9CE4_8422_2325);
        assert_eq!(Random::named("a", 0).state, 0xAF63_DC4C_8601_EC8C);
    }

    #[test]
    fn values_stay_in_range() {
        let values = Random::named("x", 7).tensor(10_000, 0.0, 1.0);
        assert!(values.iter().all(|v| (-1.0..1.0).contains(v)));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 0.02, "mean {mean}");
    }
}
