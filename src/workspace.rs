//! The buffers that a forward works in, sized by the plan for a number of images. What a dispatch reads and what it
//! writes are never one buffer, so tokens and sizes ping-pong.

use crate::error::Result;
use crate::gpu::{Context, Precision, empty};
use crate::kernels::attention::cooperative::MOST_ROWS;
use crate::plan::{BlockPlan, Plan};

/// Buffers of one session. Shapes are for B images at the largest token count; later blocks use a part of each.
pub(crate) struct Workspace {
    /// Input [B, 3, image, image].
    pub(crate) pixels: wgpu::Buffer,
    /// Between the convolutions of a stem [B, channels, image/2, image/2]; one element without one.
    pub(crate) stem: wgpu::Buffer,
    /// Patch rows [B, N, 3 * patch^2 padded]; before them, the stem's second layer.
    pub(crate) patches: wgpu::Buffer,
    /// The residual stream [B, T, D], before and after a block that condenses.
    pub(crate) tokens: [wgpu::Buffer; 2],
    /// How many patches each token stands for [B, T], before and after a fuse.
    pub(crate) sizes: [wgpu::Buffer; 2],
    /// Projected patches, normed tokens, attention output: never two of them at once. [B, T, D]
    pub(crate) normed: wgpu::Buffer,
    /// Queries, keys, values [B, T, 3D].
    pub(crate) qkv: wgpu::Buffer,
    /// Attention logits, then probabilities [B, H, T, T padded]; one element where attention is fused.
    pub(crate) probs: wgpu::Buffer,
    /// What fused attention leaves of its softmax, the largest logit and 1 / the sum of each row [B, H, T, 2]; else one
    /// element.
    pub(crate) softmax_rows: wgpu::Buffer,
    /// MLP's hidden layer [B, T, F].
    pub(crate) hidden: wgpu::Buffer,
    /// What the classifier sees [B, D or 2D], before and after fc_norm.
    pub(crate) pooled: [wgpu::Buffer; 2],
    /// Output [B, classes].
    pub(crate) logits: wgpu::Buffer,
    /// The same with rows rounded up to vec4s, as dense layers write them; `logits` itself where that is no difference.
    pub(crate) padded_logits: wgpu::Buffer,
    /// Logits of every token [B, T, classes rounded up to 4], for a head that takes their maximum.
    pub(crate) token_logits: wgpu::Buffer,
    /// What condensing needs; `None` in a full model.
    pub(crate) condense: Option<CondenseBuffers>,
}

/// Buffers that condensing one block needs and the next may overwrite. A clone is the same buffers.
#[derive(Clone)]
pub(crate) struct CondenseBuffers {
    /// W of the metrics that are not cosines [B, N, N].
    pub(crate) connectivity: wgpu::Buffer,
    /// Cosines of keys or of tokens [B, N, N], and the W that is made of them.
    pub(crate) cosine: wgpu::Buffer,
    /// Unit keys [B, N, Dh], or unit tokens [B, N, D].
    pub(crate) keys: wgpu::Buffer,
    /// D [B, N].
    pub(crate) dominance: wgpu::Buffer,
    /// Sums of the columns of W by attention, over strips of its rows [B, strips, N].
    pub(crate) column_sums: wgpu::Buffer,
    /// c [B, N].
    pub(crate) mean: wgpu::Buffer,
    /// C[q, :] of dropped tokens [B, R, N].
    pub(crate) rows: wgpu::Buffer,
    /// C[q, p] and C[p, p] [B, R].
    pub(crate) connection: wgpu::Buffer,
    pub(crate) diagonal: wgpu::Buffer,
    /// The rows of the stream at which the tokens that go on lie [B, T].
    pub(crate) remaining: wgpu::Buffer,
    /// Matrices of the dense path [B, N, N]; one element each on the thin one.
    pub(crate) dense: [wgpu::Buffer; 4],
}

/// What one block decided, kept until the next forward so that it can be traced.
pub(crate) struct Selection {
    /// Block index.
    pub(crate) block: usize,
    /// N, patch tokens that came in.
    pub(crate) patches: usize,
    /// R
    pub(crate) dropped: usize,
    /// S [B, N].
    pub(crate) score: wgpu::Buffer,
    /// Kept tokens in the order in which they go on, then dropped ones [B, N].
    pub(crate) order: wgpu::Buffer,
    /// Place among the kept [B, N].
    pub(crate) slot: wgpu::Buffer,
    /// Match of each dropped token among incoming tokens [B, R].
    pub(crate) assigned: wgpu::Buffer,
    /// When inspected: the buffers that this block condenses in, with matrices that no other block overwrites.
    pub(crate) own: Option<CondenseBuffers>,
    /// When inspected: W [B, N, N], once it is recorded; a condensation that needs no W has none.
    pub(crate) connectivity: Option<wgpu::Buffer>,
}

impl CondenseBuffers {
    /// These, with matrices of their own for `images` images of `patches` tokens.
    pub(crate) fn with_own_matrices(&self, context: &Context, patches: usize, images: usize) -> Result<Self> {
        let new = |name: &str, shared: &wgpu::Buffer| {
            // A matrix that the condensation does not use stays one element.
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
    /// The residual stream that `stream` is not.
    pub(crate) fn other_tokens(&self, stream: &wgpu::Buffer) -> &wgpu::Buffer {
        let [first, second] = &self.tokens;
        if stream == first { second } else { first }
    }

    /// The sizes that `sizes` are not.
    pub(crate) fn other_sizes(&self, sizes: &wgpu::Buffer) -> &wgpu::Buffer {
        let [first, second] = &self.sizes;
        if sizes == first { second } else { first }
    }

    /// Allocates for `images` images under `plan`, activations stored in `precision`.
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
            // Matrices of queries are loaded whole, of however few tokens.
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
