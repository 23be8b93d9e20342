//! Configurations of published models, by name.

use super::{Head, Position, Stem, VitConfig};
use crate::error::{Error, Result};

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
    /// The configuration of the published model called `name`; [`PRESETS`] lists the names. The DINOv2 models are for
    /// 224 pixels and have no head.
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
            "dinov2_small_reg4" => Self { registers: 4, position: Position::LearnedForPatches, ..dinov2 },
            "lvvit_t" => Self::lvvit(240, 12, 64),
            "lvvit_s" => Self::lvvit(384, 16, 64),
            "lvvit_m" => Self::lvvit(512, 20, 64),
            "lvvit_l" => Self::lvvit(768, 24, 128),
            _ => return Err(Error::config("model preset", format!("one of {}", PRESETS.join(", ")), name)),
        })
    }

    /// LV-ViT at 224 pixels with `depth` blocks and `channels` in its stem. Heads, skip_lam and crop follow from the
    /// width, since no tensor's shape gives them.
    fn lvvit(width: usize, depth: usize, channels: usize) -> Self {
        let mut config = Self::new(224, 16, width, depth, 1, 1000);
        config.stem = Stem::Convolutional { channels };
        config.head = Head::ClassAndTokenMax;
        config.mlp = 3 * width;
        config.qkv_bias = false;
        config.published_lvvit();
        config
    }

    /// Sets epsilon, heads, skip_lam and crop as in the published LV-ViT of this width. For a width that was not
    /// published, heads are 64 wide and skip_lam is 2, as in most published ones.
    pub(crate) fn published_lvvit(&mut self) {
        self.epsilon = 1e-5;
        (self.heads, self.residual_divisor) = match self.width {
            240 => (4, 1.0),
            768 => (12, 3.0),
            width => ((width / 64).max(1), 2.0),
        };
        self.crop = if self.width < 512 { 0.9 } else { 1.0 };
    }
}
