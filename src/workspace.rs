//! The buffers of a forward, sized by the plan for a number of images. No dispatch reads and writes the same buffer, so
//! tokens and sizes alternate between two.

use crate::error::Result;
use crate::gpu::{Context, Precision, empty};
use crate::kernels::attention::cooperative::MOST_ROWS;
use crate::plan::{BlockPlan, Plan};

/// Buffers of one session. Shapes are for B images at the largest token count. Later blocks use a part of each buffer.
pub(crate) struct Workspace {
    /// Input [B, 3, image, image].
    pub(crate) pixels: wgpu::Buffer,
    /// Between the convolutions of a stem [B, channels, image/2, image/2]. One element in a model without a stem.
    pub(crate) stem: wgpu::Buffer,
    /// Patch rows [B, N, 3 * patch^2 padded]. With a stem, its second layer's output before that.
    pub(crate) patches: wgpu::Buffer,
    /// The residual stream [B, T, D], before and after a block that condenses.
    pub(crate) tokens: [wgpu::Buffer; 2],
    /// Number of patches that each token stands for [B, T], before and after a fuse.
    pub(crate) sizes: [wgpu::Buffer; 2],
    /// Projected patches, normed tokens or the output of attention [B, T, D]. No two of them are needed at the same
    /// time.
    pub(crate) normed: wgpu::Buffer,
    /// Queries, keys, values [B, T, 3D].
    pub(crate) qkv: wgpu::Buffer,
    /// Attention logits, then probabilities [B, H, T, T padded]. One element when attention is not stored.
    pub(crate) probs: wgpu::Buffer,
    /// For attention that is not stored: the largest logit and 1 / the sum of each row of its softmax [B, H, T, 2]. One
    /// element when attention is stored.
    pub(crate) softmax_rows: wgpu::Buffer,
    /// The MLP's hidden layer [B, T, F].
    pub(crate) hidden: wgpu::Buffer,
    /// The classifier's input [B, D or 2D], before and after fc_norm.
    pub(crate) pooled: [wgpu::Buffer; 2],
    /// Logits [B, classes].
    pub(crate) logits: wgpu::Buffer,
    /// Logits with rows rounded up to vec4s, as dense layers write them. The same buffer as `logits` if rounding
    /// changes nothing.
    pub(crate) padded_logits: wgpu::Buffer,
    /// Logits of every token [B, T, classes rounded up to 4], for a head that takes their maximum.
    pub(crate) token_logits: wgpu::Buffer,
    /// Buffers for condensing; `None` in a full model.
    pub(crate) condense: Option<CondenseBuffers>,
}

/// Buffers that are needed to condense one block, and that the next block may overwrite. A clone refers to the same
/// buffers.
#[derive(Clone)]
pub(crate) struct CondenseBuffers {
    /// W [B, N, N] of the metrics that are not cosines.
    pub(crate) connectivity: wgpu::Buffer,
    /// Cosines of keys or of tokens [B, N, N], later overwritten by the W that is computed from them.
    pub(crate) cosine: wgpu::Buffer,
    /// Unit keys [B, N, Dh], or unit tokens [B, N, D].
    pub(crate) keys: wgpu::Buffer,
    /// Dominance D [B, N].
    pub(crate) dominance: wgpu::Buffer,
    /// Sums of the columns of W of the metric `attention`, over strips of its rows [B, strips, N].
    pub(crate) column_sums: wgpu::Buffer,
    /// Mean connectivity c [B, N].
    pub(crate) mean: wgpu::Buffer,
    /// C[q, :] of dropped tokens [B, R, N].
    pub(crate) rows: wgpu::Buffer,
    /// C[q, p] and C[p, p] [B, R].
    pub(crate) connection: wgpu::Buffer,
    pub(crate) diagonal: wgpu::Buffer,
    /// The rows of the stream that hold the remaining tokens [B, T].
    pub(crate) remaining: wgpu::Buffer,
    /// Matrices of the dense path [B, N, N]. One element each on the thin path.
    pub(crate) dense: [wgpu::Buffer; 4],
}

/// The decisions of one block, kept until the next forward so that they can be traced.
pub(crate) struct Selection {
    /// Block index.
    pub(crate) block: usize,
    /// N, patch tokens that came in.
    pub(crate) patches: usize,
    /// R
    pub(crate) dropped: usize,
    /// S [B, N].
    pub(crate) score: wgpu::Buffer,
    /// Kept tokens in the order in which they leave the block, then dropped ones [B, N].
    pub(crate) order: wgpu::Buffer,
    /// Each token's place among the kept ones [B, N].
    pub(crate) slot: wgpu::Buffer,
    /// The kept token into which each dropped one is fused, as its index among the incoming tokens [B, R].
    pub(crate) assigned: wgpu::Buffer,
    /// When the session inspects: the buffers of this block's condensation, with matrices that no other block
    /// overwrites.
    pub(crate) own: Option<CondenseBuffers>,
    /// When the session inspects: W [B, N, N], set when it is recorded. `None` for a condensation that needs no W.
    pub(crate) connectivity: Option<wgpu::Buffer>,
}

