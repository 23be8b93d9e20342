//! Weights from a seed, for benchmarks without a checkpoint and for golden outputs without committed weights.
//! `scripts/goldens` has the same rule.

use super::Source;
use crate::error::Result;
use crate::random::Random;

/// Random tensors that depend only on their names and the seed.
pub(crate) struct RandomWeights {
    pub(crate) seed: u64,
}

impl Source for RandomWeights {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (offset, scale) = distribution(name, shape);
        Ok(Random::named(name, self.seed).tensor(shape.iter().product(), offset, scale))
    }

    fn ignore(&mut self, _name: &str) {}

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Ends of the names of weights that are near 1, those of layer norms and batch norms.
const NORMS: [&str; 6] = ["norm.weight", "norm1.weight", "norm2.weight", "bn1.weight", "bn2.weight", "bn3.weight"];

/// Mean and half width of a tensor's uniform distribution. Values are similar to trained ones, with queries and keys
/// large enough that attention is not uniform.
fn distribution(name: &str, shape: &[usize]) -> (f64, f64) {
    let embedding = ["cls_token", "dist_token", "reg_token", "pos_embed"].contains(&name);
    if name.ends_with(".gamma") {
        (0.5, 0.2)
    } else if name.ends_with(".running_var") {
        // These variances keep the magnitude of activations through ReLU, as trained batch norms do.
        (0.5, 0.2)
    } else if NORMS.iter().any(|norm| name.ends_with(norm)) {
        (1.0, 0.1)
    } else if name.ends_with(".bias") || name.ends_with(".running_mean") {
        (0.0, 0.1)
    } else if embedding {
        (0.0, 0.5)
    } else {
        let fan_in: usize = shape.iter().skip(1).product();
        let gain = if name.ends_with("attn.qkv.weight") { 2.0 } else { 1.0 };
        (0.0, gain * (3.0 / fan_in as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::excessive_precision, reason = "the digits that the script prints")]
    fn values_are_those_of_the_python_script() {
        let mut source = RandomWeights { seed: 6 };
        let token = source.take("cls_token", &[1, 1, 192]).unwrap();
        assert_eq!(token[..3], [-0.376_880_825, -0.376_857_698, 0.392_147_124]);
        let qkv = source.take("blocks.0.attn.qkv.weight", &[576, 192]).unwrap();
        assert_eq!((qkv[0], qkv[576 * 192 - 1]), (-0.142_916_620, -0.046_183_288));
    }
}
