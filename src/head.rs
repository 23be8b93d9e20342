//! From the last tokens to features and logits.

use crate::block::{Normed, Output, record_linear, record_norm};
use crate::config::Head;
use crate::error::Result;
use crate::forward::Stage;
use crate::gpu::{Precision, Recorder};
use crate::kernels::{pool, token_max, trim};
use crate::weights::Linear;

/// Records the final norm, pooling and the classifier. Returns the buffer that holds the features [B, T, D]: tokens
/// after the final norm, or, where the norm comes after pooling, the tokens themselves.
pub(crate) fn record(recorder: &mut Recorder<'_>, stage: &Stage<'_>) -> Result<wgpu::Buffer> {
    let (config, workspace, weights) = (stage.config(), stage.workspace, stage.weights);
    let plain = |rows| Normed { rows, precision: Precision::F32, gathered: None };
    let pools = config.head == Head::MeanPooled;
    let features = if pools { stage.stream() } else { &workspace.normed };
    if !pools {
        record_norm(recorder, plain(stage.rows()), config, &weights.norm, stage.stream(), features)?;
    }
    let Some(classifier) = &weights.head else { return Ok(features.clone()) };
    let (first, mean) = config.head_sees();
    let params = pool::Params {
        tokens: stage.tokens() as u32,
        prefix: config.prefix() as u32,
        width4: (config.width / 4) as u32,
        first: first as u32,
        mean: mean.into(),
    };
    let [pooled, pooled_norm] = &workspace.pooled;
    let bindings = pool::Bindings { x: features, sizes: stage.sizes(), pooled };
    pool::record(recorder, params, stage.images as u32, bindings)?;
    let classified = if pools {
        record_norm(recorder, plain(stage.images), config, &weights.norm, pooled, pooled_norm)?;
        pooled_norm
    } else {
        pooled
    };
    record_linear(recorder, stage.images, classifier, Output::PLAIN, classified, &workspace.padded_logits)?;
    if let Some(auxiliary) = &weights.auxiliary {
        record_token_max(recorder, stage, auxiliary, features)?;
    }
    if workspace.padded_logits != workspace.logits {
        let stride = config.classes.next_multiple_of(4);
        let params = trim::Params { rows: stage.images as u32, columns: config.classes as u32, stride: stride as u32 };
        let bindings = trim::Bindings { padded: &workspace.padded_logits, rows: &workspace.logits };
        trim::record(recorder, params, bindings)?;
    }
    Ok(features.clone())
}

/// Records the auxiliary classifier on every token, the prefix too (they lie in between), and adds half of the largest
/// logits of the patch tokens.
fn record_token_max(
    recorder: &mut Recorder<'_>,
    stage: &Stage<'_>,
    auxiliary: &Linear,
    features: &wgpu::Buffer,
) -> Result<()> {
    let workspace = stage.workspace;
    let tokens = match auxiliary.precision {
        Precision::F32 => features,
        // The same tokens once more, as that layer reads them. The hidden layer's buffer is free by now.
        precision => {
            let normed = Normed { rows: stage.rows(), precision, gathered: None };
            record_norm(recorder, normed, stage.config(), &stage.weights.norm, stage.stream(), &workspace.hidden)?;
            &workspace.hidden
        }
    };
    record_linear(recorder, stage.rows(), auxiliary, Output::PLAIN, tokens, &workspace.token_logits)?;
    let params = token_max::Params {
        images: stage.images as u32,
        tokens: stage.tokens() as u32,
        prefix: stage.config().prefix() as u32,
        // Padding columns are 0 in both, and stay so.
        classes: stage.config().classes.next_multiple_of(4) as u32,
        share: 0.5,
    };
    token_max::record(recorder, params, token_max::Bindings { x: &workspace.token_logits, y: &workspace.padded_logits })
}
