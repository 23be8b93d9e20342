//! The path of every patch of the photograph through the network: the decisions of a [`Trace`], followed through the
//! blocks. It serves pictures, and tasks that need a value for each patch (segmentation, depth, feature maps). It runs on
//! the CPU.

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::trace::{BlockTrace, PRUNED, Trace};

/// For every block, the token that each original patch is part of after it, and the patch that represents each token.
///
/// ```
/// use tcvit::low_level::plan::Plan;
/// use tcvit::trace::{BlockTrace, Trace};
/// use tcvit::{Condensation, Provenance, VitConfig};
///
/// // Four patches and two blocks, of which the second drops one token. In a program, the plan is `session.plan()` and
/// // the trace is the result of `session.run`.
/// let plan = Plan::new(&VitConfig::new(8, 4, 4, 2, 1, 0), Some(&Condensation::paper().schedule([0, 1])))?;
/// let mut block = BlockTrace::default();
/// (block.block, block.patches, block.kept_count) = (1, 4, 3);
/// (block.kept, block.assigned) = (vec![0, 2, 3], vec![0, 2, 1, 2]);
/// let mut trace = Trace::default();
/// (trace.images, trace.blocks) = (1, vec![block]);
///
/// let provenance = Provenance::new(&trace, &plan)?;
/// let last = provenance.last();
/// assert_eq!(last.token, [0, 2, 1, 2]); // patch 1 was fused into the token of patch 3
/// assert_eq!(last.representative, [0, 2, 3]);
/// // One value for each token becomes one for each patch.
/// assert_eq!(last.spread(&[0.5, 0.6, 0.7], 1, f32::NAN)?, [0.5, 0.7, 0.6, 0.7]);
/// # Ok::<(), tcvit::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provenance {
    /// B
    pub images: usize,
    /// N, patches of the photograph, row by row.
    pub patches: usize,
    /// E, prefix tokens, which stand for no patch.
    pub prefix: usize,
    /// The state after each of the L blocks. It is unchanged after a block that drops nothing.
    pub blocks: Vec<BlockProvenance>,
}

/// The state of the patches after one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockProvenance {
    /// N, patches of the photograph.
    pub patches: usize,
    /// T', patch tokens that leave the block.
    pub tokens: usize,
    /// For every original patch, the index of the outgoing patch token that it is part of, or [`PRUNED`] [B, N].
    pub token: Vec<u32>,
    /// For every outgoing patch token, the original patch that represents it [B, T'].
    pub representative: Vec<u32>,
}

impl Provenance {
    /// Follows the patches through the blocks of `plan`. `trace` must come from a run of the session with this plan, with
    /// [`Outputs::trace`](crate::Outputs::trace).
    ///
    /// # Errors
    /// [`Error::Shape`] when the trace is not that of such a run: when a block is missing, or an index is out of range.
    pub fn new(trace: &Trace, plan: &Plan) -> Result<Self> {
        let (images, patches) = (trace.images, plan.config.patches());
        let everyone: Vec<u32> = (0..images).flat_map(|_| 0..patches as u32).collect();
        let mut now = BlockProvenance { patches, tokens: patches, token: everyone.clone(), representative: everyone };
        let mut traced = trace.blocks.iter().peekable();
        let mut blocks = Vec::with_capacity(plan.blocks.len());
        for (index, planned) in plan.blocks.iter().enumerate() {
            if let Some(block) = traced.next_if(|block| block.block == index) {
                now = now.after(block, images)?;
            }
            if now.tokens != planned.kept() {
                let expected = format!("{} patch tokens after block {index}, as planned", planned.kept());
                return Err(refuse(expected, format!("{}; did the run request blocks (Outputs::trace)?", now.tokens)));
            }
            blocks.push(now.clone());
        }
        match traced.next() {
            Some(block) => Err(refuse(format!("{} blocks in order", blocks.len()), format!("block {}", block.block))),
            None => Ok(Self { images, patches, prefix: plan.config.prefix(), blocks }),
        }
    }

    /// The state after the last block. Empty for a network without blocks, which no configuration allows.
    pub fn last(&self) -> &BlockProvenance {
        const NOTHING: &BlockProvenance =
            &BlockProvenance { patches: 0, tokens: 0, token: Vec::new(), representative: Vec::new() };
        self.blocks.last().unwrap_or(NOTHING)
    }

