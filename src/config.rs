//! The shape of a Vision Transformer: what a checkpoint's tensors and the file beside it determine.

use crate::error::{Error, Result};

/// How logits come from the last tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Head {
    /// A linear layer on the class token after the final norm.
    ClassToken,
    /// The mean of two linear layers, on the class and on the distillation token (DeiT, distilled).
    ClassAndDistillation,
    /// Mean of the patch tokens, then `fc_norm`, then a linear layer; there is no final norm before it. Condensed tokens
    /// count by how many patches they stand for.
    MeanPooled,
    /// LV-ViT's: a linear layer on the class token, plus half of the largest that another linear layer gives each class
    /// on any patch token, both after the final norm.
    ClassAndTokenMax,
    /// A linear layer on the class token beside the mean of the patch tokens, both after the final norm (transformers'
    /// DINOv2). Condensed tokens count by how many patches they stand for.
    ClassAndMean,
}

/// How pixels become patches, before their projection to D.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stem {
    /// Patches are cut from the pixels.
    Patchify,
    /// LV-ViT's: convolutions of 7x7 at stride 2, 3x3 and 3x3, each with batch norm (folded into the weights at load) and
    /// ReLU; patches of half the side are cut from what they give.
    Convolutional {
        /// Channels of all three, a multiple of 4.
        channels: usize,
    },
}

/// One pre-norm Vision Transformer. Letters as in the crate's documentation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VitConfig {
    /// Pixels along a side of the square image.
    pub image: usize,
    /// Pixels along a side of a patch; divides `image`.
    pub patch: usize,
    /// What comes before the projection of patches.
    pub stem: Stem,
    /// D, a multiple of 4 and of `heads`.
    pub width: usize,
    /// L
    pub depth: usize,
    /// H
    pub heads: usize,
    /// F, a multiple of 4.
    pub mlp: usize,
    /// Classes of the head; 0 for a model without one, which gives features only.
    pub classes: usize,
    /// Register tokens, after the class (and distillation) token.
    pub registers: usize,
    /// How logits are made. [`Head::ClassAndDistillation`] implies a distillation token.
    pub head: Head,
    /// Whether the query, key and value projection has a bias.
    pub qkv_bias: bool,
    /// Whether residual branches are scaled (LayerScale). Folded into the weights at load.
    pub layer_scale: bool,
    /// What residual branches are divided by (LV-ViT's `skip_lam`); 1 for other models. Folded into the weights at load.
    pub residual_divisor: f32,
    /// Whether the position embedding has rows for the prefix tokens too.
    pub position_covers_prefix: bool,
    /// Layer norm's epsilon: 1e-6 in timm's models, 1e-5 in LV-ViT.
    pub epsilon: f32,
    /// Mean of each channel that preprocessing subtracts, in units of 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel that preprocessing divides by.
    pub std: [f32; 3],
    /// Share of the resized short side that the centre crop keeps (timm's `crop_pct`).
    pub crop: f64,
    /// Whether the resize makes a square of any image, instead of keeping its shape and resizing the short side.
    pub squash: bool,
    /// Resampling filter of the resize, in timm's words.
    pub interpolation: String,
    /// Names of the classes, by index; empty where the checkpoint gives none.
    pub labels: Vec<String>,
}

/// The names that [`VitConfig::preset`] takes.
pub const PRESETS: &[&str] = &[
    "deit_tiny",
    "deit_small",
    "deit_base",
    "deit_tiny_distilled",
    "deit_small_distilled",
    "deit_base_distilled",
    "vit_large",
    "dinov2_small",
    "dinov2_small_reg4",
    "lvvit_t",
    "lvvit_s",
    "lvvit_m",
    "lvvit_l",
];

impl VitConfig {
    /// A ViT with a class-token head on `image` pixels, ImageNet normalisation, timm's epsilon and an MLP ratio of 4.
    pub fn new(image: usize, patch: usize, width: usize, depth: usize, heads: usize, classes: usize) -> Self {
        Self {
            image,
            patch,
            stem: Stem::Patchify,
            width,
            depth,
            heads,
            // Saturating, here and below: a number too large is for `validate` to name.
            mlp: width.saturating_mul(4),
            classes,
            registers: 0,
            head: Head::ClassToken,
            qkv_bias: true,
            layer_scale: false,
            residual_divisor: 1.0,
            position_covers_prefix: true,
            epsilon: 1e-6,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            crop: 0.9,
            squash: false,
            interpolation: "bicubic".into(),
            labels: Vec::new(),
        }
    }

    /// A published shape by name; [`PRESETS`] lists them. DINOv2's are at 224 pixels, without a head.
    ///
    /// ```
    /// let config = tcvit::VitConfig::preset("deit_small")?;
    /// assert_eq!((config.width, config.depth, config.patches()), (384, 12, 196));
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for a name that is not in the list.
    pub fn preset(name: &str) -> Result<Self> {
        let deit = |width: usize| Self::new(224, 16, width, 12, width / 64, 1000);
        let distilled = |width| Self { head: Head::ClassAndDistillation, ..deit(width) };
        let dinov2 = Self { layer_scale: true, crop: 1.0, ..Self::new(224, 14, 384, 12, 6, 0) };
        Ok(match name {
            "deit_tiny" => deit(192),
            "deit_small" => deit(384),
            "deit_base" => deit(768),
            "deit_tiny_distilled" => distilled(192),
            "deit_small_distilled" => distilled(384),
            "deit_base_distilled" => distilled(768),
            "vit_large" => Self::new(224, 16, 1024, 24, 16, 1000),
            "dinov2_small" => dinov2,
            "dinov2_small_reg4" => Self { registers: 4, position_covers_prefix: false, ..dinov2 },
            "lvvit_t" => Self::lvvit(240, 12, 64),
            "lvvit_s" => Self::lvvit(384, 16, 64),
            "lvvit_m" => Self::lvvit(512, 20, 64),
            "lvvit_l" => Self::lvvit(768, 24, 128),
            _ => return Err(Error::config("model preset", format!("one of {}", PRESETS.join(", ")), name)),
        })
    }

