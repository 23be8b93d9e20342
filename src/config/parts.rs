//! The parts in which architectures differ, besides sizes.

/// How logits are computed from the tokens after the last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Head {
    /// A linear layer on the class token after the final norm.
    ClassToken,
    /// The mean of two linear layers, on the class and on the distillation token (DeiT, distilled).
    ClassAndDistillation,
    /// The mean of the patch tokens, then `fc_norm`, then a linear layer, without a final norm before the mean.
    /// Condensed tokens are weighted by the number of patches that they stand for.
    MeanPooled,
    /// LV-ViT's head: for each class, a linear layer on the class token, plus half of the maximum over the patch tokens
    /// of another linear layer. Both read tokens after the final norm.
    ClassAndTokenMax,
    /// A linear layer on the class token and the mean of the patch tokens side by side, both after the final norm
    /// (transformers' DINOv2). Condensed tokens are weighted by the number of patches that they stand for.
    ClassAndMean,
}

/// How pixels become patches, before their projection to D.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stem {
    /// Patches are cut from the pixels.
    Patchify,
    /// LV-ViT's stem: convolutions of 7x7 at stride 2, 3x3 and 3x3, each followed by batch norm (folded into the
    /// weights when these are loaded) and ReLU. Patches of half the side are cut from the output.
    Convolutional {
        /// Output channels of each of the three convolutions, a multiple of 4.
        channels: usize,
    },
}

/// The activation between the two layers of an MLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// x times the normal distribution's cumulative probability of x: the exact GELU of timm and most models.
    #[default]
    Gelu,
    /// An approximation of GELU by a hyperbolic tangent, which differs from the exact GELU by at most 5e-4 (SigLIP).
    GeluTanh,
    /// x times the logistic function of 1.702 x (OpenAI's CLIP).
    QuickGelu,
}

/// How the positions of tokens are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Position {
    /// A learned row for every token, prefix tokens included, is added before the blocks.
    #[default]
    LearnedForAll,
    /// A learned row for every patch is added before the blocks; prefix tokens have none.
    LearnedForPatches,
}