    /// The features of `trace` on the full grid [B, N, D]: each patch gets the features of the token that it is part
    /// of, and pruned patches get `missing`. Prefix tokens are left out.
    ///
    /// # Errors
    /// [`Error::Shape`] when the trace has no features ([`Outputs::features`](crate::Outputs::features)) or belongs to
    /// another run.
    pub fn restore(&self, trace: &Trace, missing: f32) -> Result<Vec<f32>> {
        let (last, width) = (self.last(), trace.width);
        let each = (self.prefix + last.tokens) * width;
        if trace.features.is_empty() || trace.features.len() != self.images * each {
            let expected = format!("features [{}, {}, {width}]", self.images, self.prefix + last.tokens);
            return Err(refuse(expected, format!("{} numbers", trace.features.len())));
        }
        let images = trace.features.chunks_exact(each);
        let values: Vec<f32> = images.flat_map(|image| &image[self.prefix * width..]).copied().collect();
        last.spread(&values, width, missing)
    }
}

impl BlockProvenance {
    /// The state after one more block.
    fn after(&self, block: &BlockTrace, images: usize) -> Result<Self> {
        let (before, tokens) = (self.tokens, block.kept_count);
        let shaped = block.patches == before
            && block.kept.len() == images * tokens
            && block.assigned.len() == images * before
            && tokens > 0;
        if !shaped {
            let expected = format!("kept [{images}, T'] and assigned [{images}, {before}] in block {}", block.block);
            let got = format!("{} kept, {} assigned, {} tokens", block.kept.len(), block.assigned.len(), block.patches);
            return Err(refuse(expected, got));
        }
        let kept_lost = block.kept.iter().find(|&&token| token as usize >= before);
        let assigned_lost = block.assigned.iter().find(|&&token| token != PRUNED && token as usize >= tokens);
        if let Some(token) = kept_lost.or(assigned_lost) {
            return Err(refuse(format!("indices of tokens that block {} has", block.block), token.to_string()));
        }
        let mut next = Self { patches: self.patches, tokens, token: Vec::new(), representative: Vec::new() };
        for image in 0..images {
            let assigned = &block.assigned[image * before..][..before];
            let represents = &self.representative[image * before..][..before];
            let step = |&token: &u32| if token == PRUNED { PRUNED } else { assigned[token as usize] };
            next.token.extend(self.token[image * self.patches..][..self.patches].iter().map(step));
            let kept = &block.kept[image * tokens..][..tokens];
            next.representative.extend(kept.iter().map(|&token| represents[token as usize]));
        }
        Ok(next)
    }

    /// The token of each of the N patches of one image; empty when there is no such image.
    pub fn tokens_of(&self, image: usize) -> &[u32] {
        self.token.chunks_exact(self.patches.max(1)).nth(image).unwrap_or_default()
    }

    /// The representative patch of each of the T' tokens of one image; empty when there is no such image.
    pub fn representatives_of(&self, image: usize) -> &[u32] {
        self.representative.chunks_exact(self.tokens.max(1)).nth(image).unwrap_or_default()
    }

    /// For one image, the number of patches in each of the T' tokens.
    pub fn sizes_of(&self, image: usize) -> Vec<usize> {
        let mut sizes = vec![0; self.tokens];
        for &token in self.tokens_of(image).iter().filter(|&&token| token != PRUNED) {
            sizes[token as usize] += 1;
        }
        sizes
    }

    /// Copies the values of the outgoing patch tokens [B, T', `width`] to every patch that is part of them [B, N,
    /// `width`], as a dense task needs. Pruned patches get `missing`.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are not B T' `width` values.
    pub fn spread<V: Copy>(&self, values: &[V], width: usize, missing: V) -> Result<Vec<V>> {
        let each = self.tokens * width;
        let images = self.token.len() / self.patches.max(1);
        if values.len() != images * each {
            let expected = format!("values [{images}, {}, {width}]", self.tokens);
            return Err(Error::shape("spread tokens", expected, format!("{} values", values.len())));
        }
        let mut spread = vec![missing; self.token.len() * width];
        if width == 0 {
            return Ok(spread);
        }
        for (at, (&token, to)) in self.token.iter().zip(spread.chunks_exact_mut(width)).enumerate() {
            if token != PRUNED {
                to.copy_from_slice(&values[(at / self.patches) * each + token as usize * width..][..width]);
            }
        }
        Ok(spread)
    }
}

