//! The network in burn, on wgpu.

use std::collections::HashMap;

use burn::tensor::activation::{gelu, softmax};
use burn::tensor::module::{attention, layer_norm, linear};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, DeviceKind, FloatDType, Tensor, TensorData};
use tcvit::VitConfig;

use crate::Failure;
use crate::case::Case;
use crate::peer::{Peer, Weights};

/// How attention is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// burn's attention function, which prefers kernels that do not store the probabilities.
    Own,
    /// Two matrix products and a softmax, each tuned on its own.
    Plain,
}

/// The number format of weights and activations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    F32,
    F16,
}

pub struct Network {
    config: VitConfig,
    device: Device,
    attention: Attention,
    precision: Precision,
    patches: Pair<2>,
    class: Tensor<3>,
    positions: Tensor<3>,
    blocks: Vec<Block>,
    norm: Pair<1>,
    head: Pair<2>,
    pixels: Option<Tensor<4>>,
    /// Logits of every forward since the last wait. burn need not compute a tensor that nobody holds.
    logits: Vec<Tensor<2>>,
}

/// A weight and a bias. The weight of a linear layer is [inputs, outputs], which is burn's order.
struct Pair<const D: usize> {
    weight: Tensor<D>,
    bias: Tensor<1>,
}

struct Block {
    norm1: Pair<1>,
    qkv: Pair<2>,
    projection: Pair<2>,
    norm2: Pair<1>,
    fc1: Pair<2>,
    fc2: Pair<2>,
}

impl Network {
    pub fn load(
        case: &Case,
        gpu: &tcvit::Context,
        attention: Attention,
        precision: Precision,
    ) -> Result<Self, Failure> {
        let device = same_adapter(gpu);
        let file = Weights::read(&case.weights)?;
        let tensors = file.tensors()?.into_iter().map(|(name, shape, values)| (name, (shape, values))).collect();
        let mut loader = Loader { tensors, device: &device, precision };
        let blocks = (0..case.config.depth)
            .map(|i| {
                let name = |layer: &str| format!("blocks.{i}.{layer}");
                Ok(Block {
                    norm1: loader.norm(&name("norm1"))?,
                    qkv: loader.linear(&name("attn.qkv"))?,
                    projection: loader.linear(&name("attn.proj"))?,
                    norm2: loader.norm(&name("norm2"))?,
                    fc1: loader.linear(&name("mlp.fc1"))?,
                    fc2: loader.linear(&name("mlp.fc2"))?,
                })
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        Ok(Self {
            config: case.config.clone(),
            attention,
            precision,
            patches: loader.linear("patch_embed.proj")?,
            class: loader.tensor("cls_token")?,
            positions: loader.tensor("pos_embed")?,
            blocks,
            norm: loader.norm("norm")?,
            head: loader.linear("head")?,
            pixels: None,
            logits: Vec::new(),
            device,
        })
    }

    /// Logits [B, classes] of pixels [B, 3, image, image].
    fn run(&self, pixels: Tensor<4>) -> Tensor<2> {
        let (width, patch) = (self.config.width, self.config.patch);
        let ([batch, ..], side) = (pixels.dims(), self.config.image[0] / patch);
        // Patches as rows, then one matrix product, which burn tunes like any other.
        let rows: Tensor<6> = pixels.reshape([batch, 3, side, patch, side, patch]).permute([0, 2, 4, 1, 3, 5]);
        let rows: Tensor<3> = rows.reshape([batch, side * side, 3 * patch * patch]);
        let class = self.class.clone().expand([batch, 1, width]);
        let mut x = Tensor::cat(vec![class, self.patches.linear(rows)], 1) + self.positions.clone();
        for block in &self.blocks {
            x = self.block(block, x);
        }
        let class: Tensor<2> = x.slice([0..batch, 0..1, 0..width]).reshape([batch, width]);
        self.head.linear(self.norm.layer_norm(class, self.config.epsilon))
    }

    /// Tokens [B, T, D] to tokens [B, T, D].
    fn block(&self, block: &Block, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let heads = self.config.heads;
        let head = width / heads;
        let qkv = block.qkv.linear(block.norm1.layer_norm(x.clone(), self.config.epsilon));
        let qkv: Tensor<5> = qkv.reshape([batch, tokens, 3, heads, head]).permute([2, 0, 3, 1, 4]);
        let [q, k, v] = [0, 1, 2].map(|i| -> Tensor<4> { qkv.clone().slice_dim(0, i..i + 1).squeeze_dim(0) });
        let mixed = match self.attention {
            Attention::Own => attention(q, k, v, None, None, AttentionModuleOptions::default()),
            Attention::Plain => {
                let logits = q.matmul(k.swap_dims(2, 3)).mul_scalar((head as f32).powf(-0.5));
                softmax(logits, 3).matmul(v)
            }
        };
        let x = x + block.projection.linear(mixed.swap_dims(1, 2).reshape([batch, tokens, width]));
        let hidden = gelu(block.fc1.linear(block.norm2.layer_norm(x.clone(), self.config.epsilon)));
        x + block.fc2.linear(hidden)
    }
}

impl Pair<2> {
    fn linear<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(x, self.weight.clone(), Some(self.bias.clone()))
    }
}

impl Pair<1> {
    fn layer_norm<const D: usize>(&self, x: Tensor<D>, epsilon: f32) -> Tensor<D> {
        layer_norm(x, self.weight.clone(), Some(self.bias.clone()), f64::from(epsilon))
    }
}

struct Loader<'a> {
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
    device: &'a Device,
    precision: Precision,
}