impl CondenseBuffers {
    /// These buffers, with separate matrices for `images` images of `patches` tokens.
    pub(crate) fn with_own_matrices(&self, context: &Context, patches: usize, images: usize) -> Result<Self> {
        let new = |name: &str, shared: &wgpu::Buffer| {
            // A matrix that the condensation does not use keeps its one element.
            empty(context, name, ((shared.size() / 4) as usize).min(images * patches * patches))
        };
        Ok(Self {
            connectivity: new("inspected connectivity", &self.connectivity)?,
            cosine: new("inspected cosine", &self.cosine)?,
            ..self.clone()
        })
    }
}

impl Workspace {
    /// The residual stream's other buffer, which is not `stream`.
    pub(crate) fn other_tokens(&self, stream: &wgpu::Buffer) -> &wgpu::Buffer {
        let [first, second] = &self.tokens;
        if stream == first { second } else { first }
    }

    /// The other buffer of sizes, which is not `sizes`.
    pub(crate) fn other_sizes(&self, sizes: &wgpu::Buffer) -> &wgpu::Buffer {
        let [first, second] = &self.sizes;
        if sizes == first { second } else { first }
    }

    /// Allocates the buffers for `images` images under `plan`, with `qkv` and `hidden` stored in `precision`.
    pub(crate) fn new(context: &Context, plan: &Plan, precision: Precision, images: usize) -> Result<Self> {
        let elements = plan.elements();
        let new = |name: &str, each: usize| empty(context, name, each * images);
        let stored = |name: &str, each: usize| empty(context, name, precision.words(each * images));
        let pair = |name: &str, each: usize| Ok([new(name, each)?, new(name, each)?]);
        let condense = match plan.condenses() {
            false => None,
            true => Some(CondenseBuffers {
                connectivity: new("connectivity", elements.connectivity)?,
                cosine: new("cosine", elements.cosine)?,
                keys: new("keys", elements.keys)?,
                dominance: new("dominance", elements.listed)?,
                column_sums: new("column sums", elements.column_sums)?,
                mean: new("mean connectivity", elements.listed)?,
                rows: new("connectivity rows", elements.rows)?,
                connection: new("connection", elements.listed)?,
                diagonal: new("diagonal", elements.listed)?,
                remaining: new("remaining rows", elements.sizes)?,
                dense: [
                    new("dense 0", elements.dense)?,
                    new("dense 1", elements.dense)?,
                    new("dense 2", elements.dense)?,
                    new("dense 3", elements.dense)?,
                ],
            }),
        };
        let logits = new("logits", elements.logits)?;
        Ok(Self {
            pixels: new("pixels", elements.pixels)?,
            stem: new("stem", elements.stem)?,
            patches: new("patches", elements.patches)?,
            tokens: pair("tokens", elements.tokens)?,
            sizes: pair("sizes", elements.sizes)?,
            normed: new("normed", elements.tokens)?,
            // Whole matrices of queries are loaded, so the buffer has at least `MOST_ROWS` rows.
            qkv: stored("qkv", elements.qkv * MOST_ROWS.div_ceil(images * elements.sizes))?,
            probs: new("probs", elements.probs)?,
            softmax_rows: new("softmax rows", elements.softmax_rows)?,
            hidden: stored("hidden", elements.hidden)?,
            pooled: pair("pooled", elements.pooled)?,
            padded_logits: match elements.padded_logits == elements.logits {
                true => logits.clone(),
                false => new("padded logits", elements.padded_logits)?,
            },
            logits,
            token_logits: new("token logits", elements.token_logits)?,
            condense,
        })
    }
}

impl Selection {
    pub(crate) fn new(context: &Context, block: usize, planned: BlockPlan, images: usize) -> Result<Self> {
        let BlockPlan { patches, dropped } = planned;
        let new = |name: &str, each: usize| empty(context, &format!("block {block} {name}"), each * images);
        Ok(Self {
            block,
            patches,
            dropped,
            score: new("score", patches)?,
            order: new("order", patches)?,
            slot: new("slot", patches)?,
            assigned: new("assigned", dropped)?,
            own: None,
            connectivity: None,
        })
    }
}
