//! The configuration of a Vision Transformer, as the tensors of a checkpoint and the `config.json` beside it determine
//! it.

use crate::error::{Error, Result};

mod parts;
mod presets;

pub use parts::{Activation, Head, Position, Stem};
pub use presets::PRESETS;

/// The configuration of one pre-norm Vision Transformer. The letters are those of the crate's documentation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VitConfig {
    /// Height and width of the image in pixels.
    pub image: [usize; 2],
    /// Pixels along a side of a patch. It divides both sides of the image.
    pub patch: usize,
    /// How pixels become patches.
    pub stem: Stem,
    /// D, a multiple of 4 and of `heads`.
    pub width: usize,
    /// L
    pub depth: usize,
    /// H
    pub heads: usize,
    /// F, a multiple of 4.
    pub mlp: usize,
    /// Classes of the head; 0 for a model without a head, which gives features only.
    pub classes: usize,
    /// Whether there is a class token. A head that reads the class token needs it.
    pub class_token: bool,
    /// Register tokens, after the class (and distillation) token.
    pub registers: usize,
    /// How logits are made. [`Head::ClassAndDistillation`] implies a distillation token.
    pub head: Head,
    /// Whether the query, key and value projection has a bias.
    pub qkv_bias: bool,
    /// Whether residual branches are scaled (LayerScale). The scales are folded into the weights when these are loaded.
    pub layer_scale: bool,
    /// The number by which residual branches are divided (LV-ViT's `skip_lam`); 1 for other models. It is folded into
    /// the weights when these are loaded.
    pub residual_divisor: f32,
    /// How the positions of tokens are added.
    pub position: Position,
    /// Whether a layer norm of all tokens precedes the first block.
    pub pre_norm: bool,
    /// The activation between the two layers of an MLP.
    pub activation: Activation,
    /// Epsilon of the layer norms: 1e-6 in timm's models, 1e-5 in LV-ViT.
    pub epsilon: f32,
    /// Mean that preprocessing subtracts from each channel, with full brightness as 1.
    pub mean: [f32; 3],
    /// Standard deviation by which preprocessing divides each channel.
    pub std: [f32; 3],
    /// Share of the resized short side that the centre crop keeps (timm's `crop_pct`).
    pub crop: f64,
    /// Whether the resize makes every image square. Otherwise it keeps the aspect ratio and resizes the short side.
    pub squash: bool,
    /// Resampling filter of the resize, by timm's name.
    pub interpolation: String,
    /// Names of the classes, by index; empty when the checkpoint gives none.
    pub labels: Vec<String>,
}

impl VitConfig {
    /// A ViT with a class-token head for images of `image` by `image` pixels, with ImageNet normalisation, timm's
    /// epsilon and an MLP ratio of 4.
    pub fn new(image: usize, patch: usize, width: usize, depth: usize, heads: usize, classes: usize) -> Self {
        Self {
            image: [image; 2],
            patch,
            stem: Stem::Patchify,
            width,
            depth,
            heads,
            // These products saturate, here and below, so that `validate` can report a number that is too large.
            mlp: width.saturating_mul(4),
            classes,
            class_token: true,
            registers: 0,
            head: Head::ClassToken,
            qkv_bias: true,
            layer_scale: false,
            residual_divisor: 1.0,
            position: Position::LearnedForAll,
            pre_norm: false,
            activation: Activation::Gelu,
            epsilon: 1e-6,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            crop: 0.9,
            squash: false,
            interpolation: "bicubic".into(),
            labels: Vec::new(),
        }
    }

    /// Rows and columns of the grid of patches.
    pub fn grid(&self) -> [usize; 2] {
        self.image.map(|side| side / self.patch.max(1))
    }

    /// N, patch tokens before any condensation.
    pub fn patches(&self) -> usize {
        let [rows, columns] = self.grid();
        rows.saturating_mul(columns)
    }

    /// E, prefix tokens: class, then distillation, then registers. There may be none.
    pub fn prefix(&self) -> usize {
        let distillation = usize::from(self.head == Head::ClassAndDistillation);
        self.registers.saturating_add(usize::from(self.class_token) + distillation)
    }

    /// Prefix tokens that have a row of the position embedding.
    pub(crate) fn positioned_prefix(&self) -> usize {
        match self.position {
            Position::LearnedForAll => self.prefix(),
            Position::LearnedForPatches => 0,
        }
    }

    /// Elements of one image's pixels, over three channels.
    pub fn pixels(&self) -> usize {
        self.image[0].saturating_mul(self.image[1]).saturating_mul(3)
    }

    /// The side of the image in pixels, if it is square.
    ///
    /// # Errors
    /// [`Error::Config`] for an image that is not square.
    pub(crate) fn square(&self, op: &str) -> Result<usize> {
        match self.image {
            [height, width] if height == width => Ok(height),
            [height, width] => {
                Err(Error::config(op, "a square image or normalised pixels", format!("{height} x {width} pixels")))
            }
        }
    }

    /// T = E + N.
    pub fn tokens(&self) -> usize {
        self.prefix().saturating_add(self.patches())
    }

    /// Dh = D / H.
    pub fn head_width(&self) -> usize {
        self.width / self.heads.max(1)
    }

