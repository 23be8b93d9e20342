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
    /// A linear layer on the class token beside the mean of the patch tokens, both after the final norm (transformers'
    /// DINOv2). Condensed tokens count by how many patches they stand for.
    ClassAndMean,
}

/// One pre-norm Vision Transformer. Letters as in the crate's documentation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VitConfig {
    /// Pixels along a side of the square image.
    pub image: usize,
    /// Pixels along a side of a patch; divides `image`.
    pub patch: usize,
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
    /// Whether the position embedding has rows for the prefix tokens too.
    pub position_covers_prefix: bool,
    /// Layer norm's epsilon: 1e-6 in timm's models.
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
];

impl VitConfig {
    /// A ViT with a class-token head on `image` pixels, ImageNet normalisation, timm's epsilon and an MLP ratio of 4.
    pub fn new(image: usize, patch: usize, width: usize, depth: usize, heads: usize, classes: usize) -> Self {
        Self {
            image,
            patch,
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
            _ => return Err(Error::config("model preset", format!("one of {}", PRESETS.join(", ")), name)),
        })
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

    /// Pixels of a patch over its three channels.
    pub fn patch_elements(&self) -> usize {
        3 * self.patch * self.patch
    }

    /// A patch row as the GPU keeps it: padded to whole vec4s.
    pub(crate) fn patch_stride(&self) -> usize {
        self.patch_elements().next_multiple_of(4)
    }

    /// What the classifier sees side by side: how many of the first tokens, and whether the mean of the patch tokens.
    pub(crate) fn head_sees(&self) -> (usize, bool) {
        match self.head {
            Head::ClassToken => (1, false),
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
        Ok(())
    }
}
