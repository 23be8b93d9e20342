//! The last stage: from tokens to features, pooled features and logits.

use super::block::{Normed, Output, record_linear, record_norm};
use super::{Forward, Tokens};
use crate::config::Head;
use crate::error::Result;
use crate::gpu::{Precision, Recorder};
use crate::kernels::{pool, token_max, trim};
use crate::weights::Linear;

/// Records the final norm, pooling and the classifier. Returns the buffers of the features [B, T, D] and of the pooled
/// features [B, P]. Features are tokens after the final norm or, if the norm comes after pooling, the tokens
/// themselves.
pub(super) fn record(
    recorder: &mut Recorder<'_>,
    forward: &Forward<'_>,
    tokens: &Tokens,
) -> Result<(wgpu::Buffer, wgpu::Buffer)> {
    let (config, workspace, weights) = (forward.config(), forward.workspace, forward.weights);
    let plain = |rows| Normed { rows, precision: Precision::F32, gathered: None };
    let norms_after = config.head == Head::MeanPooled;
    let features = if norms_after { &tokens.stream } else { &workspace.normed };
    if !norms_after {
        record_norm(recorder, plain(tokens.all()), config, &weights.norm, &tokens.stream, features)?;
    }
    let (first, mean) = config.head_sees();
    let params = pool::Params {
        tokens: tokens.count() as u32,
        prefix: config.prefix() as u32,
        width4: (config.width / 4) as u32,
        first: first as u32,
        mean: mean.into(),
    };
    let [sums, normed] = &workspace.pooled;
    let bindings = pool::Bindings { x: features, sizes: &tokens.sizes, pooled: sums };
    pool::record(recorder, params, forward.images as u32, bindings)?;
    let pooled = if norms_after {
        record_norm(recorder, plain(forward.images), config, &weights.norm, sums, normed)?;
        normed
    } else {
        sums
    };
    let Some(classifier) = &weights.head else { return Ok((features.clone(), pooled.clone())) };
    record_linear(recorder, forward.images, classifier, Output::PLAIN, pooled, &workspace.padded_logits)?;
    if let Some(auxiliary) = &weights.auxiliary {
        record_token_max(recorder, forward, tokens, auxiliary, features)?;
    }
    if workspace.padded_logits != workspace.logits {
        let stride = config.classes.next_multiple_of(4);
        let params =
            trim::Params { rows: forward.images as u32, columns: config.classes as u32, stride: stride as u32 };
        let bindings = trim::Bindings { padded: &workspace.padded_logits, rows: &workspace.logits };
        trim::record(recorder, params, bindings)?;
    }
    Ok((features.clone(), pooled.clone()))
}

/// Records the auxiliary classifier on every token, prefix included since its rows lie between those of patch tokens,
/// and adds half of the largest logits of the patch tokens.
fn record_token_max(
    recorder: &mut Recorder<'_>,
    forward: &Forward<'_>,
    tokens: &Tokens,
    auxiliary: &Linear,
    features: &wgpu::Buffer,
) -> Result<()> {
    let workspace = forward.workspace;
    let classified = match auxiliary.precision {
        Precision::F32 => features,
        // The same normed tokens again, in the precision that this layer reads. The hidden layer's buffer is free at
        // this point.
        precision => {
            let normed = Normed { rows: tokens.all(), precision, gathered: None };
            let (config, norm) = (forward.config(), &forward.weights.norm);
            record_norm(recorder, normed, config, norm, &tokens.stream, &workspace.hidden)?;
            &workspace.hidden
        }
    };
    record_linear(recorder, tokens.all(), auxiliary, Output::PLAIN, classified, &workspace.token_logits)?;
    let params = token_max::Params {
        images: forward.images as u32,
        tokens: tokens.count() as u32,
        prefix: forward.config().prefix() as u32,
        // Padding columns are 0 in both buffers, and remain 0.
        classes: forward.config().classes.next_multiple_of(4) as u32,
        share: 0.5,
    };
    token_max::record(recorder, params, token_max::Bindings { x: &workspace.token_logits, y: &workspace.padded_logits })
}
