//! The size of every buffer of a session.

use super::{Attention, BlockPlan, Plan};
use crate::condensation::{Condensation, Path};
use crate::config::Head;
use crate::kernels::attention_connectivity::strips;
use crate::kernels::attention_mean;
use crate::kernels::layout::Layout;

/// Elements of each buffer for one image, 4 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are those of `Workspace`, which documents them.
pub struct Elements {
    pub pixels: usize,
    pub stem: usize,
    pub patches: usize,
    pub tokens: usize,
    pub qkv: usize,
    pub probs: usize,
    pub softmax_rows: usize,
    pub hidden: usize,
    pub sizes: usize,
    pub pooled: usize,
    pub logits: usize,
    pub padded_logits: usize,
    pub token_logits: usize,
    pub connectivity: usize,
    pub cosine: usize,
    pub column_sums: usize,
    pub keys: usize,
    pub rows: usize,
    pub dense: usize,
    pub listed: usize,
}

impl Elements {
    /// Name and elements of the largest buffer, which decides how many images fit at once.
    pub fn largest(&self) -> (&'static str, usize) {
        [
            ("pixels", self.pixels),
            ("patches", self.patches),
            // After the patches, so that the stem is named when both are equally large: `patches` is then that large
            // because of the stem.
            ("convolutional stem", self.stem),
            ("tokens", self.tokens),
            ("qkv", self.qkv),
            ("attention probabilities", self.probs),
            ("hidden layer", self.hidden),
            ("logits", self.padded_logits),
            ("logits of tokens", self.token_logits),
            ("connectivity", self.connectivity),
            ("cosines", self.cosine),
            ("connectivity rows", self.rows),
        ]
        .into_iter()
        .max_by_key(|&(_, len)| len)
        .unwrap_or(("tokens", 1))
    }
}

impl Plan {
    /// Elements of one of the vectors whose cosines are computed: a token or a head-averaged key.
    fn compared_width(&self) -> usize {
        let of_tokens = self.condensation.as_ref().is_some_and(Condensation::compares_tokens);
        if of_tokens { self.config.width } else { self.config.head_width() }
    }

    /// Elements of each buffer of a session for one image.
    pub fn elements(&self) -> Elements {
        let config = &self.config;
        let (tokens, patches) = (config.tokens(), config.patches());
        let condensation = self.condensation.as_ref().filter(|_| self.condenses());
        let most = |dropped: fn(&BlockPlan) -> usize| self.blocks.iter().map(dropped).max().unwrap_or(0);
        let square = patches * patches;
        let layout = match condensation.is_some_and(|condensation| self.pads(condensation)) {
            true => Layout::padded(config.prefix(), patches),
            false => Layout::packed(patches),
        };
        let strips = match self.attention {
            Attention::Cooperative => attention_mean::cooperative::most_strips(tokens),
            _ => strips(patches),
        };
        let when =
            |needed: fn(&Condensation) -> bool, len: usize| condensation.filter(|c| needed(c)).map_or(0, |_| len);
        Elements {
            pixels: config.pixels(),
            stem: config.stem_elements(),
            // The layers of the stem alternate between the buffers `stem` and `patches`.
            patches: (patches * config.patch_stride()).max(config.stem_elements()),
            tokens: tokens * config.width,
            qkv: tokens * 3 * config.width,
            probs: match self.attention {
                Attention::Stored => config.heads * tokens * Self::probs_stride(tokens),
                Attention::Fused | Attention::Cooperative => 0,
            },
            softmax_rows: match self.attention {
                Attention::Stored => 0,
                Attention::Fused | Attention::Cooperative => config.heads * tokens * 2,
            },
            hidden: tokens * config.mlp,
            sizes: tokens,
            pooled: config.head_rows() * config.width,
            logits: config.classes,
            padded_logits: config.classes.next_multiple_of(4),
            token_logits: match config.head {
                Head::ClassAndTokenMax => self.last_tokens() * config.classes.next_multiple_of(4),
                _ => 0,
            },
            connectivity: when(Condensation::uses_own_connectivity, layout.elements(patches)),
            column_sums: when(Condensation::uses_own_connectivity, layout.elements(strips)),
            cosine: when(Condensation::uses_cosine, square),
            keys: when(Condensation::uses_cosine, patches * self.compared_width()),
            rows: when(Condensation::uses_rows, most(|block| block.dropped * block.patches)),
            dense: when(|c| c.path == Path::Dense && c.uses_connectivity(), square),
            listed: when(|_| true, patches),
        }
    }
}
