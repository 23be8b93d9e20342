//! The weights of a convolutional stem as `embed/convolve.wgsl` reads them, with batch norm folded in.

use super::{Source, check_range};
use crate::config::VitConfig;
use crate::error::{Error, Result};
use crate::gpu::{Context, Home, Placed, Precision, Texels, fits, upload};
use crate::kernels::convolve;
use crate::plan::Convolution;
use crate::ways;

/// The epsilon of batch norm: torch's default, which LV-ViT uses.
const EPSILON: f64 = 1e-5;

/// One convolution.
pub(crate) struct ConvolutionWeights {
    /// The filters [C, K, K, O], with O a multiple of 4, or padded to a multiple of 8 in a texture.
    pub(crate) w: Placed,
    /// The bias [O].
    pub(crate) bias: wgpu::Buffer,
}

/// Loads `patch_embed.conv1`, `patch_embed.bn1` and so on for each convolution of the configuration; none without a
/// stem. The weights are stored in f32, but in f16 networks cooperative matrices may round them to f16, so that they
/// must be in the range of `precision`.
pub(super) fn load(
    context: &Context,
    config: &VitConfig,
    precision: Precision,
    source: &mut dyn Source,
) -> Result<Vec<ConvolutionWeights>> {
    let load = |(planned, number): (Convolution, usize)| {
        let [inputs, outputs] = planned.channels;
        let kernel = planned.window.kernel;
        let convolution = format!("patch_embed.conv{number}");
        let weight = source.take(&format!("{convolution}.weight"), &[outputs, inputs, kernel, kernel])?;
        let (scale, bias) = fold(source, &format!("patch_embed.bn{number}"), outputs)?;
        let params = convolve::Params::new(1, planned.channels, planned.side, planned.window);
        let texels = convolve::texels(inputs * kernel * kernel, outputs);
        let home = home(context, precision, params, texels);
        let packed = pack(&weight, &scale, outputs.next_multiple_of(home.of(4, 8)));
        if precision == Precision::F16 {
            check_range(&convolution, &packed)?;
        }
        Ok(ConvolutionWeights {
            w: Placed::upload(context, &convolution, &packed, texels, home)?,
            bias: upload(context, &convolution, &bias)?,
        })
    };
    Convolution::of(config).into_iter().zip(1..).map(load).collect()
}

/// Decides where the filters of each convolution will lie, as [`load`] does.
pub(super) fn choose_homes(context: &Context, config: &VitConfig, precision: Precision) {
    for planned in Convolution::of(config) {
        let ([inputs, outputs], kernel) = (planned.channels, planned.window.kernel);
        let params = convolve::Params::new(1, planned.channels, planned.side, planned.window);
        home(context, precision, params, convolve::texels(inputs * kernel * kernel, outputs));
    }
}

/// The home from which filters are read fastest, where `texels` are the size of a texture for them: a texture if loads
/// from buffers are dear and a way that reads textures is verified, and a buffer otherwise.
fn home(context: &Context, precision: Precision, params: convolve::Params, texels: Texels) -> Home {
    let call = convolve::Call { params, relu: true, precision, home: Home::Texture };
    match context.traits().loads_are_dear && fits(context, texels) && ways::choose(context, &call).is_ok() {
        true => Home::Texture,
        false => Home::Buffer,
    }
}

/// Batch norm `name` after training, as a scale and an offset for each channel: (x - mean) / sqrt(variance + epsilon) *
/// weight + bias.
fn fold(source: &mut dyn Source, name: &str, channels: usize) -> Result<(Vec<f64>, Vec<f32>)> {
    let mut take = |part: &str| source.take(&format!("{name}.{part}"), &[channels]);
    let (weight, bias) = (take("weight")?, take("bias")?);
    let (mean, variance) = (take("running_mean")?, take("running_var")?);
    // The number of batches that were averaged matters only in training.
    source.ignore(&format!("{name}.num_batches_tracked"));
    if let Some((at, variance)) = variance.iter().enumerate().find(|&(_, &variance)| variance < 0.0) {
        let got = format!("{variance} at element {at}");
        return Err(Error::weights(format!("load tensor {name}.running_var"), "variances that are not negative", got));
    }
    let scale: Vec<f64> = weight
        .iter()
        .zip(&variance)
        .map(|(&weight, &variance)| f64::from(weight) / (f64::from(variance) + EPSILON).sqrt())
        .collect();
    let offset = scale.iter().zip(bias.iter().zip(&mean));
    let bias = offset.map(|(scale, (&bias, &mean))| (f64::from(bias) - scale * f64::from(mean)) as f32).collect();
    Ok((scale, bias))
}

/// Transposes `weight` [O, C, K, K] (torch's layout) to [C, K, K, stride], each output channel times its `scale` [O],
/// with zeros past O.
fn pack(weight: &[f32], scale: &[f64], stride: usize) -> Vec<f32> {
    let taps = weight.len() / scale.len().max(1);
    let mut packed = vec![0.0; taps * stride];
    for (output, (taps, scale)) in weight.chunks_exact(taps.max(1)).zip(scale).enumerate() {
        for (tap, &value) in taps.iter().enumerate() {
            packed[tap * stride + output] = (f64::from(value) * scale) as f32;
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::ContextOptions;
    use crate::weights::random::RandomWeights;

    #[test]
    fn packing_puts_output_channels_last_and_scales_them() {
        // [2, 1, 1, 3]
        assert_eq!(pack(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1.0, -10.0], 3), [1., -40., 0., 2., -50., 0., 3., -60., 0.]);
    }

    /// Random weights, with one element of one tensor too large for f16.
    struct TooLarge(RandomWeights);

    impl Source for TooLarge {
        fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
            let mut values = self.0.take(name, shape)?;
            if name == "patch_embed.conv2.weight" {
                values[0] = 1e9;
            }
            Ok(values)
        }

        fn ignore(&mut self, name: &str) {
            self.0.ignore(name);
        }

        fn finish(&mut self) -> Result<()> {
            self.0.finish()
        }
    }

    #[test]
    fn a_filter_that_f16_cannot_hold_is_refused_by_its_name_in_f16_only() {
        let context = Context::open(ContextOptions::new()).unwrap();
        let config = VitConfig::preset("lvvit_t").unwrap();
        let load = |precision| load(&context, &config, precision, &mut TooLarge(RandomWeights { seed: 1 }));
        let error = load(Precision::F16).err().unwrap().to_string();
        assert!(error.contains("patch_embed.conv2") && error.contains("--precision f32"), "{error}");
        assert_eq!(load(Precision::F32).unwrap().len(), 3);
    }

    #[test]
    fn folding_does_what_batch_norm_does() {
        let mut source = RandomWeights { seed: 1 };
        let (scale, offset) = fold(&mut source, "patch_embed.bn1", 8).unwrap();
        let mut take = |part: &str| source.take(&format!("patch_embed.bn1.{part}"), &[8]).unwrap();
        let (weight, bias, mean) = (take("weight"), take("bias"), take("running_mean"));
        let variance = take("running_var");
        for at in 0..8 {
            let x = 0.7f64;
            let normed = (x - f64::from(mean[at])) / (f64::from(variance[at]) + 1e-5).sqrt();
            let expected = normed * f64::from(weight[at]) + f64::from(bias[at]);
            assert!((scale[at] * x + f64::from(offset[at]) - expected).abs() < 1e-6, "channel {at}");
        }
    }
}
