//! The network in candle, on the CPU.

use std::collections::HashMap;

use candle_core::{Device, IndexOp, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::{LayerNorm, Linear, Module};
use tcvit::VitConfig;

use crate::Failure;
use crate::case::Case;
use crate::peer::Peer;

pub struct Network {
    config: VitConfig,
    patches: Linear,
    class: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
    pixels: Option<Tensor>,
    logits: Option<Tensor>,
}

struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    projection: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

type Tensors = HashMap<String, Tensor>;

fn take(tensors: &mut Tensors, name: &str) -> Result<Tensor, Failure> {
    tensors.remove(name).ok_or_else(|| format!("candle: no tensor {name}").into())
}

fn pair(tensors: &mut Tensors, name: &str) -> Result<(Tensor, Tensor), Failure> {
    Ok((take(tensors, &format!("{name}.weight"))?, take(tensors, &format!("{name}.bias"))?))
}

impl Network {
    pub fn load(case: &Case) -> Result<Self, Failure> {
        let mut tensors = candle_core::safetensors::load(&case.weights, &Device::Cpu)?;
        let config = case.config.clone();
        let epsilon = f64::from(config.epsilon);
        let norm = |tensors: &mut Tensors, name: &str| -> Result<LayerNorm, Failure> {
            let (weight, bias) = pair(tensors, name)?;
            Ok(LayerNorm::new(weight, bias, epsilon))
        };
        let linear = |tensors: &mut Tensors, name: &str| -> Result<Linear, Failure> {
            let (weight, bias) = pair(tensors, name)?;
            Ok(Linear::new(weight.flatten_from(1)?, Some(bias)))
        };
        let blocks = (0..config.depth)
            .map(|i| {
                let name = |layer: &str| format!("blocks.{i}.{layer}");
                Ok(Block {
                    norm1: norm(&mut tensors, &name("norm1"))?,
                    qkv: linear(&mut tensors, &name("attn.qkv"))?,
                    projection: linear(&mut tensors, &name("attn.proj"))?,
                    norm2: norm(&mut tensors, &name("norm2"))?,
                    fc1: linear(&mut tensors, &name("mlp.fc1"))?,
                    fc2: linear(&mut tensors, &name("mlp.fc2"))?,
                })
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        Ok(Self {
            patches: linear(&mut tensors, "patch_embed.proj")?,
            class: take(&mut tensors, "cls_token")?,
            positions: take(&mut tensors, "pos_embed")?,
            blocks,
            norm: norm(&mut tensors, "norm")?,
            head: linear(&mut tensors, "head")?,
            config,
            pixels: None,
            logits: None,
        })
    }

    /// Logits [B, classes] of pixels [B, 3, image, image].
    fn run(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        let (width, patch) = (self.config.width, self.config.patch);
        let (batch, side) = (pixels.dim(0)?, self.config.image[0] / patch);
        // Patches as rows, then one matrix product, which is faster here than candle's convolution.
        let rows = pixels.reshape(&[batch, 3, side, patch, side, patch])?.permute([0, 2, 4, 1, 3, 5])?;
        let rows = rows.reshape((batch, side * side, 3 * patch * patch))?;
        let class = self.class.broadcast_as((batch, 1, width))?;
        let mut x = Tensor::cat(&[&class, &self.patches.forward(&rows)?], 1)?.broadcast_add(&self.positions)?;
        for block in &self.blocks {
            x = block.run(&x, self.config.heads)?;
        }
        self.head.forward(&self.norm.forward(&x.i((.., 0))?.contiguous()?)?)
    }
}

impl Block {
    /// Tokens [B, T, D] to tokens [B, T, D].
    fn run(&self, x: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        let head = width / heads;
        let qkv = self.qkv.forward(&self.norm1.forward(x)?)?;
        let qkv = qkv.reshape((batch, tokens, 3, heads, head))?.permute((2, 0, 3, 1, 4))?;
        let q = (qkv.i(0)?.contiguous()? * (head as f64).powf(-0.5))?;
        let (k, v) = (qkv.i(1)?.contiguous()?, qkv.i(2)?.contiguous()?);
        let mixed = softmax_last_dim(&q.matmul(&k.t()?)?)?.matmul(&v)?;
        let x = (x + self.projection.forward(&mixed.transpose(1, 2)?.reshape((batch, tokens, width))?)?)?;
        let hidden = self.fc1.forward(&self.norm2.forward(&x)?)?.gelu_erf()?;
        &x + self.fc2.forward(&hidden)?
    }
}

impl Peer for Network {
    fn upload(&mut self, pixels: &[f32]) -> Result<(), Failure> {
        let side = self.config.image[0];
        self.pixels = Some(Tensor::from_slice(pixels, ((), 3, side, side), &Device::Cpu)?);
        Ok(())
    }

    fn forward(&mut self) -> Result<(), Failure> {
        let pixels = self.pixels.as_ref().ok_or("candle: no pixels yet")?;
        self.logits = Some(self.run(pixels)?);
        Ok(())
    }

    /// Nothing is left to do, because candle's CPU operations finish before they return.
    fn wait(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn download(&mut self) -> Result<Vec<f32>, Failure> {
        let logits = self.logits.as_ref().ok_or("candle: no forward yet")?;
        Ok(logits.flatten_all()?.to_vec1()?)
    }

    fn device(&self) -> String {
        format!("CPU, {} threads", candle_core::utils::get_num_threads())
    }
}
