//! From a checkpoint to buffers on the device: the names, shapes and number formats of tensors, and the layouts that
//! the kernels read.

mod bytes;
mod checkpoint;
mod infer;
mod position;
mod random;
mod stem;
mod transformers;
mod vit;

use crate::config::VitConfig;
use crate::error::{Error, Result};
use crate::gpu::{Context, Home, Placed, Precision, Texels, Types, fits, settle, upload};
use crate::kernels::linear::{self, Epilogue};
use crate::ways;

pub use checkpoint::Checkpoint;
pub(crate) use checkpoint::check_layout;
pub(crate) use position::Resized;
pub(crate) use random::RandomWeights;
pub(crate) use vit::{BlockWeights, VitWeights};

/// A source of tensors, by timm's names.
pub(crate) trait Source {
    /// The values of tensor `name`, which must have `shape`.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>>;

    /// Lets tensor `name`, which inference does not use, be present or absent.
    fn ignore(&mut self, name: &str);

    /// Called when every tensor has been taken. It is an error if tensors are left over.
    fn finish(&mut self) -> Result<()>;
}

impl<T: Source + ?Sized> Source for &mut T {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        (**self).take(name, shape)
    }

    fn ignore(&mut self, name: &str) {
        (**self).ignore(name);
    }

    fn finish(&mut self) -> Result<()> {
        (**self).finish()
    }
}

/// A dense layer as `block/linear.wgsl` reads it.
pub(crate) struct Linear {
    /// The weights [inner, columns rounded up to 4, or to 8 in a texture], stored in `precision`.
    pub(crate) w: Placed,
    /// The bias [columns rounded up to 4].
    pub(crate) bias: wgpu::Buffer,
    /// Inner dimension, rounded up to 4.
    pub(crate) inner: usize,
    /// Columns without padding.
    pub(crate) columns: usize,
    /// The type of the weights and of the layer's input.
    pub(crate) precision: Precision,
}

impl Linear {
    /// Packs `weight` [columns, inner] (torch's layout), stored in `precision`, and `bias` [columns].
    pub(crate) fn new(
        context: &Context,
        name: &str,
        precision: Precision,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self> {
        let columns = bias.len();
        let inner = weight.len() / columns.max(1);
        let texels = linear::texels(inner.next_multiple_of(4), columns, precision);
        let home = home(context, precision, [inner.next_multiple_of(4), columns], texels);
        let stride = columns.next_multiple_of(home.of(4, 8));
        let mut padded_bias = bias.to_vec();
        padded_bias.resize(columns.next_multiple_of(4), 0.0);
        Ok(Self {
            w: match precision {
                Precision::F32 => {
                    Placed::upload(context, name, &pack_linear(weight, inner, stride, |value| value), texels, home)?
                }
                Precision::F16 => {
                    check_range(name, weight)?;
                    let packed = pack_linear(weight, inner, stride, half::f16::from_f32);
                    Placed::upload(context, name, &packed, texels, home)?
                }
            },
            bias: upload(context, name, &padded_bias)?,
            inner: inner.next_multiple_of(4),
            columns,
            precision,
        })
    }
}

/// The home from which weights [inner, columns] are read fastest, where `texels` are the size of a texture for them: a
/// texture if loads from buffers are dear and a way that reads textures is verified, and a buffer otherwise.
fn home(context: &Context, precision: Precision, [inner, columns]: [usize; 2], texels: Texels) -> Home {
    let call = linear::Call {
        // The number of rows is not known yet. The smallest tile shows whether any way reads textures.
        params: linear::Params::new(8, inner, columns),
        types: Types::new(precision, Precision::F32).at(Home::Texture),
        epilogue: Epilogue::Store,
    };
    match context.traits().loads_are_dear && fits(context, texels) && ways::choose(context, &call).is_ok() {
        true => Home::Texture,
        false => Home::Buffer,
    }
}

/// Transposes `weight` [columns, inner] to [inner rounded up to 4, stride], with zeros as padding, so that neighbouring
/// threads read neighbouring columns. `store` converts each number to the stored type.
pub(crate) fn pack_linear<T: Copy + Default>(
    weight: &[f32],
    inner: usize,
    stride: usize,
    store: impl Fn(f32) -> T,
) -> Vec<T> {
    let mut packed = vec![T::default(); inner.next_multiple_of(4) * stride];
    for (column, row) in weight.chunks_exact(inner.max(1)).enumerate() {
        for (k, &value) in row.iter().enumerate() {
            packed[k * stride + column] = store(value);
        }
    }
    packed
}

/// Weight and bias of a layer norm, [D] each.
pub(crate) struct Norm {
    pub(crate) weight: wgpu::Buffer,
    pub(crate) bias: wgpu::Buffer,
}

/// Loads a model's tensors from `source` and packs them onto the device.
pub(crate) async fn load(
    context: &Context,
    config: &VitConfig,
    precision: Precision,
    source: &mut dyn Source,
) -> Result<VitWeights> {
    config.validate()?;
    settle(context, |context| {
        choose_homes(context, config, precision);
        Ok(())
    })
    .await?;
    let weights = VitWeights::load(context, config, precision, source)?;
    source.finish()?;
    context.settled().await?;
    Ok(weights)
}

/// Decides where the weights of each layer will lie, so that no verification is left for the time when they are loaded.
fn choose_homes(context: &Context, config: &VitConfig, precision: Precision) {
    let (d, f) = (config.width, config.mlp);
    let patch = config.patch_channels() * config.patch_side().pow(2);
    let layers = [(patch, d), (d, 3 * d), (d, d), (d, f), (f, d), (d, config.classes)].map(|layer| (layer, precision));
    let heads = [d, 2 * d].map(|inner| ((inner, config.classes), Precision::F32));
    for ((inner, columns), precision) in layers.into_iter().chain(heads).filter(|((_, columns), _)| *columns > 0) {
        let inner = inner.next_multiple_of(4);
        home(context, precision, [inner, columns], linear::texels(inner, columns, precision));
    }
    stem::choose_homes(context, config, precision);
}

/// Refuses a weight that f16 cannot hold, which would become infinite.
fn check_range(name: &str, values: &[f32]) -> Result<()> {
    let most = half::f16::MAX.to_f32();
    match values.iter().find(|value| value.abs() > most) {
        None => Ok(()),
        Some(value) => Err(Error::weights(
            format!("load tensor {name} as f16"),
            format!("numbers of at most {most}; load it in f32 instead (--precision f32)"),
            value.to_string(),
        )),
    }
}

/// Refuses NaN and infinity in a weight by the tensor's name, since either would silently make every answer wrong.
fn check_finite(name: &str, values: &[f32]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::weights(
            format!("load tensor {name}"),
            "finite numbers",
            format!("{} at element {at}: the file is damaged or the training diverged", values[at]),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_transposes_and_pads() {
        // [2, 3]: two columns of three inner elements.
        let packed = pack_linear(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 4, |value| value);
        assert_eq!(packed, [1., 4., 0., 0., 2., 5., 0., 0., 3., 6., 0., 0., 0., 0., 0., 0.]);
    }
}
