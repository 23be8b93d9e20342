//! The buffers that a forward works in, sized by the plan for a number of images. What a dispatch reads and what it
//! writes are never one buffer, so tokens and sizes ping-pong.

use crate::condensation::Weights;
use crate::doctor::{AssignUse, ScoreUse};
use crate::error::Result;
use crate::gpu::{Context, Home, Placed, Precision, Texels, Variant, empty, fits};
use crate::kernels::assign::Candidates;
use crate::kernels::attention::Emission;
use crate::kernels::attention::cooperative::MOST_ROWS;
use crate::kernels::score::Terms;
use crate::plan::Plan;
use crate::tune;

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
    /// Powers that attention emits [B, H, T, T padded] and what they are relative to [B, H, chunks, T]; else a
    /// vec4 each.
    pub(crate) powers: Placed,
    pub(crate) levels: wgpu::Buffer,
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
    pub(crate) connectivity: Placed,
    /// Cosines of keys or of tokens [B, N, N], and the W that is made of them.
    pub(crate) cosine: wgpu::Buffer,
    /// Unit keys [B, N, Dh], or unit tokens [B, N, D].
    pub(crate) keys: Placed,
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
        let connectivity = self.connectivity.matrix().buffer("inspect")?;
        Ok(Self {
            connectivity: Placed::Buffer(new("inspected connectivity", connectivity)?),
            cosine: new("inspected cosine", &self.cosine)?,
            ..self.clone()
        })
    }
}

impl Workspace {
    /// Where attention leaves what W is made of.
    pub(crate) fn emission(&self) -> Emission<'_> {
        Emission { powers: self.powers.matrix(), levels: &self.levels }
    }

    /// Allocates for `images` images under `plan`, activations stored in `precision`. With `inspect` matrices lie as they
    /// are read back.
    pub(crate) fn new(
        context: &Context,
        plan: &Plan,
        precision: Precision,
        images: usize,
        inspect: bool,
    ) -> Result<Self> {
        let elements = plan.elements();
        let new = |name: &str, each: usize| empty(context, name, each * images);
        let stored = |name: &str, each: usize| empty(context, name, precision.words(each * images));
        let pair = |name: &str, each: usize| Ok([new(name, each)?, new(name, each)?]);
        let texels = texels(context, plan, precision, images, inspect);
        let powers_words = precision.words(elements.powers * images).max(Emission::UNUSED);
        let condense = match plan.condenses() {
            false => None,
            true => Some(CondenseBuffers {
                connectivity: Placed::empty(
                    context,
                    "connectivity",
                    elements.connectivity * images,
                    texels.map(|[w, _]| w),
                )?,
                cosine: new("cosine", elements.cosine)?,
                keys: Placed::empty(context, "keys", elements.keys * images, texels_of_keys(context, plan, images))?,
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
            powers: Placed::empty(context, "powers", powers_words, texels.map(|[_, powers]| powers))?,
            levels: empty(context, "levels", (elements.levels * images).max(Emission::UNUSED))?,
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

/// The sizes of textures that hold W, and the powers that it is made of, of `images` images: where W may be padded, the
/// device has room, and what reads W can have it there.
pub(crate) fn texels(
    context: &Context,
    plan: &Plan,
    precision: Precision,
    images: usize,
    inspect: bool,
) -> Option<[Texels; 2]> {
    // What is read back lies in buffers.
    let sizes = plan.texels(images, precision).filter(|_| !inspect)?;
    let condensation = plan.condensation.as_ref()?;
    let (order, home, aligned) = (condensation.order, Home::Texture, true);
    let matching = AssignUse {
        order,
        home,
        aligned,
        candidates: Candidates::Any,
        weighs: condensation.weights == Weights::Connectivity,
    };
    let scored = condensation.score_counts().map(|(connectivity, dominance)| {
        let (order, home) = if connectivity { (order, home) } else { (0, Home::Buffer) };
        let terms = Terms { normalise: condensation.normalise, connectivity, dominance };
        ScoreUse { order, home, aligned, terms }
    });
    let mut condensing = plan.blocks.iter().filter(|block| block.dropped > 0);
    let mut readable = || {
        scored.is_none_or(|used| tune::of_score(context, used) == Variant::Subgroup)
            && condensing.all(|block| tune::of_matching(context, matching, block.dropped) == Variant::Subgroup)
    };
    (sizes.iter().all(|&size| fits(context, size)) && readable()).then_some(sizes)
}

/// The size of a texture that holds unit keys of `images` images, where a CPU emulates a GPU, which reads them faster there,
/// and what reads them can have them there.
fn texels_of_keys(context: &Context, plan: &Plan, images: usize) -> Option<Texels> {
    let condensing: Vec<usize> =
        plan.blocks.iter().filter(|block| block.dropped > 0).map(|block| block.patches).collect();
    let patches = condensing.iter().copied().max()?;
    let width = plan.elements().keys / patches;
    let texels = [(width / 4) as u32, patches as u32, images as u32];
    let believed = |&patches: &usize| {
        let octets = tune::Cosines::Of(Variant::Subgroup);
        tune::of_cosines(context, [patches, width], Precision::F32, Home::Texture) == octets
    };
    let emulated = context.is_emulated();
    (emulated && width >= 4 && fits(context, texels) && condensing.iter().all(believed)).then_some(texels)
}

impl Selection {
    pub(crate) fn new(context: &Context, block: usize, patches: usize, dropped: usize, images: usize) -> Result<Self> {
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
