//! What architectures differ in, besides sizes.

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

/// The activation between the two layers of an MLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// x times the normal distribution's cumulative probability of x: the exact GELU, of timm and of most models.
    #[default]
    Gelu,
    /// The same by a hyperbolic tangent, which differs from the exact one by at most 5e-4 (SigLIP).
    GeluTanh,
    /// x times the logistic function of 1.702 x (OpenAI's CLIP).
    QuickGelu,
}

/// How the positions of patches enter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Position {
    /// A learned row for every token, prefix tokens included, is added before the blocks.
    #[default]
    LearnedForAll,
    /// A learned row for every patch is added before the blocks; prefix tokens have none.
    LearnedForPatches,
}