impl Loader<'_> {
    fn take(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f32>), Failure> {
        self.tensors.remove(name).ok_or_else(|| format!("burn: no tensor {name}").into())
    }

    fn tensor<const D: usize>(&mut self, name: &str) -> Result<Tensor<D>, Failure> {
        let (shape, values) = self.take(name)?;
        Ok(in_precision(Tensor::from_data(TensorData::new(values, shape), self.device), self.precision))
    }

    fn norm(&mut self, name: &str) -> Result<Pair<1>, Failure> {
        Ok(Pair { weight: self.tensor(&format!("{name}.weight"))?, bias: self.tensor(&format!("{name}.bias"))? })
    }

    /// Transposes the weight here rather than by a view, so that burn's matrix products read rows that lie together.
    fn linear(&mut self, name: &str) -> Result<Pair<2>, Failure> {
        let (shape, values) = self.take(&format!("{name}.weight"))?;
        let (outputs, inputs) = (shape[0], shape[1..].iter().product::<usize>());
        let transposed = (0..inputs * outputs).map(|i| values[i % outputs * inputs + i / outputs]).collect::<Vec<_>>();
        let weight = Tensor::from_data(TensorData::new(transposed, [inputs, outputs]), self.device);
        Ok(Pair { weight: in_precision(weight, self.precision), bias: self.tensor(&format!("{name}.bias"))? })
    }
}

fn in_precision<const D: usize>(tensor: Tensor<D>, precision: Precision) -> Tensor<D> {
    match precision {
        Precision::F32 => tensor,
        Precision::F16 => tensor.cast(FloatDType::F16),
    }
}

/// burn's device on the adapter that tcvit runs on. burn counts the adapters of each type, so this takes the first of
/// the type.
fn same_adapter(gpu: &tcvit::Context) -> Device {
    // The types by wgpu's names. The type itself belongs to tcvit's wgpu, not to this program.
    let kind = match format!("{:?}", gpu.info().device_type).as_str() {
        "DiscreteGpu" => DeviceKind::DiscreteGpu(0),
        "IntegratedGpu" => DeviceKind::IntegratedGpu(0),
        "VirtualGpu" => DeviceKind::VirtualGpu(0),
        "Cpu" => DeviceKind::Cpu,
        _ => DeviceKind::DefaultDevice,
    };
    Device::wgpu(kind)
}

impl Peer for Network {
    fn upload(&mut self, pixels: &[f32]) -> Result<(), Failure> {
        let side = self.config.image[0];
        let shape = [pixels.len() / (3 * side * side), 3, side, side];
        let pixels = Tensor::from_data(TensorData::new(pixels.to_vec(), shape), &self.device);
        self.pixels = Some(in_precision(pixels, self.precision));
        Ok(())
    }

    fn forward(&mut self) -> Result<(), Failure> {
        let pixels = self.pixels.clone().ok_or("burn: no pixels yet")?;
        self.logits.push(self.run(pixels));
        // burn's fusion delays operations until they are asked for.
        self.device.flush().map_err(|error| format!("burn: {error:?}"))?;
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Failure> {
        self.device.sync().map_err(|error| format!("burn: {error:?}"))?;
        self.logits.drain(..self.logits.len().saturating_sub(1));
        Ok(())
    }

    fn download(&mut self) -> Result<Vec<f32>, Failure> {
        let logits = self.logits.last().ok_or("burn: no forward yet")?.clone().cast(FloatDType::F32);
        let data = logits.try_into_data().map_err(|error| format!("burn: {error:?}"))?;
        data.try_into_vec().map_err(|error| format!("burn: {error:?}").into())
    }

    fn device(&self) -> String {
        let identity = self.device.identity();
        identity.map_or_else(|| format!("{:?}", self.device), |identity| identity.name)
    }
}
