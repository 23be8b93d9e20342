//! All sizes of a session, computed before anything runs: tokens in each block, elements of each buffer, and images
//! that fit the adapter at once. Since the schedule fixes R, no size depends on data.

use crate::condensation::{Condensation, Schedule};
use crate::config::{Stem, VitConfig};
use crate::cost;
use crate::error::{Error, Result};
use crate::kernels::convolve::Window;
use crate::kernels::top_k::MOST_PATCHES;

mod elements;
mod route;

pub use elements::Elements;
pub use route::Attention;

/// The convolutions of [`Stem::Convolutional`], in order.
const STEM: [Window; 3] = [
    Window { kernel: 7, stride: 2, padding: 3 },
    Window { kernel: 3, stride: 1, padding: 1 },
    Window { kernel: 3, stride: 1, padding: 1 },
];

/// One convolution of the stem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Convolution {
    /// Channels in, channels out.
    pub(crate) channels: [usize; 2],
    /// Pixels along the side of the input.
    pub(crate) side: usize,
    pub(crate) window: Window,
}

impl Convolution {
    /// The convolutions of `config`'s stem, in order; empty when patches are cut from the pixels.
    pub(crate) fn of(config: &VitConfig) -> Vec<Self> {
        let Stem::Convolutional { channels } = config.stem else { return Vec::new() };
        // The image under a convolutional stem is square.
        let (mut inputs, mut side) = (3, config.image[0]);
        let convolutions = STEM.into_iter().map(|window| {
            let convolution = Self { channels: [inputs, channels], side, window };
            (inputs, side) = (channels, window.out_side(side));
            convolution
        });
        convolutions.collect()
    }

    /// Multiply-adds for one image, including those with padding.
    pub(crate) fn cost(&self) -> u64 {
        let pixels = self.window.out_side(self.side).pow(2);
        (pixels * self.channels[0] * self.channels[1] * self.window.kernel.pow(2)) as u64
    }
}

/// The token counts of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockPlan {
    /// Patch tokens that come into the block. Its attention runs on them.
    pub patches: usize,
    /// R, patch tokens that are dropped between attention and MLP.
    pub dropped: usize,
}

impl BlockPlan {
    /// N - R, patch tokens on which the MLP and the next block run.
    pub fn kept(&self) -> usize {
        self.patches - self.dropped
    }
}

/// The token counts of a model, under a condensation or in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The model's configuration.
    pub config: VitConfig,
    /// The condensation; `None` for the full model.
    pub condensation: Option<Condensation>,
    /// The L blocks, in order.
    pub blocks: Vec<BlockPlan>,
    /// The route of attention. It is [`Attention::Stored`], which runs on every device, unless [`Plan::with_attention`]
    /// sets another.
    pub attention: Attention,
}

impl Plan {
    /// Plans `config` under `condensation` (`None`: the full model).
    ///
    /// # Errors
    /// [`Error::Config`] for a configuration or condensation that is not valid, or a condensation that does not fit the
    /// model, [`Error::Limit`] for more patch tokens than can be ranked.
    pub fn new(config: &VitConfig, condensation: Option<&Condensation>) -> Result<Self> {
        config.validate()?;
        let drops = match condensation {
            None => vec![0; config.depth],
            Some(condensation) => {
                condensation.validate()?;
                match condensation.schedule {
                    Schedule::Share(_) | Schedule::MultiplyAdds(_) => cost::affordable_drops(config, condensation)?,
                    _ => condensation.drops(config.patches(), config.depth)?,
                }
            }
        };
        let condenses = drops.iter().any(|&drop| drop > 0);
        if condenses && !config.class_token && condensation.is_some_and(Condensation::uses_dominance) {
            let expected = "a model with a class token, whose attention ranks the patch tokens (tome needs none)";
            return Err(Error::config("plan condensation", expected, "a model without a class token"));
        }
        if condenses && config.patches() > MOST_PATCHES {
            return Err(Error::limit(
                "plan condensation",
                format!("at most {MOST_PATCHES} patch tokens, which one workgroup's memory can rank"),
                {
                    let [height, width] = config.image;
                    format!("{} ({height} x {width} px, patches of {} px)", config.patches(), config.patch)
                },
            ));
        }
        let mut patches = config.patches();
        let blocks = drops.into_iter().map(|dropped| {
            let block = BlockPlan { patches, dropped };
            patches = block.kept();
            block
        });
        Ok(Self {
            config: config.clone(),
            condensation: condensation.cloned(),
            blocks: blocks.collect(),
            attention: Attention::Stored,
        })
    }