    /// LV-ViT at 224 pixels with `depth` blocks and `channels` in its stem. The width tells heads, skip_lam and crop, as
    /// no tensor's shape does.
    fn lvvit(width: usize, depth: usize, channels: usize) -> Self {
        let mut config = Self::new(224, 16, width, depth, 1, 1000);
        config.stem = Stem::Convolutional { channels };
        config.head = Head::ClassAndTokenMax;
        config.mlp = 3 * width;
        config.qkv_bias = false;
        config.published_lvvit();
        config
    }

    /// Sets what the published LV-ViT of this width has: epsilon, heads, skip_lam, crop. A width that was not published
    /// has heads 64 wide and the skip_lam of most.
    pub(crate) fn published_lvvit(&mut self) {
        self.epsilon = 1e-5;
        (self.heads, self.residual_divisor) = match self.width {
            240 => (4, 1.0),
            768 => (12, 3.0),
            width => ((width / 64).max(1), 2.0),
        };
        self.crop = if self.width < 512 { 0.9 } else { 1.0 };
    }

    /// N, patch tokens before any condensation.
    pub fn patches(&self) -> usize {
        (self.image / self.patch.max(1)).saturating_pow(2)
    }

    /// E, prefix tokens: class, then distillation, then registers.
    pub fn prefix(&self) -> usize {
        self.registers.saturating_add(1 + usize::from(self.head == Head::ClassAndDistillation))
    }

    /// T = E + N.
    pub fn tokens(&self) -> usize {
        self.prefix().saturating_add(self.patches())
    }

    /// Dh = D / H.
    pub fn head_width(&self) -> usize {
        self.width / self.heads.max(1)
    }

    /// Numbers that the projection reads for one patch: its pixels over three channels, or what a convolutional stem
    /// made of them.
    pub fn patch_elements(&self) -> usize {
        self.patch_channels() * self.patch_side().pow(2)
    }

    /// Channels of what patches are cut from.
    pub(crate) fn patch_channels(&self) -> usize {
        match self.stem {
            Stem::Patchify => 3,
            Stem::Convolutional { channels } => channels,
        }
    }

    /// Side of a patch where it is cut: a convolutional stem has halved the image.
    pub(crate) fn patch_side(&self) -> usize {
        match self.stem {
            Stem::Patchify => self.patch,
            Stem::Convolutional { .. } => self.patch / 2,
        }
    }

    /// Elements of one image between a convolutional stem's layers; 0 without one.
    pub(crate) fn stem_elements(&self) -> usize {
        match self.stem {
            Stem::Patchify => 0,
            Stem::Convolutional { channels } => channels * (self.image / 2).pow(2),
        }
    }

    /// A patch row as the GPU keeps it: padded to whole vec4s.
    pub(crate) fn patch_stride(&self) -> usize {
        self.patch_elements().next_multiple_of(4)
    }

    /// What the classifier sees side by side: how many of the first tokens, and whether the mean of the patch tokens.
    pub(crate) fn head_sees(&self) -> (usize, bool) {
        match self.head {
            Head::ClassToken | Head::ClassAndTokenMax => (1, false),
            Head::ClassAndDistillation => (2, false),
            Head::MeanPooled => (0, true),
            Head::ClassAndMean => (1, true),
        }
    }

    /// Rows of D that the classifier sees.
    pub(crate) fn head_rows(&self) -> usize {
        let (first, mean) = self.head_sees();
        first + usize::from(mean)
    }

    /// Checks that the numbers fit each other and the kernels.
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
        // Past these, products of sizes would leave 32 bits on the GPU long after memory has run out.
        let sane = |n: usize| (1..=1 << 16).contains(&n);
        require(sane(self.image), "image", "1 to 65536 pixels", self.image)?;
        require(sane(self.patch), "patch", "1 to 65536 pixels", self.patch)?;
        require(self.image.is_multiple_of(self.patch), "image", "a multiple of the patch side", self.image)?;
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
            require(self.patch.is_multiple_of(2), "patch", "even, under a convolutional stem", self.patch)?;
            // A thread of the projection goes over them in steps of four.
            let numbers = self.patch_elements();
            require(numbers <= 1 << 17, "numbers of a patch", "at most 131072, stem channels (patch / 2)^2", numbers)?;
            require(self.image <= 1 << 13, "image", "at most 8192 pixels under a convolutional stem", self.image)?;
        }
        require(self.classes <= 1 << 20, "classes", "at most 1048576", self.classes)?;
        require(self.registers <= 1024, "registers", "at most 1024", self.registers)?;
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