    /// Elements that the projection reads for one patch: its pixels over three channels, or its part of a convolutional
    /// stem's output.
    pub fn patch_elements(&self) -> usize {
        self.patch_channels().saturating_mul(self.patch_side().saturating_pow(2))
    }

    /// Channels of the image or stem output that patches are cut from.
    pub(crate) fn patch_channels(&self) -> usize {
        match self.stem {
            Stem::Patchify => 3,
            Stem::Convolutional { channels } => channels,
        }
    }

    /// Side of a patch where it is cut. A convolutional stem has halved the image before.
    pub(crate) fn patch_side(&self) -> usize {
        match self.stem {
            Stem::Patchify => self.patch,
            Stem::Convolutional { .. } => self.patch / 2,
        }
    }

    /// Elements of one image between the layers of a convolutional stem; 0 without a stem.
    pub(crate) fn stem_elements(&self) -> usize {
        match self.stem {
            Stem::Patchify => 0,
            Stem::Convolutional { channels } => channels * (self.image[0] / 2) * (self.image[1] / 2),
        }
    }

    /// Elements of a patch's row on the GPU, padded to whole vec4s.
    pub(crate) fn patch_stride(&self) -> usize {
        self.patch_elements().next_multiple_of(4)
    }

    /// The inputs of the classifier, side by side: the number of tokens from the first on, and whether the mean of the
    /// patch tokens follows.
    pub(crate) fn head_sees(&self) -> (usize, bool) {
        match self.head {
            Head::ClassToken | Head::ClassAndTokenMax => (1, false),
            Head::ClassAndDistillation => (2, false),
            Head::MeanPooled => (0, true),
            Head::ClassAndMean => (1, true),
        }
    }

    /// Rows of D elements that the classifier reads.
    pub(crate) fn head_rows(&self) -> usize {
        let (first, mean) = self.head_sees();
        first + usize::from(mean)
    }

    /// P, elements that the classifier reads of an image.
    pub fn pooled(&self) -> usize {
        self.head_rows().saturating_mul(self.width)
    }

    /// Checks that the fields fit each other and the kernels.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let require = |holds: bool, field: &str, expected: &str, got: usize| {
            if holds {
                Ok(())
            } else {
                Err(Error::config(format!("model configuration: {field}"), expected, got.to_string()))
            }
        };
        // Larger numbers would make products of sizes exceed 32 bits on the GPU, but memory runs out long before.
        let sane = |n: usize| (1..=1 << 16).contains(&n);
        require(sane(self.patch), "patch", "1 to 65536 pixels", self.patch)?;
        for side in self.image {
            require(sane(side), "image", "1 to 65536 pixels", side)?;
            require(side.is_multiple_of(self.patch), "image", "a multiple of the patch side", side)?;
        }
        require(sane(self.patches()), "patches", "1 to 65536", self.patches())?;
        require(sane(self.depth) && self.depth <= 1024, "depth", "1 to 1024 blocks", self.depth)?;
        require(sane(self.heads), "heads", "at least 1", self.heads)?;
        require(sane(self.width), "width", "1 to 65536", self.width)?;
        require(self.width.is_multiple_of(self.heads), "heads", "a divisor of the width", self.heads)?;
        require(
            self.head_width().is_multiple_of(4),
            "head width (width / heads)",
            "a multiple of 4",
            self.head_width(),
        )?;
        require(sane(self.mlp) && self.mlp.is_multiple_of(4), "mlp", "a multiple of 4 up to 65536", self.mlp)?;
        if let Stem::Convolutional { channels } = self.stem {
            let whole = channels.is_multiple_of(4) && (4..=1024).contains(&channels);
            require(whole, "stem channels", "a multiple of 4 from 4 to 1024", channels)?;
            require(self.patch.is_multiple_of(2), "patch", "an even number with a stem", self.patch)?;
            // A thread of the projection iterates over these elements four at a time.
            let numbers = self.patch_elements();
            require(numbers <= 1 << 17, "numbers of a patch", "at most 131072 (channels * (patch / 2)^2)", numbers)?;
            let side = self.square("model configuration: image under a convolutional stem")?;
            require(side <= 1 << 13, "image", "at most 8192 pixels under a convolutional stem", side)?;
        }
        require(self.classes <= 1 << 20, "classes", "at most 1048576", self.classes)?;
        require(self.registers <= 1024, "registers", "at most 1024", self.registers)?;
        let classless = self.class_token || self.head_sees().0 == 0;
        require(classless, "class token", "1, since the head reads the class token", 0)?;
        let named = self.labels.is_empty() || self.labels.len() == self.classes;
        require(named, "labels", "one for each class", self.labels.len())?;
        let positive = self.epsilon > 0.0 && self.epsilon < 1.0 && self.std.iter().all(|s| *s > 0.0 && s.is_finite());
        if !positive || !self.mean.iter().all(|m| m.is_finite()) {
            return Err(Error::config(
                "model configuration",
                "a positive epsilon below 1, finite means and positive standard deviations",
                format!("epsilon {}, mean {:?}, std {:?}", self.epsilon, self.mean, self.std),
            ));
        }
        if !(self.residual_divisor.is_normal() && self.residual_divisor > 0.0) {
            let got = self.residual_divisor.to_string();
            return Err(Error::config("model configuration: residual divisor", "a positive number", got));
        }
        Ok(())
    }
}
