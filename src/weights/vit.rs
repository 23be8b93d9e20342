//! Loads the tensors of a ViT by timm's names.

use super::stem::{self, ConvolutionWeights};
use super::{Linear, Norm, Source};
use crate::config::{Head, VitConfig};
use crate::error::Result;
use crate::gpu::{Context, Precision, upload};

/// One block's layers.
pub(crate) struct BlockWeights {
    pub(crate) norm1: Norm,
    /// D to 3D: queries, keys, values.
    pub(crate) qkv: Linear,
    /// D to D, with LayerScale and the residual divisor folded in.
    pub(crate) proj: Linear,
    pub(crate) norm2: Norm,
    /// D to F.
    pub(crate) fc1: Linear,
    /// F to D, with LayerScale and the residual divisor folded in.
    pub(crate) fc2: Linear,
}

/// A model on the device.
pub(crate) struct VitWeights {
    /// The type in which the weights of the patch projection, of the blocks' layers and of LV-ViT's second classifier
    /// (which reads every token) are stored, and activations between kernels. The other classifier is f32: it is small,
    /// and no later layer averages its rounding errors out.
    pub(crate) precision: Precision,
    /// Convolutions before patches are cut; empty in most models.
    pub(crate) stem: Vec<ConvolutionWeights>,
    /// Patch pixels to D.
    pub(crate) patch: Linear,
    /// Prefix tokens with their positions added [E, D].
    pub(crate) prefix: wgpu::Buffer,
    /// Position embedding of the patch tokens [N, D].
    pub(crate) position: wgpu::Buffer,
    /// The norm before the first block, if the model has one.
    pub(crate) norm_before: Option<Norm>,
    pub(crate) blocks: Vec<BlockWeights>,
    /// The final norm; with a mean-pooled head, the norm after pooling.
    pub(crate) norm: Norm,
    /// From pooled tokens to logits; `None` for a model without a head.
    pub(crate) head: Option<Linear>,
    /// From each token to logits, whose maximum over the patch tokens is added; `None` in models other than LV-ViT.
    pub(crate) auxiliary: Option<Linear>,
}

impl VitWeights {
    pub(super) fn load(
        context: &Context,
        config: &VitConfig,
        precision: Precision,
        source: &mut dyn Source,
    ) -> Result<Self> {
        let (d, c, p) = (config.width, config.patch_channels(), config.patch_side());
        let stem = stem::load(context, config, precision, source)?;
        let patch = source.take("patch_embed.proj.weight", &[d, c, p, p])?;
        let bias = source.take("patch_embed.proj.bias", &[d])?;
        let patch = Linear::new(context, "patch_embed", precision, &patch, &bias)?;
        let (prefix, position) = embedding(config, source)?;
        let blocks = (0..config.depth).map(|i| block(context, config, precision, source, i)).collect::<Result<_>>()?;
        let norm = if config.head == Head::MeanPooled { "fc_norm" } else { "norm" };
        Ok(Self {
            precision,
            stem,
            patch,
            prefix: upload(context, "prefix tokens", &prefix)?,
            position: upload(context, "position embedding", &position)?,
            norm_before: config.pre_norm.then(|| load_norm(context, source, "norm_pre", d)).transpose()?,
            blocks,
            norm: load_norm(context, source, norm, d)?,
            head: head(context, config, source)?,
            auxiliary: auxiliary(context, config, precision, source)?,
        })
    }
}

/// Prefix tokens [E, D] and positions of patch tokens [N, D]. If the position embedding has rows for the prefix, they
/// are added to the prefix tokens here, once.
fn embedding(config: &VitConfig, source: &mut dyn Source) -> Result<(Vec<f32>, Vec<f32>)> {
    let d = config.width;
    let mut prefix = if config.class_token { source.take("cls_token", &[1, 1, d])? } else { Vec::new() };
    if config.head == Head::ClassAndDistillation {
        prefix.extend(source.take("dist_token", &[1, 1, d])?);
    }
    if config.registers > 0 {
        prefix.extend(source.take("reg_token", &[1, config.registers, d])?);
    }
    let covered = config.positioned_prefix();
    let mut position = source.take("pos_embed", &[1, covered + config.patches(), d])?;
    let patches = position.split_off(covered * d);
    for (token, position) in prefix.iter_mut().zip(position) {
        *token += position;
    }
    Ok((prefix, patches))
}