fn refuse(expected: impl Into<String>, got: impl Into<String>) -> Error {
    Error::shape("follow trace", expected, got)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Condensation, VitConfig};

    fn plan(drops: impl Into<Vec<usize>>) -> Plan {
        let drops = drops.into();
        // Nine patches.
        let config = VitConfig::new(12, 4, 8, drops.len(), 1, 0);
        Plan::new(&config, Some(&Condensation::paper().schedule(drops))).unwrap()
    }

    fn block(block: usize, patches: usize, kept: &[u32], assigned: &[u32]) -> BlockTrace {
        let kept_count = kept.len() / (assigned.len() / patches);
        BlockTrace {
            block,
            patches,
            kept_count,
            kept: kept.to_vec(),
            assigned: assigned.to_vec(),
            ..Default::default()
        }
    }

    fn trace(images: usize, blocks: Vec<BlockTrace>) -> Trace {
        Trace { images, blocks, ..Trace::default() }
    }

    #[test]
    fn patches_are_followed_through_fusing_pruning_and_idle_blocks() {
        // Block 0 fuses patches 1 and 2 into 0. Block 1 drops nothing and is not in the trace. Block 2 prunes one
        // token, and lists its tokens out of order, as ToMe does with its two sets.
        let first = block(0, 9, &[0, 3, 4, 5, 6, 7, 8], &[0, 0, 0, 1, 2, 3, 4, 5, 6]);
        let third = block(2, 7, &[6, 1, 0, 3], &[2, 1, 2, 3, PRUNED, 0, 0]);
        let provenance = Provenance::new(&trace(1, vec![first, third]), &plan([2, 0, 3])).unwrap();
        assert_eq!(provenance.blocks[0].token, [0, 0, 0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(provenance.blocks[0].representative, [0, 3, 4, 5, 6, 7, 8]);
        assert_eq!(provenance.blocks[1], provenance.blocks[0]);
        let last = provenance.last();
        assert_eq!(last.token, [2, 2, 2, 1, 2, 3, PRUNED, 0, 0]);
        assert_eq!(last.representative, [8, 3, 0, 5]);
        assert_eq!(last.sizes_of(0), [2, 1, 4, 1]);
        assert!(last.sizes_of(1).iter().all(|&size| size == 0) && last.tokens_of(1).is_empty());
    }

    #[test]
    fn images_do_not_mix() {
        let decisions = block(0, 9, &[0, 1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7, 8], &{
            let mut assigned: Vec<u32> = (0..8).chain([7]).collect();
            assigned.extend([PRUNED].into_iter().chain(0..8));
            assigned
        });
        let provenance = Provenance::new(&trace(2, vec![decisions]), &plan([1])).unwrap();
        let last = provenance.last();
        assert_eq!((last.tokens_of(0)[8], last.tokens_of(1)[0], last.tokens_of(1)[8]), (7, PRUNED, 7));
        assert_eq!((last.representatives_of(0)[7], last.representatives_of(1)[7]), (7, 8));
        let values: Vec<u32> = (0..2 * 8 * 2).collect();
        let spread = last.spread(&values, 2, 99).unwrap();
        assert_eq!(&spread[14..18], [14, 15, 14, 15]);
        assert_eq!(&spread[18..24], [99, 99, 16, 17, 18, 19]);
        assert!(last.spread(&values[1..], 2, 99).is_err());
        assert!(last.spread(&[], 0, 99).unwrap().is_empty());
    }

    #[test]
    fn features_come_back_without_the_prefix() {
        let mut run = trace(1, vec![block(0, 9, &[0, 4, 8], &[0, 0, 0, 0, 1, 1, PRUNED, 2, 2])]);
        (run.width, run.features) = (2, (0..8).map(|v| v as f32).collect());
        let provenance = Provenance::new(&run, &plan([6])).unwrap();
        let restored = provenance.restore(&run, -1.0).unwrap();
        assert_eq!(restored[..2], [2.0, 3.0]);
        assert_eq!(restored[8..], [4.0, 5.0, 4.0, 5.0, -1.0, -1.0, 6.0, 7.0, 6.0, 7.0]);
        run.features.pop();
        assert!(provenance.restore(&run, 0.0).is_err());
    }

    #[test]
    fn traces_of_something_else_are_refused() {
        let good = || block(0, 9, &[0, 1, 2, 3, 4, 5, 6, 7], &[0, 1, 2, 3, 4, 5, 6, 7, 7]);
        assert!(Provenance::new(&trace(1, vec![good()]), &plan([1])).is_ok());
        let refused = |images, blocks: Vec<BlockTrace>| {
            let error = Provenance::new(&trace(images, blocks), &plan([1])).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{error}");
            error.to_string()
        };
        assert!(refused(1, vec![]).contains("request blocks"));
        assert!(refused(2, vec![good()]).contains("block 0"));
        assert!(refused(1, vec![good(), good()]).contains("in order"));
        let mut lost = good();
        lost.kept[0] = 9;
        assert!(refused(1, vec![lost]).contains("got 9"));
        let mut lost = good();
        lost.assigned[0] = 8;
        assert!(refused(1, vec![lost]).contains("got 8"));
        let mut short = good();
        short.assigned.pop();
        refused(1, vec![short]);
    }
}
