//! The outputs of a forward and the tokens that each block kept and fused, in memory and as a file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, View};

use crate::error::{Error, Result};
use crate::file::write_whole;

/// The value in [`BlockTrace::assigned`] of a token that was dropped without being fused.
pub const PRUNED: u32 = u32::MAX;

/// A forward's outputs and decisions, for `images` images.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Trace {
    /// B
    pub images: usize,
    /// T after the last block.
    pub tokens: usize,
    /// D
    pub width: usize,
    /// Classes; 0 for a model without a head.
    pub classes: usize,
    /// Logits [B, classes].
    pub logits: Vec<f32>,
    /// Tokens after the final norm [B, T, D]; with a mean-pooled head, whose norm comes after pooling, tokens after the
    /// last block.
    pub features: Vec<f32>,
    /// The classifier's input for each image [B, P], such as the class token after the final norm or the mean of the
    /// patch tokens.
    pub pooled: Vec<f32>,
    /// Decisions of the blocks that condense, in order.
    pub blocks: Vec<BlockTrace>,
}

/// One block's decisions.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BlockTrace {
    /// Block index.
    pub block: usize,
    /// N, patch tokens that came in.
    pub patches: usize,
    /// N - R, patch tokens that are kept.
    pub kept_count: usize,
    /// Indices of the kept tokens among those that came in [B, N - R], in the order in which they leave the block:
    /// ascending, except with ToMe, which puts the rest of its first set before its second set.
    pub kept: Vec<u32>,
    /// For every token that came in, the index of the outgoing token that it is now part of, or [`PRUNED`] [B, N].
    pub assigned: Vec<u32>,
    /// S [B, N]
    pub score: Vec<f32>,
    /// W [B, N, N], row i the connectivity of token i to every other. Empty unless the session inspects
    /// ([`SessionOptions::inspect`](crate::SessionOptions::inspect)) and its condensation needs W.
    pub connectivity: Vec<f32>,
}

impl BlockTrace {
    /// From the buffers that the GPU wrote: `order`, the kept and then the dropped indices [B, N]; `slot`, each token's
    /// place among the kept ones [B, N]; `matches`, the target of each dropped token [B, R].
    pub(crate) fn new(block: usize, patches: usize, order: &[u32], slot: &[u32], matches: Option<&[u32]>) -> Self {
        let images = order.len() / patches.max(1);
        let kept_count = slot.iter().filter(|&&slot| slot != PRUNED).count() / images.max(1);
        let dropped = patches - kept_count;
        let mut trace = Self { block, patches, kept_count, assigned: slot.to_vec(), ..Self::default() };
        for (image, order) in order.chunks_exact(patches).enumerate() {
            let (kept, gone) = order.split_at(kept_count);
            trace.kept.extend_from_slice(kept);
            for (r, &token) in gone.iter().enumerate() {
                // The slot of a dropped token is PRUNED. It is replaced by its match's slot here.
                if let Some(matches) = matches {
                    let target = matches[image * dropped + r] as usize;
                    trace.assigned[image * patches + token as usize] = slot[image * patches + target];
                }
            }
        }
        trace
    }
}

impl Trace {
    /// Appends the trace of further images of the same session.
    pub(crate) fn extend(&mut self, more: Self) {
        if self.images == 0 {
            *self = more;
            return;
        }
        self.images += more.images;
        self.logits.extend(more.logits);
        self.features.extend(more.features);
        self.pooled.extend(more.pooled);
        for (block, more) in self.blocks.iter_mut().zip(more.blocks) {
            block.kept.extend(more.kept);
            block.assigned.extend(more.assigned);
            block.score.extend(more.score);
            block.connectivity.extend(more.connectivity);
        }
    }

    /// Writes the trace as a safetensors file: `logits` [B, classes], `features` [B, T, D] and, if requested, `pooled`
    /// [B, P], all f32. For each block I that condenses: `block.I.kept` [B, N-R] u32, `block.I.assigned` [B, N] u32
    /// (4294967295 for a pruned token), `block.I.score` [B, N] f32 and, if inspected, `block.I.connectivity` [B, N, N]
    /// f32.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be written. No partial file is left.
    pub fn save(&self, path: &Path) -> Result<()> {
        let b = self.images;
        let mut tensors =
            vec![("features".to_owned(), Tensor::floats(&self.features, vec![b, self.tokens, self.width]))];
        if self.classes > 0 {
            tensors.push(("logits".to_owned(), Tensor::floats(&self.logits, vec![b, self.classes])));
        }
        if !self.pooled.is_empty() {
            let width = self.pooled.len() / b.max(1);
            tensors.push(("pooled".to_owned(), Tensor::floats(&self.pooled, vec![b, width])));
        }
        for block in &self.blocks {
            let name = |what: &str| format!("block.{}.{what}", block.block);
            tensors.push((name("kept"), Tensor::indices(&block.kept, vec![b, block.kept_count])));
            tensors.push((name("assigned"), Tensor::indices(&block.assigned, vec![b, block.patches])));
            tensors.push((name("score"), Tensor::floats(&block.score, vec![b, block.patches])));
            if !block.connectivity.is_empty() {
                let shape = vec![b, block.patches, block.patches];
                tensors.push((name("connectivity"), Tensor::floats(&block.connectivity, shape)));
            }
        }
        let metadata = HashMap::from([("format".to_owned(), "tcvit trace".to_owned())]);
        let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|error| {
            Error::file("write trace", "tensors of consistent shapes", error.to_string()).caused_by(error)
        })?;
        write_whole(path, &bytes)
    }
}

/// A tensor in the form that safetensors serialises.
struct Tensor<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: &'a [u8],
}

impl<'a> Tensor<'a> {
    fn floats(values: &'a [f32], shape: Vec<usize>) -> Self {
        Self { dtype: Dtype::F32, shape, bytes: bytemuck::cast_slice(values) }
    }

    fn indices(values: &'a [u32], shape: Vec<usize>) -> Self {
        Self { dtype: Dtype::U32, shape, bytes: bytemuck::cast_slice(values) }
    }
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assigned_tells_where_every_token_went() {
        // Five tokens. 0, 2 and 4 are kept, 1 is fused into 4, and 3 into 0.
        let (order, slot) = ([0, 2, 4, 1, 3], [0, PRUNED, 1, PRUNED, 2]);
        let fused = BlockTrace::new(3, 5, &order, &slot, Some(&[4, 0]));
        assert_eq!((fused.kept, fused.assigned), (vec![0, 2, 4], vec![0, 2, 1, 0, 2]));
        let pruned = BlockTrace::new(3, 5, &order, &slot, None);
        assert_eq!(pruned.assigned, [0, PRUNED, 1, PRUNED, 2]);
    }
}