fn block(
    context: &Context,
    config: &VitConfig,
    precision: Precision,
    source: &mut dyn Source,
    index: usize,
) -> Result<BlockWeights> {
    let (d, f) = (config.width, config.mlp);
    let name = |layer: &str| format!("blocks.{index}.{layer}");
    let norm1 = load_norm(context, source, &name("norm1"), d)?;
    let qkv_weight = source.take(&name("attn.qkv.weight"), &[3 * d, d])?;
    let qkv_bias = match config.qkv_bias {
        true => source.take(&name("attn.qkv.bias"), &[3 * d])?,
        false => vec![0.0; 3 * d],
    };
    let qkv = Linear::new(context, &name("attn.qkv"), precision, &qkv_weight, &qkv_bias)?;
    let proj = scaled(context, config, precision, source, [&name("attn.proj"), &name("ls1.gamma")], [d, d])?;
    let norm2 = load_norm(context, source, &name("norm2"), d)?;
    let fc1 = source.take(&name("mlp.fc1.weight"), &[f, d])?;
    let fc1_bias = source.take(&name("mlp.fc1.bias"), &[f])?;
    let fc1 = Linear::new(context, &name("mlp.fc1"), precision, &fc1, &fc1_bias)?;
    let fc2 = scaled(context, config, precision, source, [&name("mlp.fc2"), &name("ls2.gamma")], [d, f])?;
    Ok(BlockWeights { norm1, qkv, proj, norm2, fc1, fc2 })
}

/// The last layer of a residual branch, with its rows scaled by LayerScale, if the model has it, and by the residual
/// divisor: ls (W x + b) is (ls W) x + ls b, so the scale costs nothing at run time.
fn scaled(
    context: &Context,
    config: &VitConfig,
    precision: Precision,
    source: &mut dyn Source,
    [layer, gamma]: [&str; 2],
    [columns, inner]: [usize; 2],
) -> Result<Linear> {
    let mut weight = source.take(&format!("{layer}.weight"), &[columns, inner])?;
    let mut bias = source.take(&format!("{layer}.bias"), &[columns])?;
    let gamma = match config.layer_scale {
        true => Some(source.take(gamma, &[columns])?),
        false if config.residual_divisor != 1.0 => Some(vec![1.0; columns]),
        false => None,
    };
    if let Some(gamma) = gamma {
        let gamma = gamma.into_iter().map(|gamma| gamma / config.residual_divisor);
        for ((row, bias), scale) in weight.chunks_exact_mut(inner).zip(&mut bias).zip(gamma) {
            row.iter_mut().for_each(|value| *value *= scale);
            *bias *= scale;
        }
    }
    Linear::new(context, layer, precision, &weight, &bias)
}

/// The classifier. Two heads become one layer that reads both tokens side by side: (W x + b + V y + c) / 2.
fn head(context: &Context, config: &VitConfig, source: &mut dyn Source) -> Result<Option<Linear>> {
    let (d, classes) = (config.width, config.classes);
    if classes == 0 {
        return Ok(None);
    }
    let inner = if config.head == Head::ClassAndMean { 2 * d } else { d };
    let mut weight = source.take("head.weight", &[classes, inner])?;
    let mut bias = source.take("head.bias", &[classes])?;
    if config.head == Head::ClassAndDistillation {
        let second = source.take("head_dist.weight", &[classes, d])?;
        let second_bias = source.take("head_dist.bias", &[classes])?;
        let rows = weight.chunks_exact(d).zip(second.chunks_exact(d));
        weight = rows.flat_map(|(a, b)| a.iter().chain(b)).map(|value| value * 0.5).collect();
        bias = bias.iter().zip(second_bias).map(|(a, b)| (a + b) * 0.5).collect();
    }
    Linear::new(context, "head", Precision::F32, &weight, &bias).map(Some)
}

/// LV-ViT's second classifier; `None` in other models.
fn auxiliary(
    context: &Context,
    config: &VitConfig,
    precision: Precision,
    source: &mut dyn Source,
) -> Result<Option<Linear>> {
    if config.head != Head::ClassAndTokenMax || config.classes == 0 {
        return Ok(None);
    }
    let weight = source.take("aux_head.weight", &[config.classes, config.width])?;
    let bias = source.take("aux_head.bias", &[config.classes])?;
    Linear::new(context, "aux_head", precision, &weight, &bias).map(Some)
}

fn load_norm(context: &Context, source: &mut dyn Source, name: &str, width: usize) -> Result<Norm> {
    let weight = source.take(&format!("{name}.weight"), &[width])?;
    let bias = source.take(&format!("{name}.bias"), &[width])?;
    Ok(Norm { weight: upload(context, name, &weight)?, bias: upload(context, name, &bias)? })
}