    /// The same plan with the given route of attention.
    #[must_use]
    pub fn with_attention(self, attention: Attention) -> Self {
        Self { attention, ..self }
    }

    /// Patch tokens after the last block.
    pub fn last_patches(&self) -> usize {
        self.blocks.last().map_or(self.config.patches(), BlockPlan::kept)
    }

    /// Tokens after the last block, prefix included.
    pub fn last_tokens(&self) -> usize {
        self.config.prefix() + self.last_patches()
    }

    /// Whether any block drops tokens.
    pub fn condenses(&self) -> bool {
        self.blocks.iter().any(|block| block.dropped > 0)
    }

    /// Row stride of the attention probabilities of `tokens` tokens, in elements: `tokens` rounded up to whole vec4s.
    pub fn probs_stride(tokens: usize) -> usize {
        tokens.next_multiple_of(4)
    }

    /// Whether rows of W are padded to whole vec4s. They are when the kernel that writes W and all that read it support
    /// padding.
    pub(crate) fn pads(&self, condensation: &Condensation) -> bool {
        self.attention == Attention::Cooperative && condensation.compares_attention() && condensation.reads_w_once()
    }

    /// How many of `batch` images run at once: the batch is divided into the fewest runs that fit the adapter, as
    /// evenly as possible.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty batch or one above 1,048,576 images, [`Error::Limit`] when not even one image
    /// fits into bindings of `max_binding` bytes; it names the buffer.
    pub fn chunk(&self, batch: usize, max_binding: u64) -> Result<usize> {
        if !(1..=1 << 20).contains(&batch) {
            return Err(Error::config("batch", "1 to 1048576 images", batch.to_string()));
        }
        let (name, largest) = self.elements().largest();
        // Every adapter takes 65,535 workgroups in a dimension, and some dispatches have a dimension that counts
        // images. Indices are 32 bits.
        let most = (max_binding.min(u64::from(u32::MAX)) / (largest as u64 * 4)).min(65_535) as usize;
        if most == 0 {
            return Err(Error::limit(
                "plan batch",
                format!("{} bytes in one binding, for one image's {name}", largest * 4),
                format!("at most {max_binding} bytes on this device"),
            ));
        }
        Ok(batch.div_ceil(batch.div_ceil(most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deit_tiny(drop: usize) -> Plan {
        let config = VitConfig::preset("deit_tiny").unwrap();
        Plan::new(&config, Some(&Condensation::paper().drop_per_block(drop))).unwrap()
    }

    #[test]
    fn tokens_shrink_by_the_schedule() {
        let plan = deit_tiny(14);
        assert_eq!(plan.blocks[0], BlockPlan { patches: 196, dropped: 14 });
        assert_eq!(plan.blocks[11], BlockPlan { patches: 42, dropped: 14 });
        assert_eq!((plan.last_patches(), plan.last_tokens()), (28, 29));
    }

    #[test]
    fn a_batch_is_split_evenly_to_fit_the_binding() {
        let plan = deit_tiny(14);
        let one_image = plan.elements().largest().1 as u64 * 4;
        assert_eq!(plan.chunk(10, one_image * 100).unwrap(), 10);
        assert_eq!(plan.chunk(10, one_image * 8).unwrap(), 5);
        assert_eq!(plan.chunk(10, one_image).unwrap(), 1);
        let error = plan.chunk(10, one_image - 1).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }) && error.to_string().contains("hidden layer"), "{error}");
        assert!(plan.chunk(0, one_image).is_err());
    }

    #[test]
    fn too_many_patches_to_rank_are_refused_only_when_condensing() {
        let config = VitConfig::new(736, 16, 64, 2, 1, 10);
        assert_eq!(config.patches(), 2116);
        assert!(Plan::new(&config, None).is_ok());
        assert!(matches!(Plan::new(&config, Some(&Condensation::paper())), Err(Error::Limit { .. })));
    }
}
